"""Forward mode: a tangent carried along the recorded program, from the oldest node to the youngest.

Linear operations are applied to the tangents themselves, elementwise ones multiply by their derivative, and every other
one uses its reverse rule twice: the rule u ↦ Jᵀu is linear, and its own gradient along t is J·t (Townsend 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import backend
from ..core.node import PICK, Node
from ..core.primitive import Primitive
from ..core.scope import enable_grad, no_grad
from ..core.sweep import lift, reachable, sweep, unbroadcast
from ..core.tensor import Tensor, make
from ..errors import ShapeError
from ..ops.shape import broadcast_to
from .trace import like, requires_grad, run


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return ``f(*primals)`` and its derivative in the direction ``tangents``, J·t.

    Raises:
        ShapeError: unless every tangent has the shape of its primal.

    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)
    """
    out, inputs, linked = run(f, primals, {}, range(len(primals)), "jvp")
    if len(inputs) != len(tangents):
        raise ShapeError(f"jvp: {len(inputs)} primals but {len(tangents)} tangents → give one for each primal")
    directions = []
    for i, (x, t) in enumerate(zip(inputs, tangents, strict=True)):
        t = t if isinstance(t, Tensor) else Tensor(t)
        if t.shape != x.shape:
            raise ShapeError(f"jvp: tangent {i} has shape {t.shape} but its primal {x.shape} → make them equal")
        directions.append(t if t.dtype == x.dtype else t.astype(x.dtype))
    graph = linked or requires_grad(*tangents)
    with enable_grad() if graph else no_grad():
        along = push({x.node: t for x, t in zip(inputs, directions, strict=True) if x.node}, out)
    return like(primals[0], out if graph else out.detach()), like(primals[0], along)


def push(tangents: dict[Node, Any], out: Tensor) -> Tensor:
    """Carry ``tangents`` of some nodes downstream to ``out``."""
    if out.node is not None:
        oldest = min((node.seq for node in tangents), default=0)
        for node in reversed(reachable([out.node], oldest)):
            if node.op is None or node in tangents:
                continue
            assert node.parents is not None
            incoming = [None if p is None else tangents.get(p) for p in node.parents]
            if any(t is not None for t in incoming):
                tangents[node] = _tangent(node, incoming)
        if out.node in tangents:
            return tangents[out.node]
    return make(backend.of(out.data).xp.zeros_like(out.data))


def _tangent(node: Node, incoming: list[Any]) -> Any:
    op = node.op
    assert op is not None
    if op is PICK:
        return incoming[0][node.params[0]]
    if not isinstance(op, Primitive):
        return _by_reverse_rule(node, incoming)
    saved = dict(zip(op.saved_names, lift(node), strict=True))
    known = (
        [(o.name, t) for o, t in zip(op.contract.inputs, incoming, strict=False)] if not op.contract.variadic else []
    )
    moving = [(x, t) for x, t in known if t is not None]
    names = {x for x, _ in known}
    params = dict(zip(op.params, node.params, strict=True))
    total: Any = None
    if op.deriv and all(x in op.deriv for x, _ in moving):
        values = {**saved, **params}
        for x, t in moving:
            d = op.deriv[x]
            total = _plus(total, t * (d(*[values[n] for n in op.rule_names[x]]) if callable(d) else d))
    elif moving and all(x in op.linear_in and names - {x} <= set(saved) for x, _ in moving):
        for x, t in moving:
            total = _plus(total, op.replay(*[t if n == x else saved[n] for n, _ in known], *node.params))
    else:
        return _by_reverse_rule(node, incoming)
    if total.shape != node.shape:
        total = broadcast_to(total, node.shape)
    return total if total.dtype == node.dtype else total.astype(node.dtype)


def _plus(total: Any, term: Any) -> Any:
    return term if total is None else total + term


def _by_reverse_rule(node: Node, incoming: list[Any]) -> Any:
    """J·t as the gradient of ⟨Jᵀu, t⟩ with respect to u."""
    several = isinstance(node.shape, tuple) and any(isinstance(s, tuple) for s in node.shape)
    shapes, dtypes = (node.shape, node.dtype) if several else ((node.shape,), (node.dtype,))
    given = next(t for t in incoming if t is not None)
    xp = backend.of(given.data).xp
    differentiable = [d.kind == "f" for d in dtypes]
    with enable_grad():
        u = [Tensor(xp.zeros(s, d), requires_grad=f) for s, d, f in zip(shapes, dtypes, differentiable, strict=True)]
        saved = lift(node)
        pulled = node.op.pull(tuple(u) if several else u[0], node.parents, saved, node.params)  # type: ignore[union-attr]
        seeds: dict[Node, Any] = {}
        for gx, t, parent in zip(pulled, incoming, node.parents, strict=True):  # type: ignore[arg-type]
            if t is None or gx is None or gx.node is None:
                continue
            if gx.shape != parent.shape:  # type: ignore[union-attr]
                gx = unbroadcast(gx, parent.shape)  # type: ignore[union-attr]
            seeds[gx.node] = _plus(seeds.get(gx.node), t if t.dtype == gx.dtype else t.astype(gx.dtype))
        wanted = [x.node for x in u if x.node is not None]
        found = sweep(seeds, keep=True, graph=True, wanted=wanted) if seeds else {}
    parts = [
        found[x.node] if x.node in found else make(xp.zeros(s, d)) for x, s, d in zip(u, shapes, dtypes, strict=True)
    ]
    return parts if several else parts[0]
