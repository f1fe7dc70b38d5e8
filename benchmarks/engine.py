"""What the engine costs: recording, long chains, freeing, and a chain of small operations against PyTorch.

    python -m benchmarks.engine [--json FILE]

Ratios within one run, one thread, sides alternating, medians with the spread. PyTorch is compared where it is
installed. Chains of different lengths show that the cost of an operation does not grow with the graph.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
import timeit
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import autograd
from benchmarks import command, report
from benchmarks.compare import spread

ROUNDS, NUMBER = 21, 20_000
PARTS = ("forward", "backward", "freeing")


def seconds(f: Callable[[], object], number: int) -> float:
    return timeit.timeit(f, number=number) / number


def recording() -> dict[str, float]:
    """µs that recording adds to one NumPy multiplication of 4×4 arrays."""
    a, b = np.ones((4, 4), np.float32), np.full((4, 4), 2, np.float32)
    x, y = autograd.tensor(a, requires_grad=True), autograd.tensor(b, requires_grad=True)
    added = []
    for _ in range(ROUNDS):
        plain = seconds(lambda: np.multiply(a, b), NUMBER)
        added.append((seconds(lambda: x * y, NUMBER) - plain) * 1e6)
    return spread(added)


def chain(operations: int, tanh: Callable, x: object, y: object) -> object:
    h = x
    for _ in range(operations // 3):
        h = tanh(h * y + x)
    return h


def against_torch() -> dict[str, float] | None:
    """Our time over PyTorch's, 300 operations on 4×4 arrays forward and backward, one thread."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    g = np.ones((4, 4), np.float32)
    x, y = (autograd.tensor(g * k, requires_grad=True) for k in (1, 2))
    tx, ty = (torch.tensor(g * k, requires_grad=True) for k in (1, 2))
    tg = torch.ones(4, 4)

    def ours() -> None:
        chain(300, autograd.tanh, x, y).backward(g)

    def theirs() -> None:
        chain(300, torch.tanh, tx, ty).backward(tg)

    ours(), theirs()
    return spread([seconds(ours, 20) / seconds(theirs, 20) for _ in range(ROUNDS)])


def length(nodes: int, collector: bool) -> tuple[float, float, float]:
    """µs per operation of a chain: forward, backward, freeing."""
    g = np.ones((4, 4), np.float32)
    x, y = (autograd.tensor(g * k, requires_grad=True) for k in (1, 2))
    gc.collect()
    if not collector:
        gc.disable()
    times = [time.perf_counter()]
    h = chain(nodes, autograd.tanh, x, y)
    times.append(time.perf_counter())
    h.backward(g)
    times.append(time.perf_counter())
    del h
    times.append(time.perf_counter())
    gc.enable()
    return tuple((b - a) / nodes * 1e6 for a, b in itertools.pairwise(times))  # type: ignore[return-value]


def tables(rows: Mapping[str, Any]) -> list[Any]:
    """The engine's own cost, and that of chains."""
    ratios = [[name, report.times(row)] for name, row in rows.items() if "median" in row]
    chains = [[name, *[f"{row[part]:.2f}" for part in PARTS]] for name, row in rows.items() if PARTS[0] in row]
    return [
        report.table("Engine", ["one thread, arrays of 4×4", "median (nine of ten)"], ratios),
        report.table("Chains: µs per operation", ["operations", *PARTS], chains),
    ]


def main() -> None:
    given = command.parser(__doc__, only=False).parse_args()
    results = command.results(given)
    results.keep("engine", "µs that recording adds to a NumPy operation", recording())
    if compared := against_torch():
        results.keep("engine", "300 operations forward and backward, our time / PyTorch's", compared)
    for collector, nodes in itertools.product((False, True), (10**3, 10**4, 10**5, 10**6)):
        runs = [length(nodes, collector) for _ in range(1 if given.quick else max(3, 30_000 // nodes))]
        row = dict(zip(PARTS, map(statistics.median, zip(*runs, strict=True)), strict=True))
        results.keep("engine", f"{nodes:,}, collector {'on' if collector else 'off'}", row)
    report.show(tables(results.rows("engine")))


if __name__ == "__main__":
    main()
