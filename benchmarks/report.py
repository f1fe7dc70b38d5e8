"""Figures on the screen and on a page: kept as JSON, so that one network can be measured again without the others."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results.json")
PAGE = """\
# Benchmarks

Made by `make bench`; [results.json](results.json) has the figures. Times are medians of turns that the sides take one
after the other. Ratios are PyTorch's time / our time in neighbouring turns, so that above 1 is faster than PyTorch:
their median, and what nine of ten lie above and below. Where PyTorch was measured with both orders of channels in
memory, NCHW and channels-last, the ratio is against the faster.
"""

Tables = Callable[[Mapping[str, Any]], Sequence[Table | str]]
SECTIONS = {"networks": "vs_torch", "layers": "layers", "engine": "engine"}  # and the modules that make their tables


FAMILIES = ("OPENBLAS_", "MKL_", "OMP_", "KMP_", "GOMP_", "NUMBA_", "MALLOC_", "ONEDNN_", "DNNL_")


def machine(threads: int) -> dict[str, str]:
    """What the figures depend on besides the code: processor, versions, threads, variables that steer libraries."""
    steering = {k: v for k, v in os.environ.items() if k.startswith(FAMILIES) and not k.endswith(("_THREADS", "_DIR"))}
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "instructions": _instructions(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": str(threads),
        "environment": " ".join(f"{name}={value}" for name, value in sorted(steering.items())) or "nothing set",
        "Python": platform.python_version(),
        "BLAS of NumPy": " ".join(str(_blas().get(word, "")) for word in ("name", "version")),
        **{name: _version(name.lower()) for name in ("NumPy", "Numba", "torch", "torchvision")},
    }


def _cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")


def _processor() -> str:
    family = ", ".join(f"{w} {_cpuinfo(w)}" for w in ("cpu family", "model\t") if _cpuinfo(w)).replace("\t", "")
    return f"{_cpuinfo('model name') or platform.processor() or 'unknown'}{f' ({family})' if family else ''}"


def _instructions() -> str:
    flags = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    known = ("avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "avx2", "fma", "sve2", "asimd")
    return " ".join(name for name in known if name in flags) or "unknown"


def _blas() -> dict[str, str]:
    found: Any = np.show_config(mode="dicts")
    return found["Build Dependencies"]["blas"]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def stamp() -> str:
    """When and at which commit a row was measured."""
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return f"{datetime.now(UTC):%Y-%m-%d} {asked.stdout.strip()}".strip()


def command() -> str:
    """The command line, as a reader would type it."""
    spec = sys.modules["__main__"].__spec__
    return shlex.join(["python", *(["-m", spec.name] if spec else [sys.argv[0]]), *sys.argv[1:]])


class Results:
    """The rows of all benchmarks in one file, by section and name, and the page that is made from them.

    Rows of another machine, of other versions or of another number of threads are dropped: they cannot be compared.
    Without a path nothing is written.
    """

    def __init__(self, path: Path | None, threads: int) -> None:
        self.path, about = path, machine(threads)
        found = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
        self.kept = found if found.get("about") == about else {"about": about, "commands": {}}

    def keep(self, section: str, name: str, row: Mapping[str, Any]) -> None:
        """Take a row, instead of an older one of that name."""
        self.kept.setdefault(section, {})[name] = {**row, "measured": stamp()}
        self.kept["commands"][section] = command()
        self.write()

    def rows(self, section: str) -> dict[str, Any]:
        """All rows of a section."""
        return self.kept.get(section, {})

    def write(self) -> None:
        """Write the file, and the page beside it."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        parts = [PAGE, "\n".join(f"- {name}: {value}" for name, value in self.kept["about"].items()) + "\n"]
        for section, module in SECTIONS.items():
            if rows := self.rows(section):
                tables = importlib.import_module(f"benchmarks.{module}").tables
                parts += [*map(markdown, tables(rows)), f"Last command: `{self.kept['commands'][section]}`\n"]
        self.path.with_suffix(".md").write_text("\n".join(parts), encoding="utf-8")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column is text and whose others are figures."""
    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for i, column in enumerate(columns):
        made.add_column(column, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def show(parts: Sequence[Table | str]) -> None:
    """Print tables and lines."""
    console = Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False)
    for part in parts:
        console.print(part)


def markdown(part: Table | str) -> str:
    """The same table in Markdown."""
    if isinstance(part, str):
        return part + "\n"
    title, part.title, part.box, before = part.title, None, box.MARKDOWN, (part.title, part.box)
    console = Console(file=io.StringIO(), width=400, markup=False)
    console.print(part)
    part.title, part.box = before
    lines = [line.strip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return "\n".join([f"## {title}", "", *filter(None, lines), ""])


def times(figures: Mapping[str, float]) -> str:
    """A ratio with its spread."""
    return f"{figures['median']:.2f} ({figures['low']:.2f} … {figures['high']:.2f})"


def milliseconds(seconds: float | None) -> str:
    """Three digits of a time."""
    if seconds is None:
        return "–"
    return f"{seconds * 1e3:.0f}" if seconds >= 0.1 else f"{seconds * 1e3:.3g}"
