"""What Python writes into a page: text that stays text, equal bytes for equal graphs, no more than can be read."""

import os
import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from autograd.diagram import page
from autograd.diagram.detail import closed_boxes

from .pages import css, nested, visible

HOSTILE = (
    '</script><img src=x onerror="window.broken=1">',
    'a"><b>',
    "\\N \\G\n{x|y}",
    "&lt;b&gt;",
    "<B>",
    "\u2028${1}`",
    "名",
)


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
