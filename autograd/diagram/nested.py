"""Values inside values: tensors in lists, dictionaries, named tuples and data classes, each with a name."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .. import backend
from ..core.tensor import Tensor


def is_value(x: Any) -> bool:
    """Return whether ``x`` is a tensor or an array."""
    return isinstance(x, Tensor) or (backend.is_array(type(x)) and not isinstance(x, np.generic))


def parts(x: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The parts of a container with their names: a list's are numbered from 1, others have names of their own."""
    if isinstance(x, Mapping):
        yield from ((str(key), part) for key, part in x.items())
    elif hasattr(x, "_fields"):
        yield from zip(x._fields, x, strict=True)
    elif isinstance(x, (tuple, list)):
        yield from ((name if len(x) == 1 else f"{name}{i}", part) for i, part in enumerate(x, 1))
    elif dataclasses.is_dataclass(x) and not isinstance(x, type):
        yield from ((f.name, getattr(x, f.name)) for f in dataclasses.fields(x))


def values(x: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every tensor and array in ``x``, at any depth, with its name.

    >>> [n for n, _ in values((np.ones(1), {"h": np.ones(1), "n": 3}), "y")]
    ['y1', 'h']
    """
    if is_value(x):
        yield name, x
    for part_name, part in parts(x, name):
        yield from values(part, part_name)


def changed(x: Any, name: str, change: Callable[[str, Any], Any]) -> Any:
    """A copy of ``x`` with ``change(name, value)`` in place of every tensor and array; what has none is not copied."""
    if is_value(x):
        return change(name, x)
    new = {n: changed(part, n, change) for n, part in parts(x, name)}
    if all(part is new[n] for n, part in parts(x, name)):
        return x
    if isinstance(x, Mapping):
        items = zip(x, new.values(), strict=True)
        return type(x)(items)  # type: ignore[call-arg]
    if hasattr(x, "_fields"):
        return type(x)(*new.values())
    if isinstance(x, (tuple, list)):
        return type(x)(new.values())
    result = copy.copy(x)
    for n, part in new.items():
        object.__setattr__(result, n, part)  # also of a frozen one
    return result
