"""What the pytest plugin does for ``--gradients``: it listens to the checks and reports at the end.

``pytest_unfold`` loads this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from .checks import observers

KEY = "gradients"  # the user property of a test report that carries the counts; xdist sends it along
COLUMNS = ("points", "checks", "inconclusive", "order", "oracle")


class Gradients:
    """Listens to every check of gradients, and reports at the end."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Count what the checks in a test find, by order and oracle."""
        counts: Counter[str] = Counter()

        def observe(order: int, report: Any) -> None:
            counts["points"] += 1
            counts["checks"] += len(report.comparisons)
            counts["inconclusive"] += not report.conclusive
            counts["order"] = max(order, counts["order"])
            for c in report.comparisons:
                counts[f"oracle {c.oracle}"] += 1

        observers.append(observe)
        try:
            return (yield)
        finally:
            observers.remove(observe)
            if counts:
                item.user_properties.append((KEY, dict(counts)))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print one line for each test function; parametrised ones add up."""
        found: dict[str, Counter[str]] = {}
        for reports in terminalreporter.stats.values():
            for report in reports:
                for key, counts in getattr(report, "user_properties", ()):
                    if key == KEY and report.when == "call":
                        name = report.nodeid.partition("[")[0]
                        found.setdefault(name, Counter())
                        order = max(found[name]["order"], counts["order"])
                        found[name].update(counts)
                        found[name]["order"] = order
        terminalreporter.section("gradients")
        for line in lines(found):
            terminalreporter.write_line(line)


def lines(found: dict[str, Counter[str]]) -> list[str]:
    """The table as text: a test in each line, the sum in the last."""
    if not found:
        return ["no gradients were checked"]
    rows = [COLUMNS, *((*_numbers(c), _oracles(c)) for _, c in sorted(found.items()))]
    total: Counter[str] = sum((Counter(c) for c in found.values()), Counter())
    total["order"] = max(c["order"] for c in found.values())
    rows.append((*_numbers(total), _oracles(total)))
    names = ["", *sorted(found), "in all"]
    widths = [max(len(row[k]) for row in rows) for k in range(len(COLUMNS))]
    return [
        "  ".join([*(v.rjust(w) for v, w in zip(row[:-1], widths)), row[-1].ljust(widths[-1]), name]).rstrip()
        for row, name in zip(rows, names, strict=True)
    ]


def _numbers(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(str(counts[c]) for c in COLUMNS[:-1])


def _oracles(counts: Counter[str]) -> str:
    return ", ".join(sorted(k.removeprefix("oracle ") for k in counts if k.startswith("oracle ")))
