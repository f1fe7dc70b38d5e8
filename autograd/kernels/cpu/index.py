"""Rows of a table: the gradient of an embedding, each row the sum over its uses, in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..registry import Spec
from .compile import behaved, compiled


@compiled
def _add_rows(y: Any, indices: Any, out: Any) -> None:
    for i in range(len(indices)):
        row, given = out[indices[i]], y[i]  # counted from the end if negative
        for d in range(len(row)):
            row[d] += given[d]


def _plan(spec: Spec) -> Callable[..., Any] | None:
    if spec.dtypes[0] not in (np.float32, np.float64) or spec.dtypes[1].kind not in "iu":
        return None

    def embedding_dw(y: np.ndarray, indices: np.ndarray, rows: int) -> np.ndarray:
        out = np.zeros((rows, y.shape[1]), y.dtype)
        places = behaved(indices.astype(np.int64, copy=False))
        if places.min() < -rows or places.max() >= rows:
            raise IndexError(f"indices run from {places.min()} to {places.max()} but there are {rows} rows")
        _add_rows(behaved(y), places, out)
        return out

    return embedding_dw


plans: dict[str, Callable[[Spec], Callable[..., Any] | None]] = {"embedding_dw": _plan}
