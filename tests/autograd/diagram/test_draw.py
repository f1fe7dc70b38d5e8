"""Drawing touches nothing; what is folded is what is unfolded, once; the same drawing twice is the same text."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.diagram.drawing import Drawing
from autograd.random import default_generator

from .networks import networks, numbers


class Busy(nn.Module):
    """Everything that could be changed by running it: statistics, masks, noise, frozen and used gradients."""

    def __init__(self) -> None:
        self.conv, self.norm, self.drop = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)
        self.rnn, self.head = nn.GRU(2, 3, dropout=0.5, num_layers=2), nn.Linear(3, 1)

    def forward(self, x: Any) -> Any:
        x = self.drop(autograd.relu(self.norm(self.conv(x)))).mean(axis=(-2, -1))
        return self.head(self.rnn(x[:, None] + 0.1 * autograd.normal((len(x), 1, 2)))[0])


def everything(model: nn.Module, x: Any) -> list[Any]:
    """All that a run could change, as numbers."""
    grads = [None if p.grad is None else p.grad.data.copy() for p in model.parameters()]
    flags = [[m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]]
    arrays = [t.data.copy() for t in model.state_dict().values()]
    return [arrays, grads, flags, x.data.copy(), x.requires_grad, default_generator().get_state()]


@given(st.sampled_from(["unfold", "fold"]), st.booleans(), st.booleans(), st.sampled_from([None, 0, 9]))
def test_drawing_changes_nothing(time: str, train: bool, wanted: bool, depth: int | None) -> None:
    model, x = Busy().train(train), numbers(3, 1, 5, 5)
    x.requires_grad_(wanted)
    model.conv.bias.requires_grad_(False)
    model(x).sum().backward()
    before = everything(model, x)
    with autograd.no_grad() if wanted else autograd.enable_grad():
        drawing = nn.draw(model, x, time=time, depth=depth, values=True, gradients=True, loss=lambda y: (y**2).sum())
    assert drawing.dot
    np.testing.assert_equal(everything(model, x), before)


@given(networks(), st.sampled_from(["unfold", "fold"]), st.booleans())
def test_the_same_drawing_twice_is_the_same_text(network: Any, time: str, values: bool) -> None:
    model, inputs = network
    assert len({nn.draw(model, *inputs, time=time, values=values, gradients=values).dot for _ in range(2)}) == 1


@given(networks())
def test_a_folded_view_has_what_an_unfolded_one_has_once(network: Any) -> None:
    model, inputs = network
    unfolded, folded = (nn.draw(model, *inputs, time=t, most_steps=99).full.boxes for t in ("unfold", "fold"))
    rows = {b.row: b for b in unfolded.values() if b.step is not None}
    once = rows | {id: b for id, b in unfolded.items() if b.step is None}
    missing = [once[id] for id in once.keys() - folded.keys()]
    assert folded.keys() <= once.keys()
    assert all(b.kind == "state" and b.op == "constant" for b in missing)  # zeros to begin with
    assert all((folded[id].op, folded[id].shape) == (b.op, b.shape) for id, b in rows.items() if id in folded)


@pytest.mark.parametrize("again", [True, False])
def test_zeros_to_begin_with_are_folded_away_unless_something_else_needs_them(again: bool) -> None:
    cell = nn.RNNCell(2, 3, bias=False)

    def loop(x: Any) -> Any:
        h = start = autograd.zeros((1, 3))
        for t, x_t in enumerate(x, 1):
            with autograd.time_step(t):
                h = autograd.named("h", cell(x_t, h) + start if again else cell(x_t, h))
        return h

    boxes = autograd.draw(loop, numbers(3, 1, 2), time="fold").graph.boxes
    assert [b.label for b in boxes.values() if b.op == "constant"] == ["h₀"] * again


@given(networks(), st.sampled_from([None, 0, 1, 2, 9]), st.sampled_from(["unfold", "fold"]))
def test_every_weight_is_drawn_once_or_counted_where_it_is_used(network: Any, depth: int | None, time: str) -> None:
    model, inputs = network
    boxes = nn.draw(model, *inputs, depth=depth, time=time, most_steps=99).graph.boxes.values()
    names = [b.name for b in boxes if b.kind == "parameter"]
    assert len(names) == len(set(names))
    assert sum(b.weights + b.biases for b in boxes) == sum(p.size for p in model.parameters())


@pytest.mark.parametrize("time", ["unfold", "fold"])
def test_a_frozen_network_is_drawn_as_it_is_without_gradients_of_its_weights(time: str) -> None:
    model, x = Busy().eval(), numbers(3, 1, 5, 5)
    how: dict[str, Any] = {"time": time, "gradients": True, "depth": 9}
    learning = nn.draw(model, x, **how).graph
    model.requires_grad_(False)
    frozen = nn.draw(model, x, **how).graph
    assert frozen.boxes.keys() == learning.boxes.keys()
    weights = [b for b in frozen.boxes.values() if b.kind == "parameter"]
    assert weights and all(b.gradient is None for b in weights)
    assert all(learning.boxes[b.id].gradient is not None for b in weights)


def test_results_of_states_are_told_where_not_all_are() -> None:
    class Ends(nn.RNN):
        def forward(self, x: Any) -> Any:  # type: ignore[override]
            return super().forward(x)[1]

    def results(drawing: Drawing) -> list[str]:
        return [b.label for b in drawing.graph.boxes.values() if b.kind == "output"]

    assert results(nn.draw(Ends(2, 3), numbers(3, 1, 2))) == ["h₃"]
    assert results(nn.draw(nn.RNN(2, 3), numbers(3, 1, 2))) == []  # every state is
    assert results(nn.draw(nn.LSTM(2, 3), numbers(3, 1, 2))) == ["c₃"]
