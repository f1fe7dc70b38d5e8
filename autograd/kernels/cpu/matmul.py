"""Matrix products cut into parts, a thread of the BLAS for each, and the affine map made of them.

The BLAS starts threads of its own for large products, which then fight with the pool's; here the larger side of the
result is cut instead. Transposed operands are read where they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..registry import Spec
from . import threads
from .compile import behaved, compiled

LARGE = 1 << 18  # multiply-adds above which OpenBLAS would start threads of its own
SEVERAL = 1 << 24  # multiply-adds that are worth several threads: 200 µs of one
FEW = 8  # rows of x that are multiplied, by dot products, with a matrix read once and as it lies in memory
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

Matrix = np.ndarray


def product(a: Matrix, b: Matrix, bias: Any = None) -> Matrix:
    """Return a · b of two matrices, plus a bias for each column."""
    a, b = _readable(a), _readable(b)
    (m, k), n = a.shape, b.shape[1]
    out = np.empty((m, n), a.dtype)
    parts = threads.get_num_threads() if m * n * k > SEVERAL else 1
    cuts = tuple(threads.slices(max(m, n), parts))

    def task(part: int) -> None:
        rows, columns = (cuts[part], slice(None)) if m > n else (slice(None), cuts[part])
        own = out[rows, columns]
        np.matmul(a[rows], b[:, columns], out=own)
        if bias is not None:
            own += bias[columns]

    threads.run(task, parts)
    return out


def dots(x: Matrix, w: Matrix, bias: Any) -> Matrix:
    """Return x · wᵀ plus a bias for each column, where x has few rows: w is read once, in its order."""
    x, w, (m, k), n = behaved(x), behaved(w), x.shape, len(w)
    out = np.empty((m, n), x.dtype)
    parts = threads.get_num_threads() if m * n * k > SEVERAL // 8 else 1
    threads.run(lambda part: _dots(x, w, out, part * n // parts, (part + 1) * n // parts), parts)
    if bias is not None:
        out += bias
    return out


@compiled
def _dots(x: Any, w: Any, out: Any, first: int, last: int) -> None:
    """Columns ``first`` … ``last`` − 1 of x · wᵀ, four by four."""
    m, terms = x.shape
    for top in range(0, m, 4):
        a, b, c, d = top, min(top + 1, m - 1), min(top + 2, m - 1), min(top + 3, m - 1)
        for j in range(first, last, 2):
            i = min(j + 1, last - 1)
            aj = bj = cj = dj = ai = bi = ci = di = x.dtype.type(0)
            for t in range(terms):
                wj, wi, xa, xb, xc, xd = w[j, t], w[i, t], x[a, t], x[b, t], x[c, t], x[d, t]
                aj, bj, cj, dj = aj + xa * wj, bj + xb * wj, cj + xc * wj, dj + xd * wj
                ai, bi, ci, di = ai + xa * wi, bi + xb * wi, ci + xc * wi, di + xd * wi
            out[a, j], out[b, j], out[c, j], out[d, j] = aj, bj, cj, dj
            out[a, i], out[b, i], out[c, i], out[d, i] = ai, bi, ci, di


def _readable(x: Matrix) -> Matrix:
    """A matrix that the BLAS can read, in either order."""
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
