"""A drawing as plain data: boxes, edges between them, and the nested groups (modules, composites) they lie in.

Everything in this room reads or returns a ``Graph``: the tape is read into one, views turn one into a smaller or
rearranged one, and the writers (DOT, page) print one. A graph holds strings and numbers only: no tensor, no node.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(slots=True)
class Sample:
    """What a value or gradient holds: its statistics, and a small picture of it.

    ``picture`` has rows of numbers from 0 (lowest) to 1 (highest): a map's own grid, a vector's one row, made coarser
    where it is large. ``norm`` is the Euclidean norm.
    """

    low: float
    high: float
    mean: float
    std: float
    norm: float
    picture: tuple[tuple[float, ...], ...] = ()
    bad: int = 0  # how many elements are not finite


@dataclass(slots=True)
class Group:
    """A place that holds boxes and other groups: a module, a composite, a block that the user marked, a time step.

    ``kind`` is a module's class name, otherwise empty. A time step has its number in ``step``; which call of its module
    this is stands in ``call``. In an unfolded view ``column`` says in which column it lies, ``row`` which part of the
    program it is there. A group that stands for several equal ones has their number in ``times``.
    """

    id: str
    name: str
    parent: str | None = None
    kind: str = ""
    step: int | None = None
    call: int = 1
    column: int | None = None
    row: str = ""
    times: int = 1

    @property
    def label(self) -> str:
        """The name; a time step's with its number, a repeated call's with which call it is."""
        return f"{self.name}{'' if self.step is None else self.step}{'' if self.call == 1 else f'#{self.call}'}"


@dataclass(slots=True)
class Box:
    """One box of a drawing: a value, a parameter, an operation, or a whole group closed into one box.

    Attributes:
        id: semantic and stable, such as ``rnn.t2.tanh``; never an address.
        kind: ``data`` (an input), ``parameter``, ``constant``, ``operation``, ``module`` (a closed group), ``output``,
            ``state`` (what one time step hands to the next), ``loss``, ``cut`` (gradients stop), ``more`` (left out).
        label: the first line in the box.
        group: the innermost group that it lies in, None at the top.
        seq: when it was computed; boxes are stepped through in this order.
        op: the operation's name, or the closed module's class.
        params: the operation's parameters in words, such as ``stride=2, padding=1``.
        given: the operation's parameters by name.
        name: a parameter's dotted name, such as ``rnn.weight_ih_l0``.
        symbol, time: the letter in formulas, such as ``h`` or ``W_xh``, and its time, such as ``2``, ``t`` or nothing.
        formula: what it computes in the lecture's words, such as ``h₂ = tanh(W_hh h₁ + W_xh x₂)``; may be empty.
        loop, step: the loop it belongs to, and which time step; None outside loops. A loop is called by the group
            around its steps; the second one in a group with ``#2`` appended.
        column, row: its place in an unfolded view: columns are numbered from the left, boxes of one row are the same
            part of the program at different times.
        weights, biases: how many numbers it learns.
        multiply_adds: how many multiply-adds it computes.
        times: how many equal ones it stands for.
        line: the source line that computed it.
        value, gradient: a ``Sample``; in a graph just read the array itself, of several outputs a tuple.
    """

    id: str
    kind: str
    label: str
    group: str | None = None
    seq: float = 0
    op: str = ""
    params: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    shape: Any = None
    dtype: str = ""
    name: str = ""
    symbol: str = ""
    time: str = ""
    formula: str = ""
    loop: str | None = None
    step: int | None = None
    column: int | None = None
    row: str = ""
    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0
    times: int = 1
    line: str = ""
    value: Any = None
    gradient: Any = None


@dataclass(slots=True)
class Edge:
    """A value that flows from the box ``tail`` into the box ``head``, as its input number ``slot``.

    ``kind`` is ``data``, ``parameter`` (drawn dashed), ``state`` (from one time step to another) or ``cut``. ``norm``
    is the norm of ``back``, the gradient that flows back along it, None if unknown. ``index`` says which output of
    ``tail`` it is, if that has several; ``lag`` how many time steps pass on the way in a folded view.
    """

    tail: str
    head: str
    slot: int = 0
    kind: str = "data"
    shape: Any = None
    label: str = ""
    norm: float | None = None
    back: Any = None
    index: int | None = None
    lag: int = 0


@dataclass(slots=True)
class Graph:
    """Boxes by id in the order of computation, edges, groups by id, parents first, and notes for the reader.

    ``columns`` has the heading of each column of an unfolded view, such as ``{1: "t = 1", 2: "⋯"}``; empty otherwise.
    ``name`` is the class of the model if all lies in one, ``direction`` where data flows: ``down``, ``up``, ``right``.
    """

    boxes: dict[str, Box] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    columns: dict[int, str] = field(default_factory=dict)
    name: str = ""
    title: str = ""
    direction: str = "down"
    notes: list[str] = field(default_factory=list)

    def path(self, group: str | None) -> list[Group]:
        """The groups around and including ``group``, the outermost first."""
        found: list[Group] = []
        while group is not None:
            found.append(self.groups[group])
            group = found[-1].parent
        return found[::-1]

    def inputs(self) -> dict[str, list[Edge]]:
        """The edges into each box, by slot."""
        found: dict[str, list[Edge]] = {id: [] for id in self.boxes}
        for edge in self.edges:
            found[edge.head].append(edge)
        for edges in found.values():
            edges.sort(key=lambda e: e.slot)
        return found

    def outputs(self) -> dict[str, list[Edge]]:
        """The edges out of each box."""
        found: dict[str, list[Edge]] = {id: [] for id in self.boxes}
        for edge in self.edges:
            found[edge.tail].append(edge)
        return found

    def without(self, boxes: Collection[str] = (), edges: Collection[Edge] = ()) -> Graph:
        """A copy without these boxes and edges, and without what was computed only for them."""
        cut = {id(edge) for edge in edges}
        outputs = self.outputs()
        left = {tail: sum(id(e) not in cut for e in ends) for tail, ends in outputs.items()}
        gone = {b for b, n in left.items() if n == 0 and outputs[b]} | set(boxes)
        inputs = self.inputs()
        waiting = list(gone)
        while waiting:
            for edge in inputs[waiting.pop()]:
                left[edge.tail] -= id(edge) not in cut
                if left[edge.tail] == 0 and edge.tail not in gone:
                    gone.add(edge.tail)
                    waiting.append(edge.tail)
        kept = [e for e in self.edges if id(e) not in cut and e.tail not in gone and e.head not in gone]
        return self.changed(boxes={k: box for k, box in self.boxes.items() if k not in gone}, edges=kept)

    def changed(self, **fields: Any) -> Graph:
        """A copy with other fields."""
        return replace(self, **fields)
