"""Making tensors: from data, of zeros, ones and numbers in order."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import backend
from .config import switches
from .core.tensor import Tensor, element_type, from_data
from .ops.device import to_device

Shape = int | tuple[int, ...]


def tensor(data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Copy ``data`` into a new tensor.

    Args:
        data: nested lists of numbers, an array of any known library, or a tensor. Python floats get the default type.
        dtype: the element type; that of ``data`` if None.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; where ``data`` is if None.
        requires_grad: whether gradients with respect to it are wanted.

    Raises:
        DTypeError: if ``data`` is not made of numbers, or gradients are wanted of integers.
        DeviceError: if the device is not there.

    >>> tensor([[1, 2], [3, 4]], dtype="float32").shape
    (2, 2)
    """
    made = from_data(data, None if dtype is None else element_type("tensor", dtype))
    moved = made if device is None else to_device(made, device)
    wanted = moved.dtype if dtype is None else element_type("tensor", dtype)
    copied = moved.copy() if wanted == moved.dtype else moved.astype(wanted)
    return Tensor(copied, requires_grad)


def _type(dtype: Any) -> np.dtype:
    return element_type("creation", dtype or switches.default_dtype)


def _on(device: str, array: np.ndarray, requires_grad: bool = False) -> Tensor:
    return Tensor(backend.by_name(device).from_host(array, device), requires_grad)


def zeros(shape: Shape, dtype: Any = None, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return _on(device, np.zeros(shape, _type(dtype)), requires_grad)


def ones(shape: Shape, dtype: Any = None, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return _on(device, np.ones(shape, _type(dtype)), requires_grad)


def full(shape: Shape, value: Any, dtype: Any = None, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor with ``value`` everywhere; its type is the default one unless given."""
    return _on(device, np.full(shape, value, _type(dtype)), requires_grad)


def empty(shape: Shape, dtype: Any = None, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor whose elements are not set."""
    return _on(device, np.empty(shape, _type(dtype)), requires_grad)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, device: str = "cpu") -> Tensor:
    """Numbers from ``start`` (0 if one argument) up to but without ``stop``; integers unless an argument is a float.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    dtype = None if dtype is None else _type(dtype)
    array = np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype=dtype)
    if dtype is None and array.dtype.kind == "f":
        array = array.astype(switches.default_dtype)
    return _on(device, array)


def eye(n: int, m: int | None = None, dtype: Any = None, device: str = "cpu") -> Tensor:
    """The identity matrix, n × m."""
    return _on(device, np.eye(n, m, dtype=_type(dtype)))


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of the shape, type and device of ``x``."""
    return Tensor(backend.of(x.data).xp.zeros_like(x.data))


def ones_like(x: Tensor) -> Tensor:
    """Ones of the shape, type and device of ``x``."""
    return Tensor(backend.of(x.data).xp.ones_like(x.data))


def full_like(x: Tensor, value: Any) -> Tensor:
    """``value`` everywhere, of the shape, type and device of ``x``."""
    return Tensor(backend.of(x.data).xp.full_like(x.data, value))
