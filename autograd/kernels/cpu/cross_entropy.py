"""Softmax and cross-entropy against class numbers in one pass each way: ln Σ eˣ − x_y, and softmax − one-hot.

Of the forward pass only the logarithm of each example's sum is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..registry import Spec
from . import threads
from .compile import behaved, compiled
from .functions import exp
from .layout import channels_first, channels_last

PART = 1 << 15  # numbers that are worth a thread's while
LANES = 16  # maxima that are taken at the same time


@compiled
def _losses(x: Any, target: Any, ignored: Any, tops: Any, logs: Any, losses: Any, smoothing: float) -> bool:
    """Fill in each row's maximum, ln Σ e^(x − maximum) and loss; False if a target is no class."""
    kind, classes = x.dtype.type, x.shape[1]
    spread, rest = kind(smoothing / classes), kind(1 - smoothing)
    lanes = np.empty(LANES, x.dtype)
    most = classes // LANES * LANES
    for i in range(len(x)):
        y = target[i]
        if y < 0 or y >= classes:
            return False
        lanes[:] = x[i, 0]
        for c in range(0, most, LANES):
            for k in range(LANES):
                lanes[k] = x[i, c + k] if x[i, c + k] > lanes[k] else lanes[k]
        top = lanes[0]
        for k in range(1, LANES):
            top = lanes[k] if lanes[k] > top else top
        for c in range(most, classes):
            top = x[i, c] if x[i, c] > top else top
        top = top if np.isfinite(top) else kind(0)  # as the definition has it
        total = below = kind(0)
        for c in range(classes):
            total += exp(x[i, c] - top)
        if smoothing:
            for c in range(classes):
                below += top - x[i, c]
        tops[i], logs[i] = top, np.log(total)
        losses[i] = kind(0) if ignored[i] else logs[i] + rest * (top - x[i, y]) + spread * below
    return True


@compiled
def _gradients(x: Any, target: Any, ignored: Any, tops: Any, logs: Any, g: Any, dx: Any, smoothing: float) -> None:
    kind, classes = x.dtype.type, x.shape[1]
    spread, rest = kind(smoothing / classes), kind(1 - smoothing)
    for i in range(len(x)):
        if ignored[i]:
            dx[i] = 0
            continue
        top, log_total, gi = tops[i], logs[i], g[i]
        for c in range(classes):
            dx[i, c] = gi * (exp(x[i, c] - top - log_total) - spread)
        if 0 <= target[i] < classes:  # as it was before somebody wrote into it
            dx[i, target[i]] -= gi * rest


class CrossEntropy:
    """Without weights of the classes."""

    def forward(self, x: Any, target: Any, ignored: Any, weight: None, smoothing: float) -> Any:
        rows = behaved(x) if x.ndim == 2 else channels_last(x).reshape(-1, x.shape[1])
        classes, skipped = behaved(target.astype(np.int64, copy=False)).reshape(-1), behaved(ignored).reshape(-1)
        losses, tops, logs = np.empty((3, len(rows)), x.dtype)
        kept = (rows, classes, skipped, tops, logs)
        fine = _in_parts(_losses, (rows, classes, skipped, tops, logs, losses), float(smoothing))
        return (losses.reshape(target.shape), kept) if all(fine) else NotImplemented

    def backward(self, g: Any, wanted: Sequence[bool], inputs: Any, residuals: Any, smoothing: float) -> list[Any]:
        x, dx = inputs[0], np.empty_like(residuals[0])
        _in_parts(_gradients, (*residuals, behaved(g).reshape(-1), dx), float(smoothing))
        if x.ndim > 2:
            dx = channels_first(dx.reshape(x.shape[0], *x.shape[2:], x.shape[1]))
        return [dx, None, None, None]


def _in_parts(task: Callable[..., Any], arrays: Sequence[np.ndarray], *numbers: float) -> list[Any]:
    """Call ``task`` for all examples; return what it returns for each part of them."""
    x, *_ = arrays
    return threads.over(len(x), x.size // PART, lambda *cut: task(*[a[slice(*cut)] for a in arrays], *numbers))


def _plan(spec: Spec) -> Any:
    x, target, ignored, weight = (None if d is None else np.dtype(d) for d in spec.dtypes)
    fits = x is not None and x.name in ("float32", "float64") and target is not None and target.kind in "iu"
    shape, *others = spec.shapes[:3]
    fits = fits and shape is not None and all(other == (shape[0], *shape[2:]) for other in others)
    return CrossEntropy() if fits and ignored == np.bool_ and weight is None else None


plans = {"class_cross_entropy": _plan}
