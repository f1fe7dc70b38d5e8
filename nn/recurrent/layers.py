"""RNN, LSTM, GRU: recurrent networks over time, of several layers and in both directions.

Every layer and direction is one `autograd.rnn`, `lstm` or `gru`: a loop over time steps that can be read and drawn.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

import autograd
from autograd import Tensor
from autograd.errors import DomainError
from nn.module import Module, Parameter
from nn.recurrent.cells import pair
from nn.recurrent.weights import NAMES, add_weights, check_nonlinearity, draw_weights, weights_of
from nn.shape import check_last, count, probability, shape_of
from nn.utils.rnn import PackedSequence, check_lengths

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class RNNBase(Module):
    """What the recurrent layers have in common: their weights, and the way through layers, directions and time.

    In diagrams weight_ih_l0 is W_xh, weight_hh_l0 is W_hh, the biases b_xh and b_hh; with several layers W_xh⁽¹⁾,
    W_xh⁽²⁾ …, and W_xh′ in the reverse direction.
    """

    gates = 1
    state_names: tuple[str, ...] = ("hx",)
    weight_hh_l0: Parameter

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: str = "cpu", dtype: Any = None,
        *, truncate: int | None = None,
    ) -> None:  # fmt: skip
        self.input_size = count(self, "input_size", input_size)
        self.hidden_size = count(self, "hidden_size", hidden_size)
        self.num_layers = count(self, "num_layers", num_layers)
        self.truncate = None if truncate is None else count(self, "truncate", truncate)
        self.dropout = probability(self, "dropout", dropout)
        if dropout and num_layers == 1:
            warnings.warn(
                f"{type(self).__name__}: dropout={dropout} acts between layers, but num_layers=1", stacklevel=3
            )
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.directions = ("", "_reverse") if bidirectional else ("",)
        width = input_size
        for layer in range(num_layers):
            for direction in self.directions:
                add_weights(self, f"_l{layer}{direction}", width, hidden_size, self.gates, bias, device, dtype)
            width = hidden_size * len(self.directions)
        self.symbols = self._symbols()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, evenly from ±1/√hidden_size."""
        draw_weights(self, self.hidden_size)

    def _symbols(self) -> Mapping[str, str]:
        def mark(layer: int, direction: str) -> str:
            number = f"⁽{str(layer + 1).translate(SUPERSCRIPTS)}⁾" if self.num_layers > 1 else ""
            return number + "′" * bool(direction)

        return {
            f"{name}_l{layer}{direction}": symbol + mark(layer, direction)
            for layer in range(self.num_layers)
            for direction in self.directions
            for name, symbol in NAMES.items()
        }

    def _over_time(self, x: Tensor, states: list[Tensor], weights: list[Tensor | None], **how: Any) -> Any:
        """One layer in one direction: the outputs and the last states."""
        raise NotImplementedError(f"{type(self).__name__} defines no _over_time(): add one, it runs one layer")

    # ---------------------------------------------------------------- calling

    def forward(self, x: Any, hx: Any = None, *, lengths: Any = None) -> Any:
        """Return the outputs of the last layer at all times, and the last states of all layers and directions.

        `lengths` says how many steps each row of a padded batch runs: afterwards its output is 0 and its state stays.
        """
        given = pair(self, hx) if len(self.state_names) == 2 else (hx,)
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise DomainError(
                    f"{type(self).__name__}: lengths is {lengths}, but x is packed and has its own {x.lengths} "
                    "→ leave lengths out"
                )
            return self._packed(x, given)
        batched = self._check(x)
        axis = 1 if self.batch_first and batched else 0
        x = x if batched else x[:, None]
        steps, rows = x.shape[axis], x.shape[1 - axis]
        if lengths is not None:
            lengths = tuple(check_lengths(type(self).__name__, lengths, rows, steps))
        states = self._states(given, rows if batched else None)
        output, *last = self._layers(x, states, axis, lengths)
        return self._results(output if batched else output[:, 0], last if batched else [s[:, 0] for s in last])

    def _packed(self, x: PackedSequence, given: tuple[Any, ...]) -> Any:
        """Run the sequences, padded, in the order of their lengths, and pack the outputs as the inputs are."""
        shape = tuple(x.data.shape)
        if len(shape) != 2:
            raise self.shape_error(f"x is packed with data of shape {shape}: {len(shape)} axes, expected 2 (steps D)")
        check_last(self, x.data, self.input_size, "input_size")
        rows = int(x.batch_sizes[0])
        states = self._states(given, rows)
        if x.sorted_indices is not None:
            states = [None if s is None else s[:, x.sorted_indices] for s in states]
        output, *last = self._layers(x.padded(), states, 0, tuple(x.lengths))
        if x.unsorted_indices is not None:
            last = [s[:, x.unsorted_indices] for s in last]
        return self._results(x.like(output), last)

    def _layers(self, x: Tensor, states: list[Any], axis: int, lengths: tuple[int, ...] | None) -> list[Tensor]:
        last: list[list[Tensor]] = []
        several = self.num_layers * len(self.directions) > 1
        for layer in range(self.num_layers):
            outputs = []
            if layer and self.dropout and self.training:
                x = autograd.dropout(x, self.dropout)
            for direction in self.directions:
                name = f"l{layer}{direction}"
                with autograd.scope(name, kind=type(self).__name__) if several else contextlib.nullcontext():
                    begin = [self._zeros(x, axis) if s is None else s[len(last)] for s in states]
                    output, *end = self._over_time(
                        x, begin, weights_of(self, f"_{name}"), axis=axis, reverse=bool(direction), lengths=lengths,
                        truncate=self.truncate,
                    )  # fmt: skip
                outputs.append(output)
                last.append(end)
            x = autograd.concatenate(outputs, axis=-1) if self.bidirectional else outputs[0]
        return [x, *(autograd.stack(list(ends)) for ends in zip(*last, strict=True))]

    def _zeros(self, x: Tensor, axis: int) -> Tensor:
        w = self.weight_hh_l0
        return autograd.zeros((x.shape[1 - axis], self.hidden_size), dtype=w.dtype, device=w.device)

    def _results(self, output: Any, last: list[Tensor]) -> Any:
        return output, last[0] if len(last) == 1 else tuple(last)

    # ---------------------------------------------------------------- what fits

    def _check(self, x: Tensor) -> bool:
        """Check an input, and return whether it has a batch axis."""
        shape = shape_of(self, x)
        order = "N T D" if self.batch_first else "T N D"
        if len(shape) not in (2, 3):
            raise self.shape_error(
                f"x has shape {shape}: {len(shape)} axes, expected 3 ({order}) or 2 (T D); use x.reshape(...)"
            )
        check_last(self, x, self.input_size, "input_size")
        axis = 1 if self.batch_first and len(shape) == 3 else 0
        if not shape[axis]:
            raise self.shape_error(f"x has shape {shape}: T=0 time steps, expected at least 1")
        return len(shape) == 3

    def _states(self, given: tuple[Any, ...], rows: int | None) -> list[Any]:
        """Check the initial states, and give them a batch axis if there is none; None stays None."""
        layers = self.num_layers * len(self.directions)
        expected = (layers, self.hidden_size) if rows is None else (layers, rows, self.hidden_size)
        for name, state in zip(self.state_names, given, strict=True):
            if state is not None and shape_of(self, state, name) != expected:
                raise self.shape_error(
                    f"{name} has shape {tuple(state.shape)}, expected {expected}: "
                    f"num_layers × directions = {self.num_layers} × {len(self.directions)}"
                    f"{'' if rows is None else f', N={rows}'}, hidden_size={self.hidden_size}"
                )
        return [s if s is None or rows is not None else s[:, None] for s in given]

    def extra_repr(self) -> str:
        words = [str(self.input_size), str(self.hidden_size)]
        for name, default in (
            ("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0.0), ("bidirectional", False),
            ("truncate", None),
        ):  # fmt: skip
            if getattr(self, name) != default:
                words.append(f"{name}={getattr(self, name)}")
        return ", ".join(words)


class RNN(RNNBase):
    """A recurrent network: h_t = tanh(W_hh h_{t−1} + b_hh + W_xh x_t + b_xh), or with relu (Elman 1990).

    Shapes: x (T, N, input_size), or (N, T, input_size) with `batch_first`, or (T, input_size), or a `PackedSequence`;
    hx (num_layers·directions, N, hidden_size), zero if not given → output (T, N, directions·hidden_size) and the last
    states, shaped as hx. Layer l > 0 reads the outputs of layer l − 1, in training with `dropout` between.
    Parameters per layer and direction: weight_ih_l0 (H, D), weight_hh_l0 (H, H), bias_ih_l0, bias_hh_l0 (H), then
    ..._l0_reverse, ..._l1; evenly from ±1/√H.

    Args:
        truncate: gradients go back through at most so many time steps (Williams & Peng 1990); None: through all.

    Raises:
        ShapeError: when x or hx has another shape, or T = 0.
        DomainError: for sizes below 1, an unknown nonlinearity, or lengths outside 1 … T.

    >>> rnn = RNN(4, 8, bias=False)
    >>> output, last = rnn(autograd.zeros((3, 1, 4)))
    >>> output.shape, last.shape, rnn.symbols["weight_ih_l0"]
    ((3, 1, 8), (1, 1, 8), 'W_xh')
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: str = "cpu",
        dtype: Any = None, *, truncate: int | None = None,
    ) -> None:  # fmt: skip
        self.nonlinearity = check_nonlinearity(self, nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            truncate=truncate,
        )  # fmt: skip

    def _over_time(self, x: Tensor, states: list[Tensor], weights: list[Tensor | None], **how: Any) -> Any:
        return autograd.rnn(x, *states, *weights, nonlinearity=self.nonlinearity, **how)

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", nonlinearity={self.nonlinearity}" if self.nonlinearity != "tanh" else "")


class LSTM(RNNBase):
    """A long short-term memory: at every step `LSTMCell`'s formulas (Hochreiter & Schmidhuber 1997).

    Shapes: as for `RNN`, with two states (h_0, c_0) → output, (h_n, c_n). The weights have the rows of i, f, g, o:
    weight_ih_l0 (4H, D), weight_hh_l0 (4H, H), bias_ih_l0, bias_hh_l0 (4H), evenly from ±1/√H.

    Args:
        truncate: as for `RNN`.

    Raises:
        ShapeError: when x, h_0 or c_0 has another shape, or T = 0.
        DTypeError: when the state is no pair.
        DomainError: for sizes below 1, a projection, or lengths outside 1 … T.

    >>> output, (h, c) = LSTM(4, 8, num_layers=2)(autograd.zeros((3, 1, 4)))
    >>> output.shape, h.shape, c.shape
    ((3, 1, 8), (2, 1, 8), (2, 1, 8))
    """

    gates = 4
    state_names = ("h_0", "c_0")

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: str = "cpu", dtype: Any = None,
        *, truncate: int | None = None,
    ) -> None:  # fmt: skip
        if proj_size:
            raise DomainError(
                f"LSTM: proj_size is {proj_size}, but projected states are not offered → leave it 0, "
                "and put an nn.Linear behind the outputs"
            )
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            truncate=truncate,
        )  # fmt: skip

    def _over_time(self, x: Tensor, states: list[Tensor], weights: list[Tensor | None], **how: Any) -> Any:
        return autograd.lstm(x, *states, *weights, **how)


class GRU(RNNBase):
    """A gated recurrent network: at every step `GRUCell`'s formulas (Cho et al. 2014).

    Shapes: as for `RNN`. The weights have the rows of r, z, n: weight_ih_l0 (3H, D), weight_hh_l0 (3H, H), bias_ih_l0,
    bias_hh_l0 (3H), evenly from ±1/√H.

    Args:
        truncate: as for `RNN`.

    Raises:
        ShapeError: when x or hx has another shape, or T = 0.
        DomainError: for sizes below 1, or lengths outside 1 … T.

    >>> output, last = GRU(4, 8, bidirectional=True)(autograd.zeros((3, 1, 4)))
    >>> output.shape, last.shape
    ((3, 1, 16), (2, 1, 8))
    """

    gates = 3

    def _over_time(self, x: Tensor, states: list[Tensor], weights: list[Tensor | None], **how: Any) -> Any:
        return autograd.gru(x, *states, *weights, **how)
