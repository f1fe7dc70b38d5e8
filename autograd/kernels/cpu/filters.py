"""Filters in the order in which direct convolution reads them, and back.

A tile takes its columns from one block of memory: for every group, block of columns and place of the filters a matrix
of terms × columns; columns that fill up the last block are never stored.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..reference.windows import Ints
from . import threads
from .compile import compiled, nested
from .masks import _read, full
from .simd import Vector

LINE = 64
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


@nested
def at_(x: Any) -> Any:
    """The address, as a signed number: Numba would turn a sum of both kinds into a float."""
    return np.int64(x.ctypes.data)


@intrinsic
def transpose(typing: Any, address: Any, step: Any, last: Any, mask: Any, to: Any, offsets: Any, like: Any) -> Any:
    """Turn a square of numbers: vectors ``step`` bytes apart, under a mask; each goes to an offset from a table.

    Behind ``last`` none is read. Offsets are followed from the last to the first, so that one may stand for many.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(Vector(like))
        at, step, last, mask, to, offsets, _ = args
        count, rows = kind.count, []
        for _ in range(count):
            rows.append(_read(context, builder, at, kind, mask))
            ahead = builder.add(at, step)
            at = builder.select(builder.icmp_signed(">", ahead, last), last, ahead)
        order = [lane // 2 + lane % 2 * count for lane in range(2 * count)]  # two vectors, lane by lane
        halves = [ir.Constant(ir.VectorType(ir.IntType(32), count), part) for part in (order[:count], order[count:])]
        for _ in range(count.bit_length() - 1):  # each round turns the index (row, lane) by one bit
            pairs = zip(rows[: count // 2], rows[count // 2 :], strict=True)
            rows = [builder.shuffle_vector(a, b, half) for a, b in pairs for half in halves]
        for i, row in reversed(list(enumerate(rows))):
            place = builder.inttoptr(builder.add(offsets, to.type(8 * i)), to.type.as_pointer())
            there = builder.add(to, builder.load(place))
            builder.store(row, builder.inttoptr(there, kind.as_pointer())).align = like.bitwidth // 8
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, mask, types.int64, types.int64, like), generate


@compiled
def pack(
    w: Any, groups: int, places: int, terms: int, columns: int, term: int, column: int, packed: Any, part: int,
    parts: int,
) -> None:  # fmt: skip
    """Write filters as ``contract`` reads them: groups, blocks of columns, places, terms, columns of a block."""
    blocks, block, size, zero = packed.shape[1], packed.shape[4], w.itemsize, w.dtype.type(0)
    lanes, several = LINE // size, terms if term > column else 1
    side_by_side = terms // several * places  # numbers of a column
    offsets = np.empty(side_by_side + lanes, np.int64)
    for i in range(len(offsets)):
        at = min(i, side_by_side - 1)
        offsets[i] = (at % places * terms + at // places) * block * size
    for g in range(groups):
        for b in range(part * blocks // parts, (part + 1) * blocks // parts):
            for first in range(b * block, min((b + 1) * block, columns), lanes):
                to = at_(packed[g, b]) + (first - b * block) * size
                for t in range(several):
                    start = g * (w.size // groups) + t * term
                    for i in range(0, side_by_side, lanes):
                        transpose(
                            at_(w) + (start + first * column + i) * size, column * size,
                            at_(w) + (start + (columns - 1) * column + i) * size, full(side_by_side - i, zero),
                            to + t * block * size, at_(offsets) + 8 * i, zero,
                        )  # fmt: skip


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
