"""In-place writes: what was overwritten when, so that a graph that still needs the old value says so.

A write stamps the memory with a creation number. A sweep that meets a saved array whose memory was stamped after its
node was made refuses. Recording an operation costs nothing for this; a sweep looks only at nodes older than the last
write.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ..errors import GraphError
from .scope import next_seq

_writes: dict[int, tuple[weakref.ref[Any], int]] = {}
_last = 0


def memory(array: Any) -> Any:
    """The array that owns the memory which ``array`` looks at."""
    while isinstance(getattr(array, "base", None), type(array)):
        array = array.base
    return array


def stamp(array: Any) -> None:
    """Remember that the memory of ``array`` was just written to."""
    global _last
    owner = memory(array)
    if isinstance(owner, np.generic):
        return
    key, _last = id(owner), next_seq()
    known = _writes.get(key)
    if known is not None and known[0]() is owner:
        _writes[key] = (known[0], _last)
    else:
        _writes[key] = (weakref.ref(owner, lambda _: _writes.pop(key, None)), _last)


def last_write() -> int:
    """Return the creation number of the last write: older nodes must be checked, younger ones need not."""
    return _last


def check(node: Any) -> None:
    """Raise ``GraphError`` if an array that ``node`` saved was written to after the node was made."""
    held = (*zip(node.op.saved_names, node.saved, strict=True), *zip(node.op.params, node.params, strict=True))
    for name, value in held:
        for array in value if isinstance(value, (list, tuple)) else (value,):
            if not hasattr(array, "dtype"):
                continue
            owner = memory(array)
            write = _writes.get(id(owner))
            if write is not None and write[0]() is owner and write[1] > node.seq:
                where = f" in {node.scope.path}" if node.scope.path else ""
                what = "result" if name == "out" else f"input {name!r}"
                raise GraphError(
                    f"{node.op.name}{where}: its {what} of shape {array.shape} was written to in place after it was "
                    "used, but the gradient needs the old value → write to a copy, or run backward() before writing"
                )
