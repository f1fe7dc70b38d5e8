"""Recurrent networks: one step, and the loop over time that is their definition.

The same weights at every step, terms in the order of the lecture, h = tanh(W_hh h + W_xh x). Every step runs inside
``time_step(t)`` and gives its values their names, so that a diagram of the loop is the unfolded network.

>>> import autograd
>>> x, h, w = autograd.ones((3, 1, 2)), autograd.zeros((1, 2)), autograd.eye(2)
>>> output, last = autograd.rnn(x, h, w, w)
>>> output[:, 0].round(4)
tensor([[0.7616, 0.7616],
        [0.9427, 0.9427],
        [0.9597, 0.9597]])
>>> output[-1].tolist() == last.tolist()
True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import backend
from ..core.composite import composite
from ..core.scope import time_step
from ..core.tensor import Tensor, named
from ..errors import DomainError, ShapeError
from .activation import relu, sigmoid
from .arithmetic import where
from .exponential import tanh
from .shape import split, stack, unstack

NONLINEARITIES: dict[str, Callable[..., Any]] = {"tanh": tanh, "relu": relu}
States = tuple[Any, ...]


# --- one step ---------------------------------------------------------------------------------------------------------


def _weighted(h: Any, x: Any, w_xh: Any, w_hh: Any, b_xh: Any, b_hh: Any) -> Any:
    """W_hh h + W_xh x + b_hh + b_xh, biases only where there are any."""
    total = h @ w_hh.T + x @ w_xh.T
    for b in (b_hh, b_xh):
        total = total if b is None else total + b
    return total


def _rnn_step(x: Any, h: Any, *weights: Any, nonlinearity: str) -> States:
    return (named("h", NONLINEARITIES[nonlinearity](_weighted(h, x, *weights))),)


def _lstm_step(x: Any, h: Any, c: Any, *weights: Any) -> States:
    i, f, g, o = split(_weighted(h, x, *weights), 4, -1)
    i, f, o = named("i", sigmoid(i)), named("f", sigmoid(f)), named("o", sigmoid(o))
    g = named("g", tanh(g))
    c = named("c", f * c + i * g)
    return named("h", o * tanh(c)), c


def _gru_step(x: Any, h: Any, w_xh: Any, w_hh: Any, b_xh: Any, b_hh: Any) -> States:
    from_h, from_x = h @ w_hh.T, x @ w_xh.T
    h_r, h_z, h_n = split(from_h if b_hh is None else from_h + b_hh, 3, -1)
    x_r, x_z, x_n = split(from_x if b_xh is None else from_x + b_xh, 3, -1)
    r = named("r", sigmoid(h_r + x_r))
    z = named("z", sigmoid(h_z + x_z))
    n = named("n", tanh(r * h_n + x_n))
    return (named("h", (1 - z) * n + z * h),)


@composite(
    "x: ... D, h: ... H, w_xh: H D, w_hh: H H, b_xh: H, b_hh: H -> ... H",
    cases=({}, {"nonlinearity": "relu", "b_xh": None, "b_hh": None}),
    source="Elman, Finding structure in time, Cognitive Science 14 (1990)",
)
def rnn_cell(
    x: Any, h: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None, nonlinearity: str = "tanh"
) -> Any:
    """One step of a recurrent network, h = tanh(W_hh h + W_xh x + b_hh + b_xh), or with relu."""
    _check_nonlinearity("rnn_cell", nonlinearity)
    return _rnn_step(x, h, w_xh, w_hh, b_xh, b_hh, nonlinearity=nonlinearity)[0]


@composite(
    "x: ... D, h: ... H, c: ... H, w_xh: H*4 D, w_hh: H*4 H, b_xh: H*4, b_hh: H*4 -> h: ... H, c: ... H",
    cases=({}, {"b_xh": None, "b_hh": None}),
    source="Hochreiter & Schmidhuber 1997; forget gate of Gers, Schmidhuber & Cummins 2000",
)
def lstm_cell(x: Any, h: Any, c: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None) -> Any:
    """One step of an LSTM: c = f·c + i·g, h = o·tanh(c), with i, f, o = σ(W_hh h + W_xh x + b) and g = tanh(…).

    The weights' rows are those of i, f, g, o in this order. Returns h and c.
    """
    return _lstm_step(x, h, c, w_xh, w_hh, b_xh, b_hh)


@composite(
    "x: ... D, h: ... H, w_xh: H*3 D, w_hh: H*3 H, b_xh: H*3, b_hh: H*3 -> ... H",
    cases=({}, {"b_xh": None, "b_hh": None}),
    source="Cho et al., EMNLP 2014, eq. 5 to 8; r after the product with W_hh, as cuDNN has it",
)
def gru_cell(x: Any, h: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None) -> Any:
    """One step of a GRU: h = (1 − z)·n + z·h, with r, z = σ(W_hh h + W_xh x + b), n = tanh(r·(W_hh h + b) + W_xh x).

    Each has its own part of the weights: rows for r, z, n in this order.
    """
    return _gru_step(x, h, w_xh, w_hh, b_xh, b_hh)[0]


# --- over time --------------------------------------------------------------------------------------------------------


def _unfold(
    op: str, step: Callable[..., States], x: Any, states: States, weights: Sequence[Any],
    lengths: Sequence[int] | None, axis: int, reverse: bool, truncate: int | None,
) -> States:  # fmt: skip
    """Run the step at every time; return the outputs, which are the first state at all times, and the last states.

    A row is running at the steps 1 … length: at the others it keeps its states, gives zeros, and takes no gradient.
    """
    running = _running(op, x, states[0], lengths, axis, truncate)
    steps = list(enumerate(unstack(x, axis), 1))
    ran = None  # which rows were running at the step before; None: all of them
    outputs: list[Any] = []
    for t, x_t in reversed(steps) if reverse else steps:
        with time_step(t):
            if truncate and outputs and (t if reverse else t - 1) % truncate == 0:
                before = tuple([_cut(s, ran) for s in states])
            else:
                before = states
            runs = running[t - 1]
            if runs is None:
                states = step(x_t, *before, *weights)
                outputs.append(states[0])
            else:
                x_t = where(runs, x_t, 0)  # what pads a row may be anything, even NaN
                after = step(x_t, *before, *weights)
                states = tuple([where(runs, new, old) for new, old in zip(after, states, strict=True)])
                outputs.append(where(runs, after[0], 0))
            ran = runs
    return stack(outputs[::-1] if reverse else outputs, axis), *states


def _cut(state: Any, ran: Any) -> Any:
    """The state without its history; a row that has not begun still has its initial state, which no one cuts."""
    constant = state.detach() if isinstance(state, Tensor) else state
    return constant if ran is None else where(ran, constant, state)


def _running(op: str, x: Any, h: Any, lengths: Sequence[int] | None, axis: int, truncate: int | None) -> Sequence[Any]:
    """For every step a column that says which rows run, None for all of them; check what the contract cannot."""
    if len(x.shape) != 3 or axis not in (0, 1):
        raise ShapeError(
            f"{op}: x has shape {tuple(x.shape)} and axis={axis}, but x must be T N D with axis=0 or N T D with axis=1 "
            "→ reshape x, or give the axis of time"
        )
    steps, rows = x.shape[axis], x.shape[1 - axis]
    if not steps:
        raise ShapeError(f"{op}: x has shape {tuple(x.shape)}, that is T=0 time steps → give at least one")
    if h.shape[0] != rows:
        raise ShapeError(f"{op}: h has N={h.shape[0]} but x {tuple(x.shape)} has N={rows} → expected {rows}")
    if truncate is not None and truncate < 1:
        raise DomainError(f"{op}: truncate is {truncate} but a number of steps is needed → choose at least 1, or None")
    if lengths is None:
        return [None] * steps
    if len(lengths) != rows or not all(1 <= n <= steps for n in lengths):
        raise DomainError(
            f"{op}: lengths is {list(lengths)} but x has N={rows} rows of T={steps} steps "
            f"→ give {rows} integers from 1 to {steps}"
        )
    table = np.arange(1, steps + 1)[:, None, None] <= np.asarray(lengths)[:, None]
    raw = x.data if isinstance(x, Tensor) else x
    home = backend.of(raw)
    table = home.from_host(table, home.device_of(raw))
    return [None if t < min(lengths, default=0) else table[t] for t in range(steps)]


def _check_nonlinearity(op: str, nonlinearity: str) -> None:
    if nonlinearity not in NONLINEARITIES:
        raise DomainError(f"{op}: nonlinearity is {nonlinearity!r} → choose one of {', '.join(NONLINEARITIES)}")


_CASES: tuple[dict[str, Any], ...] = (
    {"x": (3, 2, 2), "N": 2, "D": 2},
    {"x": (2, 3, 2), "N": 2, "D": 2, "axis": 1, "reverse": True, "lengths": (3, 1), "b_xh": None, "b_hh": None},
    {"x": (4, 2, 1), "N": 2, "D": 1, "H": 2, "lengths": (2, 4)},
)  # no truncate: what it gives is not the gradient


@composite(
    "x: ... D, h: N H, w_xh: H D, w_hh: H H, b_xh: H, b_hh: H -> output: ... H, h: N H",
    cases=_CASES,
    source="Elman 1990; Rumelhart, Hinton & Williams 1986",
)
def rnn(
    x: Any, h: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None, lengths: Sequence[int] | None = None,
    axis: int = 0, reverse: bool = False, truncate: int | None = None, nonlinearity: str = "tanh",
) -> Any:  # fmt: skip
    """A recurrent network over time, h_t = tanh(W_hh h_{t−1} + W_xh x_t + b_hh + b_xh): all h_t, and the last.

    Args:
        x: the sequences, ``T N D``, or ``N T D`` with ``axis=1``.
        h: the states before them, ``N H``.
        w_xh: the weights of x, the same at all steps.
        w_hh: the weights of h.
        b_xh: a bias, or None.
        b_hh: another one (PyTorch has two).
        lengths: how many steps each row runs, integers of the host; afterwards its output is 0 and its state stays.
        axis: the axis of time.
        reverse: from the last step to the first.
        truncate: back-propagate through at most so many steps: gradients end between steps k and k + 1, 2k and 2k + 1 …
        nonlinearity: ``"tanh"`` or ``"relu"``.
    """
    _check_nonlinearity("rnn", nonlinearity)
    step = partial(_rnn_step, nonlinearity=nonlinearity)
    return _unfold("rnn", step, x, (h,), (w_xh, w_hh, b_xh, b_hh), lengths, axis, reverse, truncate)


@composite(
    "x: ... D, h: N H, c: N H, w_xh: H*4 D, w_hh: H*4 H, b_xh: H*4, b_hh: H*4 -> output: ... H, h: N H, c: N H",
    cases=_CASES,
    source="Hochreiter & Schmidhuber 1997; forget gate of Gers, Schmidhuber & Cummins 2000",
)
def lstm(
    x: Any, h: Any, c: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None,
    lengths: Sequence[int] | None = None, axis: int = 0, reverse: bool = False, truncate: int | None = None,
) -> Any:  # fmt: skip
    """An LSTM over time, ``lstm_cell`` at every step: all h_t, the last h and the last c; arguments as for ``rnn``."""
    return _unfold("lstm", _lstm_step, x, (h, c), (w_xh, w_hh, b_xh, b_hh), lengths, axis, reverse, truncate)


@composite(
    "x: ... D, h: N H, w_xh: H*3 D, w_hh: H*3 H, b_xh: H*3, b_hh: H*3 -> output: ... H, h: N H",
    cases=_CASES,
    source="Cho et al., EMNLP 2014, eq. 5 to 8; r after the product with W_hh, as cuDNN has it",
)
def gru(
    x: Any, h: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None,
    lengths: Sequence[int] | None = None, axis: int = 0, reverse: bool = False, truncate: int | None = None,
) -> Any:  # fmt: skip
    """A GRU over time, ``gru_cell`` at every step: all h_t, and the last; arguments as for ``rnn``."""
    return _unfold("gru", _gru_step, x, (h,), (w_xh, w_hh, b_xh, b_hh), lengths, axis, reverse, truncate)
