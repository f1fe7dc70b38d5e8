"""Reductions, cumulative sums and products, and sorting.

``axis`` is None (all axes), a number or a tuple, as in NumPy. Where values tie, the last of them gets the gradient.

>>> import autograd
>>> x = autograd.tensor([[1.0, 5.0, 5.0], [2.0, 0.0, 4.0]], requires_grad=True)
>>> autograd.sum(x).item(), autograd.mean(x, axis=0), autograd.var(x, axis=1, ddof=1).shape
(17.0, tensor([1.5, 2.5, 4.5], op=mean), (2,))
>>> autograd.max(x, axis=1).sum().backward()
>>> x.grad
tensor([[0., 0., 1.],
        [0., 0., 1.]])
>>> autograd.cumsum(x, 1), autograd.sort(x.detach(), axis=1), autograd.argmax(x, 1)
(tensor([[ 1.,  6., 11.],
        [ 2.,  2.,  6.]], op=cumsum), tensor([[1., 5., 5.],
        [0., 2., 4.]]), tensor([1, 2]))
"""

from __future__ import annotations

from typing import Any

from ..core.composite import composite
from ..core.primitive import primitive
from .arithmetic import sqrt, square, where
from .exponential import exp, log
from .index import gather
from .shape import broadcast_to, expand_dims, flip, reshape

REDUCTION = {"axis": None, "keepdims": False}
CASES: tuple[dict[str, Any], ...] = (
    {},
    {"axis": 0, "x": (3, 2)},
    {"axis": -1, "keepdims": True, "x": (2, 3)},
    {"axis": (0, 2), "x": (2, 3, 2)},
)


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes as a tuple of numbers from 0."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % ndim for a in axes) if ndim else ()


def kept(g: Any, x_shape: tuple[int, ...], axis: Any) -> Any:
    """Return a reduced ``g`` with the reduced axes put back as 1, so that it broadcasts against ``x``."""
    axes = normal_axes(axis, len(x_shape))
    return g.reshape(tuple(1 if i in axes else n for i, n in enumerate(x_shape)))


def count(x_shape: tuple[int, ...], axis: Any) -> int:
    """Return how many elements go into one result."""
    n = 1
    for a in normal_axes(axis, len(x_shape)):
        n *= x_shape[a]
    return n


def _spread(g: Any, x_shape: Any, axis: Any) -> Any:
    return broadcast_to(kept(g, x_shape, axis), x_shape)


sum_ = primitive(
    "sum", "x", forward=lambda x, axis, keepdims: x.sum(axis=axis, keepdims=keepdims), params=REDUCTION,
    linear_in=("x",), cases=CASES, vjp={"x": lambda g, x_shape, axis: _spread(g, x_shape, axis)},
    label="Σ", doc="Sum of the elements, Σ x.",
)  # fmt: skip
mean = primitive(
    "mean", "x", forward=lambda x, axis, keepdims: x.mean(axis=axis, keepdims=keepdims), params=REDUCTION,
    linear_in=("x",), cases=CASES,
    vjp={"x": lambda g, x_shape, axis: _spread(g, x_shape, axis) / count(x_shape, axis)},
    doc="Mean of the elements, Σ x / n.",
)  # fmt: skip


def _last_tied(xp: Any, x: Any, out: Any, axis: Any) -> Any:
    """True at the last element along ``axis`` that equals the extreme ``out``."""
    axes = normal_axes(axis, x.ndim)
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    n = count(x.shape, axis)
    is_extreme = (x == kept(out, x.shape, axis)).transpose(rest + axes)
    rows = is_extreme.reshape((*[x.shape[a] for a in rest], n))
    last = n - 1 - rows[..., ::-1].argmax(axis=-1)
    chosen = (xp.arange(n) == last[..., None]) & rows
    back = [0] * x.ndim
    for i, a in enumerate(rest + axes):
        back[a] = i
    return chosen.reshape(is_extreme.shape).transpose(back)


last_tied = primitive(
    "last_tied", "x, out", forward=_last_tied, params={"axis": None}, cases=({"x": (2, 3), "out": ()},),
    doc="Where x equals its extreme, the last place only: the mask through which the gradient of max and min goes.",
)  # fmt: skip


def _extreme_rule(g: Any, x: Any, out: Any, axis: Any) -> Any:
    return where(last_tied(x, out, axis), kept(g, x.shape, axis), 0)


max_ = primitive(
    "max", "x", forward=lambda x, axis, keepdims: x.max(axis=axis, keepdims=keepdims), params=REDUCTION, cases=CASES,
    vjp={"x": _extreme_rule}, kinks={"x": "ties"}, doc="Largest element; the last of equal ones gets the gradient.",
)  # fmt: skip
min_ = primitive(
    "min", "x", forward=lambda x, axis, keepdims: x.min(axis=axis, keepdims=keepdims), params=REDUCTION, cases=CASES,
    vjp={"x": _extreme_rule}, kinks={"x": "ties"}, doc="Smallest element; the last of equal ones gets the gradient.",
)  # fmt: skip


def _without_one(x: Any, axis: Any) -> Any:
    """Rows of the reduced elements, repeated with a 1 in place of each element in turn: shape (rest, n, n)."""
    axes = normal_axes(axis, len(x.shape))
    rest = tuple(a for a in range(len(x.shape)) if a not in axes)
    rows = x.transpose(rest + axes).reshape((*[x.shape[a] for a in rest], count(x.shape, axis)))
    return where(eye_like(rows), 1, expand_dims(rows, -2))


def _prod_rule(g: Any, x: Any, axis: Any) -> Any:
    axes = normal_axes(axis, len(x.shape))
    rest = tuple(a for a in range(len(x.shape)) if a not in axes)
    others = prod(_without_one(x, axis), -1).reshape(tuple(x.shape[a] for a in rest + axes))
    back = tuple(sorted(range(len(x.shape)), key=(rest + axes).__getitem__))
    return kept(g, x.shape, axis) * others.transpose(back)


eye_like = primitive(
    "eye_like",
    "x: ... N -> N N",
    forward=lambda xp, x: xp.eye(x.shape[-1], dtype=bool),
    doc="The identity matrix, as a mask, of the last axis' size.",
)
prod = primitive(
    "prod", "x", forward=lambda x, axis, keepdims: x.prod(axis=axis, keepdims=keepdims), params=REDUCTION, cases=CASES,
    vjp={"x": _prod_rule}, label="Π",
    doc="Product of the elements, Π x; also right where some are 0 (takes n² memory then and always).",
)  # fmt: skip


def _cumsum_rule(g: Any, x_shape: Any, axis: Any) -> Any:
    at = -1 if axis is None else axis
    return flip(cumsum(flip(g, at), axis), at).reshape(x_shape)


cumsum = primitive(
    "cumsum", "x", forward="cumsum", params={"axis": None}, linear_in=("x",),
    cases=({}, {"axis": 0, "x": (3, 2)}, {"axis": -1, "x": (2, 3)}),
    vjp={"x": _cumsum_rule},
    doc="Sums of the first 1, 2, … elements along an axis (of the flattened array if None).",
)  # fmt: skip


def _cumprod_rule(g: Any, x: Any, axis: Any) -> Any:
    at = -1 if axis is None else axis
    rows = x.reshape((-1,)) if axis is None else x.swapaxes(at, -1)
    g = g if axis is None else g.swapaxes(at, -1)
    products = cumprod(where(eye_like(rows), 1, expand_dims(rows, -2)), -1)  # [..., k, i]: Π of x up to i without x_k
    dx = where(upper_like(products), products * expand_dims(g, -2), 0).sum(axis=-1)
    return dx.reshape(x.shape) if axis is None else dx.swapaxes(at, -1)


upper_like = primitive(
    "upper_like",
    "x: ... N N -> N N",
    forward=lambda xp, x: xp.tri(x.shape[-1], dtype=bool).T,
    doc="The upper triangle with the diagonal, as a mask.",
)
cumprod = primitive(
    "cumprod", "x", forward="cumprod", params={"axis": None}, vjp={"x": _cumprod_rule},
    cases=({}, {"axis": 0, "x": (3, 2)}, {"axis": -1, "x": (2, 3)}),
    doc="Products of the first 1, 2, … elements along an axis (of the flattened array if None).",
)  # fmt: skip

argmax = primitive(
    "argmax",
    "x",
    forward="argmax",
    params={"axis": None},
    doc="Position of the (first) largest element.",
    cases=({}, {"axis": 0, "x": (3, 2)}),
)
argmin = primitive(
    "argmin",
    "x",
    forward="argmin",
    params={"axis": None},
    doc="Position of the (first) smallest element.",
    cases=({}, {"axis": 0, "x": (3, 2)}),
)
argsort = primitive(
    "argsort", "x", forward=lambda x, axis: x.argsort(axis=axis, kind="stable"), params={"axis": -1},
    cases=({"x": (2, 3)},), doc="Positions of the elements in ascending order; equal ones keep theirs.",
)  # fmt: skip
any_ = primitive(
    "any", "x", forward="any", params={"axis": None}, domain={"x": "bool"}, doc="Whether any element is true."
)
all_ = primitive(
    "all", "x", forward="all", params={"axis": None}, domain={"x": "bool"}, doc="Whether all elements are true."
)
count_nonzero = primitive(
    "count_nonzero", "x", forward="count_nonzero", params={"axis": None}, doc="The number of elements that are not 0."
)


@composite("x", cases=({"x": (2, 3)}, {"axis": 0, "x": (3, 2)}))
def sort(x: Any, axis: int = -1) -> Any:
    """The elements in ascending order along an axis; equal ones keep their order."""
    return gather(x, argsort(x, axis), axis)


@composite("x", cases=CASES)
def var(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """Variance, Σ (x − mean)² / (n − ddof)."""
    deviations = square(x - mean(x, axis, True))
    return sum_(deviations, axis, keepdims) / (count(x.shape, axis) - ddof)


@composite("x", cases=CASES[1:])
def std(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """Standard deviation, the root of the variance."""
    return sqrt(var(x, axis, keepdims, ddof))


@composite("x", cases=CASES)
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """ln Σ eˣ without overflow: the largest element is taken out first."""
    shift = constant_max(x, axis)
    total = log(sum_(exp(x - shift), axis, True)) + shift
    return (
        total
        if keepdims
        else reshape(total, tuple(n for i, n in enumerate(x.shape) if i not in normal_axes(axis, len(x.shape))))
    )


def _finite_max(xp: Any, x: Any, axis: Any) -> Any:
    top = x.max(axis=axis, keepdims=True)
    return xp.where(xp.isfinite(top), top, 0)  # of all −∞: shift by nothing


constant_max = primitive(
    "constant_max", "x", forward=_finite_max, params={"axis": None},
    doc="The largest element along an axis as a constant: a shift under which exponentials do not overflow.",
)  # fmt: skip
