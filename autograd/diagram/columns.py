"""Where the boxes of an unfolded view lie: on which rank (line from the bottom), and in which part from left to right.

Rows, not boxes, are ranked, so that the same part of the program lies on one line at every time step. What comes before
the loop (weights, the initial state) lies left of the columns, what comes after it right.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .graph import Box, Edge, Graph


@dataclass(slots=True)
class Places:
    """``rank`` of every box, the ``lowest`` of them, and the boxes of the ``parts`` from left to right.

    Parts are the weights, what else comes before the columns, the columns by their numbers, and what comes after them
    or goes only into the last, such as the first state of a loop that runs backwards.
    """

    rank: dict[str, int]
    lowest: int
    parts: dict[int | str, list[str]]
    part: dict[str, int | str] = field(init=False)

    def __post_init__(self) -> None:
        self.part = {id: part for part, boxes in self.parts.items() for id in boxes}


def place(graph: Graph) -> Places:
    """Lay out a graph that has columns, in linear time.

    >>> x, h = Box("x1", "data", "x₁", column=1, row="x"), Box("h1", "state", "h₁", column=1, row="h")
    >>> w = Box("w", "parameter", "W")
    >>> graph = Graph({b.id: b for b in (w, x, h)}, [Edge("x1", "h1"), Edge("w", "h1")], columns={1: "t = 1"})
    >>> place(graph).parts, place(graph).rank
    ({'weights': ['w'], 1: ['x1', 'h1']}, {'x1': 0, 'h1': 1, 'w': 0})
    """
    rows = _rank_rows(graph)
    rank = {box.id: rows[row(box)] for box in graph.boxes.values() if box.column is not None}
    parts: dict[int | str, list[str]] = {"weights": [], "before": []} | {t: [] for t in sorted(graph.columns)}
    parts["after"] = []
    inputs, outputs = graph.inputs(), graph.outputs()
    for box in graph.boxes.values():
        earlier = [rank[e.tail] for e in inputs[box.id] if e.tail in rank]
        if box.column is not None:
            parts[box.column].append(box.id)
        elif earlier:
            rank[box.id] = 1 + max(earlier)
            parts["after"].append(box.id)
        else:
            parts["weights" if box.kind == "parameter" else "before"].append(box.id)
    roles = _roles(graph, rank)
    for first in reversed([*parts["weights"], *parts["before"]]):
        states = [] if graph.boxes[first].kind == "parameter" else outputs[first]
        played = [roles[key] for e in states if (key := _role(graph, e)) in roles]
        played += [rank[e.head] for e in states if e.kind == "state" and e.head in rank]
        fed = [rank[e.head] for e in outputs[first] if e.head in rank]
        rank[first] = played[0] if played else min(fed, default=1) - 1
    last = max(graph.columns)
    late = [id for id in parts["before"] if {graph.boxes[e.head].column for e in outputs[id]} == {last}]
    if len(graph.columns) > 1:
        parts["after"] += late
        parts["before"] = [id for id in parts["before"] if id not in late]
    return Places(
        rank,
        min(rank.values(), default=0),
        {part: boxes for part, boxes in parts.items() if boxes or part in graph.columns},
    )


def row(box: Box) -> str:
    """The row that a box lies in; one of its own if it has none."""
    return box.row or "\0" + box.id


def _role(graph: Graph, edge: Edge) -> tuple[str, int]:
    """What a value is used as: the row that it goes into, and as which input."""
    return row(graph.boxes[edge.head]), edge.slot


def _roles(graph: Graph, rank: dict[str, int]) -> dict[tuple[str, int], int]:
    """The rank of what comes from another column: the initial state lies in line with the states."""
    found: dict[tuple[str, int], int] = {}
    for e in graph.edges:
        tail, head = graph.boxes[e.tail], graph.boxes[e.head]
        if tail.column is not None and head.column is not None and tail.column != head.column:
            found.setdefault(_role(graph, e), rank[e.tail])
    return found


def _rank_rows(graph: Graph) -> dict[str, int]:
    """Each row one above the highest that feeds it in its own column; rows that hand a state sideways lie alone."""
    columns: dict[str, set[int]] = {}
    given: set[str] = set()
    for box in graph.boxes.values():
        if box.column is not None:
            columns.setdefault(row(box), set()).add(box.column)
            if box.kind == "data":
                given.add(row(box))
    inner = [e for e in graph.edges if columns.keys() >= {row(graph.boxes[e.tail]), row(graph.boxes[e.head])}]
    ends = [(graph.boxes[e.tail], graph.boxes[e.head]) for e in inner]
    sideways = {row(tail) for tail, head in ends if row(tail) == row(head)}
    line = {r: r for r in columns}  # a decoder's state goes on where the encoder's ended
    for tail, head in ends:
        a, b = line[row(tail)], line[row(head)]
        if tail.column != head.column and sideways >= {a, b} and not columns[a] & columns[b]:
            line.update({r: a for r, on in line.items() if on == b})
            columns[a] |= columns.pop(b)
    above: dict[str, dict[str, None]] = {r: {} for r in columns}
    for tail, head in ends:
        if tail.column == head.column and line[row(tail)] != line[row(head)]:
            above[line[row(tail)]][line[row(head)]] = None
    order = _ordered(above)
    below: dict[str, list[str]] = {r: [] for r in columns}
    place = {r: i for i, r in enumerate(order)}
    for r, heads in above.items():
        for higher in heads:
            if place[r] < place[higher]:
                below[higher].append(r)
    rank: dict[str, int] = {}
    taken: dict[int, set[int]] = {}  # rank -> the columns in which a state passes sideways
    for r in order:
        rank[r] = 1 + max((rank[b] for b in below[r]), default=-1)
        if r in sideways:
            while taken.get(rank[r], set()) & columns[r]:
                rank[r] += 1
            taken.setdefault(rank[r], set()).update(columns[r])
    for r in reversed(order):  # what has no input in its column lies just below its use, unless it is data
        used = [rank[higher] for higher in above[r] if place[r] < place[higher]]
        if used and not below[r] and r not in given and r not in sideways:
            rank[r] = min(used) - 1
    return {r: rank[on] for r, on in line.items()}


def _ordered(above: dict[str, dict[str, None]]) -> list[str]:
    """The rows so that each comes before those that it feeds; where they feed one another, in their first order."""
    waiting = dict.fromkeys(above, 0)
    for heads in above.values():
        for head in heads:
            waiting[head] += 1
    order: dict[str, None] = {}
    ready = [r for r, n in reversed(waiting.items()) if n == 0]
    rest = iter(above)
    while len(order) < len(above):
        r = ready.pop() if ready else next(r for r in rest if r not in order)
        if r in order:
            continue
        order[r] = None
        for head in above[r]:
            waiting[head] -= 1
            if waiting[head] == 0:
                ready.append(head)
    return list(order)
