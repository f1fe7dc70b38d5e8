"""From the tape to a graph: every node one box, every input one edge, names from the program, linear, deterministic."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd import Tensor, named, scope, tensor, time_step
from autograd.core.node import Node
from autograd.diagram import sample as sampling
from autograd.diagram import tape, trace
from autograd.diagram.graph import Graph
from autograd.errors import DTypeError, GraphError

Instruction = tuple[str, int, int, tuple[str | int, ...]]
OPERATIONS = ("tanh", "add", "multiply", "matmul", "double", "constant", "apart", "half", "join")
PLACES = st.lists(
    st.one_of(st.sampled_from(["rnn", "a.b", "a", 'x"><b>', "n\nl", "_2"]), st.integers(1, 3)), max_size=3
)
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 9), st.integers(0, 9), PLACES.map(tuple)),
    min_size=1,
    max_size=12,
)
MASK = np.eye(2)


def compute(program: Sequence[Instruction], leaves: Sequence[Any]) -> list[Any]:
    """Run a drawn program on 2×2 matrices; return every value that it made."""
    values = list(leaves)
    for op, i, j, place in program:
        x, y = values[-1 - i % len(values)], values[-1 - j % len(values)]
        with ExitStack() as inside:
            for part in place:
                inside.enter_context(time_step(part) if isinstance(part, int) else scope(part))
            if op == "double":
                out = x * 2.0
            elif op == "constant":
                out = x + MASK
            elif op == "apart":
                rows = autograd.unstack(x)
                out = autograd.stack([rows[1], rows[0]])
            elif op == "half":
                out = autograd.stack([named("r", autograd.unstack(x)[0])] * 2)
            elif op == "join":
                out = autograd.concatenate([x, y])[1:3]
            else:
                out = autograd.tanh(x) if op == "tanh" else getattr(autograd, op)(x, y)
        values.append(out)
    return values[len(leaves) :]


def fresh_leaves() -> list[Tensor]:
    return [tensor(np.full((2, 2), 0.1 * k), requires_grad=True) for k in (1, 2)]


def nodes_of(outputs: Sequence[Tensor]) -> set[Node]:
    found: set[Node] = set()
    waiting = [x.node for x in outputs if x.node is not None]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [p for p in node.parents or () if p is not None]
    return found


def is_pick(node: Node) -> bool:
    return node.op is not None and node.op.name == "pick"


def facts(graph: Graph) -> list[str]:
    return [repr(x) for x in (*graph.boxes.values(), *graph.edges, *graph.groups.values())]


# --- every node one box, every input one edge -------------------------------------------------------------------------


@given(PROGRAMS, st.integers(1, 3))
def test_boxes_are_the_nodes_and_edges_their_inputs(program: list[Instruction], outputs: int) -> None:
    made = compute(program, fresh_leaves())[-outputs:]
    graph = tape.read(made)
    nodes = nodes_of(made)
    operations = [n for n in nodes if n.op is not None and not is_pick(n)]
    kinds = Counter(b.kind for b in graph.boxes.values())
    masks = sum(b.kind == "constant" for b in graph.boxes.values())
    assert kinds["operation"] == len(operations)
    assert kinds["data"] == sum(n.op is None for n in nodes)
    assert kinds["output"] == len({x.node for x in made})
    assert masks <= 1  # the same array is one box
    inputs = graph.inputs()
    assert Counter(b.op for b in graph.boxes.values() if b.op) == Counter(n.op.name for n in operations if n.op)
    for node_inputs, op in ((sum(p is not None for p in n.parents or ()), n) for n in operations):
        assert any(
            b.op == op.op.name and sum(graph.boxes[e.tail].kind != "constant" for e in inputs[b.id]) == node_inputs  # type: ignore[union-attr]
            for b in graph.boxes.values()
        )
    real = sum(graph.boxes[e.tail].kind != "constant" and graph.boxes[e.head].kind != "output" for e in graph.edges)
    assert real == sum(p is not None for n in operations for p in n.parents or ())


@given(PROGRAMS)
def test_parents_stand_before_children_and_ids_are_unique(program: list[Instruction]) -> None:
    graph = tape.read(compute(program, fresh_leaves())[-1])
    place = {id: n for n, id in enumerate(graph.boxes)}
    assert all(place[e.tail] < place[e.head] for e in graph.edges)
    assert all(id == box.id for id, box in graph.boxes.items()) and not set(graph.boxes) & set(graph.groups)
    assert [b.seq for b in graph.boxes.values()] == list(range(len(place)))
    groups = list(graph.groups)
    assert all(g.parent is None or groups.index(g.parent) < groups.index(g.id) for g in graph.groups.values())
    assert all(b.group is None or b.group in graph.groups for b in graph.boxes.values())
    assert len({(g.parent, g.name, g.step) for g in graph.groups.values()}) == len(groups)
    slots = {(e.head, e.slot) for e in graph.edges}
    assert len(slots) == len(graph.edges)


@given(PROGRAMS)
def test_the_same_program_gives_the_same_graph(program: list[Instruction]) -> None:
    first = facts(tape.read(compute(program, fresh_leaves())))
    compute(program[:2], fresh_leaves())  # what happened before does not matter
    assert facts(tape.read(compute(program, fresh_leaves()))) == first


PROGRAM = """
import autograd, nn
from autograd.diagram import tape, trace
model = nn.Sequential(nn.Linear(2, 3), nn.LSTM(3, 2))
names = {p.node: (n, "") for n, p in model.named_parameters()}
autograd.exp(autograd.ones((SEED + 1,)))
graph = tape.read(trace.run(model, autograd.ones((3, 1, 2))), names=names)
for box in graph.boxes.values():
    box.line = ""
print(graph)
"""


def test_no_hash_seed_or_address_shows() -> None:
    seen = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(autograd.__file__).parents[1])}
        program = PROGRAM.replace("SEED", seed)
        seen.add(
            subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout
        )
    assert len(seen) == 1 and b"1.t3.tanh" in seen.pop()


# --- places -----------------------------------------------------------------------------------------------------------


def test_the_model_itself_is_no_group_but_a_time_step_is() -> None:
    h, w = tensor([1.0], requires_grad=True), tensor([2.0], requires_grad=True)
    with scope("model", kind="Model"), scope("rnn", kind="RNN"):
        for t in (1, 2):
            with time_step(t):
                h = named("h", autograd.tanh(h * w))
    graph = tape.read(h, names={w.node: ("rnn.weight", "W")})
    assert list(graph.groups) == ["t1", "t2"]
    boxes = graph.boxes
    assert [(boxes[id].loop, boxes[id].step) for id in ("t1.tanh", "t2.multiply")] == [("", 1), ("", 2)]
    assert (boxes["t2.tanh"].symbol, boxes["t2.multiply"].symbol) == ("h", "")
    assert (boxes["rnn.weight"].group, boxes["rnn.weight"].weights, boxes["rnn.weight"].label) == (None, 1, "W")
    assert {e.kind for e in graph.edges if e.tail == "rnn.weight"} == {"parameter"}


def test_a_shared_weight_lies_where_its_users_meet_outside_the_steps() -> None:
    w, b, x = (tensor([1.0], requires_grad=True) for _ in range(3))
    h = x
    with scope("encoder"), scope("cell"):
        for t in (1, 2):
            with time_step(t), scope("gate"):
                h = h * w + b
    with scope("decoder"):
        h = h * w
    names = {w.node: ("w", "W"), b.node: ("cell.bias_h", "b")}
    boxes = tape.read(h, names=names).boxes
    assert (boxes["w"].group, boxes["cell.bias_h"].group, boxes["x"].group) == (None, "encoder.cell", None)
    assert (boxes["cell.bias_h"].biases, boxes["cell.bias_h"].weights, boxes["w"].weights) == (1, 0, 1)
    gate = boxes["encoder.cell.t2.gate.add"]
    assert (gate.group, gate.loop, gate.step) == ("encoder.cell.t2.gate", "encoder.cell", 2)


def test_names_with_dots_are_groups_of_their_own() -> None:
    x = tensor([1.0], requires_grad=True)
    with scope("a.b"):
        y = autograd.tanh(x)
    with scope("a"), scope("b"):
        y = autograd.tanh(y)
    graph = tape.read(autograd.tanh(y))
    assert [(g.name, g.parent) for g in graph.groups.values()] == [("a.b", None), ("a", None), ("b", "a")]
    assert len({b.group for b in graph.boxes.values() if b.op}) == 3


def test_several_outputs_are_one_box_and_edges_say_which() -> None:
    x = tensor(np.ones((2, 3)), requires_grad=True)
    _, second = autograd.unstack(x)
    graph = tape.read(named("r", second) * second)
    assert [b.op for b in graph.boxes.values() if b.kind == "operation"] == ["unstack", "multiply"]
    assert [(e.index, e.slot, e.label, e.shape) for e in graph.edges if e.tail == "unstack"] == [
        (1, 0, "r", (3,)),
        (1, 1, "r", (3,)),
    ]
    assert graph.boxes["unstack"].shape == ((3,), (3,))


# --- words and numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "label", "params"),
    [
        (lambda x: x * 2, "× 2", ""),
        (lambda x: 0.5 - x, "0.5 −", ""),
        (lambda x: x**3, "xʸ", "y=3"),
        (lambda x: x[0, ..., 1:3], "[0, …, 1:3]", ""),
        (lambda x: x[:, None, ::2], "[:, None, ::2]", ""),
        (lambda x: x.sum(axis=1, keepdims=True), "Σ", "axis=1, keepdims=True"),
        (lambda x: x.reshape(6, 2), "reshape", "shape=(6, 2)"),
        (lambda x: autograd.max_pool1d(x[None], 2), "max_pool1d", "kernel_size=2, stride=2"),
        (lambda x: autograd.conv1d(x[None], autograd.ones((1, 3, 2)), padding=1), "conv1d", "kernel 2, padding=1"),
        (lambda x: autograd.leaky_relu(x), "leaky_relu", ""),
        (lambda x: x[np.array([0, 1, 0])], "[int64 3]", ""),
    ],
)
def test_labels_and_parameters(make: Any, label: str, params: str) -> None:
    box = list(tape.read(trace.run(make, np.ones((3, 4), np.float32))).boxes.values())[-2]
    assert (box.label, box.params, box.dtype) == (label, params, "float32")


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 4), (5, 3)),
        (nn.Linear(3, 4), (2, 5, 3)),
        (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 9)),
        (nn.Conv2d(2, 4, (3, 2), dilation=2), (2, 2, 7, 8)),
        (nn.Conv3d(1, 2, 2), (1, 1, 3, 4, 3)),
        (nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), (2, 4, 5)),
        (nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), (2, 2, 4, 3)),
        (nn.Tanh(), (2, 3)),
        (nn.BatchNorm2d(3), (2, 3, 4, 4)),
    ],
)
def test_multiply_adds_are_the_summary_s(layer: nn.Module, shape: tuple[int, ...]) -> None:
    graph = tape.read(
        trace.run(layer, autograd.ones(shape)), names={p.node: (n, "") for n, p in layer.named_parameters()}
    )
    expected = nn.summary(layer, shape)
    assert sum(b.multiply_adds for b in graph.boxes.values()) == expected.multiply_adds
    assert sum(b.weights for b in graph.boxes.values()) == expected.weights
    assert sum(b.biases for b in graph.boxes.values()) == expected.biases


def test_multiply_adds_of_broadcast_products_and_einsum() -> None:
    x, y = tensor(np.ones((5, 1, 2, 3)), requires_grad=True), tensor(np.ones((4, 3, 7)), requires_grad=True)
    for product in (x @ y, autograd.einsum("abij,bjk->ik", x[:, [0, 0, 0, 0]], y)):
        assert sum(b.multiply_adds for b in tape.read(product).boxes.values()) == 5 * 4 * 2 * 3 * 7


# --- size -------------------------------------------------------------------------------------------------------------


def chain(length: int) -> Tensor:
    h = x = tensor([0.5], requires_grad=True)
    for _ in range(length // 2):
        h = autograd.tanh(h * x)
    return h


def test_reading_is_linear_and_does_not_recurse() -> None:
    short, long = chain(2_000), chain(50_000)
    seconds = []
    for h, length in ((short, 2_000), (long, 50_000)):
        start = time.perf_counter()
        graph = tape.read(h)
        seconds.append((time.perf_counter() - start) / length)
        assert len(graph.boxes) == length + 2 and len(graph.edges) == length // 2 * 3 + 1
    assert seconds[1] < 10 * seconds[0]


def test_a_deep_diamond_is_as_large_as_its_nodes() -> None:
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(1_000):
        y = y * y
    graph = tape.read(y)
    assert len(graph.boxes) == 1_002 and len(graph.edges) == 2_001


# --- what has no graph ------------------------------------------------------------------------------------------------


def test_what_cannot_be_drawn_says_why() -> None:
    x = tensor([1.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match=r"draw: the graph was freed .* draw before it"):
        tape.read(y)
    with pytest.raises(GraphError, match=r"draw: tensor of shape \(1,\) has no graph → compute"):
        tape.read(x.detach())
    for wrong in (3, "x", None, np.ones(2), []):
        with pytest.raises(DTypeError, match=r"draw: got .* but a tensor is needed"):
            tape.read(wrong)


# --- samples ----------------------------------------------------------------------------------------------------------

SHAPES = st.sampled_from([(), (3,), (40,), (2, 5), (3, 0), (2, 3, 4), (1, 2, 5, 30), (2, 1, 28, 28)])


@given(SHAPES, st.integers(0, 2**32 - 1), st.sampled_from(["float32", "float64", "int64", "bool"]), st.booleans())
def test_samples_are_statistics_of_the_finite_elements(
    shape: tuple[int, ...], seed: int, dtype: str, bad: bool
) -> None:
    array = np.asarray(np.random.default_rng(seed).normal(size=shape) * 3).astype(dtype)
    if bad and array.size and array.dtype.kind == "f":
        array.reshape(-1)[seed % array.size] = [np.nan, np.inf, -np.inf][seed % 3]
    found = sampling.sample(array)
    finite = array.astype(np.float64)[np.isfinite(array)]
    assert found.bad == array.size - finite.size
    if finite.size:
        expected = [finite.min(), finite.max(), finite.mean(), finite.std(), np.sqrt((finite**2).sum())]
        assert np.allclose([found.low, found.high, found.mean, found.std, found.norm], expected)
    cells = [c for row in found.picture for c in row]
    assert all(0 <= c <= 1 for c in cells) and len({len(row) for row in found.picture}) <= 1
    assert len(found.picture) <= 14 and all(len(row) <= (14 if len(shape) == 4 else 16) for row in found.picture)
    assert bool(cells) == bool(shape and finite.size)


def test_a_picture_shows_the_map_of_the_first_example_on_any_device(device: str) -> None:
    image = np.zeros((2, 3, 28, 28), np.float32)
    image[0, :, :14] = 1
    image[1] = np.nan
    for array in (image, tensor(image, device=device)):
        picture = sampling.sample(array).picture
        assert picture == ((1.0,) * 14,) * 7 + ((0.0,) * 14,) * 7
    assert sampling.sample(np.array([1e300, -1e300])).norm == pytest.approx(np.sqrt(2) * 1e300)
