"""Operations on whole sequences become one box per step: which axes are kept apart, and what is drawn then."""

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import autograd
import nn
from autograd import composites, registry
from autograd.diagram import loops, tape, trace
from autograd.diagram.axes import input_axis
from autograd.diagram.graph import Box
from autograd.diagram.parallel import parallel
from autograd.diagram.words import subscript
from autograd.testing import samples

from .formulas import assert_computed
from .networks import layers, networks

OPS = {name: op for name, op in {**registry, **composites}.items() if not name.endswith("_example")}


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_axis_that_is_kept_apart_can_be_computed_slice_by_slice(name: str) -> None:
    op = OPS[name]
    for case in op.cases:
        sample = samples.draw(op, np.random.default_rng(zlib.crc32(name.encode())), case)
        out = sample.bind(op.call)(*sample.inputs)
        if not isinstance(out, np.ndarray) or name == "dropout":
            continue
        box = Box(name, "operation", name, op=name, shape=out.shape, given=sample.params)
        for axis in range(out.ndim):
            slots = [
                None if x is None or np.ndim(x) == 0 else input_axis(box, i, x.shape, axis)
                for i, x in enumerate(sample.inputs)
            ]
            if slots.count(None) == len(slots):
                continue
            for i in range(out.shape[axis]):
                part = [x if s is None else np.take(x, [i], axis=s) for x, s in zip(sample.inputs, slots, strict=True)]
                expected = np.take(out, [i], axis=axis)
                np.testing.assert_allclose(sample.bind(op.call)(*part), expected, rtol=1e-9, atol=1e-12)


class Twice(nn.Module):
    """The operation of its steps once more, on all states at a time."""

    def __init__(self) -> None:
        self.w = nn.Parameter(autograd.ones((2, 2)))

    def forward(self, x: Any) -> Any:
        h, states = autograd.zeros((1, 2)), []
        for t, x_t in enumerate(x, 1):
            with autograd.time_step(t):
                h = autograd.tanh(h @ self.w + x_t)
                states.append(h)
        return autograd.tanh(autograd.stack(states))


def test_copies_are_called_as_nothing_else() -> None:
    graph = nn.draw(nn.Sequential(Twice(), nn.Linear(2, 1)), autograd.ones((3, 1, 2)), time="unfold", depth=9).graph
    inputs = graph.inputs()
    squashed = [box.id for box in graph.boxes.values() if box.op == "tanh"]
    assert len(squashed) == 6 and all(len(inputs[id]) == 1 for id in squashed)


class Padded(nn.Module):
    """Rows of different lengths, in one or both directions."""

    def __init__(self, **options: Any) -> None:
        self.rnn = nn.RNN(2, 3, bias=False, **options)
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x, lengths=[4, 2])[0])


@pytest.mark.parametrize("options", [{}, {"truncate": 2}], ids=["whole", "truncated"])
def test_every_step_of_a_padded_batch_reads_the_same(options: dict[str, int]) -> None:
    x = autograd.ones((4, 2, 2))
    formulas = {box.formula for box in nn.draw(Padded(**options), x, time="unfold").graph.boxes.values()}
    assert formulas >= {f"y{t} = W_hy h{t}" for t in "₁₂₃₄"}
    assert "yₜ = W_hy hₜ" in {box.formula for box in nn.draw(Padded(**options), x, time="fold").graph.boxes.values()}


@given(networks())
def test_what_is_drawn_step_by_step_computes_the_same(network: Any) -> None:
    model, inputs = network
    assert_computed(parallel(loops.infer(tape.read(trace.run(model, *inputs), values=True))))


@given(networks())
def test_parts_add_up(network: Any) -> None:
    """Multiply-adds, and what flows back, are neither lost nor counted twice."""
    model, inputs = network
    outputs = trace.run(model, *inputs)
    whole = loops.infer(tape.read(outputs, gradients=trace.gradients(outputs)))
    parts = parallel(whole)
    assert sum(b.multiply_adds for b in parts.boxes.values()) == sum(b.multiply_adds for b in whole.boxes.values())
    for box in whole.boxes.values():
        if box.kind == "data" and box.id not in parts.boxes:
            steps = [b.gradient.ravel() for b in parts.boxes.values() if b.id.startswith(f"{box.id}.t")]
            np.testing.assert_array_equal(np.sort(np.concatenate(steps)), np.sort(box.gradient.ravel()))


@given(layers())
def test_sequences_are_drawn_step_by_step(network: Any) -> None:
    """What a layer over time reads and hands on is nowhere a whole, unless something needs all steps together."""
    model, inputs = network
    graph = nn.draw(model, *inputs, depth=9).graph
    outside = [b for b in graph.boxes.values() if b.column is None and b.kind in ("data", "operation") and not b.time]
    assert model.use == "mean" or not outside
    data = [b for b in graph.boxes.values() if b.kind == "data"]
    steps = inputs[0].shape[model.rnn.batch_first]
    assert [b.label for b in data] == [f"x{subscript(str(t))}" for t in range(1, steps + 1)]
