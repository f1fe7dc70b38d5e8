"""The page in a real browser draws what Python draws: columns, rows, whatever is open, large graphs."""

import random
import re
from collections.abc import Collection
from typing import Any

import pytest

import autograd
import nn
from autograd.diagram import detail, dot, labels, page, steps, style, words
from autograd.diagram.columns import place
from autograd.diagram.draw import draw
from autograd.diagram.graph import Box, Edge, Graph, Group
from autograd.diagram.sample import samples

from .pages import Reader, css, unfolded, visible


def test_columns_stand_from_left_to_right_and_rows_level(read: Any) -> None:
    graph = unfolded()
    reader = read(graph, {"rnn.t2"})
    for opened in ({"rnn.t2"}, {"rnn.t2", "rnn.t3"}, {"rnn.t1", "rnn.t2", "rnn.t3"}):
        nodes, _, _ = visible(graph, opened)
        assert reader.seen()[0] == nodes
        spans: dict[int, list[float]] = {}
        rows: dict[str, set[int]] = {}
        for id in nodes:
            place, item = (
                reader.tab.locator(f".node[data-id={css(id)}] .outline").first.bounding_box(),
                graph.boxes.get(id) or graph.groups[id],
            )
            if item.column is not None:
                spans.setdefault(item.column, []).extend((place["x"], place["x"] + place["width"]))
                if id in graph.boxes:
                    rows.setdefault(item.row, set()).add(round(place["y"] + place["height"] / 2))
        assert max(spans[1]) < min(spans[2]) and max(spans[2]) < min(spans[3])
        assert all(max(heights) - min(heights) <= 1 for heights in rows.values())
        if closed := sorted(nodes & set(graph.groups)):
            reader.toggle(closed[-1])


class InStep(nn.Module):
    """A recurrent layer, and a linear layer on the whole sequence of its states."""

    def __init__(self, kind: type = nn.RNN, **options: Any) -> None:
        self.rnn = kind(2, 3, **options)
        self.head = nn.Linear(3 * (1 + self.rnn.bidirectional), 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0])


class Translator(InStep):
    """An encoder, and a decoder that begins where the encoder ended."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.RNN(2, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x, self.encoder(x)[1])[0])


class Branches(nn.Module):
    """No time: two branches, one of them of layers in layers, and what one of them computes used twice."""

    def __init__(self) -> None:
        self.one = nn.Linear(2, 3)
        self.other = nn.Sequential(nn.Linear(2, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 3)))

    def forward(self, x: Any) -> Any:
        found = self.one(x)
        return found * self.other(x) + found


DRAWN_ALIKE: dict[str, tuple[type[nn.Module], dict[str, Any], dict[str, Any]]] = {
    "the lecture's": (InStep, {"bias": False}, {}),
    "values and gradients": (InStep, {"kind": nn.LSTM}, {"values": True, "gradients": True}),
    "layers both ways": (InStep, {"kind": nn.GRU, "num_layers": 2, "bidirectional": True}, {}),
    "an ellipsis": (InStep, {"kind": nn.LSTM}, {"most_steps": 2}),
    "folded": (InStep, {"kind": nn.LSTM}, {"time": "fold"}),
    "a translator": (Translator, {}, {}),
    "no time": (Branches, {}, {"gradients": True}),
}


@pytest.mark.parametrize("what", DRAWN_ALIKE)
def test_the_page_draws_what_python_draws_whatever_is_open(read: Any, what: str) -> None:
    """The script writes the very DOT text that Python writes, so that the two cannot drift apart."""
    model, options, how = DRAWN_ALIKE[what]
    drawing = nn.draw(model(**options), autograd.ones((4, 1, 2)), **how)
    full, draw = drawing.full, random.Random(what)
    reader = read(text=page.of(full, drawing.graph))
    names = reader.tab.evaluate("items.map(item => item.id)")
    assert statements(reader.tab.evaluate("assemble()"), names) == statements(dot.write(drawing.graph, legend=False))
    if drawing.graph.columns:
        rank = place(drawing.graph).rank
        levels: dict[int, set[int]] = {}
        for id, outline in reader.outlines().items():
            levels.setdefault(rank[id], set()).add(round(outline["y"] + outline["height"] / 2))
        heights = [levels[r] for r in sorted(levels, reverse=True)]
        assert all(max(ys) - min(ys) <= 2 for ys in heights)
        assert [min(ys) for ys in heights] == sorted(min(ys) for ys in heights)
    formula = words.formulas(full) if any(box.time for box in full.boxes.values()) else None
    rows = sorted({group.row or id for id, group in full.groups.items()})
    for _ in range(8):
        opened = set(draw.sample(rows, draw.randint(0, len(rows))))
        shut = {id for id, group in full.groups.items() if (group.row or id) not in opened}
        seen = steps.finish(samples(detail.close(full, shut, formula)))
        found = reader.tab.evaluate(
            "shut => { open.clear(); for (const group of groups) if (!shut.includes(items[group].id)) open.add(group);"
            "settle(); return assemble() }",
            sorted(shut),
        )
        assert statements(found, names) == statements(dot.write(seen, legend=False))


def statements(text: str, names: Collection[str] = ()) -> list[str]:
    """The lines of a DOT text that place and join boxes, by the boxes' own names."""
    found = []
    for line in text.replace(style.FONT, page.FONT).splitlines():
        if line == "}" or line.startswith("label=<") or ("subgraph" in line and "style=rounded" in line):
            continue  # the page frames every open group and has its title elsewhere
        line = re.sub(r'> tooltip="(\\.|[^"\\])*"', ">", re.sub(r" id=e\d+( class=gradient)?]$", "]", line))
        line = re.sub(r" penwidth=[\d.]+", "", line) if style.GRADIENT in line else line  # to the largest of all
        line = re.sub(r"^(\S+ )\[.*label=<<B>⋯</B>.*", r"\1⋯", line)
        found.append(re.sub(r'"n(\d+)"', lambda n: labels.name(list(names)[int(n[1])]), line))
    return list(dict.fromkeys(found))


def test_the_first_view_shows_everything_or_begins_with_time(read: Any) -> None:
    def inside(reader: Reader, ids: Collection[str]) -> set[bool]:
        outlines, stage = reader.outlines(), reader.tab.locator("#stage").bounding_box()
        left, right = stage["x"], stage["x"] + stage["width"]
        return {left <= outlines[id]["x"] and outlines[id]["x"] + outlines[id]["width"] <= right for id in ids}

    short, long = unfolded(2), unfolded(12)
    opened = {id for id in long.groups}
    reader = read(short)
    assert inside(reader, reader.ids(".node[data-id]")) == {True}
    assert reader.tab.locator(".more:visible").count() == 0
    reader = read(long, opened)
    first = [id for id, box in long.boxes.items() if box.column == 1]
    assert inside(reader, first) == {True} and inside(reader, ["x12", "y12"]) == {False}
    for _ in range(20):
        if reader.tab.is_visible("#rightward"):
            reader.tab.click("#rightward")
    assert inside(reader, ["x12", "y12"]) == {True} and inside(reader, first) == {False}
    reader.tab.click("#fit")
    assert inside(reader, reader.ids(".node[data-id]")) == {True}
    assert reader.tab.locator(".more:visible").count() == 0


def test_a_folded_loop_keeps_its_loop_when_closed(read: Any) -> None:
    graph = Graph(groups={"rnn": Group("rnn", "rnn", kind="RNN")})
    graph.boxes = {
        "x": Box("x", "data", "x"),
        "h": Box("h", "state", "h", "rnn", 1),
        "t": Box("t", "operation", "tanh", "rnn", 2),
    }
    graph.edges = [Edge("x", "t"), Edge("t", "h", 1), Edge("h", "t", 1, "state", lag=1)]
    reader = read(graph)
    assert reader.seen()[2] == {("x", "rnn"), ("rnn", "rnn")}


def test_large_graphs_stay_usable(read: Any) -> None:
    graph = Graph(groups={f"m{m}": Group(f"m{m}", f"m{m}", kind="Block") for m in range(20)})
    for i in range(page.MOST):
        graph.boxes[f"b{i}"] = Box(f"b{i}", "operation", "relu", f"m{i // 1000}", i)
        graph.edges += [Edge(f"b{i - 1}", f"b{i}")] if i else []
    reader = read(graph)
    assert reader.seen()[0] == set(graph.groups)
    reader.toggle("m3")
    nodes = reader.seen()[0]
    assert len(nodes) == page.AT_ONCE and "1019 boxes" in reader.text("#notice")
    reader.tab.fill("#search", "b3990")
    reader.tab.press("#search", "Enter")
    reader.tab.wait_for_selector(".node.chosen")
    assert reader.ids(".node.chosen") == ["b3990"] and len(reader.seen()[0]) == page.AT_ONCE


def test_a_drawing_of_a_network_opens_as_it_is_seen(read: Any) -> None:
    x = autograd.tensor([[[0.1, 0.2]], [[0.3, 0.4]]])
    drawing = draw(nn.RNN(2, 3, bias=False), x, values=True, gradients=True)
    reader = read(text=page.of(drawing.full, drawing.graph))
    assert {id for id in reader.ids("g.node[data-id]")} >= {id for id, box in drawing.graph.boxes.items() if box.step}
    reader.tab.click("#expand")
    reader.settled()
    assert set(drawing.full.groups) & set(reader.ids("g.cluster[data-id]"))
    assert "norm" in reader.tab.get_attribute("g.node[data-id]", "aria-label")
