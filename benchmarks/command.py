"""What the comparisons' commands share: their options, and measuring row by row."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import compare, libraries, report

Measure = Callable[[str, int, compare.Effort], dict[str, Any]]


def parser(description: str | None, only: bool = True) -> argparse.ArgumentParser:
    """The options that all benchmarks take; ``only``: there are rows to choose from."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if only:
        made.add_argument("--only", nargs="+", metavar="NAME", help="those whose names begin so")
    made.add_argument("--quick", action="store_true", help="a rough look; nothing is written without --json")
    made.add_argument("--threads", type=int, default=2, help="threads of each side (default: 2)")
    made.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here, and the page beside it")
    return made


def chosen(prefixes: Iterable[str] | None, names: Iterable[str]) -> list[str]:
    """The names that begin with one of the prefixes; all if there are none."""
    prefixes, names = tuple(prefixes or ()), list(names)
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise SystemExit(f"--only {prefix}: there is none such; the names are {', '.join(names)}")
    return [name for name in names if not prefixes or name.startswith(prefixes)]


def results(given: argparse.Namespace) -> report.Results:
    """The file that was asked for, or the one beside this; for a rough look none."""
    return report.Results(given.json or (None if given.quick else report.RESULTS), given.threads)


def run(
    section: str,
    names: Iterable[str],
    measure: Measure,
    tables: report.Tables,
    given: argparse.Namespace,
    effort: compare.Effort,
) -> None:
    """Measure row by row, keep each as soon as it is there, and show the tables."""
    if not libraries.installed():
        raise SystemExit("PyTorch is not installed: pip install '.[bench]'")
    effort, kept = compare.QUICK if given.quick else effort, results(given)
    for name in chosen(given.only, names):
        try:
            row = measure(name, given.threads, effort)
        except compare.MeasurementError as error:
            row = {"failed": str(error)}
        print(f"{name}: {row.get('failed', 'measured')}", flush=True)
        kept.keep(section, name, row)
    report.show(tables(kept.rows(section)))
