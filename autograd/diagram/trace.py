"""Running a function so that everything about it can be drawn, and the gradients of everything that it computed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from .. import backend
from ..core.node import Node, leaf
from ..core.scope import ROOT, enable_grad, no_grad
from ..core.sweep import sweep
from ..core.tensor import Tensor, make
from ..core.trace import tracing
from ..errors import ShapeError
from . import nested
from .facts import has_gradient
from .tape import roots, walk


def run(function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """Return ``function(*inputs, **options)``, traced: its results are on a tape that knows everything about the run.

    Tensors and arrays among the inputs, also inside lists, dictionaries, named tuples and data classes, become leaves
    of that tape, called as the function calls its arguments. The tensors that were given are not changed.

    >>> import autograd
    >>> run(lambda x: autograd.tanh(x), autograd.tensor([0.5])).node.parents
    (<leaf in x (1,)>,)
    """
    leaves: dict[int, Tensor] = {}

    def as_leaf(name: str, x: Any) -> Tensor:
        known = leaves.get(id(x))
        if known is None:
            data = x.data if isinstance(x, Tensor) else x
            known = leaves[id(x)] = make(data, leaf(data.shape, data.dtype))  # integers too: they are drawn as data
            known.node.scope = ROOT.child(name, kind="value")  # type: ignore[union-attr]
        return known

    names = argument_names(function, len(inputs))
    own = [nested.changed(x, name, as_leaf) for name, x in zip(names, inputs, strict=True)]
    kept = {name: nested.changed(x, name, as_leaf) for name, x in options.items()}
    with tracing(), enable_grad():
        return function(*own, **kept)


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return what ``function`` calls its first ``count`` arguments; those of ``*args`` are numbered.

    >>> argument_names(lambda a, *rest: None, 3), argument_names(print, 1)
    (['a', 'x1', 'x2'], ['x'])
    """
    try:
        parameters = inspect.signature(getattr(function, "forward", function)).parameters.values()
    except (TypeError, ValueError):  # built in: it does not say
        parameters = ()  # type: ignore[assignment]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    rest = count - len(names)
    return names + (["x"] if rest == 1 and not names else [f"x{i + 1}" for i in range(rest)])


def gradients(outputs: Any, seeds: Sequence[Any] | None = None) -> dict[Node, Any]:
    """Return the gradients of all nodes that ``outputs`` were computed from; nothing is added to ``.grad``.

    Args:
        outputs: tensors, also inside lists and the like; their gradients add up.
        seeds: for each tensor that has a graph the gradient to begin with, as an array; ones if None.

    Raises:
        GraphError: if no tensor has a graph.
        ShapeError: if a seed has another shape than its tensor, or one is missing.
    """
    tensors = [x for _, x in roots(outputs)]
    given = [None] * len(tensors) if seeds is None else list(seeds)
    if len(given) != len(tensors):
        raise ShapeError(f"draw: {len(tensors)} outputs but {len(given)} seeds → give one for each output")
    begin: dict[Node, Any] = {}
    for x, seed in zip(tensors, given, strict=True):
        seed = seed.data if isinstance(seed, Tensor) else seed
        if seed is not None and seed.shape != x.shape:
            raise ShapeError(f"draw: seed has shape {seed.shape} but its output {x.shape} → make them equal")
        assert x.node is not None
        begin[x.node] = backend.of(x.data).xp.ones_like(x.data) if seed is None else seed
    wanted = {node for node in walk(begin) if has_gradient(node)}
    with no_grad():
        return sweep(begin, keep=True, wanted=wanted)


__all__ = ["argument_names", "gradients", "run"]
