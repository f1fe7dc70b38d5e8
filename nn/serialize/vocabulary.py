"""What the names in a pickle of tensors mean: containers, storages and their tensors, NumPy's arrays and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nn.serialize.elements import ELEMENTS, Array, Order
from nn.serialize.pickles import Described, Vocabulary
from nn.serialize.refusal import RefusedError

# --- PyTorch: a tensor is a view of a storage, a run of numbers that several tensors may share ---


@dataclass(eq=False)
class Storage(Described):
    """Numbers that lie elsewhere in the file: `count` elements of a type, perhaps part of another storage."""

    dtype: str
    count: int
    root: Storage | None = None
    start: int = 0
    raw: Array | None = None
    order: Order = "<"
    _decoded: dict[str, Array] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Its size in the file."""
        return self.count * ELEMENTS[self.dtype].size

    def numbers(self, dtype: str) -> Array:
        """The elements read as that type; every call returns the same memory."""
        if self.root is not None:
            return self.root.numbers(dtype)[self.start : self.start + self.count]
        if self.raw is None:
            raise RefusedError("a storage whose numbers the file lacks")
        if dtype not in self._decoded:
            self._decoded[dtype] = ELEMENTS[dtype].decode(self.raw, self.order)
        return self._decoded[dtype]


@dataclass(eq=False)
class StridedTensor(Described):
    """A tensor: where it begins in its storage, its shape, and the steps between elements along each axis."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    transform: tuple[Callable[[Array], Array], ...] = ()

    @property
    def nbytes(self) -> int:
        """What it would take by itself, in bytes."""
        return math.prod(self.shape) * ELEMENTS[self.dtype].size

    def array(self) -> Array:
        """A view of the storage's numbers.

        Raises: `RefusedError` where it reaches beyond them.
        """
        numbers = self.storage.numbers(self.dtype)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides))
        if 0 not in self.shape and last >= numbers.size:
            raise RefusedError(f"a tensor that ends at element {last:,} of a storage of {numbers.size:,}")
        start = self.offset if 0 not in self.shape else 0
        steps = [step * numbers.itemsize for step in self.strides]
        view: Array = np.lib.stride_tricks.as_strided(numbers[start:], self.shape, steps)
        for change in self.transform:
            view = change(view)
        return view


_TRANSFORMS: dict[str, Callable[[Array], Array]] = {"conj": np.conjugate, "neg": np.negative}


def strided(storage: Any, dtype: Any, offset: Any, shape: Any, strides: Any, metadata: Any = None) -> StridedTensor:
    """Describe a tensor, if every argument is what it should be."""
    if not isinstance(storage, Storage):
        raise RefusedError(f"a tensor without a storage but with a {type(storage).__name__}")
    if dtype not in ELEMENTS:
        raise RefusedError(f"a tensor of type {dtype}", f"convert it to one of {', '.join(ELEMENTS)}")
    sizes, steps, offset = whole_numbers(shape), whole_numbers(strides), whole_number(offset)
    if len(sizes) != len(steps):
        raise RefusedError(f"a tensor of shape {sizes} with strides {steps}")
    changes = tuple(_TRANSFORMS[key] for key, wanted in (metadata or {}).items() if wanted)
    return StridedTensor(storage, dtype, offset, sizes, steps, changes)


def whole_numbers(values: Any) -> tuple[int, ...]:
    """The values, if they are sizes, steps or places: at most 64 numbers that are not negative."""
    if not isinstance(values, (tuple, list)) or len(values) > 64:
        raise RefusedError(f"a {type(values).__name__} instead of at most 64 sizes or strides")
    if not all(type(value) is int and value >= 0 for value in values):
        raise RefusedError(f"sizes or strides {str(values)[:100]}")
    return tuple(values)


def whole_number(value: Any) -> int:
    """The value, if it is a count or a place."""
    return whole_numbers((value,))[0]


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StridedTensor:
    metadata = rest[2] if len(rest) > 2 else None  # after requires_grad and hooks
    return strided(storage, getattr(storage, "dtype", None), offset, shape, strides, metadata)


def _rebuild_tensor_v3(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: str, metadata: Any = None
) -> StridedTensor:
    return strided(storage, dtype.removeprefix("torch."), offset, shape, strides, metadata)


def _rebuild_parameter(data: Any, *requires_grad_hooks_state: Any) -> StridedTensor:
    if not isinstance(data, StridedTensor):
        raise RefusedError(f"a parameter made of a {type(data).__name__}")
    return data


def _rebuild_from_type(function: str, kind: str, arguments: Any, state: Any) -> Any:
    rebuild = VOCABULARY.get(function) if function.startswith("torch._utils._rebuild") else None
    if kind not in ("torch.Tensor", "torch.nn.parameter.Parameter") or rebuild is None:
        raise RefusedError(f"a tensor of the class {kind} rebuilt by {function}")
    return rebuild(*arguments)


STORAGES = {
    "Bool": "bool", "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
    "Half": "float16", "Float": "float32", "Double": "float64", "BFloat16": "bfloat16",
    "ComplexFloat": "complex64", "ComplexDouble": "complex128", "Untyped": "uint8",
}  # fmt: skip


def storage_type(name: Any) -> str:
    """The element type of a storage's class."""
    kind = str(name).rpartition(".")[2].removesuffix("Storage")
    if kind not in STORAGES:
        raise RefusedError(f"a storage of the class {name}")
    return STORAGES[kind]


# --- NumPy ---


@dataclass(eq=False)
class NumPyType(Described):
    """A dtype: its code, and the byte order that its state tells."""

    code: str
    order: str = "<"

    def build(self, state: Any) -> None:
        """Take `(version, order, …)`; what describes fields of records is refused with the code."""
        self.order = {"<": "<", ">": ">", "|": "<"}[state[1]]

    def numbers(self, data: Any, count: int) -> Array:
        """The numbers that `count` elements of bytes stand for.

        Raises: `RefusedError` for another number of bytes, or elements that are no numbers.
        """
        if self.code[:1] not in "biufc" or not self.code[1:].isdigit():
            raise RefusedError(f"a NumPy array of type {self.code!r}", "keep numeric arrays only")
        stored = np.dtype(self.order + self.code)
        if not isinstance(data, (bytes, bytearray)) or len(data) != count * stored.itemsize:
            raise RefusedError(f"a NumPy array with {len(data):,} bytes, expected {count * stored.itemsize:,}")
        return np.frombuffer(data, stored).astype(stored.newbyteorder("="))


@dataclass(eq=False)
class NumPyArray(Described):
    """An array: its numbers as bytes, in the order of C or of Fortran."""

    dtype: NumPyType | None = None
    shape: tuple[int, ...] = ()
    fortran: bool = False
    data: bytes = b""

    def build(self, state: Any) -> None:
        """Take `(version, shape, dtype, is_fortran, bytes)`."""
        _, shape, dtype, fortran, data = state
        self.dtype, self.shape, self.fortran, self.data = _dtype(dtype), whole_numbers(shape), bool(fortran), data

    @property
    def nbytes(self) -> int:
        """Its size in memory."""
        return len(self.data)

    def array(self) -> Array:
        """A copy that can be written to."""
        if self.dtype is None:
            raise RefusedError("a NumPy array without its numbers")
        numbers = self.dtype.numbers(self.data, math.prod(self.shape))
        return numbers.reshape(self.shape, order="F" if self.fortran else "C")


def _dtype(value: Any) -> NumPyType:
    if not isinstance(value, NumPyType):
        raise RefusedError(f"a NumPy array of a {type(value).__name__} for a type")
    return value


def _reconstruct(kind: Any, shape: Any, code: Any) -> NumPyArray:
    return NumPyArray()


def _scalar(dtype: Any, data: Any) -> Any:
    return _dtype(dtype).numbers(data, 1)[0].item()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> NumPyArray:
    return NumPyArray(_dtype(dtype), whole_numbers(shape), order == "F", data)


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"bytes encoded as {encoding}")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """How protocols before 3 write `b""`; with an argument it would set memory aside."""
    return b""


def _ordered_dict(pairs: Iterable[tuple[Any, Any]] = ()) -> dict[Any, Any]:
    if any(not isinstance(key, str) for key, _ in pairs):
        raise RefusedError("an OrderedDict whose keys are not strings")
    return dict(pairs)


_BUILTINS: Vocabulary = {"bytes": _no_bytes, "complex": lambda real, imag: complex(float(real), float(imag))}
_NUMPY: Vocabulary = {
    "multiarray._reconstruct": _reconstruct,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _from_buffer,
}

VOCABULARY: Vocabulary = {
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": whole_numbers,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Tensor": None,
    "torch.nn.parameter.Parameter": None,
    **{
        f"{module}.{kind}{what}": None
        for module in ("torch", "torch.cuda", "torch.storage")
        for kind in STORAGES
        for what in ("Storage", "Tensor")
    },
    **{f"torch.{name}": None for name in ELEMENTS},
    "_codecs.encode": _encode,
    **{f"{module}.{name}": meaning for module in ("builtins", "__builtin__") for name, meaning in _BUILTINS.items()},
    **{f"{core}.{name}": meaning for core in ("numpy.core", "numpy._core") for name, meaning in _NUMPY.items()},
    "numpy.ndarray": None,
    "numpy.dtype": lambda code, *align_copy: NumPyType(str(code)),
}
