"""rnn, lstm and gru over a whole sequence: the products of all inputs at once, then a product and one pass per step.

Each thread takes rows of the batch through all steps, so that none waits for another (the products as in Appleyard,
Kočiský & Blunsom, Optimizing performance of recurrent neural networks on GPUs, arXiv:1604.01946).
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from ..registry import Spec
from . import threads
from .blas import gemm_address
from .compile import behaved
from .recurrent_cells import GRU, LSTM, RELU, TANH
from .recurrent_steps import WIDTH, backward_steps, forward_steps, panels

THREADED = 1e7  # multiplications from which a second thread pays


class Recurrent:
    """The kernel of the cells of one kind, for one type of numbers."""

    def __init__(self, kind: int, dtype: Any, address: int) -> None:
        self.kind, self.dtype, self.address = kind, dtype, address
        self.states = 2 if kind == LSTM else 1

    def forward(self, x: Any, *given: Any) -> Any:
        """All h_t and the last states; NotImplemented for lengths that do not fit, which the definition explains."""
        *states, w_xh, w_hh, b_xh, b_hh, lengths, axis, reverse, _ = given[: self.states + 8]
        steps, rows, hidden = x.shape[axis], x.shape[1 - axis], w_hh.shape[1]
        running = _running(lengths, rows, steps)
        if running is None:
            return NotImplemented
        parts = _parts(rows, steps * rows * (w_xh.size + w_hh.size))
        arrange = bool(len(parts) > 1 or axis or reverse or lengths is not None)
        x = behaved(x)
        ends = [np.array(s, order="C") for s in states]
        xs = self._empty(steps * rows, x.shape[2]) if arrange else x.reshape(steps * rows, -1)
        hs, *cs = [self._empty((steps + 1) * rows, hidden) for _ in ends]
        gates = self._empty(steps * rows, 4 * hidden) if self.kind in (LSTM, GRU) else hs
        kept = xs, gates, hs, (cs or [hs])[0]
        output = self._empty(*x.shape[:2], hidden)
        w_xh, w_hh, bias = behaved(w_xh), self._panels(w_hh, True, len(parts)), self._bias(b_xh, b_hh, len(w_hh))

        def run(part: int) -> None:
            forward_steps(
                self.kind, self.address, x, int(axis), bool(reverse), running, *parts[part], arrange, w_xh, w_hh, bias,
                *kept, output, ends[0], ends[-1],
            )  # fmt: skip

        threads.run(run, len(parts))
        return (output, *ends), (running, parts, arrange, kept)

    def backward(self, g: Any, wanted: Any, inputs: Any, residuals: Any, *params: Any) -> list[Any]:
        """The gradients of x, the first states, the weights and the biases; a thread's part of a sum is added last."""
        (x, *_), (w_xh, w_hh, *_) = inputs, inputs[self.states + 1 :]
        _, axis, reverse, truncate = params[:4]
        running, parts, arrange, kept = residuals
        g_output, w_xh, w_hh = behaved(g[0]), behaved(w_xh), self._panels(w_hh, False, len(parts))
        begins = [np.array(part, order="C") for part in g[1:]]
        d = self._empty(x.shape[0] * x.shape[1], 4 * begins[0].shape[1] if self.kind in (LSTM, GRU) else len(w_xh))
        dx = self._empty(*x.shape)
        dxs = self._empty(*kept[0].shape) if arrange else dx.reshape(kept[0].shape)
        sums = [
            (self._empty(*w_xh.shape), self._empty(*inputs[self.states + 2].shape), self._empty(d.shape[1]))
            for _ in parts
        ]

        def run(part: int) -> None:
            backward_steps(
                self.kind, self.address, g_output, int(axis), bool(reverse), int(truncate or 0), running, *parts[part],
                arrange, w_xh, w_hh, *kept, d, begins[0], begins[-1], wanted[0], dx, dxs, *sums[part],
            )  # fmt: skip

        threads.run(run, len(parts))
        for total, *others in zip(*sums, strict=True):
            for other in others:
                total += other
        dw_xh, dw_hh, db = sums[0]
        hidden = begins[0].shape[1]
        biases = (db, db.copy())
        if self.kind == GRU:
            biases = (np.concatenate([db[hidden : 3 * hidden], db[:hidden]]), db[hidden:].copy())
        found = [dx, *begins, dw_xh, dw_hh, *biases]
        return [gradient if want else None for gradient, want in zip(found, wanted, strict=True)]

    def _empty(self, *shape: int) -> np.ndarray:
        return np.empty(shape, self.dtype)

    def _bias(self, b_xh: Any, b_hh: Any, size: int) -> np.ndarray:
        """The sum of the biases, in the order of the gates' columns; a GRU's of W_hn·h for itself."""
        of_x, of_h = [np.zeros(size, self.dtype) if b is None else b for b in (b_xh, b_hh)]
        if self.kind != GRU:
            return of_x + of_h
        n = 2 * (size // 3)
        return np.concatenate([of_x[n:], of_x[:n] + of_h[:n], of_h[n:]])

    def _panels(self, w: np.ndarray, transposed: bool, parts: int) -> np.ndarray:
        w, out = behaved(w), self._empty(w.size)
        count = -(-w.shape[0 if transposed else 1] // WIDTH)
        pieces = list(threads.slices(count, min(parts, count)))
        threads.run(lambda i: panels(w, transposed, out, pieces[i].start, pieces[i].stop), len(pieces))
        return out


def _parts(rows: int, products: int) -> list[tuple[int, int]]:
    """The first and the last row (exclusive) of each thread."""
    count = min(threads.get_num_threads(), rows) if products >= THREADED else 1
    return [(piece.start, piece.stop) for piece in threads.slices(rows, count)]


def _running(lengths: Any, rows: int, steps: int) -> Any:
    """How many steps each row runs, or None if that cannot be."""
    if lengths is None:
        return np.full(rows, steps)
    try:
        known = [index(n) for n in (lengths.tolist() if hasattr(lengths, "tolist") else lengths)]
    except TypeError:
        return None
    return np.array(known) if len(known) == rows and all(1 <= n <= steps for n in known) else None


def _plan(kinds: dict[str, int], spec: Spec) -> Any:
    x, h = spec.shapes[:2]
    types = {d for d in spec.dtypes if d is not None}
    axis, truncate = spec.params["axis"], spec.params["truncate"]
    kind = kinds.get(spec.params.get("nonlinearity", ""))
    if kind is None or len(types) > 1 or len(x) != 3 or axis not in (0, 1) or x[1 - axis] != h[0]:
        return None
    if truncate is not None and not (hasattr(truncate, "__index__") and truncate >= 1):
        return None
    dtype = types.pop()
    address = gemm_address(dtype)
    return Recurrent(kind, dtype, address) if address else None


plans = {
    "rnn": lambda spec: _plan({"tanh": TANH, "relu": RELU}, spec),
    "lstm": lambda spec: _plan({"": LSTM}, spec),
    "gru": lambda spec: _plan({"": GRU}, spec),
}
