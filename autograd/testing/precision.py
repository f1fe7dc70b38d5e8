"""float32 and float16 judged against float64, by what rounding can do.

A value tₖ that is rounded to a share ε of itself moves the result s by |∂s/∂tₖ|·|tₖ|·ε, to first order. So for a whole
program the bound is γₙ Σₖ |∂s/∂tₖ|·|tₖ| over all values on the tape, inputs included, and what it needs is what a
backward pass gives. Sums of n terms round n times: γₙ = nε / (1 − nε).

Sources: Linnainmaa, Taylor expansion of the accumulated rounding error, BIT 16 (1976) 146; Higham, Accuracy and
Stability of Numerical Algorithms (2002), ch. 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.node import PICK
from ..core.sweep import gradients, reachable, sweep
from ..core.tensor import Tensor
from ..core.trace import call_of, tracing
from ..errors import DTypeError
from .checks import Comparison, Report
from .oracles import SAFETY
from .point import ALL, Point


def rounding_error(out: Tensor, values: dict[Any, np.ndarray], dtype: Any) -> float:
    """Return how far the scalar ``out`` of a traced program may be off if it is computed in ``dtype``.

    ``values`` has the inputs' arrays by their nodes.
    """
    if out.node is None:
        return 0.0
    found = sweep({out.node: np.ones(out.shape)}, keep=True, wanted=reachable([out.node]))
    total, longest = 0.0, 8
    for node, g in found.items():
        several, call = node.op is PICK, call_of(node.parents[0] if node.op is PICK else node)  # type: ignore[index, arg-type]
        value = values.get(node) if call is None else call.out[node.params[0]] if several else call.out
        if isinstance(value, (np.ndarray, np.generic)):
            total += float(np.abs(g * value).sum())
            longest = max(longest, value.size)
    share = longest * float(np.finfo(dtype).eps)
    return share / max(1 - share, share) * total


def check_precision(
    f: Callable[..., Any], *inputs: Any, dtype: Any = "float32", rng: np.random.Generator | None = None
) -> Report:
    """Compare values and gradients of ``f`` in ``dtype`` with those in float64; what rounding can do is allowed.

    Two numbers are compared, along random cotangents and directions: ⟨u, f⟩ (order 0) and ⟨∇⟨u, f⟩, v⟩ (order 1).

    Raises:
        DTypeError: if no input is floating.

    >>> import autograd, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(3, 4))
    >>> check_precision(autograd.softmax, x).ok, check_precision(autograd.softmax, x, dtype="float16").ok
    (True, True)
    >>> loses = lambda x: (x + 1e6) - 1e6
    >>> report = check_precision(loses, x)
    >>> report.ok, bool(report.comparisons[0].tolerance > 0.1)    # float32 cannot do better, and it is said how badly
    (True, True)
    """
    point = Point(f, inputs, np.random.default_rng(0 if rng is None else rng))
    if not point.moving:
        raise DTypeError("check_precision: no input is a floating array → give one")
    point.dtype = np.dtype(dtype).name
    for i in point.moving:  # both types begin with the same numbers
        point.inputs[i] = point.inputs[i].astype(dtype).astype(np.float64)
    point.begin()
    if not point.floating:
        return Report((), point=point)
    point.aim()
    point.turn(1)
    point.cotangents = [u.astype(dtype).astype(np.float64) for u in point.cotangents]
    point.directions = [{i: v.astype(dtype).astype(np.float64) for i, v in point.directions[0].items()}]
    with tracing():
        leaves, truths = _numbers(point, "float64")
    values = {x.node: x.data for x in leaves}
    bounds = [rounding_error(s, values, dtype) for s in truths]
    with np.errstate(all="ignore"):
        _, found = _numbers(point, dtype)
    comparisons = []
    for k, (narrow, truth, bound) in enumerate(zip(found, truths, bounds, strict=True)):
        a, n = float(narrow.item()), float(truth.item())
        comparisons.append(Comparison(ALL, k, a, n, bound / SAFETY, 0.0, abs(n), "float64"))
    return Report(tuple(comparisons), point=point)


def _numbers(point: Point, dtype: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Every number that goes in, as a leaf in ``dtype``; ⟨u, f⟩ and ⟨∇⟨u, f⟩, v⟩, recorded."""

    def leaf(x: np.ndarray) -> Tensor:
        return Tensor(x.astype(dtype), requires_grad=True)

    given = [
        leaf(x) if i in point.moving else Tensor(x.copy()) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(point.inputs)
    ]
    xs, us = [given[i] for i in point.moving], [leaf(u) for u in point.cotangents]
    vs = [leaf(point.directions[0][i]) for i in point.moving]
    out = point.f(*given)
    parts = list(out) if isinstance(out, (tuple, list)) else [out]
    products = [(parts[k] * u).sum() for k, u in zip(point.floating, us, strict=True)]
    value = sum(products[1:], products[0])
    dx = gradients(value, xs, create_graph=True, allow_unused=True)
    along = [(g * v).sum() for g, v in zip(dx, vs, strict=True) if g is not None]
    return [*xs, *us, *vs], [value, *([sum(along[1:], along[0])] if along else [])]
