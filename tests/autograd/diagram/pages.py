"""Graphs to read as pages, what one should see of them, and somebody who reads them in a browser."""

import random
from typing import Any

from autograd.diagram.graph import Box, Edge, Graph, Group, Sample

DRAWN = "#stage:not(.busy) svg"


def nested(seed: int, boxes: int = 40, names: tuple[str, ...] = ()) -> Graph:
    """A program of modules in modules: each box reads earlier ones."""
    draw = random.Random(seed)
    graph = Graph(title=f"graph {seed}")
    for i in range(boxes // 4):
        parent = draw.choice([None, *graph.groups])
        name = names[i % len(names)] if names else f"m{i}"
        graph.groups[f"{parent}.{name}.{i}"] = Group(f"{parent}.{name}.{i}", name, parent, kind="Block")
    for i in range(boxes):
        label = names[i % len(names)] if names else f"op{i}"
        group = draw.choice([None, *graph.groups])
        gradient = Sample(-1.0, 1.0, 0.0, 0.5, float(i + 1), ((0.0, 1.0),))
        box = Box(f"{label} {i}", "operation", label, group, i, "tanh", shape=(i + 1, 2), gradient=gradient)
        graph.edges += [Edge(tail, box.id, slot) for slot, tail in enumerate(draw.sample(list(graph.boxes), min(i, 2)))]
        graph.boxes[box.id] = box
    return graph


def unfolded(steps: int = 3) -> Graph:
    """The lecture's network, a column for each step."""
    graph = Graph(title="unfolded", columns={t: f"t = {t}" for t in range(1, steps + 1)})
    add = lambda box: graph.boxes.setdefault(box.id, box).id  # noqa: E731
    w_xh, w_hh, w_hy = (add(Box(name, "parameter", name, symbol=name)) for name in ("W_xh", "W_hh", "W_hy"))
    h = add(Box("h0", "data", "h", time="0"))
    for t in range(1, steps + 1):
        cell = f"rnn.t{t}"
        graph.groups[cell] = Group(cell, "rnn", None, "RNN", step=t, column=t, row="rnn")
        row = lambda name, kind, group, t=t: add(  # noqa: E731
            Box(f"{group or ''}{name}{t}", kind, name, group, 10 * t + len(graph.boxes), step=t, column=t, row=name)
        )
        x, a, b = row("x", "data", None), row("matmul_x", "operation", cell), row("matmul_h", "operation", cell)
        new, y = row("h", "state", cell), row("y", "output", None)
        graph.edges += [
            Edge(x, a),
            Edge(w_xh, a, 1, "parameter"),
            Edge(h, b, 0, "state"),
            Edge(w_hh, b, 1, "parameter"),
        ]
        graph.edges += [Edge(a, new), Edge(b, new, 1), Edge(new, y), Edge(w_hy, y, 1, "parameter")]
        h = new
    return graph


def visible(graph: Graph, opened: set[str]) -> tuple[set[str], set[str], set[tuple[str, str]]]:
    """From the outside in: the nodes, the open modules and the edges that one sees."""
    inside: dict[str | None, list[str]] = {}
    for group in graph.groups.values():
        inside.setdefault(group.parent, []).append(group.id)
    held: dict[str | None, list[str]] = {}
    for box in graph.boxes.values():
        held.setdefault(box.group, []).append(box.id)
    contents = {
        g: [*held.get(g, []), *[b for i in inside.get(g, []) for b in contents_of(i, inside, held)]]
        for g in graph.groups
    }
    nodes, frames, stands = set(), set(), {}

    def enter(group: str | None) -> None:
        for box in held.get(group, []):
            nodes.add(box)
            stands[box] = box
        for child in inside.get(group, []):
            if not contents[child]:
                continue
            if child in opened:
                frames.add(child)
                enter(child)
            else:
                nodes.add(child)
                stands.update(dict.fromkeys(contents[child], child))

    enter(None)
    edges = {(stands[e.tail], stands[e.head]) for e in graph.edges if stands[e.tail] != stands[e.head] or e.lag}
    return nodes, frames, edges


def contents_of(group: str, inside: dict[Any, list[str]], held: dict[Any, list[str]]) -> list[str]:
    return [*held.get(group, []), *[b for child in inside.get(group, []) for b in contents_of(child, inside, held)]]


class Reader:
    """Somebody who reads a page."""

    def __init__(self, tab: Any, wrong: list[str]) -> None:
        self.tab, self.wrong = tab, wrong

    def settled(self) -> None:
        self.tab.wait_for_selector(DRAWN)

    def ids(self, of: str) -> list[str]:
        return list(self.tab.eval_on_selector_all(of, "all => all.map(e => e.dataset.id)"))

    def seen(self) -> tuple[set[str], set[str], set[tuple[str, str]]]:
        self.settled()
        edges = self.tab.eval_on_selector_all(
            "g.edge[data-tail]", "all => all.map(e => [e.dataset.tail, e.dataset.head])"
        )
        nodes = self.ids("g.node[data-id]")
        assert len(nodes) == len(set(nodes))
        return set(nodes), set(self.ids("g.cluster[data-id]")), {(tail, head) for tail, head in edges}

    def toggle(self, id: str) -> None:
        self.tab.locator(f"[data-id={css(id)}] .toggle").dispatch_event("click")
        self.settled()

    def view(self) -> list[float]:
        return [float(x) for x in self.tab.get_attribute("#stage svg", "viewBox").split()]

    def outlines(self) -> dict[str, dict[str, float]]:
        """Where each node is on the screen."""
        place = "e => (e.querySelector('.outline') ?? e).getBoundingClientRect().toJSON()"
        return dict(
            self.tab.eval_on_selector_all("g.node[data-id]", f"all => all.map(e => [e.dataset.id, ({place})(e)])")
        )

    def text(self, of: str) -> str:
        return str(self.tab.inner_text(of))


def css(text: str) -> str:
    return '"' + "".join(rf"\{ord(c):x} " for c in text) + '"'
