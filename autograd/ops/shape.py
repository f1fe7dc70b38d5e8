"""Changing the shape: views, joins, parts, padding, triangles. All linear.

>>> import autograd
>>> x = autograd.arange(6).reshape(2, 3)
>>> autograd.transpose(x).shape, autograd.concatenate([x, x], axis=1).shape, autograd.stack([x, x]).shape
((3, 2), (2, 6), (2, 2, 3))
>>> autograd.pad(x, ((0, 0), (1, 0))), autograd.flip(x, 1), autograd.tile(x, (1, 2)).shape
(tensor([[0, 0, 1, 2],
        [0, 3, 4, 5]]), tensor([[2, 1, 0],
        [5, 4, 3]]), (2, 6))
>>> [part.tolist() for part in autograd.unstack(x, axis=1)], autograd.diagonal(x).tolist()
([[0, 3], [1, 4], [2, 5]], [0, 4])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core.composite import composite
from ..core.primitive import REQUIRED, primitive
from ..core.tensor import Tensor, element_type
from ..errors import ShapeError
from .index import axis_of, getitem

reshape = primitive(
    "reshape", "x", forward=lambda x, shape: x.reshape(shape), params={"shape": REQUIRED}, linear_in=("x",),
    vjp={"x": lambda g, x_shape: g.reshape(x_shape)},
    cases=({"shape": (3, 2), "x": (2, 3)}, {"shape": (-1,), "x": (2, 2)}),
    doc="The same elements in another shape; one size may be −1.",
)  # fmt: skip


def _inverse(axes: Any) -> Any:
    return None if axes is None else tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))


transpose = primitive(
    "transpose", "x", forward=lambda x, axes: x.transpose(axes), params={"axes": None}, linear_in=("x",),
    vjp={"x": lambda g, axes: transpose(g, _inverse(axes))}, label="ᵀ",
    cases=({"x": (2, 3)}, {"axes": (1, 2, 0), "x": (2, 3, 2)}, {"axes": (-1, 0), "x": (2, 3)}),
    doc="The axes in another order, reversed if None.",
)  # fmt: skip
swapaxes = primitive(
    "swapaxes", "x", forward=lambda x, axis1, axis2: x.swapaxes(axis1, axis2),
    params={"axis1": REQUIRED, "axis2": REQUIRED},
    vjp={"x": lambda g, axis1, axis2: swapaxes(g, axis1, axis2)}, linear_in=("x",),
    cases=({"axis1": 0, "axis2": -1, "x": (2, 3, 2)},), doc="Two axes exchanged.",
)  # fmt: skip
broadcast_to = primitive(
    "broadcast_to", "x", forward="broadcast_to", params={"shape": REQUIRED}, vjp={"x": lambda g: g}, linear_in=("x",),
    cases=({"shape": (2, 3), "x": (3,)}, {"shape": (2, 3), "x": (2, 1)}),
    doc="Repeated along new axes and axes of size 1, as a view.",
)  # fmt: skip
expand_dims = primitive(
    "expand_dims", "x", forward="expand_dims", params={"axis": REQUIRED},
    vjp={"x": lambda g, x_shape: g.reshape(x_shape)}, linear_in=("x",),
    cases=({"axis": 0, "x": (2,)}, {"axis": (0, -1), "x": (2, 3)}), doc="New axes of size 1 at the given places.",
)  # fmt: skip
squeeze = primitive(
    "squeeze", "x", forward="squeeze", params={"axis": None}, vjp={"x": lambda g, x_shape: g.reshape(x_shape)},
    linear_in=("x",), cases=({"x": (1, 3, 2)}, {"axis": 0, "x": (1, 2, 1)}),
    doc="Without the axes of size 1, or those given.",
)  # fmt: skip
flip = primitive(
    "flip", "x", forward="flip", params={"axis": None}, vjp={"x": lambda g, axis: flip(g, axis)}, linear_in=("x",),
    cases=({"x": (2, 3)}, {"axis": 1, "x": (2, 3)}), doc="The elements in reverse order along the axes.",
)  # fmt: skip


def _back(shift: Any) -> Any:
    return tuple(-s for s in shift) if isinstance(shift, tuple) else -shift


roll = primitive(
    "roll", "x", forward="roll", params={"shift": REQUIRED, "axis": None},
    vjp={"x": lambda g, shift, axis: roll(g, _back(shift), axis)}, linear_in=("x",),
    cases=({"shift": 2, "x": (2, 3)}, {"shift": (1, -2), "axis": (0, 1), "x": (3, 3)}),
    doc="The elements shifted along the axes; what leaves at one end enters at the other.",
)  # fmt: skip
tril = primitive(
    "tril", "x: ... M N -> ... M N", forward="tril", params={"k": 0}, vjp={"x": lambda g, k: tril(g, k)},
    linear_in=("x",), cases=({}, {"k": -1}), doc="The lower triangle: 0 above the k-th diagonal.",
)  # fmt: skip
triu = primitive(
    "triu", "x: ... M N -> ... M N", forward="triu", params={"k": 0}, vjp={"x": lambda g, k: triu(g, k)},
    linear_in=("x",), cases=({}, {"k": 1}), doc="The upper triangle: 0 below the k-th diagonal.",
)  # fmt: skip
cast = primitive(
    "cast", "x", forward=lambda x, dtype: x.astype(dtype), params={"dtype": REQUIRED}, vjp={"x": lambda g: g},
    linear_in=("x",), cases=({"dtype": "float64", "x": (2, 3)},), doc="The elements in another floating type.",
)  # fmt: skip
copy = primitive(
    "copy",
    "x",
    forward=lambda x: x.copy(),
    vjp={"x": lambda g: g},
    linear_in=("x",),
    doc="A copy in memory of its own.",
)


def astype(x: Any, dtype: Any) -> Any:
    """The elements converted to ``dtype``; only floating types pass gradients on."""
    dtype = element_type("astype", dtype)
    if isinstance(x, Tensor) and dtype.kind != "f":
        x = x.detach()
    return cast(x, dtype)


def _concatenate_rule(g: Any, xs_shape: Any, axis: int) -> Any:
    parts, start, lead = [], 0, (slice(None),) * (axis % len(xs_shape[0]))
    for shape in xs_shape:
        stop = start + shape[axis]
        parts.append(getitem(g, (*lead, slice(start, stop))))
        start = stop
    return parts


concatenate = primitive(
    "concatenate", "*xs", forward=lambda xp, xs, axis: xp.concatenate(xs, axis=axis), params={"axis": 0},
    vjp={"xs": _concatenate_rule},
    cases=({"xs": ((2, 3), (1, 3))}, {"axis": -1, "xs": ((2, 3), (2, 1), (2, 2))}, {"xs": ((2, 3),)}),
    doc="The arrays joined along an axis that they have.",
)  # fmt: skip
stack = primitive(
    "stack", "*xs", forward=lambda xp, xs, axis: xp.stack(xs, axis=axis), params={"axis": 0},
    vjp={"xs": lambda g, axis: unstack(g, axis)},
    cases=({"xs": ((2, 3), (2, 3))}, {"axis": -1, "xs": ((2,), (2,), (2,))}), doc="The arrays joined along a new axis.",
)  # fmt: skip


def _unstack(xp: Any, x: Any, axis: int) -> Any:
    if x.ndim == 0:
        raise ShapeError("unstack: x has shape () but at least 1 axis is needed → reshape it")
    return tuple(xp.moveaxis(x, axis, 0))


def _split(x: Any, sections: Any, axis: int) -> Any:
    size = x.shape[axis]
    if hasattr(sections, "__len__"):
        ends = [*sections, size]
    elif sections < 1 or size % sections:
        raise ShapeError(
            f"split: axis {axis} has {size} elements, which {sections} equal parts do not make "
            "→ give a divisor or indices"
        )
    else:
        ends = [size * k // sections for k in range(1, sections + 1)]
    before = (slice(None),) * (axis % len(x.shape))
    return tuple([x[(*before, slice(start, end))] for start, end in zip([0, *ends], ends, strict=False)])


unstack = primitive(
    "unstack", "x -> *parts", forward=_unstack, params={"axis": 0}, vjp={"x": lambda g, axis: stack(g, axis)},
    cases=({"x": (2, 3)}, {"axis": -1, "x": (2, 3)}), doc="The parts along an axis, as a tuple of arrays without it.",
)  # fmt: skip
split = primitive(
    "split", "x -> *parts", forward=_split, params={"sections": REQUIRED, "axis": 0},
    vjp={"x": lambda g, axis: concatenate(g, axis)},
    cases=({"sections": 2, "x": (4, 3)}, {"sections": (1, 3), "axis": 1, "x": (2, 4)}),
    doc="Consecutive parts along an axis: a number of equal ones, or cut at the given indices.",
)  # fmt: skip


def _pad_widths(x: Any, pad_width: Any, value: float) -> tuple[Any, float]:
    ndim = len(x.shape)
    given = (pad_width, pad_width) if isinstance(pad_width, int) else tuple(pad_width)
    for_all = len(given) == 2 and all(isinstance(n, int) for n in given)
    pairs = (given,) * ndim if for_all else given
    if len(pairs) != ndim or any(not isinstance(p, (tuple, list)) or len(p) != 2 or min(p) < 0 for p in pairs):
        raise ShapeError(
            f"pad: pad_width is {pad_width!r} but x has {ndim} axes → give (before, after), each ≥ 0, for every axis"
        )
    return tuple(tuple(p) for p in pairs), value


def _unpad(g: Any, x_shape: Any, pad_width: Any) -> Any:
    return getitem(g, tuple(slice(before, before + n) for (before, _), n in zip(pad_width, x_shape, strict=True)))


pad = primitive(
    "pad", "x", forward=lambda xp, x, pad_width, value: xp.pad(x, pad_width, constant_values=value),
    params={"pad_width": REQUIRED, "value": 0}, prepare=_pad_widths, vjp={"x": _unpad},
    cases=({"pad_width": 1, "x": (2, 3)}, {"pad_width": ((0, 1), (2, 0)), "value": 3.0, "x": (2, 3)}),
    doc="x with ``value`` around it: pad_width is one number, (before, after), or such a pair for every axis.",
)  # fmt: skip


@composite("x", cases=({"repeats": 2, "x": (2, 3)}, {"repeats": 3, "axis": 0, "x": (2, 3)}))
def repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    """Every element ``repeats`` times in a row, along an axis (of the flattened array if None)."""
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    at = axis_of("repeat", axis, x) + 1
    wide = expand_dims(x, at)
    shape = (*wide.shape[:at], repeats, *wide.shape[at + 1 :])
    return reshape(broadcast_to(wide, shape), (*x.shape[: at - 1], x.shape[at - 1] * repeats, *x.shape[at:]))


@composite("x", cases=({"reps": 2, "x": (2, 3)}, {"reps": (2, 1, 3), "x": (2, 2)}))
def tile(x: Any, reps: int | tuple[int, ...]) -> Any:
    """The whole array repeated ``reps`` times along each axis."""
    reps = (reps,) if isinstance(reps, int) else tuple(reps)
    shape = (1,) * (len(reps) - len(x.shape)) + tuple(x.shape)
    reps = (1,) * (len(shape) - len(reps)) + reps
    apart = reshape(x, tuple(n for size in shape for n in (1, size)))
    wide = broadcast_to(apart, tuple(n for pair in zip(reps, shape, strict=True) for n in pair))
    return reshape(wide, tuple(r * n for r, n in zip(reps, shape, strict=True)))


@composite("x", cases=({"source": 0, "destination": -1, "x": (2, 3, 4)},))
def moveaxis(x: Any, source: int, destination: int) -> Any:
    """One axis moved to another place; the others keep their order."""
    source, destination = axis_of("moveaxis", source, x), axis_of("moveaxis", destination, x)
    axes = [i for i in range(len(x.shape)) if i != source]
    axes.insert(destination, source)
    return transpose(x, tuple(axes))


@composite("x", cases=({"x": (2, 3, 2)}, {"start_axis": 1, "x": (2, 3, 2)}))
def flatten(x: Any, start_axis: int = 0, end_axis: int = -1) -> Any:
    """The axes from ``start_axis`` to ``end_axis`` made one."""
    if not len(x.shape):
        return reshape(x, (1,))
    shape, start, end = x.shape, axis_of("flatten", start_axis, x), axis_of("flatten", end_axis, x)
    return reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@composite("x: ... M N", cases=({}, {"offset": 1, "M": 3, "N": 3}))
def diagonal(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Any:
    """The elements x[i, i + offset] of the matrices in the two axes, as the last axis."""
    axes = axis_of("diagonal", axis1, x), axis_of("diagonal", axis2, x)
    matrices = transpose(x, (*[i for i in range(len(x.shape)) if i not in axes], *axes))
    rows, columns = matrices.shape[-2:]
    first = max(-offset, 0)
    length = max(min(rows - first, columns - max(offset, 0)), 0)
    flat = reshape(matrices, (*matrices.shape[:-2], rows * columns))
    start = first * columns + max(offset, 0)
    stop = start + length * (columns + 1) - columns if length else start
    return getitem(flat, (..., slice(start, stop, columns + 1)))


def atleast(x: Any, ndim: int) -> Any:
    """x with leading axes of size 1 until it has ``ndim``."""
    return x if len(x.shape) >= ndim else reshape(x, (1,) * (ndim - len(x.shape)) + tuple(x.shape))


def _shape_argument(shape: Sequence[Any]) -> tuple[int, ...]:
    """Methods take sizes one by one or as one tuple."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else tuple(shape)
