"""A sequence through all its steps, for some rows of the batch: products in tiles, and cells while the sums are near.

Of every thread the rows lie together, in the order of the loop: its first step's rows, then its second's, and so on. A
row of ``zs`` is x beside the state h that the step begins with, so that one product takes both. Whether a row runs at a
step, and where gradients are cut, is as in ``autograd/ops/timeline.py``.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .compile import OPTIONS, compiled, gemm
from .filters import at_
from .recurrent_cells import (
    GRU,
    LSTM,
    RELU,
    borrowed,
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)
from .simd import gather, store
from .tiles import contract

UNITS = 512  # whose sums are computed together, and become gates and states while they are in the cache

_inner = numba.njit(**OPTIONS)


@_inner
def _time(s: int, steps: int, reverse: bool) -> int:
    return steps - 1 - s if reverse else s


@_inner
def _row(x: Any, axis: int, t: int, n: int) -> Any:
    return x[n, t] if axis == 1 else x[t, n]


@compiled
def panels(w: Any, turned: bool, out: Any, first: int, last: int) -> None:
    """Lay each matrix's rows side by side, or its columns if ``turned``: matrix, block, term, row or column."""
    _, blocks, terms, block = out.shape
    size, zero, columns = w.itemsize, w.dtype.type(0), w.shape[2] if turned else w.shape[1]
    lanes = 64 // size
    for i in range(first, last):
        source, panel = w[i // blocks], out[i // blocks, i % blocks]
        for start in range(i % blocks * block, min((i % blocks + 1) * block, columns), lanes):
            count, to = min(lanes, columns - start), start % block
            if turned:
                for k in range(terms):
                    for j in range(count):
                        panel[k, to + j] = source[k, start + j]
            elif count < lanes:
                for j in range(count):
                    for k in range(terms):
                        panel[k, to + j] = source[start + j, k]
            else:
                for k in range(terms):
                    store(
                        at_(panel) + (k * block + to) * size, gather(at_(source[start]) + k * size, terms * size, zero)
                    )


@compiled
def forward_steps(
    kind: int, keep: bool, x: Any, axis: int, reverse: bool, lengths: Any, first: int, last: int, w_xh: Any, w_hh: Any,
    sums: Any, b: Any, gates: Any, zs: Any, cs: Any, output: Any, h: Any, c: Any,
) -> None:  # fmt: skip
    """Run rows ``first`` … ``last`` − 1; ``h`` and ``c`` hold their first states and get their last.

    The weights are in panels; ``sums`` are the gates of x and of h that each sum is made of, or −1. ``gates`` are the
    sums at first, ``zs`` have x beside h; these and ``cs`` are of all steps, or, without ``keep``, of two in turn.
    """
    steps, rows, inputs, hidden = x.shape[axis], last - first, x.shape[2], h.shape[1]
    zero, size, terms, block = h.dtype.type(0), h.itemsize, zs.shape[1], w_xh.shape[3]
    times = steps + 1 if keep else 2
    states = slice(times * first, times * last)
    x, lengths, output, h, c = borrowed(x), borrowed(lengths), borrowed(output), borrowed(h), borrowed(c)
    zs, cs = borrowed(zs)[states], borrowed(cs)[states]
    gates = zs if kind <= RELU else borrowed(gates)[(times - 1) * first : (times - 1) * last]
    begin = inputs if kind <= RELU else 0  # a vanilla network's only gate is its next state
    alone, nothing = np.zeros((1, 2), np.int64), np.zeros_like(b)
    for r in range(rows):
        zs[r, inputs:] = h[first + r]
        if kind == LSTM:
            cs[r] = c[first + r]
    for s in range(steps):
        t, top, below = _time(s, steps, reverse), s % times * rows, (s + 1) % times * rows
        sum_top = below if kind <= RELU else s % (times - 1) * rows
        for r in range(rows):
            if t < lengths[first + r]:
                zs[top + r, :inputs] = _row(x, axis, t, first + r)
            else:
                zs[top + r, :inputs] = zero
        for unit in range(0, hidden, UNITS):
            count = min(UNITS, hidden - unit)
            for part in range(len(sums)):
                to = at_(gates) + (sum_top * gates.shape[1] + begin + part * hidden + unit) * size
                of_x, of_h = sums[part]
                for w, gate, start, add in ((w_xh, of_x, 0, False), (w_hh, of_h, inputs, of_x >= 0)):
                    if gate >= 0:
                        contract(
                            h, at_(zs) + (top * terms + start) * size, at_(w[gate, unit // block]), to,
                            at_(nothing if add else b) + (part * hidden + unit) * size, alone, rows, terms * size,
                            gates.shape[1] * size, alone, w.shape[2], size, block * size, w[0, 0].nbytes, count, add,
                        )  # fmt: skip
            for r in range(rows):
                before, after = zs[top + r][inputs + unit :][:count], zs[below + r][inputs + unit :][:count]
                c_before, c_after = cs[top + r][unit:][:count], cs[below + r][unit:][:count]
                y = _row(output, axis, t, first + r)[unit:][:count]
                if t >= lengths[first + r]:
                    after[:] = before
                    y[:] = zero
                    if kind == LSTM:
                        c_after[:] = c_before
                    continue
                if kind == LSTM:
                    lstm_forward(gates[sum_top + r][unit:], hidden, c_before, c_after, after)
                elif kind == GRU:
                    gru_forward(gates[sum_top + r][unit:], hidden, before, after)
                else:
                    rnn_forward(kind == RELU, after)
                y[:] = after
    top = steps % times * rows
    for r in range(rows):
        h[first + r] = zs[top + r, inputs:]
        if kind == LSTM:
            c[first + r] = cs[top + r]


@compiled
def backward_steps(
    kind: int, address: int, x: Any, axis: int, reverse: bool, truncate: int, lengths: Any, first: int, last: int,
    w_xh: Any, w_hh: Any, of_x: Any, of_h: Any, gates: Any, zs: Any, cs: Any, g: Any, d: Any, dh: Any, dc: Any,
    wants_dx: bool, dx: Any, dw_xh: Any, dw_hh: Any, db: Any,
) -> None:  # fmt: skip
    """The gradients of rows ``first`` … ``last`` − 1; ``dh`` and ``dc`` hold those of the last states, get the first's.

    The weights are in panels, turned; ``of_x`` and ``of_h`` say where the gradient of a sum begins in a row of ``d``,
    and where its gate's weights in a panel, in bytes. ``dw_xh``, ``dw_hh`` and ``db`` get what is these rows'.
    """
    steps, rows, inputs, hidden = x.shape[axis], last - first, x.shape[2], dh.shape[1]
    zero, one, size, terms = dh.dtype.type(0), dh.dtype.type(1), dh.itemsize, zs.shape[1]
    own, states = slice(steps * first, steps * last), slice((steps + 1) * first, (steps + 1) * last)
    g, lengths, dx, db = borrowed(g), borrowed(lengths), borrowed(dx), borrowed(db)
    gates, d, zs, cs = borrowed(gates)[own], borrowed(d)[own], borrowed(zs)[states], borrowed(cs)[states]
    dh, dc = borrowed(dh)[first:last], borrowed(dc)[first:last]
    width, skipped, apart = d.shape[1], hidden if kind == GRU else 0, inputs * (steps if axis == 1 else 1)
    alone, nothing = np.zeros((1, 2), np.int64), np.zeros(max(inputs, hidden) + w_hh.shape[2], dh.dtype)
    block = w_hh.shape[2] * size
    db[:] = zero
    for s in range(steps - 1, -1, -1):
        t, now = _time(s, steps, reverse), d[s * rows : (s + 1) * rows]
        for r in range(rows):
            if t >= lengths[first + r]:
                now[r] = zero
                continue
            y, at = _row(g, axis, t, first + r), s * rows + r
            if kind == LSTM:
                lstm_backward(gates[at], cs[at], cs[at + rows], y, dh[r], dc[r], now[r])
            elif kind == GRU:
                gru_backward(gates[at], zs[at][inputs:], y, dh[r], now[r])
            else:
                rnn_backward(kind == RELU, zs[at + rows][inputs:], y, dh[r], now[r])
            for j in range(width):
                db[j] += now[r, j]
        contract(
            dh, at_(now), at_(w_hh), at_(dh), at_(nothing), alone, rows, width * size, hidden * size, of_h, hidden,
            size, block, w_hh.shape[1] * block, hidden, True,
        )  # fmt: skip
        if wants_dx:
            contract(
                dh, at_(now), at_(w_xh), at_(_row(dx, axis, t, first)), at_(nothing), alone, rows, width * size,
                apart * size, of_x, hidden, size, block, w_xh.shape[1] * block, inputs, False,
            )  # fmt: skip
        before = _time(s - 1, steps, reverse)  # the step that made the state which step s begins with
        if truncate and s and (min(t, before) + 1) % truncate == 0:
            for r in range(rows):
                if max(t, before) < lengths[first + r]:  # a row that begins or has ended keeps its state as it is
                    dh[r] = zero
                    dc[r] = zero
    many, n, begin = steps * rows, width - skipped, d.ctypes.data
    gemm(address, True, False, n, hidden, many, one, begin + skipped * size, width, zs.ctypes.data + inputs * size,
         terms, zero, dw_hh.ctypes.data, hidden)  # fmt: skip
    gemm(address, True, False, n, inputs, many, one, begin, width, zs.ctypes.data, terms, zero, dw_xh.ctypes.data,
         inputs)  # fmt: skip
