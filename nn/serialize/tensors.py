"""safetensors: the length of a JSON header, the header with each tensor's type, shape and place, then all numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nn.serialize.elements import ELEMENTS, Array
from nn.serialize.refusal import RefusedError, reading

_NAMES = {
    "BOOL": "bool", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "F16": "float16", "F32": "float32", "F64": "float64", "C64": "complex64",
    "BF16": "bfloat16", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn",
}  # fmt: skip


def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays by name, and the metadata.

    Raises: `DataError` for a file that the safetensors library does not accept, or an element type unknown to NumPy
    and to this reader.
    Source: https://github.com/huggingface/safetensors.
    """
    from safetensors import safe_open

    with reading(path, "a safetensors file"), open(path, "rb") as file:
        length, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
        if not 2 <= length <= size - 8:
            raise RefusedError(f"{size:,} bytes with a header of {length:,} bytes announced")
        with safe_open(path, framework="np"):
            pass  # what the library accepts has an honest header: tensors side by side, each of its shape's size
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", None) or {}
        return {name: _array(file, 8 + length, name, **entry) for name, entry in header.items()}, metadata


def _array(file: BinaryIO, body: int, name: str, dtype: str, shape: list[int], data_offsets: tuple[int, int]) -> Array:
    if dtype not in _NAMES:
        raise RefusedError(f"the tensor {name!r} of type {dtype}", f"convert it to one of {', '.join(_NAMES)}")
    start, stop = data_offsets
    file.seek(body + start)
    return ELEMENTS[_NAMES[dtype]].decode(np.fromfile(file, np.uint8, stop - start)).reshape(shape)
