"""A real browser that reads the pages of graphs."""

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from autograd.diagram import page
from autograd.diagram.detail import closed_boxes
from autograd.diagram.graph import Graph

from .pages import Reader

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


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
