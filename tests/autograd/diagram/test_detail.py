"""Groups closed into boxes: nothing is counted twice or lost, and no path appears or vanishes."""

import time
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.diagram import detail
from autograd.diagram.graph import Box, Edge, Graph, Group
from tests.autograd.diagram.drawn_graphs import graphs, recorded, totals

GIVEN = ("parameter", "constant")


@st.composite
def closings(draw: st.DrawFn) -> tuple[Graph, set[str], set[str]]:
    """A graph, and two sets of its groups."""
    graph = draw(graphs())
    some = st.sets(st.sampled_from(sorted(graph.groups))) if graph.groups else st.just(set())
    return graph, draw(some), draw(some)


def outermost(graph: Graph, box: Box, shut: Iterable[str]) -> str | None:
    """The outermost of the groups ``shut`` around a box."""
    return next((g.id for g in graph.path(box.group) if g.id in shut), None)


def reached(edges: dict[str, set[str]], start: str) -> set[str]:
    found, waiting = set(), [start]
    while waiting:
        for head in edges.get(waiting.pop(), ()):
            if head not in found:
                found.add(head)
                waiting.append(head)
    return found


def check(graph: Graph) -> None:
    """Ids are unique and every end is there."""
    assert all(id == box.id for id, box in graph.boxes.items())
    assert not graph.boxes.keys() & graph.groups.keys()
    assert {box.group for box in graph.boxes.values()} | {g.parent for g in graph.groups.values()} <= {
        None,
        *graph.groups,
    }
    assert {end for e in graph.edges for end in (e.tail, e.head)} <= graph.boxes.keys()


@given(graphs())
def test_closing_nothing_changes_nothing(graph: Graph) -> None:
    same = detail.close(graph, set())
    assert same == graph and list(same.boxes) == list(graph.boxes)


@given(graphs())
def test_closing_everything_leaves_one_box_for_each_outermost_group(graph: Graph) -> None:
    closed = detail.close(graph, set(graph.groups))
    tops = {g.id for g in graph.groups.values() if g.parent is None}
    computing = {graph.path(b.group)[0].id for b in graph.boxes.values() if b.group and b.kind not in GIVEN}
    modules = {b.id for b in closed.boxes.values() if b.kind in ("module", "state")}
    assert computing <= modules <= tops and not closed.groups
    assert all(e.tail != e.head for e in closed.edges)


@given(closings())
def test_counts_are_kept(drawn: tuple[Graph, set[str], set[str]]) -> None:
    graph, shut, _ = drawn
    closed = detail.close(graph, shut)
    check(closed)
    assert totals(closed) == totals(graph)


@given(closings())
def test_paths_are_those_of_the_full_graph_in_which_a_closed_group_is_one_place(
    drawn: tuple[Graph, set[str], set[str]],
) -> None:
    graph, shut, _ = drawn
    closed = detail.close(graph, shut)
    at = {id: outermost(graph, box, shut) or id for id, box in graph.boxes.items() if box.kind not in GIVEN}
    steps: dict[str, set[str]] = {}
    for edge in graph.edges:
        if edge.tail in at and at[edge.tail] != at[edge.head]:
            steps.setdefault(at[edge.tail], set()).add(at[edge.head])
    found: dict[str, set[str]] = {}
    for edge in closed.edges:
        if closed.boxes[edge.tail].kind not in GIVEN:
            found.setdefault(edge.tail, set()).add(edge.head)
    assert found == steps
    full: dict[str, set[str]] = {}
    for edge in graph.edges:
        full.setdefault(edge.tail, set()).add(edge.head)
    for id in graph.boxes.keys() & closed.boxes.keys():
        assert reached(full, id) & closed.boxes.keys() <= reached(steps | found, id) or graph.boxes[id].kind in GIVEN


@given(closings())
def test_a_parameter_stays_unless_one_closed_group_has_all_its_uses(drawn: tuple[Graph, set[str], set[str]]) -> None:
    graph, shut, _ = drawn
    closed = detail.close(graph, shut)
    for id, box in graph.boxes.items():
        users = {e.head for e in graph.edges if e.tail == id}
        if box.kind in GIVEN and users:
            around = {outermost(graph, graph.boxes[user], shut) or user for user in users}
            assert (id in closed.boxes) == (len(around) > 1 or around <= users)
            assert {e.head for e in closed.edges if e.tail == id} == (around if id in closed.boxes else set())


@given(closings())
def test_closing_in_two_cellsis_closing_at_once(drawn: tuple[Graph, set[str], set[str]]) -> None:
    graph, first, second = drawn
    once, twice = detail.close(graph, first | second), detail.close(detail.close(graph, first), first | second)
    assert once.groups == twice.groups and list(once.boxes) == list(twice.boxes)
    for id, box in once.boxes.items():
        assert replace(twice.boxes[id], params="", given={}, dtype=box.dtype) == replace(box, params="", given={})

    def plain(graph: Graph) -> list[Edge]:
        return [replace(e, label="", norm=e.norm and round(e.norm, 6)) for e in graph.edges]

    assert plain(once) == plain(twice)


@given(closings())
def test_the_box_of_a_group_is_the_one_that_closing_it_leaves(drawn: tuple[Graph, set[str], set[str]]) -> None:
    graph, shut, _ = drawn
    boxes = detail.closed_boxes(graph, lambda _, group: f"formula of {group}")
    for id in shut:
        closed = detail.close(graph, {id}, lambda _, group: f"formula of {group}")
        assert closed.boxes.get(id) == boxes.get(id)
        assert boxes.keys() >= closed.boxes.keys() - graph.boxes.keys()


@given(closings())
def test_every_value_enters_and_leaves_a_closed_group_once(drawn: tuple[Graph, set[str], set[str]]) -> None:
    graph, shut, _ = drawn
    closed = detail.close(graph, shut)
    into = [(e.tail, e.index, e.head, e.kind) for e in closed.edges if e.head in graph.groups]
    assert len(into) == len(set(into))
    for id in closed.boxes.keys() & graph.groups.keys():
        inside = {b.id for b in graph.boxes.values() if b.kind not in GIVEN and outermost(graph, b, shut) == id}
        leaving = {(e.tail, e.index) for e in graph.edges if e.tail in inside and e.head not in inside}
        indices = {e.index for e in closed.edges if e.tail == id}
        assert indices == (set(range(len(leaving))) if len(leaving) > 1 else {None} if leaving else set())
        assert len(leaving) < 2 or all(e.label for e in closed.edges if e.tail == id)


@given(graphs())
def test_depth_opens_one_level_after_the_other(graph: Graph) -> None:
    shown = [len(detail.close(graph, detail.depth(graph, n)).groups) for n in range(6)]
    assert shown == sorted(shown) and shown[-1] == len(graph.groups)
    for n in range(5):
        for id in detail.depth(graph, n):
            around = [g for g in graph.path(id) if g.step is None]
            assert len(around) == n + 1 and graph.groups[id].step is None


@given(graphs())
def test_a_layer_holds_no_module_and_what_is_open_does(graph: Graph) -> None:
    shut = detail.layers(graph)
    holding = {g.id for m in graph.groups.values() if m.kind for g in graph.path(m.id)[:-1]}
    assert shut == {id for id, g in graph.groups.items() if id not in holding and g.step is None}


@given(graphs(), st.integers(1, 20))
def test_the_default_fits_or_is_the_least_deep(graph: Graph, most: int) -> None:
    shown = detail.fit(graph, most)
    assert totals(shown) == totals(graph)
    if len(shown.boxes) > most:
        folded = detail.fold_repeats(graph)
        assert len(shown.boxes) <= len(detail.close(folded, detail.depth(folded, 0) | detail.layers(folded)).boxes)


def step_graph(column: bool, lag: int) -> Graph:
    """Two time steps of h = f(w, h), unfolded or with a loop."""
    groups = {f"t{t}": Group(f"t{t}", "cell", column=t if column else None, row="cell") for t in (1, 2)}
    boxes = [Box("w", "parameter", "W", weights=6)]
    edges = []
    for t in (1, 2):
        where = {"loop": "", "step": None if lag else t, "column": t if column else None}
        boxes.append(Box(f"t{t}.mul", "operation", "∗", f"t{t}", row="mul", **where))
        boxes.append(Box(f"t{t}.one", "constant", "1", f"t{t}"))
        boxes.append(Box(f"t{t}.tanh", "operation", "tanh", f"t{t}", row="tanh", symbol="h", time=str(t), **where))
        edges += [Edge("w", f"t{t}.mul", 1, "parameter"), Edge(f"t{t}.mul", f"t{t}.tanh")]
        edges += [Edge(f"t{t}.one", f"t{t}.tanh", 1)]
    boxes.append(Box("out", "output", "y"))
    edges.append(Edge("t2.tanh", "out"))
    edges.append(Edge("t2.tanh", "t2.mul", 0, "state", lag=lag) if lag else Edge("t1.tanh", "t2.mul", 0, "state"))
    return Graph({b.id: b for b in boxes}, edges, groups, columns={1: "t = 1", 2: "t = 2"} if column else {})


def test_in_columns_weights_are_drawn_once_and_states_are_handed_on() -> None:
    closed = detail.fit(step_graph(column=True, lag=0))
    assert list(closed.boxes) == ["w", "t1", "t2", "out"] and closed.boxes["w"].weights == 6
    assert [(e.tail, e.head, e.kind) for e in closed.edges] == [
        ("w", "t1", "parameter"), ("w", "t2", "parameter"), ("t2", "out", "data"), ("t1", "t2", "state"),
    ]  # fmt: skip
    one, two = closed.boxes["t1"], closed.boxes["t2"]
    assert (one.kind, one.column, one.row, one.symbol, one.time) == ("state", 1, "cell", "h", "1")
    assert (two.kind, two.column, two.row, two.symbol, two.time) == ("module", 2, "cell", "h", "2")


def test_a_folded_state_comes_back_to_its_closed_group() -> None:
    graph = step_graph(column=False, lag=1)
    closed = detail.close(graph, graph.groups)
    assert ("t2", "t2", "state", 1) in [(e.tail, e.head, e.kind, e.lag) for e in closed.edges]
    assert closed.boxes["t2"].kind == "state" and closed.boxes["t1"].kind == "module"


def test_cellsinside_a_closed_loop_leave_no_loop() -> None:
    graph = step_graph(column=False, lag=0)
    groups = {"rnn": Group("rnn", "rnn", kind="RNN"), **{k: replace(g, parent="rnn") for k, g in graph.groups.items()}}
    closed = detail.close(graph.changed(groups=groups), {"rnn"})
    assert [(e.tail, e.head) for e in closed.edges] == [("rnn", "out")]
    rnn = closed.boxes["rnn"]
    assert (rnn.kind, rnn.op, rnn.weights, rnn.symbol, rnn.time) == ("module", "RNN", 6, "h", "2")


def test_several_values_are_told_apart_by_their_symbols_and_a_step_is_known_by_the_last() -> None:
    graph = Graph({"x": Box("x", "data", "x")}, [Edge("x", "t1.c")], {f"t{t}": Group(f"t{t}", "LSTM") for t in (1, 2)})
    for t in (1, 2):
        for symbol in "ch":
            id = f"t{t}.{symbol}"
            graph.boxes[id] = Box(id, "operation", "∘", f"t{t}", len(graph.boxes), symbol=symbol, time=str(t), step=t)
        graph.edges.append(Edge(f"t{t}.c", f"t{t}.h"))
    graph.boxes |= {f"out.{symbol}": Box(f"out.{symbol}", "output", symbol) for symbol in "ch"}
    graph.edges += [Edge(f"t1.{symbol}", "t2.c", slot, "state") for slot, symbol in enumerate("ch")]
    graph.edges += [Edge(f"t2.{symbol}", f"out.{symbol}") for symbol in "ch"]
    closed = detail.close(graph, graph.groups)
    assert [(e.tail, e.head, e.label, e.index) for e in closed.edges] == [
        ("x", "t1", "", None), ("t1", "t2", "c₁", 0), ("t1", "t2", "h₁", 1),
        ("t2", "out.c", "c₂", 0), ("t2", "out.h", "h₂", 1),
    ]  # fmt: skip
    cells = [closed.boxes[f"t{t}"] for t in (1, 2)]
    assert [(b.kind, b.symbol, b.time) for b in cells] == [("state", "h", "1"), ("module", "h", "2")]


def chain(count: int) -> Graph:
    """Modules in modules: ``count`` boxes in blocks of ten, each with its weight, ten blocks in a stage."""
    graph = Graph({"x": Box("x", "data", "x")})
    last = "x"
    for i in range(count // 2):
        stage, block = f"s{i // 100}", f"s{i // 100}.b{i // 10}"
        graph.groups.setdefault(stage, Group(stage, stage, kind="Stage"))
        graph.groups.setdefault(block, Group(block, block, stage, "Block"))
        graph.boxes[f"w{i}"] = Box(f"w{i}", "parameter", "w", weights=i)
        graph.boxes[f"op{i}"] = Box(f"op{i}", "operation", "op", block, seq=i)
        graph.edges += [Edge(last, f"op{i}"), Edge(f"w{i}", f"op{i}", 1, "parameter")]
        last = f"op{i}"
    return graph


def test_a_hundred_thousand_boxes_are_closed_in_linear_time() -> None:
    seconds = []
    for count in (10_000, 100_000):
        graph = chain(count)
        begin = time.process_time()
        closed = detail.close(graph, {id for id, g in graph.groups.items() if g.parent})
        detail.closed_boxes(graph)
        seconds.append(time.process_time() - begin)
        assert len(closed.boxes) == 1 + count // 20
    assert seconds[1] < 40 * seconds[0] + 1  # quadratic would be 100


def test_parameters_of_a_layer_are_told_in_its_box() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    graph = detail.fit(recorded(model, autograd.zeros((1, 1, 4, 4))))
    conv, linear = (next(b for b in graph.boxes.values() if b.op == op) for op in ("Conv2d", "Linear"))
    assert "stride=2" in conv.params and (conv.weights, conv.biases, conv.multiply_adds) == (18, 2, 18 * 4)
    assert (linear.weights, linear.biases, linear.multiply_adds, linear.shape) == (24, 3, 24, (1, 3))
