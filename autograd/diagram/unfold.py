"""Time: a loop's steps unfolded into columns, shortened by an ellipsis, or folded into one box with a loop.

Loops whose steps feed one another one by one (the layers of a stacked network, the layers around it) share their
columns. A loop that needs another one's later steps (a decoder after its encoder) stands to the right of it.
"""

from __future__ import annotations

import re
from bisect import bisect
from dataclasses import replace

from .graph import Box, Edge, Graph, Group
from .loops import offsets, ordinals, steps_between
from .steps import Row, row_in
from .words import value

MOST_STEPS = 6  # that are shown without an ellipsis


def unfold(graph: Graph, most: int = MOST_STEPS) -> Graph:
    """Return the graph with a column for each time step; of more than ``most`` steps the first and the last."""
    shifts = offsets(graph)
    columns: dict[int, str] = {}
    boxes: dict[str, Box] = {}
    groups: dict[str, Group] = {}
    shown = _shown(graph, shifts, most)
    plain = _plain_steps(graph)
    for id, box in graph.boxes.items():
        if box.step is None:
            group = None if box.kind == "parameter" else box.group
            for g in graph.path(group):
                groups.setdefault(g.id, g)
            boxes[id] = replace(box, group=group)
        elif box.step in shown[box.loop]:
            column = shifts[box.loop] + box.step
            columns[column] = f"t = {box.step}".replace("-", "−")
            boxes[id] = replace(box, column=column, group=_group_in_column(graph, groups, box, column, plain))
    edges = [e for e in graph.edges if e.tail in boxes and e.head in boxes]
    result = graph.changed(boxes=boxes, edges=edges, groups=groups, columns=columns)
    return _with_ellipses(result, graph, shifts, shown)


def _shown(graph: Graph, shifts: dict[str | None, int], most: int) -> dict[str | None, set[int]]:
    """The steps of each loop that are shown: all, or the first ones and the last of each loop in the same columns."""
    steps: dict[str | None, set[int]] = {}
    for box in graph.boxes.values():
        if box.step is not None:
            steps.setdefault(box.loop, set()).add(box.step)
    shown: dict[str | None, set[int]] = {}
    for shift in set(shifts.values()):
        beside = [loop for loop in steps if shifts[loop] == shift]
        together = sorted(set().union(*[steps[loop] for loop in beside]))
        if len(together) > most:
            together = [*together[: max(1, most // 2)], *[max(steps[loop]) for loop in beside]]
        shown |= {loop: set(together) for loop in beside}
    return shown


def _plain_steps(graph: Graph) -> set[str]:
    """The steps without a module inside: each is a group of its own, so that it can be closed into one box."""
    with_modules = {g.id for group in graph.groups.values() if group.kind for g in graph.path(group.id)}
    loose = {box.group for box in graph.boxes.values() if box.kind != "cut"}
    return {g.id for g in graph.groups.values() if g.step is not None and g.id not in with_modules and g.id in loose}


def _step_named(graph: Graph, step: Group) -> Group:
    """A step's group that goes by the name of what it is a step of."""
    if step.parent is None:
        return replace(step, name=graph.name or "step", kind=graph.name, step=None)
    return replace(step, name=graph.groups[step.parent].name, step=None)


def _group_in_column(graph: Graph, groups: dict[str, Group], box: Box, column: int, plain: set[str]) -> str | None:
    """The box's innermost group as it stands in a column: every group around a step has one copy for each column."""
    path = graph.path(box.group)
    place = next((i for i, g in enumerate(path) if g.step == box.step), len(path))
    parent: str | None = None
    for i, group in enumerate(path):
        if i == place and group.id not in plain:
            continue
        id = f"{group.id}.t{box.step}" if i < place else group.id
        while id in groups and groups[id].column != column:
            id += "′"
        if id not in groups:
            named = _step_named(graph, group) if i == place else group
            row = group.id if i < place else row_in(path[place], group.id)
            groups[id] = replace(named, id=id, parent=parent, column=column, row=row)
        parent = id
    return parent


def _with_ellipses(
    result: Graph, graph: Graph, shifts: dict[str | None, int], shown: dict[str | None, set[int]]
) -> Graph:
    """Put ⋯ in place of hidden steps, on every row that hands a state on."""
    boxes, edges, columns = dict(result.boxes), list(result.edges), dict(result.columns)
    visible = {loop: sorted(steps) for loop, steps in shown.items()}
    for edge in graph.edges:
        tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
        hidden = [id for id in (edge.tail, edge.head) if id not in result.boxes]
        if edge.kind != "state" or tail.loop != head.loop or len(hidden) != 1:
            continue
        step = graph.boxes[hidden.pop()].step or 0
        before, after = _around(visible[tail.loop], step)
        column = shifts[tail.loop] + before + 1
        more = Box(
            f"{tail.row}.t{before + 1}.more", "more", "⋯", seq=tail.seq, symbol=tail.symbol, loop=tail.loop,
            column=column, row=tail.row, params=f"t = {before + 1} … {after - 1}",
        )  # fmt: skip
        more = boxes.setdefault(more.id, more)
        columns.setdefault(column, "⋯")
        if edge.head in result.boxes:  # it stands for the last hidden value: another one is told at its edge
            more.time = more.time or tail.time
            label = edge.label if value(more) == value(tail) else value(tail)
            edges.append(replace(edge, tail=more.id, index=None, label=label))
        else:
            edges.append(replace(edge, head=more.id, slot=0))
    return result.changed(boxes=boxes, edges=edges, columns=dict(sorted(columns.items())))


def _around(steps: list[int], hidden: int) -> tuple[int, int]:
    """The shown steps before and after a hidden one, which is never the last."""
    after = bisect(steps, hidden)
    return steps[after - 1] if after else hidden - 1, steps[after]


def fold(graph: Graph) -> Graph:
    """Return the graph with all steps of a loop as one: the lecture's box with its loop."""
    rows: dict[Row, list[Box]] = {}
    for box in graph.boxes.values():
        if box.step is not None:
            rows.setdefault((box.loop, box.row), []).append(box)
    groups, new_ids = _folded_groups(graph)
    boxes: dict[str, Box] = {}
    for id, box in graph.boxes.items():
        group = new_ids.get(box.group, box.group)
        if box.step is None:
            boxes[id] = replace(box, group=group)
            continue
        alike = rows[box.loop, box.row]
        if box is alike[min(1, len(alike) - 1)]:  # the first step may differ
            time = re.sub(r"^-?\d+", "t", box.time) if len(alike) > 1 else box.time
            boxes[box.row] = replace(box, id=box.row, step=None, time=time, group=group)
    order = ordinals(graph)
    edges: dict[tuple[str, str, int, int | None, int], Edge] = {}
    for edge in graph.edges:
        tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
        lag = steps_between(graph, edge, order)
        new_tail = tail.id if tail.step is None else tail.row
        new_head = head.id if head.step is None else head.row
        slot = edge.slot
        if tail.step is not None and (
            head.step is None or len(rows[head.loop, head.row]) == 1 < len(rows[tail.loop, tail.row])
        ):
            lag = slot = 0  # all steps' values in one edge
        edges.setdefault(
            (new_tail, new_head, slot, edge.index, lag), replace(edge, tail=new_tail, head=new_head, slot=slot, lag=lag)
        )
    folded = graph.changed(boxes=boxes, edges=list(edges.values()), groups=groups)
    again = {(e.head, e.slot) for e in folded.edges if e.lag}  # what the loop itself feeds from the second step on
    begins = {id for id, ends in folded.outputs().items() if all((e.head, e.slot) in again for e in ends)}
    return folded.without(boxes=[id for id in begins if boxes[id].kind == "state" and boxes[id].op == "constant"])


def _folded_groups(graph: Graph) -> tuple[dict[str, Group], dict[str | None, str | None]]:
    """The groups without their time steps, and for each old id the new one.

    Steps that nothing else holds together are one group, so that it can be closed into one box.
    """
    plain = _plain_steps(graph)
    around_modules = {group.parent for group in graph.groups.values() if group.kind}
    new_ids: dict[str | None, str | None] = {None: None}
    groups: dict[str, Group] = {}
    for group in graph.groups.values():
        parent = new_ids[group.parent]
        steps = [g for g in graph.path(group.id) if g.step is not None]
        if group.step is not None and not (group.id in plain and group.parent in {None, *around_modules}):
            new_ids[group.id] = parent
            continue
        id = group.id if not steps else row_in(steps[0], group.id)
        if group.step is not None:
            group, id = _step_named(graph, group), f"{id}.t" if parent else id
        new_ids[group.id] = id
        groups.setdefault(id, replace(group, id=id, parent=parent))
    return groups, new_ids
