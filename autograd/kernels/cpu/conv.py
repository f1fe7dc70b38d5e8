"""Convolution in two dimensions, with its bias and its gradients: which algorithm serves which shapes.

Every algorithm has ``forward``, ``dx`` and ``dw`` on contiguous channels-last arrays, and says with ``serves`` whether
it is the best for a case. An algorithm that shares work between the gradients also has ``gradients``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from ..reference.windows import Ints, Pairs, counts
from ..registry import Spec
from . import columns, depthwise, direct, folded, winograd
from .compile import behaved
from .layout import channels_first, channels_last
from .matmul import product
from .tail import finished, tail_of

ALGORITHMS: tuple[Any, ...] = (depthwise, winograd, columns, folded, direct)  # the first that serves is taken

TAILED = (winograd, columns, direct)  # those whose ``forward`` takes a tail

WIDE = 512  # numbers of a row that are summed as fast as longer ones

Gradients = tuple[np.ndarray | None, ...]


class Case(NamedTuple):
    """A convolution's shapes, N H W C, K C/groups R S and N P Q K, and its options."""

    x: Ints
    w: Ints
    y: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints
    groups: int


def _algorithm(spec: Spec, x: Ints, w: Ints, y: Ints | None) -> Any:
    """Return the algorithm for images x, N C H W, and filters w; None for numbers that no kernel computes with."""
    stride, padding, dilation, groups = (spec.params[name] for name in ("stride", "padding", "dilation", "groups"))
    known = {d for d in spec.dtypes if d is not None}
    if len(known) > 1 or not known <= {np.dtype(np.float32), np.dtype(np.float64)}:
        return None
    n, c, *size = x
    windows = tuple(y[2:]) if y else counts(tuple(size), w[2:], stride, padding, dilation)
    if min(windows) < 1:
        return None  # the reference says what is wrong
    case = Case((n, *size, c), w, (n, *windows, w[0]), stride, padding, dilation, groups)
    return next((a for a in ALGORITHMS if a.serves(case)), None)


def _named(algorithm: Any, run: Any) -> Any:
    """Return what an algorithm runs, and let ``autograd.explain`` say which it is; None if there is no algorithm."""
    if algorithm is None:
        return None
    run.detail = algorithm.__name__.rpartition(".")[2]
    return run


def _conv2d(spec: Spec) -> Callable[..., Any] | None:
    x, w = spec.shapes
    assert x is not None and w is not None
    algorithm = _algorithm(spec, x, w, None)

    def run(x: Any, w: Any, *options: Any) -> Any:
        return channels_first(algorithm.forward(channels_last(x), behaved(w), None, *options))

    return _named(algorithm, run)  # type: ignore[no-any-return]


def _conv2d_dx(spec: Spec) -> Callable[..., Any] | None:
    y, w = spec.shapes
    assert y is not None and w is not None
    x = (y[0], w[1] * spec.params["groups"], *spec.params["size"])
    algorithm = _algorithm(spec, x, w, y)

    def run(y: Any, w: Any, *options: Any) -> Any:
        return channels_first(algorithm.dx(channels_last(y), behaved(w), *options))

    return _named(algorithm, run)  # type: ignore[no-any-return]


def _conv2d_dw(spec: Spec) -> Callable[..., Any] | None:
    x, y = spec.shapes
    assert x is not None and y is not None
    w = (y[1], x[1] // spec.params["groups"], *spec.params["width"])
    algorithm = _algorithm(spec, x, w, y)

    def run(x: Any, y: Any, *options: Any) -> Any:
        return algorithm.dw(channels_last(x), channels_last(y), *options)

    return _named(algorithm, run)  # type: ignore[no-any-return]


class Biased:
    """``biased_conv2d``: the bias is added while the result is written; the gradients share what they read."""

    def __init__(self, algorithm: Any) -> None:
        self.algorithm = algorithm

    def forward(self, x: Any, w: Any, b: Any, *options: Any) -> tuple[Any, Any]:
        """Return the convolution plus the bias, and x as the kernels read it."""
        pixels = channels_last(x)
        bias = b if b is None else behaved(b)
        return channels_first(self.algorithm.forward(pixels, behaved(w), bias, *options)), pixels

    def backward(self, g: Any, wanted: Any, inputs: Any, pixels: Any, *options: Any) -> Gradients:
        """Return the gradients of x, w and b."""
        y, w = channels_last(g), behaved(inputs[1])
        dx, dw = self._gradients(pixels, y, w, wanted, options)
        db = _sum_of_pixels(y) if wanted[2] else None
        return dx if dx is None else channels_first(dx), dw, db

    def _gradients(self, x: Any, y: Any, w: Any, wanted: Any, options: tuple[Any, ...]) -> Gradients:
        both = getattr(self.algorithm, "gradients", None)
        if both and wanted[0] and wanted[1]:
            return both(x, y, w, *options)  # type: ignore[no-any-return]
        return (
            self.algorithm.dx(y, w, x.shape[1:3], *options) if wanted[0] else None,
            self.algorithm.dw(x, y, w.shape[2:], *options) if wanted[1] else None,
        )


class Affine:
    """``affine_conv2d`` where nothing is recorded: the tail is put to the sums while they are in the cache."""

    def __init__(self, algorithm: Any) -> None:
        self.algorithm = algorithm

    def forward(self, *_: Any) -> Any:
        """Leave gradients to the definition."""
        return NotImplemented

    def infer(self, x: Any, w: Any, scale: Any, b: Any, residual: Any, *options: Any) -> Any:
        """Return the convolution with its tail."""
        *sliding, activation = options
        added = residual if residual is None else channels_last(residual)
        tail = tail_of(len(w), w.dtype, scale, b, added, activation is not None)
        inputs = channels_last(x), behaved(w), None, *sliding
        if self.algorithm in TAILED:
            return channels_first(self.algorithm.forward(*inputs, tail))
        return channels_first(finished(self.algorithm.forward(*inputs), tail))


def _sum_of_pixels(y: np.ndarray) -> np.ndarray:
    """The sum of all pixels of N P Q K; few channels are summed for several pixels side by side."""
    k = y.shape[3]
    beside = gcd(y.size // k, 1 << max(0, (WIDE // k).bit_length() - 1))
    rows = y.reshape(-1, beside * k)
    total: np.ndarray = product(np.ones((1, len(rows)), y.dtype), rows).reshape(beside, k).sum(axis=0)
    return total


def _biased_conv2d(spec: Spec) -> Biased | None:
    x, w, _ = spec.shapes
    assert x is not None and w is not None
    if not all([_is_standard(spec.params[name]) for name in ("stride", "padding", "dilation")]):
        return None
    algorithm = _algorithm(spec, x, w, None)
    return _named(algorithm, Biased(algorithm))  # type: ignore[no-any-return]


def _affine_conv2d(spec: Spec) -> Affine | None:
    x, w, *_, residual = spec.shapes
    assert x is not None and w is not None
    if not all([_is_standard(spec.params[name]) for name in ("stride", "padding", "dilation")]):
        return None
    windows = counts(x[2:], w[2:], *[spec.params[name] for name in ("stride", "padding", "dilation")])
    if residual not in (None, (x[0], w[0], *windows)) or spec.params["activation"] not in (None, "relu"):
        return None  # the definition broadcasts, or says what is wrong
    algorithm = _algorithm(spec, x, w, None)
    return _named(algorithm, Affine(algorithm))  # type: ignore[no-any-return]


def _is_standard(option: Any) -> bool:
    """Whether an option is written out, as ``nn`` does: an integer, or a pair of them, for each of two axes."""
    return type(option) is tuple and len(option) == 2 and ({type(o) for o in option} in ({int}, {tuple}))


plans = {
    "conv2d": _conv2d,
    "conv2d_dx": _conv2d_dx,
    "conv2d_dw": _conv2d_dw,
    "biased_conv2d": _biased_conv2d,
    "affine_conv2d": _affine_conv2d,
}
