"""Convolution in 1, 2 and 3 dimensions, its two gradients, and transposed convolution.

The family is closed: convolution is linear in the input x and in the filters w, and the gradient of each member is
another member, so that gradients of any order need no rules of their own. Stride, padding and dilation are in elements
of x: an integer, or one for each axis; padding also as a pair (before, after) for each axis, "valid" (none) or "same".

>>> import numpy as np
>>> x, w = np.arange(5.0).reshape(1, 1, 5), np.array([[[1.0, 0.0, -1.0]]])
>>> conv1d(x, w)
array([[[-2., -2., -2.]]])
>>> conv1d(x, w, stride=2, padding=1)
array([[[-1., -2.,  3.]]])
>>> conv_transpose1d(np.array([[[1.0, 2.0]]]), w, stride=2)
array([[[ 1.,  0.,  1.,  0., -2.]]])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from ..core.composite import composite
from ..core.primitive import REQUIRED, primitive
from ..errors import DomainError, ShapeError
from ..kernels.reference import conv as reference
from ..kernels.reference.windows import Ints, Pairs, counts, span
from .activation import relu
from .shape import reshape

LETTERS = {1: ("L", "R", "P"), 2: ("H W", "R S", "P Q"), 3: ("D H W", "T R S", "O P Q")}
OPTIONS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
Values = dict[str, Any]


# --- options in standard form: a tuple of integers for each, padding as pairs ---------------------------------------


def per_axis(op: str, name: str, value: Any, axes: int, least: int = 1) -> Ints:
    """Return ``value`` as one integer for each axis, each at least ``least``, or raise ``DomainError``."""
    values = tuple(value) if hasattr(value, "__iter__") else (value,) * axes
    if len(values) != axes or not all(hasattr(v, "__index__") and v >= least for v in values):
        several = "" if axes == 1 else f", or {axes} of them"
        raise DomainError(f"{op}: {name}={value!r} but an integer of at least {least} is needed{several}")
    return tuple(int(v) for v in values)


def hashable(value: Any) -> Any:
    """Return ``value`` with lists and arrays, at any depth, as tuples."""
    return tuple(map(hashable, value)) if hasattr(value, "__iter__") and not isinstance(value, str) else value


def _pairs(op: str, padding: Any, width: Ints, stride: Ints, dilation: Ints) -> Pairs:
    """Padding as a pair (before, after) for each axis; "same" puts the odd element after."""
    axes = len(width)
    if padding == "valid":
        return ((0, 0),) * axes
    if padding == "same":
        if any(s != 1 for s in stride):
            raise DomainError(f"{op}: padding='same' but stride={stride} → use stride 1, or give padding as numbers")
        beyond = [span(n, d) - 1 for n, d in zip(width, dilation)]
        return tuple((n // 2, n - n // 2) for n in beyond)
    entries = (padding,) * axes if not hasattr(padding, "__iter__") else () if isinstance(padding, str) else padding
    if len(entries) != axes:
        expected = f"an integer, {axes} integers, {axes} pairs (before, after), 'same' or 'valid'"
        raise DomainError(f"{op}: padding={padding!r} but {expected} is needed")
    return tuple(per_axis(op, "padding", entry, 2, least=0) for entry in entries)  # type: ignore[misc]


@lru_cache(maxsize=1024)
def _standard(op: str, width: Ints, stride: Any, padding: Any, dilation: Any, groups: Any) -> tuple[Any, ...]:
    stride, dilation = (per_axis(op, n, v, len(width)) for n, v in (("stride", stride), ("dilation", dilation)))
    return stride, _pairs(op, padding, width, stride, dilation), dilation, *per_axis(op, "groups", groups, 1)


def _options(op: str, axes: int, w: Any, *options: Any) -> tuple[Any, ...]:
    """Stride, padding, dilation and groups in standard form for filters w."""
    width = getattr(w, "shape", ())[2:]
    return _standard(op, width if len(width) == axes else (1,) * axes, *map(hashable, options))


# --- sizes: how many windows fit, or why they do not ----------------------------------------------------------------


def conv_output_size(op: str, x: Ints, w: Ints, params: Values) -> Ints:
    """Return how many windows of filters of size w fit in x along each axis, or raise ``ShapeError``."""
    size, width, _ = (letters.split() for letters in LETTERS[len(x)])
    fit = counts(x, w, params["stride"], params["padding"], params["dilation"])
    for i, windows in enumerate(fit):
        if windows < 1 or w[i] < 1:
            reach, apart, pad = span(w[i], params["dilation"][i]), params["dilation"][i], params["padding"][i]
            raise ShapeError(
                f"{op}: w has {width[i]}={w[i]} with dilation={apart}, which spans {reach}, but x has {size[i]}={x[i]} "
                f"with padding={pad} → expected {size[i]} of at least {max(1, reach - sum(pad))}, or more padding"
            )
    return fit


def conv_transpose_output_size(x: Ints, w: Ints, params: Values) -> Ints:
    """Return the size in which x windows of filters of size w lie, with ``output_padding`` elements at the end."""
    options = (params[name] for name in ("stride", "padding", "dilation", "output_padding"))
    axes = zip(x, w, *options, strict=True)
    return tuple((n - 1) * step - sum(pad) + span(r, apart) + extra for n, r, step, pad, apart, extra in axes)


def _check_windows(op: str, x: Ints, w: Ints, y: Ints, params: Values) -> None:
    """Refuse more windows y than fit in x; fewer come from ``output_padding``."""
    fit = conv_output_size(op, x, w, params)
    if any(given > most for given, most in zip(y, fit)):
        raise ShapeError(f"{op}: y has {y} windows but x of size {x} holds {fit} → expected no more than {fit}")


def _check_groups(op: str, letter: str, channels: int, groups: int) -> None:
    if channels % groups:
        raise ShapeError(
            f"{op}: {letter}={channels} cannot be divided into groups={groups} equal parts → choose a divisor"
        )


# --- the family -----------------------------------------------------------------------------------------------------


def with_options(names: str, options: Iterable[str], rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a gradient rule that takes what ``names`` lists, and then the options, as positional arguments."""
    rule.names = (*names.split(), *options)  # type: ignore[attr-defined]
    return rule


def _rule(names: str, rule: Callable[..., Any]) -> Callable[..., Any]:
    return with_options(names, OPTIONS, rule)


def sizes_of(letters: str, sizes: Values) -> Ints:
    """Return the sizes of ``letters``, which are separated by spaces."""
    return tuple(sizes[letter] for letter in letters.split())


def named(letters: str, sizes: Ints) -> Values:
    """Return the sizes by their letters."""
    return dict(zip(letters.split(), sizes, strict=True))


def _first(out: Any, shape: Ints) -> Any:
    """The first windows: as many as the other side of the adjoint has."""
    return out if out.shape == shape else out[tuple(slice(n) for n in shape)]


def _declare(n: int) -> tuple[Callable[..., Any], ...]:
    """Declare the family in ``n`` dimensions: convolution, its gradients, transposed convolution, those with more."""
    size, width, windows = LETTERS[n]
    name, dx, dw, transposed = f"conv{n}d", f"conv{n}d_dx", f"conv{n}d_dw", f"conv_transpose{n}d"
    small: Values = {
        **dict.fromkeys(size.split(), 5),
        **dict.fromkeys(width.split(), 2),
    }  # a stride of 2 leaves one over
    grouped: Values = {**small, "stride": 2, "padding": 1, "N": 2, "C": 2, "K": 2, "groups": 2}
    adjoint: Values = {**grouped, **dict.fromkeys(windows.split(), 3)}
    fewer: Values = {**small, "N": 2, "C": 2, "K": 3, **dict.fromkeys(windows.split(), 3)}  # windows than fit

    def dims(sizes: Values, params: Values) -> Values:
        _check_groups(name, "K", sizes["K"], params["groups"])
        return named(windows, conv_output_size(name, sizes_of(size, sizes), sizes_of(width, sizes), params))

    conv = primitive(
        name,
        f"x: N C {size}, w: K C/groups {width} -> N K {windows}",
        forward=reference.conv,
        params=OPTIONS,
        prepare=lambda x, w, *options: _options(name, n, w, *options),
        dims=dims,
        linear_in=("x", "w"),
        vjp={
            "x": _rule("x_shape w", lambda g, shape, w, *options: conv_dx(g, w, shape[2:], *options)),
            "w": _rule("x w_shape", lambda g, x, shape, *options: conv_dw(x, g, shape[2:], *options)),
        },
        cases=(
            small,
            grouped,
            {**small, "dilation": 2, "padding": ((0, 2),) * n},
            {**small, "padding": "same"},
        ),
        source="LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86, 1998, sec. II",
        doc="Filters slide over x, with a dot product at every place: "
        "out[n, k, p…] = Σ_c,r… w[k, c, r…] · x[n, c, p·stride + r·dilation − padding …], in every group of channels "
        "by itself. The filters are not mirrored.",
    )

    def dx_dims(sizes: Values, params: Values) -> Values:
        _check_groups(dx, "K", sizes["K"], params["groups"])
        _check_windows(dx, params["size"], sizes_of(width, sizes), sizes_of(windows, sizes), params)
        return named(size, params["size"])

    conv_dx = primitive(
        dx,
        f"y: N K {windows}, w: K C/groups {width} -> N C {size}",
        forward=reference.conv_dx,
        params={"size": REQUIRED, **OPTIONS},
        prepare=lambda y, w, size, *options: (per_axis(dx, "size", size, n), *_options(dx, n, w, *options)),
        dims=dx_dims,
        linear_in=("y", "w"),
        vjp={
            "y": _rule("y_shape w", lambda g, shape, w, *options: _first(conv(g, w, *options), shape)),
            "w": _rule("y w_shape", lambda g, y, shape, *options: conv_dw(g, y, shape[2:], *options)),
        },
        cases=({**adjoint, "size": (5,) * n}, {**fewer, "size": (5,) * n}),
        doc=f"The adjoint of {name} in x: from the result's gradient y the gradient of an x of size ``size``.",
    )

    def dw_dims(sizes: Values, params: Values) -> Values:
        _check_groups(dw, "K", sizes["K"], params["groups"])
        _check_windows(dw, sizes_of(size, sizes), params["width"], sizes_of(windows, sizes), params)
        return named(width, params["width"])

    def dw_options(x: Any, y: Any, width: Any, *options: Any) -> tuple[Any, ...]:
        width = per_axis(dw, "width", width, n)
        return width, *_standard(dw, width, *map(hashable, options))

    conv_dw = primitive(
        dw,
        f"x: N C {size}, y: N K {windows} -> K C/groups {width}",
        forward=reference.conv_dw,
        params={"width": REQUIRED, **OPTIONS},
        prepare=dw_options,
        dims=dw_dims,
        linear_in=("x", "y"),
        vjp={
            "x": _rule("x_shape y", lambda g, shape, y, *options: conv_dx(y, g, shape[2:], *options)),
            "y": _rule("x y_shape", lambda g, x, shape, *options: _first(conv(x, g, *options), shape)),
        },
        cases=({**adjoint, "width": (2,) * n}, {**fewer, "width": (2,) * n}),
        doc=f"The adjoint of {name} in w: from the result's gradient y the gradient of filters of size ``width``.",
    )

    def transposed_forward(
        xp: Any, x: Any, w: Any, stride: Ints, padding: Pairs, output_padding: Ints, groups: int, dilation: Ints
    ) -> Any:
        params = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}
        made = conv_transpose_output_size(x.shape[2:], w.shape[2:], params)
        return reference.conv_dx(xp, x, w, made, stride, padding, dilation, groups)

    def transposed_options(
        x: Any, w: Any, stride: Any, padding: Any, output_padding: Any, groups: Any, dilation: Any
    ) -> tuple[Any, ...]:
        if isinstance(padding, str):
            raise DomainError(f"{transposed}: padding={padding!r} but numbers are needed → give integers or pairs")
        stride, padding, dilation, groups = _options(transposed, n, w, stride, padding, dilation, groups)
        extra = per_axis(transposed, "output_padding", output_padding, n, least=0)
        if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
            raise DomainError(
                f"{transposed}: output_padding={extra} but stride={stride}, dilation={dilation} → expected less"
            )
        return stride, padding, extra, groups, dilation

    def transposed_dims(sizes: Values, params: Values) -> Values:
        _check_groups(transposed, "C", sizes["C"], params["groups"])
        made = conv_transpose_output_size(sizes_of(size, sizes), sizes_of(width, sizes), params)
        if min(made) < 1:
            raise ShapeError(
                f"{transposed}: padding={params['padding']} leaves a result of size {made} → expected less"
            )
        return named(windows, made)

    conv_transpose = primitive(
        transposed,
        f"x: N C {size}, w: C K/groups {width} -> N K {windows}",
        forward=transposed_forward,
        params={"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1},
        prepare=transposed_options,
        dims=transposed_dims,
        linear_in=("x", "w"),
        vjp={
            "x": _rule("x_shape w", lambda g, shape, w, *options: _first(conv(g, w, *options), shape)),
            "w": _rule("x w_shape", lambda g, x, shape, *options: conv_dw(g, x, shape[2:], *options)),
        },
        cases=(
            {**small, "N": 2},
            {**grouped, "output_padding": 1, "K": 4},
            {**small, "C": 2, "dilation": 3, "output_padding": 2},
        ),
        source="Zeiler et al., Deconvolutional networks, CVPR 2010",
        doc=f"The adjoint of {name}, to enlarge maps: x[n, c, p…] · w[c, k, r…] is added to "
        "out[n, k, p·stride + r·dilation − padding …]; ``output_padding`` elements more at the end of each axis.",
    )

    def with_bias(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Any:
        out = conv(x, w, stride, padding, dilation, groups)
        return out if b is None else out + reshape(b, (-1, *(1,) * n))

    with_bias.__name__ = with_bias.__qualname__ = f"biased_{name}"
    with_bias.__doc__ = f"``{name}`` and a number for each of its channels: out[n, k, p…] += b[k]."
    biased = composite(
        f"x: N C {size}, w: K C/groups {width}, b: K", cases=({**small, "K": 3}, grouped), layer=f"Conv{n}d"
    )(with_bias)

    def affine(
        x: Any, w: Any, scale: Any = None, b: Any = None, residual: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, activation: str | None = None,
    ) -> Any:  # fmt: skip
        if activation not in (None, "relu"):
            raise DomainError(f"affine_{name}: activation is {activation!r} → choose None or 'relu'")
        out = conv(x, w, stride, padding, dilation, groups)
        out = out if scale is None else out * reshape(scale, (-1, *(1,) * n))
        out = out if b is None else out + reshape(b, (-1, *(1,) * n))
        out = out if residual is None else out + residual
        return relu(out) if activation else out

    affine.__name__ = affine.__qualname__ = f"affine_{name}"
    affine.__doc__ = (
        f"``{name}``, whose channels are scaled and shifted, out[n, k, p…] · scale[k] + b[k]; a ``residual`` is added "
        'to that, and the ``activation`` "relu" taken of the sum: in inference a convolution and its normalisation.'
    )
    affine = composite(
        f"x: N C {size}, w: K C/groups {width}, scale: K, b: K, residual: N K {windows}",
        cases=({**small, "K": 3, "residual": None}, {**adjoint, "activation": "relu"}), layer=f"Conv{n}d",
    )(affine)  # fmt: skip
    return conv, conv_dx, conv_dw, conv_transpose, biased, affine


conv1d, conv1d_dx, conv1d_dw, conv_transpose1d, biased_conv1d, affine_conv1d = _declare(1)
conv2d, conv2d_dx, conv2d_dw, conv_transpose2d, biased_conv2d, affine_conv2d = _declare(2)
conv3d, conv3d_dx, conv3d_dw, conv_transpose3d, biased_conv3d, affine_conv3d = _declare(3)
