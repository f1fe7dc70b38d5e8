"""Arguments turned into tensors whose gradients are wanted, and results back into what the caller gave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..core.composite import identity
from ..core.scope import enable_grad, is_grad_enabled, next_seq
from ..core.sweep import reachable
from ..core.tensor import Tensor
from ..errors import DomainError, DTypeError


class _Running(threading.local):
    """How many calls that are being differentiated this thread is inside of."""

    depth = 0


_running = _Running()


def trace(x: Any, what: str) -> Tensor:
    """Return ``x`` as a tensor with a node of its own: a leaf, or a copy linked to the graph that ``x`` belongs to."""
    if isinstance(x, Tensor) and x.node is not None and is_grad_enabled():
        return identity(x)
    if isinstance(x, Tensor):
        x = x.data
    array = x if backend.is_array(type(x)) else np.asarray(x)
    if array.dtype.kind in "biu" and not backend.is_array(type(x)):
        array = array.astype(np.float64)  # Python's whole numbers are meant as numbers
    if array.dtype.kind != "f":
        raise DTypeError(
            f"{what}: argument has type {array.dtype} but only floating types have gradients → x.astype('float64')"
        )
    return Tensor(array, requires_grad=True)


def run(
    f: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], numbers: Sequence[int], what: str
) -> tuple[Tensor, list[Tensor], bool]:
    """Call ``f``, recorded even inside ``no_grad``, with the arguments of these numbers traced.

    Return its result, the traced arguments, and whether derivatives belong to a graph: whether tensors from outside
    that require gradients went into the result, and someone can ask for them, because tensors were given or because
    this call is itself being differentiated.
    """
    start = next_seq()
    traced = list(args)
    if not args:
        raise DomainError(f"{what}: no argument was given → give what to differentiate with respect to")
    for i in numbers:
        if not isinstance(i, int):
            raise DomainError(f"{what}: argnums is {i!r} → give the number of an argument, counted from 0")
        if not -len(args) <= i < len(args):
            raise DomainError(f"{what}: argnums names argument {i} but {len(args)} were given → count from 0")
        traced[i] = trace(args[i], what)
    outermost, _running.depth = _running.depth == 0, _running.depth + 1
    try:
        with enable_grad():
            out = f(*traced, **kwargs)
    finally:
        _running.depth -= 1
    if not isinstance(out, Tensor):
        if not backend.is_array(type(out)) and not isinstance(out, (int, float)):
            raise DTypeError(
                f"{what}: the function returned {type(out).__name__} but a tensor is needed → return one tensor"
            )
        out = Tensor(out)  # does not depend on the arguments
    roots = [] if out.node is None else [out.node]
    of_tensors = any([isinstance(args[i], Tensor) for i in numbers])
    linked = is_grad_enabled() and (of_tensors or not outermost) and any(n.seq < start for n in reachable(roots, start))
    return out, [traced[i] for i in numbers], linked


def requires_grad(*xs: Any) -> bool:
    """Return whether derivatives along any of these belong to a graph."""
    return is_grad_enabled() and any([isinstance(x, Tensor) and x.node is not None for x in xs])


def like(given: Any, result: Tensor) -> Any:
    """Return ``result`` as a tensor, an array or a Python number, whichever ``given`` was.

    What belongs to a graph stays a tensor: as an array it would be a constant without saying so.
    """
    if isinstance(given, Tensor) or result.node is not None:
        return result
    if backend.is_array(type(given)):
        return result.data
    return result.data.item() if result.data.ndim == 0 else result.data
