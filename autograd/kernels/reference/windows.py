"""Sliding windows: how many fit, and which elements each place of the window meets.

Sizes, strides, padding and dilation are tuples with one entry per axis: integers, or pairs (before, after) for padding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

CACHED = 1 << 18  # elements of a buffer that stays in the processor's cache
ALL = slice(None)


def span(width: int, dilation: int) -> int:
    """Return how many elements a window of ``width`` places, ``dilation`` apart, reaches over."""
    return dilation * (width - 1) + 1


def count(size: int, width: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """Return how many windows fit: ⌊(size + padding − span) / stride⌋ + 1, less than 1 if none does."""
    return (size + sum(padding) - span(width, dilation)) // stride + 1


def counts(size: Ints, width: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Ints:
    """Return ``count`` along every axis."""
    return tuple(map(count, size, width, stride, padding, dilation))


class Tap(NamedTuple):
    """One place of the window: where it is, the windows in which it meets the input, and the elements that it meets."""

    offset: Ints
    windows: tuple[slice, ...]
    elements: tuple[slice, ...]


@lru_cache(maxsize=4096)
def taps(size: Ints, width: Ints, windows: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> tuple[Tap, ...]:
    """Return the places of the window in row-major order, without those that meet padding only."""
    axes = []
    for n, places, count, step, (before, _), apart in zip(size, width, windows, stride, padding, dilation, strict=True):
        axis = []
        for place in range(places):
            start = place * apart - before  # the element that this place of window 0 meets
            first, last = max(0, -(start // step)), min(count - 1, (n - 1 - start) // step)
            if first <= last:
                met = slice(first * step + start, last * step + start + 1, step)
                axis.append((place, slice(first, last + 1), met))
        axes.append(axis)
    return tuple(Tap(*zip(*combination, strict=True)) for combination in itertools.product(*axes))


def batches(count: int, elements: int) -> Iterator[slice]:
    """Cut ``count`` examples, each of which takes ``elements`` of a buffer, into equal parts that stay in the cache."""
    parts = math.ceil(count / max(1, CACHED // max(1, elements)))
    step = math.ceil(count / max(1, parts))
    return (slice(i, min(i + step, count)) for i in range(0, count, max(1, step)))


def channels_first(x: Any) -> Any:
    """Swap the first two axes: (N, C, …) → (C, N, …)."""
    return x.swapaxes(0, 1)
