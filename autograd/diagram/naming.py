"""Symbols for values and weights, as in the lecture: inputs x, states h, outputs y, weights ``W_xh``."""

from __future__ import annotations

import itertools
import re
from collections import Counter

from .graph import Box, Edge, Graph
from .loops import offsets, ordinals, steps_between
from .steps import takes_part
from .words import VIEWS, seen_through, subscript

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
Row = tuple[str | None, str]  # a loop, and a row of it
Place = tuple[str | None, str, int]  # the same, and which of its inputs
Layer = tuple[str | None, ...]  # a loop, and modules in its step


def name_values(graph: Graph) -> Graph:
    """Give values their symbols: states, their initial values, outputs, and weights by what they map.

    A weight from x to h is ``W_xh`` as in the lecture; one between values without symbols is called after its module,
    and so is what else a module hands on. Rows must be known, see ``steps.name_rows``. Returns the graph without what
    initial values make superfluous.
    """
    for box in graph.boxes.values():
        if box.step is not None:
            inner = [str(g.step) for g in graph.path(box.group) if g.step is not None][1:]
            box.time = ",".join([str(box.step), *inner])
    _name_states(graph)
    _number_layers(graph)
    graph = _name_initial_states(graph)
    _name_inputs(graph)
    _name_outputs(graph)
    _name_cuts(graph)
    _name_weights(graph)
    if any(box.step is not None for box in graph.boxes.values()):
        _name_after_modules(graph)
    return graph


# --- states -----------------------------------------------------------------------------------------------------------


def _name_states(graph: Graph) -> None:
    """What one step hands to the next is a state. One without a name is h, or y if it is an output beside a state."""
    inputs, order = graph.inputs(), ordinals(graph)
    results = {
        (t.loop, t.row) for e in graph.edges if graph.boxes[e.head].kind == "output" and (t := graph.boxes[e.tail]).row
    }
    rows: dict[str | None, dict[str, Box]] = {}
    for edge in graph.edges:
        box = graph.boxes[edge.tail]
        if edge.kind == "data" and box.kind != "data" and steps_between(graph, edge, order):
            edge.kind = "state"
            rows.setdefault(box.loop, {}).setdefault(box.row, box)
    names: dict[Row, str] = {}
    for loop, states in rows.items():
        names |= {(loop, row): box.symbol or _chosen(graph, inputs, box) for row, box in states.items()}
        taken = {names[loop, row] for row in states} - {""}
        for row, box in states.items():
            if names[loop, row]:
                continue
            if len(states) > 1 and (loop, row) in results:  # fed back
                names[loop, row] = "y"
            elif not taken or not any(g.kind for g in graph.path(box.group)):  # else it is called after its module
                free = ("h" + "′" * n for n in itertools.count())
                names[loop, row] = next(symbol for symbol in free if symbol not in taken)
                taken.add(names[loop, row])
    for box in graph.boxes.values():
        box.symbol = box.symbol or names.get((box.loop, box.row), "")


def _chosen(graph: Graph, inputs: dict[str, list[Edge]], box: Box) -> str:
    """The symbol of the value of the same step that a ``where`` chooses, as long as a row of the batch runs."""
    new = [b.symbol for e in inputs[box.id] if (b := graph.boxes[e.tail]).symbol and b.step == box.step]
    return new[0] if box.op == "where" and len(new) == 1 else ""


def _number_layers(graph: Graph) -> None:
    """Layers that run beside one another number their values: h⁽¹⁾, h⁽²⁾; those of a loop from the right end get ′."""
    shifts, order, layer_of = offsets(graph), ordinals(graph), _layers(graph)
    states: dict[tuple[int, bool], dict[Layer, set[str]]] = {}  # of layers beside one another, by direction
    for edge in graph.edges:
        if edge.kind == "state":
            box = graph.boxes[edge.tail]
            beside = states.setdefault((shifts[box.loop], steps_between(graph, edge, order) > 0), {})
            beside.setdefault(layer_of[box.id], set()).add(box.symbol)
    marks: dict[Layer, str] = {}
    for (shift, forward), beside in states.items():
        count = Counter(symbol for symbols in beside.values() for symbol in symbols)
        alike = [layer for layer, symbols in beside.items() if any(count[s] > 1 for s in symbols)]
        marks |= {layer: f"⁽{str(n).translate(SUPERSCRIPTS)}⁾" for n, layer in enumerate(alike, 1)}
        if not forward and (shift, True) in states:
            marks |= {layer: f"{marks.get(layer, '')}′" for layer in beside}
    for id, layer in layer_of.items():
        box = graph.boxes[id]
        if box.symbol and box.kind == "operation":
            box.symbol += marks.get(layer, "")


def _layers(graph: Graph) -> dict[str, Layer]:
    """For every box in a loop that loop, and the modules inside the step that it lies in."""
    inside: dict[str | None, tuple[str, ...]] = {None: ()}
    for group in graph.groups.values():
        around = inside[group.parent]
        inside[group.id] = () if group.step is not None else (*around, group.label) if group.kind else around
    return {box.id: (box.loop, *inside[box.group]) for box in graph.boxes.values() if box.step is not None}


def _name_initial_states(graph: Graph) -> Graph:
    """What feeds a state's place in the first step is the state before it: h₀."""
    expected: dict[Place, tuple[str, int]] = {}
    inputs, order = graph.inputs(), ordinals(graph)
    for edge in graph.edges:
        if edge.kind == "state" and (symbol := graph.boxes[edge.tail].symbol):
            expected[_place(graph, edge)] = symbol, steps_between(graph, edge, order)
    crossing = set(expected)
    for edge in graph.edges:  # where there is one step only, weights such as W_hh tell
        head = graph.boxes[edge.head]
        if head.op == "matmul" and head.step is not None:
            expected.setdefault(_place(graph, edge), (_kept_by(graph, inputs, edge), 1))
    views: set[str] = set()  # that are seen through
    for edge in graph.edges:
        head, tail = graph.boxes[edge.head], graph.boxes[edge.tail]
        symbol, lag = expected.get(_place(graph, edge), ("", 0))
        if not symbol or tail.kind in ("parameter", "cut"):
            continue
        base = seen_through(graph, inputs, tail) if tail.step is None else tail
        if base.kind == "operation" and base.op not in VIEWS:
            views |= {tail.id} - {base.id}
            edge.tail, tail = base.id, base
        if tail.kind == "state" or (tail.step is not None and tail.loop != head.loop):  # such as an encoder's last
            edge.kind = "state"
        if tail.step is not None:
            continue
        steps = [g.step for g in graph.path(head.group) if g.step is not None]
        leaf = tail  # also of what a state is a part of: one layer's
        while leaf.op in VIEWS and len(inputs[leaf.id]) == 1:
            leaf = graph.boxes[inputs[leaf.id][0].tail]
        given = leaf.kind in ("data", "constant") if symbol != "y" else tail.kind == "constant"
        if given:
            views.add(tail.id)
            tail.op, tail.params, tail.kind = leaf.kind, "", "state"
            tail.group = tail.group if symbol == "y" else None  # a state stands before the layer that changes it
        elif symbol == "y" or tail.symbol or not tail.op:  # what is read first is an input, unless it is made up
            continue
        inside = len(steps) > 1 and _place(graph, edge) not in crossing  # the initial state of a loop in a step
        edge.kind, tail.symbol, tail.time = "state", symbol, str((steps[-1] if inside else head.step or 0) - lag)
        if inside:
            tail.loop, tail.step, tail.row = head.loop, head.step, f"{head.row}.{edge.slot}"
    used = {edge.tail for edge in graph.edges}
    return graph.without(boxes=views - used, edges=[e for e in graph.edges if e.head in views])


def _place(graph: Graph, edge: Edge) -> Place:
    """What a value is used for: the same at all time steps."""
    head = graph.boxes[edge.head]
    return head.loop, head.row, edge.slot


def _kept_by(graph: Graph, inputs: dict[str, list[Edge]], edge: Edge) -> str:
    """The state that a product's weight maps to itself, ``h`` if it is ``W_hh``; nothing for other weights."""
    for other in inputs[edge.head]:
        box = seen_through(graph, inputs, graph.boxes[other.tail])
        if other.slot != edge.slot and box.kind == "parameter" and (found := re.match(r"W_(.)\1", box.symbol)):
            return found[1]
    return ""


# --- inputs, outputs, cuts --------------------------------------------------------------------------------------------


def _name_inputs(graph: Graph) -> None:
    """What each step reads of an input is called as that, at its time: an element of a list, a part of an array."""
    played: dict[Place, list[Box]] = {}
    outputs = graph.outputs()
    for box in graph.boxes.values():
        steps = {(graph.boxes[e.head].loop, graph.boxes[e.head].step) for e in outputs[box.id]}
        if box.kind == "data" and box.step is None and len(steps) == 1 and steps.pop()[1] is not None:
            played.setdefault(_place(graph, outputs[box.id][0]), []).append(box)
    for boxes in played.values():
        stems = {re.sub(r"\d+$", "", box.symbol) for box in boxes}  # words1, words2 ... are elements of words
        if len(boxes) > 1 and len(stems) == 1 and (stem := stems.pop()):
            row = boxes[0].id
            for box in boxes:
                box.symbol, box.row = stem, row
    read = {box.loop for box in graph.boxes.values() if box.kind == "data"}
    for box in graph.boxes.values():
        if box.kind == "constant" and box.step is not None and box.loop not in read:
            box.kind, box.symbol = "data", "x"  # such as words turned into numbers
    inputs = graph.inputs()
    parts: dict[tuple[str, str | None, int | None], list[Edge]] = {}
    for edge in graph.edges:
        if takes_part(graph, edge):
            leaf, head = graph.boxes[edge.tail], graph.boxes[edge.head]
            while leaf.op in (*VIEWS, "unstack") and len(inputs[leaf.id]) == 1:
                leaf = graph.boxes[inputs[leaf.id][0].tail]
            if leaf.kind == "data":
                parts.setdefault((leaf.symbol, head.loop, head.step), []).append(edge)
    for (symbol, _, step), edges in parts.items():
        head = graph.boxes[edges[0].head]
        if len(edges) == 1 and edges[0].index is not None:
            edges[0].label = symbol + subscript(str(step))
        elif len(edges) == 1 and head.op == "getitem" and not head.symbol:
            head.symbol = symbol


def _name_outputs(graph: Graph) -> None:
    """The model's output is y, its loss L; what computes them is called so too if it has no name."""
    for edge in graph.edges:
        head, tail = graph.boxes[edge.head], graph.boxes[edge.tail]
        if head.kind in ("output", "loss"):
            head.symbol = tail.symbol or head.symbol or {"output": "y", "loss": "L"}[head.kind]
            tail.symbol = tail.symbol or head.symbol


def _name_cuts(graph: Graph) -> None:
    """A value behind a cut is the same value."""
    for edge in graph.edges:
        head, tail = graph.boxes[edge.head], graph.boxes[edge.tail]
        if head.kind == "cut":
            head.symbol, head.time = tail.symbol, tail.time


# --- weights and modules ----------------------------------------------------------------------------------------------


def _name_weights(graph: Graph) -> None:
    """Call ``weight`` and ``bias`` of a layer by the values between which they stand, or else by the layer."""
    plain = {b.id: b for b in graph.boxes.values() if b.kind == "parameter" and b.symbol in ("W", "b")}
    inputs, outputs = graph.inputs(), graph.outputs()
    ends: dict[str, set[str]] = {id: set() for id in plain}
    for id, box in plain.items():
        for use in _uses(graph, outputs, id):
            operation = graph.boxes[use.head]
            to = _first_symbol(graph, outputs, operation)
            source = ""
            if box.symbol == "W":
                source = next((graph.boxes[e.tail].symbol for e in inputs[operation.id] if e.slot != use.slot), "")
            short = len(to) == 1 and (box.symbol == "b" or len(source) == 1)
            ends[id].add(f"{box.symbol}_{source}{to}" if short else "")
    wanted = {id: names.copy().pop() if len(names) == 1 else "" for id, names in ends.items()}
    count = Counter(wanted.values())
    for id, box in plain.items():
        layer = box.name.rpartition(".")[0].rpartition(".")[2]
        unique = wanted[id] if wanted[id] and count[wanted[id]] == 1 else ""
        box.symbol = unique or (f"{box.symbol}_{layer}" if layer else box.symbol)
    _tell_apart([b for b in graph.boxes.values() if b.kind == "parameter"])


def _tell_apart(parameters: list[Box]) -> None:
    """Weights of one name, such as an encoder's and a decoder's ``W_hh``, say whose they are."""
    count = Counter(box.symbol for box in parameters)
    for box in parameters:
        if count[box.symbol] > 1:
            box.params = box.name.rpartition(".")[0]


def _uses(graph: Graph, outputs: dict[str, list[Edge]], id: str) -> list[Edge]:
    """The edges by which operations use a parameter, seen through transposes and reshapes."""
    found: list[Edge] = []
    waiting = list(outputs[id])
    while waiting:
        edge = waiting.pop()
        if graph.boxes[edge.head].op in VIEWS:
            waiting += outputs[edge.head]
        else:
            found.append(edge)
    return found


def _first_symbol(graph: Graph, outputs: dict[str, list[Edge]], box: Box) -> str:
    """The symbol of the value that an operation's result becomes, as long as only one thing is made of it."""
    for _ in range(6):
        if box.symbol or len(outputs[box.id]) != 1:
            return box.symbol
        box = graph.boxes[outputs[box.id][0].head]
    return ""


def _name_after_modules(graph: Graph) -> None:
    """The only value without a symbol that a module hands on, in a step, is called as the innermost such module is."""
    handed: dict[tuple[str, int | None], set[tuple[str, int | None]]] = {}
    for edge in graph.edges:
        tail = graph.boxes[edge.tail]
        around = {g.id for g in graph.path(graph.boxes[edge.head].group)}
        for group in graph.path(tail.group):
            if group.kind and group.id not in around:
                handed.setdefault((group.id, tail.step), set()).add((tail.id, edge.index))
    inner_first = {id: n for n, id in enumerate(reversed(graph.groups))}
    for (id, _), values in sorted(handed.items(), key=lambda item: inner_first[item[0][0]]):
        (box_id, index), *others = values
        box, name = graph.boxes[box_id], graph.groups[id].name
        plain = box.kind == "operation" and box.op != "concatenate" and not box.symbol  # [h; h′] says it better
        if not others and index is None and plain and name[:1].isalpha():
            box.symbol = name
