"""Pictures: what lies where, by Graphviz's own coordinates, with each Graphviz that is installed; files and errors."""

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from autograd.diagram import dot, drawing, render
from autograd.diagram.drawing import Drawing, shortened
from autograd.diagram.graph import Box, Edge, Graph
from autograd.errors import DataError

from .pictures import boxes_in, convolutional, textbook, unfolded

SYSTEM = pytest.param("system", marks=pytest.mark.skipif(not shutil.which("dot"), reason="no system Graphviz"))
BUNDLED = pytest.param("bundled", marks=pytest.mark.skipif(not find_spec("pygraphviz"), reason="no pygraphviz"))


@pytest.fixture(params=[SYSTEM, BUNDLED])
def graphviz(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(render, "find_spec", {"system": "graphviz", "bundled": "pygraphviz"}[request.param].__eq__)
    return str(request.param)


def check_columns(graph: Graph) -> None:
    at = boxes_in(render.render(dot.write(graph), "json"))
    sides: dict[int, tuple[float, float]] = {}
    heights: dict[str, set[float]] = {}
    for box in graph.boxes.values():
        left, bottom, right, top = at[box.id]
        if box.column is not None:
            low, high = sides.get(box.column, (left, right))
            sides[box.column] = min(low, left), max(high, right)
            heights.setdefault(box.row, set()).add(round((bottom + top) / 2))
    in_order = [sides[column] for column in sorted(sides)]
    assert all(a[1] < b[0] for a, b in pairwise(in_order)), in_order
    assert all(len(found) == 1 for found in heights.values()), heights
    weights = [at[b.id][2] for b in graph.boxes.values() if b.kind == "parameter" and b.column is None]
    assert not weights or max(weights) < in_order[0][0]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(unfolded())
def test_columns_and_rows(graphviz: str, graph: Graph) -> None:
    check_columns(graph)


@pytest.mark.parametrize("steps", [1, 2, 3, 12])
def test_textbook(graphviz: str, steps: int) -> None:
    graph = textbook(steps)
    check_columns(graph)
    at = boxes_in(render.render(dot.write(graph, legend=False), "json"))
    assert {id for id in at if not id.startswith(("rank", "part"))} == set(graph.boxes)
    row = sorted((at[id][0], id) for id in at if id.startswith("h_"))
    assert [id for _, id in row] == [f"h_{t}" for t in range(steps + 1)]
    between = [id for id in graph.boxes if at["h_0"][2] < at[id][0] < at["h_1"][0]]
    assert not [id for id in between if at[id][1] < at["h_0"][3] and at[id][3] > at["h_0"][1]]


@pytest.mark.parametrize("format", ["svg", "png", "pdf", "json"])
@pytest.mark.parametrize("make", [textbook, convolutional])
def test_formats(graphviz: str, format: str, make: Callable[[], Graph]) -> None:
    data = render.render(dot.write(make()), format)
    assert {"svg": b"<svg", "png": b"PNG", "pdf": b"%PDF", "json": b"{"}[format] in data[:2000]
    if format == "svg":
        assert data == render.render(dot.write(make()), format)
        assert str(Path.home()).encode() not in data and b"file://" not in data


def test_gives_graphviz_own_words(graphviz: str) -> None:
    with pytest.raises(DataError, match="syntax error"):
        render.render("digraph { a -> ", "svg")


def test_never_hangs(graphviz: str) -> None:
    edges = [Edge(f"b{i}", f"b{(i * 7 + j) % 3000}", j) for i in range(3000) for j in range(3)]
    graph = Graph({f"b{i}": Box(f"b{i}", "operation", "+") for i in range(3000)}, edges)
    with pytest.raises(DataError, match=r"within 0.3 seconds.*less depth"):
        render.render(dot.write(graph), "svg", seconds=0.3)


def test_another_graphviz_where_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = render._commands("svg")
    broken = [sys.executable, "-c", "raise SystemExit('lost an edge')"]
    for command in commands:
        monkeypatch.setattr(render, "_commands", lambda format, command=command: [broken, command])
        assert b"<svg" in render.render(dot.write(textbook()), "svg")
    monkeypatch.setattr(render, "_commands", lambda format: [broken, broken])
    with pytest.raises(DataError, match="lost an edge"):
        render.render("digraph {}", "svg")


def test_unknown_format() -> None:
    with pytest.raises(DataError, match="'bmp' → choose one of svg, png, pdf, json"):
        render.render("digraph {}", "bmp")


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render.shutil, "which", lambda program: None)
    monkeypatch.setattr(render, "find_spec", lambda name: None)


def test_no_graphviz(nothing_installed: None, tmp_path: Path) -> None:
    picture = Drawing(textbook())
    with pytest.raises(DataError, match=r"apt install graphviz.*pip install pygraphviz"):
        picture.save(tmp_path / "a.svg")
    picture.save(tmp_path / "a.dot")
    assert [file.name for file in tmp_path.iterdir()] == ["a.dot"]
    assert list(picture._repr_mimebundle_()) == ["text/plain"]


@pytest.mark.parametrize("ending", ["svg", "PNG", "pdf", "dot", "json", "html"])
def test_save(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{ending}"
    path.write_text("old")
    Drawing(convolutional()).save(path)
    assert path.stat().st_size > 100 and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.bmp", r"ends in '.bmp' → choose one of .svg, .png"), ("a", "no ending"), ("missing/a.dot", "could not write")],
)
def test_wrong_paths(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((DataError, OSError), match=message):
        Drawing(textbook()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.dot").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        Drawing(textbook()).save(tmp_path / "a.dot")


def test_notebook() -> None:
    shown = Drawing(textbook())._repr_mimebundle_()
    assert "<svg" in shown["image/svg+xml"] and shown["text/plain"] == "Drawing: 13 boxes, 18 edges"


def test_large_graphs_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST", 50)
    graph = Graph({f"b{i}": Box(f"b{i}", "operation", "+") for i in range(1000)})
    graph.edges = [Edge(f"b{i}", f"b{i + 1}") for i in range(999)]
    picture = Drawing(graph)
    assert "951 more" in picture.svg.replace("\xa0", " ") and "first 49 of 1,000" in picture.svg.replace("\xa0", " ")
    assert '"b999"' in picture.dot
    assert len(shortened(graph, 50).boxes) == 50 and shortened(graph, 1000) is graph
