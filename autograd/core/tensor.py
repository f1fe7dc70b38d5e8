"""The tensor: an array, and the node that made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import backend
from ..config import switches
from ..errors import DeviceError, DTypeError, GraphError, ShapeError
from . import inplace
from .node import Node, leaf
from .refusal import refusal
from .scope import state


def as_array(value: Any) -> Any:
    """Return ``value`` as an array of its library: NumPy scalars and Python numbers become 0-d arrays."""
    if type(value) is np.ndarray or (backend.is_array(type(value)) and not isinstance(value, np.generic)):
        return value
    return np.asarray(value)


def from_data(data: Any, floats: Any = None) -> Any:
    """Return data as an array: arrays keep their type; Python floats get the type ``floats``, or the default one."""
    if isinstance(data, Tensor):
        return data.data
    is_array = backend.is_array(type(data))
    try:
        if isinstance(data, (list, tuple)) and any(isinstance(d, Tensor) for d in data):
            data = [d.numpy() if isinstance(d, Tensor) else d for d in data]
        array = as_array(data) if is_array else np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"tensor: {error} → give rows of equal length") from error
    if array.dtype.kind not in "biufc":
        raise DTypeError(
            f"tensor: data has type {array.dtype} but numbers are needed "
            f"→ convert {type(data).__name__} to numbers first"
        )
    return array.astype(floats or switches.default_dtype) if array.dtype.kind == "f" and not is_array else array


def element_type(what: str, dtype: Any) -> np.dtype:
    """Return ``dtype`` as NumPy's, or raise ``DTypeError`` in the name of ``what``."""
    try:
        found = np.dtype("O" if dtype is None else dtype)
    except TypeError:
        found = np.dtype("O")
    if found.kind not in "biufc":
        raise DTypeError(f"{what}: dtype is {dtype!r} → give a type of numbers such as 'float32'")
    return found


def operand(op: str, name: str, x: Any) -> Any:
    """Return an input of a function that looks at its shape: numbers and lists become arrays of the host."""
    if hasattr(x, "shape"):
        return x
    array = np.asarray(x) if isinstance(x, (bool, int, float, complex, list, tuple)) else None
    if array is None or array.dtype.kind not in "biufc":
        raise DTypeError(f"{op}: {name} is {type(x).__name__} but numbers are needed → convert it with tensor(...)")
    return array


class Tensor:
    """An array that remembers how it was computed.

    ``data`` is the array of the backend, ``node`` its place in the graph, or None for a constant. Methods and operators
    are NumPy's; they are installed from the declared operations.

    Args:
        data: an array (not copied), a tensor, or nested lists of numbers.
        requires_grad: whether gradients with respect to this tensor are wanted; needs a floating type.

    >>> w = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> loss.backward()
    >>> w.grad
    tensor([2., 4., 6.])
    """

    __slots__ = ("data", "node")

    data: Any
    node: Node | None

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data, self.node = from_data(data), None
        if requires_grad:
            self.requires_grad_()

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The size along each axis."""
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """The element type, a ``numpy.dtype``."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """The device that holds the array: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ..."""
        return backend.of(self.data).device_of(self.data)

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor. Set it on leaves only."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        self.requires_grad_(on)

    def requires_grad_(self, on: bool = True) -> Tensor:
        """Ask for gradients with respect to this leaf, or stop asking; return the tensor."""
        if on and self.node is None:
            if self.dtype.kind != "f":
                raise DTypeError(
                    f"requires_grad: dtype is {self.dtype} but only floating types have gradients → .to('float32')"
                )
            self.node = leaf(self.shape, self.dtype)
        elif not on and self.node is not None:
            if self.node.op is not None:
                raise GraphError(f"requires_grad: this tensor was made by {self.node.op.name} → use .detach()")
            self.node = None
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self.node is None or self.node.op is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward`` has added up in this leaf, or None. For other tensors use ``gradients``."""
        return self.node.grad if self.node is not None and self.node.op is None else None

    @grad.setter
    def grad(self, value: Any) -> None:
        value = value if value is None or isinstance(value, Tensor) else Tensor(value)
        if self.node is None or self.node.op is not None:
            if value is None:
                return
            raise GraphError("grad: only a leaf with requires_grad=True keeps a gradient → call requires_grad_() first")
        if value is not None and (value.shape != self.shape or value.device != self.device):
            raise ShapeError(
                f"grad: has shape {value.shape} on {value.device!r} but the tensor {self.shape} on {self.device!r} "
                "→ make them equal"
            )
        if value is not None and value.dtype != self.dtype:
            value = value.astype(self.dtype)
        self.node.grad = None if value is None else value.detach()

    # --- gradients ----------------------------------------------------------------------------------------------------

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf it was computed from.

        Args:
            gradient: the gradient of the final result with respect to this tensor, of its shape; 1 if this is a scalar.
            retain_graph: keep the graph for another call; otherwise it is freed on the way.

        Raises:
            GraphError: if nothing was recorded, the graph was freed, or this is not a scalar and ``gradient`` is
                missing.
            ShapeError: if ``gradient`` has another shape.
        """
        from .sweep import backward

        backward(self, gradient, retain_graph)

    def detach(self) -> Tensor:
        """Return a constant that shares this tensor's array."""
        if self.node is not None and state.trace is not None:
            state.trace.cut(self.data, self.node)
        return make(self.data)

    # --- to and from the host -----------------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """Return the values as a NumPy array: the same memory on the CPU, a copy from another device."""
        if self.node is not None and state.trace is None:  # a traced run's inputs have nodes: it may look at them
            raise GraphError(f"numpy: tensor of shape {self.shape} requires gradients → .detach().numpy()")
        return backend.of(self.data).to_host(self.detach().data)

    def item(self) -> Any:
        """Return the only element as a Python number."""
        if self.size != 1:
            raise ShapeError(
                f"item: tensor has shape {self.shape}, that is {self.size} elements, but exactly 1 is needed "
                "→ index it first"
            )
        return self.data.item()

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return self.detach().numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.device != "cpu":
            raise DeviceError(f"numpy: tensor is on {self.device!r} → .cpu() first")
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from .primitive import registry

        if method != "__call__" or options or ufunc.__name__ not in registry:
            return NotImplemented
        if ufunc is np.matmul:  # also of vectors
            x, y = inputs
            return x @ y if isinstance(x, Tensor) else y.__rmatmul__(x)
        return registry[ufunc.__name__].call(*inputs)

    # --- in place -----------------------------------------------------------------------------------------------------

    def __setitem__(self, index: Any, value: Any) -> None:
        from .primitive import registry

        index = unwrap_index(index)

        def write(array: Any, value: Any) -> Any:
            array[index] = value
            return array

        self._update(write, registry["set_item"].call, value, index)

    def _update(self, write: Callable[[Any, Any], Any], op: Any, value: Any, *params: Any) -> Tensor:
        """Change this tensor as ``op`` says: in place where nothing is recorded, otherwise it stands for the result."""
        raw = value.data if isinstance(value, Tensor) else value
        if backend.is_array(type(raw)) and not isinstance(raw, np.generic):
            there = backend.of(raw).device_of(raw)
            if there != self.device:
                raise DeviceError(
                    f"in place: tensor on {self.device!r}, value on {there!r} → move it with .to({self.device!r})"
                )
        if self._must_record(value):
            changed = op(self, value, *params)
            if changed.shape != self.shape:
                raise ShapeError(
                    f"in place: value has shape {np.shape(value)} but the tensor {self.shape} "
                    "→ the value must broadcast to the tensor"
                )
            changed = changed if changed.dtype == self.dtype else changed.astype(self.dtype)
            self.data, self.node = changed.data, changed.node
            return self
        try:
            self.data = write(self.data, raw)
        except Exception as error:
            raise refusal(op.op, error, (self.data, raw), params) from error
        inplace.stamp(self.data)
        return self

    def _must_record(self, value: Any) -> bool:
        flows = self.node is not None or (isinstance(value, Tensor) and value.node is not None)
        if not flows or state.scope is None:
            return False
        if self.node is not None and self.node.op is None:
            raise GraphError(
                f"in place: this leaf of shape {self.shape} requires gradients, and writing to it cannot be recorded → "
                "write inside `with no_grad():`, or compute a new tensor"
            )
        if self.dtype.kind != "f":
            raise DTypeError(
                f"in place: value requires gradients but the tensor is {self.dtype}, which has none → .to('float32')"
            )
        return True

    # --- Python's protocols -------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        values = np.array2string(
            backend.of(self.data).to_host(self.data), separator=", ", prefix="tensor(", threshold=200
        )
        extra = "" if self.dtype.name in (switches.default_dtype, "int64", "bool") else f", dtype={self.dtype.name}"
        extra += "" if self.device == "cpu" else f", device={self.device!r}"
        if self.node is not None:
            extra += ", requires_grad=True" if self.node.op is None else f", op={self.node.op.name}"
        return f"tensor({values}{extra})"

    def __len__(self) -> int:
        if self.ndim == 0:
            raise ShapeError("len: tensor has no axes → use .size")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(f"index: dtype is {self.dtype} but an integer is needed → int(...)")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __hash__(self) -> int:
        return id(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise GraphError(f"deepcopy: this tensor was made by {self.node.op.name} → copy .detach() instead")  # type: ignore[union-attr]
        copied = object.__new__(type(self))
        copied.data, copied.node = self.data.copy(), None
        memo[id(self)] = copied
        return copied.requires_grad_(self.requires_grad)

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_leaf:
            raise GraphError(f"pickle: this tensor was made by {self.node.op.name} → pickle .detach() instead")  # type: ignore[union-attr]
        return type(self), (self.detach().numpy(), self.requires_grad)

    # Installed by ``autograd.ops`` from the declared operations.
    __add__: ClassVar[Callable[..., Tensor]]
    __radd__: ClassVar[Callable[..., Tensor]]
    __sub__: ClassVar[Callable[..., Tensor]]
    __rsub__: ClassVar[Callable[..., Tensor]]
    __mul__: ClassVar[Callable[..., Tensor]]
    __rmul__: ClassVar[Callable[..., Tensor]]
    __truediv__: ClassVar[Callable[..., Tensor]]
    __rtruediv__: ClassVar[Callable[..., Tensor]]
    __floordiv__: ClassVar[Callable[..., Tensor]]
    __mod__: ClassVar[Callable[..., Tensor]]
    __pow__: ClassVar[Callable[..., Tensor]]
    __rpow__: ClassVar[Callable[..., Tensor]]
    __matmul__: ClassVar[Callable[..., Tensor]]
    __rmatmul__: ClassVar[Callable[..., Tensor]]
    __neg__: ClassVar[Callable[..., Tensor]]
    __pos__: ClassVar[Callable[..., Tensor]]
    __abs__: ClassVar[Callable[..., Tensor]]
    __lt__: ClassVar[Callable[..., Tensor]]
    __le__: ClassVar[Callable[..., Tensor]]
    __gt__: ClassVar[Callable[..., Tensor]]
    __ge__: ClassVar[Callable[..., Tensor]]
    __and__: ClassVar[Callable[..., Tensor]]
    __or__: ClassVar[Callable[..., Tensor]]
    __xor__: ClassVar[Callable[..., Tensor]]
    __invert__: ClassVar[Callable[..., Tensor]]
    __getitem__: ClassVar[Callable[..., Tensor]]
    __iter__: ClassVar[Callable[..., Iterator[Tensor]]]

    if TYPE_CHECKING:
        T: Tensor
        mT: Tensor

        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]

        def __getattr__(self, name: str) -> Callable[..., Tensor]: ...


def make(data: Any, node: Node | None = None) -> Tensor:
    """Return the tensor of an array and its node, without looking at either."""
    tensor = object.__new__(Tensor)
    tensor.data, tensor.node = data, node
    return tensor


def named(name: str, value: Tensor) -> Tensor:
    """Call a value ``name`` in diagrams: ``h = named("h", tanh(...))``; return it.

    A value that an operation made belongs from now on to a place of its own inside the place where it was made. Values
    that nothing is recorded for stay as they are.

    >>> import autograd
    >>> x = named("x", autograd.tensor([0.5], requires_grad=True))
    >>> named("h", autograd.tanh(x)).node
    <tanh in h (1,)>
    """
    node = getattr(value, "node", None)  # an array has none
    if node is not None and not (node.scope.kind == "value" and node.scope.name == name):
        node.scope = node.scope.child(name, kind="value")
    return value


def unwrap_index(index: Any) -> Any:
    """Return an index with tensors in it replaced by their arrays."""
    if isinstance(index, Tensor):
        return index.data
    if isinstance(index, tuple):
        return tuple(unwrap_index(i) for i in index)
    return index
