"""What belongs to which time step, what kind of sequence that makes, and how the steps of a loop look alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .axes import element
from .graph import Box, Edge, Graph, Group
from .loops import offsets
from .words import value

NAMED = ("data", "parameter", "constant", "output")  # drawn with their symbol
COMPUTED = ("operation", "module", "state", "output")
Row = tuple[str | None, str]  # a loop, and what is the same in all its steps


def name_rows(graph: Graph) -> None:
    """Give every box in a loop its ``row``: its id without the step, the same at all times."""
    for id, box in graph.boxes.items():
        if box.step is not None:
            step = next((g for g in graph.path(box.group) if g.step == box.step), None)
            box.row = id.removesuffix(f".t{box.step}") if step is None else row_in(step, id)


def row_in(step: Group, id: str) -> str:
    """Return the id of what lies in a step's group without that step.

    >>> step = Group("rnn.t2", "t", "rnn", step=2)
    >>> row_in(step, "rnn.t2.tanh"), row_in(step, "rnn.t2")
    ('rnn.tanh', 'rnn')
    """
    loop = f"{step.parent or ''}{f'#{step.call}' if step.call > 1 else ''}"
    return f"{loop}{id[len(step.id) :]}".lstrip(".") or "t"


def has_time(graph: Graph) -> bool:
    """Return whether anything in the graph happens in time steps."""
    return any(box.step is not None for box in graph.boxes.values())


# --- what belongs to a step -------------------------------------------------------------------------------------------


def settle(graph: Graph) -> Graph:
    """Return the graph with boxes around a loop moved into the step that they belong to.

    What is computed from one step only belongs to that step, such as the answer after the last word; so does an input
    that feeds one step only. What another loop needs of several steps, such as all that an encoder has read, belongs to
    the last of them. Initial states stay outside, those of a loop that comes after another go into its first step.
    """
    inputs, outputs, shifts = graph.inputs(), graph.outputs(), offsets(graph)
    boxes = dict(graph.boxes)
    given: set[str] = set()  # what depends on weights only
    for id, box in graph.boxes.items():
        needs = [e.tail for e in inputs[id] if e.tail not in given]
        if not needs and (inputs[id] or box.kind in ("parameter", "constant")):
            given.add(id)
        elif box.step is None:
            spots = _spots(boxes, needs)
            if len(spots) > 1 and _is_memory(box, spots, {boxes[e.head].loop for e in outputs[id]}):
                _move(boxes, id, [max(spots, key=lambda spot: spot[1] or 0)])
                boxes[id] = replace(boxes[id], group=None, label=_range([boxes[n] for n in needs]) or box.label)
            elif box.op != "stack":
                _move(boxes, id, spots)
    for id, box in reversed(graph.boxes.items()):
        spots = _spots(boxes, [e.head for e in outputs[id]])
        inner = box.kind in ("data", "operation") and not box.time
        if boxes[id].step is None and (inner or (box.kind == "state" and any(shifts.get(loop) for loop, _ in spots))):
            _move(boxes, id, spots)
    return graph.changed(boxes=boxes)


def _is_memory(box: Box, spots: list[tuple[str | None, int | None]], users: set[str | None]) -> bool:
    """Whether a box keeps what one loop's steps computed for another loop."""
    loops = {loop for loop, _ in spots}
    return box.kind == "operation" and len(loops) == 1 and None not in loops and bool(users - loops - {None})


def _range(boxes: list[Box]) -> str:
    """The same value at several times: ``h₁ … h₃``."""
    same = len({box.symbol for box in boxes}) == 1 and boxes[0].symbol
    return f"{value(boxes[0])} … {value(boxes[-1])}" if same else ""


def _spots(boxes: dict[str, Box], ids: list[str]) -> list[tuple[str | None, int | None]]:
    """The loops and steps of boxes, each once; constants outside of loops aside."""
    found = [boxes[id] for id in ids if boxes[id].kind != "constant" or boxes[id].step is not None]
    return list(dict.fromkeys((box.loop, box.step) for box in found))


def _move(boxes: dict[str, Box], id: str, spots: list[tuple[str | None, int | None]]) -> None:
    if len(spots) == 1:
        (loop, step), box = spots[0], boxes[id]
        if step is not None:
            time = str(step) if box.symbol else ""
            boxes[id] = replace(box, loop=loop, step=step, row=box.row or id, time=box.time or time)


# --- the kind of sequence ---------------------------------------------------------------------------------------------


def kind_of_sequence(graph: Graph) -> str:
    """Return what kind of sequence is processed, in the lecture's words, such as ``many to one``.

    >>> kind_of_sequence(Graph())
    'one to one'
    """
    if not has_time(graph):
        return "one to one"
    read, written = _read(graph), _written(graph)
    text = " to ".join("many" if len(spots) > 1 else "one" for spots in (read, written))
    if text == "many to many" and {step for _, step in read} - {None} == {step for _, step in written}:
        shifts = offsets(graph)
        text += " in step" if len({shifts[loop] for loop, step in read | written if step is not None}) == 1 else ""
    return text


def _read(graph: Graph) -> set[tuple[str | None, int | None]]:
    """Where inputs are read: initial states are none, and of what is taken apart in a loop each part counts."""
    found = {(b.loop, b.step) for b in graph.boxes.values() if b.kind == "data" and (b.step is not None or not b.time)}
    parts = {e.head: graph.boxes[e.head] for e in graph.edges if takes_part(graph, e)}
    return found | {(box.loop, box.step) for box in parts.values()}


def _written(graph: Graph) -> set[tuple[str | None, int | None]]:
    return {(box.loop, box.step) for box in graph.boxes.values() if box.kind in ("output", "loss")}


def takes_part(graph: Graph, edge: Edge) -> bool:
    """Return whether a step of a loop takes one element of a value from outside, where the loop is not drawn so."""
    tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
    if tail.step is not None or head.step is None or tail.kind == "parameter":
        return False
    return tail.op == "unstack" or (head.op == "getitem" and element(head.given["index"], tail.shape) is not None)


# --- how it looks -----------------------------------------------------------------------------------------------------


def finish(graph: Graph) -> Graph:
    """Return a closed graph as it is drawn: results with their boxes, the steps of a row alike, values by symbols."""
    if any(box.time for box in graph.boxes.values()):
        graph = _absorb_outputs(_merge_ellipses(graph))
    rows = _rows(graph)
    states = {row for row, boxes in rows.items() if {b.kind for b in boxes} & {"state", "output"} == {"state"}}
    plain = {row for row, boxes in rows.items() if not all(box.formula for box in boxes)}
    boxes = dict(graph.boxes)
    for id, box in graph.boxes.items():
        row = (box.loop, box.row) if box.kind in COMPUTED else None
        kind, formula = "state" if row in states else box.kind, "" if row in plain else box.formula
        boxes[id] = replace(box, kind=kind, label=label(box), formula=formula)
    return graph.changed(boxes=boxes)


def _rows(graph: Graph) -> dict[Row, list[Box]]:
    """What a loop computes, by what it is."""
    rows: dict[Row, list[Box]] = {}
    for box in graph.boxes.values():
        if box.row and box.kind in COMPUTED:
            rows.setdefault((box.loop, box.row), []).append(box)
    return rows


def label(box: Box) -> str:
    """Return what a box is called: a value by its symbol, a module that only has a number by its class too."""
    if box.symbol and (box.kind in NAMED or box.op in ("constant", "data")):
        return value(box)
    if box.symbol and box.kind == "operation":
        return f"{box.label} → {value(box)}"
    if box.op and box.label[:1].isdecimal():  # the name of a place in a Sequential
        return box.op if box.label.isdecimal() else f"{box.op} {box.label}"
    return box.label


def _absorb_outputs(graph: Graph) -> Graph:
    """A result's box and its output's box become one, as the lecture draws y₂ = W_hy h₂.

    States are no outputs, even where all of them are results; where one of them is, it has a box of its own for that.
    """
    inputs, outputs = graph.inputs(), graph.outputs()
    rows = _rows(graph)
    states = {row for row, boxes in rows.items() if any(b.kind == "state" and b.symbol != "y" for b in boxes)}
    results = [(e.tail, box.symbol) for id, box in graph.boxes.items() if box.kind == "output" for e in inputs[id]]
    count = Counter((graph.boxes[id].loop, graph.boxes[id].row, symbol) for id, symbol in dict.fromkeys(results))
    boxes = dict(graph.boxes)
    for id, box in graph.boxes.items():
        if box.kind != "output" or len(inputs[id]) != 1:
            continue
        source = boxes[inputs[id][0].tail]
        row = source.loop, source.row
        if row in states:
            if count[*row, box.symbol] == len(rows[row]):
                del boxes[id]
        elif source.symbol == "y" or (source.kind in ("operation", "module") and len(outputs[source.id]) == 1):
            boxes[source.id] = replace(source, kind="output", symbol=source.symbol or box.symbol)
            del boxes[id]
    return graph.changed(boxes=boxes, edges=[e for e in graph.edges if e.head in boxes])


def _merge_ellipses(graph: Graph) -> Graph:
    """Ellipses lie in the row of what they continue; several in one place are one."""
    inputs = graph.inputs()
    boxes: dict[str, Box] = {}
    stands: dict[tuple[str, int | None], str] = {}
    same: dict[str, str] = {}
    for id, box in graph.boxes.items():
        if box.kind == "more" and inputs[id]:
            row = graph.boxes[inputs[id][0].tail].row
            same[id] = stands.setdefault((row, box.column), id)
            if same[id] == id:
                boxes[id] = replace(box, row=row)
        else:
            boxes[id] = box
    edges = [replace(e, tail=same.get(e.tail, e.tail), head=same.get(e.head, e.head)) for e in graph.edges]
    return graph.changed(boxes=boxes, edges=edges)
