"""RNNCell, LSTMCell, GRUCell: one step of a recurrent network, for loops of one's own."""

from __future__ import annotations

from typing import Any

import autograd
from autograd import Tensor
from autograd.errors import DTypeError
from nn.module import Module, Parameter
from nn.recurrent.weights import NAMES, add_weights, check_nonlinearity, draw_weights, weights_of
from nn.shape import check_last, count, shape_of


class RNNCellBase(Module):
    """What the cells have in common: weights for D + H inputs, and checks of x and the state."""

    gates = 1
    weight_hh: Parameter

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str = "cpu", dtype: Any = None
    ) -> None:
        self.input_size = count(self, "input_size", input_size)
        self.hidden_size = count(self, "hidden_size", hidden_size)
        self.bias = bias
        self.symbols = NAMES
        add_weights(self, "", input_size, hidden_size, self.gates, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, evenly from ±1/√hidden_size."""
        draw_weights(self, self.hidden_size)

    def _state(self, x: Tensor, name: str, state: Tensor | None) -> Tensor:
        """The state before the step, of the batch of `x`; zeros if there is none."""
        shape = shape_of(self, x)
        if len(shape) not in (1, 2):
            raise self.shape_error(f"x has shape {shape}: {len(shape)} axes, expected 2 (N D) or 1 (D, without N)")
        check_last(self, x, self.input_size, "input_size")
        expected = (*shape[:-1], self.hidden_size)
        if state is None:
            return autograd.zeros(expected, dtype=self.weight_hh.dtype, device=self.weight_hh.device)
        if shape_of(self, state, name) != expected:
            raise self.shape_error(
                f"{name} has shape {tuple(state.shape)}, expected {expected}: x has shape {shape}, "
                f"hidden_size={self.hidden_size}"
            )
        return state

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of a recurrent network: h' = tanh(W_hh h + b_hh + W_xh x + b_xh), or with relu (Elman 1990).

    Shapes: x (N, input_size), h (N, hidden_size) → h' (N, hidden_size); N may be missing. h is zero if not given.
    Parameters: weight_ih (H, D), weight_hh (H, H), bias_ih, bias_hh (H), evenly from ±1/√H.

    Raises:
        ShapeError: when x or h has another shape.
        DomainError: for a size below 1, or an unknown nonlinearity.

    >>> RNNCell(3, 4)(autograd.zeros((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: str = "cpu",
        dtype: Any = None,
    ) -> None:  # fmt: skip
        self.nonlinearity = check_nonlinearity(self, nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the state after the step."""
        h = self._state(x, "hx", hx)
        out: Tensor = autograd.rnn_cell(x, h, *weights_of(self, ""), nonlinearity=self.nonlinearity)
        return out

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", nonlinearity={self.nonlinearity}" if self.nonlinearity != "tanh" else "")


class LSTMCell(RNNCellBase):
    """One step of an LSTM: c' = f·c + i·g, h' = o·tanh(c') (Hochreiter & Schmidhuber 1997).

    i, f, o = σ(W_hh h + b_hh + W_xh x + b_xh), g = tanh(the same), each with its own rows of the weights in the order
    i, f, g, o. Shapes: x (N, input_size), h and c (N, hidden_size) → (h', c') alike; N may be missing.
    Parameters: weight_ih (4H, D), weight_hh (4H, H), bias_ih, bias_hh (4H), evenly from ±1/√H.

    Raises:
        ShapeError: when x, h or c has another shape.
        DTypeError: when the state is no pair.
        DomainError: for a size below 1.

    >>> h, c = LSTMCell(3, 4)(autograd.zeros((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    gates = 4

    def forward(self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Return the states h and c after the step."""
        states = [self._state(x, name, s) for name, s in zip(("h_0", "c_0"), pair(self, hx), strict=True)]
        h, c = autograd.lstm_cell(x, *states, *weights_of(self, ""))
        return h, c


class GRUCell(RNNCellBase):
    """One step of a GRU: h' = (1 − z)·n + z·h (Cho et al. 2014).

    r, z = σ(W_hh h + b_hh + W_xh x + b_xh), n = tanh(r·(W_hh h + b_hh) + W_xh x + b_xh), each with its own rows of the
    weights in the order r, z, n. Shapes: x (N, input_size), h (N, hidden_size) → (N, hidden_size); N may be missing.
    Parameters: weight_ih (3H, D), weight_hh (3H, H), bias_ih, bias_hh (3H), evenly from ±1/√H.

    Raises:
        ShapeError: when x or h has another shape.
        DomainError: for a size below 1.

    >>> GRUCell(3, 4)(autograd.zeros((2, 3))).shape
    (2, 4)
    """

    gates = 3

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the state after the step."""
        out: Tensor = autograd.gru_cell(x, self._state(x, "hx", hx), *weights_of(self, ""))
        return out


def pair(module: Module, hx: Any) -> tuple[Any, Any]:
    """Return an LSTM's two states, both None if there are none.

    Raises:
        DTypeError: when it is anything but a pair.
    """
    if hx is None:
        return None, None
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise DTypeError(f"{type(module).__name__}: hx is a {type(hx).__name__}, expected the pair (h_0, c_0)")
    return hx[0], hx[1]
