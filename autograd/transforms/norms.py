"""Gradient norms over time: how much of the loss's gradient reaches each step of a recurrent network."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..core.composite import Composite
from ..core.scope import Scope, no_grad
from ..core.sweep import reachable, sweep
from ..core.tensor import Tensor
from ..errors import DTypeError, GraphError, ShapeError


def gradient_norms(loss: Tensor) -> dict[str, np.ndarray]:
    """Return ‖∂loss/∂h_t‖ for every value that has a name at a time step, such as the states of a recurrent layer.

    The key is the value's path without its time step (``"rnn.h"``), element t − 1 of the array the Euclidean norm at
    step t: 0 for a step that the loss does not depend on. The graph is kept.

    Raises:
        DTypeError: if ``loss`` is no tensor.
        ShapeError: if ``loss`` is not a scalar.
        GraphError: if nothing on its graph has a name at a time step, because a kernel stood in for example.

    Source: Pascanu, Mikolov & Bengio 2013, sec. 2.

    >>> import autograd
    >>> h = autograd.tensor(1.0, requires_grad=True)
    >>> for t in (1, 2, 3):
    ...     with autograd.time_step(t):
    ...         h = autograd.named("h", h * 0.5)
    >>> gradient_norms(h)
    {'h': array([0.25, 0.5 , 1.  ])}
    """
    if not isinstance(loss, Tensor):
        raise DTypeError(
            f"gradient_norms: loss is {type(loss).__name__} but a tensor is needed → give what was computed"
        )
    if loss.size != 1:
        raise ShapeError(f"gradient_norms: loss has shape {loss.shape}, not one element → sum() it")
    order = reachable([] if loss.node is None else [loss.node])
    named = {node: place for node in order if (place := _place(node.scope)) is not None}
    if not named:
        stood_in = sorted({node.op.name for node in order if isinstance(node.op, Composite)})
        remedy = (
            f"a kernel stood in for {', '.join(stood_in)} → compute the loss inside autograd.use_kernels(False)"
            if stood_in
            else 'run a recurrent layer, or a loop with time_step(t) and named("h", ...), where gradients are recorded'
        )
        raise GraphError(f"gradient_norms: no value has a name at a time step of the graph: {remedy}")
    assert loss.node is not None
    with no_grad():
        seed = backend.of(loss.data).xp.ones_like(loss.data)
        found = sweep({loss.node: seed}, keep=True, wanted=named.keys())
    parts: dict[str, list[tuple[int, Any]]] = {}
    for node, (path, t) in reversed(named.items()):  # the oldest first
        parts.setdefault(path, []).append((t, found.get(node)))
    return {path: _over_time(steps) for path, steps in parts.items()}


def _place(scope: Scope) -> tuple[str, int] | None:
    """The path without the innermost time step, and that step, of the place of a value with a name."""
    if scope.kind != "value":
        return None
    labels, step, at = [], None, scope
    while at.parent is not None:
        if at.step is not None and step is None:
            step = at.step
        else:
            labels.append(at.label)
        at = at.parent
    return None if step is None else (".".join(reversed(labels)), step)


def _over_time(parts: list[tuple[int, Any]]) -> np.ndarray:
    """The norm at every step of the gradients that arrived there: several if a layer was called more than once."""
    squares = np.zeros(max(t for t, _ in parts))
    arrived = [(t, (g * g).sum()) for t, g in parts if g is not None]
    if arrived:
        home = backend.of(arrived[0][1])
        np.add.at(squares, [t - 1 for t, _ in arrived], home.to_host(home.xp.stack([square for _, square in arrived])))
    return np.sqrt(squares)
