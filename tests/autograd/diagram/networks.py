"""Networks with time to draw: layers, loops of one's own, and what students write around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import autograd
import nn


class Layer(nn.Module):
    """A recurrent layer between layers that treat all steps alike."""

    def __init__(self, kind: type, use: str, **options: Any) -> None:
        self.use = use
        self.embed = nn.Linear(2, 2) if use == "embedded" else None
        self.rnn = kind(2, 3, **options)
        self.head = nn.Linear(3 * (1 + self.rnn.bidirectional), 2, bias=options.get("bias", True))

    def forward(self, x: Any) -> Any:
        out, states = self.rnn(x if self.embed is None else self.embed(x))
        time = 1 if self.rnn.batch_first else 0
        if self.use == "last":
            out = out[:, -1] if time else out[-1]
        elif self.use == "mean":
            out = out.mean(axis=time)
        elif self.use == "state" and not self.rnn.bidirectional:
            out = (states[0] if isinstance(states, tuple) else states)[-1]
        return self.head(out)


class Reservoir(nn.Module):
    """A cell of an echo state network: its weights are given, it learns nothing."""

    def __init__(self, inputs: int, states: int) -> None:
        self.inner, self.outer = numbers(inputs, states), numbers(states, states)

    def forward(self, x: Any, h: Any = None) -> Any:
        return autograd.tanh(x @ self.inner if h is None else x @ self.inner + h @ self.outer)


class Loop(nn.Module):
    """Cells above one another in a loop whose steps are marked or not."""

    def __init__(self, kinds: list[type], marked: bool, every: bool, feedback: bool) -> None:
        self.marked, self.every, self.feedback = marked, every, feedback
        self.cells = nn.ModuleList([kind(2 if i == 0 else 3, 3) for i, kind in enumerate(kinds)])
        self.head = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        states: list[Any] = [None] * len(self.cells)
        ys, y = [], None
        for t, x_t in enumerate(x, 1):
            if self.marked:
                with autograd.time_step(t):
                    y = self.step(x_t, states, y, t == len(x))
            else:
                y = self.step(x_t, states, y, t == len(x))
            ys += [] if y is None else [y]
        return autograd.stack(ys) if self.every else y

    def step(self, x: Any, states: list[Any], y: Any, last: bool) -> Any:
        x = x if y is None or not self.feedback else x + y
        for i, cell in enumerate(self.cells):
            states[i] = cell(x, states[i])
            x = states[i][0] if isinstance(states[i], tuple) else states[i]
        return self.head(x) if self.every or self.feedback or last else None


class Pair(nn.Module):
    """An encoder, a layer or a loop, and a decoder, a loop that may attend to all its states; marked or not."""

    def __init__(self, layer: bool, marked: bool, attends: bool) -> None:
        self.layer, self.marked, self.attends = layer, marked, attends
        self.encoder = nn.RNN(2, 3) if layer else nn.RNNCell(2, 3)
        self.decoder = nn.GRUCell(2, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, source: Any, target: Any) -> Any:
        if self.layer:
            states, last = self.encoder(source)
            h = last[0]
        else:
            h, hs = None, []
            for t, x in enumerate(source, 1):
                h = self.at(t, self.encoder, x, h)
                hs.append(h)
            states = autograd.stack(hs)
        ys = []
        for t, x in enumerate(target, 1):
            h = self.at(t, self.step, x, h, states)
            ys.append(self.at(t, self.head, h))
        return ys

    def step(self, x: Any, h: Any, states: Any) -> Any:
        h = self.decoder(x, h)
        return h + (autograd.softmax((states * h).sum(-1), axis=0)[..., None] * states).sum(0) if self.attends else h

    def at(self, t: int, run: Any, *inputs: Any) -> Any:
        if not self.marked:
            return run(*inputs)
        with autograd.time_step(t):
            return run(*inputs)


@st.composite
def layers(choose: Any) -> tuple[nn.Module, tuple[Any, ...]]:
    """A layer in a network, and its input."""
    kind = choose(st.sampled_from([nn.RNN, nn.LSTM, nn.GRU]))
    options = {name: choose(st.booleans()) for name in ("bias", "batch_first", "bidirectional")}
    options["num_layers"] = choose(st.integers(1, 2))
    use = choose(st.sampled_from(["all", "last", "mean", "state", "embedded"]))
    shape = (2, choose(st.integers(1, 4)))
    return Layer(kind, use, **options), (numbers(*(shape if options["batch_first"] else shape[::-1]), 2),)


@st.composite
def loops(choose: Any) -> tuple[nn.Module, tuple[Any, ...]]:
    """A loop of one's own, and its input."""
    kinds = choose(st.lists(st.sampled_from([nn.RNNCell, nn.LSTMCell, nn.GRUCell, Reservoir]), min_size=1, max_size=2))
    model = Loop(kinds, *[choose(st.booleans()) for _ in range(3)])
    return model, (numbers(choose(st.integers(2, 4)), 1, 2),)


@st.composite
def pairs(choose: Any) -> tuple[nn.Module, tuple[Any, ...]]:
    """An encoder and a decoder, and their inputs."""
    model = Pair(*[choose(st.booleans()) for _ in range(3)])
    return model, tuple(numbers(choose(st.integers(2, 3)), 1, 2) for _ in range(2))


def numbers(*shape: int) -> autograd.Tensor:
    return autograd.tensor(np.random.default_rng(sum(shape)).normal(size=shape).astype("float32"))


def networks() -> st.SearchStrategy[tuple[nn.Module, tuple[Any, ...]]]:
    return st.one_of(layers(), loops(), pairs())
