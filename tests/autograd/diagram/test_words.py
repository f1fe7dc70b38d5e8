"""Every formula is true: what it says of the recorded values is what the program computed, in every view."""

import operator
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

import autograd
import nn
from autograd.diagram.drawing import Drawing

from .formulas import at, is_true, known, results
from .networks import Layer, layers, networks, numbers


def formulas(drawing: Drawing) -> list[tuple[Any, str]]:
    return [(box, box.formula) for box in drawing.graph.boxes.values() if box.formula]


@given(networks(), st.sampled_from([None, 0, 1, 2]))
@example((Layer(nn.RNN, "mean", num_layers=2), (numbers(2, 1, 2),)), 0)  # hands on all steps at once
def test_formulas_of_an_unfolded_network_are_true(network: Any, depth: int | None) -> None:
    model, inputs = network
    drawing = nn.draw(model, *inputs, depth=depth, values=True)
    names = known(drawing)
    for box, formula in formulas(drawing):
        assert is_true(formula, results(drawing, box, formula.partition(" = ")[0]), names), formula


@given(networks())
def test_formulas_of_other_values_are_false(network: Any) -> None:
    model, inputs = network
    drawing = nn.draw(model, *inputs, values=True)
    moved = {name: [v + 1 for v in values] for name, values in known(drawing).items()}
    for box, formula in formulas(drawing):
        assert not is_true(formula, results(drawing, box, formula.partition(" = ")[0]), moved), formula


@given(layers())
def test_formulas_of_a_folded_network_are_true_at_every_step(network: Any) -> None:
    model, inputs = network
    unfolded = nn.draw(model, *inputs, values=True)
    names = known(unfolded)
    for _, formula in formulas(nn.draw(model, *inputs, time="fold")):
        for t in unfolded.graph.columns:
            text = at(formula, t)
            assert is_true(text, names[text.partition(" = ")[0]], names), text


@given(st.sampled_from([nn.RNN, nn.GRU]), st.booleans(), st.integers(2, 4))
def test_formulas_beside_an_ellipsis_name_values_that_are_not_shown(kind: type, both: bool, most: int) -> None:
    model, x = Layer(kind, "all", bias=False, bidirectional=both), numbers(9, 1, 2)
    names = known(nn.draw(model, x, values=True, most_steps=9))
    shown = formulas(nn.draw(model, x, most_steps=most))
    assert len(shown) == (2 + both) * (most // 2 + 1)
    for _, formula in shown:
        assert is_true(formula, names[formula.partition(" = ")[0]], names), formula


class Expression(nn.Module):
    """A loop whose steps compute an expression of what they read and of the state."""

    def __init__(self, step: Any) -> None:
        self.step, self.W, self.U = step, nn.Parameter(numbers(2, 2).data), nn.Parameter(numbers(2, 4).data)

    def forward(self, x: Any, h: Any) -> Any:
        for t, x_t in enumerate(x, 1):
            with autograd.time_step(t):
                h = autograd.named("h", self.step(self, x_t, h))
        return h


LEAVES = (
    lambda m, x, h: x, lambda m, x, h: h, lambda m, x, h: x @ m.W.T,
    lambda m, x, h: autograd.concatenate([x, h]) @ m.U.T,
)  # fmt: skip
UNARY = (
    autograd.tanh, autograd.sigmoid, autograd.relu, autograd.negative, lambda v: autograd.sqrt(v * v),
    lambda v: 1 - v, lambda v: v - 0.25, lambda v: 0.5 * v, lambda v: v / 3,
)  # fmt: skip
BINARY = (operator.add, operator.sub, operator.mul)


def applied(function: Any, *parts: Any) -> Any:
    return lambda *given: function(*[part(*given) for part in parts])


def expressions() -> st.SearchStrategy[Any]:
    """Sums, products and functions of what a step reads and the state, which is in each of them."""

    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        one = st.builds(applied, st.sampled_from(UNARY), inner)
        return one | st.builds(applied, st.sampled_from(BINARY), inner, inner)

    tree, h = st.recursive(st.sampled_from(LEAVES), larger, max_leaves=4), st.just(LEAVES[1])
    two = st.sampled_from(BINARY)
    return st.builds(applied, two, h, tree) | st.builds(applied, two, tree, h)


@given(expressions())
def test_formulas_of_any_expression_are_true(step: Any) -> None:
    drawing = nn.draw(Expression(step), numbers(2, 2), numbers(2), values=True, depth=0)
    names, found = known(drawing), formulas(drawing)
    assert len(found) in (0, 2)
    for box, formula in found:
        assert is_true(formula, results(drawing, box, formula.partition(" = ")[0]), names), formula


class Gaps(nn.Module):
    """Reads what the step before the last computed too, from whatever number its steps begin."""

    def __init__(self, steps: list[int]) -> None:
        self.steps, self.cell = steps, nn.RNNCell(2, 2, bias=False)

    def forward(self, x: Any) -> Any:
        h = before = autograd.zeros((1, 2))
        for t, x_t in zip(self.steps, x, strict=True):
            with autograd.time_step(t):
                h, before = autograd.named("s", self.cell(x_t, h) * before), h
        return h


@given(st.lists(st.integers(-9, 99), min_size=3, max_size=5, unique=True).map(sorted))
def test_steps_may_begin_anywhere_and_leave_out_numbers(steps: list[int]) -> None:
    drawing = nn.draw(Gaps(steps), numbers(len(steps), 1, 2), values=True)
    assert list(drawing.graph.columns.values()) == [f"t = {t}".replace("-", "−") for t in steps]
    found = formulas(drawing)
    assert len(found) == len(steps)
    for box, formula in found:
        assert is_true(formula, results(drawing, box, formula.partition(" = ")[0]), known(drawing)), formula


def test_a_value_without_a_name_is_in_no_formula() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.cell = nn.RNNCell(2, 2)

        def forward(self, x: Any) -> Any:
            h = autograd.zeros((1, 2))
            for t, x_t in enumerate(x, 1):
                with autograd.time_step(t):
                    h = self.cell(autograd.exp(x_t), h)
            return h

    graph = nn.draw(Sum(), numbers(3, 1, 2)).graph
    assert {b.label for b in graph.boxes.values() if b.kind == "state" and b.step} == {"cell"}
    assert not any(b.formula for b in graph.boxes.values())
