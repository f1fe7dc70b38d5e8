"""Networks unfolded in time: the slide's nodes and edges, columns and rows in Graphviz's coordinates, kinds."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from autograd.diagram import dot, draw, render
from autograd.diagram.graph import Graph

SIZES = {"x": 2, "h": 3}


class InStep(nn.Module):
    """A recurrent layer, and a linear layer on the whole sequence of its states."""

    def __init__(self, kind: type = nn.RNN, **options: Any) -> None:
        self.rnn = kind(2, 3, **options)
        self.head = nn.Linear(3 * (1 + self.rnn.bidirectional), 2, bias=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0])


class Last(InStep):
    """Only the last state is used."""

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0][-1])


class LastState(InStep):
    """The same, by way of the layer's final state."""

    def forward(self, x: Any) -> Any:
        states = self.rnn(x)[1]
        h = states[0] if isinstance(states, tuple) else states
        return self.head(autograd.concatenate(list(h[-2:]), -1) if self.rnn.bidirectional else h[-1])


class Cells(nn.Module):
    """A loop of the user's own, with its steps marked or not."""

    def __init__(self, marked: bool) -> None:
        self.marked, self.cell, self.head = marked, nn.RNNCell(2, 3, bias=False), nn.Linear(3, 2, bias=False)

    def forward(self, x: Any) -> Any:
        h, ys = None, []
        for t, x_t in enumerate(x, 1):
            if self.marked:
                with autograd.time_step(t):
                    h = self.cell(x_t, h)
                    ys.append(self.head(h))
            else:
                h = self.cell(x_t, h)
                ys.append(self.head(h))
        return autograd.stack(ys)


class Writer(nn.Module):
    """What it wrote is what it reads next."""

    def __init__(self, steps: int) -> None:
        self.steps, self.cell, self.head = steps, nn.RNNCell(2, 3, bias=False), nn.Linear(3, 2, bias=False)

    def forward(self, x: Any, h: Any = None) -> Any:
        ys = []
        for t in range(1, self.steps + 1):
            with autograd.time_step(t):
                h = self.cell(x, h)
                x = self.head(h)
                ys.append(x)
        return autograd.stack(ys)


class Beginner(Writer):
    """A writer that begins with a state alone."""

    def forward(self, h: Any) -> Any:
        return super().forward(autograd.zeros((1, 2)), h)


class Translator(nn.Module):
    """An encoder, and a decoder that begins where the encoder ended."""

    def __init__(self) -> None:
        self.encoder, self.decoder = nn.RNN(2, 3, bias=False), nn.RNN(2, 3, bias=False)
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, source: Any, target: Any) -> Any:
        return self.head(self.decoder(target, self.encoder(source)[1])[0])


def sequence(steps: int) -> autograd.Tensor:
    return autograd.ones((steps, 1, 2))


def drawn(model: nn.Module, *inputs: Any, **how: Any) -> Graph:
    return nn.draw(model, *inputs, **how).graph


def edges(graph: Graph, kind: str) -> set[tuple[str, str]]:
    return {
        (graph.boxes[e.tail].formula or graph.boxes[e.tail].label, graph.boxes[e.head].formula)
        for e in graph.edges
        if e.kind == kind
    }


H = [f"h{'₀₁₂₃'[t]} = tanh(W_hh h{'₀₁₂₃'[t - 1]} + W_xh x{'₀₁₂₃'[t]})" for t in (1, 2, 3)]
Y = [f"y{t} = W_hy h{t}" for t in "₁₂₃"]


@pytest.mark.parametrize("model", [InStep(bias=False), Cells(True), Cells(False)], ids=["layer", "marked", "unmarked"])
def test_three_steps_are_exactly_the_slide(model: nn.Module) -> None:
    graph = drawn(model, sequence(3))
    weights = {"W_xh", "W_hh", "W_hy"}
    assert sorted(b.formula or b.label for b in graph.boxes.values()) == sorted(
        [*H, *Y, "x₁", "x₂", "x₃", "h₀", *weights]
    )
    assert edges(graph, "parameter") == {(w, h) for h in H for w in ("W_xh", "W_hh")} | {("W_hy", y) for y in Y}
    flows = (
        {("h₀", H[0]), (H[0], H[1]), (H[1], H[2])}
        | {(f"x{t}", h) for t, h in zip("₁₂₃", H, strict=True)}
        | set(zip(H, Y, strict=True))
    )
    assert edges(graph, "data") | edges(graph, "state") == flows
    assert len(graph.edges) == 9 + 9
    assert graph.title == "many to many in step"


def test_a_single_step_is_the_slide_of_the_first() -> None:
    for model in InStep(bias=False), Cells(True):
        graph = drawn(model, sequence(1))
        assert {b.formula or b.label for b in graph.boxes.values()} == {H[0], Y[0], "x₁", "h₀", "W_xh", "W_hh", "W_hy"}
        assert [b.kind for b in graph.boxes.values() if b.formula == H[0]] == ["state"]


def test_what_is_read_first_has_its_own_name_unless_it_is_made_up() -> None:
    given = drawn(Writer(2), sequence(1)[0])
    made_up = drawn(Beginner(2), autograd.ones((1, 3)))
    first = [next(b.formula for b in g.boxes.values() if b.kind == "state" and b.step == 1) for g in (given, made_up)]
    assert first == [H[0], H[0].replace("x₁", "y₀")]


KINDS = {
    "one to one": lambda t: (nn.Sequential(nn.Linear(2, 3), nn.Tanh()), sequence(1)[0]),
    "one to many": lambda t: (Writer(t), sequence(1)[0]),
    "many to one": lambda t: (Last(), sequence(t)),
    "many to many": lambda t: (Translator(), sequence(t), sequence(t) * 2),
    "many to many in step": lambda t: (InStep(), sequence(t)),
}


@pytest.mark.parametrize("kind", KINDS)
@given(steps=st.integers(2, 5))
@settings(max_examples=4)
def test_the_kind_of_sequence_is_recognised(kind: str, steps: int) -> None:
    model, *inputs = KINDS[kind](steps)
    assert drawn(model, *inputs).title == ("" if kind == "one to one" else kind)


def test_the_last_state_is_the_same_by_either_way() -> None:
    one, other = drawn(Last(bias=False), sequence(3)), drawn(LastState(bias=False), sequence(3))
    assert [b.formula for b in one.boxes.values()] == [b.formula for b in other.boxes.values()]
    assert edges(one, "data") == edges(other, "data")


@st.composite
def networks(choose: Any) -> tuple[nn.Module, int, dict[str, Any]]:
    kind = choose(st.sampled_from([nn.RNN, nn.LSTM, nn.GRU]))
    options = {
        "num_layers": choose(st.integers(1, 2)), "bidirectional": choose(st.booleans()), "bias": choose(st.booleans()),
    }  # fmt: skip
    model = choose(st.sampled_from([InStep, Last, LastState]))(kind, **options)
    how = {"depth": choose(st.sampled_from([None, None, 0, 1, 9])), "most_steps": choose(st.sampled_from([3, 20]))}
    return model, choose(st.integers(1, 7)), how


@given(networks())
@settings(max_examples=25)
def test_columns_and_rows_hold_in_graphviz_coordinates(network: Any) -> None:
    model, steps, how = network
    graph = drawn(model, sequence(steps), **how)
    places = json.loads(render.render(dot.write(graph), "json"))["objects"]
    spans: dict[int, list[float]] = {}
    rows: dict[str, set[float]] = {}
    by_id = {o["id"] if "id" in o else o["name"]: o for o in places if "pos" in o}
    found = 0
    for id, box in graph.boxes.items():
        if box.column is None:
            continue
        place = by_id[id]
        found += 1
        x, y = map(float, place["pos"].split(","))
        half = float(place["width"]) * 36
        spans.setdefault(box.column, []).extend([x - half, x + half])
        rows.setdefault(box.row, set()).add(round(y, 1))
    assert found == sum(box.column is not None for box in graph.boxes.values())
    ordered = sorted(spans)
    for left, right in itertools.pairwise(ordered):
        assert max(spans[left]) < min(spans[right])
    assert all(len(heights) == 1 for heights in rows.values())


@given(networks())
@settings(max_examples=25)
def test_every_weight_is_drawn_once_with_an_edge_to_every_use(network: Any) -> None:
    model, steps, how = network
    graph = drawn(model, sequence(steps), **(how | {"most_steps": 20}))
    names = [b.name for b in graph.boxes.values() if b.kind == "parameter"]
    assert sorted(names) == sorted(set(names) & {n for n, _ in model.named_parameters()})
    for box in graph.boxes.values():
        if box.kind == "parameter" and box.name.startswith("rnn."):
            uses = [e for e in graph.edges if e.tail == box.id]
            assert {graph.boxes[e.head].column for e in uses} == set(graph.columns)


def test_a_folded_network_is_one_box_with_its_loop() -> None:
    graph = drawn(InStep(bias=False), sequence(5), time="fold")
    assert [b.formula or b.label for b in graph.boxes.values()] == [
        "xₜ",
        "hₜ = tanh(W_hh hₜ₋₁ + W_xh xₜ)",
        "yₜ = W_hy hₜ",
    ]
    assert [(e.tail, e.head, e.lag) for e in graph.edges if e.tail == e.head] == [("rnn", "rnn", 1)]


def test_a_long_sequence_has_an_ellipsis() -> None:
    graph = drawn(InStep(bias=False), sequence(40))
    assert list(graph.columns.values()) == ["t = 1", "t = 2", "t = 3", "⋯", "t = 40"]
    last = next(b for b in graph.boxes.values() if b.kind == "state" and b.step == 40)
    assert last.formula == "h₄₀ = tanh(W_hh h₃₉ + W_xh x₄₀)"


def test_a_decoder_stands_right_of_its_encoder() -> None:
    graph = drawn(Translator(), sequence(3), sequence(3) * 2)
    column = {b.formula: b.column for b in graph.boxes.values() if b.formula}
    encoder = [b.column for b in graph.boxes.values() if b.id.startswith("encoder")]
    decoder = [b.column for b in graph.boxes.values() if b.id.startswith("decoder")]
    assert max(c for c in encoder if c) < min(c for c in decoder if c)
    assert column and list(graph.columns.values()) == ["t = 1", "t = 2", "t = 3"] * 2


def test_truncation_is_a_cut() -> None:
    graph = drawn(InStep(bias=False, truncate=2), sequence(5))
    cut = {(graph.boxes[e.tail].step, graph.boxes[e.head].step) for e in graph.edges if e.kind == "cut"}
    assert cut == {(2, 3), (4, 5)}


def test_gradients_of_a_loss_at_the_last_step_reach_every_step() -> None:
    graph = drawn(InStep(bias=False), sequence(4), gradients=True, loss=lambda y: (y[-1] ** 2).sum())
    back = {e.tail: e.norm for e in graph.edges if e.kind == "state" and graph.boxes[e.tail].step}
    assert len(back) == 3 and all(norm and norm > 0 for norm in back.values())
    unused = [
        e.norm
        for e in graph.edges
        if e.kind == "data" and graph.boxes[e.head].kind == "output" and graph.boxes[e.head].step != 4
    ]
    assert unused and not any(unused)


@pytest.mark.parametrize(
    ("how", "words"), [({"time": "sideways"}, "unfold"), ({"depth": -1}, "0, 1, 2"), ({"most_steps": 1}, "at least 2")]
)
def test_unknown_views_are_refused(how: dict[str, Any], words: str) -> None:
    with pytest.raises(autograd.errors.DomainError, match=words):
        draw.draw(InStep(), sequence(2), **how)
