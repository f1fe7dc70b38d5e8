"""Batch norm in two passes over memory: sums of each channel, then every number shifted and scaled; its gradients too.

Sums are taken in float64 and of fixed parts, added in a fixed order, so that no number of threads changes a result.
Source: Ioffe & Szegedy 2015, algorithm 1, and the gradients in section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..registry import Spec
from .compile import compiled
from .layout import channels_first, channels_last
from .threads import get_num_threads, run, slices

PART, MOST_PARTS = 1 << 17, 16  # numbers that are worth a thread's while; parts that are summed by themselves
WIDTH = 512  # columns that a row should have, so that loops along it are long
ROWS = 4  # rows that are summed before a sum in memory is touched


# --- passes over a matrix, a part of its rows at a time ---------------------------------------------------------------


@compiled
def _moments(x: Any, near: Any, sums: Any, first: int, last: int) -> None:
    """Σ d and Σ d² of each column, d = x − near, which is so near to the mean that no digits cancel."""
    for part in range(first, last):
        start, stop = part * len(x) // len(sums), (part + 1) * len(x) // len(sums)
        most = start + (stop - start) // ROWS * ROWS
        for i in range(start, most, ROWS):
            for c in range(x.shape[1]):
                total = squares = 0.0
                for j in range(ROWS):
                    d = np.float64(x[i + j, c]) - near[c]
                    total += d
                    squares += d * d
                sums[part, 0, c] += total
                sums[part, 1, c] += squares
        for i in range(most, stop):
            for c in range(x.shape[1]):
                d = np.float64(x[i, c]) - near[c]
                sums[part, 0, c] += d
                sums[part, 1, c] += d * d


@compiled
def _products(x: Any, g: Any, mean: Any, sums: Any, first: int, last: int) -> None:
    """Σ g and Σ g·(x − mean) of each column."""
    for part in range(first, last):
        start, stop = part * len(x) // len(sums), (part + 1) * len(x) // len(sums)
        most = start + (stop - start) // ROWS * ROWS
        for i in range(start, most, ROWS):
            for c in range(x.shape[1]):
                total = products = 0.0
                for j in range(ROWS):
                    d = np.float64(g[i + j, c])
                    total += d
                    products += d * (np.float64(x[i + j, c]) - mean[c])
                sums[part, 0, c] += total
                sums[part, 1, c] += products
        for i in range(most, stop):
            for c in range(x.shape[1]):
                d = np.float64(g[i, c])
                sums[part, 0, c] += d
                sums[part, 1, c] += d * (np.float64(x[i, c]) - mean[c])


@compiled
def _scaled(x: Any, out: Any, mean: Any, scale: Any, b: Any, start: int, stop: int) -> None:
    """(x − mean)·scale + b."""
    for i in range(start, stop):
        for c in range(x.shape[1]):
            out[i, c] = (x[i, c] - mean[c]) * scale[c] + b[c]


@compiled
def _combined(x: Any, g: Any, out: Any, mean: Any, of_x: Any, of_g: Any, b: Any, start: int, stop: int) -> None:
    """(x − mean)·of_x + g·of_g + b."""
    for i in range(start, stop):
        for c in range(x.shape[1]):
            out[i, c] = (x[i, c] - mean[c]) * of_x[c] + g[i, c] * of_g[c] + b[c]


def _on_threads(task: Callable[..., None], x: np.ndarray, *rest: Any, count: int) -> None:
    """Call ``task(x, …, first, last)`` so that together the calls cover 0 … count."""
    threads = min(get_num_threads(), count, x.size // PART)
    if threads < 2:
        task(x, *rest, 0, count)
    else:
        shares = list(slices(count, threads))
        run(lambda i: task(x, *rest, shares[i].start, shares[i].stop), threads)


def _sums(task: Callable[..., None], x: np.ndarray, *rest: Any, channels: int) -> np.ndarray:
    """Return the two sums for each channel that ``task`` adds up over the rows of x."""
    parts = max(1, min(MOST_PARTS, len(x), x.size // PART))
    sums = np.zeros((parts, 2, x.shape[1]))
    _on_threads(task, x, *rest, sums, count=parts)
    return sums.sum(axis=0).reshape(2, -1, channels).sum(axis=1)  # type: ignore[no-any-return]


# --- images as matrices -----------------------------------------------------------------------------------------------


@cache
def _repeats(places: int, channels: int) -> int:
    """How many places go into one row: they must go into it evenly."""
    return max(n for n in range(1, max(2, WIDTH // channels + 1)) if places % n == 0)


def _rows(x: np.ndarray) -> np.ndarray:
    """N C … as a matrix, whose columns are the channels, over and over again."""
    channels = x.shape[1]
    return channels_last(x).reshape(-1, channels * _repeats(x.size // channels, channels))


def _like(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The matrix as N C … again, the shape of x."""
    return channels_first(rows.reshape(x.shape[0], *x.shape[2:], x.shape[1]))


def _columns(values: np.ndarray, rows: np.ndarray, dtype: Any) -> np.ndarray:
    """A number for each channel as one for each column."""
    columns = np.empty((rows.shape[1] // len(values), len(values)), dtype)
    columns[...] = values
    return columns.reshape(-1)


def _normalised(x: np.ndarray, rows: np.ndarray, w: Any, b: Any, mean: Any, inverse: Any) -> np.ndarray:
    out = np.empty_like(rows)
    _on_threads(_scaled, rows, out, *[_columns(v, rows, x.dtype) for v in (mean, w * inverse, b)], count=len(rows))
    return _like(out, x)


# --- the kernels ------------------------------------------------------------------------------------------------------


class BatchNorm:
    """By given statistics: one pass; two for the gradients."""

    def forward(self, x: Any, w: Any, b: Any, mean: Any, var: Any, eps: float) -> tuple[Any, Any]:
        inverse = 1 / np.sqrt(var.astype(np.float64) + eps)
        return _normalised(x, _rows(x), w, b, mean, inverse), inverse

    def backward(self, g: Any, wanted: Sequence[bool], inputs: Any, inverse: Any, eps: float) -> list[Any]:
        x, w, _, mean, _ = inputs
        rows, grows, dx = _rows(x), _rows(g), None
        db, dw = _sums(_products, rows, grows, _columns(mean, rows, np.float64), channels=len(w))
        dw *= inverse
        scale = w * inverse
        if wanted[0]:
            dx = np.empty_like(rows)
            terms = (0 * scale, scale, 0 * scale)
            _on_threads(_scaled, grows, dx, *[_columns(v, rows, x.dtype) for v in terms], count=len(rows))
            dx = _like(dx, x)
        return [dx, *[d.astype(x.dtype) for d in (dw, db, -scale * db, -0.5 * scale * inverse * dw)]]


class BatchNormTraining:
    """By the statistics of the batch itself: two passes, and two for the gradients."""

    def forward(self, x: Any, w: Any, b: Any, eps: float) -> tuple[Any, Any]:
        rows, first = _rows(x), x[(0, slice(None), *(0,) * (x.ndim - 2))].astype(np.float64)
        shift, squares = _sums(_moments, rows, _columns(first, rows, np.float64), channels=len(w)) * (len(w) / x.size)
        mean, var = first + shift, np.maximum(squares - shift * shift, 0)
        inverse = 1 / np.sqrt(var + eps)
        out = _normalised(x, rows, w, b, mean, inverse)
        return (out, mean.astype(x.dtype), var.astype(x.dtype)), (mean, inverse)

    def backward(self, g: Any, wanted: Sequence[bool], inputs: Any, residuals: Any, eps: float) -> list[Any]:
        (g, dmean, dvar), (x, w, _), (mean, inverse) = g, inputs, residuals
        rows, grows, dx = _rows(x), _rows(g), None
        db, dw = _sums(_products, rows, grows, _columns(mean, rows, np.float64), channels=len(w))
        dw *= inverse
        if wanted[0]:
            scale, share = w * inverse, len(w) / x.size
            terms = (mean, (2 * dvar - scale * inverse * dw) * share, scale, (dmean - scale * db) * share)
            dx = np.empty_like(rows)
            _on_threads(_combined, rows, grows, dx, *[_columns(v, rows, x.dtype) for v in terms], count=len(rows))
            dx = _like(dx, x)
        return [dx, dw.astype(x.dtype), db.astype(x.dtype)]


def _offer(kernel: Any) -> Callable[[Spec], Any]:
    """A plan that offers ``kernel`` where all inputs have one floating type that compiled code knows."""
    return lambda spec: kernel if set(map(np.dtype, spec.dtypes)) in ({np.dtype("f4")}, {np.dtype("f8")}) else None


plans = {"batch_norm": _offer(BatchNorm()), "batch_norm_training": _offer(BatchNormTraining())}
