"""Convolution in one, two and three dimensions, with its bias and its gradients: which algorithm serves which shapes.

Every algorithm has ``forward``, ``dx`` and ``dw`` on contiguous channels-last arrays, and says with ``serves`` whether
it is the best for a case in two dimensions. The other cases are made of such: ``axes``, ``groups``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from ..reference.windows import Ints, Pairs, counts, span
from ..registry import Spec
from . import axes, columns, depthwise, direct, folded, narrow, winograd
from .compile import behaved
from .groups import Grouped
from .layout import channels_first, channels_last
from .matmul import product
from .tail import finished, tail_of

ALGORITHMS: tuple[Any, ...] = (depthwise, narrow, winograd, columns, folded, direct)  # the first that serves is taken

TAILED = (winograd, columns, direct)  # those whose ``forward`` takes a tail
APART = 32  # channels of a group from which groups are taken one by one
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
    options = [spec.params[name] for name in ("stride", "padding", "dilation", "groups")]
    known = {d for d in spec.dtypes if d is not None}
    if len(known) > 1 or not known <= {np.dtype(np.float32), np.dtype(np.float64)}:
        return None
    n, c, *size = x
    windows = tuple(y[2:]) if y else counts(tuple(size), w[2:], *options[:3])
    if min(windows) < 1:
        return None  # the reference says what is wrong
    case = Case((n, *size, c), w, (n, *windows, w[0]), *options)
    return {1: _along_one, 2: _along_two, 3: _along_three}[len(size)](case)


def _along_two(case: Case) -> Any:
    """The first that serves; wide groups one by one, where each is a case for Winograd's algorithm."""
    chosen = next((a for a in ALGORITHMS if a.serves(case)), None)
    k, c = case.w[0] // case.groups, case.w[1]
    if chosen is not direct or case.groups == 1 or min(k, c) < APART:
        return chosen
    of_a_group = case._replace(x=(*case.x[:3], c), w=(k, *case.w[1:]), y=(*case.y[:3], k), groups=1)
    return Grouped(winograd) if _along_two(of_a_group) is winograd else chosen


def _along_one(case: Case) -> Any:
    """Images of height 1."""
    (n, *x), (k, c, *w), (_, *y), *_ = case
    return axes.Line(_along_two(Case((n, 1, *x), (k, c, 1, *w), (n, 1, *y), *axes.flat(*case[3:]))))


def _along_three(case: Case) -> Any:
    """An image of T slices for each place along the first axis."""
    images, slices = case.y[0] * case.y[1], case.w[2]
    x, y = (images, *case.x[2:4], slices * case.x[4]), (images, *case.y[2:])
    w = (case.w[0], slices * case.w[1], *case.w[3:])
    return axes.Volume(_along_two(Case(x, w, y, case.stride[1:], case.padding[1:], case.dilation[1:], case.groups)))


def _named(algorithm: Any, run: Any) -> Any:
    """Return what an algorithm runs, and let ``autograd.explain`` say which it is; None if there is no algorithm."""
    if algorithm is None:
        return None
    run.detail = algorithm.__name__.rpartition(".")[2]
    return run


def _conv(spec: Spec) -> Callable[..., Any] | None:
    x, w = spec.shapes
    assert x is not None and w is not None
    algorithm = _algorithm(spec, x, w, None)

    def run(x: Any, w: Any, *options: Any) -> Any:
        return channels_first(algorithm.forward(channels_last(x), behaved(w), None, *options))

    return _named(algorithm, run)  # type: ignore[no-any-return]


def _dx(spec: Spec) -> Callable[..., Any] | None:
    y, w = spec.shapes
    assert y is not None and w is not None
    x = (y[0], w[1] * spec.params["groups"], *spec.params["size"])
    algorithm = _algorithm(spec, x, w, y)

    def run(y: Any, w: Any, *options: Any) -> Any:
        return channels_first(algorithm.dx(channels_last(y), behaved(w), *options))

    return _named(algorithm, run)  # type: ignore[no-any-return]


def _dw(spec: Spec) -> Callable[..., Any] | None:
    x, y = spec.shapes
    assert x is not None and y is not None
    w = (y[1], x[1] // spec.params["groups"], *spec.params["width"])
    algorithm = _algorithm(spec, x, w, y)

    def run(x: Any, y: Any, *options: Any) -> Any:
        return algorithm.dw(channels_last(x), channels_last(y), *options)

    return _named(algorithm, run)  # type: ignore[no-any-return]


def _transposed(spec: Spec) -> Callable[..., Any] | None:
    """A transposed convolution is the gradient of a convolution's input."""
    y, w = spec.shapes
    assert y is not None and w is not None
    names = ("stride", "padding", "dilation", "output_padding")
    axes = zip(y[2:], w[2:], *[spec.params[name] for name in names], strict=True)
    size = tuple([(n - 1) * step - sum(pad) + span(r, apart) + extra for n, r, step, pad, apart, extra in axes])
    algorithm = _algorithm(spec, (y[0], w[1] * spec.params["groups"], *size), w, y)

    def run(y: Any, w: Any, stride: Any, padding: Any, _: Any, groups: int, dilation: Any) -> Any:
        return channels_first(algorithm.dx(channels_last(y), behaved(w), size, stride, padding, dilation, groups))

    return _named(algorithm, run)  # type: ignore[no-any-return]


class Biased:
    """``biased_conv2d`` and its kin: the bias is added while the result is written; gradients share what they read."""

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
        return (
            channels_first(self.algorithm.dx(y, w, pixels.shape[1:-1], *options)) if wanted[0] else None,
            self.algorithm.dw(pixels, y, w.shape[2:], *options) if wanted[1] else None,
            _sum_of_pixels(y) if wanted[2] else None,
        )


class Affine:
    """``affine_conv2d`` and its kin where nothing is recorded: sums get their tail while they are in the cache."""

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
    """The sum of all pixels of N … K; few channels are summed for several pixels side by side."""
    k = y.shape[-1]
    beside = gcd(y.size // k, 1 << max(0, (WIDE // k).bit_length() - 1))
    rows = y.reshape(-1, beside * k)
    total: np.ndarray = product(np.ones((1, len(rows)), y.dtype), rows).reshape(beside, k).sum(axis=0)
    return total


def _biased(spec: Spec) -> Biased | None:
    x, w, _ = spec.shapes
    assert x is not None and w is not None
    if not all([_is_standard(spec.params[name], len(x) - 2) for name in ("stride", "padding", "dilation")]):
        return None
    algorithm = _algorithm(spec, x, w, None)
    return _named(algorithm, Biased(algorithm))  # type: ignore[no-any-return]


def _affine(spec: Spec) -> Affine | None:
    x, w, *_, residual = spec.shapes
    assert x is not None and w is not None
    options = [spec.params[name] for name in ("stride", "padding", "dilation")]
    if not all([_is_standard(option, len(x) - 2) for option in options]) or spec.params["activation"] not in (
        None,
        "relu",
    ):
        return None
    if residual not in (None, (x[0], w[0], *counts(x[2:], w[2:], *options))):
        return None  # the definition broadcasts, or says what is wrong
    algorithm = _algorithm(spec, x, w, None)
    return _named(algorithm, Affine(algorithm))  # type: ignore[no-any-return]


def _is_standard(option: Any, axes: int) -> bool:
    """Whether an option is written out, as ``nn`` does: an integer, or a pair of them, for each axis."""
    return type(option) is tuple and len(option) == axes and ({type(o) for o in option} in ({int}, {tuple}))


FAMILY = {
    "conv{}d": _conv,
    "conv{}d_dx": _dx,
    "conv{}d_dw": _dw,
    "conv_transpose{}d": _transposed,
    "biased_conv{}d": _biased,
    "affine_conv{}d": _affine,
}
plans = {name.format(n): plan for name, plan in FAMILY.items() for n in (1, 2, 3)}
