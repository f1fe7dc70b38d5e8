"""Arguments turned into tensors whose gradients are wanted, and results back into what the caller gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..core.composite import identity
from ..core.scope import is_grad_enabled
from ..core.tensor import Tensor
from ..errors import DTypeError


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


def linked(*xs: Any) -> bool:
    """Whether any argument belongs to a graph, so that results must too."""
    return is_grad_enabled() and any(isinstance(x, Tensor) and x.node is not None for x in xs)


def like(given: Any, result: Tensor) -> Any:
    """Return ``result`` as a tensor, an array or a Python number, whichever ``given`` was."""
    if isinstance(given, Tensor):
        return result
    if backend.is_array(type(given)):
        return result.data
    return result.data.item() if result.data.ndim == 0 else result.data


def output(f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], what: str) -> Tensor:
    """Call ``f`` and make sure that it returns a tensor."""
    out = f(*args, **kwargs)
    if not isinstance(out, Tensor):
        if backend.is_array(type(out)) or isinstance(out, (int, float)):
            return Tensor(out)  # does not depend on the arguments
        raise DTypeError(
            f"{what}: the function returned {type(out).__name__} but a tensor is needed → return one tensor"
        )
    return out
