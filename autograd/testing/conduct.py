"""What a function does wrong besides its gradient, noticed before gradients are judged and named as what it is.

A few calls tell: a result that is no tensor, that is whole numbers, NaN, or another one the next time; an input that
was written to, forwards or backwards; a gradient that is an input's own memory; a backward pass that raises.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.sweep import gradients
from ..core.tensor import Tensor
from ..errors import GraphError
from ..random import default_generator

Arrays = Sequence[Any]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Finding:
    """Something about a function that is no wrong gradient. ``fatal``: its gradients cannot be relied on."""

    name: str
    text: str
    fatal: bool = True
    cause: Exception | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def outputs(out: Any) -> list[Any]:
    """The results of a function, one or several, as a list."""
    return list(out) if isinstance(out, (tuple, list)) else [out]


def differentiable(out: Any) -> list[Tensor]:
    """The results that have gradients: the floating ones."""
    return [o for o in outputs(out) if o.dtype.kind == "f"]


def tensors(arrays: Arrays, moving: Sequence[int] = ()) -> list[Any]:
    """Copies of the arrays as tensors, those numbered in ``moving`` with gradients wanted."""
    return [
        Tensor(np.array(x), requires_grad=i in moving) if isinstance(x, (np.ndarray, np.generic)) else x
        for i, x in enumerate(arrays)
    ]


def called(f: Function, count: int) -> list[str]:
    """Return what messages call the inputs: ``input 0 (x)``, or their numbers alone if the signature does not tell."""
    words = [f"input {i}" for i in range(count)]
    try:
        taken = [
            p
            for p in inspect.signature(f).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):  # not callable, or without a signature
        taken = []
    return [f"{w} ({p.name})" for w, p in zip(words, taken)] + words[len(taken) :]


def observe(f: Function, arrays: Arrays, moving: Sequence[int], words: Sequence[str]) -> list[Finding]:
    """Return what is wrong with ``f`` at ``arrays`` besides its gradient; it is called three times.

    >>> import autograd, numpy as np
    >>> for finding in observe(lambda x: x.numpy() * 2, [np.ones(2)], [0], ["x"]):
    ...     print(finding)
    returns no tensor: the result is a ndarray → compute with autograd's operations and return what they give
    """
    try:
        given = tensors(arrays)
        first = outputs(f(*given))
    except Exception as error:
        return [Finding("raises", f"{type(error).__name__}: {error}", cause=error)]
    for number, out in enumerate(first):
        if not isinstance(out, Tensor):
            which = "the result" if len(first) == 1 else f"result {number}"
            kind = "None" if out is None else f"a {type(out).__name__}"
            return [
                Finding("returns no tensor", f"{which} is {kind} → compute with autograd's operations and return "
                        "what they give")
            ]  # fmt: skip
    first = [o.detach().numpy().copy() for o in first]
    found = [
        Finding("changes its input", f"{words[i]} is written to in place → work on a copy, x = x.copy()")
        for i, (x, t) in enumerate(zip(arrays, given, strict=True))
        if isinstance(x, np.ndarray) and not same(x, t.data)
    ]
    if found:
        return found
    again = [o.detach().numpy() for o in outputs(f(*tensors(arrays)))]
    if not (len(first) == len(again) and all(map(same, first, again))):
        return [_unsteady(f, arrays)]
    if not any(o.dtype.kind == "f" for o in first):
        kinds = ", ".join(dict.fromkeys(o.dtype.name for o in first))
        return [
            Finding("returns no floating numbers", f"the result is {kinds}, which has no gradient → leave comparisons, "
                    "rounding to integers and argmax out of what is differentiated", fatal=False)
        ]  # fmt: skip
    for number, o in enumerate(first):
        if o.dtype.kind == "f" and not np.isfinite(o).all():
            at = tuple(int(k) for k in np.argwhere(~np.isfinite(o))[0])
            return [
                Finding("returns NaN or Inf", f"result {number} is {o[at]} at {list(at)} → choose a point inside the "
                        "function's domain")
            ]  # fmt: skip
    return _backwards(f, arrays, moving, words)


def same(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays are equal bit for bit, but for the sign of zeros."""
    return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def _backwards(f: Function, arrays: Arrays, moving: Sequence[int], words: Sequence[str]) -> list[Finding]:
    """What goes wrong in the backward pass, run twice on one graph."""
    try:
        given = tensors(arrays, moving)
        parts = [o for o in differentiable(f(*given)) if o.requires_grad]
    except Exception as error:
        writes = isinstance(error, GraphError) and str(error).startswith("in place")
        name = "changes its input" if writes else "raises where gradients are wanted"
        return [Finding(name, f"{type(error).__name__}: {error}", cause=error)]
    xs = [given[i] for i in moving]
    if not parts:
        return []  # which inputs have influence is seen by moving them
    rng = np.random.default_rng(0)
    seeds = [Tensor(np.asarray(rng.standard_normal(o.shape))) for o in parts]
    swept = []
    try:
        for _ in range(2):
            dx = gradients(parts, xs, seeds, retain_graph=True, allow_unused=True)
            swept.append([None if g is None else (g.data, g.data.copy()) for g in dx])
    except Exception as error:
        return [Finding("raises in its backward pass", f"{type(error).__name__}: {error}", cause=error)]
    found = []
    for i, x, a, b in zip(moving, xs, *swept, strict=True):
        written = not same(arrays[i], x.data)
        if a is not None and np.may_share_memory(a[0], x.data):
            name = "a gradient aliases its input"
            what = f"the gradient of {words[i]} is a view of the input's own memory"
            what += ", and the backward pass wrote to it" * written + " → let the rule return a new array"
        elif written:
            name = "the backward pass changes an input"
            what = f"{words[i]} is written to by a gradient rule → let the rule return a new array"
        elif a is not None and b is not None and not same(a[1], b[1]):
            name = "the backward pass changes what it needs"
            what = f"the gradient of {words[i]} is another one when the same graph is swept again "
            what += "→ let rules leave g and saved arrays as they are, and draw no random numbers"
        else:
            continue
        found.append(Finding(name, what))
    return found


def observe_order(point: Any, order: int) -> Finding | None:
    """Return what is wrong where the gradients of ``point``'s function are differentiated again."""
    point.turn(order)
    try:
        point.gradient(order - 1, {})
    except Exception as error:
        return Finding(
            "raises when differentiated again", f"for order {order}, {type(error).__name__}: {error} (in a rule, "
            "write what is to be differentiated again in autograd's operations)", cause=error,
        )  # fmt: skip
    return None


# --- results that change ----------------------------------------------------------------------------------------------

SOURCES: dict[str, tuple[Callable[[], Any], Callable[[Any], None], str]] = {
    "NumPy's": (np.random.get_state, np.random.set_state, "np.random.seed(0)"),
    "Python's": (random.getstate, random.setstate, "random.seed(0)"),
    "autograd's": (
        lambda: default_generator().get_state(),
        lambda state: default_generator().set_state(state),
        "autograd.manual_seed(0)",
    ),
}


def _unsteady(f: Function, arrays: Arrays) -> Finding:
    """Say why the result changes: whether a global random generator moved, and which."""
    before = {name: get() for name, (get, _, _) in SOURCES.items()}
    f(*tensors(arrays))
    drawn = [name for name, (get, _, _) in SOURCES.items() if repr(get()) != repr(before[name])]
    if not drawn:
        return Finding(
            "changes its result between calls", "the same input gives another result the next time → keep no counter, "
            "cache or running mean between calls, and draw from a generator that starts anew in each",
        )  # fmt: skip
    seeds = " and ".join(SOURCES[name][2] for name in drawn)
    return Finding(
        "depends on global random state", f"it draws from {' and '.join(drawn)} global random numbers → call {seeds} "
        "inside the function, or give it a generator of its own",
    )  # fmt: skip
