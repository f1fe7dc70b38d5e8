"""Loops: which boxes belong to which time step of which loop, whether the program marked its steps or not.

Marked with ``time_step``, a step is entered and left. Steps that are gone through again in the same place are another
loop, such as a decoder's after its encoder's. A loop that is not marked is found where a layer is called again on what
it made before: in ``for x_t in xs: h = cell(x_t, h)`` each call of the cell needs the one before, so that the calls,
and those of the other modules beside it, become time steps 1, 2, 3 …
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby, takewhile
from typing import NamedTuple

from .graph import Box, Edge, Graph, Group
from .places import Names


class Spot(NamedTuple):
    """A step of a loop in the group ``place``; ``clock`` is 0 for marked steps, else it tells which calls count."""

    place: str | None
    clock: int
    step: int
    visit: str = ""  # the group of a marked step: one for each time that the program enters it


def infer(graph: Graph) -> Graph:
    """Return the graph with every box of a loop in the group of its step, and its loop and step in the box."""
    spots = _marked(graph) | _called(graph)
    numbers = _loop_numbers(graph, spots)
    visits, steps = {spot.visit for spot in spots.values()}, {spot[:3] for spot in spots.values()}
    as_it_is = "" not in visits and len(visits) == len(steps) and set(numbers.values()) <= {1}
    return graph if as_it_is else _regrouped(graph, spots, numbers)


# --- steps ------------------------------------------------------------------------------------------------------------


def _marked(graph: Graph) -> dict[str, Spot]:
    """The spots of the boxes in marked steps; of steps within steps the outermost counts."""
    outermost: dict[str | None, Spot | None] = {None: None}
    for group in graph.groups.values():
        own = None if group.step is None else Spot(group.parent, 0, group.step, group.id)
        outermost[group.id] = outermost[group.parent] or own
    return {id: spot for id, box in graph.boxes.items() if box.step is not None and (spot := outermost[box.group])}


def _called(graph: Graph) -> dict[str, Spot]:
    """The spots of the boxes in loops that are not marked: in calls of modules, and of what stands between them."""
    families: dict[str | None, dict[tuple[str, str], list[str]]] = {}  # in a place the calls of each module
    timed: dict[str | None, bool] = {None: False}
    for group in graph.groups.values():
        timed[group.id] = timed[group.parent] or group.step is not None
        if group.kind and not timed[group.parent]:
            families.setdefault(group.parent, {}).setdefault((group.name, group.kind), []).append(group.id)
    found: dict[str, Spot] = {}
    inside: set[str] = set()  # calls that are steps already
    for place, calls in families.items():
        if any(g.id in inside for g in graph.path(place)):
            continue
        counts = {len(c) for c in calls.values() if len(c) > 1 and _is_recurrent(graph, c)}
        for clock, count in enumerate(sorted(counts, reverse=True), 1):
            steps = {id: t for c in calls.values() if len(c) == count for t, id in enumerate(c, 1)}
            inside |= steps.keys()
            found |= {id: Spot(place, clock, t) for id, t in _between(graph, place, steps).items() if id not in found}
    return found


def _is_recurrent(graph: Graph, calls: list[str]) -> bool:
    """Whether every call needs a result of the call before, and the same weights, or another given value, as all."""
    number = {id: n for n, id in enumerate(calls)}
    call_of = _items(graph, number)
    inputs = graph.inputs()
    latest: dict[str, int] = {}  # the last call that a box was computed from
    needs = [-1] * len(calls)
    given = [set[str]() for _ in calls]
    for id in graph.boxes:
        call = number.get(call_of.get(id, ""), -1)
        tails = [e.tail for e in inputs[id]]
        latest[id] = max([call, *[latest[tail] for tail in tails]])
        if call >= 0:
            needs[call] = max([needs[call], *[latest[tail] for tail in tails if call_of.get(tail) != call_of[id]]])
            given[call].update(tail for tail in tails if not inputs[tail])
    chained = all(needs[n] == n - 1 for n in range(1, len(calls)))
    shared = set.intersection(*given)
    own = set.union(*given) - shared
    return chained and bool(shared) and not any(graph.boxes[id].kind == "parameter" for id in own)


def _items(graph: Graph, groups: Iterable[str]) -> dict[str, str]:
    """For every box in one of these groups the group."""
    known: dict[str | None, str] = {id: id for id in groups}
    for group in graph.groups.values():
        if group.id not in known and group.parent in known:
            known[group.id] = known[group.parent]
    return {id: known[box.group] for id, box in graph.boxes.items() if box.group in known}


def _between(graph: Graph, place: str | None, calls: dict[str, int]) -> dict[str, int]:
    """The steps of all boxes in ``calls``, and in what else in ``place`` stands between these.

    What stands between belongs to the step that it feeds; an operation that feeds none, to the one that feeds it.
    """
    known = _items(graph, [g.id for g in graph.groups.values() if g.parent == place])
    items: dict[str, list[str]] = {}  # modules and single operations in this place
    for id, box in graph.boxes.items():
        if box.kind in ("operation", "cut") and (id in known or box.group == place):
            items.setdefault(known.setdefault(id, id), []).append(id)
    into, out = graph.inputs(), graph.outputs()

    def steps(item: str, ends: Iterable[str]) -> set[int | None]:
        return {step_of.get(known.get(end, "")) for end in ends if known.get(end) != item}

    own = _independent(graph, known, items, calls)
    second: set[str] = set()
    for _ in range(2):  # what feeds the first step only, such as what makes its initial state, stands before the loop
        step_of = {call: step for call, step in calls.items() if call in items}
        for item in reversed(items):
            fed = steps(item, (e.head for id in items[item] for e in out[id]))
            if item in step_of or len(fed) != 1 or (step := fed.pop()) is None:
                continue
            if not second or step > 1 or own.get(item, "") in second:
                step_of[item] = step
        second = {"", *[what for item, what in own.items() if step_of.get(item) == 2]}
    for item, ids in items.items():
        feeding = steps(item, (e.tail for id in ids for e in into[id])) - {None}
        is_module = item in graph.groups and graph.groups[item].kind
        if item not in step_of and not is_module and len(feeding) == 1 and (step := feeding.pop()) is not None:
            step_of[item] = step
    return {id: step for item, step in step_of.items() for id in items[item]}


def _independent(
    graph: Graph, item_of: dict[str, str], items: dict[str, list[str]], calls: dict[str, int]
) -> dict[str, str]:
    """The items that no call is needed for, and what they are."""
    inputs = graph.inputs()
    needing: set[str] = set()
    for id in graph.boxes:
        if item_of.get(id) in calls or any(e.tail in needing for e in inputs[id]):
            needing.add(id)
    return {
        item: graph.groups[item].name if item in graph.groups else graph.boxes[item].op
        for item, ids in items.items()
        if not needing.intersection(ids)
    }


# --- loops ------------------------------------------------------------------------------------------------------------


def _loop_numbers(graph: Graph, spots: dict[str, Spot]) -> dict[str, int]:
    """For every box which loop of its place it belongs to, numbered from 1 in the order of the program."""
    clocks: dict[tuple[str | None, int], list[str]] = {}
    for id, box in graph.boxes.items():
        if id in spots and box.kind != "cut":
            clocks.setdefault(spots[id][:2], []).append(id)
    found: dict[str, int] = {}
    loops: Counter[str | None] = Counter()
    for (place, clock), ids in clocks.items():
        visits = [list(run) for _, run in groupby(ids, key=lambda id: spots[id][2:])]
        numbers = _rounds([spots[visit[0]].step for visit in visits], marked=clock == 0)
        for visit, number in zip(visits, numbers, strict=True):
            found |= dict.fromkeys(visit, loops[place] + number)
        loops[place] += numbers[-1]
    for edge in graph.edges:
        if edge.head in spots and edge.head not in found:  # a cut comes only when it is needed
            found[edge.head] = found[edge.tail]
    return found


def _rounds(steps: list[int], marked: bool) -> list[int]:
    """For every visit of a step the number of its loop, which ends where a step comes again that was left.

    Where marked steps go back, as in a network of two directions, the next loop begins with the last step's repetition.

    >>> _rounds([1, 2, 2, 3, 1, 2], marked=True), _rounds([1, 2, 3, 3, 2, 1], marked=True)
    ([1, 1, 1, 1, 2, 2], [1, 1, 1, 2, 2, 2])
    """
    following: list[int | None] = [None] * len(steps)
    for n in range(len(steps) - 2, -1, -1):
        following[n] = steps[n + 1] if steps[n + 1] != steps[n] else following[n + 1]
    numbers: list[int] = []
    visits: Counter[int] = Counter()  # of each step in this loop
    before = last = None
    for step, after in zip(steps, following, strict=True):
        left = step != last and step in visits
        turns = step == last and after is not None and after == before and visits[step] >= visits[after]
        new = not numbers or left or (marked and turns)
        if new:
            visits.clear()
            before = last = None
        if step != last:
            before, last = last, step
        visits[step] += 1
        numbers.append((numbers[-1] if numbers else 0) + new)
    return numbers


def _regrouped(graph: Graph, spots: dict[str, Spot], numbers: dict[str, int]) -> Graph:
    """The graph with every box of a loop in the group of its step: ``t2``, in the second loop of a place ``t2#2``."""
    paths = {group: graph.path(group) for group in {box.group: None for box in graph.boxes.values()}}
    within = {place: len(graph.path(place)) for place in {spot.place for spot in spots.values()}}
    below = {  # the groups of a box inside its step
        id: paths[graph.boxes[id].group][within[spot.place] + (spot.clock == 0) :] for id, spot in spots.items()
    }
    calls = {path[0].id for id, path in below.items() if path and spots[id].clock}
    stays = {  # the groups of other boxes
        id: list(takewhile(lambda g: g.id not in calls, paths[box.group]))
        for id, box in graph.boxes.items()
        if id not in spots
    }
    groups = {g.id: g for path in stays.values() for g in path}
    names = Names([*stays, *groups])
    entered: dict[tuple[str | None, str], str] = {}  # in a group: the new id of an old one
    times: Counter[tuple[str, str, str]] = Counter()

    def enter(around: str | None, old: Group) -> str:
        if (around, old.id) not in entered:
            new = replace(old, parent=around)
            new.id = names.fresh(f"{around}.{new.label}" if around else new.label)
            groups[new.id] = new
            entered[around, old.id] = new.id
        return entered[around, old.id]

    boxes: dict[str, Box] = {}
    ids: dict[str, str] = {}
    for id, box in graph.boxes.items():
        if id in stays:
            new = replace(box, group=stays[id][-1].id if stays[id] else None)
        else:
            (place, _, step, _), number = spots[id], numbers[id]
            group = enter(place, Group(f"t{step}#{number}", "t", step=step, call=number))
            for n, old in enumerate(below[id]):
                if n == 0 and (group, old.id) not in entered:  # calls are counted anew in each step
                    times[group, old.name, old.kind] += 1
                    old = replace(old, call=times[group, old.name, old.kind])
                group = enter(group, old)
            loop = f"{place or ''}{f'#{number}' * (number > 1)}"
            new = replace(box, id=names.fresh(f"{group}.{box.op or box.label}"), group=group, loop=loop, step=step)
        ids[id], boxes[new.id] = new.id, new
    edges = [replace(e, tail=ids[e.tail], head=ids[e.head]) for e in graph.edges]
    return graph.changed(boxes=boxes, edges=edges, groups=groups)


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
            after = spans[other][1] + 1 - spans[loop][0] if whole else 0
            shifts[loop] = max(shifts[loop], shifts[other] + after)
    return shifts


def ordinals(graph: Graph) -> dict[tuple[str | None, int], int]:
    """Return which step of its loop each is, counted from 0 by their numbers."""
    spots = sorted({(box.loop or "", box.step) for box in graph.boxes.values() if box.step is not None})
    loops = groupby(spots, key=lambda spot: spot[0])
    return {spot: n for _, steps in loops for n, spot in enumerate(steps)}


def steps_between(graph: Graph, edge: Edge, order: dict[tuple[str | None, int], int]) -> int:
    """Return how many time steps an edge inside one loop crosses; ``order`` as ``ordinals`` gives it."""
    tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
    if tail.step is None or head.step is None or tail.loop != head.loop:
        return 0
    return order[head.loop, head.step] - order[tail.loop, tail.step]
