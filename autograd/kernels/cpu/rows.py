"""Softmax, log-softmax and layer norm: each row by itself, in one pass over memory, since a row stays in the cache.

Backward: softmax y·(g − Σ g·y); log-softmax g − e^y·Σ g; layer norm (g·w − mean(g·w) − x̂·mean(g·w·x̂)) / σ, where
x̂ = (x − mean) / σ (Ba et al. 2016). Sums of layer norm are taken in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..registry import Spec
from . import threads
from .compile import behaved, compiled
from .functions import exp

# Loops that add up store nothing, so that the order of a sum cannot depend on where results lie in memory.

PART = 1 << 16  # numbers that are worth a thread's while
LANES = 16  # maxima that are taken at the same time


@compiled
def _softmax(x: Any, out: Any, logarithm: bool, first: int, last: int) -> None:
    """eˣ / Σ eˣ of each row, or its logarithm."""
    width = x.shape[1]
    lanes = np.empty(LANES, x.dtype)
    most = width // LANES * LANES
    for i in range(first, last):
        row, made = x[i], out[i]
        lanes[:] = row[0]  # NaN here stays; one elsewhere comes into the sum
        for c in range(0, most, LANES):
            for k in range(LANES):
                lanes[k] = row[c + k] if row[c + k] > lanes[k] else lanes[k]
        top = lanes[0]
        for k in range(1, LANES):
            top = lanes[k] if lanes[k] > top else top
        for c in range(most, width):
            top = row[c] if row[c] > top else top
        top = top if np.isfinite(top) else x.dtype.type(0)  # as the definition has it
        total = x.dtype.type(0)
        if logarithm:
            for c in range(width):
                total += exp(row[c] - top)
            total = np.log(total)
            for c in range(width):
                made[c] = row[c] - top - total
        else:
            for c in range(width):
                made[c] = exp(row[c] - top)
            for c in range(width):
                total += made[c]
            total = x.dtype.type(1) / total
            for c in range(width):
                made[c] *= total


@compiled
def _softmax_dx(g: Any, y: Any, dx: Any, logarithm: bool, first: int, last: int) -> None:
    for i in range(first, last):
        gi, yi, made = g[i], y[i], dx[i]
        total = g.dtype.type(0)
        if logarithm:
            for c in range(g.shape[1]):
                total += gi[c]
            for c in range(g.shape[1]):
                made[c] = gi[c] - exp(yi[c]) * total
        else:
            for c in range(g.shape[1]):
                total += gi[c] * yi[c]
            for c in range(g.shape[1]):
                made[c] = yi[c] * (gi[c] - total)


@compiled
def _normed(x: Any, w: Any, b: Any, out: Any, means: Any, inverses: Any, eps: float, first: int, last: int) -> None:
    width = x.shape[1]
    kind = x.dtype.type
    for i in range(first, last):
        row, made = x[i], out[i]
        total = squares = 0.0
        for c in range(width):
            total += np.float64(row[c])
        mean = total / width
        for c in range(width):
            d = np.float64(row[c]) - mean
            squares += d * d
        means[i], inverses[i] = mean, 1 / np.sqrt(squares / width + eps)
        near, scale = kind(mean), kind(inverses[i])
        for c in range(width):
            made[c] = (row[c] - near) * scale * w[c] + b[c]


@compiled
def _normed_dx(
    g: Any, x: Any, w: Any, means: Any, inverses: Any, dx: Any, dw: Any, db: Any, first: int, last: int
) -> None:
    """dx of some rows; what they add to dw and db."""
    width = x.shape[1]
    kind = x.dtype.type
    dw[:] = 0
    db[:] = 0
    for i in range(first, last):
        row, gi, made = x[i], g[i], dx[i]
        near, scale = kind(means[i]), kind(inverses[i])
        total = products = 0.0
        for c in range(width):
            total += np.float64(gi[c] * w[c])
            products += np.float64(gi[c] * w[c] * ((row[c] - near) * scale))
        mean, slope = kind(total / width), kind(products / width)
        for c in range(width):
            d = (row[c] - near) * scale
            made[c] = (gi[c] * w[c] - mean - d * slope) * scale
            dw[c] += np.float64(gi[c] * d)
            db[c] += np.float64(gi[c])


class Softmax:
    """Along the last axis; the result is kept."""

    def __init__(self, logarithm: bool) -> None:
        self.logarithm = logarithm

    def forward(self, x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        rows, out = behaved(x).reshape(-1, x.shape[-1]), np.empty(x.shape, x.dtype)
        given = rows, out.reshape(rows.shape), self.logarithm
        threads.over(len(rows), x.size // PART, lambda *cut: _softmax(*given, *cut))
        return out, out

    def backward(self, g: Any, wanted: Sequence[bool], inputs: Any, out: np.ndarray, axis: int) -> list[Any]:
        dx, shape = np.empty(out.shape, out.dtype), (-1, out.shape[-1])
        given = behaved(g).reshape(shape), out.reshape(shape), dx.reshape(shape), self.logarithm
        threads.over(len(given[0]), dx.size // PART, lambda *cut: _softmax_dx(*given, *cut))
        return [dx]


class LayerNorm:
    """Over the last axes; of each row the mean and 1 / σ are kept."""

    def forward(self, x: np.ndarray, w: Any, b: Any, axes: int, eps: float) -> tuple[np.ndarray, Any]:
        rows, out = behaved(x).reshape(-1, w.size), np.empty(x.shape, x.dtype)
        means, inverses = np.empty((2, len(rows)))
        given = (
            rows,
            behaved(w).reshape(-1),
            behaved(b).reshape(-1),
            out.reshape(rows.shape),
            means,
            inverses,
            float(eps),
        )
        threads.over(len(rows), x.size // PART, lambda *cut: _normed(*given, *cut))
        return out, (means, inverses)

    def backward(self, g: Any, wanted: Sequence[bool], inputs: Any, kept: Any, axes: int, eps: float) -> list[Any]:
        x, w, _ = inputs
        dx, shape = np.empty(x.shape, x.dtype), (-1, w.size)
        given = behaved(g).reshape(shape), behaved(x).reshape(shape), behaved(w).reshape(-1), *kept, dx.reshape(shape)

        def part(first: int, last: int) -> np.ndarray:
            sums = np.empty((2, w.size))
            _normed_dx(*given, *sums, first, last)
            return sums

        dw, db = np.sum(threads.over(len(given[0]), x.size // PART, part), axis=0).astype(x.dtype).reshape(2, *w.shape)
        return [dx, dw, db]


def _softmax_plan(logarithm: bool, spec: Spec) -> Softmax | None:
    (shape,), (dtype,), axis = spec.shapes, spec.dtypes, spec.params["axis"]
    last = bool(shape) and isinstance(axis, int) and axis in (-1, len(shape) - 1)  # type: ignore[arg-type]
    return Softmax(logarithm) if last and dtype == np.float32 else None


def _layer_norm_plan(spec: Spec) -> LayerNorm | None:
    x, w, b = spec.shapes
    fits = x is not None and w == b == x[len(x) - spec.params["axes"] :] and prod(w or ()) > 1
    return LayerNorm() if fits and {np.dtype(d) for d in spec.dtypes} == {np.dtype(np.float32)} else None


plans: dict[str, Callable[[Spec], Any]] = {
    "softmax": partial(_softmax_plan, False),
    "log_softmax": partial(_softmax_plan, True),
    "layer_norm": _layer_norm_plan,
}
