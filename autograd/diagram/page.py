"""A page of its own: one HTML file in which modules open and close, and the computation is stepped through.

The page holds the whole graph, and for every box and group what it looks like in DOT; its script puts together the DOT
text of what is open, has Graphviz lay it out (``page/viz-global.js``), and shows it. Nothing is fetched.
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
from .columns import place
from .graph import Box, Graph, Sample
from .nesting import Nesting
from .sample import samples

MOST = 20_000  # boxes that a page holds
AT_ONCE = 600  # boxes that it lays out at once
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
    script, layout = f"{_file('draw.js')}\n{_file('walk.js')}", _file("viz-global.js")
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
    in_time = any(box.time for box in full.boxes.values())
    closed = detail.closed_boxes(full, words.formulas(full) if in_time else None)
    full = steps.finish(samples(full))
    closed = steps.finish(samples(full.changed(boxes=closed, edges=[]))).boxes
    ends = {g.id for box in full.boxes.values() if in_time and box.kind == "output" for g in full.path(box.group)}
    closed = {id: replace(box, kind="output") if id in ends else box for id, box in closed.items()}
    return write(full, closed, seen.groups)


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
    around = Nesting(graph).place
    inhabited = {g.id for id in set(around.values()) for g in graph.path(id)}
    groups = {id: group for id, group in graph.groups.items() if id in inhabited}
    of_group = {id: number for number, id in enumerate(groups)}
    of_box = {id: number for number, id in enumerate(graph.boxes, len(groups))}
    items = []
    for id, group in groups.items():
        item = _item(closed.get(id) or Box(id, "module", group.name, op=group.kind), of_group[id])
        item |= {"parent": of_group.get(group.parent or "", -1), "cluster": f"[{dot.cluster(group)}]"}
        items.append(item | ({} if id in closed else {"dot": ""}))
    items += [_item(b, of_box[id]) | {"parent": of_group.get(around[id] or "", -1)} for id, b in graph.boxes.items()]
    return {
        "parts": _place(graph, items, len(groups)) if graph.columns else [],
        "items": items,
        "open": [number for id, number in of_group.items() if id in open_groups or id not in closed],
        "head": f"{dot.DEFAULTS.replace(style.FONT, FONT)}rankdir={dot.rankdir(graph)}"
        + (" nodesep=0.35 ranksep=0.55" if graph.columns else " nodesep=0.25 ranksep=0.35"),
        "hidden": '[shape=point style=invis width=0.01 height=0.01 label=""]',
        "missing": style.MISSING,
        "limit": AT_ONCE,
        "notes": graph.notes,
        "legend": _legend(graph, closed),
    } | _edges(graph, of_box)


def _item(box: Box, number: int) -> dict[str, Any]:
    """A box, or what stands for a closed group: what its node looks like, and what is said about it."""
    item: dict[str, Any] = {
        "id": box.id,
        "label": box.label,
        "kind": box.kind,
        "seq": box.seq,
        "dot": dot.node(replace(box, id=f"n{number}")),
        "card": card(box),
        "text": " ".join([box.id, box.label, box.op, box.name, box.formula]).lower(),
    }
    if box.value is not None and box.value.picture:
        item["picture"] = ["".join(map(_shade, row)) for row in box.value.picture]
    return item


def _shade(value: float) -> str:
    """A place between 0 and 1 as two hexadecimal digits; what is no number as two other signs."""
    return "--" if math.isnan(value) else f"{round(255 * value):02x}"


def _place(graph: Graph, items: list[dict[str, Any]], first: int) -> list[tuple[int, str, str]]:
    """Write part and rank into the items of an unfolded view, see ``columns.place``; return how each part is drawn.

    A group is as high as the highest box in it.
    """
    places = place(graph)
    numbers = {part: number for number, part in enumerate(places.parts)}
    for item, id in zip(items[first:], graph.boxes):
        item |= {"part": numbers[places.part[id]], "rank": places.rank[id]}
    for item in reversed(items):
        if item["parent"] >= 0:
            group = items[item["parent"]]
            group["part"] = item["part"]
            group["rank"] = max(item["rank"], group.get("rank", item["rank"]))
    return [
        (number, *_part(graph.columns[part] if isinstance(part, int) else None)) for part, number in numbers.items()
    ]


def _part(heading: str | None) -> tuple[str, str]:
    """The attributes of the cluster of a column and of its heading; of what stands beside the columns."""
    if heading is None:
        return dot.BESIDE, ""
    return dot.COLUMN, f'[shape=plaintext fontcolor="{style.FAINT}" label=<{labels.symbols(heading) or " "}>]'


def _edges(graph: Graph, numbers: Mapping[str, int]) -> dict[str, Any]:
    """Edges: tail, head, look, and whether they go round in a loop; and all the looks that they have."""
    largest = max((e.norm for e in graph.edges if e.norm is not None and math.isfinite(e.norm)), default=0.0)
    looks: dict[tuple[str, str, str], int] = {}
    edges = []
    for edge in graph.edges:
        bare = replace(edge, tail="", head="")
        back = "" if edge.norm is None else dot.backward(bare, largest, label=edge.kind != "parameter")
        look = (edge.kind, _attributes(dot.edge(bare)), _attributes(back))
        number = looks.setdefault(look, len(looks))
        edges.append((numbers[edge.tail], numbers[edge.head], number, int(edge.lag > 0)))
    return {"edges": edges, "looks": list(looks)}


def _attributes(statement: str) -> str:
    """What follows the ends of an edge without names."""
    return statement.removeprefix('"" -> "" ')


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
    """Fill, line and word of each kind of box that the page shows."""
    kinds = {box.kind for box in graph.boxes.values()} | ({"module"} if closed else set())
    return [(look.fill, look.line, look.word) for kind, look in style.BOXES.items() if kind in kinds]


def _file(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
