"""A finished drawing: shown in a notebook, or saved in the format that the file's ending names."""

from __future__ import annotations

import errno
import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import DataError
from . import dot, render
from .graph import Box, Edge, Graph

FORMATS = ("svg", "png", "pdf", "dot", "html", "json")
MOST = 500  # boxes in a picture; Graphviz lays out these in seconds, and many more in minutes


class Drawing:
    """A graph to look at: in a notebook by itself, anywhere else with ``save``.

    Args:
        graph: what is seen.
        full: what it is a view of, in which the page opens and closes groups; the graph itself if None.

    >>> drawing = Drawing(Graph({"x": Box("x", "data", "x")}))
    >>> drawing
    Drawing: 1 box, 0 edges
    >>> drawing.dot.startswith("digraph")
    True
    """

    def __init__(self, graph: Graph, full: Graph | None = None) -> None:
        self.graph = graph
        self.full = graph if full is None else full

    @cached_property
    def dot(self) -> str:
        """The whole graph in Graphviz's language, however large."""
        return dot.write(self.graph)

    @cached_property
    def svg(self) -> str:
        """The picture as SVG text, with tool tips.

        Raises: ``DataError`` as ``render``.
        """
        return self._rendered("svg").decode()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the drawing; the ending says how: .svg, .png, .pdf, .dot, .json (positions), .html (a page to explore).

        A picture has at most 500 boxes, and says how many it leaves out; .dot has all. At every moment ``path`` holds
        the whole old file or the whole new one.

        Raises: ``DataError`` for another ending, and as ``render``; ``OSError`` where the file cannot be written.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "x.dot")
        >>> Drawing(Graph({"x": Box("x", "data", "x")})).save(path)
        >>> path.read_text().count('"x" [')
        1
        """
        path = Path(path)
        format = path.suffix[1:].lower()
        if format not in FORMATS:
            found = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
            raise DataError(f"draw: the file {str(path)!r} {found} → choose one of .{', .'.join(FORMATS)}")
        _write(path, self._bytes(format))

    def _bytes(self, format: str) -> bytes:
        if format == "dot":
            return self.dot.encode()
        if format == "html":
            from . import page

            return page.of(self.full, self.graph).encode()
        return self._rendered(format)

    def _rendered(self, format: str) -> bytes:
        seen = shortened(self.graph, MOST)
        return render.render(self.dot if seen is self.graph else dot.write(seen), format)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the picture, or these words where it cannot be made."""
        try:
            return {"image/svg+xml": self.svg, "text/plain": repr(self)}
        except DataError as error:
            return {"text/plain": f"{self!r}: {error}"}

    def __repr__(self) -> str:
        boxes, edges = len(self.graph.boxes), len(self.graph.edges)
        return f"Drawing: {boxes:,} box{'es' * (boxes != 1)}, {edges:,} edge{'s' * (edges != 1)}"


def shortened(graph: Graph, most: int) -> Graph:
    """The graph itself, or where it has more than ``most`` boxes the first of them and one box for all others.

    >>> graph = Graph({id: Box(id, "operation", id) for id in "abcd"}, [Edge("a", "b"), Edge("b", "c")])
    >>> [box.label for box in shortened(graph, 2).boxes.values()]
    ['a', '⋯ 3 more']
    """
    if len(graph.boxes) <= most:
        return graph
    kept = dict(list(graph.boxes.items())[: most - 1])
    left = len(graph.boxes) - len(kept)
    more = Box("more", "more", f"⋯ {left:,} more", times=1)
    while more.id in kept:
        more.id += "+"
    ends = {(e.tail, e.head if e.head in kept else more.id): e for e in reversed(graph.edges) if e.tail in kept}
    edges = [e for e in graph.edges if e.tail in kept and e.head in kept]
    edges += [Edge(tail, head, kind=e.kind) for (tail, head), e in reversed(ends.items()) if head == more.id]
    note = f"The picture shows the first {len(kept):,} of {len(graph.boxes):,} boxes: draw with less depth."
    return graph.changed(boxes=kept | {more.id: more}, edges=edges, notes=[*graph.notes, note])


def _write(path: Path, data: bytes) -> None:
    """Write aside in the same folder, then rename: nothing is ever half written."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"draw: {target} is a folder → name a file in it")
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        aside.write_bytes(data)
        os.replace(aside, target)
    except OSError as error:
        reason = f"draw: could not write {target}: {error.strerror} → choose a folder that exists and can be written"
        raise OSError(error.errno, reason) from error
    finally:
        aside.unlink(missing_ok=True)
