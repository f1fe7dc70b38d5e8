"""Filters in the order in which direct convolution reads them, and back.

A tile takes its columns from one block of memory: for every group, block of columns and place of the filters a matrix
of terms × columns; columns that fill up the last block are never stored.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, NamedTuple

import numba
import numpy as np

from ..reference.windows import Ints
from . import threads
from .compile import OPTIONS, compiled
from .simd import gather, store

ALONE = 1 << 24  # multiply-adds, those of unused lanes too, that one thread does sooner than several


class Filters(NamedTuple):
    """Filters as a matrix for every group and place: over its terms is summed, each column becomes a channel."""

    flat: np.ndarray
    groups: int
    places: int
    terms: int
    columns: int
    term: int  # the distance from term to term
    column: int


def worth(multiply_adds: int) -> int:
    """Return how many threads so many multiply-adds are worth."""
    return 1 if multiply_adds < ALONE else threads.get_num_threads()


def run(task: Callable[[int], None], parts: int, count: int) -> None:
    """Do the parts, on several threads if the work is worth them."""
    if count > 1:
        threads.run(task, parts)
    else:
        for part in range(parts):
            task(part)


@numba.njit(**OPTIONS)
def at_(x: Any) -> Any:
    """The address, as a signed number: Numba would turn a sum of both kinds into a float."""
    return np.int64(x.ctypes.data)


@compiled
def pack(
    w: Any, groups: int, places: int, terms: int, columns: int, term: int, column: int, packed: Any, part: int,
    parts: int,
) -> None:  # fmt: skip
    """Write filters as ``contract`` reads them: groups, blocks of columns, places, terms, columns of a block."""
    blocks, block, size = packed.shape[1], packed.shape[4], w.itemsize
    begin, end, zero = part * blocks // parts, (part + 1) * blocks // parts, w.dtype.type(0)
    panel, plane, near = places * terms * block, terms * block, max(1, 128 // places)
    length = near * places | 1  # odd: rows of a power of two would share a place in the cache
    rows = np.zeros(block * length, w.dtype)
    for g in range(groups):
        source, target = g * (w.size // groups), g * blocks * panel
        for b in range(begin, end):
            wide = min(block, columns - b * block)
            for first in range(0, terms, near):  # terms at a time, so that both sides stay in the cache
                count = min(near, terms - first)
                if term <= column:
                    for j in range(wide):
                        at = source + (b * block + j) * column + first * term
                        for i in range(count * places):
                            rows[j * length + i] = w[at + i]
                for t in range(count):
                    for r in range(places):
                        to = at_(packed) + (target + b * panel + r * plane + (first + t) * block) * size
                        at, step = at_(rows) + (t * places + r) * size, length * size
                        if term > column:
                            given = source + (first + t) * term + b * block * column + r
                            at, step = at_(w) + given * size, column * size
                            if wide < block:
                                for j in range(wide):
                                    rows[j] = w[given + j * column]
                                at, step = at_(rows), size
                        for v in range(0, block * size, 64):
                            store(to + v, gather(at + v // size * step, step, zero))


def unpacked(sums: np.ndarray, k: int, c: int, width: Ints, count: int) -> np.ndarray:
    """Add partial sums (parts, groups, places · C, K) up, in order, and return them as filters."""
    out = np.empty((k, c, *width), sums.dtype)
    flat, parts = out.reshape(sums.shape[1], sums.shape[3], c, -1), ceil(sums.shape[3] / 32)
    run(lambda part: _unpack(sums, flat, part), parts, count)
    return out


@compiled
def _unpack(sums: Any, out: Any, part: int) -> None:
    parts, groups, _, filters = sums.shape
    _, _, channels, places = out.shape
    for g in range(groups):
        for first in range(part * 32, min(part * 32 + 32, filters), 16):
            last = min(first + 16, filters)
            for c in range(channels):
                for r in range(places):
                    for k in range(first, last):
                        total = sums[0, g, r * channels + c, k]
                        for i in range(1, parts):
                            total += sums[i, g, r * channels + c, k]
                        out[g, k, c, r] = total
