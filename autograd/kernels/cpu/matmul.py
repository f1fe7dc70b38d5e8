"""Matrix products cut into parts, one for each thread, and the affine map made of them.

A part is some terms, rows or columns of the product, and goes through ``panels``; few rows times a large matrix through
``dots``. What is small, or no more than vectors, NumPy multiplies. Transposed operands are read where they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np

from ..registry import Spec
from . import blas, memory, panels, threads
from .dots import dots
from .tail import Tail, finished, nothing
from .tiles import columns_of

LARGE = 1 << 18  # multiply-adds above which OpenBLAS would start threads of its own
WORTH = 1 << 20  # multiply-adds from which columns are packed …
THIN = 4  # … for so many rows and columns at least
SEVERAL = 1 << 24  # multiply-adds that are worth several threads: 200 µs of one
PACK, READ, ADD = 15, 0.5, 16  # cycles: to pack a term of a block, read a number of a row, add a block of a partial sum
FEW = 24  # rows up to which linear takes dot products, for large matrices
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

Matrix = np.ndarray


def product(a: Matrix, b: Matrix, bias: Any = None, tail: Tail | None = None) -> Matrix:
    """Return a · b of two matrices, plus a bias for each column, and a tail."""
    (m, k), n, width = a.shape, b.shape[1], columns_of(a.dtype)
    if m * n * k < WORTH or min(m, n) < THIN:
        with blas.alone():
            out: Matrix = np.matmul(a, b)
        if bias is not None:
            out += bias
        return finished(out, tail) if tail else out
    a, b = _readable(a), _readable(b)
    added = np.zeros((3, n + width), a.dtype)  # to the first terms, and twice nothing
    if bias is not None:
        added[0, :n] = bias
    limits = _cuts(m, n, k, threads.get_num_threads() if m * n * k > SEVERAL else 1, width)
    whole = limits[0][:2] == (0, k)  # else every part is a sum over some terms
    sums = np.empty((1 if whole else len(limits), m, n), a.dtype)
    operands = (a.ctypes.data, *a.strides, b.ctypes.data, *b.strides)
    now = tail if tail and whole else nothing(a.dtype)

    def task(part: int) -> None:
        work = memory.space("panels", (panels.WORK // a.itemsize,), a.dtype)
        bias = added[int(part > 0 and not whole) :]
        panels.multiply(sums[0 if whole else part], bias, now, work, *operands, *limits[part])

    threads.run(task, len(limits))
    if whole:
        return sums[0]  # type: ignore[no-any-return]
    total: Matrix = np.add.reduce(sums)
    return finished(total, tail) if tail else total


@lru_cache(maxsize=4096)
def _cuts(m: int, n: int, k: int, parts: int, width: int) -> tuple[tuple[int, ...], ...]:
    """Cut the terms, the rows or the columns, whichever costs least; each part: terms, rows, columns from … to."""
    blocks = ceil(n / width)
    cost = lambda k, m, blocks: k * (blocks * (m + PACK) + READ * m)  # noqa: E731
    by_terms = cost(ceil(k / parts), m, blocks) + ADD * parts * m * blocks
    by_rows, by_columns = cost(k, ceil(m / parts), blocks), cost(k, m, ceil(blocks / parts))
    ways = {
        by_terms: [(c.start, c.stop, 0, m, 0, n) for c in threads.slices(k, parts)],
        by_columns: [(0, k, 0, m, c.start * width, min(c.stop * width, n)) for c in threads.slices(blocks, parts)],
        by_rows: [(0, k, c.start, c.stop, 0, n) for c in threads.slices(m, parts)],
    }
    return tuple(ways[min(ways)])


def _readable(x: Matrix) -> Matrix:
    """A matrix whose rows or columns lie side by side."""
    return x if x.flags.aligned and (x.flags.c_contiguous or x.flags.f_contiguous) else np.ascontiguousarray(x)


def _is_float(spec: Spec) -> bool:
    known = {d for d in spec.dtypes if d is not None}
    return len(known) == 1 and known <= set(FLOATS)


def _matmul(spec: Spec) -> Callable[..., Any] | None:
    x, y = spec.shapes
    assert x is not None and y is not None
    flat = len(y) == 2 and (len(x) == 2)
    return product if flat and _is_float(spec) and x[0] * x[1] * y[1] > LARGE else None


class Linear:
    """x · wᵀ + b in one node: the bias is added to each part while it is in the cache."""

    def forward(self, x: Any, w: Any, b: Any) -> tuple[Any, None]:
        """Return the affine map."""
        rows = x.reshape(-1, x.shape[-1])
        out = dots(rows, w, b) if len(rows) <= FEW and w.size > LARGE else product(rows, w.T, b)
        return out.reshape(*x.shape[:-1], len(w)), None

    def backward(self, g: Any, wanted: Sequence[bool], inputs: Any, _: None) -> tuple[Any, ...]:
        """Return the gradients of x, w and b."""
        x, w, _b = inputs
        rows = g.reshape(-1, g.shape[-1])
        return (
            product(rows, w).reshape(x.shape) if wanted[0] else None,
            product(rows.T, x.reshape(-1, x.shape[-1])) if wanted[1] else None,
            rows.sum(axis=0) if wanted[2] else None,
        )


def _linear(spec: Spec) -> Linear | None:
    return Linear() if _is_float(spec) else None


plans = {"matmul": _matmul, "linear": _linear}
