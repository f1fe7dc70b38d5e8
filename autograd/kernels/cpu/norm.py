"""Batch norm in two passes over memory: sums of each channel, then every number shifted and scaled; its gradients too.

A residual and the rectifier belong to the last pass; backward, what the rectifier stopped is found again from x, so
that nothing but the inputs is kept. Sums are taken of a few rows, then in float64 and of fixed parts, added in a fixed
order, so that no number of threads changes a result.
Source: Ioffe & Szegedy 2015, algorithm 1, and the gradients in section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..registry import Spec
from . import threads
from .compile import compiled, inlined
from .layout import channels_first, channels_last, distance
from .masks import above, accumulate, choose, fetch, full, not_less, read, write
from .simd import spread

PART, MOST_PARTS = 1 << 17, 16  # numbers that are worth a thread's while; parts that are summed by themselves
ROWS = 4  # rows that are summed before a sum in memory is touched
AHEAD = 1024  # bytes: how far ahead of its use memory is asked for


# --- passes over the pixels, a part of them at a time: a row of a matrix is a pixel -----------------------------------


@compiled
def _moments(x: Any, near: Any, sums: Any, first: int, last: int) -> None:
    """Σ d and Σ d² of each channel, d = x − near, which is so near to the mean that no digits cancel."""
    like, size, channels = x[0, 0], x.itemsize, x.shape[1]
    for part in range(first, last):
        start, stop = part * len(x) // len(sums), (part + 1) * len(x) // len(sums)
        to = sums.ctypes.data + part * 16 * channels
        for i in range(start, stop, ROWS):
            for c in range(0, channels, 64 // size):
                mask = full(channels - c, like)
                nearby, total, squares = read(near.ctypes.data + c * size, mask, like), spread(0, like), spread(0, like)
                for j in range(i, min(i + ROWS, stop)):
                    at = x.ctypes.data + (j * channels + c) * size
                    d = read(at, mask, like) - nearby
                    fetch(at + AHEAD)
                    total = total + d
                    squares = squares + d * d
                accumulate(to + 8 * c, total, mask)
                accumulate(to + 8 * (channels + c), squares, mask)


@inlined
def _value(x: Any, r: int, terms: int, wide: int, added: bool, mask: Any, like: Any) -> Any:
    """(x − mean)·scale + shift, plus r if it is added; what the rectifier sees."""
    value = (x - read(terms, mask, like)) * read(terms + wide, mask, like) + read(terms + 2 * wide, mask, like)
    if added:
        fetch(r + AHEAD)
        value = value + read(r, mask, like)
    return value


@compiled
def _normalise(x: Any, r: Any, out: Any, terms: Any, added: bool, rectified: bool, start: int, stop: int) -> None:
    """(x − mean)·scale + shift, plus r if it is added; of that the positive part if it is rectified."""
    like, size, channels = x[0, 0], x.itemsize, x.shape[1]
    for i in range(start, stop):
        for c in range(0, channels, 64 // size):
            mask, at, term = full(channels - c, like), (i * channels + c) * size, terms.ctypes.data + c * size
            seen = read(x.ctypes.data + at, mask, like)
            fetch(x.ctypes.data + at + AHEAD)
            value = _value(seen, r.ctypes.data + at, term, channels * size, added, mask, like)
            if rectified:
                value = choose(not_less(value, spread(0, like)), value, spread(0, like))
            write(out.ctypes.data + at, value, mask)


@inlined
def _arrived(g: int, x: Any, r: int, terms: int, wide: int, added: bool, rectified: bool, mask: Any, like: Any) -> Any:
    """What the rectifier lets through of a gradient."""
    value = read(g, mask, like)
    fetch(g + AHEAD)
    if rectified:
        passes = above(_value(x, r, terms, wide, added, mask, like), spread(0, like))
        value = choose(passes, value, spread(0, like))
    return value


@compiled
def _products(
    x: Any, g: Any, r: Any, dr: Any, terms: Any, added: bool, rectified: bool, kept: bool, sums: Any, first: int,
    last: int,
) -> None:  # fmt: skip
    """Σ g and Σ g·(x − mean) of each channel, g what arrives; that is put into ``dr`` if it is to be kept."""
    like, size, channels = x[0, 0], x.itemsize, x.shape[1]
    wide = channels * size
    for part in range(first, last):
        start, stop = part * len(x) // len(sums), (part + 1) * len(x) // len(sums)
        to = sums.ctypes.data + part * 16 * channels
        for i in range(start, stop, ROWS):
            for c in range(0, channels, 64 // size):
                mask, term = full(channels - c, like), terms.ctypes.data + c * size
                mean, total, products = read(term, mask, like), spread(0, like), spread(0, like)
                for j in range(i, min(i + ROWS, stop)):
                    at, from_g = (j * channels + c) * size, g.ctypes.data + (j * g.shape[1] + c) * size
                    seen = read(x.ctypes.data + at, mask, like)
                    fetch(x.ctypes.data + at + AHEAD)
                    value = _arrived(from_g, seen, r.ctypes.data + at, term, wide, added, rectified, mask, like)
                    if kept:
                        write(dr.ctypes.data + at, value, mask)
                    total = total + value
                    products = products + value * (seen - mean)
                accumulate(to + 8 * c, total, mask)
                accumulate(to + 8 * (channels + c), products, mask)


@compiled
def _combine(
    x: Any, g: Any, r: Any, out: Any, terms: Any, factors: Any, added: bool, rectified: bool, given: bool, start: int,
    stop: int,
) -> None:  # fmt: skip
    """g·factors[0] + (x − mean)·factors[1] + factors[2], g what arrives; by given statistics g·factors[0]."""
    like, size, channels = x[0, 0], x.itemsize, x.shape[1]
    wide = channels * size
    for i in range(start, stop):
        for c in range(0, channels, 64 // size):
            mask, at, term = full(channels - c, like), (i * channels + c) * size, terms.ctypes.data + c * size
            factor, from_g = factors.ctypes.data + c * size, g.ctypes.data + (i * g.shape[1] + c) * size
            seen = read(x.ctypes.data + at, mask, like)
            fetch(x.ctypes.data + at + AHEAD)
            value = _arrived(from_g, seen, r.ctypes.data + at, term, wide, added, rectified, mask, like)
            value = value * read(factor, mask, like)
            if not given:
                value = value + (seen - read(term, mask, like)) * read(factor + wide, mask, like)
                value = value + read(factor + 2 * wide, mask, like)
            write(out.ctypes.data + at, value, mask)


def _sums(task: Callable[..., None], x: np.ndarray, *rest: Any) -> np.ndarray:
    """Return the two sums for each channel that ``task`` adds up over the rows of x."""
    parts = max(1, min(MOST_PARTS, len(x), x.size // PART))
    sums = np.zeros((parts, 2, x.shape[1]))
    threads.over(parts, parts, lambda *cut: task(x, *rest, sums, *cut))
    return sums.sum(axis=0)  # type: ignore[no-any-return]


# --- images as matrices -----------------------------------------------------------------------------------------------


def _pixels(x: np.ndarray) -> np.ndarray:
    """N C … as a matrix with a row for each pixel."""
    return channels_last(x).reshape(-1, x.shape[1])


def _pixels_apart(x: np.ndarray) -> np.ndarray:
    """The same, or, of some channels of an image, with what lies between the pixels behind the end of each row."""
    if (gap := distance(x)) <= x.shape[1]:
        return _pixels(x)
    return as_strided(x, (x.size // x.shape[1], gap), (gap * x.itemsize, x.itemsize))


def _like(pixels: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The matrix as N C … again, the shape of x."""
    return channels_first(pixels.reshape(x.shape[0], *x.shape[2:], x.shape[1]))


# --- the kernels ------------------------------------------------------------------------------------------------------


def _stacked(first: Any, second: Any, third: Any, x: np.ndarray) -> np.ndarray:
    """Three numbers of each channel as compiled code wants them."""
    stacked = np.empty((3, len(second)), x.dtype)
    stacked[0], stacked[1], stacked[2] = first, second, third
    return stacked


def _normalised(x: np.ndarray, pixels: np.ndarray, residual: Any, terms: np.ndarray, activation: Any) -> np.ndarray:
    out, added = np.empty_like(pixels), residual is not None
    given = pixels, _pixels(residual) if added else pixels, out, terms, added, activation is not None
    threads.over(len(pixels), pixels.size // PART, lambda *cut: _normalise(*given, *cut))
    return _like(out, x)


class _Gradient:
    """What arrives of g at the normalised x: its sums, and what becomes of it."""

    def __init__(self, g: Any, x: Any, residual: Any, terms: np.ndarray, activation: Any, wanted: bool) -> None:
        self.image, self.terms = x, terms
        self.x, self.g = _pixels(x), _pixels_apart(g)
        self.r, self.of_residual = self.x, g if wanted else None
        self.rectified, self.added = activation is not None, residual is not None
        if self.rectified and self.added:
            self.r = _pixels(residual)
        self.kept = np.empty_like(self.x) if self.rectified and wanted else None

    def sums(self, mean: np.ndarray) -> np.ndarray:
        """Σ g and Σ g·(x − mean) of each channel."""
        kept = self.x if self.kept is None else self.kept
        options = self.added, self.rectified, self.kept is not None
        found = _sums(_products, self.x, self.g, self.r, kept, self.terms, *options)
        found[1] += (self.terms[0] - mean) * found[0]  # the mean that was taken off had fewer digits
        if self.kept is not None:
            self.g, self.rectified, self.of_residual = self.kept, False, _like(self.kept, self.image)
        return found

    def combined(self, factors: np.ndarray, given: bool) -> np.ndarray:
        """g·factors[0] + (x − mean)·factors[1] + factors[2]; by given statistics g·factors[0]."""
        out = np.empty_like(self.x)
        arrays, options = (self.x, self.g, self.r, out, self.terms, factors), (self.added, self.rectified, given)
        threads.over(len(out), out.size // PART, lambda *cut: _combine(*arrays, *options, *cut))
        return _like(out, self.image)


class BatchNorm:
    """By given statistics: one pass; two for the gradients."""

    def forward(
        self, x: Any, w: Any, b: Any, mean: Any, var: Any, residual: Any, eps: float, activation: Any
    ) -> tuple[Any, Any]:
        inverse = 1 / np.sqrt(var.astype(np.float64) + eps)
        return _normalised(x, _pixels(x), residual, _stacked(mean, w * inverse, b, x), activation), inverse

    def backward(
        self, g: Any, wanted: Sequence[bool], inputs: Any, inverse: Any, eps: float, activation: Any
    ) -> list[Any]:
        x, w, b, mean, _, residual = inputs
        scale = w * inverse
        arrived = _Gradient(g, x, residual, _stacked(mean, scale, b, x), activation, wanted[-1])
        db, dw = arrived.sums(mean)
        dw *= inverse
        dx = arrived.combined(_stacked(scale, scale, scale, x), True) if wanted[0] else None
        vectors = (dw, db, -scale * db, -0.5 * scale * inverse * dw)
        return [dx, *[d.astype(x.dtype) for d in vectors], arrived.of_residual]


class BatchNormTraining:
    """By the statistics of the batch itself: two passes, and two for the gradients."""

    def forward(self, x: Any, w: Any, b: Any, residual: Any, eps: float, activation: Any) -> tuple[Any, Any]:
        pixels, near = _pixels(x), x[(0, slice(None), *(0,) * (x.ndim - 2))].copy()
        shift, squares = _sums(_moments, pixels, near) / len(pixels)
        mean, var = near + shift, np.maximum(squares - shift * shift, 0)
        inverse = 1 / np.sqrt(var + eps)
        out = _normalised(x, pixels, residual, _stacked(mean, w * inverse, b, x), activation)
        return (out, mean.astype(x.dtype), var.astype(x.dtype)), (mean, inverse)

    def backward(
        self, g: Any, wanted: Sequence[bool], inputs: Any, residuals: Any, eps: float, activation: Any
    ) -> list[Any]:
        (g, dmean, dvar), (x, w, b, residual), (mean, inverse) = g, inputs, residuals
        scale, share = w * inverse, len(w) / x.size
        arrived = _Gradient(g, x, residual, _stacked(mean, scale, b, x), activation, wanted[-1])
        db, dw = arrived.sums(mean)
        dw *= inverse
        factors = _stacked(scale, (2 * dvar - scale * inverse * dw) * share, (dmean - scale * db) * share, x)
        dx = arrived.combined(factors, False) if wanted[0] else None
        return [dx, dw.astype(x.dtype), db.astype(x.dtype), arrived.of_residual]


def _offer(kernel: Any) -> Callable[[Spec], Any]:
    """A plan that offers ``kernel`` where all inputs have one floating type that compiled code knows."""

    def plan(spec: Spec) -> Any:
        alike = {np.dtype(d) for d in spec.dtypes if d is not None} in ({np.dtype("f4")}, {np.dtype("f8")})
        dense = spec.shapes[-1] in (None, spec.shapes[0])  # a residual that broadcasts is left to the definition
        return kernel if alike and dense and spec.params["activation"] in (None, "relu") else None

    return plan


plans = {"batch_norm": _offer(BatchNorm()), "batch_norm_training": _offer(BatchNormTraining())}
