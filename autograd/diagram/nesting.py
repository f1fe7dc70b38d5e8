"""Which group lies in which, and where boxes belong: a weight to the innermost group that holds all its uses."""

from __future__ import annotations

from .graph import Graph

GIVEN = ("parameter", "constant")
"""Kinds of boxes that belong to what uses them, wherever they were made."""


class Nesting:
    """The groups of a graph as a tree: ``parent`` and ``level`` of each, None (level 0) around all.

    ``place`` is where each box belongs: its group; a parameter's or constant's is the innermost group around all its
    uses. A parameter never belongs to a column of an unfolded view: weights are drawn once, outside.

    >>> from autograd.diagram.graph import Box, Edge, Group
    >>> boxes = {b.id: b for b in (Box("w", "parameter", "w"), Box("f.mul", "operation", "∗", group="f"))}
    >>> Nesting(Graph(boxes, [Edge("w", "f.mul")], {"f": Group("f", "f")})).place
    {'w': 'f', 'f.mul': 'f'}
    """

    def __init__(self, graph: Graph) -> None:
        self.parent = {id: group.parent for id, group in graph.groups.items()}
        self.level: dict[str | None, int] = {None: 0}
        for id, group in graph.groups.items():
            self.level[id] = self.level[group.parent] + 1
        self.place = {id: box.group for id, box in graph.boxes.items()}
        used: set[str] = set()
        for edge in graph.edges:
            if graph.boxes[edge.tail].kind in GIVEN:
                user = self.place[edge.head]
                self.place[edge.tail] = self.common(self.place[edge.tail], user) if edge.tail in used else user
                used.add(edge.tail)
        for id, box in graph.boxes.items():
            around = self.place[id]
            while box.kind == "parameter" and around is not None and graph.groups[around].column is not None:
                around = self.parent[around]
            self.place[id] = around

    def common(self, one: str | None, other: str | None) -> str | None:
        """The innermost group around both."""
        while one != other:
            if self.level[one] < self.level[other]:
                one, other = other, one
            assert one is not None
            one = self.parent[one]
        return one
