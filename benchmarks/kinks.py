"""Are there false alarms? Millions of points at, next to and far from kinks, each judged by the gradient checks.

    python benchmarks/kinks.py [--draws 1000000] [--singly 20000] [--seed 0]

``--draws`` points are judged by ``check_rows``, each by itself though many at a time; ``--singly`` more by
``check_gradients``, one call each. A gradient that is right must never be called wrong. As a control the same points
are judged with a gradient that is 0.1 % too large: it must be found wherever the oracle says that it can judge.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

import autograd
from autograd.testing import check_gradients
from autograd.testing.checks import check_rows

PLACES = ("at", "next to", "far from")
BATCH = 2000
FACTOR = 1.001
# The control's mistake: y = x with a derivative that is not 1.
too_large = autograd.elementwise("too_large_example", "x", forward=lambda x: x, deriv={"x": FACTOR})


def values(*kinks: float) -> Callable[..., np.ndarray]:
    """Points around certain values, zeros of both signs among them."""

    def draw(rng: np.random.Generator, count: int, size: int, place: str) -> np.ndarray:
        x = rng.normal(0.0, 2.0, (count, size))
        for kink in kinks:
            x = np.where(np.abs(x - kink) < 0.1, kink + np.where(x < kink, -0.15, 0.15), x)
        return chosen(rng, x, rng.choice(kinks, x.shape) + offsets(rng, x.shape, place), place)

    return draw


def ties(rng: np.random.Generator, count: int, size: int, place: str) -> np.ndarray:
    """Points whose elements are equal, or nearly."""
    x = rng.permuted(np.tile(np.arange(size) * 0.5, (count, 1)), axis=1) + rng.uniform(-0.2, 0.2, (count, size))
    x -= rng.choice([0.0, size / 4], (count, 1))
    level = np.where(rng.random((count, 1)) < 0.25, 0.0, rng.normal(size=(count, 1)))
    return chosen(rng, x, level + offsets(rng, x.shape, place), place)


def origin(rng: np.random.Generator, count: int, size: int, place: str) -> np.ndarray:
    """Points around the origin: there a norm has its kink."""
    x = rng.normal(size=(count, size))
    x *= rng.uniform(0.5, 3.0, (count, 1)) / np.linalg.norm(x, axis=1, keepdims=True)
    if place == "at":
        return x * 0.0  # of both signs
    return x * 10.0 ** rng.uniform(-12, -2, (count, 1)) if place == "next to" else x


def offsets(rng: np.random.Generator, shape: tuple[int, ...], place: str) -> np.ndarray:
    """Nothing, with a sign, or from 1e-12 to 1e-2."""
    return rng.choice([-1.0, 1.0], shape) * (0.0 if place == "at" else 10.0 ** rng.uniform(-12, -2, shape))


def chosen(rng: np.random.Generator, far: np.ndarray, near: np.ndarray, place: str) -> np.ndarray:
    """About half of the elements of every point near a kink, at least two."""
    if place == "far from":
        return far
    pick = (rng.random(far.shape) < 0.5) | (rng.permuted(np.tile(np.arange(far.shape[1]), (len(far), 1)), axis=1) < 2)
    return np.where(pick, near, far)


# Every function takes an array of points, one in each row, and treats them alike.
OPERATIONS: dict[str, tuple[Callable[[Any], Any], Callable[..., np.ndarray], int]] = {
    "relu": (autograd.relu, values(0.0), 4),
    "absolute": (autograd.absolute, values(0.0), 4),
    "clip": (lambda x: autograd.clip(x, -0.5, 1.0), values(-0.5, 1.0), 4),
    "max": (lambda x: autograd.max(x, axis=-1), ties, 5),
    "max_pool1d": (lambda x: autograd.max_pool1d(x[:, None], 3, 1, 1), ties, 6),
    "max_pool2d": (lambda x: autograd.max_pool2d(x.reshape(-1, 1, 4, 4), 3, 2, 1), ties, 16),
    "sort": (lambda x: autograd.sort(x, axis=-1), ties, 5),
    "norm": (lambda x: autograd.norm(x, axis=-1), origin, 3),
}


@dataclass
class Count:
    """What was found of one operation at one place; of points judged by themselves nothing is known of the control."""

    draws: int = 0
    alarms: int = 0  # right gradients called wrong
    judged: int = 0  # where the oracle was sure
    controls: int = 0  # wrong gradients at points where it was sure
    caught: int = 0


Counts = dict[tuple[str, str], Count]


def many(draws: int, seed: int = 0, operations: Any = None) -> Counts:
    """Judge ``draws`` points, each by itself though many at a time, and as many wrong gradients."""
    counts: Counts = {(o, p): Count() for o in operations or OPERATIONS for p in PLACES}
    rng = np.random.default_rng(seed)
    for i, ((name, place), count) in enumerate(counts.items()):
        f, draw, size = (operations or OPERATIONS)[name]
        left = draws // len(counts) + (i < draws % len(counts))
        while left:
            x = draw(rng, min(left, BATCH), size, place)
            found = check_rows(f, x, rng=rng)
            control = check_rows(lambda x, f=f: f(too_large(x)), x, rng=rng)
            # Where the true slope along the direction is 0 to rounding, a factor changes nothing.
            sure = control.judged & (np.abs(control.numeric) * (FACTOR - 1) > 2 * control.tolerance)
            count.draws += len(x)
            count.alarms += int(found.wrong.sum())
            count.judged += int(found.judged.sum())
            count.controls += int(sure.sum())
            count.caught += int((control.wrong & sure).sum())
            left -= len(x)
    return counts


def singly(draws: int, seed: int = 0, operations: Any = None) -> Counts:
    """Judge ``draws`` points by a call of ``check_gradients`` each."""
    counts: Counts = {(o, p): Count() for o in operations or OPERATIONS for p in PLACES}
    rng = np.random.default_rng(seed)
    for i in range(draws):
        name, place = list(counts)[i % len(counts)]
        f, draw, size = (operations or OPERATIONS)[name]
        report = check_gradients(f, draw(rng, 1, size, place), rng=rng)
        count = counts[name, place]
        count.draws += 1
        count.alarms += not report.ok
        count.judged += report.conclusive
    return counts


def table(counts: Counts) -> str:
    """The counts in Markdown."""
    lines = ["| operation | points | draws | judged | false alarms | control caught |", "|---|---|--:|--:|--:|--:|"]
    for (name, place), c in counts.items():
        caught = f"{c.caught:,} of {c.controls:,}" if c.controls else "–"
        lines.append(
            f"| {name} | {place} kinks | {c.draws:,} | {c.judged / max(c.draws, 1):.1%} | {c.alarms} | {caught} |"
        )
    draws, alarms = (sum(getattr(c, what) for c in counts.values()) for what in ("draws", "alarms"))
    return "\n".join([*lines, f"| all | | {draws:,} | | {alarms} | |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10**6)
    parser.add_argument("--singly", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d} Python {platform.python_version()}, NumPy {np.__version__}, seed {given.seed}")
    for f, draws in ((many, given.draws), (singly, given.singly)):
        start = time.perf_counter()
        counts = f(draws, given.seed)
        print(f"\n{f.__name__}: {time.perf_counter() - start:.0f} s\n\n{table(counts)}", flush=True)


if __name__ == "__main__":
    main()
