"""A graph as DOT text: whole with ``write``, or statement by statement with ``node``, ``edge`` and ``cluster``.

No coordinates of our own: Graphviz lays everything out. Every statement stands for itself, so that the page puts
the same picture together from them; equal graphs give equal bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from . import labels
from .columns import Places, place
from .graph import Box, Edge, Graph, Group
from .labels import name, quoted, small, symbols
from .style import BOXES, EDGES, FAINT, FONT, GRADIENT, PALE, TEXT, look, stroke

DECADES = 6  # gradients this many powers of ten below the largest are drawn as hairlines
WIDEST, HAIRLINE = 7.0, 0.5  # points

HASTE = ((100, "nslimit=1 nslimit1=1 mclimit=0.2"), (200, "splines=line"))  # so that large graphs take seconds

BESIDE = 'peripheries=0 label=""'  # the attributes of a cluster beside the columns, and of a column
COLUMN = f'{BESIDE} bgcolor="{PALE}" margin=10'

DEFAULTS = f"""\
graph [fontname="{FONT}" fontsize=12 fontcolor="{TEXT}" bgcolor="white" pad=0.2 newrank=true labelloc=t]
node [fontname="{FONT}" fontsize=12 fontcolor="{TEXT}" margin="0.13,0.07" height=0.3 width=0.3]
edge [fontname="{FONT}" fontsize=9 fontcolor="{FAINT}" arrowsize=0.7 weight=8]"""


def write(graph: Graph, *, legend: bool = True) -> str:
    r"""Return the DOT text of a graph, in linear time.

    >>> print(write(Graph({"x": Box("x", "data", "x")}), legend=False).splitlines()[-2])
    "x" [shape=ellipse style="filled" fillcolor="#cce8f8" color="#0072B2" label=<<B>x</B>> tooltip="x"]
    """
    norms = [e.norm for e in graph.edges if e.norm is not None and e.kind != "parameter" and math.isfinite(e.norm)]
    largest = max(norms, default=0.0)
    lines = ["digraph {", DEFAULTS]
    lines.append(f"rankdir={rankdir(graph)}")
    lines.append("nodesep=0.35 ranksep=0.55" if graph.columns else "nodesep=0.25 ranksep=0.35")
    lines += [limits for boxes, limits in HASTE if len(graph.boxes) > boxes]
    signs = _legend(graph, largest) if legend else []
    places = place(graph) if graph.columns else None
    if places and _climbs(graph, places):
        lines.append("splines=line")  # curves around whole columns cannot be followed
    lines += _in_columns(graph, places, signs) if places else _nested(graph, signs)
    lines += _edges(graph, places, largest)
    if graph.title or graph.notes:
        lines.append(f"label=<{_heading(graph)}>")  # last, since clusters inherit what stands before them
    lines.append("}")
    return "\n".join(lines) + "\n"


def rankdir(graph: Graph) -> str:
    """Where data flows, in Graphviz's words; upwards where time flows to the right."""
    return "BT" if graph.columns else {"down": "TB", "up": "BT", "right": "LR"}[graph.direction]


# --- the statements ---


def node(box: Box, *, shape: bool = True) -> str:
    r"""Return the statement of one box; ``shape`` says whether its shape is written into it.

    >>> node(Box("w", "parameter", "W")).split(" label=")[1]
    '<<B>W</B>> tooltip="w\\nW"]'
    """
    text = f'label=<{labels.label(box, shape)}> tooltip="{quoted(labels.tooltip(box))}"'
    return f"{name(box.id)} [{_shape(box.kind)} {text}]"


def cluster(group: Group) -> str:
    r"""Return the attributes of one group's cluster.

    >>> cluster(Group("rnn", "rnn", kind="RNN")).split(" labeljust")[0]
    'label=<<B>rnn</B>\xa0<FONT COLOR="#666666">RNN</FONT>>'
    """
    return (
        f'label=<{labels.group(group)}> labeljust=l labelloc=t style=rounded color="#999999" bgcolor="#00000009" '
        f'fontsize=11 margin=10 tooltip="{quoted(group.id)}"'
    )


def edge(edge: Edge, *, label: str = "", ranked: bool = True, flip: bool = False) -> str:
    """Return the statement of one edge.

    ``ranked`` says whether it takes part in the layout, its head beyond its tail; ``flip`` writes it from head to tail:
    the same arrow for a layout that runs the other way.

    >>> edge(Edge("a", "b", kind="state"))
    '"a" -> "b" [color="#A66F00" penwidth=2.2]'
    """
    kind = stroke(edge.kind)
    parts = [f'color="{kind.colour}"']
    if kind.style != "solid":
        parts.append(f"style={kind.style}")
    if kind.width != 1:
        parts.append(f"penwidth={kind.width}")
    if kind.arrow != "normal":
        parts.append(f"arrow{'tail' if flip else 'head'}={kind.arrow}")
    if flip:
        parts.append("dir=back")
    late = f"{edge.lag} steps later" if edge.lag > 1 else ""
    if words := " ".join(word for word in (edge.label, label, late) if word):
        parts.append(f"{'' if ranked else 'x'}label=<{small(words)}>")  # 2.43 fails on a label between clusters
    return _arrow(edge, parts, ranked, flip)


def backward(edge: Edge, largest: float, *, label: bool = True, ranked: bool = True, flip: bool = False) -> str:
    """Return the statement of the gradient, its norm known, that flows back along an edge.

    The line's width grows with the logarithm of the norm: from a hairline, six decades below the ``largest``, to seven
    points; a norm of zero is a dotted hairline.

    >>> backward(Edge("a", "b", norm=0.0), 1.0, label=False)
    '"a" -> "b" [color="#D55E00" penwidth=0.5 style=dotted dir=back]'
    """
    norm = 0.0 if edge.norm is None else edge.norm
    parts = [f'color="{GRADIENT}" penwidth={width(norm, largest):.3g}']
    if norm == 0:
        parts.append("style=dotted")
    if not flip:
        parts.append("dir=back")
    if label:
        end, words = "head" if flip else "tail", small(labels.number(norm), GRADIENT)
        parts.append(f"{end}label=<{words}> labelangle=50 labeldistance=2.4")
    return _arrow(edge, parts, ranked, flip)


def width(norm: float, largest: float) -> float:
    """How wide in points a gradient of this norm is drawn.

    >>> [width(norm, 1.0) for norm in (1.0, 1e-3, 1e-6, 0.0)]
    [7.0, 3.75, 0.5, 0.5]
    """
    if not math.isfinite(norm):
        return WIDEST
    if norm <= 0 or largest <= 0:
        return HAIRLINE
    decades = math.log10(norm) - math.log10(largest)
    return HAIRLINE + (WIDEST - HAIRLINE) * min(max(1 + decades / DECADES, 0.0), 1.0)


@cache
def _shape(kind: str) -> str:
    """A box's outline and colours."""
    like = look(kind)
    text = f'shape={like.shape} style="{like.style}" fillcolor="{like.fill}" color="{like.line}"'
    if like.width != 1:
        text += f" penwidth={like.width}"
    return text if like.outlines == 1 else f"{text} peripheries={like.outlines}"


def _arrow(edge: Edge, parts: list[str], ranked: bool, flip: bool) -> str:
    if not ranked:
        parts.append("constraint=false")
    ends = (edge.head, edge.tail) if flip else (edge.tail, edge.head)
    return f"{name(ends[0])} -> {name(ends[1])} [{' '.join(parts)}]"


# --- the whole picture ---


def _edges(graph: Graph, places: Places | None, largest: float) -> Iterator[str]:
    """All edges; each value's shape is told once, where it leaves its box."""
    told: set[tuple[str, str]] = set()
    for e in graph.edges:
        tail = graph.boxes[e.tail]
        label = "" if places or _tells_shape(tail) else labels.shape(e.shape)
        if (e.tail, label) in told:
            label = ""
        told.add((e.tail, label))
        ranked, flip = e.kind != "state", False
        if places:
            climb = places.rank[e.head] - places.rank[e.tail]  # ranks are known: only what aligns a column takes part
            ranked, flip = climb != 0 and places.part[e.tail] == places.part[e.head], climb < 0
        yield edge(e, label=label, ranked=ranked, flip=flip)
        if e.norm is not None and e.kind != "parameter":  # a weight's box tells its gradient
            yield backward(e, largest, ranked=ranked, flip=flip)


def _climbs(graph: Graph, places: Places) -> bool:
    """Whether a state goes from high up in one step to far down in the next."""
    return any(e.kind == "state" and abs(places.rank[e.head] - places.rank[e.tail]) > 2 for e in graph.edges)


def _tells_shape(box: Box) -> bool:
    """Whether the shape stands in the box; what operations and modules compute has it on the way out."""
    return box.kind not in ("operation", "module")


def _nested(graph: Graph, legend: list[_Sign]) -> Iterator[str]:
    """The boxes in the nested clusters of their groups, the legend beyond all of them."""
    leaving = {e.tail for e in graph.edges if e.shape is not None}
    statements = {b.id: node(b, shape=_tells_shape(b) or b.id not in leaving) for b in graph.boxes.values()}
    yield from _clusters(graph, graph.boxes.values(), graph.groups, statements)
    up = rankdir(graph) == "BT"
    feeding = {e.head if up else e.tail for e in graph.edges if e.kind != "state"}
    border = [name(id) for id in graph.boxes if id not in feeding]
    rows = [legend[i : i + 4] for i in range(0, len(legend), 4)]
    for row in rows:
        yield from (statement for sign in row for statement in sign.statements)
        names = [name for sign in row for name in sign.names]
        yield f"{{rank=same; {' '.join(names)}}}"
        yield _chain(names)
        middle = names[len(names) // 2]
        ends = f"{middle} -> {{{' '.join(border)}}}" if up else f"{{{' '.join(border)}}} -> {middle}"
        yield f"{ends} [style=invis weight=0]"
        border = [middle]


def _clusters(graph: Graph, boxes: Iterable[Box], drawn: dict[str, Group], statements: dict[str, str]) -> Iterator[str]:
    """The boxes' statements, in nested clusters for those of their groups that are to be drawn."""
    around: dict[str | None, str | None] = {None: None}  # each group's innermost one that is drawn
    inside: dict[str | None, list[tuple[bool, str]]] = {None: []}  # what a cluster holds: (whether a cluster, id)
    for box in boxes:
        entered, group = [], box.group
        while group is not None and group not in around:
            entered.append(group)
            group = graph.groups[group].parent
        for new in reversed(entered):
            outer = around[graph.groups[new].parent]
            around[new] = new if new in drawn else outer
            if new in drawn:
                inside[new] = []
                inside[outer].append((True, new))
        inside[around[box.group]].append((False, box.id))
    levels = [iter(inside[None])]
    while levels:
        for is_cluster, id in levels[-1]:
            if is_cluster:
                yield f"subgraph {name('cluster ' + id)} {{ {cluster(drawn[id])}"
                levels.append(iter(inside[id]))
                break
            yield statements[id]
        else:
            levels.pop()
            if levels:
                yield "}"


def _in_columns(graph: Graph, places: Places, legend: list[_Sign]) -> Iterator[str]:
    """One cluster for each column, those of the weights and of what else comes before on the left, a last one right.

    A rail of headings under the clusters is chained from left to right and tied to each of them; hidden points hold the
    ranks. Edges between clusters hardly count in the layout, so that nothing pulls those out of their order.
    """
    drawn = _column_groups(graph)
    statements = {box.id: node(box) for box in graph.boxes.values()}
    rail, top = places.lowest - 1, max(places.rank.values(), default=0)
    roof = max((places.rank[b.id] for b in graph.boxes.values() if b.column is not None), default=0)
    ranks = {r: [f'"rank {r}"'] for r in range(rail - bool(legend), top + 1)}
    points = [points[0] for points in ranks.values()]
    yield from map(_hidden, points)
    yield _chain(points)
    for part, ids in places.parts.items():
        column = part if isinstance(part, int) else None
        found = {places.rank[id]: name(id) for id in reversed(ids)}
        foot, head = [f'"part {part}"', *(found[rank] for rank in sorted(found)[:1])], []
        yield f"subgraph {name(f'cluster {part}')} {{ {BESIDE if column is None else COLUMN}"
        yield from _clusters(graph, [graph.boxes[id] for id in ids], {} if column is None else drawn, statements)
        for id in ids:
            ranks[places.rank[id]].append(name(id))
        for rank in dict.fromkeys((places.lowest, roof)):  # no column lies above another
            if column is not None and rank not in found:
                hidden = f'"column {column} rank {rank}"'
                yield _hidden(hidden)
                ranks[rank].append(hidden)
                if rank < min(found, default=rank + 1):
                    foot.insert(1, hidden)
                else:
                    head = [found[max(found)], hidden]
        yield "}"
        heading = "" if column is None else symbols(graph.columns[column])
        text = f'[shape=plaintext fontcolor="{FAINT}" label=<{heading}> tooltip=" "]'
        yield f"{foot[0]} {text}" if heading else _hidden(foot[0])
        yield " ".join(f"{id} [group={name(str(part))}]" for id in dict.fromkeys(foot + head))
        yield from filter(None, (_chain(foot), _chain(head)))
        ranks[rail].append(foot[0])
    yield _chain(ranks[rail])
    for entry in legend:
        yield from entry.statements
        ranks[min(ranks)] += entry.names
    yield _chain(ranks[min(ranks)])
    yield from (f"{{rank=same; {' '.join(names)}}}" for names in ranks.values())


def _hidden(name: str) -> str:
    return f'{name} [shape=point style=invis width=0.01 height=0.01 label=""]'


def _chain(names: list[str]) -> str:
    """Hidden edges from each to the next."""
    return " -> ".join(names) + " [style=invis weight=1]" if len(names) > 1 else ""


def _column_groups(graph: Graph) -> dict[str, Group]:
    """The groups that are drawn inside columns: those that hold several boxes of a column, but not all of it.

    A time step's group goes by the name of the group whose step it is.
    """
    sizes = dict.fromkeys(graph.groups, 0)
    whole = dict.fromkeys(graph.columns, 0)
    for box in graph.boxes.values():
        if box.group is not None:
            sizes[box.group] += 1
        if box.column is not None:
            whole[box.column] += 1
    for group in reversed(graph.groups.values()):
        if group.parent is not None:
            sizes[group.parent] += sizes[group.id]
    drawn = {}
    for group in graph.groups.values():
        if group.column in whole and 1 < sizes[group.id] < whole[group.column]:
            loop = graph.groups.get(group.parent or "") if group.step is not None else None
            drawn[group.id] = replace(group, name=loop.name, kind=loop.kind) if loop else group
    return drawn


def _heading(graph: Graph) -> str:
    """The title and the notes."""
    title = [f'<FONT POINT-SIZE="16"><B>{symbols(graph.title)}</B></FONT>'] if graph.title else []
    return "<BR/>".join(title + [f'<FONT COLOR="{FAINT}">{symbols(note)}</FONT>' for note in graph.notes if note])


# --- the legend ---


@dataclass(frozen=True, slots=True)
class _Sign:
    """One entry of the legend: its boxes from left to right, and its statements."""

    names: list[str]
    statements: list[str]


def _legend(graph: Graph, largest: float) -> list[_Sign]:
    """What the kinds of boxes and edges that occur are called, drawn as they are."""
    boxes, edges = {box.kind for box in graph.boxes.values()}, {e.kind for e in graph.edges}
    signs = []
    for kind, like in BOXES.items():
        if kind in boxes and kind != "more":
            sign = f"legend {kind}"
            text = f'label=<{small(like.word)}> tooltip=" "'
            signs.append(_Sign([name(sign)], [f"{name(sign)} [{_shape(kind)} {text}]"]))
    for kind, line in EDGES.items():
        if kind in edges and kind != "data":
            ends = Edge(f"legend {kind} tail", f"legend {kind} head", kind=kind)
            signs.append(_line(ends, line.word, edge(ends, ranked=False)))
    if largest:
        ends = Edge("legend gradient tail", "legend gradient head", norm=largest)
        word = f"gradient; its width: log of its norm, {DECADES} decades up to {labels.number(largest)}"
        signs.append(_line(ends, word, backward(ends, largest, label=False, ranked=False)))
    return signs


def _line(ends: Edge, word: str, statement: str) -> _Sign:
    tail, head = name(ends.tail), name(ends.head)
    text = f'{head} [shape=plaintext label=<{small(word)}> tooltip=" "]'
    return _Sign([tail, head], [_hidden(tail), text, statement])
