"""rnn, lstm and gru over a whole sequence: each thread takes rows of the batch through all steps, and none waits.

The weights are laid out once, for products in tiles. The gradients of the weights are one product over all steps
(Appleyard, Kočiský & Blunsom, Optimizing performance of recurrent neural networks on GPUs, arXiv:1604.01946).
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from ..registry import Spec
from . import threads
from .blas import gemm_address
from .compile import behaved
from .filters import run
from .kept import kept
from .memory import space
from .recurrent_cells import GRU, LSTM, RELU, SUMS, TANH
from .recurrent_steps import backward_steps, forward_steps, panels
from .tiles import columns_of

THREADED = 1e7  # multiplications from which a second thread pays
LARGE = 1 << 18  # numbers of a matrix from which several threads lay it out


class Recurrent:
    """The kernel of the cells of one kind, for one type of numbers."""

    def __init__(self, kind: int, dtype: Any, address: int) -> None:
        self.kind, self.dtype, self.address = kind, dtype, address
        self.states = 2 if kind == LSTM else 1
        self.sums = np.array(SUMS[kind])
        self.order = [_order(of) for of in self.sums.T.tolist()]

    def forward(self, x: Any, *given: Any) -> Any:
        """All h_t and the last states; NotImplemented for lengths that do not fit, which the definition explains."""
        return self._forward(True, x, *given)

    def infer(self, x: Any, *given: Any) -> Any:
        """The same where nothing is recorded, without residuals: then only two steps' states are held."""
        made = self._forward(False, x, *given)
        return made if made is NotImplemented else made[0]

    def _forward(self, keep: bool, x: Any, *given: Any) -> Any:
        *states, w_xh, w_hh, b_xh, b_hh, lengths, axis, reverse, _ = given[: self.states + 8]
        steps, rows, hidden = x.shape[axis], x.shape[1 - axis], w_hh.shape[1]
        running = _running(lengths, rows, steps)
        if running is None:
            return NotImplemented
        parts = _parts(rows, steps * rows * (w_xh.size + w_hh.size))
        ends, times = [np.array(s, order="C") for s in states], steps + 1 if keep else 2
        xs, hs = self._empty((times - 1) * rows, x.shape[2]), self._empty(times * rows, hidden)
        cs = self._empty(times * rows, hidden) if self.kind == LSTM else hs
        gates = self._empty(4, (times - 1) * rows, hidden) if self.kind in (LSTM, GRU) else hs[None]
        output = self._empty(*x.shape[:2], hidden)
        before = self.kind, keep, behaved(x), int(axis), bool(reverse), running
        given = (
            self._panels("x", w_xh, hidden), self._panels("h", w_hh, hidden), self.sums,
            self._bias(hidden, b_xh, b_hh), gates, xs, hs, cs, output, ends[0], ends[-1],
        )  # fmt: skip
        run(lambda i: forward_steps(*before, *parts[i], *given), len(parts), len(parts))
        return (output, *ends), (running, parts, (gates, xs, hs, cs))

    def backward(self, g: Any, wanted: Any, inputs: Any, residuals: Any, *params: Any) -> list[Any]:
        """The gradients of x, the first states, the weights and the biases; a thread's part of a sum is added last."""
        (x, *_), (w_xh, w_hh, *_) = inputs, inputs[self.states + 1 :]
        _, axis, reverse, truncate = params[:4]
        running, parts, held = residuals
        dx, begins, hidden = self._empty(*x.shape), [np.array(part, order="C") for part in g[1:]], w_hh.shape[1]
        d = self._empty(len(self.sums), x.shape[0] * x.shape[1], hidden)
        totals = [(self._empty(*w_xh.shape), self._empty(*w_hh.shape), self._empty(len(d), hidden)) for _ in parts]
        before = self.kind, self.address, int(axis), bool(reverse), int(truncate or 0), running
        given = (
            self._panels("x", w_xh)[0], self._panels("h", w_hh)[0], self.sums, *held, behaved(g[0]), d, begins[0],
            begins[-1], bool(wanted[0]), dx,
        )  # fmt: skip
        threads.run(lambda i: backward_steps(*before, *parts[i], *given, *totals[i]), len(parts))
        for total, *others in zip(*totals, strict=True):
            for other in others:
                total += other
        dw_xh, dw_hh, db = totals[0]
        found = [dx, *begins, dw_xh, dw_hh, *[db[order].copy().reshape(-1) for order in self.order]]
        return [gradient if want else None for gradient, want in zip(found, wanted, strict=True)]

    def _empty(self, *shape: int) -> np.ndarray:
        return np.empty(shape, self.dtype)

    def _panels(self, name: str, w: np.ndarray, hidden: int = 0) -> np.ndarray:
        """Weights for ``tiles.contract``: of each gate its ``hidden`` units side by side, or of all gates the terms."""
        block, given = columns_of(self.dtype), behaved(w).reshape(-1, hidden or len(w), w.shape[1])
        terms, columns = given.shape[2:0:-1] if hidden else given.shape[1:]
        shape = len(given), -(-columns // block), terms, block
        pieces = shape[0] * shape[1]

        def fill(out: np.ndarray) -> np.ndarray:
            most = pieces if w.size >= LARGE else 1
            threads.over(pieces, most, lambda *cut: panels(given, not hidden, out, *cut))
            return out

        found = kept("recurrent", w, shape, fill) if hidden else None  # whoever goes back changes the weights
        return fill(space(f"weights of {name}", shape, self.dtype)) if found is None else found

    def _bias(self, hidden: int, *biases: Any) -> np.ndarray:
        """The biases of each sum, and room for a vector behind."""
        flat = np.zeros(len(self.sums) * hidden + columns_of(self.dtype), self.dtype)
        total = flat[: len(self.sums) * hidden].reshape(-1, hidden)
        for b, order in zip(biases, self.order, strict=True):
            if b is not None:
                total[order] += b.reshape(-1, hidden)
        return flat


def _order(sums: list[int]) -> list[int] | slice:
    """Which sums the gates in their order belong to."""
    order = [sums.index(gate) for gate in range(max(sums) + 1)]
    return slice(len(sums)) if order == list(range(len(sums))) else order


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
