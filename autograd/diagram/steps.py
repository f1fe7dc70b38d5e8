"""Time: a loop's steps unfolded into columns, shortened by an ellipsis, or folded into one box with a loop.

Loops whose steps feed one another one by one (the layers of a stacked network, the layers around it) share their
columns. A loop that needs another one's later steps (a decoder after its encoder) stands to the right of it.
"""

from __future__ import annotations

from dataclasses import replace

from .graph import Box, Edge, Graph, Group
from .loops import offsets
from .words import steps_between, value

MOST_STEPS = 6  # that are shown without an ellipsis
NAMED = ("data", "parameter", "constant", "output")  # drawn with their symbol


def name_rows(graph: Graph) -> None:
    """Give every box in a loop its ``row``: its id without the step, the same at all times."""
    for id, box in graph.boxes.items():
        if box.step is not None:
            step = next((g for g in graph.path(box.group) if g.step == box.step), None)
            if step is None:
                box.row = id.removesuffix(f".t{box.step}")
            else:
                box.row = _row(id, step)


def _row(id: str, step: Group) -> str:
    """The id of what lies in a step without that step."""
    loop = f"{step.parent or ''}{f'#{step.call}' if step.call > 1 else ''}"
    return f"{loop}{id[len(step.id) :]}".lstrip(".")


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
    given: set[str] = set()  # what depends on weights only
    for id, box in graph.boxes.items():
        needs = [e.tail for e in inputs[id] if e.tail not in given]
        if not needs and (inputs[id] or box.kind in ("parameter", "constant")):
            given.add(id)
        elif box.step is None and box.op != "stack":
            _move(boxes, id, needs)
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
    shifts = offsets(graph)
    return len({shifts.get(loop, 0) for loop in loops}) == 1


def unfold(graph: Graph, most: int = MOST_STEPS) -> Graph:
    """Return the graph with a column for each time step; of more than ``most`` steps the first and the last."""
    shifts = offsets(graph)
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
            column = shifts[box.loop] + box.step
            columns[column] = f"t = {box.step}"
            boxes[id] = replace(box, column=column, group=_group_in_column(graph, groups, box, column, plain))
    edges = [e for e in graph.edges if e.tail in boxes and e.head in boxes]
    result = graph.changed(boxes=boxes, edges=edges, groups=groups, columns=columns)
    return _with_ellipsis(result, graph, shifts, shown)


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
        row = group.id if i < place else _row(group.id, path[place])
        while id in groups and groups[id].column != column:
            id += "′"
        copy = replace(group, id=id, parent=parent, column=column, row=row, step=None)
        if i == place:
            copy.name = path[i - 1].name if i else "step"
        groups.setdefault(id, copy)
        parent = id
    return parent


def _with_ellipsis(
    result: Graph, graph: Graph, shifts: dict[str | None, int], shown: dict[str | None, set[int]]
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
        column = shifts[tail.loop] + first + 1
        more = Box(
            f"{tail.row}.more", "more", "⋯", seq=tail.seq, symbol=tail.symbol, time=str(last - 1), loop=tail.loop,
            step=last - 1, column=column, row=tail.row,
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
        lag = steps_between(graph, edge) if edge.kind == "state" else 0
        new_tail = tail.id if tail.step is None else tail.row
        new_head = head.id if head.step is None else head.row
        edges.setdefault((new_tail, new_head, edge.slot, lag), replace(edge, tail=new_tail, head=new_head, lag=lag))
    folded = graph.changed(boxes=boxes, edges=list(edges.values()), groups=groups)
    initial = [b.id for b in boxes.values() if b.kind == "state" and b.op == "constant"]  # zeros
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
        id = group.id if not steps else _row(group.id, steps[0])
        new_ids[group.id] = id
        groups.setdefault(id, replace(group, id=id, parent=parent))
    return groups, new_ids


def finish(graph: Graph) -> Graph:
    """Return a closed graph as it is drawn: results with their boxes, the steps of a row alike, values by symbols."""
    if any(box.time for box in graph.boxes.values()):
        graph = _absorb_outputs(_merge_ellipses(graph))
    rows: dict[tuple[str | None, str], list[Box]] = {}
    for box in graph.boxes.values():
        if box.kind in ("state", "module", "operation", "output") and box.row:
            rows.setdefault((box.loop, box.row), []).append(box)
    kinds = {
        key: next((k for k in ("output", "state") if any(b.kind == k for b in row)), "") for key, row in rows.items()
    }
    plain = {key for key, row in rows.items() if not all(b.formula for b in row)}
    boxes = dict(graph.boxes)
    for id, box in graph.boxes.items():
        key, text = (box.loop, box.row), label(box)
        if (key in rows and box.kind != "more") or text != box.label:
            kind = kinds.get(key) or box.kind
            boxes[id] = replace(box, kind=kind, label=text, formula="" if key in plain else box.formula)
    return graph.changed(boxes=boxes)


def label(box: Box) -> str:
    """What a box is called: a value by its symbol, a module that only has a number by its class too."""
    if box.symbol and (box.kind in NAMED or box.op in ("constant", "data")):
        return value(box)
    if box.symbol and box.kind == "operation":
        return f"{box.label} → {value(box)}"
    if box.op and box.label[:1].isdecimal():  # the name of a place in a Sequential
        return box.op if box.label.isdecimal() else f"{box.op} {box.label}"
    return box.label


def _absorb_outputs(graph: Graph) -> Graph:
    """A result's box and its output's box become one, as the lecture draws y₂ = W_hy h₂."""
    inputs, outputs = graph.inputs(), graph.outputs()
    boxes = dict(graph.boxes)
    for id, box in graph.boxes.items():
        if box.kind == "output" and len(inputs[id]) == 1:
            source = boxes[inputs[id][0].tail]
            alone = source.kind in ("operation", "module") and len(outputs[source.id]) == 1
            if alone or source.symbol == "y":
                boxes[source.id] = replace(source, kind="output", symbol=source.symbol or box.symbol)
            elif not (source.kind == "state" or any(e.kind == "state" for e in outputs[source.id])):
                continue
            del boxes[id]
    return graph.changed(boxes=boxes, edges=[e for e in graph.edges if e.head in boxes])


def _merge_ellipses(graph: Graph) -> Graph:
    """Ellipses lie in the row of what they continue; several in one place are one."""
    inputs = graph.inputs()
    boxes: dict[str, Box] = {}
    stands: dict[tuple[str, int | None], str] = {}
    same: dict[str, str] = {}
    for id, box in graph.boxes.items():
        if box.kind == "more" and inputs[id]:
            row = graph.boxes[inputs[id][0].tail].row
            same[id] = stands.setdefault((row, box.column), id)
            if same[id] == id:
                boxes[id] = replace(box, row=row)
        else:
            boxes[id] = box
    edges = [replace(e, tail=same.get(e.tail, e.tail), head=same.get(e.head, e.head)) for e in graph.edges]
    return graph.changed(boxes=boxes, edges=edges)
