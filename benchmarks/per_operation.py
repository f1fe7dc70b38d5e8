"""Where our time goes: every operation and every gradient rule, with the shapes it works on.

Implementations and rules are wrapped while a step runs; the time of an operation is its own, without what it calls.
"∇conv2d" is the rule of conv2d by itself, "∇conv2d: conv2d_dw" an operation that the rule calls.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import report
from benchmarks.compare import Worker
from benchmarks.libraries import Unfold

STEPS = 3
REST = "engine, Python, sums of gradients"


class Spent:
    """Seconds and calls by label and shapes."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0])
        self._open: list[tuple[str, list[float]]] = [("", [0.0])]  # what runs now, and the seconds of what it called

    def timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap ``function`` so that its time is counted under ``label``."""

        def run(*args: Any) -> Any:
            caller, callers_inner = self._open[-1]
            rule = caller.partition(":")[0] if caller.startswith("∇") else ""
            place = f"{rule}: {label}" if rule else label
            inner = [0.0]
            self._open.append((place, inner))
            start = time.perf_counter()
            try:
                return function(*args)
            finally:
                took = time.perf_counter() - start
                self._open.pop()
                callers_inner[0] += took
                row = self.rows[place, shapes(args)]
                row[0] += took - inner[0]
                row[1] += 1

        return run


def shapes(values: Any) -> str:
    """The shapes of the arrays among the arguments, such as 4×64×224×224 64×64×3×3."""
    if hasattr(values, "shape"):
        return "×".join(map(str, values.shape)) if isinstance(values.shape, tuple) else ""
    if isinstance(values, dict):
        return shapes(tuple(values.values()))
    return " ".join(filter(None, map(shapes, values))) if isinstance(values, (tuple, list)) else ""


@contextmanager
def watched(spent: Spent) -> Iterator[None]:
    """Count what every operation and every gradient rule takes in the block."""
    from autograd.core.composite import composites
    from autograd.core.primitive import registry

    def implementing(op: Any) -> Callable[[type], Callable[..., Any]]:
        implement = op.implement
        return lambda kind: spent.timed(op.name, implement(kind))

    before = [(op, dict(vars(op))) for op in (*registry.values(), *composites.values())]
    for op in registry.values():
        op.implement, op.pull = implementing(op), spent.timed(f"∇{op.name}", op.pull)
        op.impls.clear()
    for op in composites.values():
        op.record, op.pull = spent.timed(op.name, op.record), spent.timed(f"∇{op.name}", op.pull)
    try:
        yield
    finally:
        for op, attributes in before:
            vars(op).clear()
            vars(op).update(attributes)
        for op in registry.values():
            op.impls.clear()


def profile(task: Any, steps: int = STEPS) -> tuple[float, list[tuple[str, str, float, float]]]:
    """Return the seconds of a training step, and for each label and shapes the seconds and calls in it."""
    task.train()  # compiles, allocates
    spent = Spent()
    if optimizer := getattr(task, "optimizer", None):
        optimizer.step = spent.timed("optimizer.step", optimizer.step)
    start = time.perf_counter()
    with watched(spent):
        for _ in range(steps):
            task.train()
    whole = (time.perf_counter() - start) / steps
    rows = [(label, what, seconds / steps, calls / steps) for (label, what), (seconds, calls) in spent.rows.items()]
    rest = whole - sum(seconds for _, _, seconds, _ in rows)
    return whole, sorted([*rows, (REST, "", rest, 1.0)], key=lambda row: -row[2])


def unfold(name: str, *, threads: int) -> dict[str, Callable[[], Any]]:
    """Our side, which profiles itself."""
    from benchmarks.networks import NETWORKS

    task = NETWORKS[name].task(Unfold(threads))
    return {"profile": lambda: profile(task)}


def tables(name: str, threads: int, most: int = 30) -> list[Any]:
    """Our time per operation of a training step, the largest first: in all, and by shapes."""
    with Worker(unfold, name, threads=threads) as worker:
        whole, rows = worker.ask("profile")[1]
    by_label: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for label, _, seconds, calls in rows:
        by_label[label][0] += seconds
        by_label[label][1] += calls
    first = sorted(((label, "", *figures) for label, figures in by_label.items()), key=lambda row: -row[2])
    title = f"{name}: a training step takes {report.milliseconds(whole)} ms"
    return [_table(title, first, whole, most), _table(f"{name}: by shapes", rows, whole, most)]


def _table(title: str, rows: list[Any], whole: float, most: int) -> Any:
    lines = [
        [label, what, report.milliseconds(seconds), f"{seconds / whole:.1%}", f"{calls:.0f}"]
        for label, what, seconds, calls in rows[:most]
    ]
    return report.table(title, ["operation", "shapes", "ms", "share", "calls"], lines)
