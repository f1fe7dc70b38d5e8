"""Element types as files name them; those that NumPy lacks are read into the next wider type that it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Order: TypeAlias = Literal["<", ">"]


class Element(NamedTuple):
    """How an element lies in a file (NumPy's code, without byte order), and what turns it into numbers."""

    code: str
    widen: Callable[[Array], Array] | None = None

    @property
    def size(self) -> int:
        """Bytes of one element in the file."""
        return np.dtype(self.code).itemsize

    def decode(self, raw: Array, order: Order = "<") -> Array:
        """Numbers of the machine's own byte order; they share memory with the bytes `raw` where they can."""
        stored = np.dtype(self.code).newbyteorder(order)
        numbers = raw[: raw.size - raw.size % self.size].view(stored)
        numbers = numbers.astype(stored.newbyteorder("="), copy=False)
        return numbers if self.widen is None else self.widen(numbers)


def _bfloat16(bits: Array) -> Array:
    """The upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _float8_e5m2(bits: Array) -> Array:
    """The upper half of a float16."""
    return (bits.astype(np.uint16) << 8).view(np.float16)


def _float8_e4m3fn(bits: Array) -> Array:
    """A float16 with one bit less of exponent, so its bias is 7 instead of 15; the largest pattern is NaN."""
    wide = bits.astype(np.uint16)
    numbers = ((wide & 0x80) << 8 | (wide & 0x7F) << 7).view(np.float16) * np.float16(2**8)
    return np.where(bits & 0x7F == 0x7F, np.float16(np.nan), numbers)


ELEMENTS = {
    **{name: Element(np.dtype(name).str[1:]) for name in (
        "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
        "float16", "float32", "float64", "complex64", "complex128",
    )},
    "bfloat16": Element("u2", _bfloat16),
    "float8_e5m2": Element("u1", _float8_e5m2),
    "float8_e4m3fn": Element("u1", _float8_e4m3fn),
}  # fmt: skip
"""By the name that PyTorch and NumPy give them."""
