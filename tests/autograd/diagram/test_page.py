"""The page in a real browser: opening, stepping, searching, moving, telling what is known."""

import math
import random
import re
from typing import Any

import pytest

from autograd.diagram import style
from autograd.diagram.graph import Box, Edge, Graph, Sample

from .pages import css, nested, visible


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


def test_it_draws_without_a_worker(read: Any) -> None:
    graph = nested(9)
    reader = read(graph, set(graph.groups), script="delete window.Worker")
    assert reader.seen() == visible(graph, set(graph.groups))
