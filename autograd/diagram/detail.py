"""Detail: groups closed into one box each, by level, by layer, or as far as a drawing stays readable.

A closed group keeps its counts: the weights of what is inside and of parameters that only the inside uses, and its
multiply-adds. Its edges are those of the values that enter and leave it, each value once.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from .graph import Box, Edge, Graph, Group
from .nesting import GIVEN, Nesting
from .repeats import fold_repeats
from .words import Formula, value

TELLING = ("conv", "max_pool", "avg_pool", "adaptive")  # operations whose parameters describe the layer around them
MOST_BOXES = 60  # of a drawing that still reads well

Value = tuple[str, int | None]  # the box that computes it, and which output of that it is


def closed_boxes(graph: Graph, formula: Formula | None = None) -> dict[str, Box]:
    """Return for every group that holds something the box that stands for it when it is closed.

    Args:
        graph: any graph.
        formula: gives a group's formula, see ``words.formulas``.

    >>> weight, add = Box("fc.w", "parameter", "w", "fc", weights=8), Box("fc.add", "operation", "+", "fc")
    >>> fc = closed_boxes(Graph({b.id: b for b in (weight, add)}, [], {"fc": Group("fc", "fc", kind="Linear")}))["fc"]
    >>> fc.kind, fc.label, fc.op, fc.weights
    ('module', 'fc', 'Linear', 8)
    """
    around: dict[str | None, list[str]] = {None: []}
    for id, group in graph.groups.items():
        around[id] = [*around[group.parent], id]
    return _boxes(graph, Nesting(graph), around, formula)


def close(graph: Graph, shut: Collection[str], formula: Formula | None = None) -> Graph:
    """Return the graph with every group in ``shut`` as one box, and its edges at what remains visible.

    A parameter or constant that only one closed group uses is absorbed by it; one with several users stays a box. In a
    column of an unfolded view no parameter is absorbed: weights are drawn once, with an edge to every use.
    """
    nesting = Nesting(graph)
    around: dict[str | None, list[str]] = {None: []}  # the outermost closed group around each
    seen: dict[str | None, str | None] = {None: None}  # the innermost group around each that stays
    for id, group in graph.groups.items():
        around[id] = around[group.parent] or ([id] if id in shut else [])
        seen[id] = seen[group.parent] if around[id] else id
    closed = _boxes(graph, nesting, around, formula)
    stand = {id: around[group][0] if around[group] else id for id, group in nesting.place.items()}
    boxes: dict[str, Box] = {}
    for id, box in graph.boxes.items():
        if stand[id] == id:
            boxes[id] = box if seen[box.group] == box.group else replace(box, group=seen[box.group])
        else:
            if box.kind not in GIVEN:
                boxes.pop(stand[id], None)  # a closed group is computed when its last box is
            boxes.setdefault(stand[id], closed[stand[id]])
    groups = {id: group for id, group in graph.groups.items() if not around[id]}
    return graph.changed(boxes=boxes, edges=_lifted(graph, stand, boxes), groups=groups)


@dataclass(slots=True)
class _Inside:
    """What a group holds."""

    boxes: list[Box] = field(default_factory=list)  # parameters and constants aside
    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0
    seq: float = -math.inf
    values: dict[Value, _Flow] = field(default_factory=dict)  # that leave it
    plain: list[Value] = field(default_factory=list)  # those of them that are not only states
    keeps: bool = False  # whether one of them goes into another time step
    begins: set[str] = field(default_factory=set)  # the symbols of states that come in
    returns: bool = False  # whether one of them comes back in a folded view
    joins: set[str] = field(default_factory=set)  # sums of what is computed there and what comes from elsewhere

    def same(self, name: str) -> Any:
        """What all boxes agree on, or None."""
        found = {getattr(box, name) for box in self.boxes}
        return found.pop() if len(found) == 1 else None


def _boxes(
    graph: Graph, nesting: Nesting, around: dict[str | None, list[str]], formula: Formula | None
) -> dict[str, Box]:
    """The boxes of groups; ``around`` says which groups hold what lies in a group."""
    inside: dict[str, _Inside] = {}
    for id, box in graph.boxes.items():
        for group in around[nesting.place[id]]:
            found = inside.setdefault(group, _Inside())
            found.weights += box.weights
            found.biases += box.biases
            found.multiply_adds += box.multiply_adds
            found.seq = max(found.seq, box.seq)
            if box.kind not in GIVEN:
                found.boxes.append(box)
    for leaving, flow in _flows(graph, nesting).items():
        for group in around[nesting.place[leaving[0]]]:
            if nesting.level[group] > flow.level:
                inside[group].values[leaving] = flow
                inside[group].plain += [leaving] if nesting.level[group] > flow.plain else []
                inside[group].keeps |= nesting.level[group] > flow.handed
                inside[group].returns |= flow.returns
    for edge in graph.edges:
        if (tail := graph.boxes[edge.tail]).kind == "state":
            for group in around[nesting.place[edge.head]]:
                inside[group].begins.add(tail.symbol)
        elif (
            graph.boxes[edge.head].op == "add" and tail.kind not in GIVEN and tail.group != graph.boxes[edge.head].group
        ):
            for group in around[nesting.place[edge.head]]:
                inside[group].joins.add(edge.head)
    return {id: _box(graph, graph.groups[id], found, formula) for id, found in inside.items()}


@dataclass(slots=True)
class _Flow:
    """How far a value goes: the level of the group around all its uses, those at other time steps, those at its own."""

    level: float = math.inf
    handed: float = math.inf
    plain: float = math.inf
    returns: bool = False  # whether it comes back in a folded view
    shape: Any = None


def _flows(graph: Graph, nesting: Nesting) -> dict[Value, _Flow]:
    """All computed values."""
    flows: dict[Value, _Flow] = {}
    used = set()
    for edge in graph.edges:
        used.add(edge.tail)
        if graph.boxes[edge.tail].kind not in GIVEN:
            level = nesting.level[nesting.common(nesting.place[edge.tail], nesting.place[edge.head])]
            flow = flows.setdefault((edge.tail, edge.index), _Flow(shape=edge.shape))
            flow.level = min(flow.level, level)
            if edge.kind == "state":
                flow.handed = min(flow.handed, level)
                flow.returns |= edge.lag != 0
            else:
                flow.plain = min(flow.plain, level)
    for id, box in graph.boxes.items():
        if id not in used and box.kind not in (*GIVEN, "data", "cut", "more"):
            flows[id, None] = _Flow(0, plain=0, shape=box.shape)  # a result
    return flows


def _box(graph: Graph, group: Group, inside: _Inside, formula: Formula | None) -> Box:
    step, main = inside.same("step"), _main_value(graph, inside)
    keeps = inside.keeps or (main is not None and graph.boxes[main[0]].symbol in inside.begins - {""})
    box = Box(
        group.id,
        "state" if inside.returns or (keeps and step is not None) else "module",
        group.name,
        group.parent,
        inside.seq,
        op=group.kind or group.name,
        formula=formula(graph, group.id) if formula else "",
        loop=inside.same("loop"),
        step=step,
        column=inside.same("column") if group.column is None else group.column,
        row=group.row or inside.same("row") or "",
        weights=inside.weights,
        biases=inside.biases,
        multiply_adds=inside.multiply_adds,
        times=group.times,
        line=next((b.line for b in inside.boxes if b.line), ""),
    )
    direct = [b for b in inside.boxes if b.group == group.id and b.params and b.op.startswith(TELLING)]
    if len(direct) == 1:
        box.params, box.given = direct[0].params, direct[0].given
    box.params = ", ".join(filter(None, [box.params, *_ending(graph, group, inside)]))
    if main is not None:
        id, index = main
        source = graph.boxes[id]
        box.shape, box.dtype = inside.values[main].shape if index is not None else source.shape, source.dtype
        box.value, box.gradient = _one(source.value, index), _one(source.gradient, index)
        if index is None:
            box.symbol, box.time = source.symbol, source.time
    return box


def _ending(graph: Graph, group: Group, inside: _Inside) -> list[str]:
    """What a layer does after its own work: it adds what comes past it, or rectifies the result (a residual block)."""
    steps = sorted(inside.boxes, key=lambda b: b.seq) if all(b.step is None for b in inside.boxes) else []
    ending: list[str] = []
    while steps and (steps[-1].op == "relu" or steps[-1].id in inside.joins):
        ending.insert(0, "+ residual" if steps.pop().op == "add" else "relu")
    return ending if ending and steps and all(_is_own(graph, group, box) for box in steps) else []


def _is_own(graph: Graph, group: Group, box: Box) -> bool:
    """Whether no other layer lies between a group and a box in it."""
    place = box.group
    while place is not None and place != group.id:
        if graph.groups[place].kind[:1].isupper():
            return False
        place = graph.groups[place].parent
    return True


def _one(values: Any, index: int | None) -> Any:
    """Of several outputs' arrays one."""
    return values if index is None or values is None else values[index]


def _main_value(graph: Graph, inside: _Inside) -> Value | None:
    """The only value that leaves a group, or that is not only a state; of a time step's several the last with a symbol.

    So an LSTM's step is known by h, not by c.
    """
    if inside.keeps or inside.returns or inside.same("step") is not None:
        for values in (inside.plain, list(inside.values)):
            named = [v for v in values if graph.boxes[v[0]].symbol and v[1] is None]
            if named:
                return max(named, key=lambda v: (graph.boxes[v[0]].kind != "cut", graph.boxes[v[0]].seq))
    found = inside.plain or list(inside.values)
    return found[0] if len(found) == 1 else None


def _lifted(graph: Graph, stand: dict[str, str], boxes: dict[str, Box]) -> list[Edge]:
    """The edges between visible boxes: into a closed group the same value goes once; inner edges are dropped."""
    found: dict[tuple[Any, ...], Edge] = {}
    leaving: dict[str, dict[Value, Edge]] = {}  # the values of each closed box, and an edge of each
    for number, edge in enumerate(graph.edges):
        tail, head = stand[edge.tail], stand[edge.head]
        if (tail, head) == (edge.tail, edge.head):
            found["", number] = edge
            continue
        if tail == head and not edge.lag:
            continue
        kind = edge.kind
        if kind == "state" and not edge.lag and boxes[tail].step is None and boxes[tail].kind not in ("state", "more"):
            kind = "data"  # from what is no single time step
        key = edge.tail, edge.index, tail, head, kind, edge.lag, edge.slot if head == edge.head else None
        if key in found:
            same = found[key]
            same.slot = min(same.slot, edge.slot)
            same.norm = edge.norm if same.norm is None else math.hypot(same.norm, edge.norm or 0.0)
        else:
            found[key] = replace(edge, tail=tail, head=head, kind=kind)
        if tail != edge.tail:
            leaving.setdefault(tail, {}).setdefault((edge.tail, edge.index), edge)
    outputs = {}
    place = {id: i for i, id in enumerate(graph.boxes)}
    for values in leaving.values():
        for i, v in enumerate(sorted(values, key=lambda v: (place[v[0]], v[1] or 0))):
            outputs[v] = (i, _written(graph, values[v]) or str(i + 1)) if len(values) > 1 else (None, "")
    for key, edge in found.items():
        if key[:2] in outputs:
            edge.index, edge.label = outputs[key[:2]]
    return list(found.values())


def _written(graph: Graph, edge: Edge) -> str:
    """How the value of an edge is written: its own label, unless that is a number, or its symbol."""
    if edge.label and not edge.label.isdecimal():
        return edge.label
    box = graph.boxes[edge.tail]
    return value(box) if box.symbol and edge.index is None else ""


def depth(graph: Graph, n: int) -> set[str]:
    """Return the groups to close so that ``n`` levels of modules and composites are open; time steps are no level.

    >>> groups = {"a": Group("a", "a"), "a.t1": Group("a.t1", "t", "a", step=1), "a.t1.b": Group("a.t1.b", "b", "a.t1")}
    >>> depth(Graph(groups=groups), 0), depth(Graph(groups=groups), 1)
    ({'a'}, {'a.t1.b'})
    """
    return {id for id, level in _levels(graph).items() if level == n and graph.groups[id].step is None}


def _levels(graph: Graph) -> dict[str, int]:
    """How many levels lie around each group."""
    levels: dict[str, int] = {}
    for id, group in graph.groups.items():
        around = group.parent
        levels[id] = 0 if around is None else levels[around] + (graph.groups[around].step is None)
    return levels


def layers(graph: Graph) -> set[str]:
    """Return the groups to close so that a box is a layer: all that hold no module, except time steps."""
    whole: set[str | None] = {None}
    for group in graph.groups.values():
        around = group.parent if group.kind else None
        while around not in whole:
            whole.add(around)
            around = graph.groups[around].parent  # type: ignore[index]  # None is in whole
    return {id for id, group in graph.groups.items() if id not in whole and group.step is None}


def fit(graph: Graph, most: int = MOST_BOXES, formula: Formula | None = None) -> Graph:
    """Return the graph at its default detail: layers, repeated blocks as one; less deep until ``most`` boxes remain.

    If even the outermost groups are more, all of these are returned.
    """
    folded = fold_repeats(graph)
    shut, deepest = layers(folded), max(_levels(folded).values(), default=-1) + 1

    def count(n: int) -> int:
        return len(close(folded, shut | depth(folded, n)).boxes)

    n = bisect_right(range(deepest + 1), most, key=count) - 1
    return close(folded, shut | depth(folded, max(n, 0)), formula)
