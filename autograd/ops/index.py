"""Indexing and its adjoint: reading elements, and adding values up at places.

>>> import autograd
>>> x = autograd.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
>>> (x[[0, 0, 2]].sum() + x[1:, 0].sum()).backward()
>>> x.grad
tensor([[2., 2.],
        [1., 0.],
        [2., 1.]])
>>> autograd.gather(x.detach(), autograd.tensor([[1], [0], [1]]), axis=1).tolist()
[[2.0], [3.0], [6.0]]
>>> autograd.scatter_add(autograd.ones((1, 3)), autograd.tensor([[0, 2, 0]]), (1, 4), axis=1)
tensor([[2., 0., 1., 0.]])
"""

from __future__ import annotations

from typing import Any

from .. import backend
from ..config import switches
from ..core.primitive import REQUIRED, primitive
from ..core.tensor import Tensor, operand, unwrap_index
from ..errors import DTypeError, IndexingError


def _may_repeat(index: Any) -> bool:
    """Whether an index can name an element twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(i, "dtype", None) is not None and i.dtype.kind in "iu" and i.ndim for i in parts)


def _scatter(xp: Any, x: Any, index: Any, shape: Any) -> Any:
    out = xp.zeros(shape, x.dtype)
    if _may_repeat(index):
        xp.add.at(out, index, x)
    else:
        out[index] = x
    return out


def _index(x: Any, *rest: Any) -> tuple[Any, ...]:
    """The index with its lists and tensors as arrays on the device of x."""
    return (_on_device(unwrap_index(rest[-1]), x),)


def _on_device(index: Any, x: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_on_device(i, x) for i in index)
    if not isinstance(index, list):
        return index
    array = backend.of(x).xp.asarray(index)
    return array if array.size else array.astype("int64")


getitem = primitive(
    "getitem", "x", forward=lambda x, index: x[index], params={"index": REQUIRED}, prepare=_index, linear_in=("x",),
    label="[ ]", vjp={"x": lambda g, x_shape, index: scatter(g, index, x_shape)},
    cases=(
        {"index": 1, "x": (3, 2)}, {"index": (slice(None, None, -2), 0), "x": (4, 2)},
        {"index": (..., None, slice(1, 3)), "x": (2, 4)}, {"index": [0, 2, 0], "x": (3, 2)},
        {"index": ([0, 1, 1], [1, 0, 0]), "x": (2, 3)}, {"index": [True, False, True], "x": (3, 2)},
    ),
    doc="Elements by slices, integers, masks and integer arrays, as in NumPy.",
)  # fmt: skip
scatter = primitive(
    "scatter", "x", forward=_scatter, params={"index": REQUIRED, "shape": REQUIRED}, linear_in=("x",),
    prepare=lambda x, index, shape: (*_index(x, index), tuple(shape)), vjp={"x": lambda g, index: getitem(g, index)},
    cases=({"index": 1, "shape": (3, 2), "x": (2,)}, {"index": [0, 2, 0], "shape": (3, 2), "x": (3, 2)}),
    doc="Zeros of ``shape`` with x added at ``index``; what falls on one place adds up. The adjoint of indexing.",
)  # fmt: skip


def _set_item(x: Any, value: Any, index: Any) -> Any:
    out = x.copy()
    out[index] = value
    return out


set_item = primitive(
    "set_item", "x, value", forward=_set_item, params={"index": REQUIRED}, prepare=_index,
    vjp={"x": lambda g, index: set_item(g, 0.0, index), "value": lambda g, index: getitem(g, index)},
    cases=({"index": 1, "x": (3, 2), "value": (2,)}, {"index": (slice(0, 2), 0), "x": (3, 2), "value": ()}),
    doc="x with ``value`` at ``index``; an index array must not name a place twice.",
)  # fmt: skip


def _along(xp: Any, index: Any, axis: int) -> tuple[Any, ...]:
    """The full index of the elements that ``index`` names along ``axis``."""
    axis %= index.ndim
    return tuple(
        index if a == axis else xp.arange(n).reshape([n if b == a else 1 for b in range(index.ndim)])
        for a, n in enumerate(index.shape)
    )


def axis_of(op: str, axis: Any, x: Any) -> int:
    """Return the number of an axis of ``x``, counted from 0."""
    ndim = len(x.shape)
    if not hasattr(axis, "__index__") or not -ndim <= axis < ndim:
        raise IndexingError(
            f"{op}: axis is {axis!r} but x has shape {tuple(x.shape)} → give an integer from {-ndim} to {ndim - 1}"
            if ndim
            else f"{op}: x has shape () and so no axis {axis!r} → reshape it"
        )
    return int(axis) % ndim


def _gather_axis(x: Any, index: Any, axis: int) -> tuple[int]:
    if getattr(getattr(index, "dtype", None), "kind", "") not in "iu":
        raise DTypeError(
            f"gather: index has type {getattr(index, 'dtype', type(index).__name__)} but integers are needed "
            "→ index.astype('int64')"
        )
    if index.ndim != x.ndim or not -x.ndim <= axis < x.ndim:
        raise IndexingError(
            f"gather: x has shape {x.shape}, index {index.shape}, axis={axis} "
            "→ give index as many axes as x, and one of them as axis"
        )
    return (axis,)


gather = primitive(
    "gather", "x, index", forward=lambda xp, x, index, axis: x[_along(xp, index, axis)], params={"axis": REQUIRED},
    prepare=_gather_axis, domain={"index": "index"}, linear_in=("x",),
    vjp={"x": lambda g, x_shape, index, axis: scatter_add(g, index, x_shape, axis)},
    cases=({"axis": 0, "x": (3, 2), "index": (4, 2)}, {"axis": -1, "x": (2, 3), "index": (2, 2)}),
    doc="out[i, j] = x[i, index[i, j]] for axis 1, and alike for others (NumPy's take_along_axis, PyTorch's gather).",
)  # fmt: skip
take_along_axis = gather


def _scatter_add(xp: Any, x: Any, index: Any, shape: Any, axis: int) -> Any:
    out = xp.zeros(shape, x.dtype)
    xp.add.at(out, _along(xp, index, axis), x)
    return out


scatter_add = primitive(
    "scatter_add", "x, index", forward=_scatter_add, params={"shape": REQUIRED, "axis": REQUIRED},
    domain={"index": "index"}, linear_in=("x",), vjp={"x": lambda g, index, axis: gather(g, index, axis)},
    cases=({"axis": 0, "shape": (3, 2), "x": (4, 2), "index": (4, 2)},),
    doc="Zeros of ``shape`` with out[i, index[i, j]] += x[i, j] for axis 1, and alike for others. "
    "The adjoint of gather.",
)  # fmt: skip


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements (or slices along ``axis``) at integer positions, of the flattened array if ``axis`` is None.

    >>> import autograd
    >>> autograd.take(autograd.tensor([10.0, 20.0, 30.0]), [2, 0])
    tensor([30., 10.])
    """
    x = operand("take", "x", x)
    if axis is None:
        return getitem(x.reshape((-1,)), indices if not isinstance(indices, tuple) else list(indices))
    return getitem(x, (*[slice(None)] * axis_of("take", axis, x), indices))


def one_hot(indices: Any, classes: int, dtype: Any = None) -> Tensor:
    """Rows of zeros with a 1 at each index: out[i, indices[i]] = 1.

    Args:
        indices: integers in 0 … classes − 1, of any shape.
        classes: the size of the new last axis.
        dtype: the element type; the default one if None.

    >>> one_hot([2, 0], 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    raw = (indices if isinstance(indices, Tensor) else Tensor(indices)).data
    xp = backend.of(raw).xp
    check_indices("one_hot", raw, classes)
    return Tensor((xp.arange(classes) == raw[..., None]).astype(dtype or switches.default_dtype))


def check_indices(op: str, indices: Any, size: int) -> None:
    """Raise unless the array ``indices`` holds integers from 0 to ``size`` − 1."""
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{op}: indices have type {indices.dtype} but integers are needed → .astype('int64')")
    if bool(((indices < 0) | (indices >= size)).any()):
        raise IndexingError(
            f"{op}: indices run from {int(indices.min())} to {int(indices.max())} but must lie in 0 … {size - 1}"
        )


def _embedding(indices: Any, w: Any) -> Any:
    check_indices("embedding", indices, w.shape[0])
    return w[indices]


embedding = primitive(
    "embedding", "indices: ..., w: V D -> ... D", forward=_embedding, domain={"indices": "index"}, linear_in=("w",),
    vjp={"w": lambda g, indices, w_shape: embedding_dw(
        g.reshape((indices.size, w_shape[1])), indices.reshape((indices.size,)), w_shape[0]
    )},
    doc="Rows of the table w, one for each index; a row's gradient is the sum over its uses.",
)  # fmt: skip
embedding_dw = primitive(
    "embedding_dw", "y: N D, indices: N -> V D", params={"rows": REQUIRED},
    forward=lambda xp, y, indices, rows: _scatter(xp, y, indices, (rows, y.shape[1])),
    dims=lambda sizes, params: {"V": params["rows"]}, domain={"indices": "index rows"}, linear_in=("y",),
    vjp={"y": lambda g, indices: embedding(indices, g)}, cases=({"rows": 3, "D": 2},),
    doc="A table of so many ``rows``, each the sum of the rows of y that its index names: the adjoint of embedding.",
)  # fmt: skip
