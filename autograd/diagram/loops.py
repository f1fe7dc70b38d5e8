"""Loops that the program did not mark with ``time_step``: found where a layer is called again on what it made before.

``for x_t in xs: h = cell(x_t, h)`` calls one cell many times, and each call needs the one before. Such calls, and those
of the other modules beside them that were called as often, become time steps 1, 2, 3 …
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .graph import Box, Graph, Group

Family = tuple[str | None, str, str]  # the parent, name and class of a module that is called several times


def infer(graph: Graph) -> Graph:
    """Return the graph with time steps where modules are called again and again on their own results."""
    families: dict[Family, list[str]] = {}
    for group in graph.groups.values():
        if group.kind and not any(g.step is not None for g in graph.path(group.parent)):
            families.setdefault((group.parent, group.name, group.kind), []).append(group.id)
    for (parent, _, _), calls in families.items():
        if len(calls) > 1 and _is_recurrent(graph, calls):
            beside = [c for f, c in families.items() if f[0] == parent and len(c) == len(calls)]
            steps = {id: t for c in beside for t, id in enumerate(c, 1)}
            return _with_steps(graph, parent, steps)
    return graph


def _is_recurrent(graph: Graph, calls: list[str]) -> bool:
    """Whether every call uses the same parameters as the others, and needs a result of the call before."""
    number = {id: n for n, id in enumerate(calls)}
    call_of = {b.id: number[g.id] for b in graph.boxes.values() for g in graph.path(b.group) if g.id in number}
    inputs = graph.inputs()
    latest: dict[str, int] = {}  # the last call that a box was computed from
    needs = [-1] * len(calls)
    learns = [set[str]() for _ in calls]
    for id in graph.boxes:
        call = call_of.get(id, -1)
        tails = [e.tail for e in inputs[id]]
        latest[id] = max([call, *[latest[tail] for tail in tails]])
        if call >= 0:
            needs[call] = max([needs[call], *[latest[tail] for tail in tails if call_of.get(tail) != call]])
            learns[call].update(tail for tail in tails if graph.boxes[tail].kind == "parameter")
    chained = all(needs[n] == n - 1 for n in range(1, len(calls)))
    return chained and bool(learns[0]) and all(names == learns[0] for names in learns)


def _with_steps(graph: Graph, parent: str | None, steps: dict[str, int]) -> Graph:
    """Put the groups ``steps`` and the loose boxes between them into time steps inside ``parent``."""
    inside = {b.id: steps[g.id] for b in graph.boxes.values() for g in graph.path(b.group) if g.id in steps}
    given = [id for id in inside if graph.boxes[id].kind in ("parameter", "constant")]
    graph = graph.changed(boxes=graph.boxes | {id: replace(graph.boxes[id], group=parent) for id in given})
    step_of = {id: step for id, step in inside.items() if id not in given}
    step_of |= _loose(graph, parent, step_of)
    place = {t: f"{parent}.t{t}" if parent else f"t{t}" for t in steps.values()}
    groups: dict[str, Group] = {}
    renamed: dict[str | None, str | None] = {None: None}
    for group in graph.groups.values():
        t = steps.get(group.id)
        if t is not None:
            groups.setdefault(place[t], Group(place[t], "t", parent, step=t))
            new = replace(group, id=f"{place[t]}.{group.name}", parent=place[t], call=1)
        elif group.parent is not None and renamed[group.parent] != group.parent:
            new = replace(
                group, id=f"{renamed[group.parent]}{group.id[len(group.parent) :]}", parent=renamed[group.parent]
            )
        else:
            new = group
        renamed[group.id] = new.id
        groups[new.id] = new
    ids: dict[str, str] = {}
    boxes: dict[str, Box] = {}
    taken: Counter[str] = Counter()
    for id, box in graph.boxes.items():
        step = step_of.get(id)
        new_box = box
        if step is not None:
            group_id = renamed[box.group] if box.group != parent else place[step]
            if box.group == parent:
                taken[f"{place[step]}.{box.op}"] += 1
                count = taken[f"{place[step]}.{box.op}"]
                new_id = f"{place[step]}.{box.op}" + (f"_{count}" if count > 1 else "")
            else:
                new_id = f"{group_id}{id[len(box.group or '') :]}"
            new_box = replace(box, id=new_id, group=group_id, loop=parent or "", step=step)
        ids[id] = new_box.id
        boxes[new_box.id] = new_box
    edges = [replace(e, tail=ids[e.tail], head=ids[e.head]) for e in graph.edges]
    return graph.changed(boxes=boxes, edges=edges, groups=groups)


def _loose(graph: Graph, parent: str | None, step_of: dict[str, int]) -> dict[str, int]:
    """The steps of operations that stand between the calls: that of what they feed, or else of what feeds them."""
    inputs, outputs = graph.inputs(), graph.outputs()
    loose = [b.id for b in graph.boxes.values() if b.group == parent and b.kind in ("operation", "cut")]
    found: dict[str, int] = {}
    for id in reversed(loose):
        fed = {found.get(e.head, step_of.get(e.head)) for e in outputs[id]}
        if len(fed) == 1 and (step := fed.pop()) is not None:
            found[id] = step
    for id in loose:
        feeding = {found.get(e.tail, step_of.get(e.tail)) for e in inputs[id]} - {None}
        if id not in found and len(feeding) == 1 and (step := feeding.pop()) is not None:
            found[id] = step
    return found


def offsets(graph: Graph) -> dict[str | None, int]:
    """Return by how many columns each loop's steps are shifted to the right.

    Loops that feed one another step by step share their columns; one that needs a later step of another comes after it.
    """
    spans: dict[str | None, tuple[int, int]] = {}
    for box in graph.boxes.values():
        if box.step is not None:
            low, high = spans.get(box.loop, (box.step, box.step))
            spans[box.loop] = min(low, box.step), max(high, box.step)
    waits: dict[tuple[str | None, str | None], bool] = {}  # (loop, loop that it needs) -> whether all of that
    for edge in graph.edges:
        tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
        if tail.loop != head.loop and tail.step is not None and head.step is not None and tail.op:
            key = head.loop, tail.loop
            waits[key] = waits.get(key, False) or tail.step > head.step
    shifts = dict.fromkeys(spans, 0)
    for _ in spans:  # at most as often as there are loops, whatever waits for what
        for (loop, other), whole in waits.items():
            shifts[loop] = max(shifts[loop], shifts[other] + (spans[other][1] if whole else 0))
    return shifts
