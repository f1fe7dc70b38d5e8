"""Recurrent networks: the formula of one step, and the loop over time that is their definition.

``rnn_cell``, ``lstm_cell`` and ``gru_cell`` are the formulas, with their terms in the order of the lecture. ``rnn``,
``lstm`` and ``gru`` apply them at every step, with the same weights: every step runs inside ``time_step(t)`` and gives
its values their names, so that a diagram of the loop is the unfolded network.

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
from typing import Any

from ..core.composite import composite
from ..core.scope import time_step
from ..core.tensor import named
from ..errors import DomainError
from .activation import relu, sigmoid
from .exponential import tanh
from .shape import split
from .timeline import Timeline

NONLINEARITIES: dict[str, Callable[..., Any]] = {"tanh": tanh, "relu": relu}


# --- one step ---------------------------------------------------------------------------------------------------------


@composite(
    "x: ... D, h: ... H, w_xh: H D, w_hh: H H, b_xh: H, b_hh: H -> ... H",
    cases=({}, {"nonlinearity": "relu", "b_xh": None, "b_hh": None}),
    source="Elman, Finding structure in time, Cognitive Science 14 (1990)",
)
def rnn_cell(
    x: Any, h: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None, nonlinearity: str = "tanh"
) -> Any:
    """One step of a recurrent network, h = tanh(W_hh h + W_xh x + b_hh + b_xh), or with relu."""
    f = _nonlinearity("rnn_cell", nonlinearity)
    return named("h", f(_total(h @ w_hh.T, x @ w_xh.T, b_hh, b_xh)))


@composite(
    "x: ... D, h: ... H, c: ... H, w_xh: H*4 D, w_hh: H*4 H, b_xh: H*4, b_hh: H*4 -> h: ... H, c: ... H",
    cases=({}, {"b_xh": None, "b_hh": None}),
    source="Hochreiter & Schmidhuber 1997; forget gate of Gers, Schmidhuber & Cummins 2000",
)
def lstm_cell(x: Any, h: Any, c: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None) -> Any:
    """One step of an LSTM: c = f·c + i·g, h = o·tanh(c), with i, f, o = σ(W_hh h + W_xh x + b) and g = tanh(…).

    The weights' rows are those of i, f, g, o in this order. Returns h and c.
    """
    i, f, g, o = split(_total(h @ w_hh.T, x @ w_xh.T, b_hh, b_xh), 4, -1)
    i, f, o = named("i", sigmoid(i)), named("f", sigmoid(f)), named("o", sigmoid(o))
    g = named("g", tanh(g))
    c = named("c", f * c + i * g)
    return named("h", o * tanh(c)), c


@composite(
    "x: ... D, h: ... H, w_xh: H*3 D, w_hh: H*3 H, b_xh: H*3, b_hh: H*3 -> ... H",
    cases=({}, {"b_xh": None, "b_hh": None}),
    source="Cho et al., EMNLP 2014, eq. 5 to 8; r after the product with W_hh, as cuDNN has it",
)
def gru_cell(x: Any, h: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None) -> Any:
    """One step of a GRU: h = (1 − z)·n + z·h, with r, z = σ(W_hh h + W_xh x + b), n = tanh(r·(W_hh h + b) + W_xh x).

    Each has its own part of the weights: rows for r, z, n in this order.
    """
    h_r, h_z, h_n = split(_total(h @ w_hh.T, b_hh), 3, -1)
    x_r, x_z, x_n = split(_total(x @ w_xh.T, b_xh), 3, -1)
    r = named("r", sigmoid(h_r + x_r))
    z = named("z", sigmoid(h_z + x_z))
    n = named("n", tanh(r * h_n + x_n))
    return named("h", (1 - z) * n + z * h)


def _total(total: Any, *terms: Any) -> Any:
    """The sum; a term may be None, such as a bias that there is not."""
    for term in terms:
        total = total if term is None else total + term
    return total


def _nonlinearity(op: str, name: str) -> Callable[..., Any]:
    if name not in NONLINEARITIES:
        raise DomainError(f"{op}: nonlinearity is {name!r} → choose one of {', '.join(NONLINEARITIES)}")
    return NONLINEARITIES[name]


# --- over time --------------------------------------------------------------------------------------------------------


def _unfold(cell: Any, x: Any, states: Sequence[Any], weights: Sequence[Any], time: Timeline) -> tuple[Any, ...]:
    """The same step, with the same weights, at every time: the outputs, which are all h_t, and the last states.

    ``time`` does what is asked for besides the formula; without lengths and truncation nothing.
    """
    formula = cell.op.definition  # without a scope of the cell's own: the loop is its place
    outputs = []
    for t, x_t in time.steps(x):
        with time_step(t):
            after = formula(x_t, *time.cut(states, t), *weights)
            states = time.keep(after if isinstance(after, tuple) else (after,), states, t)
            outputs.append(states[0])
    return time.join(outputs), *states


_CASES: tuple[dict[str, Any], ...] = (
    {"x": (3, 2, 2), "N": 2, "D": 2},
    {"x": (2, 3, 2), "N": 2, "D": 2, "axis": 1, "reverse": True, "lengths": (3, 1), "b_xh": None, "b_hh": None},
    {"x": (4, 2, 1), "N": 2, "D": 1, "H": 2, "lengths": (2, 4)},
)  # no truncate: what it gives is not the gradient


@composite(
    "x: ... D, h: N H, w_xh: H D, w_hh: H H, b_xh: H, b_hh: H -> output: ... H, h: N H",
    cases=_CASES,
    varying=("lengths",),
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
    _nonlinearity("rnn", nonlinearity)
    time = Timeline("rnn", x, h, lengths, axis, reverse, truncate)
    return _unfold(rnn_cell, x, (h,), (w_xh, w_hh, b_xh, b_hh, nonlinearity), time)


@composite(
    "x: ... D, h: N H, c: N H, w_xh: H*4 D, w_hh: H*4 H, b_xh: H*4, b_hh: H*4 -> output: ... H, h: N H, c: N H",
    cases=_CASES,
    varying=("lengths",),
    source="Hochreiter & Schmidhuber 1997; forget gate of Gers, Schmidhuber & Cummins 2000",
)
def lstm(
    x: Any, h: Any, c: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None,
    lengths: Sequence[int] | None = None, axis: int = 0, reverse: bool = False, truncate: int | None = None,
) -> Any:  # fmt: skip
    """An LSTM over time, ``lstm_cell`` at every step: all h_t, the last h and the last c; arguments as for ``rnn``."""
    time = Timeline("lstm", x, h, lengths, axis, reverse, truncate)
    return _unfold(lstm_cell, x, (h, c), (w_xh, w_hh, b_xh, b_hh), time)


@composite(
    "x: ... D, h: N H, w_xh: H*3 D, w_hh: H*3 H, b_xh: H*3, b_hh: H*3 -> output: ... H, h: N H",
    cases=_CASES,
    varying=("lengths",),
    source="Cho et al., EMNLP 2014, eq. 5 to 8; r after the product with W_hh, as cuDNN has it",
)
def gru(
    x: Any, h: Any, w_xh: Any, w_hh: Any, b_xh: Any = None, b_hh: Any = None,
    lengths: Sequence[int] | None = None, axis: int = 0, reverse: bool = False, truncate: int | None = None,
) -> Any:  # fmt: skip
    """A GRU over time, ``gru_cell`` at every step: all h_t, and the last; arguments as for ``rnn``."""
    time = Timeline("gru", x, h, lengths, axis, reverse, truncate)
    return _unfold(gru_cell, x, (h,), (w_xh, w_hh, b_xh, b_hh), time)
