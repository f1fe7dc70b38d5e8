"""A checkpoint's nest as JSON and arrays: what `save` puts into a safetensors file, and its inverse."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from autograd import Tensor
from autograd.errors import DTypeError
from nn.serialize.elements import Array

# --- the nest as JSON: a list stands for itself, what JSON lacks is an object with one key that names its kind ---


def describe(value: Any, where: str, arrays: dict[str, Array]) -> Any:
    """`value` as plain JSON; its arrays are moved into `arrays` and referred to by name."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (np.bool_, np.number)) and value.dtype.itemsize <= 8:
        return describe(value.item(), where, arrays)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, (Tensor, np.ndarray)):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        return {kind: _store(value, where, arrays)}
    if isinstance(value, (list, tuple)):
        items = [describe(item, _join(where, i), arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        # Pairs, not a JSON object: keys may be integers, and their order is the order of definition.
        return {"dict": [[_key(k, where), describe(v, _join(where, k), arrays)] for k, v in value.items()]}
    raise DTypeError(
        f"save: {where or 'the object'} is a {type(value).__name__}, expected tensors, arrays, numbers, strings, "
        "bools, None, or dicts, lists and tuples of them → save its state_dict() or convert it (nothing is pickled)"
    )


def _key(key: Any, where: str) -> str | int:
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise DTypeError(
            f"save: {where or 'the object'} has the key {key!r} of type {type(key).__name__}, expected str or int"
            " → rename the key"
        )
    return key


def _join(where: str, key: Any) -> str:
    return f"{where}.{key}" if where else str(key)


def _store(value: Tensor | Array, where: str, arrays: dict[str, Array]) -> str:
    array = np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value, order="C")
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 8:
        raise DTypeError(
            f"save: {where or 'the object'} has dtype {array.dtype}, expected bool, (u)int8-64, float16-64 or complex64"
            " → convert it first"
        )
    name = where or "tensor"
    while name in arrays:  # {"a": {"b": x}, "a.b": y} would share a name
        name += "'"
    arrays[name] = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return name


def rebuild(node: Any, arrays: Mapping[str, Array], wrap: Callable[[Array], Tensor]) -> Any:
    """The inverse of `describe`. Raises KeyError, TypeError or ValueError for anything that it never writes."""
    if isinstance(node, list):
        return [rebuild(item, arrays, wrap) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    match kind:
        case "tensor":
            return wrap(arrays[content])
        case "array":
            return arrays[content].copy()
        case "float":
            return float(content)
        case "tuple":
            return tuple(rebuild(item, arrays, wrap) for item in content)
        case "dict":
            return {key: rebuild(item, arrays, wrap) for key, item in content}
    raise ValueError(f"unknown kind {kind!r}")


def checksum(structure: str, arrays: Mapping[str, Array]) -> str:
    """CRC-32 over the structure and all arrays: safetensors itself does not notice a flipped bit."""
    crc = zlib.crc32(structure.encode())
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(f"{name}:{array.dtype.str}:{array.shape}".encode(), crc)
        crc = zlib.crc32(np.asarray(array, order="C").reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"
