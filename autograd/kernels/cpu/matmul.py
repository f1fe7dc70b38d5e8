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

LARGE = (
    1 << 18
)  # multiply-adds above which OpenBLAS takes several threads (its GEMM_MULTITHREAD_THRESHOLD, 4, times 2¹⁶)
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

Matrix = np.ndarray


def product(a: Matrix, b: Matrix, bias: Any = None) -> Matrix:
    """Return a · b of two matrices, plus a bias for each column."""
    a, b = _readable(a), _readable(b)
    (m, k), n = a.shape, b.shape[1]
    out = np.empty((m, n), a.dtype)
    parts = threads.get_num_threads() if m * n * k > LARGE else 1
    cuts = tuple(threads.slices(max(m, n), parts))

    def task(part: int) -> None:
        rows, columns = (cuts[part], slice(None)) if m > n else (slice(None), cuts[part])
        own = out[rows, columns]
        np.matmul(a[rows], b[:, columns], out=own)
        if bias is not None:
            own += bias[columns]

    if parts > 1:
        threads.run(task, parts)
    else:
        task(0)
    return out


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
        return product(x.reshape(-1, x.shape[-1]), w.T, b).reshape(*x.shape[:-1], len(w)), None

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
