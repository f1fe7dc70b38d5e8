"""What the programs beside this file have in common: their options, how a diagram is saved, and how they end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autograd.errors import AutogradError, DataError


def options(about: str | None, quick: str, seed: str) -> argparse.ArgumentParser:
    """A parser of the options that every program has; `quick` and `seed` say what these two mean."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for all that is written (default: out)")
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--seed", type=int, default=1, help=f"{seed} (default: 1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in --out")
    return parser


def write_result(out: Path, result: Mapping[str, Any]) -> None:
    """What was measured, as result.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def save(diagram: Any, out: Path, name: str) -> None:
    """A diagram as a page, and as a picture where Graphviz is installed."""
    for file in (f"{name}.html", f"{name}.svg"):
        try:
            diagram.save(out / file)
            print(f"diagram: {out / file}")
        except DataError as error:  # no Graphviz: the page needs none
            print(f"no {file}: {error}")


def run(main: Callable[[], None]) -> None:
    """Run a program; what goes wrong outside of it, and Ctrl-C, end it with a line instead of a traceback."""
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None
    except (AutogradError, OSError, MemoryError) as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: {str(error) or type(error).__name__}") from None
