"""What the engine costs: recording, long chains, freeing, and a chain of small operations against PyTorch.

    python benchmarks/engine.py [--json FILE]

Ratios within one run, sides alternating, medians with the spread. PyTorch is compared where it is installed.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import platform
import statistics
import time
import timeit
from collections.abc import Callable

import numpy as np

import autograd

ROUNDS, NUMBER = 21, 20_000


def seconds(f: Callable[[], object], number: int) -> float:
    return timeit.timeit(f, number=number) / number


def median(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered),
        "low": ordered[len(ordered) // 10],
        "high": ordered[-1 - len(ordered) // 10],
    }


def recording() -> dict[str, float]:
    """µs that recording adds to one NumPy multiplication of 4×4 arrays."""
    a, b = np.ones((4, 4), np.float32), np.full((4, 4), 2, np.float32)
    x, y = autograd.tensor(a, requires_grad=True), autograd.tensor(b, requires_grad=True)
    added = []
    for _ in range(ROUNDS):
        plain = seconds(lambda: np.multiply(a, b), NUMBER)
        added.append((seconds(lambda: x * y, NUMBER) - plain) * 1e6)
    return median(added)


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
    return median([seconds(ours, 20) / seconds(theirs, 20) for _ in range(ROUNDS)])


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the figures to this file too")
    path = parser.parse_args().json
    results: dict[str, object] = {"python": platform.python_version(), "numpy": np.__version__}

    results["recording"] = r = recording()
    print(f"recording adds {r['median']:.2f} µs to a NumPy operation ({r['low']:.2f} … {r['high']:.2f})")
    results["against_torch"] = t = against_torch()
    if t is None:
        print("300 operations against PyTorch: PyTorch is not installed")
    else:
        print(
            f"300 operations forward and backward: {t['median']:.2f} of PyTorch's time "
            f"({t['low']:.2f} … {t['high']:.2f})"
        )
    print("µs per operation       forward backward  freeing")
    rows = {}
    for collector in (False, True):
        for nodes in (10**3, 10**4, 10**5, 10**6):
            runs = [length(nodes, collector) for _ in range(max(3, 30_000 // nodes))]
            row = [statistics.median(column) for column in zip(*runs, strict=True)]
            rows[f"{nodes}, collector {'on' if collector else 'off'}"] = row
            print(
                f"{nodes:>9,} {'collector on' if collector else 'collector off':<13}"
                + "".join(f"{v:8.2f}" for v in row)
            )
    results["length"] = rows
    if path:
        with open(path, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
