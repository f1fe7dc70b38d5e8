"""``draw``: from a result, or a function and its inputs, to a drawing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..core.scope import enable_grad
from ..core.tensor import Tensor
from ..errors import DomainError, DTypeError, GraphError
from ..random import default_generator
from . import detail, loops, naming, steps, tape, trace, unfold, words
from .drawing import Drawing
from .graph import Graph
from .parallel import parallel
from .sample import samples

TIMES = ("unfold", "fold")
DIRECTIONS = ("down", "up", "right")


@contextmanager
def _unnoticed() -> Iterator[None]:
    """Put the random numbers back, and keep the cyclic garbage collector from counting all that a drawing is made of.

    There are no cycles in it, but looking for some among a hundred thousand objects takes as long as making them.
    """
    numbers, collecting = default_generator().get_state(), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        default_generator().set_state(numbers)
        if collecting:
            gc.enable()


@_unnoticed()
def draw(
    what: Any,
    *inputs: Any,
    time: str = "unfold",
    depth: int | None = None,
    values: bool = False,
    gradients: bool = False,
    loss: Callable[..., Tensor] | None = None,
    names: Mapping[Any, tuple[str, str]] | None = None,
    most_steps: int = unfold.MOST_STEPS,
    title: str = "",
    direction: str | None = None,
) -> Drawing:
    """Draw how a result was computed: ``draw(loss)``, or ``draw(function, *inputs)``.

    Args:
        what: a tensor or several, drawn as the tape has it; or a function of ``inputs``, which is run once so that its
            inputs, constants and every value are known.
        inputs: what the function is called with.
        time: ``"unfold"`` draws a column for every time step, ``"fold"`` one box with its loop.
        depth: how many levels of modules and composites are opened: 0 draws a box for each outermost one. None: as far
            as it stays readable.
        values: show every value's statistics and a small picture of it (of a function only).
        gradients: show the backward pass: every gradient's norm as the width of an edge.
        loss: what the gradients are of: a function of the result; its sum if None.
        names: for leaves of the graph their dotted name and symbol.
        most_steps: how many time steps are drawn without an ellipsis.
        title: the heading, to which the kind of sequence is added where there is one.
        direction: where data flows: ``"down"``, ``"up"`` or ``"right"``. None: up where time flows to the right, else
            down.

    Raises:
        DomainError: for an unknown ``time`` or ``direction``, or a ``depth`` that is no level.
        GraphError: if nothing was recorded or the graph was freed.

    >>> import autograd
    >>> w = autograd.tensor([1.0, 2.0], requires_grad=True)
    >>> draw((w * w).sum())
    Drawing: 4 boxes, 4 edges
    """
    if time not in TIMES:
        raise DomainError(f"draw: time is {time!r} → choose one of {', '.join(map(repr, TIMES))}")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise DomainError(f"draw: depth is {depth!r} → give 0, 1, 2 ... or None")
    if not isinstance(most_steps, int) or most_steps < 2:
        raise DomainError(f"draw: most_steps is {most_steps!r} → give an integer of at least 2")
    if direction not in (None, *DIRECTIONS):
        raise DomainError(f"draw: direction is {direction!r} → choose one of {', '.join(map(repr, DIRECTIONS))}")
    full = lay_out(_record(what, inputs, values, gradients, loss, names or {}), time, most_steps, title, direction)
    return Drawing(closed(full, depth), full)


def _record(
    what: Any, inputs: tuple[Any, ...], values: bool, gradients: bool, loss: Any, names: Mapping[Any, tuple[str, str]]
) -> Graph:
    """The full graph of a result, or of what a function makes of its inputs."""
    if callable(what) and not isinstance(what, Tensor):
        outputs = trace.run(what, *inputs)
    elif inputs:
        raise DTypeError(
            f"draw: {type(what).__name__} is no function but {len(inputs)} inputs are given "
            "→ draw(tensor), or draw(function, *inputs)"
        )
    elif values:
        raise GraphError("draw: the tape keeps no values, but values=True → draw(function, *inputs, values=True)")
    else:
        outputs = what
    found = None
    if gradients:
        with enable_grad():  # the loss too, wherever draw() was called
            found = trace.gradients(outputs if loss is None else loss(outputs))
    return tape.read(outputs, names=names, values=values, gradients=found)


def lay_out(
    graph: Graph, time: str, most_steps: int = unfold.MOST_STEPS, title: str = "", direction: str | None = None
) -> Graph:
    """Return a full graph with everything in it named, which is done in place, and its time laid out."""
    graph = parallel(loops.infer(graph))
    steps.name_rows(graph)
    graph = steps.settle(naming.name_values(graph))
    kind, in_time = steps.kind_of_sequence(graph), steps.has_time(graph)
    if in_time:
        graph = unfold.unfold(graph, most_steps) if time == "unfold" else unfold.fold(graph)
        title = f"{title} ({kind})" if title else kind
    columns = bool(graph.columns)
    return graph.changed(
        title=title, direction="up" if columns or (in_time and direction is None) else direction or "down"
    )


def closed(graph: Graph, depth: int | None) -> Graph:
    """Return a laid out graph with its groups closed to a depth; None: a box for each layer, as far as it fits.

    Expressions without modules are drawn down to their primitives.
    """
    in_time = any(box.time for box in graph.boxes.values())
    formula = words.formulas(graph) if in_time else None
    if depth is not None:
        graph = detail.close(graph, detail.depth(graph, depth), formula)
    else:
        has_modules = any(group.kind for group in graph.groups.values())
        if in_time or has_modules or (graph.groups and len(graph.boxes) > detail.MOST_BOXES):
            graph = detail.fit(graph, formula=formula)
    return steps.finish(samples(graph))
