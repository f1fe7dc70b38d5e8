"""Loops are found whether their steps are marked or not, told apart, and laid out so that time never runs backwards."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.diagram import loops as looping
from autograd.diagram import tape, trace
from autograd.diagram.graph import Graph

from .networks import Layer, Loop, Pair, loops, networks, numbers, pairs


def drawn(model: nn.Module, *inputs: Any, **how: Any) -> str:
    """The picture without tool tips and boxes' ids."""
    drawing = nn.draw(model, *inputs, **how)
    text = re.sub(r' tooltip="(\\.|[^"\\])*"', "", drawing.dot)
    for number, id in enumerate(drawing.graph.boxes):
        text = text.replace(f'"{id}"', str(number))
    return text


@given(st.one_of(loops(), pairs()), st.sampled_from(["unfold", "fold"]), st.sampled_from([None, 1, 9]))
def test_loops_are_drawn_alike_whether_their_steps_are_marked_or_not(network: Any, time: str, depth: int) -> None:
    model, inputs = network
    if isinstance(model, Loop):
        model.every |= not model.feedback  # what is called once may belong to a step or come after the loop
    pictures = []
    for model.marked in (True, False):
        pictures.append(drawn(model, *inputs, time=time, depth=depth))
    assert pictures[0] == pictures[1]


@given(st.lists(st.tuples(st.integers(2, 6), st.booleans(), st.integers(1, 2)), min_size=1, max_size=4))
def test_every_loop_goes_through_its_steps_once(parts: list[tuple[int, bool, int]]) -> None:
    steps, expected, down = [], [], False
    for number, (count, back, visits) in enumerate(parts, 1):
        down = back and not down and number > 1  # a loop that goes back begins where the one before ended
        count = parts[number - 2][0] if down else count
        parts[number - 1] = (count, back, visits)
        ways = range(count, 0, -1) if down else range(1, count + 1)
        steps += [t for t in ways for _ in range(1 if down else visits)]
        expected += [number] * (count if down else count * visits)
    assert looping._rounds(steps, marked=True) == expected


@given(networks())
def test_what_is_in_a_step_is_in_its_group_and_steps_hold_the_same(network: Any) -> None:
    model, inputs = network
    graph = looping.infer(tape.read(trace.run(model, *inputs)))
    assert list(graph.groups) == [g.id for g in graph.groups.values()] and list(graph.boxes) == [
        b.id for b in graph.boxes.values()
    ]
    for box in graph.boxes.values():
        steps = [g.step for g in graph.path(box.group) if g.step is not None]
        assert box.step == (steps[0] if steps else None)
    assert {e.tail for e in graph.edges} | {e.head for e in graph.edges} <= graph.boxes.keys()
    again = looping.infer(graph)
    assert list(again.boxes) == list(graph.boxes) and list(again.groups) == list(graph.groups)


@given(pairs())
def test_nothing_goes_back_in_time_between_an_encoder_and_its_decoder(network: Any) -> None:
    model, inputs = network
    graph = nn.draw(model, *inputs).graph
    column = {id: box.column for id, box in graph.boxes.items() if box.column is not None}
    assert all(column[e.tail] <= column[e.head] for e in graph.edges if {e.tail, e.head} <= column.keys())
    assert list(graph.columns.values()) == [f"t = {t}" for x in inputs for t in range(1, len(x) + 1)]
    assert graph.title == "many to many"


def test_two_directions_by_hand_share_their_columns() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            self.right, self.left = nn.RNNCell(2, 3, bias=False), nn.RNNCell(2, 3, bias=False)
            self.head = nn.Linear(6, 2, bias=False)

        def forward(self, x: Any) -> Any:
            states: dict[str, list[Any]] = {"right": [], "left": []}
            for name, ways in (("right", range(len(x))), ("left", range(len(x))[::-1])):
                h = None
                for t in ways:
                    with autograd.time_step(t + 1):
                        h = getattr(self, name)(x[t], h)
                        states[name].append(h)
            ys = []
            for t, both in enumerate(zip(states["right"], states["left"][::-1], strict=True), 1):
                with autograd.time_step(t):
                    ys.append(self.head(autograd.concatenate(list(both), -1)))
            return autograd.stack(ys)

    def formulas(graph: Graph) -> set[str]:
        return {b.formula for b in graph.boxes.values() if b.step == 2 and b.formula}

    graph = nn.draw(Both(), numbers(3, 1, 2)).graph
    assert graph.title == "many to many in step" and list(graph.columns) == [1, 2, 3]
    assert formulas(graph) == {
        "h₂ = tanh(W_hh h₁ + W_xh x₂)", "h′₂ = tanh(W_hh h′₃ + W_xh x₂)", "y₂ = W_head [h₂; h′₂]"
    }  # fmt: skip
    layer = Layer(nn.RNN, "all", bias=False, bidirectional=True)
    assert "y₂ = W_head [h₂; h′₂]" in formulas(nn.draw(layer, numbers(3, 1, 2)).graph)


def test_loops_of_different_lengths_stand_side_by_side() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.short, self.long = nn.RNNCell(2, 3), nn.RNNCell(2, 3)

        def forward(self, x: Any, z: Any) -> Any:
            h = g = None
            for x_t in x:
                h = self.short(x_t, h)
            for z_t in z:
                g = self.long(z_t, g)
            return h + g

    graph = nn.draw(Two(), numbers(2, 1, 2), numbers(5, 1, 2)).graph
    states = [b.formula.partition(" ")[0] for b in graph.boxes.values() if b.kind == "state" and b.step]
    assert list(graph.columns) == [1, 2, 3, 4, 5]
    assert sorted(states) == sorted([f"h⁽¹⁾{t}" for t in "₁₂"] + [f"h⁽²⁾{t}" for t in "₁₂₃₄₅"])


def test_a_weight_tied_deep_network_is_no_pair_of_siamese_twins() -> None:
    class Twins(nn.Module):
        def __init__(self) -> None:
            self.body = nn.Linear(2, 2)

        def forward(self, a: Any, b: Any) -> Any:
            return self.body(a) - self.body(b)

    class Deep(Twins):
        def forward(self, a: Any, b: Any) -> Any:
            return self.body(autograd.tanh(self.body(autograd.tanh(self.body(a)))))

    inputs = numbers(1, 2), numbers(1, 2)
    assert not nn.draw(Twins(), *inputs).graph.columns
    assert list(nn.draw(Deep(), *inputs).graph.columns) == [1, 2, 3]


def test_another_loop_with_the_same_cell_is_a_loop_of_its_own() -> None:
    model = Pair(layer=False, marked=True, attends=False)
    model.decoder = model.encoder
    graph = nn.draw(model, numbers(2, 1, 2), numbers(3, 1, 2)).graph
    assert list(graph.columns.values()) == ["t = 1", "t = 2", "t = 1", "t = 2", "t = 3"]
    heads = [b for b in graph.boxes.values() if b.kind == "output"]
    assert [b.column for b in heads] == [3, 4, 5] and len({b.row for b in heads}) == 1


def test_what_makes_the_initial_state_stands_before_the_loop() -> None:
    class Caption(Loop):
        def __init__(self) -> None:
            super().__init__([nn.RNNCell], marked=False, every=True, feedback=False)
            self.see = nn.Linear(4, 3)

        def forward(self, image: Any, x: Any) -> Any:
            h, ys = autograd.tanh(self.see(image)), []
            for x_t in x:
                h = self.cells[0](x_t, h)
                ys.append(self.head(h))
            return autograd.stack(ys)

    graph = nn.draw(Caption(), numbers(1, 4), numbers(3, 1, 2)).graph
    before = [b for b in graph.boxes.values() if b.column is None and b.kind != "parameter"]
    assert [b.label for b in before] == ["image", "see", "tanh → h₀"]
