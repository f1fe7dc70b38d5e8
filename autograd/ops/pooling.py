"""Pooling in 1, 2 and 3 dimensions: the maximum or the mean of windows, of given size or of a given number.

Sizes, strides, padding and dilation are in elements of x: an integer, or one for each axis. Padding is at most half a
window; max pooling pads with −∞. Where several elements of a window are its maximum, the last of them, in row-major
order, gets the whole gradient.

>>> import numpy as np
>>> x = np.array([[[1.0, 3.0, 3.0, 2.0, 5.0]]])
>>> max_pool1d(x, 2), max_pool1d(x, 2, ceil_mode=True)
(array([[[3., 3.]]]), array([[[3., 3., 5.]]]))
>>> avg_pool1d(x, 3, stride=2, padding=1)
array([[[1.33333333, 2.66666667, 2.33333333]]])
>>> adaptive_max_pool1d(x, 2), adaptive_avg_pool1d(x, 1)
(array([[[3., 5.]]]), array([[[2.8]]]))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

from ..core.primitive import REQUIRED, primitive
from ..errors import DomainError, DTypeError, ShapeError
from ..kernels.reference import pool as reference
from ..kernels.reference.windows import Ints, Pairs, span
from .conv import LETTERS, Values, hashable, named, per_axis, sizes_of, with_options
from .index import scatter_add

RIESENHUBER = "Riesenhuber, Poggio, Hierarchical models of object recognition in cortex, Nature Neuroscience 2, 1999"
LECUN = "LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86, 1998, sec. II"
HE = "He et al., Spatial pyramid pooling in deep convolutional networks for visual recognition, ECCV 2014"
TIES = "ties: the last of a window's equal elements, in row-major order, gets the whole gradient"


@lru_cache(maxsize=1024)
def _standard(op: str, axes: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Any, ...]:
    """The options as tuples of integers, padding as pairs."""
    width = per_axis(op, "kernel_size", kernel_size, axes)
    stride = width if stride is None else per_axis(op, "stride", stride, axes)
    pads, dilation = per_axis(op, "padding", padding, axes, least=0), per_axis(op, "dilation", dilation, axes)
    for pad, reach in zip(pads, map(span, width, dilation), strict=True):
        if pad > reach // 2:
            raise DomainError(f"{op}: padding={pad} but a window spans {reach} → expected at most half, {reach // 2}")
    return width, stride, tuple((pad, pad) for pad in pads), dilation


def _check(op: str, letters: str, sizes: Values, windows: Ints, width: Ints, padding: Any, dilation: Ints) -> None:
    """Refuse an input in which no window fits."""
    for letter, count, reach, pad in zip(letters.split(), windows, map(span, width, dilation), padding, strict=True):
        if count < 1 or sizes[letter] < 1:
            raise ShapeError(
                f"{op}: a window spans {reach} but x has {letter}={sizes[letter]} with padding={pad} → "
                f"expected {letter} of at least {max(1, reach - sum(pad))}, or a smaller kernel_size"
            )


def _only_out(pool: Callable[..., Any], first: Callable[..., Any]) -> Callable[..., Any]:
    """Dress ``first``, which returns the first output of the primitive ``pool``, as the primitive."""
    first.op = pool.op  # type: ignore[attr-defined]
    first.__name__ = first.__qualname__ = pool.__name__
    first.__doc__ = pool.__doc__
    return first


def _declare_max(n: int) -> Callable[..., Any]:
    """Declare max pooling in ``n`` dimensions, and the linear pair that its gradients are made of."""
    size, _, windows = LETTERS[n]
    name, x, y = f"max_pool{n}d", f"N C {size}", f"N C {windows}"
    options = dict.fromkeys(("kernel_size", "stride", "padding", "dilation"), REQUIRED)

    def of(length: int, **params: Any) -> Values:
        return {**dict.fromkeys(size.split(), length), **params}

    plain = {"kernel_size": (3,) * n, "stride": (2,) * n, "padding": ((0, 0),) * n, "dilation": (1,) * n}
    pair = {"N": 2, **of(5, **plain), **dict.fromkeys(windows.split(), 2)}

    def prepare(x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any) -> tuple[Any, ...]:
        if x.dtype.kind == "c":
            raise DTypeError(f"{name}: x is {x.dtype}, numbers without an order → pass real numbers")
        given = map(hashable, (kernel_size, stride, padding, dilation))
        return *_standard(name, n, *given), bool(ceil_mode)

    def dims(sizes: Values, params: Values) -> Values:
        width, stride, padding, dilation, ceil_mode = params.values()
        fit = reference.pool_counts(sizes_of(size, sizes), width, stride, padding, dilation, ceil_mode)
        _check(name, size, sizes, fit, width, padding, dilation)
        return named(windows, fit)

    pool = primitive(
        name,
        f"x: {x} -> out: {y}, place: {y}",
        forward=reference.max_pool,
        params={"kernel_size": REQUIRED, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
        prepare=prepare,
        dims=dims,
        vjp={"x": with_options("place x_shape", options, lambda g, i, shape, *o: spread(g[0], i, shape[2:], *o))},
        kinks={"x": TIES},
        cases=(
            of(4, kernel_size=2),
            of(5, kernel_size=3, stride=2, padding=1, ceil_mode=True),
            of(5, kernel_size=2, stride=1, dilation=2),
        ),
        source=RIESENHUBER,
        doc="The maximum of every window: out[n, c, p…] = max_r… x[n, c, p·stride + r·dilation − padding …]. The "
        "stride is the window's size if None; ``ceil_mode`` adds a window at the end where elements are left over.",
    )
    spread = primitive(
        f"{name}_dx",
        f"y: {y}, place: {y} -> {x}",
        forward=reference.max_pool_dx,
        params={"size": REQUIRED, **options},
        linear_in=("y",),
        domain={"place": "index"},
        vjp={"y": with_options("place", options, lambda g, i, *o: pick(g, i, *o))},
        cases=({**pair, "size": (5,) * n},),
        source=RIESENHUBER,
        doc=f"Zeros of size ``size`` with every y added at the place of its window that {name} found.",
    )
    pick = primitive(
        f"{name}_at",
        f"x: {x}, place: {y} -> {y}",
        forward=reference.max_pool_at,
        params=options,
        linear_in=("x",),
        domain={"place": "index"},
        vjp={"x": with_options("x_shape place", options, lambda g, shape, i, *o: spread(g, i, shape[2:], *o))},
        cases=(pair,),
        source=RIESENHUBER,
        doc=f"The elements of x at the places of the windows that {name} found: the adjoint of {name}_dx.",
    )

    def first(
        x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> Any:
        return pool(x, kernel_size, stride, padding, dilation, ceil_mode)[0]

    return _only_out(pool, first)


def _declare_avg(n: int) -> Callable[..., Any]:
    """Declare average pooling in ``n`` dimensions and its adjoint."""
    size, _, windows = LETTERS[n]
    name, ones = f"avg_pool{n}d", (1,) * n
    options = {"kernel_size": REQUIRED, "stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True}

    def of(length: int, **params: Any) -> Values:
        return {**dict.fromkeys(size.split(), length), **params}

    def prepare(
        x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any, count_include_pad: Any
    ) -> tuple[Any, ...]:
        width, stride, padding, _ = _standard(name, n, *map(hashable, (kernel_size, stride, padding)), 1)
        return width, stride, padding, bool(ceil_mode), bool(count_include_pad)

    def dims(sizes: Values, params: Values) -> Values:
        width, stride, padding, ceil_mode, _ = params.values()
        fit = reference.pool_counts(sizes_of(size, sizes), width, stride, padding, ones, ceil_mode)
        _check(name, size, sizes, fit, width, padding, ones)
        return named(windows, fit)

    left_over = {
        **dict.fromkeys(windows.split(), 3), "size": (6,) * n, "kernel_size": (3,) * n, "stride": (2,) * n,
        "padding": ((1, 1),) * n, "ceil_mode": False,
    }  # fmt: skip

    def back(g: Any, width: Ints, stride: Ints, padding: Pairs, *rest: bool) -> Any:
        return pool(g, width, stride, [before for before, _ in padding], *rest)

    pool = primitive(
        name,
        f"x: N C {size} -> N C {windows}",
        forward=reference.avg_pool,
        params=options,
        prepare=prepare,
        dims=dims,
        linear_in=("x",),
        vjp={"x": with_options("x_shape", options, lambda g, shape, *o: spread(g, shape[2:], *o))},
        cases=(
            of(4, kernel_size=2),
            of(5, kernel_size=3, stride=2, padding=1, count_include_pad=False),
            of(6, kernel_size=3, stride=2, padding=1, ceil_mode=True),
            of(6, kernel_size=3, stride=2, padding=1),
        ),
        source=LECUN,
        doc="The mean of every window: out[n, c, p…] = mean_r… x[n, c, p·stride + r − padding …]. The stride is the "
        "window's size if None; ``ceil_mode`` adds a window at the end where elements are left over. The mean counts "
        "the zeros of the padding unless ``count_include_pad`` is false, and never what lies beyond them.",
    )
    spread = primitive(
        f"{name}_dx",
        f"y: N C {windows} -> N C {size}",
        forward=reference.avg_pool_dx,
        params={"size": REQUIRED, **dict.fromkeys(options, REQUIRED)},
        linear_in=("y",),
        vjp={"y": with_options("", options, back)},
        cases=({**left_over, "count_include_pad": False}, {**left_over, "count_include_pad": True}),
        source=LECUN,
        doc=f"The adjoint of {name}: from the result's gradient y the gradient of an x of size ``size``.",
    )
    return pool


def _declare_adaptive(n: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Declare mean and max pooling of a given number of windows in ``n`` dimensions."""
    size, _, windows = LETTERS[n]
    avg, most = f"adaptive_avg_pool{n}d", f"adaptive_max_pool{n}d"
    case = {**dict.fromkeys(size.split(), 5), "output_size": (3, 2)[:n]}

    def prepare(op: str, x: Any, output_size: Any) -> tuple[Ints]:
        counts = tuple(output_size) if hasattr(output_size, "__iter__") else (output_size,) * n
        if None in counts:  # keeps an axis as it is
            counts = tuple(m if c is None else c for c, m in zip(counts, getattr(x, "shape", (1,) * (n + 2))[2:]))
        return (per_axis(op, "output_size", counts, n),)

    def dims(op: str, sizes: Values, params: Values) -> Values:
        for letter in size.split():
            if sizes[letter] < 1:
                raise ShapeError(f"{op}: x has {letter}={sizes[letter]} → expected {letter} of at least 1")
        return named(windows, params["output_size"])

    mean = primitive(
        avg,
        f"x: N C {size} -> N C {windows}",
        forward=reference.adaptive_avg_pool,
        params={"output_size": REQUIRED},
        prepare=lambda x, output_size: prepare(avg, x, output_size),
        dims=lambda sizes, params: dims(avg, sizes, params),
        linear_in=("x",),
        vjp={"x": lambda g, x_shape: spread(g, x_shape[2:])},
        cases=(case,),
        source=HE,
        doc="The mean of each of ``output_size`` windows along every axis; window p of P reaches from ⌊p·H/P⌋ to "
        "⌈(p+1)·H/P⌉. An axis for which None is given stays as it is.",
    )
    spread = primitive(
        f"{avg}_dx",
        f"y: N C {windows} -> N C {size}",
        forward=reference.adaptive_avg_pool_dx,
        params={"size": REQUIRED},
        linear_in=("y",),
        vjp={"y": lambda g, y_shape: mean(g, y_shape[2:])},
        cases=({"size": (5,) * n},),
        source=HE,
        doc=f"The adjoint of {avg}: from the result's gradient y the gradient of an x of size ``size``.",
    )

    def gradient(g: Any, index: Any, x_shape: Ints) -> Any:
        flat = (*x_shape[:2], -1)
        summed = scatter_add(g[0].reshape(flat), index.reshape(flat), (*x_shape[:2], prod(x_shape[2:])), 2)
        return summed.reshape(x_shape)

    pool = primitive(
        most,
        f"x: N C {size} -> out: N C {windows}, index: N C {windows}",
        forward=reference.adaptive_max_pool,
        params={"output_size": REQUIRED},
        prepare=lambda x, output_size: prepare(most, x, output_size),
        dims=lambda sizes, params: dims(most, sizes, params),
        vjp={"x": gradient},
        kinks={"x": TIES},
        cases=(case,),
        source=HE,
        doc="The maximum of each of ``output_size`` windows along every axis; window p of P reaches from ⌊p·H/P⌋ to "
        "⌈(p+1)·H/P⌉. An axis for which None is given stays as it is.",
    )

    def first(x: Any, output_size: Any) -> Any:
        return pool(x, output_size)[0]

    return mean, _only_out(pool, first)


max_pool1d, max_pool2d, max_pool3d = map(_declare_max, (1, 2, 3))
avg_pool1d, avg_pool2d, avg_pool3d = map(_declare_avg, (1, 2, 3))
adaptive_avg_pool1d, adaptive_max_pool1d = _declare_adaptive(1)
adaptive_avg_pool2d, adaptive_max_pool2d = _declare_adaptive(2)
