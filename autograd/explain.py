"""Which code serves a call, and why."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from . import backend, kernels
from .config import switches
from .core.tensor import Tensor
from .errors import DTypeError


def explain(op: Callable[..., Any], *args: Any, **params: Any) -> str:
    """Say which kernel serves ``op(*args, **params)``, what the others said, and where the definition stands.

    What a plan returns may have a ``detail``, such as the name of an algorithm, which is said in brackets.

    Raises:
        DTypeError: if ``op`` is not a declared operation.

    >>> import autograd
    >>> print(explain(autograd.exp, autograd.tensor([1.0])))
    exp on cpu (ndarray): the array library's own exp
    """
    declared = getattr(op, "op", None)
    if declared is None:
        raise DTypeError(
            f"explain: {getattr(op, '__name__', op)!s} is not a declared operation → give one of those it is made of"
        )
    bound = inspect.signature(op).bind(*args, **params)
    bound.apply_defaults()
    names = [o.name for o in declared.contract.inputs]
    given = [v for n in names for v in (bound.arguments[n] if declared.contract.variadic else (bound.arguments[n],))]
    arrays = [x.data if isinstance(x, Tensor) else x for x in given]
    known = [a for a in arrays if backend.is_array(type(a))]
    kind = type(known[0]) if known else backend.by_name("cpu").array_type
    values = [bound.arguments[n] for n in declared.params]
    if getattr(declared, "prepare", None):
        values = list(declared.prepare(*(arrays if not declared.contract.variadic else [arrays]), *values))
    spec = kernels.Spec(
        tuple(None if a is None else getattr(a, "shape", ()) for a in arrays),
        tuple(getattr(a, "dtype", None) for a in arrays),
        dict(zip(declared.params, values, strict=True)),
    )
    offers = kernels.offers(declared.name, kind) if switches.kernels else ()
    run, said = kernels.choose(offers, spec)
    forward = getattr(declared, "forward", None)
    if run is not None:
        chosen, detail = said.pop().partition(":")[0], getattr(run, "detail", "")
        chosen += detail and f" ({detail})"
    elif isinstance(forward, str):
        chosen = f"the array library's own {forward}"
    else:
        source = forward or declared.definition
        chosen = f"the {'reference' if forward else 'definition'} {source.__module__}.{source.__qualname__}"
    where = backend.of(known[0]).device_of(known[0]) if known else "cpu"
    return "\n".join([f"{declared.name} on {where} ({kind.__name__}): {chosen}", *[f"  {s}" for s in said]])
