"""The reverse sweep: from the gradient of the result to the gradients of everything it was computed from.

Nodes are visited from the youngest to the oldest, so that a node's gradient is complete before its rules run.
Broadcasting is undone here, once. The same sweep runs on arrays, and on tensors when a graph of the gradient is wanted.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any

from .. import backend
from ..config import switches
from ..errors import DeviceError, DTypeError, GraphError, ShapeError
from . import inplace
from .anomaly import watched_pull
from .node import PICK, Node, picked
from .scope import enable_grad, no_grad
from .tensor import Tensor, as_array, make

LARGE = 1 << 14  # numbers of a gradient from which it pays to ask whether more may be added in place

_seq = attrgetter("seq")


def reachable(roots: Collection[Node], since: float = 0) -> list[Node]:
    """Return the nodes that ``roots`` were computed from, themselves included, the youngest first.

    Nodes with a creation number below ``since`` are returned where they are met, but not what they were computed from.
    """
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node.seq < since:
            continue
        if node.parents is None:
            raise GraphError(
                f"backward: the graph was freed by an earlier backward() at {node!r} "
                "→ pass retain_graph=True there, or compute again"
            )
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=_seq, reverse=True)


def _leading_to(wanted: Collection[Node], order: list[Node]) -> set[Node]:
    """The nodes through which gradients reach ``wanted``."""
    needed = set(wanted)
    for node in reversed(order):
        if node not in needed and any(p in needed for p in node.parents or ()):
            needed.add(node)
    return needed


def unbroadcast(g: Any, shape: tuple[int, ...], op: Any = None) -> Any:
    """Sum ``g`` over the axes along which an input of ``shape`` was broadcast."""
    lead = len(g.shape) - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[lead:], strict=True)):
        raise ShapeError(
            f"{op.name if op else 'gradient'}: its rule gave a gradient of shape {g.shape} for an input of {shape} "
            "→ return one that broadcasting could have made from it"
        )
    axes = (*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1))
    summed = g.sum(axis=axes, keepdims=True) if axes else g
    return summed.reshape(shape)


def lift(node: Node) -> tuple[Any, ...]:
    """Return what ``node`` saved as tensors of the graph."""

    def wrap(array: Any, owner: Any) -> Any:
        if not hasattr(array, "dtype"):
            return array
        if isinstance(owner, tuple):  # one output of several: pick it again, just after it was made
            several, i = owner
            return make(array, picked(several, i, array, several.seq + 0.5))
        return make(array, owner)

    assert node.op is not None
    return node.op.lift(node, wrap)


def sweep(
    seeds: dict[Node, Any],
    *,
    keep: bool,
    graph: bool = False,
    wanted: Collection[Node] | None = None,
    since: float = 0,
) -> dict[Node, Any]:
    """Carry the gradients in ``seeds`` upstream.

    Args:
        seeds: nodes of results and their gradients, arrays or (with ``graph``) tensors.
        keep: leave the graph in place; otherwise nodes are freed as they are passed.
        graph: record the computation of the gradients.
        wanted: return the gradients of these nodes; None: add them up in ``.grad`` of the leaves.
        since: nothing is carried past nodes with a creation number below this one.
    """
    if wanted:  # what is older than all of them does not depend on them
        since = max(since, min(map(_seq, wanted)))
    order = reachable(seeds, since)
    needed = None if wanted is None else _leading_to(wanted, order)
    last_write = inplace.last_write()
    anomaly = switches.anomaly
    grads: dict[Node, Any] = dict(seeds)
    own: set[Node] = set()  # nodes whose gradient is a sum that this sweep made and may add to in place
    found: dict[Node, Any] = {}
    for node in order:
        g = grads.pop(node, None)
        op = node.op
        if g is not None and wanted is not None and node in wanted:
            found[node] = g
        if op is None or node.seq < since:
            if g is not None and wanted is None:
                _deposit(node, g, node in own)
            continue
        parents = node.parents
        assert parents is not None
        if needed is not None:
            parents = tuple([p if p in needed else None for p in parents])
        runs = g is not None and (needed is None or (node in needed and any(parents)))
        if runs and op is PICK:
            _gather_output(grads, node, g)
        elif runs:
            if last_write > node.seq:
                inplace.check(node)
            saved = lift(node) if graph else node.saved
            if type(g) is list:
                g = _with_zeros(g, node, graph)
            pull = watched_pull(node) if anomaly else op.pull
            for parent, gx in zip(parents, pull(g, parents, saved, node.params), strict=True):
                if parent is None or gx is None:
                    continue
                if gx.shape != parent.shape:
                    gx = unbroadcast(gx, parent.shape, op)
                if gx.dtype != parent.dtype:
                    gx = gx.astype(parent.dtype)
                before = grads.get(parent)
                if before is None:
                    grads[parent] = gx
                    if (parent.op is None or gx.size > LARGE) and not graph and _is_fresh(gx, g, saved):
                        own.add(parent)
                elif parent in own and not graph:
                    before += gx
                    grads[parent] = before  # a NumPy scalar is not changed in place
                else:
                    grads[parent] = before + gx
                    own.add(parent)
        if not keep and (runs or needed is None):
            node.parents = None
            node.saved = ()
    return found


def _is_fresh(gx: Any, g: Any, saved: tuple[Any, ...]) -> bool:
    """Whether a rule made the array ``gx`` itself: all of its memory, and nothing that the rule was given."""
    owner = inplace.memory(gx)
    if owner.base is not None or owner.size != gx.size:
        return False
    given = (*g, *saved) if type(g) is tuple else (g, *saved)
    return not any([array is not None and inplace.memory(array) is owner for array in given])


def _gather_output(grads: dict[Node, Any], node: Node, g: Any) -> None:
    """Put the gradient of one output into the list of its operation's outputs' gradients."""
    multi, index = node.parents[0], node.params[0]  # type: ignore[index]
    parts = grads.setdefault(multi, [None] * len(multi.shape))  # type: ignore[arg-type, union-attr]
    parts[index] = g if parts[index] is None else parts[index] + g


def _with_zeros(parts: list[Any], node: Node, graph: bool) -> tuple[Any, ...]:
    """Fill in zeros for the outputs that were not used."""
    given = next(p for p in parts if p is not None)
    xp = backend.of(given.data if graph else given).xp

    def zeros(shape: tuple[int, ...], dtype: Any) -> Any:
        array = xp.zeros(shape, dtype)
        return make(array, None) if graph else array

    return tuple([zeros(s, d) if p is None else p for p, s, d in zip(parts, node.shape, node.dtype, strict=True)])


_depositing = threading.Lock()  # threads may share leaves


def _deposit(node: Node, g: Any, own: bool) -> None:
    """Add ``g`` to the gradient of a leaf; copy it unless nothing else can hold it."""
    g = as_array(g)
    with _depositing:
        if node.grad is not None:
            node.grad.data = node.grad.data + g
        else:
            node.grad = make(g if own else g.copy(), None)


def _seed(output: Tensor, gradient: Any, what: str) -> Any:
    """The gradient to begin with, as an array of the output's shape, type and device."""
    if output.node is None:
        raise GraphError(
            f"{what}: tensor of shape {output.shape} has no graph "
            "→ compute it from a tensor with requires_grad=True, outside no_grad()"
        )
    if gradient is None:
        if output.size != 1:
            raise GraphError(
                f"{what}: tensor has shape {output.shape}, that is {output.size} elements, not a scalar "
                "→ pass gradient=, or sum() it"
            )
        return backend.of(output.data).xp.ones_like(output.data)
    if not isinstance(gradient, Tensor):
        gradient = Tensor(gradient)
    if gradient.device != output.device:
        raise DeviceError(
            f"{what}: gradient is on {gradient.device!r} but the tensor on {output.device!r} "
            f"→ move it with .to({output.device!r})"
        )
    if gradient.shape != output.shape:
        raise ShapeError(f"{what}: gradient has shape {gradient.shape} but the tensor {output.shape} → make them equal")
    return gradient if gradient.dtype == output.dtype else gradient.astype(output.dtype)


def backward(output: Tensor, gradient: Any, retain_graph: bool) -> None:
    """See ``Tensor.backward``."""
    seed = _seed(output, gradient, "backward")
    assert output.node is not None
    sweep({output.node: seed.data if isinstance(seed, Tensor) else seed}, keep=retain_graph)


def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
) -> Any:
    """Return the gradients of ``outputs`` with respect to ``inputs``, which may be any tensors of the graph.

    Nothing is added to ``.grad``. With ``create_graph`` the gradients can be differentiated again.

    Args:
        outputs: one tensor or several; their gradients add up.
        inputs: one tensor or several.
        grad_outputs: for each output the gradient to begin with; 1 for scalars if None.
        create_graph: record the computation of the gradients.
        retain_graph: keep the graph for another sweep; as ``create_graph`` if None.
        allow_unused: return None for an input that the outputs do not depend on, instead of raising.

    Raises:
        GraphError: if an input has no part in the graph, or the graph was freed.

    >>> import autograd
    >>> x = autograd.tensor(2.0, requires_grad=True)
    >>> dx = gradients(x**3, x, create_graph=True)
    >>> dx.item(), gradients(dx, x).item()
    (12.0, 12.0)
    """
    several = not isinstance(inputs, Tensor)
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins: list[Tensor] = list(inputs) if several else [inputs]  # type: ignore[list-item]
    alone = grad_outputs is None or isinstance(outputs, Tensor)
    begins = [grad_outputs] * len(outs) if alone else list(grad_outputs)
    if len(begins) != len(outs):
        raise ShapeError(f"gradients: {len(outs)} outputs but {len(begins)} grad_outputs → give one for each output")
    for what, given in (("output", outs), ("input", ins)):
        for i, x in enumerate(given):
            if not isinstance(x, Tensor):
                raise DTypeError(f"gradients: {what} {i} is {type(x).__name__} but a tensor is needed → tensor(...)")
    for i, x in enumerate(ins):
        if x.node is None:
            raise GraphError(
                f"gradients: input {i} of shape {x.shape} is a constant → create it with requires_grad=True"
            )
    keep = create_graph if retain_graph is None else retain_graph
    with enable_grad() if create_graph else no_grad():
        seeds: dict[Node, Any] = {}
        for out, begin in zip(outs, begins, strict=True):
            seed = _seed(out, begin, "gradients")
            if create_graph:
                seed = seed if isinstance(seed, Tensor) else make(seed, None)
            elif isinstance(seed, Tensor):
                seed = seed.data
            assert out.node is not None
            seeds[out.node] = seeds[out.node] + seed if out.node in seeds else seed
        wanted = {x.node for x in ins if x.node is not None}
        found = sweep(seeds, keep=keep, graph=create_graph, wanted=wanted)
    results: list[Tensor | None] = []
    taken = {id(m): m for m in (inplace.memory(s.data if isinstance(s, Tensor) else s) for s in seeds.values())}
    for i, x in enumerate(ins):
        g = found.get(x.node)  # type: ignore[arg-type]
        if g is None and not allow_unused:
            raise GraphError(
                f"gradients: the outputs do not depend on input {i} of shape {x.shape} "
                "→ pass allow_unused=True to get None"
            )
        if g is not None and not isinstance(g, Tensor):
            g = as_array(g)
            memory = inplace.memory(g)
            if memory.size != g.size or id(memory) in taken or not getattr(g.flags, "writeable", True):
                g = memory = g.copy()  # of a part of more, of what somebody else has
            taken[id(memory)] = memory
            g = make(g, None)
        results.append(g)
    return results if several else results[0]


__all__ = ["backward", "gradients", "lift", "reachable", "sweep", "unbroadcast"]
