"""What the Jacobians do not show: gradients that are cut off, and values that an operation saved and should not have.

Three experiments on the tape. It is recorded as if ``detach()`` cut nothing off. Everything that went into and came out
of an operation is copied as it happens and held against what is there when the function has returned. And one saved
array after the other is replaced by another that could have been meant: where that makes the gradient right, the saved
value was stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from ...core.node import Node
from ...core.primitive import Primitive
from ...core.sweep import gradients, reachable
from ...core.tensor import Tensor
from ...core.trace import Call, Trace, call_of, tracing
from .. import oracles
from ..oracles import SAFETY
from ..point import Point
from .hypotheses import SHARE, Evidence

MOST = 60  # operations whose saved values are tried


class Copies(Trace):
    """A trace that keeps a copy of every array as it was at the time of the call."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[tuple[Any, np.ndarray, Any, str]] = []

    def call(self, op: Any, args: tuple[Any, ...], out: Any, line: str) -> Call:
        place = super().call(op, args, out, line)
        names = [o.name for o in op.contract.inputs] * (len(place.inputs) if op.contract.variadic else 1)
        made = out if isinstance(out, tuple) else (out,)
        for what, array in [*zip([f"input {n}" for n in names], place.inputs), *(("result", o) for o in made)]:
            if isinstance(array, np.ndarray):
                self.copies.append((array, array.copy(), op, what))
        return place


def overwritten(point: Point) -> str:
    """Say which saved array is written to in place after it was saved, if any is."""
    with tracing(Copies()) as trace:
        _, out = point.record({})
    saved = [
        (node.op, array)
        for node in reachable({o.node for o in out if o.node is not None})
        for array in node.saved
        if isinstance(array, np.ndarray)
    ]
    for array, copy, op, what in trace.copies:
        if np.array_equal(array, copy, equal_nan=array.dtype.kind == "f"):
            continue
        if any(owner is op and np.may_share_memory(kept, array) for owner, kept in saved):
            return f"a stale saved value: {op.name} saved its {what}, which is written to in place afterwards"
    return ""


def uncut(jacobian: Callable[[], np.ndarray]) -> np.ndarray:
    """Return a Jacobian by the library as it is when ``detach()`` does not cut the gradient's way; NaN if it fails."""
    with patch.object(Tensor, "detach", lambda x: x):
        try:
            return jacobian()
        except Exception:  # such as x.detach().numpy()
            return np.full((1, 1), np.nan)


def _along(f: Callable[..., Any]) -> dict[str, Callable[[np.ndarray], Any]]:
    """A repair for every axis that a saved array may have."""
    return {str(axis): lambda s, axis=axis: s - f(s, axis=axis, keepdims=True) for axis in (-1, 0, 1)}  # type: ignore[misc]


SHIFTS: dict[str, Callable[[np.ndarray], Any]] = {
    **{f"from before its shift: with {{x}} − max {{x}} along axis {k}": f for k, f in _along(np.max).items()},
    **{f"from before its shift: with {{x}} − mean {{x}} along axis {k}": f for k, f in _along(np.mean).items()},
}


def repaired(point: Point, evidence: Evidence) -> str:
    """Say which saved value, put right, makes the gradient right, here and at a point nearby, if one does."""
    u = np.concatenate([c.ravel() for c in point.cotangents])
    right = np.where(evidence.judged, evidence.right, 0.0).T @ u
    slack = evidence.slack.max() * max(1.0, float(np.abs(u).sum()))
    if SHARE * np.abs(right).max(initial=0.0) >= slack * 1e3:
        return ""
    nearby: dict[str, np.ndarray] = {}
    for words, dx in _healed(point, evidence.input):
        if np.all(np.abs(dx - right) <= slack):
            other = _moved(point)
            expected = oracles.numerical_jacobian(partial(_weighted, other, u), other.z)
            columns = dict(point.columns())[evidence.input]
            nearby = nearby or dict(_healed(other, evidence.input))
            off = np.abs(nearby.get(words, np.inf) - expected.value[columns])
            if np.all(off <= SAFETY * expected.error[columns] + slack):
                return f"a stale saved value: {words} the gradient is right"
    return ""


def _weighted(point: Point, u: np.ndarray, z: np.ndarray) -> float:
    return float(point.values(z) @ u)


def _moved(point: Point) -> Point:
    """The same function close by, where what is equal by chance is not."""
    rng = np.random.default_rng(2)
    near = [x + rng.uniform(-0.05, 0.05, x.shape) if i in point.moving else x for i, x in enumerate(point.inputs)]
    other = Point(point.f, near, rng)
    other.begin()
    other.cotangents = point.cotangents
    return other


def _healed(point: Point, number: int) -> Iterator[tuple[str, np.ndarray]]:
    """What could have been saved otherwise, in words, and the gradient that it gives."""
    with tracing(Copies()):
        xs, out = point.record({})
    live = [(o, u) for o, u in zip(out, point.cotangents, strict=True) if o.requires_grad]
    results, seeds = [o for o, _ in live], [Tensor(c) for _, c in live]
    for node in reachable({o.node for o in results if o.node is not None})[:MOST]:
        if not isinstance(node.op, Primitive) or node.op.contract.variadic:
            continue
        kept = node.saved
        for slot, name in enumerate(node.op.saved_names):
            for words, other in _replacements(node, kept[slot]):
                node.saved = (*kept[:slot], other, *kept[slot + 1 :])
                try:
                    (dx,) = gradients(results, [xs[number]], seeds, retain_graph=True, allow_unused=True)
                except Exception:  # what was put in does not fit
                    continue
                finally:
                    node.saved = kept
                yield (
                    f"{node.op.name} keeps {name} {words.format(x=name)}",
                    np.zeros(1) if dx is None else dx.numpy().ravel(),
                )


def _replacements(node: Node, saved: Any) -> Iterator[tuple[str, np.ndarray]]:
    """What could have been meant instead of a saved array, and how to say so."""
    if not isinstance(saved, np.ndarray) or saved.dtype.kind != "f" or not saved.size:
        return
    with np.errstate(all="ignore"):
        for words, shift in SHIFTS.items():
            try:
                yield words, shift(saved)
            except np.exceptions.AxisError:
                continue
    call = call_of(node)
    if call is not None:
        names = [o.name for o in call.op.contract.inputs]
        for name, array in [*zip(names, call.inputs), ("out", call.out)]:
            if isinstance(array, np.ndarray) and array.shape == saved.shape and array is not saved:
                yield f"where {name} belongs: with {name}", array
