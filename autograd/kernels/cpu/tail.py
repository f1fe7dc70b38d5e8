"""What follows a product's sums, done to them while they are in the cache: scale, shift, residual, rectifier.

A tail is a tuple: the factor and the summand of each column, 2 × (columns and room for a vector); a matrix that is
added, of the result's rows and columns; whether it is; whether negative sums become 0. No columns: no tail.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import threads
from .compile import compiled, inlined, nested
from .filters import at_
from .masks import choose, fetch, full, not_less, read, write
from .simd import lanes, spread

PART = 1 << 17  # numbers that are worth a thread's while
AHEAD = 1024  # bytes: how far ahead of its use memory is asked for

Tail = tuple[np.ndarray, np.ndarray, bool, bool]


def tail_of(
    columns: int, dtype: Any, scale: Any = None, shift: Any = None, residual: Any = None, rectified: bool = False
) -> Tail:
    """Return the tail of a result with so many columns."""
    terms = np.zeros((2, columns + lanes(np.dtype(dtype).itemsize)), dtype)
    terms[0, :columns] = 1 if scale is None else scale
    if shift is not None:
        terms[1, :columns] = shift
    added = residual is not None
    return terms, residual.reshape(-1, columns) if added else np.empty((0, columns), dtype), added, rectified


@cache
def nothing(dtype: Any) -> Tail:
    """No tail."""
    return np.empty((2, 0), dtype), np.empty((0, 0), dtype), False, False


@inlined
def positive(value: Any, like: Any) -> Any:
    """The value where it is not negative, NaN where it is that, 0 elsewhere."""
    return choose(not_less(value, spread(0, like)), value, spread(0, like))


@nested
def finish(out: Any, tail: Any, first: int, last: int, begin: int, end: int) -> None:
    """Put the tail to the rows ``first`` … ``last`` − 1, columns ``begin`` … ``end`` − 1 of out, taken for a matrix."""
    terms, residual, added, rectified = tail
    like, size, columns = out.dtype.type(0), out.itemsize, residual.shape[1]
    for i in range(first, last):
        for c in range(begin, end, 64 // size):
            mask, at = full(end - c, like), (i * columns + c) * size
            factor, summand = read(at_(terms[0]) + c * size, mask, like), read(at_(terms[1]) + c * size, mask, like)
            value = read(at_(out) + at, mask, like) * factor + summand
            if added:
                fetch(at_(residual) + at + AHEAD)
                value = value + read(at_(residual) + at, mask, like)
            if rectified:
                value = positive(value, like)
            write(at_(out) + at, value, mask)


@compiled
def _finish(out: Any, tail: Any, first: int, last: int) -> None:
    finish(out, tail, first, last, 0, out.shape[1])


def finished(out: np.ndarray, tail: Tail) -> np.ndarray:
    """Return a result to whose every pixel, … K, its tail was put, in one pass over memory."""
    matrix = out.reshape(-1, out.shape[-1])
    threads.over(len(matrix), matrix.size // PART, lambda *cut: _finish(matrix, tail, *cut))
    return matrix.reshape(out.shape)
