"""A page of its own: one HTML file in which modules open and close, and the computation is stepped through.

The page holds the whole graph, and for every box and group what it looks like in DOT; its script puts together the DOT
text of what is open (``page/seen.js``, ``page/columns.js``: the rules of ``detail``, ``columns`` and ``dot``; a test
holds the texts equal), has Graphviz lay it out (``page/viz-global.js``), and shows it. Nothing is fetched.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

from . import detail, dot, labels, steps, style, words
from .columns import row
from .graph import Box, Edge, Graph, Sample
from .nesting import Nesting
from .sample import samples

MOST = 20_000  # boxes that a page holds
COMPUTED = ("operation", "module")  # what these compute has its shape on the way out
AT_ONCE = 600  # boxes that it lays out at once
SCRIPTS = ("seen.js", "columns.js", "draw.js", "walk.js")
FONT = "DejaVu Sans"  # the one of ours whose widths the page's Graphviz knows; a list of fonts it knows nothing of


def write(
    graph: Graph, closed: Mapping[str, Box] | None = None, open_groups: Collection[str] = (), title: str = ""
) -> str:
    """Return the page of a graph, a whole HTML file.

    Args:
        graph: with every box that can be seen.
        closed: for each group that can be closed the box that stands for it then, see ``detail.closed_boxes``.
        open_groups: the groups that are open at first; those that cannot be closed always are.
        title: the heading; the graph's title if empty.

    >>> page = write(Graph({"x": Box("x", "data", "</script>")}), {})
    >>> page.count("</script>")  # the page's own
    3
    """
    closed = closed or {}
    graph = cut(graph, closed)
    title = title or graph.title or "Computation graph"
    script, layout = "\n".join(map(_file, SCRIPTS)), _file("viz-global.js")
    parts = {
        "title": html.escape(title),
        "policy": "; ".join(  # the browser itself refuses what is not part of the page
            [
                "default-src 'none'",
                "style-src 'unsafe-inline'",
                f"script-src {_hash(script)} {_hash(layout)} 'wasm-unsafe-eval' blob:",
                "worker-src blob:",
            ]
        ),
        "style": _file("page.css"),
        "data": json.dumps(_data(graph, closed, set(open_groups)), separators=(",", ":")).replace("<", "\\u003c"),
        "layout": layout,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file("template.html"))


def of(full: Graph, seen: Graph) -> str:
    """Return the page of a drawing: everything that it is a view of, opened as far as it is ``seen``."""
    return write(steps.finish(samples(full)), closed_boxes(full), seen.groups)


def closed_boxes(full: Graph) -> dict[str, Box]:
    """Return for every group the box that stands for it in a picture in which all groups of its level are closed."""
    formula = words.formulas(full) if any(box.time for box in full.boxes.values()) else None
    found: dict[str, Box] = {}
    levels = Nesting(full).level
    for level in sorted({levels[id] for id in full.groups}):
        shut = {id for id in full.groups if levels[id] == level}
        seen = steps.finish(samples(detail.close(full, shut, formula)))
        found |= {id: box for id, box in seen.boxes.items() if id in shut}
    return found


def cut(graph: Graph, closed: Mapping[str, Box], most: int = MOST) -> Graph:
    """Return the graph with at most ``most`` boxes and a note: closed for good below some depth, then the first ones.

    >>> graph = Graph({id: Box(id, "operation", id) for id in "abc"})
    >>> cut(graph, {}, most=2).notes
    ['3 boxes are too many for one page: these are the first 2 of them.']
    """
    if len(graph.boxes) <= most:
        return graph
    paths = {id: [g.id for g in graph.path(id) if g.id in closed] for id in graph.groups}
    depth = max(map(len, paths.values()), default=0)
    stands: dict[str, str] = {}
    while depth >= 0:
        deep = {id: path[depth] for id, path in paths.items() if len(path) > depth}
        stands = {id: deep.get(box.group or "", id) for id, box in graph.boxes.items()}
        if len(set(stands.values())) <= most:
            break
        depth -= 1
    kept = dict.fromkeys(list(dict.fromkeys(stands.values()))[:most])
    boxes = {id: graph.boxes[id] if id in graph.boxes else closed[id] for id in kept}
    edges = {
        (a, b, e.kind): replace(e, tail=a, head=b)
        for e in graph.edges
        if (a := stands[e.tail]) in kept and (b := stands[e.head]) in kept and (a != b or e.lag)
    }
    groups = {id: group for id, group in graph.groups.items() if id not in boxes}
    what = "modules inside others stay closed" if len(kept) < most else f"these are the first {most:,} of them"
    note = f"{len(graph.boxes):,} boxes are too many for one page: {what}."
    return graph.changed(boxes=boxes, edges=list(edges.values()), groups=groups, notes=[*graph.notes, note])


def _data(graph: Graph, closed: Mapping[str, Box], open_groups: Collection[str]) -> dict[str, Any]:
    """What the page's script reads. Groups, parents first, then boxes are items; all else calls them by number."""
    nesting = Nesting(graph)
    inhabited = {g.id for id in set(nesting.place.values()) for g in graph.path(id)}
    groups = {id: group for id, group in graph.groups.items() if id in inhabited}
    of_group = {id: number for number, id in enumerate(groups)}
    of_box = {id: number for number, id in enumerate(graph.boxes, len(groups))}
    rows: dict[str, int] = {}
    telling = set() if graph.columns else _telling(graph, nesting)
    items = []
    for id, group in groups.items():
        box = closed.get(id) or Box(id, "module", group.name, op=group.kind)
        item = _item(box, of_group[id], rows, id in telling)
        item |= {"parent": of_group.get(group.parent or "", -1), "cluster": dot.cluster(group)}
        items.append(item | ({} if id in closed else {"dot": ""}))
    for id, box in graph.boxes.items():
        item = _item(box, of_box[id], rows, id in telling)
        items.append(item | {"parent": of_group.get(nesting.place[id] or "", -1)})
    for edge in reversed(graph.edges):
        if graph.boxes[edge.head].kind == "more":
            items[of_box[edge.head]]["after"] = of_box[edge.tail]
    return {
        "items": items,
        "open": [number for id, number in of_group.items() if id in open_groups or id not in closed],
        "columns": {column: _heading(text) for column, text in graph.columns.items()} or None,
        "computed": COMPUTED,
        "beside": dot.BESIDE,
        "column": dot.COLUMN,
        "head": f"{dot.DEFAULTS.replace(style.FONT, FONT)}\nrankdir={dot.rankdir(graph)}\n"
        + ("nodesep=0.35 ranksep=0.55" if graph.columns else "nodesep=0.25 ranksep=0.35"),
        "haste": dot.HASTE,
        "hidden": '[shape=point style=invis width=0.01 height=0.01 label=""]',
        "missing": style.MISSING,
        "ramp": [style.ramp(style.VALUES, place / 255) for place in range(256)],
        "limit": AT_ONCE,
        "notes": graph.notes,
        "legend": _legend(graph, closed),
    } | _edges(graph, of_box)


def _telling(graph: Graph, nesting: Nesting) -> set[str]:
    """The boxes, and groups as boxes, whose shape is told by an edge that leaves them."""
    found: set[str] = set()
    for edge in graph.edges:
        if edge.shape is not None:
            group, outside = (
                nesting.place[edge.tail],
                nesting.common(nesting.place[edge.tail], nesting.place[edge.head]),
            )
            found.add(edge.tail)
            while group != outside:
                assert group is not None  # outside is around it
                found.add(group)
                group = nesting.parent[group]
    return found


def _heading(text: str) -> str:
    """The attributes of the node under a column."""
    shown = labels.symbols(text)
    return f'[shape=plaintext fontcolor="{style.FAINT}" label=<{shown}> tooltip=" "]' if shown else ""


def _item(box: Box, number: int, rows: dict[str, int], told: bool) -> dict[str, Any]:
    """A box, or what stands for a closed group: what its node looks like, and what is said about it."""
    item: dict[str, Any] = {
        "id": box.id,
        "label": box.label,
        "kind": box.kind,
        "seq": box.seq,
        "step": int(box.step is not None),
        "row": rows.setdefault(row(box), len(rows)),
        "dot": _untold(dot.node(replace(box, id=f"n{number}"), shape=not told or box.kind not in COMPUTED)),
        "card": card(box),
        "text": " ".join([box.id, box.label, box.op, box.name, box.formula]).lower(),
    }
    if box.column is not None:
        item["column"] = box.column
    if box.value is not None and box.value.picture:
        item["picture"] = ["".join(map(_shade, row)) for row in box.value.picture]
    return item


def _untold(statement: str) -> str:
    """A node's statement without the tool tip: the page has its own."""
    return statement.partition('> tooltip="')[0] + ">]"


def _shade(value: float) -> str:
    """A place between 0 and 1 as two hexadecimal digits; what is no number as two other signs."""
    return "--" if math.isnan(value) else f"{round(255 * value):02x}"


def _edges(graph: Graph, numbers: Mapping[str, int]) -> dict[str, Any]:
    """Edges: tail, head, input, output, looks, two names, shape and norm; and what they refer to.

    An edge that is not flipped and one that is look in two ways; the first name is its own, the second that of a value
    that leaves a closed group together with others.
    """
    norms = [e.norm for e in graph.edges if e.norm is not None and e.kind != "parameter" and math.isfinite(e.norm)]
    looks: dict[tuple[str, int, str, str], int] = {_look(Edge("", "")): 0}
    texts: dict[str, int] = {"": 0}

    def text(words: str) -> int:
        return texts.setdefault(labels.escaped(labels.shortened(words)), len(texts))

    edges = []
    for edge in graph.edges:
        tail = graph.boxes[edge.tail]
        written = "" if edge.label.isdecimal() else edge.label
        if not written and tail.symbol and edge.index is None:
            written = words.value(tail)
        ends = numbers[edge.tail], numbers[edge.head], edge.slot, edge.index
        look, said = looks.setdefault(_look(edge), len(looks)), [edge.label, written, labels.shape(edge.shape)]
        norm = edge.norm if edge.norm is None or math.isfinite(edge.norm) else str(edge.norm).replace("inf", "Infinity")
        edges.append((*ends, look, *map(text, said), norm))
    return {
        "edges": edges,
        "looks": list(looks),
        "words": list(texts),
        "small": labels.small("\n").split(labels.escaped("\n")),
        "norm": labels.small("\n", style.GRADIENT).split(labels.escaped("\n")),
        "gradient": style.GRADIENT,
        "largest": max(norms, default=0.0),
        "widths": [dot.WIDEST, dot.HAIRLINE],
        "decades": dot.DECADES,
    }


def _look(edge: Edge) -> tuple[str, int, str, str]:
    """The kind of an edge, how many steps later its value arrives, and its attributes as it is and flipped."""
    bare = replace(edge, tail="", head="", label="", lag=0)
    one, flipped = (dot.edge(bare, flip=flip).removeprefix('"" -> "" [').removesuffix("]") for flip in (False, True))
    return edge.kind, edge.lag, one, flipped


def card(box: Box) -> dict[str, str]:
    """What is known of a box, in words.

    >>> card(Box("y", "operation", "×", op="multiply", shape=(2, 3), dtype="float32"))
    {'operation': 'multiply', 'shape': '2 × 3', 'type': 'float32'}
    """
    facts = {
        "computes": box.formula,
        "operation" if box.kind != "module" else "module": box.op + (f" ({box.params})" if box.params else ""),
        "name": box.name,
        "shape": labels.shape(box.shape),
        "type": box.dtype,
        "time step": "" if box.step is None else str(box.step),
        "values": sample(box.value),
        "gradient": sample(box.gradient),
        "weights": f"{box.weights:,}" if box.weights else "",
        "biases": f"{box.biases:,}" if box.biases else "",
        "multiply-adds": f"{box.multiply_adds:,}" if box.multiply_adds else "",
        "stands for": f"{box.times:,} equal ones" if box.times > 1 else "",
        "source": box.line,
    }
    return {word: fact for word, fact in facts.items() if fact}


def sample(found: Sample | None) -> str:
    """What values are like, in words.

    >>> sample(Sample(low=-1.0, high=2.0, mean=0.5, std=1.25, norm=3.0))
    '0.5 ± 1.25 [−1, 2], norm 3'
    """
    return "" if found is None else f"{labels.statistics(found)}, norm {labels.number(found.norm)}"


def _legend(graph: Graph, closed: Mapping[str, Box]) -> list[tuple[str, str, str]]:
    """Fill, border and word of each kind of box that the page shows, and of each kind of edge, which has no fill."""
    boxes = {box.kind for box in (*graph.boxes.values(), *closed.values())}
    edges = {e.kind for e in graph.edges if e.kind != "data"}
    found = [(look.fill, f"1.5px solid {look.line}", look.word) for kind, look in style.BOXES.items() if kind in boxes]
    found += [
        ("", f"{line.width + 0.5}px {line.style} {line.colour}", line.word)
        for kind, line in style.EDGES.items()
        if kind in edges
    ]
    if any(e.norm is not None for e in graph.edges):
        found.append(
            ("", f"5px solid {style.GRADIENT}", f"gradient; its width: log of its norm, {dot.DECADES} decades")
        )
    return found


def _file(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
