"""Repeated blocks: a chain of equal blocks becomes one of them, marked ×n.

Two blocks are equal if they hold the same kinds of boxes of the same sizes, joined in the same way; names do not
matter. The graph is read as a tree: groups hold groups and boxes, and a box holds the parameters that only it uses.
Numbered in preorder, every block is a stretch of that tree, and equal blocks correspond number by number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from .graph import Box, Edge, Graph, Group
from .nesting import GIVEN, Nesting

Key = tuple[str, str]  # "box" or "group", and its id


def fold_repeats(graph: Graph) -> Graph:
    """Return the graph with every chain of equal neighbouring blocks as one block with ``times`` set.

    Blocks form a chain if each one's inputs come from the one before and its outputs go to the next, shared weights
    aside. What stays has the counts of all that it stands for, and the values of the last. Unfolded views stay as they
    are.

    >>> boxes = [Box("x", "data", "x"), *[Box(id, "operation", "tanh") for id in "abc"]]
    >>> edges = [Edge("x", "a"), Edge("a", "b"), Edge("b", "c")]
    >>> [(box.id, box.times) for box in fold_repeats(Graph({b.id: b for b in boxes}, edges)).boxes.values()]
    [('x', 1), ('a', 3)]
    """
    if graph.columns:
        return graph
    tree = _Tree(graph)
    return _without(tree, _chains(tree))


class _Tree:
    """The tree of a graph, its nodes numbered in preorder; node 0 holds all.

    ``boxes`` and ``groups`` are the nodes by number; ``number`` and ``place`` give the number of a box or group by its
    id. Each node has a ``parent`` and the ``end`` of its stretch. ``meet`` has for each edge the innermost node around
    both ends, and its children towards them. ``sort`` numbers structures: equal numbers, equal structure.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.boxes: dict[int, Box] = {}
        self.groups: dict[int, Group] = {}
        self.parent: list[int] = []
        branches = _branches(graph)
        waiting: list[tuple[Key | None, int]] = [(None, -1)]
        while waiting:
            key, parent = waiting.pop()
            number = len(self.parent)
            if key is not None and key[0] == "box":
                self.boxes[number] = graph.boxes[key[1]]
            elif key is not None:
                self.groups[number] = graph.groups[key[1]]
            waiting += [(child, number) for child in reversed(branches.get(key, []))]
            self.parent.append(parent)
        self.number = {box.id: i for i, box in self.boxes.items()}
        self.place = {group.id: i for i, group in self.groups.items()}
        self.end = list(range(1, len(self.parent) + 1))
        for i in range(len(self.parent) - 1, 0, -1):
            self.end[self.parent[i]] = max(self.end[self.parent[i]], self.end[i])
        self.into: dict[int, list[Edge]] = {}
        self.out: dict[int, list[Edge]] = {}
        for edge in sorted(graph.edges, key=lambda e: e.slot):
            self.into.setdefault(self.number[edge.head], []).append(edge)
            self.out.setdefault(self.number[edge.tail], []).append(edge)
        self.meet = [self._meet(self.number[e.tail], self.number[e.head]) for e in graph.edges]
        self.sort = self._sorts()

    def _meet(self, tail: int, head: int) -> tuple[int, int, int]:
        a = b = around = tail
        while not around <= head < self.end[around]:
            a, around = around, self.parent[around]
        b = head
        while b != around and self.parent[b] != around:
            b = self.parent[b]
        return around, a, b

    def children(self, i: int) -> Iterator[int]:
        """The nodes directly inside node ``i``."""
        child = i + 1
        while child < self.end[i]:
            yield child
            child = self.end[child]

    def _sorts(self) -> list[int]:
        joined: dict[int, list[Any]] = {}
        for edge, (around, _, _) in zip(self.graph.edges, self.meet):
            ends = self.number[edge.tail] - around, self.number[edge.head] - around
            joined.setdefault(around, []).append((*ends, edge.slot, edge.index or 0, edge.lag, edge.kind))
        known: dict[Any, int] = {}
        sort = [0] * len(self.parent)
        for i in range(len(self.parent) - 1, -1, -1):
            inner = tuple([sort[child] for child in self.children(i)])
            own = _of_box(self.boxes[i]) if i in self.boxes else _of_group(self.groups.get(i))
            structure = own, inner, tuple(sorted(joined.get(i, ())))
            sort[i] = known.setdefault(structure, len(known))
        return sort

    def entering(self, i: int) -> Iterator[Edge]:
        """The edges from outside into node ``i``."""
        for inner in range(i, self.end[i]):
            for edge in self.into.get(inner, ()):
                if not i <= self.number[edge.tail] < self.end[i]:
                    yield edge

    def leaving(self, i: int) -> Iterator[Edge]:
        """The edges from node ``i`` to the outside."""
        for inner in range(i, self.end[i]):
            for edge in self.out.get(inner, ()):
                if not i <= self.number[edge.head] < self.end[i]:
                    yield edge


def _branches(graph: Graph) -> dict[Key | None, list[Key]]:
    """The children of each node of the tree, in the order of computation; parameters in the order of use."""
    branches: dict[Key | None, list[Key]] = {None: []}

    def hang(key: Key, group: str | None) -> None:
        while group is not None and ("group", group) not in branches:
            branches["group", group] = [key]
            key, group = ("group", group), graph.groups[group].parent
        branches[None if group is None else ("group", group)].append(key)

    given: dict[str, set[str]] = {}
    order = {id: i for i, id in enumerate(graph.boxes)}
    for edge in sorted(graph.edges, key=lambda e: (order[e.head], e.slot)):
        if graph.boxes[edge.tail].kind in GIVEN:
            given.setdefault(edge.tail, set()).add(edge.head)
    given |= {id: set() for id, box in graph.boxes.items() if box.kind in GIVEN and id not in given}
    for id, box in graph.boxes.items():
        if id not in given:
            hang(("box", id), box.group)
    place = Nesting(graph).place
    for id, users in given.items():
        if len(users) == 1:
            branches.setdefault(("box", users.pop()), []).append(("box", id))
        else:
            hang(("box", id), place[id])
    for id, group in graph.groups.items():
        if ("group", id) not in branches:
            branches["group", id] = []
            hang(("group", id), group.parent)
    return branches


def _of_box(box: Box) -> Any:
    """What makes a box equal to another one."""
    label = box.label if box.kind in ("operation", "constant") else ""
    said = ("", "") if box.kind in GIVEN else (box.symbol, box.params)  # what a weight is called, and whose it is
    counts = box.weights, box.biases, box.multiply_adds, box.times
    return box.kind, box.op, label, said, box.shape, box.dtype, counts


def _of_group(group: Group | None) -> Any:
    """What makes a group equal to another one, apart from what it holds."""
    if group is None:
        return None
    return group.kind, group.step is None, group.times


def _chains(tree: _Tree) -> list[list[int]]:
    """The longest chains of equal nodes."""
    chains = []
    for i in range(len(tree.parent)):
        children = list(tree.children(i))
        count = Counter([tree.sort[child] for child in children])
        following = {}
        for child in children:
            if count[tree.sort[child]] > 1 and (link := _next(tree, children, child)):
                following[child] = link
        taken: set[int] = set()
        for child in children:
            if child in taken or child not in following:
                continue
            chain, joint = [child], following[child][1]
            while (link := following.get(chain[-1])) and link[1] == joint:
                chain.append(link[0])
            outputs = {(tree.number[e.tail] - chain[-1], e.index) for e in tree.leaving(chain[-1])}
            if not outputs <= {output for output, _ in joint}:
                chain.pop()  # what leaves it is not what the others hand on
            if len(chain) > 1:
                chains.append(chain)
                taken.update(chain)
    return chains


Joint = list[
    tuple[tuple[int, int | None], tuple[int, int]]
]  # from which output of a block into which input of the next


def _next(tree: _Tree, children: list[int], i: int) -> tuple[int, Joint] | None:
    """The equal sibling that alone uses what node ``i`` computes, and how the two are joined."""
    heads = [tree.number[e.head] for e in tree.leaving(i)]
    if not heads or not i < min(heads) <= max(heads) < tree.end[tree.parent[i]]:
        return None
    after = children[bisect_right(children, min(heads)) - 1]
    if max(heads) >= tree.end[after] or tree.sort[after] != tree.sort[i]:
        return None
    inputs = [e for e in tree.entering(after) if tree.graph.boxes[e.tail].kind not in GIVEN]
    if any(not i <= tree.number[e.tail] < tree.end[i] for e in inputs) or _inputs(tree, i) != _inputs(tree, after):
        return None
    joint = [((tree.number[e.tail] - i, e.index), (tree.number[e.head] - after, e.slot)) for e in inputs]
    return after, joint


def _inputs(tree: _Tree, i: int) -> tuple[list[Any], list[Any]]:
    """What enters node ``i``: where, of what shape, which inputs are the same value; and which shared parameters."""
    values: dict[tuple[str, int | None], int] = {}
    found, shared = [], []
    for e in tree.entering(i):
        at = tree.number[e.head] - i, e.slot
        if tree.graph.boxes[e.tail].kind in GIVEN:
            shared.append((at, e.tail))
        else:
            found.append((at, e.kind, e.lag, e.shape, values.setdefault((e.tail, e.index), len(values))))
    return found, shared


def _without(tree: _Tree, chains: list[list[int]]) -> Graph:
    """The graph with the first node of each chain in place of all."""
    first = {i: chain[0] for chain in chains for i in chain}
    last = {chain[0]: chain[-1] for chain in chains}
    after = {i: j for chain in chains for i, j in pairwise(chain)}
    times = {chain[0]: len(chain) for chain in chains}
    stays = [0]  # for each node the one that stands for it
    final = [0]  # for each of those the last one that it stands for
    count = [1]
    for i in range(1, len(tree.parent)):
        around = tree.parent[i]
        same = stays[around] + i - around
        stays.append(first.get(same, same))
        final.append(final[around] + last.get(i, i) - around)
        count.append(count[around] * times.get(i, 1))
    standing = {final[i]: i for i in range(len(stays)) if stays[i] == i}
    groups, boxes = {}, {}
    for id, group in tree.graph.groups.items():
        i = tree.place[id]
        if i in last:
            group = replace(group, times=group.times * times[i], name=_span(group.name, tree.groups[last[i]].name))
        if stays[i] == i:
            groups[id] = group
    for id, latest in tree.graph.boxes.items():
        i = standing.get(tree.number[id], 0)
        if i:
            box = tree.boxes[i]
            boxes[box.id] = replace(
                box,
                label=_span(box.label, latest.label) if i in last and box.kind in ("module", "state") else box.label,
                group=None if box.group is None else tree.groups[stays[tree.place[box.group]]].id,
                seq=latest.seq,
                weights=box.weights * count[i],
                biases=box.biases * count[i],
                multiply_adds=box.multiply_adds * count[i],
                times=box.times * times.get(i, 1),
                value=latest.value,
                gradient=latest.gradient,
            )
    edges: dict[Any, Edge] = {}
    for edge, (around, a, b) in zip(tree.graph.edges, tree.meet):
        if stays[around] == around and after.get(a) != b:
            tail, head = (tree.boxes[stays[tree.number[end]]].id for end in (edge.tail, edge.head))
            key = tail, head, edge.slot, edge.index, edge.kind, edge.lag
            edges.setdefault(key, replace(edge, tail=tail, head=head))
    return tree.graph.changed(boxes=boxes, edges=list(edges.values()), groups=groups)


def _span(first: str, last: str) -> str:
    """The names of a chain of blocks.

    >>> _span("1", "35"), _span("block1", "block7")
    ('1…35', 'block1 – block7')
    """
    if first == last:
        return first
    return f"{first}…{last}" if first.isdecimal() and last.isdecimal() else f"{first} – {last}"
