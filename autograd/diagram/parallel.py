"""Operations on whole sequences, drawn as what they are: the same operation at every time step.

A recurrent layer takes a sequence apart (``unstack``), works step by step and joins the results (``stack``). What
stands before and after it often treats all steps alike in one call: an ``Embedding`` of a whole sentence, a ``Linear``
on all states. Such a box becomes one box per step, and taking apart and joining vanish: the output layer of step 2 is
fed by the state of step 2. Whether an operation keeps the time axis apart is read off its declared contract.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from .. import composites, registry
from ..core.contract import Operand
from .graph import Box, Edge, Graph, Group
from .sample import norm

VIEWS = ("transpose", "reshape", "expand_dims", "squeeze", "broadcast_to", "identity")


@dataclass(frozen=True, slots=True)
class Sequence:
    """The values of one loop's ``steps``, one beside the other along ``axis``."""

    loop: str
    steps: tuple[int, ...]
    axis: int


def input_axis(box: Box, slot: int, shape: tuple[int, ...], axis: int) -> int | None:
    """Return the axis of input ``slot`` that becomes ``axis`` of the box's result unmixed, or None if there is none.

    >>> box = Box("y", "operation", "@", op="matmul", shape=(7, 2, 5))
    >>> input_axis(box, 0, (7, 2, 3), 0), input_axis(box, 1, (3, 5), 0), input_axis(box, 0, (7, 2, 3), 2)
    (0, None, None)
    """
    declared = registry.get(box.op) or composites.get(box.op)
    if declared is None or not box.shape:
        return None
    ndim, out_ndim, given = len(shape), len(box.shape), box.given
    if declared.contract.variadic:
        same = box.op == "concatenate" and given.get("axis", 0) % out_ndim != axis
        return axis if same else None
    operand, out = declared.contract.inputs[slot], declared.contract.outputs[0] if declared.contract.outputs else None
    if operand.dims is None:
        return _opaque_axis(box, ndim, axis) if len(declared.contract.inputs) == 1 else None
    if out is None or out.dims is None:
        return None
    free = out_ndim - len(out.core)
    if out.before <= axis < out.before + free:  # one of the axes that ... stands for: they match from the right
        place = ndim - (len(operand.core) - operand.before) - (out.before + free - axis)
        return place if place >= operand.before and shape[place] == box.shape[axis] else None
    letter = out.core[axis if axis < out.before else axis - free]
    first, *others = declared.contract.inputs
    if letter not in operand.core or letter not in first.core or any(_mixes(o, letter) for o in (first, *others, out)):
        return None
    if not others and letter != "N":  # of one input only the batch is sure to be kept apart: think of tril
        return None
    place = operand.core.index(letter)
    return place if place < operand.before else place + ndim - len(operand.core)


def _mixes(operand: Operand, letter: str) -> bool:
    """Whether a letter stands for two axes of one input, or for a part or multiple of one."""
    return sum(letter in re.findall(r"[A-Za-z]+", dim) for dim in operand.core) > (letter in operand.core)


def _opaque_axis(box: Box, ndim: int, axis: int) -> int | None:
    """Where an operation of one input with any shape takes ``axis`` of its result from."""
    given = box.given
    if box.op == "transpose":
        axes = given.get("axes") or tuple(reversed(range(ndim)))
        return int(axes[axis]) % ndim
    if "axis" not in given or given["axis"] is None:
        return None
    mixed = {a % ndim for a in (given["axis"] if isinstance(given["axis"], tuple) else (given["axis"],))}
    kept = range(ndim) if len(box.shape) == ndim else [a for a in range(ndim) if a not in mixed]
    return kept[axis] if axis < len(kept) and kept[axis] not in mixed else None


class _Finder:
    """Finds the boxes that hold one value per time step."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.inputs, self.outputs = graph, graph.inputs(), graph.outputs()
        self.wanted: dict[str, Sequence] = {}
        self.found: dict[str, Sequence] = {}

    def run(self) -> dict[str, Sequence]:
        for box in reversed(self.graph.boxes.values()):
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
        """What is taken apart into the steps of a loop should be made step by step."""
        ends = self.inputs[box.id]
        if box.op == "unstack" and box.step is None and ends:
            taken = {e.index: self.graph.boxes[e.head] for e in self.outputs[box.id]}
            loops = {b.loop for b in taken.values() if b.step is not None}
            source = self.graph.boxes[ends[0].tail]
            steps = tuple(taken[i].step if i in taken else None for i in range(_length(source, box)))
            if len(loops) == 1 and None not in steps and len(set(steps)) == len(steps):
                axis = box.given.get("axis", 0) % len(source.shape)
                self.wanted[source.id] = Sequence(loops.pop() or "", steps, axis)  # type: ignore[arg-type]
        wanted = self.wanted.get(box.id)
        if wanted is None or box.step is not None:
            return
        for edge in ends:
            source = self.graph.boxes[edge.tail]
            axis = input_axis(box, edge.slot, source.shape, wanted.axis) if source.shape else None
            if axis is not None:
                self.wanted.setdefault(source.id, replace(wanted, axis=axis))

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
        sequence: Sequence | None = None
        leaves: list[tuple[str, int]] = []
        for edge in ends:
            source = self.graph.boxes[edge.tail]
            place = input_axis(box, edge.slot, source.shape, axis) if source.shape else None
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
    ndim = len(graph.boxes[edge.tail].shape)
    if box.op == "unstack" and box.given.get("axis", 0) % ndim == sequence.axis:
        return -1
    if box.op != "getitem" or box.step is not None:
        return None
    index = box.given.get("index")
    index = index if isinstance(index, tuple) else (index,)
    if any(not isinstance(i, (int, slice)) for i in index):
        return None
    picked = index[sequence.axis] if sequence.axis < len(index) else None
    plain = all(i == slice(None) for n, i in enumerate(index) if n != sequence.axis)
    if not isinstance(picked, int) or isinstance(picked, bool) or not plain:
        return None
    return picked % len(sequence.steps)


def _length(source: Box, unstack: Box) -> int:
    return int(source.shape[unstack.given.get("axis", 0)]) if source.shape else 0


def parallel(graph: Graph) -> Graph:
    """Return the graph with every box that treats all time steps alike as one box per step."""
    if not any(box.step is not None for box in graph.boxes.values()):
        return graph
    return _Splitter(graph, _Finder(graph).run()).run()


class _Splitter:
    """Makes the new graph: copies of sequence boxes, and edges to the element that each consumer uses."""

    def __init__(self, graph: Graph, sequences: dict[str, Sequence]) -> None:
        self.graph, self.sequences = graph, sequences
        self.inputs, self.outputs = graph.inputs(), graph.outputs()
        self.groups = dict(graph.groups)
        self.boxes: dict[str, Box] = {}
        self.edges: list[Edge] = []

    def run(self) -> Graph:
        for box in self.graph.boxes.values():
            sequence = self.sequences.get(box.id)
            if sequence is None:
                if not self._is_picker(box):
                    self._keep(box)
            elif box.op == "stack":
                if self._joined(box):
                    self._keep(box)
            else:
                self._copy(box, sequence)
                if self._joined(box):
                    self._join(box, sequence)
        result = self.graph.changed(boxes=self.boxes, edges=self.edges, groups=self.groups)
        still_used = {e.tail for e in self.edges}
        return result.without([id for id in self.boxes if self.outputs.get(id) and id not in still_used])

    def _is_picker(self, box: Box) -> bool:
        """Whether the box only takes elements out of a sequence."""
        return any(
            e.tail in self.sequences and element_of(box, e, self.sequences[e.tail], self.graph) is not None
            for e in self.inputs[box.id]
        )

    def _joined(self, box: Box) -> bool:
        """Whether anything uses the sequence as a whole."""
        heads = [self.graph.boxes[e.head] for e in self.outputs[box.id]]
        return any(h.id not in self.sequences and not self._is_picker(h) for h in heads)

    def _keep(self, box: Box) -> None:
        self.boxes[box.id] = box
        for edge in self.inputs[box.id]:
            tail, index = self._source(edge.tail, edge.index)
            self.edges.append(replace(edge, tail=tail, index=index, label=edge.label if tail == edge.tail else ""))

    def _source(self, tail: str, index: int | None) -> tuple[str, int | None]:
        """The box that makes a value, seen through taking apart and joining."""
        while True:
            box = self.graph.boxes[tail]
            ends = self.inputs[tail]
            source = ends[0].tail if ends else ""
            sequence = self.sequences.get(source)
            element = (
                None if sequence is None or tail in self.sequences else element_of(box, ends[0], sequence, self.graph)
            )
            if element is None or sequence is None:
                return (f"{tail}.joined" if self._is_split(tail) else tail), index
            element = (index or 0) if element == -1 else element
            if self._is_split(source):
                return self._id(self.graph.boxes[source], sequence.steps[element]), None
            joined = self.inputs[source][element]  # of a stack
            tail, index = joined.tail, joined.index

    def _is_split(self, id: str) -> bool:
        return id in self.sequences and self.graph.boxes[id].op != "stack"

    def _id(self, box: Box, step: int) -> str:
        if box.group is None:
            return f"{box.id}.t{step}"
        return f"{box.group}.t{step}{box.id[len(box.group) :]}"

    def _copy(self, box: Box, sequence: Sequence) -> None:
        count = len(sequence.steps)
        for place, step in enumerate(sequence.steps):
            group = box.group
            if group is not None:
                group = f"{group}.t{step}"
                self.groups.setdefault(group, Group(group, "t", box.group, step=step))
            copy = replace(
                box, id=self._id(box, step), group=group, loop=sequence.loop, step=step,
                shape=_without(box.shape, sequence.axis), multiply_adds=box.multiply_adds // count,
                value=_element(box.value, sequence.axis, place), gradient=_element(box.gradient, sequence.axis, place),
            )  # fmt: skip
            for edge in self.inputs[box.id]:
                self._connect(copy, edge, place, step)
            self.boxes[copy.id] = copy

    def _connect(self, copy: Box, edge: Edge, place: int, step: int) -> None:
        """Feed one copy: by the element of a sequence, by a view of a parameter of its own, or as all are fed."""
        sequence = self.sequences.get(edge.tail)
        source = self.graph.boxes[edge.tail]
        shape, back = edge.shape, None  # of what is shared by all steps no step's part of the gradient is known
        if sequence is not None:
            shape, back = _without(edge.shape, sequence.axis), _element(edge.back, sequence.axis, place)
            if source.op == "stack":
                joined = self.inputs[source.id][place]
                tail, index = self._source(joined.tail, joined.index)
            else:
                tail, index = self._id(source, step), None
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
            shape = _without(box.shape, sequence.axis)
            self.edges.append(Edge(self._id(box, step), joined.id, slot, shape=shape))


def _without(shape: Any, axis: int) -> Any:
    return shape if shape is None else (*shape[:axis], *shape[axis + 1 :])


def _element(values: Any, axis: int, place: int) -> Any:
    return None if values is None else values[(slice(None),) * axis + (place,)]
