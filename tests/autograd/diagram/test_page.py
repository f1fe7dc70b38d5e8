"""The page in a real browser, and what Python writes into it."""

import math
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.diagram import detail, dot, labels, page, steps, style, words
from autograd.diagram.columns import place
from autograd.diagram.detail import closed_boxes
from autograd.diagram.draw import draw
from autograd.diagram.graph import Box, Edge, Graph, Group, Sample
from autograd.diagram.sample import samples

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = (
    '</script><img src=x onerror="window.broken=1">',
    'a"><b>',
    "\\N \\G\n{x|y}",
    "&lt;b&gt;",
    "<B>",
    "\u2028${1}`",
    "名",
)
DRAWN = "#stage:not(.busy) svg"


# --- graphs ---


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


# --- the browser ---


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as p:
        found = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def read(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open the page of a graph; at the end nothing may have failed, and nothing may have been fetched."""
    contexts, wrong = [], []

    def opened(
        graph: Graph | None = None, open_groups: Collection[str] = (), text: str = "", script: str = "", **settings: Any
    ) -> Reader:
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(text or page.write(graph, closed_boxes(graph), open_groups), encoding="utf-8")
        contexts.append(browser.new_context(offline=True, viewport={"width": 1200, "height": 800}, **settings))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda r: None if r.url.startswith(("file:", "blob:")) else wrong.append(r.url))
        if script:
            tab.add_init_script(script)
        tab.goto(file.as_uri())
        reader = Reader(tab, wrong)
        reader.settled()
        return reader

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


# --- what it does ---


@pytest.mark.parametrize("seed", range(3))
def test_opening_and_closing_shows_what_python_says(read: Any, seed: int) -> None:
    graph, draw = nested(seed), random.Random(seed)
    opened = set(draw.sample(list(graph.groups), 4))
    reader = read(graph, opened)
    for _ in range(6):
        nodes, frames, edges = visible(graph, opened)
        assert reader.seen() == (nodes, frames, edges)
        group = draw.choice(sorted((nodes & set(graph.groups)) | frames))
        reader.toggle(group)
        opened ^= {group}
    reader.tab.click("#expand")
    assert reader.seen() == visible(graph, set(graph.groups))
    reader.tab.click("#collapse")
    assert reader.seen() == visible(graph, set())


def test_the_clicked_module_stays_where_it_is(read: Any) -> None:
    reader = read(nested(1, 60))
    reader.tab.click("#in")
    group = next(id for id in reader.ids("g.node[aria-expanded]"))
    node = reader.tab.locator(f"[data-id={css(group)}]")
    before = node.bounding_box()
    reader.toggle(group)
    after = node.bounding_box()
    assert abs(after["x"] + after["width"] / 2 - before["x"] - before["width"] / 2) < 10
    assert abs(after["y"] - before["y"]) < 10
    assert after["width"] > before["width"]


def test_steps_visit_the_boxes_in_order_and_back(read: Any) -> None:
    graph = nested(2, 16)
    reader = read(graph, set(graph.groups))
    forward = sorted(graph.boxes, key=lambda id: graph.boxes[id].seq)
    seen = []
    for _ in forward:
        reader.tab.keyboard.press("ArrowRight")
        seen += reader.ids(".node.now")
        assert "×" in reader.text("#step")
    assert seen == forward
    assert reader.tab.is_disabled("#ahead")
    reader.tab.keyboard.press("b")
    reader.tab.keyboard.press("Home")
    seen = []
    for _ in forward:
        reader.tab.click("#ahead")
        seen += reader.ids(".node.now")
        assert f"norm {graph.boxes[seen[-1]].gradient.norm:g}" in reader.text("#step")
    assert seen == forward[::-1]
    reader.tab.eval_on_selector("#slider", "s => { s.value = 3; s.dispatchEvent(new Event('input')) }")
    assert reader.ids(".node.now") == [forward[-3]]
    reader.tab.click("label:has(#forward)")
    reader.tab.click("#back")
    assert reader.ids(".node.now") == [forward[-4]]


def test_a_step_survives_opening_and_closing(read: Any) -> None:
    graph = nested(3, 20)
    reader = read(graph, set(graph.groups))
    for _ in range(10):
        reader.tab.keyboard.press("ArrowRight")
    [now] = reader.ids(".node.now")
    reader.tab.keyboard.press("c")
    reader.settled()
    path = [g.id for g in graph.path(graph.boxes[now].group)]
    assert reader.ids(".node.now") == [path[0] if path else now]
    reader.tab.keyboard.press("e")
    reader.settled()
    assert reader.ids(".node.now") == [now]


def test_search_finds_opens_and_goes_round(read: Any) -> None:
    graph = nested(4)
    reader = read(graph)
    deep = max(graph.boxes.values(), key=lambda b: len(graph.path(b.group)))
    reader.tab.keyboard.press("/")
    reader.tab.keyboard.type(deep.id.upper())
    assert reader.text("#found") == "1 found"
    assert reader.ids(".node.match") == [graph.path(deep.group)[0].id]
    reader.tab.keyboard.press("Enter")
    reader.tab.wait_for_selector(".node.chosen")
    assert reader.ids(".node.match") == reader.ids(".node.chosen") == [deep.id]
    assert deep.id in reader.text("#details")
    opened = {g.id for g in graph.path(deep.group)}
    assert reader.seen() == visible(graph, opened)
    box, stage = reader.tab.locator(".node.chosen").bounding_box(), reader.tab.locator("#stage").bounding_box()
    assert stage["x"] < box["x"] + box["width"] / 2 < stage["x"] + stage["width"]
    assert stage["y"] < box["y"] + box["height"] / 2 < stage["y"] + stage["height"]
    reader.tab.fill("#search", "op1")
    expected = [f"op{i} {i}" for i in (1, *range(10, 20))]
    found = []
    for _ in range(len(expected) + 1):
        reader.tab.press("#search", "Enter")
        reader.tab.wait_for_function(
            "n => document.querySelector('#found').textContent.startsWith(n)",
            arg=f"{len(found) % len(expected) + 1} of",
        )
        reader.settled()
        found += reader.ids(".node.chosen")
    assert found == [*expected, expected[0]]
    reader.tab.fill("#search", "nowhere to be found")
    assert reader.text("#found") == "0 found" and reader.ids(".match") == []


def test_panning_and_zooming_change_the_view(read: Any) -> None:
    reader = read(nested(5))
    x, y, width, height = reader.view()
    reader.tab.mouse.move(30, 700)
    reader.tab.mouse.down()
    reader.tab.mouse.move(130, 650, steps=3)
    reader.tab.mouse.up()
    scale = width / reader.tab.locator("#stage").bounding_box()["width"]
    assert reader.view() == pytest.approx([x - 100 * scale, y + 50 * scale, width, height])
    reader.tab.mouse.wheel(0, -300)
    assert reader.view()[2] < 0.8 * width
    reader.tab.click("#out")
    reader.tab.click("#in")
    zoomed = reader.view()
    reader.tab.keyboard.press("-")
    assert reader.view()[2] == pytest.approx(zoomed[2] / 0.8)
    reader.tab.click("#fit")
    stage = reader.tab.locator("#stage").bounding_box()
    for box in reader.tab.locator("g.node[data-id]").all():
        place = box.bounding_box()
        assert stage["x"] <= place["x"] and place["x"] + place["width"] <= stage["x"] + stage["width"]
        assert stage["y"] <= place["y"] and place["y"] + place["height"] <= stage["y"] + stage["height"]


def test_hovering_and_choosing_tell_what_is_known(read: Any) -> None:
    value = Sample(-1.5, 2.0, 0.25, 1.0, 7.0, ((0.0, 0.5), (1.0, math.nan)))
    box = Box(
        "conv", "operation", "conv2d", seq=1, op="conv2d", params="stride=2", shape=(1, 8), dtype="float32",
        weights=450, biases=6, multiply_adds=12_345, line="net.py:12", value=value, formula="y = W x",
    )  # fmt: skip
    reader = read(Graph({"x": Box("x", "data", "x"), "conv": box}, [Edge("x", "conv")]))
    reader.tab.hover('[data-id="conv"]')
    known = ("y = W x", "stride=2", "1 × 8", "float32", "450", "12,345", "net.py:12", "−1.5", "norm 7")
    assert all(words in reader.text("#tip") for words in known)
    reader.tab.click('[data-id="conv"]')
    assert all(words in reader.text("#details") for words in known)
    pixels = "c => [...c.getContext('2d').getImageData(0, 0, 2, 2).data].filter((_, i) => i % 4 === 0)"
    shades = [*(style.ramp(style.VALUES, round(255 * place) / 255) for place in (0.0, 0.5, 1.0)), style.MISSING]
    assert reader.tab.eval_on_selector("#details canvas", pixels) == [int(shade[1:3], 16) for shade in shades]
    reader.tab.click("#details li button")
    assert reader.ids(".node.chosen") == ["x"]


def test_hostile_names_are_text(read: Any) -> None:
    graph = nested(6, len(HOSTILE) * 4, HOSTILE).changed(title=HOSTILE[0], notes=list(HOSTILE))
    for box in graph.boxes.values():
        box.op = box.params = box.name = box.line = box.formula = box.label
    reader = read(graph, set(graph.groups))
    assert reader.seen() == visible(graph, set(graph.groups))
    assert reader.tab.title() == HOSTILE[0] == reader.tab.text_content("h1")
    assert [p.text_content() for p in reader.tab.locator("#about p:not(.keys)").all()][: len(HOSTILE)] == list(HOSTILE)
    for id in list(graph.boxes)[: len(HOSTILE)]:
        reader.tab.locator(f"[data-id={css(id)}]").dispatch_event("click")
        assert reader.tab.text_content("#details h2") == graph.boxes[id].label
        assert id in reader.tab.text_content("#details")
    assert reader.tab.locator("img, iframe, b:not(#step b, #tip b)").count() == 0
    assert reader.tab.evaluate("window.broken") is None
    reader.tab.fill("#search", HOSTILE[0])
    reader.tab.press("#search", "Enter")
    assert reader.ids(".chosen") != []


def test_an_injected_script_would_not_run(read: Any) -> None:
    reader = read(nested(7, 8))
    ran = reader.tab.evaluate(
        "() => { const i = document.createElement('script'); i.textContent = 'window.broken = 1';"
        "document.body.append(i); return window.broken }"
    )
    assert ran is None
    assert "Content Security Policy" in reader.wrong.pop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_keys_alone_suffice_and_colours_can_be_read(read: Any, scheme: str) -> None:
    graph = nested(8)
    reader = read(graph, color_scheme=scheme)
    group = next(id for id in reader.ids("g.node[aria-expanded]"))
    reader.tab.locator(f"[data-id={css(group)}]").focus()
    reader.tab.keyboard.press("Enter")
    assert reader.seen() == visible(graph, {group})
    assert reader.tab.get_attribute(f".cluster[data-id={css(group)}]", "aria-expanded") == "true"
    for selector, ground in (("h1", "header"), ("#details .hint", "aside"), (".cluster text", "body")):
        assert contrast(reader.tab, selector, ground) > 4.5
    reader.tab.emulate_media(media="print")
    assert not reader.tab.is_visible("footer") and reader.tab.is_visible("g.node[data-id]")


def contrast(tab: Any, selector: str, ground: str) -> float:
    """The ratio that WCAG 2 defines."""

    def luminance(of: str, name: str) -> float:
        colour = tab.eval_on_selector(of, f"e => getComputedStyle(e)[{name!r}]")
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (int(n) / 255 for n in re.findall(r"\d+", colour)[:3])
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    text, behind = luminance(selector, "fill" if "text" in selector else "color"), luminance(ground, "backgroundColor")
    return (max(text, behind) + 0.05) / (min(text, behind) + 0.05)


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


def test_it_draws_without_a_worker(read: Any) -> None:
    graph = nested(9)
    reader = read(graph, set(graph.groups), script="delete window.Worker")
    assert reader.seen() == visible(graph, set(graph.groups))


# --- what is written ---


def test_equal_graphs_give_equal_bytes_whatever_the_hash_seed() -> None:
    program = (
        "import hashlib; from autograd.diagram import page; from autograd.diagram.graph import *;"
        "g = Graph({c: Box(c, k, c, 'm', i) for i, (c, k) in enumerate(zip('abc', ('data', 'state', 'loss')))},"
        "[Edge('a', 'b'), Edge('b', 'c', kind='state')], {'m': Group('m', 'm')});"
        "print(hashlib.sha256(page.write(g, {'m': Box('m', 'module', 'm')}, {'m'}).encode()).hexdigest())"
    )
    run = [sys.executable, "-c", program]
    found = {
        subprocess.run(run, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in "12"
    }
    assert len(found) == 1


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 30))
def test_a_cut_graph_is_whole_and_small_enough(seed: int, boxes: int, most: int) -> None:
    graph = nested(seed, boxes)
    smaller = page.cut(graph, closed_boxes(graph), most)
    assert len(smaller.boxes) <= most
    assert {end for e in smaller.edges for end in (e.tail, e.head)} <= set(smaller.boxes)
    assert all(box.group is None or box.group in smaller.groups for box in smaller.boxes.values())
    assert bool(smaller.notes) == (boxes > most)
    if boxes > most and len(smaller.boxes) < most:  # closed, not cut: every box is still there, or inside one
        inside = {*smaller.boxes, *(g for g in graph.groups if g in smaller.boxes)}
        assert all(id in inside or any(g.id in inside for g in graph.path(b.group)) for id, b in graph.boxes.items())


def test_a_drawing_of_a_network_opens_as_it_is_seen(read: Any, tmp_path: Path) -> None:
    x = autograd.tensor([[[0.1, 0.2]], [[0.3, 0.4]]])
    drawing = draw(nn.RNN(2, 3, bias=False), x, values=True, gradients=True)
    reader = read(text=page.of(drawing.full, drawing.graph))
    assert {id for id in reader.ids("g.node[data-id]")} >= {id for id, box in drawing.graph.boxes.items() if box.step}
    reader.tab.click("#expand")
    reader.settled()
    assert set(drawing.full.groups) & set(reader.ids("g.cluster[data-id]"))
    assert "norm" in reader.tab.get_attribute("g.node[data-id]", "aria-label")
