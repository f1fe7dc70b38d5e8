"""Time: a loop's steps unfolded into columns, shortened by an ellipsis, or folded into one box with a loop.

Loops whose steps feed one another one by one (the layers of a stacked network, the layers around it) share their
columns. A loop that needs another one's later steps (a decoder after its encoder) stands to the right of it.
"""

from __future__ import annotations

from dataclasses import replace

from .graph import Box, Edge, Graph, Group

MOST_STEPS = 6  # that are shown without an ellipsis
OUTER = ("data", "output", "loss")


def rows(graph: Graph) -> Graph:
    """Return the graph with ``row`` of every box in a loop: its id without the step, the same at all times."""
    boxes = {}
    for id, box in graph.boxes.items():
        row = ""
        if box.step is not None:
            step = next((g for g in graph.path(box.group) if g.step == box.step), None)
            row = id.removesuffix(f".t{box.step}") if step is None else f"{step.parent or ''}{id[len(step.id) :]}"
        boxes[id] = replace(box, row=row)
    return graph.changed(boxes=boxes)


def has_time(graph: Graph) -> bool:
    """Whether anything in the graph happens in time steps."""
    return any(box.step is not None for box in graph.boxes.values())


def settle(graph: Graph) -> Graph:
    """Return the graph with boxes around a loop moved into the step that they belong to.

    What is computed from one step only belongs to that step, such as the answer after the last word; so does an input
    that feeds one step only. Initial states stay outside.
    """
    inputs, outputs = graph.inputs(), graph.outputs()
    boxes = dict(graph.boxes)
    for id, box in graph.boxes.items():
        if box.step is None and box.kind != "parameter" and box.op != "stack":
            _move(boxes, id, [e.tail for e in inputs[id] if e.kind != "parameter"])
    for id, box in reversed(graph.boxes.items()):
        if boxes[id].step is None and box.kind in ("data", "operation") and not box.time:
            _move(boxes, id, [e.head for e in outputs[id]])
    return graph.changed(boxes=boxes)


def _move(boxes: dict[str, Box], id: str, neighbours: list[str]) -> None:
    places = {
        (boxes[n].loop, boxes[n].step) for n in neighbours if boxes[n].kind != "constant" or boxes[n].step is not None
    }
    if len(places) == 1:
        (loop, step), box = places.pop(), boxes[id]
        if step is not None:
            time = str(step) if box.symbol else ""
            boxes[id] = replace(box, loop=loop, step=step, row=box.row or id, time=box.time or time)


def kind_of_sequence(graph: Graph) -> str:
    """Return what kind of sequence is processed, in the lecture's words, such as ``many to one``.

    >>> kind_of_sequence(Graph())
    'one to one'
    """
    if not has_time(graph):
        return "one to one"
    found: dict[str, set[tuple[str | None, int | None]]] = {"data": set(), "output": set()}
    for box in graph.boxes.values():
        kind = "output" if box.kind == "loss" else box.kind
        if kind in found and not (kind == "data" and box.step is None and box.time):  # initial states are no inputs
            found[kind].add((box.loop, box.step))
    words = {kind: "many" if len(places) > 1 else "one" for kind, places in found.items()}
    text = f"{words['data']} to {words['output']}"
    if text == "many to many" and {s for _, s in found["data"]} == {s for _, s in found["output"]}:
        loops = {loop for loop, _ in found["data"]} | {loop for loop, _ in found["output"]}
        text += " in step" if _share_columns(graph, loops) else ""
    return text


def _share_columns(graph: Graph, loops: set[str | None]) -> bool:
    offsets = _offsets(graph)
    return len({offsets.get(loop, 0) for loop in loops}) == 1


def _offsets(graph: Graph) -> dict[str | None, int]:
    """By how many columns each loop's steps are shifted to the right."""
    spans: dict[str | None, tuple[int, int]] = {}
    backward: dict[str | None, set[str | None]] = {}
    for box in graph.boxes.values():
        if box.step is not None:
            low, high = spans.get(box.loop, (box.step, box.step))
            spans[box.loop] = min(low, box.step), max(high, box.step)
    for edge in graph.edges:
        tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
        if tail.step is not None and head.step is not None and tail.loop != head.loop and tail.step > head.step:
            backward.setdefault(head.loop, set()).add(tail.loop)
    offsets: dict[str | None, int] = {}
    for loop in spans:  # in the order of computation: what a loop waits for comes first
        waits = [offsets[other] + spans[other][1] for other in backward.get(loop, ()) if other in offsets]
        offsets[loop] = max(waits, default=0)
    follows = _followers(graph, offsets)
    for loop in spans:
        offsets[loop] = max([offsets[loop], *[offsets[other] for other in follows.get(loop, ())]])
    return offsets


def _followers(graph: Graph, offsets: dict[str | None, int]) -> dict[str | None, set[str | None]]:
    """For each loop those that feed it step by step: it stands no further to the left."""
    found: dict[str | None, set[str | None]] = {}
    for edge in graph.edges:
        tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
        if tail.loop != head.loop and tail.step is not None and head.step is not None:
            found.setdefault(head.loop, set()).add(tail.loop)
    return found


def unfold(graph: Graph, most: int = MOST_STEPS) -> Graph:
    """Return the graph with a column for each time step; of more than ``most`` steps the first and the last."""
    offsets = _offsets(graph)
    columns: dict[int, str] = {}
    boxes: dict[str, Box] = {}
    groups: dict[str, Group] = {}
    shown = _shown(graph, most)
    plain = _plain_steps(graph)
    for id, box in graph.boxes.items():
        if box.step is None:
            group = None if box.kind == "parameter" else box.group
            for g in graph.path(group):
                groups.setdefault(g.id, g)
            boxes[id] = replace(box, group=group)
        elif box.step in shown[box.loop]:
            column = offsets[box.loop] + box.step
            columns[column] = f"t = {box.step}"
            boxes[id] = replace(box, column=column, group=_group_in_column(graph, groups, box, column, plain))
    edges = [e for e in graph.edges if e.tail in boxes and e.head in boxes]
    result = graph.changed(boxes=boxes, edges=edges, groups=groups, columns=columns)
    return _with_ellipsis(result, graph, offsets, shown)


def _shown(graph: Graph, most: int) -> dict[str | None, set[int]]:
    """The steps of each loop that are shown: all, or the first ones and the last."""
    steps: dict[str | None, set[int]] = {}
    for box in graph.boxes.values():
        if box.step is not None:
            steps.setdefault(box.loop, set()).add(box.step)
    shown = {}
    for loop, found in steps.items():
        ordered = sorted(found)
        shown[loop] = found if len(ordered) <= most else {*ordered[: max(1, most // 2)], ordered[-1]}
    return shown


def _plain_steps(graph: Graph) -> set[str]:
    """The steps without a module inside: each is a group of its own, so that it can be closed into one box."""
    with_modules = {g.id for group in graph.groups.values() if group.kind for g in graph.path(group.id)}
    loose = {box.group for box in graph.boxes.values() if box.kind != "cut"}
    return {g.id for g in graph.groups.values() if g.step is not None and g.id not in with_modules and g.id in loose}


def _group_in_column(graph: Graph, groups: dict[str, Group], box: Box, column: int, plain: set[str]) -> str | None:
    """The box's innermost group as it stands in a column: every group around a step has one copy for each column."""
    path = graph.path(box.group)
    place = next((i for i, g in enumerate(path) if g.step == box.step), len(path))
    parent: str | None = None
    for i, group in enumerate(path):
        if i == place and group.id not in plain:
            continue
        id = f"{group.id}.t{box.step}" if i < place else group.id
        row = group.id if i < place else f"{path[place].parent or ''}{group.id[len(path[place].id) :]}".lstrip(".")
        while id in groups and groups[id].column != column:
            id += "′"
        copy = replace(group, id=id, parent=parent, column=column, row=row, step=None)
        if i == place:
            copy.name = path[i - 1].name if i else "step"
        groups.setdefault(id, copy)
        parent = id
    return parent


def _with_ellipsis(
    result: Graph, graph: Graph, offsets: dict[str | None, int], shown: dict[str | None, set[int]]
) -> Graph:
    """Put ⋯ between the first steps and the last one, on every row that hands a state on."""
    boxes, edges, columns = dict(result.boxes), list(result.edges), dict(result.columns)
    for edge in graph.edges:
        tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
        if edge.kind != "state" or tail.loop != head.loop or tail.loop not in shown:
            continue
        visible = shown[tail.loop]
        first, last = max(visible - {max(visible)}, default=0), max(visible)
        leaves = edge.tail in boxes and edge.head not in result.boxes
        enters = edge.head in boxes and edge.tail not in result.boxes
        if not (leaves or enters):
            continue
        column = offsets[tail.loop] + first + 1
        more = Box(
            f"{tail.row}.more", "more", "⋯", seq=tail.seq, symbol="⋯", loop=tail.loop, column=column, row=tail.row,
            params=f"t = {first + 1} … {last - 1}",
        )  # fmt: skip
        boxes.setdefault(more.id, more)
        columns[column] = "⋯"
        edges.append(replace(edge, head=more.id, slot=0) if leaves else replace(edge, tail=more.id, index=None))
    return result.changed(boxes=boxes, edges=edges, columns=dict(sorted(columns.items())))


def fold(graph: Graph) -> Graph:
    """Return the graph with all steps of a loop as one: the lecture's box with its loop."""
    chosen: dict[tuple[str | None, str], Box] = {}
    for box in graph.boxes.values():
        if box.step is not None:
            key = box.loop, box.row
            typical = chosen.get(key)
            if typical is None or (typical.step == 1 and box.step == 2):  # the first step may differ
                chosen[key] = box
    groups, new_ids = _folded_groups(graph)
    boxes: dict[str, Box] = {}
    for id, box in graph.boxes.items():
        if box.step is None:
            boxes[id] = replace(box, group=new_ids.get(box.group, box.group))
        elif chosen[box.loop, box.row] is box:
            time = "t" if box.time else ""
            boxes[box.row] = replace(
                box, id=box.row, step=None, time=time, group=new_ids.get(box.group, box.group), label=box.label
            )
    edges: dict[tuple[str, str, int, int], Edge] = {}
    for edge in graph.edges:
        tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
        lag = head.step - tail.step if edge.kind == "state" and head.step is not None and tail.step is not None else 0
        new_tail = tail.id if tail.step is None else tail.row
        new_head = head.id if head.step is None else head.row
        edges.setdefault((new_tail, new_head, edge.slot, lag), replace(edge, tail=new_tail, head=new_head, lag=lag))
    folded = graph.changed(boxes=boxes, edges=list(edges.values()), groups=groups)
    initial = [b.id for b in boxes.values() if b.kind == "constant" and b.time not in ("", "t")]
    return folded.without(boxes=initial)


def _folded_groups(graph: Graph) -> tuple[dict[str, Group], dict[str | None, str | None]]:
    """The groups without their time steps, and for each old id the new one."""
    new_ids: dict[str | None, str | None] = {None: None}
    groups: dict[str, Group] = {}
    for group in graph.groups.values():
        parent = new_ids[group.parent]
        if group.step is not None:
            new_ids[group.id] = parent
            continue
        steps = [g for g in graph.path(group.id) if g.step is not None]
        id = group.id if not steps else f"{steps[0].parent or ''}{group.id[len(steps[0].id) :]}".lstrip(".")
        new_ids[group.id] = id
        groups.setdefault(id, replace(group, id=id, parent=parent))
    return groups, new_ids


def absorb_outputs(graph: Graph) -> Graph:
    """Return the graph with a result's box and its output's box as one, as the lecture draws y₂ = W_hy h₂."""
    inputs, outputs = graph.inputs(), graph.outputs()
    boxes = dict(graph.boxes)
    gone = set()
    for id, box in graph.boxes.items():
        if box.kind != "output" or len(inputs[id]) != 1:
            continue
        source = boxes[inputs[id][0].tail]
        if source.kind in ("state", "more") or any(e.kind == "state" for e in outputs[source.id]):
            gone.add(id)
        elif len(outputs[source.id]) == 1 and source.kind in ("operation", "module"):
            boxes[source.id] = replace(source, kind="output", symbol=source.symbol or box.symbol)
            gone.add(id)
    kept = {id: b for id, b in boxes.items() if id not in gone}
    return graph.changed(boxes=kept, edges=[e for e in graph.edges if e.head not in gone])
