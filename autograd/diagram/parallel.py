"""Operations on whole sequences, drawn as what they are: the same operation at every time step.

A recurrent layer takes a sequence apart (``unstack``), works step by step and joins the results (``stack``). What
stands before and after it often treats all steps alike in one call: an ``Embedding`` of a whole sentence, a ``Linear``
on all states. Such a box becomes one box per step, and taking apart and joining vanish: the output layer of step 2 is
fed by the state of step 2. Whether an operation keeps the time axis apart is read off its declared contract.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .axes import at_one_element, element, input_axis, only_selects, selected
from .graph import Box, Edge, Graph, Group
from .sample import norm
from .shortcuts import taken_as_made, unpacked

VIEWS = ("transpose", "reshape", "expand_dims", "squeeze", "broadcast_to", "identity")


@dataclass(frozen=True, slots=True)
class Sequence:
    """The values of one loop's ``steps``, one beside the other along ``axis``."""

    loop: str
    steps: tuple[int, ...]
    axis: int


def parallel(graph: Graph) -> Graph:
    """Return the graph with every box that treats all time steps alike as one box per step."""
    if not any(box.step is not None for box in graph.boxes.values()):
        return graph
    graph = taken_as_made(unpacked(graph))
    return _Splitter(graph, _Finder(graph).run()).run()


# --- which boxes hold one value per step ------------------------------------------------------------------------------


class _Finder:
    """Finds the boxes that hold one value per time step."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.inputs, self.outputs = graph, graph.inputs(), graph.outputs()
        self.wanted: dict[str, Sequence] = {}
        self.found: dict[str, Sequence] = {}

    def run(self) -> dict[str, Sequence]:
        for box in reversed(self.graph.boxes.values()):
            if box.step is None and box.shape and not isinstance(box.shape[0], tuple):
                self._look_back(box)
        for box in self.graph.boxes.values():
            if (sequence := self._look_forward(box)) is not None:
                self.found[box.id] = sequence
        used = {
            edge.tail for box in self.graph.boxes.values() for edge in self.inputs[box.id] if self._takes(box, edge)
        }
        return {id: s for id, s in self.found.items() if self.inputs[id] or id in used}

    def _takes(self, box: Box, edge: Edge) -> bool:
        """Whether ``box`` uses the elements of a sequence one by one."""
        sequence = self.found.get(edge.tail)
        return sequence is not None and (
            box.id in self.found or element_of(box, edge, sequence, self.graph) is not None
        )

    def _look_back(self, box: Box) -> None:
        """What is taken apart into steps should be made step by step, and so should what it is made of."""
        wanted = self._taken_apart(box) or self.wanted.get(box.id)
        if wanted is None:
            return
        self.wanted[box.id] = wanted
        for edge in self.inputs[box.id]:
            source = self.graph.boxes[edge.tail]
            axis = input_axis(box, edge.slot, edge.shape, wanted.axis) if edge.shape else None
            if axis is not None:
                self.wanted.setdefault(source.id, replace(wanted, axis=axis))

    def _taken_apart(self, box: Box) -> Sequence | None:
        """The sequence that a box holds if each element along one axis is used in a step of its own of one loop."""
        found: dict[tuple[int, str | None], dict[int, int]] = {}
        for edge in self.outputs[box.id]:
            user = self.graph.boxes[edge.head]
            taken: list[tuple[int, int, Box]] = []
            if user.op == "unstack":
                axis = user.given.get("axis", 0) % len(box.shape)
                taken = [(axis, e.index or 0, self.graph.boxes[e.head]) for e in self.outputs[user.id]]
            elif user.op == "getitem" and (place := element(user.given["index"], box.shape)):
                taken = [(*place, user)]
            for axis, index, at in taken:
                if at.step is not None:
                    found.setdefault((axis, at.loop), {}).setdefault(index, at.step)
        for (axis, loop), steps in found.items():
            if len(steps) == box.shape[axis] == len(set(steps.values())):
                return Sequence(loop or "", tuple(steps[i] for i in range(len(steps))), axis)
        return None

    def _look_forward(self, box: Box) -> Sequence | None:
        ends = self.inputs[box.id]
        if box.step is not None or box.kind == "parameter" or not box.shape or isinstance(box.shape[0], tuple):
            return None
        if not ends:
            return self.wanted.get(box.id)
        if box.kind == "output":
            return self.found.get(ends[0].tail)
        if box.op == "stack":
            places = {(tail.loop, tail.step): None for e in ends if (tail := self.graph.boxes[e.tail]).step is not None}
            if len(places) == len(ends) and len({loop for loop, _ in places}) == 1:
                steps = tuple(step for _, step in places if step is not None)
                return Sequence(next(iter(places))[0] or "", steps, box.given.get("axis", 0) % len(box.shape))
        for axis in range(len(box.shape)):
            if (sequence := self._kept(box, ends, axis)) is not None:
                return sequence
        return None

    def _kept(self, box: Box, ends: list[Edge], axis: int) -> Sequence | None:
        """The sequence along ``axis`` of the result, if all inputs that have that axis are sequences along it."""
        if box.op == "getitem" and (whole := self.found.get(ends[0].tail)) is not None:
            taken = selected(box.given["index"], self.graph.boxes[ends[0].tail].shape).get(axis)
            part = taken is not None and taken[0] == whole.axis
            return Sequence(whole.loop, tuple(whole.steps[i] for i in taken[1]), axis) if taken and part else None
        sequence: Sequence | None = None
        leaves: list[tuple[str, int]] = []
        for edge in ends:
            source = self.graph.boxes[edge.tail]
            place = input_axis(box, edge.slot, edge.shape, axis) if edge.shape else None
            if place is None:
                continue
            known = self.found.get(source.id)
            if known is None and not self.inputs[source.id] and source.kind in ("data", "constant"):
                leaves.append((source.id, place))
            elif known is None or known.axis != place or (sequence is not None and sequence.steps != known.steps):
                return None
            else:
                sequence = sequence or replace(known, axis=axis)
        if sequence is not None and box.shape[axis] == len(sequence.steps):
            for leaf, place in leaves:
                self.found[leaf] = replace(sequence, axis=place)
            return sequence
        return None


def element_of(box: Box, edge: Edge, sequence: Sequence, graph: Graph) -> int | None:
    """Return which element ``box`` picks out of a sequence, -1 for an ``unstack`` that gives them all, else None."""
    shape = graph.boxes[edge.tail].shape
    if box.op == "unstack" and box.given.get("axis", 0) % len(shape) == sequence.axis:
        return -1
    place = element(box.given["index"], shape) if box.op == "getitem" and not box.symbol else None
    return place[1] if place is not None and place[0] == sequence.axis else None


# --- one box per step -------------------------------------------------------------------------------------------------


class _Splitter:
    """Makes the new graph: copies of sequence boxes, and edges to the element that each consumer uses."""

    def __init__(self, graph: Graph, sequences: dict[str, Sequence]) -> None:
        self.graph, self.sequences = graph, sequences
        self.inputs, self.outputs = graph.inputs(), graph.outputs()
        self.groups = dict(graph.groups)
        self.boxes: dict[str, Box] = {}
        self.edges: list[Edge] = []
        self.places = {id: {step: n for n, step in enumerate(s.steps)} for id, s in sequences.items()}
        self.picks = {box.id: pick for box in graph.boxes.values() if (pick := self._pick(box)) is not None}
        self.plain = {id for id in sequences if self._only_selects(id)}
        self.clashing: set[str] = set()  # sequences whose copies would be called as something in the loop's own steps
        self.clashing = {
            id for id, s in sequences.items() if any(self._id(graph.boxes[id], t) in graph.boxes for t in s.steps)
        }
        self.whole: set[str] = set()  # sequences of which something uses the whole
        for id in reversed(graph.boxes):
            heads = [e.head for e in self.outputs[id]]
            if any((h in self.whole and h in self.plain) or not (h in sequences or h in self.picks) for h in heads):
                self.whole.add(id)

    def run(self) -> Graph:
        for box in self.graph.boxes.values():
            sequence = self.sequences.get(box.id)
            if sequence is None:
                if box.id not in self.picks:
                    self._keep(box)
                continue
            if box.op != "stack" and box.id not in self.plain:
                self._copy(box, sequence)
            if box.id in self.whole:
                if box.op == "stack":
                    self._keep(box)
                else:
                    self._join(box, sequence)
        result = self.graph.changed(boxes=self.boxes, edges=self.edges, groups=self.groups)
        still_used = {e.tail for e in self.edges}
        return result.without([id for id in self.boxes if self.outputs.get(id) and id not in still_used])

    # --- who makes a value --------------------------------------------------------------------------------------------

    def _pick(self, box: Box) -> tuple[str, int] | None:
        """The sequence of which a box takes elements out, and which one (-1: all of them)."""
        for edge in self.inputs[box.id] if box.id not in self.sequences else ():
            sequence = self.sequences.get(edge.tail)
            picked = None if sequence is None else element_of(box, edge, sequence, self.graph)
            if picked is not None:
                return edge.tail, picked
        return None

    def _only_selects(self, id: str) -> bool:
        ends = self.inputs[id]
        source = self.sequences.get(ends[0].tail) if ends else None
        return source is not None and only_selects(
            self.graph.boxes[id], len(self.graph.boxes[ends[0].tail].shape), source.axis
        )

    def _source(self, tail: str, index: int | None) -> tuple[str, int | None]:
        """The box that makes a value, seen through taking apart and joining."""
        while tail in self.picks:
            sequence, picked = self.picks[tail]
            step = self.sequences[sequence].steps[(index or 0) if picked == -1 else picked]
            found = self._at(sequence, step)
            if isinstance(found, str):
                return found, None
            tail, index = found.tail, found.index
        split = tail in self.sequences and self.graph.boxes[tail].op != "stack"
        return f"{tail}.joined" if split else tail, index

    def _at(self, id: str, step: int) -> str | Edge:
        """What makes one step's element of a sequence: a copy, or for joined values the edge of that element."""
        while id in self.plain:
            id = self.inputs[id][0].tail
        if self.graph.boxes[id].op == "stack":
            return self.inputs[id][self.places[id][step]]
        return self._id(self.graph.boxes[id], step)

    def _element(self, id: str, step: int) -> tuple[str, int | None]:
        """The box that makes one step's element of a sequence."""
        found = self._at(id, step)
        return (found, None) if isinstance(found, str) else self._source(found.tail, found.index)

    # --- new boxes ----------------------------------------------------------------------------------------------------

    def _keep(self, box: Box) -> None:
        self.boxes[box.id] = box
        for edge in self.inputs[box.id]:
            tail, index = self._source(edge.tail, edge.index)
            self.edges.append(replace(edge, tail=tail, index=index, label=edge.label if tail == edge.tail else ""))

    def _step_group(self, box: Box, step: int) -> Group:
        """The group of one step's copy of a box that lies in a group: the loop's own step if it is in the same."""
        place, _, number = self.sequences[box.id].loop.rpartition("#")
        group = Group("", "t", box.group, step=step, call=int(number) if place == box.group else 1)
        group.id = f"{box.group}.{group.label}"
        return group

    def _id(self, box: Box, step: int) -> str:
        if box.group is None:
            return f"{box.id}.t{step}"
        return f"{self._step_group(box, step).id}{box.id[len(box.group) :]}{'.each' * (box.id in self.clashing)}"

    def _copy(self, box: Box, sequence: Sequence) -> None:
        count = len(sequence.steps)
        ends = self.inputs[box.id]
        place = input_axis(box, 0, self.graph.boxes[ends[0].tail].shape, sequence.axis) if len(ends) == 1 else None
        like = box if place is None else at_one_element(box, len(self.graph.boxes[ends[0].tail].shape), place)
        for n, step in enumerate(sequence.steps):
            group = None if box.group is None else self._step_group(box, step)
            if group is not None:
                self.groups.setdefault(group.id, group)
            copy = replace(
                like, id=self._id(box, step), group=None if group is None else group.id, loop=sequence.loop, step=step,
                shape=_without(box.shape, sequence.axis), multiply_adds=box.multiply_adds // count,
                value=_slice(box.value, sequence.axis, n), gradient=_slice(box.gradient, sequence.axis, n),
            )  # fmt: skip
            for edge in ends:
                self._connect(copy, edge, step)
            self.boxes[copy.id] = copy

    def _connect(self, copy: Box, edge: Edge, step: int) -> None:
        """Feed one copy: by the element of a sequence, by a view of a parameter of its own, or as all are fed."""
        sequence = self.sequences.get(edge.tail)
        source = self.graph.boxes[edge.tail]
        shape, back = edge.shape, None  # of what is shared by all steps no step's part of the gradient is known
        if sequence is not None:
            shape = _without(edge.shape, sequence.axis)
            back = _slice(edge.back, sequence.axis, self.places[edge.tail][step])
            tail, index = self._element(edge.tail, step)
        elif self._views_parameter(source):
            view = replace(source, id=f"{copy.id}.{source.op}{edge.slot}", group=copy.group, loop=copy.loop, step=step)
            self.boxes[view.id] = view
            for inner in self.inputs[source.id]:
                self.edges.append(replace(inner, head=view.id, norm=None, back=None))
            tail, index = view.id, None
        else:
            tail, index = self._source(edge.tail, edge.index)
        label = edge.label if tail == edge.tail else ""
        size = None if back is None else norm(back)
        self.edges.append(
            replace(edge, tail=tail, index=index, head=copy.id, shape=shape, label=label, norm=size, back=back)
        )

    def _views_parameter(self, box: Box) -> bool:
        return box.op in VIEWS and all(self.graph.boxes[e.tail].kind == "parameter" for e in self.inputs[box.id])

    def _join(self, box: Box, sequence: Sequence) -> None:
        """One box for what uses the whole sequence."""
        joined = replace(
            box, id=f"{box.id}.joined", kind="operation", op="stack", label="stack", symbol="", multiply_adds=0,
            given={"axis": sequence.axis}, params="",
        )  # fmt: skip
        self.boxes[joined.id] = joined
        for slot, step in enumerate(sequence.steps):
            tail, index = self._element(box.id, step)
            self.edges.append(Edge(tail, joined.id, slot, shape=_without(box.shape, sequence.axis), index=index))


def _without(shape: Any, axis: int) -> Any:
    return shape if shape is None else (*shape[:axis], *shape[axis + 1 :])


def _slice(values: Any, axis: int, place: int) -> Any:
    return None if values is None else values[(slice(None),) * axis + (place,)]
