"""Checkpoints: part of a program is computed again during the backward pass instead of being remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import backend
from ..core.composite import identity
from ..core.contract import Contract
from ..core.dispatch import record_several
from ..core.node import Node, Op, leaf, recorded
from ..core.scope import enable_grad, next_seq, state
from ..core.sweep import reachable, sweep
from ..core.tensor import Tensor, make
from ..errors import DTypeError
from ..random import default_generator


class Segment(Op):
    """A checkpointed call as an operation: it keeps its inputs, and runs again when its gradient is wanted."""

    name = label = "checkpoint"
    contract = Contract.parse("*inputs")
    params = ("captured",)
    saved_names = ("inputs",)

    def __init__(self, f: Callable[..., Any], random_state: dict[str, Any]) -> None:
        self.f, self.random_state = f, random_state

    def lift(self, node: Node, wrap: Callable[[Any, Any], Any]) -> tuple[Any, ...]:
        """Return the inputs as tensors of the graph."""
        parents = node.parents or ()
        return ([wrap(x, parents[i]) if hasattr(x, "dtype") else x for i, x in enumerate(node.saved[0])],)

    def pull(self, g: Any, parents: Sequence[Any], saved: tuple[Any, ...], params: tuple[Any, ...]) -> list[Any]:
        """Run the call again, recorded, and carry ``g`` through it."""
        inputs, captured = saved[0], params[0]
        graph = isinstance(g[0] if isinstance(g, tuple) else g, Tensor)
        generator = default_generator()
        now = generator.get_state()
        generator.set_state(self.random_state)
        try:
            with enable_grad():
                own = [_input(x, p, graph) for x, p in zip(inputs, parents, strict=False)]
                start = next_seq()  # the sweep ends at the inputs and at what is captured
                out = self.f(*own)
        finally:
            generator.set_state(now)
        outs = _parts(out)
        seeds: dict[Node, Any] = {}
        for o, go in zip(outs, g if isinstance(g, tuple) else (g,), strict=True):
            if o.node is not None:
                seeds[o.node] = go
        nodes = [x.node if isinstance(x, Tensor) else None for x in own] + list(captured)
        wanted = [n for n in nodes if n is not None]
        found = sweep(seeds, keep=True, graph=graph, wanted=wanted, since=start) if seeds else {}
        return [None if n is None else found.get(n) for n in nodes]


def _input(x: Any, parent: Node | None, graph: bool) -> Any:
    if not hasattr(x, "dtype"):
        return x
    if graph:
        return identity(x) if x.node is not None else x
    return make(x, None if parent is None else leaf(x.shape, x.dtype))


def _parts(out: Any) -> list[Any]:
    """What a tuple consists of, however deep."""
    return [part for inner in out for part in _parts(inner)] if isinstance(out, tuple) else [out]


def _nested(out: Any, parts: Iterator[Any]) -> Any:
    """The parts in the place of those that ``out`` consists of."""
    return tuple([_nested(inner, parts) for inner in out]) if isinstance(out, tuple) else next(parts)


def checkpoint(f: Callable[..., Any], *args: Any) -> Any:
    """Return ``f(*args)`` without keeping what its gradient needs; the backward pass computes it again.

    Trades time (one more forward pass of ``f``) for memory (only the arguments are kept). Random numbers from the
    default generator are drawn again alike. Tensors that ``f`` uses from outside, such as parameters, get their
    gradients too.

    Args:
        f: a function that computes the same each time, and returns a tensor or a tuple of them, however deep.
        args: tensors, or anything else that ``f`` takes.

    Raises:
        DTypeError: if ``f`` returns something else.

    Source: Chen et al., Training deep nets with sublinear memory cost, 2016, arXiv:1604.06174.

    >>> import autograd
    >>> x = autograd.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda x: autograd.exp(x) * x, x).sum().backward()
    >>> x.grad
    tensor([ 5.436564, 22.167168])
    """
    if state.scope is None or state.trace is not None:  # nothing to remember; or what f does is to be seen
        return f(*args)
    random_state = default_generator().get_state()
    start = next_seq()
    own = [Tensor(x.data, requires_grad=x.requires_grad) if isinstance(x, Tensor) else x for x in args]
    out = f(*own)
    outs = _parts(out)
    if all([backend.is_array(type(o)) for o in outs]):
        return out  # computed from arrays alone
    if not all(isinstance(o, Tensor) for o in outs):
        raise DTypeError(
            f"checkpoint: the function returned {type(out).__name__} but a tensor or a tuple of tensors is needed"
        )
    roots = [o.node for o in outs if o.node is not None]
    captured = tuple(n for n in reachable(roots, start) if n.seq < start)
    parents = tuple(x.node if isinstance(x, Tensor) else None for x in args) + captured
    if not roots:
        return out
    op = Segment(f, random_state)
    saved = ([x.data if isinstance(x, Tensor) else x for x in args],)
    if isinstance(out, tuple):
        return _nested(out, iter(record_several(op, tuple(o.data for o in outs), parents, saved, (captured,))))
    return make(out.data, recorded(op, parents, saved, (captured,), out, state.scope))
