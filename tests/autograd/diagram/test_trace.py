"""Traced runs: values, constants, lines, calls and cuts are on the tape."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd import Tensor, scope, tensor, time_step
from autograd.core.trace import tracing
from autograd.diagram import loops, tape, trace
from autograd.errors import ShapeError

FUNCTIONS = {
    "tanh": lambda x, y: autograd.tanh(x),
    "+": lambda x, y: x + y,
    "@": lambda x, y: x @ y,
    "×": lambda x, y: x * y * 0.5,
    "softmax": lambda x, y: autograd.softmax(x),
    "apart": lambda x, y: autograd.stack(autograd.unstack(y)[::-1]),
}
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(sorted(FUNCTIONS)), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8
)


def compute(program: Sequence[tuple[str, int, int]], x: Any, y: Any) -> list[Any]:
    values = [x, y]
    for name, i, j in program:
        values.append(FUNCTIONS[name](values[-1 - i % len(values)], values[-1 - j % len(values)]))
    return values[2:]


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, 2)), rng.normal(size=(2, 2))


# --- values and gradients ---------------------------------------------------------------------------------------------


@given(PROGRAMS, st.integers(0, 99))
def test_results_are_those_of_an_untraced_run(program: list[tuple[str, int, int]], seed: int) -> None:
    inputs = drawn(seed)
    traced = trace.run(lambda x, y: compute(program, x, y), *inputs)
    assert all(np.array_equal(a.data, b) for a, b in zip(traced, compute(program, *inputs), strict=True))


@given(PROGRAMS, st.integers(0, 99))
def test_every_operation_s_value_is_what_it_computes_from_its_inputs(program: list[Any], seed: int) -> None:
    traced = trace.run(lambda x, y: compute(program, x, y), *drawn(seed))
    graph = tape.read(traced, values=True)
    inputs = graph.inputs()
    for box in graph.boxes.values():
        if box.kind != "operation" or box.op in ("unstack",) or any(e.index is not None for e in inputs[box.id]):
            continue
        values: dict[Any, Any] = {e.slot: graph.boxes[e.tail].value for e in inputs[box.id]}
        op = autograd.registry[box.op]
        names = [o.name for o in op.contract.inputs]
        arrays = [values[slot] if slot in values else box.given[n] for slot, n in enumerate(names)]
        if op.contract.variadic:
            arrays = [list(values.values())]
        params = {n: v for n, v in box.given.items() if n in op.params}
        assert np.array_equal(op.call(*arrays, **params), box.value), box


@given(PROGRAMS, st.integers(0, 99))
def test_gradients_are_those_of_the_sweep(program: list[Any], seed: int) -> None:
    outputs = trace.run(lambda x, y: compute(program, x, y), *drawn(seed))[-1]
    found = trace.gradients(outputs)
    nodes = [n for n in tape.walk([outputs.node]) if not isinstance(n.shape[:1] and n.shape[0], tuple)]
    tensors = [Tensor(np.zeros(n.shape)) for n in nodes]
    for x, node in zip(tensors, nodes, strict=True):
        x.node = node
    expected = autograd.gradients(outputs, tensors, np.ones(outputs.shape), allow_unused=True, retain_graph=True)
    for node, g in zip(nodes, expected, strict=True):
        assert (g is None) == (node not in found) and (g is None or np.allclose(g.data, found[node]))
    assert all(n.grad is None for n in nodes if n.op is None)


@given(PROGRAMS, st.integers(0, 99))
def test_what_flows_along_the_edges_adds_up_to_the_gradient(program: list[Any], seed: int) -> None:
    outputs = trace.run(lambda x, y: compute(program, x, y), *drawn(seed))[-1]
    graph = tape.read(outputs, gradients=trace.gradients(outputs))
    for box, edges in ((graph.boxes[id], edges) for id, edges in graph.outputs().items()):
        if box.gradient is None or not edges or any(e.norm is None for e in edges):
            continue
        total = np.linalg.norm(box.gradient)
        assert total <= sum(e.norm or 0 for e in edges) + 1e-9
        if len(edges) == 1:
            assert edges[0].norm == pytest.approx(total)


def test_gradients_begin_with_the_seeds() -> None:
    y = trace.run(lambda x: (x * 2, x * 3), np.ones(2))
    (x,) = y[0].node.parents[:1]
    assert np.array_equal(trace.gradients(y, [np.array([1.0, 0.0]), np.zeros(2)])[x], [2.0, 0.0])
    with pytest.raises(ShapeError, match="2 outputs but 1 seeds"):
        trace.gradients(y, [np.ones(2)])
    with pytest.raises(ShapeError, match=r"seed has shape \(3,\) but its output \(2,\)"):
        trace.gradients(y, [np.ones(3), np.ones(2)])


# --- inputs -----------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    h: Any
    n: int


@dataclass(frozen=True)
class Packed:
    data: Any
    sizes: Any


def test_inputs_of_any_form_become_leaves_with_names() -> None:
    given = tensor([1.0], requires_grad=True)
    node, a = given.node, np.ones(1)

    def f(x: Any, pair: Pair, packed: Packed, table: dict[str, Any], *rest: Any, k: Any) -> Any:
        assert pair.n == 3 and isinstance(packed, Packed) and packed.sizes.numpy().tolist() == [1]
        assert x[0] is not given and all(p is q for p, q in zip(rest, rest[:1] * 2, strict=True))
        return x[0] + x[1] + pair.h + packed.data + table["c"] + rest[0] + k

    pair, packed, zero = Pair(np.ones(1), 3), Packed(np.ones(1), np.array([1])), np.zeros(1)
    out = trace.run(f, [given, a], pair, packed, {"c": np.ones(1)}, zero, zero, k=np.ones(1))
    data = [b.id for b in tape.read(out).boxes.values() if b.kind == "data"]
    assert data == ["x1", "x2", "h", "data", "c", "x1_2", "k"]
    assert given.node is node and given.grad is None and out.item() == 6
    with autograd.no_grad():
        assert trace.run(lambda x: x * 1, given).node is not None


def test_integers_are_drawn_as_data_and_change_nothing() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.table = nn.Embedding(5, 3)

        def forward(self, words: Tensor, target: Tensor, index: Tensor) -> Tensor:
            scores = self.table(words)
            assert words.numpy().dtype == np.int64 and index.tolist() == [[0], [1]]
            picked = autograd.gather(scores, index, 1).sum()
            return autograd.cross_entropy(scores, target).sum() + picked + words.astype("float32").sum()

    model, inputs = Model(), [np.array(x) for x in ([1, 2], [0, 1], [[0], [1]])]
    out = trace.run(model, *inputs)
    graph = tape.read(out, names={model.table.weight.node: ("w", "W")}, gradients=trace.gradients(out))
    assert [b.id for b in graph.boxes.values() if b.kind == "data"] == ["words", "index"]
    assert out.item() == pytest.approx(model(*map(tensor, inputs)).item())
    expected = autograd.gradients(model(*map(tensor, inputs)), model.table.weight)
    assert np.allclose(trace.gradients(out)[model.table.weight.node], expected.data)


# --- constants, frozen parameters, lines ------------------------------------------------------------------------------


def test_constants_are_boxes_by_identity_and_say_what_made_them() -> None:
    mask, other = np.ones(3), np.ones(3)

    def f(x: Tensor) -> Tensor:
        masked = autograd.registry["masked"].call
        y = masked(x, mask) + masked(x, mask) + other
        return autograd.logsumexp(y)

    graph = tape.read(trace.run(f, np.zeros(3)), values=True)
    constants = {b.label: b for b in graph.boxes.values() if b.kind == "constant"}
    assert set(constants) == {"mask", "constant", "constant_max"}
    assert constants["mask"].value is mask and constants["constant_max"].group == "logsumexp"
    assert sum(e.tail == "mask" for e in graph.edges) == 2


def test_boxes_know_the_user_s_line_as_seen_from_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Tensor) -> Tensor:
        return autograd.named("h", autograd.tanh(x))

    file = Path(__file__)
    for folder, seen in ((file.parents[1], Path(file.parent.name, file.name)), (file.anchor, file)):
        monkeypatch.chdir(folder)
        line = tape.read(trace.run(f, np.ones(1))).boxes["tanh"].line
        assert Path(folder, line) == Path(folder, f"{seen}:{inspect.getsourcelines(f)[1] + 1}")


# --- calls and cuts ---------------------------------------------------------------------------------------------------


def test_repeated_calls_are_groups_of_their_own() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(2, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.fc(x))

    class Model(nn.Module):
        def __init__(self) -> None:
            self.block = Block()

        def forward(self, x: Tensor) -> Tensor:
            for t in (1, 2):
                with time_step(t):
                    x = self.block(x)
                with time_step(t):
                    x = self.block(x)
            return x

    graph = tape.read(trace.run(Model(), np.ones((1, 2), np.float32)))
    steps = [f"t{t}{again}" for t in (1, 2) for again in ("", "#2")]
    calls = [f"{step}.block.fc{again}" for step in steps for again in ("", "#2")]
    assert set(graph.groups) == {*steps, *[f"{step}.block" for step in steps], *calls}
    assert (graph.groups["t1#2"].call, graph.groups["t1#2"].name, graph.groups["t1#2"].step) == (2, "t", 1)
    assert [g.label for g in loops.infer(graph).groups.values() if g.parent == "t2"] == ["block", "block#2"]
    with tracing(), scope("a"), scope("b"):
        assert autograd.current_scope().path == "a.b"  # a new trace counts anew


def test_a_detached_value_is_a_cut_with_its_history_behind_it() -> None:
    w = tensor([[0.5]], requires_grad=True)

    def f(x: Tensor) -> Tensor:
        h = x
        for t in range(1, 4):
            with time_step(t):
                h = autograd.tanh(h @ w)
            if t == 2:
                h = h.detach()
                assert (
                    not h.requires_grad and h.node is None and h.numpy().shape == h[0:1].shape and h.item() is not None
                )
        return h[0, 0]

    out = trace.run(f, np.ones((1, 1)))
    graph = tape.read(out, names={w.node: ("w", "W")}, values=True, gradients=trace.gradients(out))
    (cut,) = [b for b in graph.boxes.values() if b.kind == "cut"]
    assert (cut.id, cut.group, cut.loop, cut.step) == ("t2.detach", "t2", "", 2)
    assert [(e.tail, e.head, e.slot) for e in graph.edges if e.kind == "cut"] == [
        ("t2.tanh", "t2.detach", 0),
        ("t2.detach", "t3.matmul", 0),
    ]
    before = [graph.boxes[id] for id in ("x", "t1.tanh", "t2.tanh")]
    assert all(b.gradient is None and b.value is not None for b in before)
    assert graph.boxes["t3.tanh"].gradient is not None


@pytest.mark.parametrize(
    "use", [lambda h: h[1:], lambda h: h.T, lambda h: h.reshape(-1)[:2].reshape(2, 1), lambda h: h]
)
def test_views_of_a_detached_value_are_cuts_too(use: Any) -> None:
    out = trace.run(lambda x: (x * use((x[:, :1] * 1).detach())).sum(), np.ones((2, 2)))
    assert [b.kind for b in tape.read(out).boxes.values()].count("cut") == 1


def test_writing_to_a_detached_value_stays_possible() -> None:
    def f(x: Tensor) -> Tensor:
        y = (x * 2).detach()
        y[0] = 5.0
        y += 1
        return x * y

    assert trace.run(f, np.ones(2)).tolist() == [6.0, 3.0]
