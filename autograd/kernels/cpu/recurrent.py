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
LARGE = 1 << 18  # numbers of a matrix from which it pays to copy it


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
        ends = [np.array(s, order="C") for s in states]
        hs, *cs = [self._empty((steps + 1) * rows, hidden) for _ in ends]
        kept = self._empty(steps * rows, 4 * hidden) if self.kind in (LSTM, GRU) else hs, hs, (cs or [hs])[0]
        output = self._empty(*x.shape[:2], hidden)
        given = (
            behaved(x), int(axis), bool(reverse), running, _panels(self._turned(w_xh), True), _panels(w_hh, True),
            self._bias(b_xh, b_hh, len(w_hh)), *kept, output, ends[0], ends[-1],
        )  # fmt: skip
        threads.run(lambda i: forward_steps(self.kind, self.address, *given[:4], *parts[i], *given[4:]), len(parts))
        return (output, *ends), (running, parts, kept)

    def backward(self, g: Any, wanted: Any, inputs: Any, residuals: Any, *params: Any) -> list[Any]:
        """The gradients of x, the first states, the weights and the biases; a thread's part of a sum is added last."""
        (x, *_), (w_xh, w_hh, *_) = inputs, inputs[self.states + 1 :]
        lengths, axis, reverse, truncate = params[:4]
        running, parts, kept = residuals
        arrange = bool(len(parts) > 1 or axis or reverse or lengths is not None)
        x, dx, begins = behaved(x), self._empty(*x.shape), [np.array(part, order="C") for part in g[1:]]
        d = self._empty(x.shape[0] * x.shape[1], 4 * w_hh.shape[1] if self.kind == GRU else len(w_hh))
        xs = self._empty(len(d), x.shape[2]) if arrange else x.reshape(len(d), -1)
        sums = [(self._empty(*w_xh.shape), self._empty(*w_hh.shape), self._empty(d.shape[1])) for _ in parts]
        before = x, int(axis), bool(reverse), int(truncate or 0), running
        given = (
            arrange, behaved(self._turned(w_xh)), _panels(w_hh, False), *kept, behaved(g[0]), d, begins[0], begins[-1],
            xs, wanted[0], dx,
        )  # fmt: skip
        threads.run(lambda i: backward_steps(self.kind, self.address, *before, *parts[i], *given, *sums[i]), len(parts))
        for total, *others in zip(*sums, strict=True):
            for other in others:
                total += other
        dw_xh, dw_hh, db = sums[0]
        db_xh, db_hh = db[: len(w_hh)], db[len(db) - len(w_hh) :]
        found = [dx, *begins, self._turned(dw_xh, -1), dw_hh, self._turned(db_xh, -1).copy(), db_hh.copy()]
        return [gradient if want else None for gradient, want in zip(found, wanted, strict=True)]

    def _empty(self, *shape: int) -> np.ndarray:
        return np.empty(shape, self.dtype)

    def _turned(self, w: Any, by: int = 1) -> Any:
        """A GRU's r, z, n as n, r, z, and back with −1: the gates' columns, of which W_hh reaches all but the first."""
        return np.roll(w, by * (len(w) // 3), axis=0) if self.kind == GRU else w

    def _bias(self, b_xh: Any, b_hh: Any, size: int) -> np.ndarray:
        """The sum of the biases of each column of the gates."""
        of_x, of_h = [np.zeros(size, self.dtype) if b is None else b for b in (b_xh, b_hh)]
        if self.kind != GRU:
            return of_x + of_h
        total = np.zeros(size // 3 * 4, self.dtype)
        total[:size] = self._turned(of_x)
        total[size // 3 :] += of_h
        return total


def _panels(w: np.ndarray, transposed: bool) -> np.ndarray:
    out, count = np.empty(w.size, w.dtype), -(-w.shape[0 if transposed else 1] // WIDTH)
    w, pieces = behaved(w), list(threads.slices(count, min(threads.get_num_threads(), count) if w.size >= LARGE else 1))
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
    assert x is not None and h is not None
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
