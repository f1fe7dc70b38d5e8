"""DOT text: escaping, order, sizes. `UPDATE_GOLDEN=1 pytest THIS_FILE` rewrites the golden files."""

import math
import os
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd.diagram import dot, labels
from autograd.diagram.columns import place
from autograd.diagram.graph import Box, Edge, Graph, Group, Sample
from autograd.diagram.render import render
from autograd.diagram.style import BOXES

from .pictures import convolutional, textbook, unfolded

GOLDEN = Path(__file__).with_name("golden")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    [
        'a"><b>',
        "a\\",
        "\\N\\G\\l",
        "a\nb",
        "&amp;",
        "{a|<b>c}",
        "<TABLE>",
        "]]>",
        '\\"',
        "𝛁 é",
        "\0\x1b",
        "  a  b ",
        "%3",
    ]
)


def plain(text: str, kept: str = "") -> str:
    """What is seen of a text: control characters by their signs, all but tool tips' line breaks."""
    signs = {code: chr(0x2400 + code) for code in range(32)} | {127: "␡", 0xA0: " "}
    signs |= dict.fromkeys((0xFFFE, 0xFFFF), "�") | {ord("\\"): labels.SLASH}
    return text.translate({code: sign for code, sign in signs.items() if chr(code) not in kept})


def drawn(text: str) -> tuple[list[str], list[str]]:
    """The lines of text and the tool tips of an SVG picture, as an XML reader sees them."""
    root = ET.fromstring(render(text, "svg"))
    words = ["".join(item.itertext()) for item in root.iter("{http://www.w3.org/2000/svg}text")]
    tips = [item.get("{http://www.w3.org/1999/xlink}title", "") for item in root.iter("{http://www.w3.org/2000/svg}a")]
    return [word.replace("\xa0", " ") for word in words], [tip.replace("\xa0", " ") for tip in tips]


@pytest.mark.parametrize("graph", [textbook(), convolutional()], ids=["textbook", "convolutional"])
def test_golden(graph: Graph) -> None:
    text, path = dot.write(graph), GOLDEN / f"{'textbook' if graph.columns else 'convolutional'}.dot"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), "if it is meant: UPDATE_GOLDEN=1"


@settings(max_examples=40)
@given(TEXTS, TEXTS, TEXTS)
def test_any_text_is_drawn_as_it_is(label: str, id: str, name: str) -> None:
    box = Box(id, "operation", f"[{label}]", "g", params=f"({name})")
    graph = Graph({id: box}, [Edge(id, id, label=f"({name})")], {"g": Group("g", f"({name})")}, title=f"[{label}]")
    words, tips = drawn(dot.write(graph, legend=False))
    if "_" not in label:  # subscripts are set apart
        assert words.count(plain(f"[{label}]")) == 2
    assert words.count(plain(f"({name})")) == 3
    if "\n" not in id + label + name:
        assert plain("\n".join(dict.fromkeys(line for line in (id, f"[{label}]", f"({name})") if line)), "\n") in tips


@given(st.text(), st.text())
def test_identifiers_stay_apart(a: str, b: str) -> None:
    assert (dot.name(a) == dot.name(b)) == (plain(a, "\n\xa0\\") == plain(b, "\n\xa0\\"))


@given(unfolded())
def test_equal_graphs_give_equal_text(graph: Graph) -> None:
    text = dot.write(graph)
    assert text == dot.write(graph.changed(boxes=dict(graph.boxes), edges=[replace(e) for e in graph.edges]))
    statements = text.split("\n")
    for box in graph.boxes.values():
        assert statements.count(dot.node(box)) == 1


@given(unfolded())
def test_rows_are_ranks(graph: Graph) -> None:
    places = place(graph)
    assert list(places.rank) and set(places.rank) == set(graph.boxes) == set(places.part)
    rows: dict[str, set[int]] = {}
    for box in graph.boxes.values():
        if box.column is not None:
            rows.setdefault(box.row, set()).add(places.rank[box.id])
            assert places.part[box.id] == box.column
    assert all(len(ranks) == 1 for ranks in rows.values())


@given(st.integers(1, 12))
def test_textbook_ranks(steps: int) -> None:
    places = place(textbook(steps))
    assert [places.rank[id] for id in ("x_1", "h_1", "y_1", "h_0", "W_xh", "W_hh", "W_hy")] == [0, 1, 2, 1, 0, 0, 1]
    assert list(places.parts) == ["weights", "before", *range(1, steps + 1)] or steps == 1


def test_rows_that_feed_one_another() -> None:
    boxes = {f"{r}{t}": Box(f"{r}{t}", "operation", r, column=t, row=r) for t in (1, 2) for r in "ab"}
    places = place(Graph(boxes, [Edge("a1", "b1"), Edge("b2", "a2")], columns={1: "", 2: ""}))
    assert [places.rank[id] for id in ("a1", "b1", "a2", "b2")] == [0, 1, 0, 1]


@given(st.lists(st.floats(0, 1e300) | st.just(math.nan) | st.just(math.inf), min_size=2))
def test_wider_is_larger(norms: list[float]) -> None:
    largest = max((n for n in norms if math.isfinite(n)), default=0.0)
    widths = [dot.width(n, largest) for n in sorted(n for n in norms if math.isfinite(n))]
    assert widths == sorted(widths)
    assert all(dot.HAIRLINE <= dot.width(n, largest) <= dot.WIDEST for n in norms)


def test_vanished_gradient_is_dotted() -> None:
    assert "style=dotted" in dot.backward(Edge("a", "b", norm=0.0), 1.0)
    assert "style=dotted" not in dot.backward(Edge("a", "b", norm=1e-30), 1.0)


def test_shape_once_where_it_leaves() -> None:
    boxes = {id: Box(id, "operation", id) for id in "abcd"}
    graph = Graph(boxes, [Edge("a", id, shape=(2, 3)) for id in "bcd"])
    assert dot.write(graph, legend=False).count(labels.escaped("2 × 3")) == 1


def test_legend_has_what_occurs_and_no_more() -> None:
    text = dot.write(textbook())
    assert {kind for kind in BOXES if f'"legend {kind}" [' in text} == {
        "data",
        "parameter",
        "constant",
        "state",
        "output",
    }
    assert "legend" not in dot.write(textbook(), legend=False)


def test_looks_differ_without_colour() -> None:
    looks = {(look.shape, look.style, look.width, look.outlines) for look in BOXES.values()}
    assert len(looks) == len(BOXES)


def test_odd_numbers() -> None:
    sample = Sample(math.nan, math.inf, math.nan, 0.0, math.inf, ((math.nan, 0.5), (2.0, -1.0)), bad=3)
    box = Box("b", "operation", "b", value=sample, gradient=sample)
    words, _ = drawn(dot.write(Graph({"b": box}, [Edge("b", "b", norm=math.nan)])))
    assert any("3 not finite" in word for word in words)


def test_long_labels_are_shortened_in_the_box_only() -> None:
    text = dot.node(Box("b", "operation", "w" * 10_000))
    assert len(text) < 11_000 and "w" * 10_000 in text


def test_empty() -> None:
    assert render(dot.write(Graph()), "svg") and render(dot.write(Graph(columns={1: "t = 1"})), "svg")


@pytest.mark.parametrize("columns", [False, True])
def test_linear(columns: bool) -> None:
    def lines(n: int) -> int:
        graph = Graph(columns={1: "t = 1"} if columns else {})
        for i in range(n):
            column = 1 if columns else None
            graph.boxes[f"b{i}"] = Box(f"b{i}", "operation", "+", column=column, row=f"r{i}" if columns else "")
            graph.edges += [Edge(f"b{i - 1}", f"b{i}", slot) for slot in (0, 1) if i]
        return dot.write(graph).count("\n")

    assert lines(20_000) < 10.5 * lines(2_000)


def test_deep_nesting() -> None:
    groups = {f"g{i}": Group(f"g{i}", "m", f"g{i - 1}" if i else None) for i in range(3_000)}
    text = dot.write(Graph({"b": Box("b", "operation", "b", "g2999")}, [], groups))
    assert text.count("subgraph") == 3_000
