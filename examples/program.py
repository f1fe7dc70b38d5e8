"""What the programs beside this file have in common: options, training, what is saved, and how they end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nn
from autograd.errors import AutogradError, DataError


def count(text: str) -> int:
    """What --epochs and the like take."""
    if (value := int(text)) < 1:
        raise ValueError
    return value


def options(about: str | None, quick: str | None, seed: str) -> argparse.ArgumentParser:
    """A parser of the options that every program has; `quick` and `seed` say what these two mean, None: no --quick."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for all that is written (default: out)")
    if quick:
        parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--seed", type=int, default=1, help=f"{seed} (default: 1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in --out")
    return parser


def fit(trainer: nn.Trainer, resume: bool, *loaders: nn.data.DataLoader, epochs: int) -> dict[str, list[float]]:
    """Train, or go on with it; whoever interrupts it is told how it continues."""
    if resume:
        trainer.resume()
    history = trainer.fit(*loaders, epochs=epochs)
    if trainer.stopped == "interrupt":
        raise SystemExit("the same command with --resume continues")
    return history


def write_result(out: Path, result: Mapping[str, Any]) -> None:
    """What was measured, as result.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def save_pictures(figures: Mapping[str, Any], out: Path) -> None:
    """Every figure under its name."""
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=110)
    print(f"pictures: {', '.join(f'{name}.png' for name in figures)} in {out}/")


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
