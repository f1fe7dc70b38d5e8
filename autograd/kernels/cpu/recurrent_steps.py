"""A sequence through all its steps, for some rows of the batch: products by the BLAS, the rest by one pass per step.

Of every thread the rows lie together, in the order of the loop: its first step's rows, then its second's, and so on.
Whether a row runs at a step, and where gradients are cut, is as in ``autograd/ops/timeline.py``.
"""

from __future__ import annotations

from typing import Any

import numba

from .compile import OPTIONS, compiled, gemm
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

WIDTH, DEPTH = 64, 512  # of the pieces of a product: below 10⁶ multiplications OpenBLAS does not pack first
ROWS = 30

_inner = numba.njit(**OPTIONS)


@compiled
def panels(w: Any, transposed: bool, out: Any, first: int, last: int) -> None:
    """Lay a product's right factor, w or its transpose, out in panels of ``WIDTH`` columns, from panel to panel."""
    depth, width = (w.shape[1], w.shape[0]) if transposed else w.shape
    for start in range(first * WIDTH, min(last * WIDTH, width), WIDTH):
        columns = min(WIDTH, width - start)
        panel = out[start * depth : (start + columns) * depth].reshape(depth, columns)
        if transposed:
            for above in range(0, depth, 16):  # a cache line of each row at a time
                for j in range(columns):
                    for k in range(above, min(above + 16, depth)):
                        panel[k, j] = w[start + j, k]
        else:
            for k in range(depth):
                panel[k] = w[k, start : start + columns]


@_inner
def _product(address: int, m: int, n: int, k: int, a: int, lda: int, b: Any, beta: float, c: int, ldc: int) -> None:
    """C = A·B + beta·C, with B in panels."""
    one, size = b.dtype.type(1), b.itemsize
    rows = -(-m // -(-m // ROWS))
    for j in range(0, n, WIDTH):
        width = min(WIDTH, n - j)
        for i in range(0, k, DEPTH):
            piece, keep = b.ctypes.data + (j * k + i * width) * size, one if i else beta
            for r in range(0, m, rows):
                gemm(
                    address, False, False, min(rows, m - r), width, min(DEPTH, k - i), one,
                    a + (r * lda + i) * size, lda, piece, width, keep, c + (r * ldc + j) * size, ldc,
                )  # fmt: skip


@_inner
def _time(s: int, steps: int, reverse: bool) -> int:
    return steps - 1 - s if reverse else s


@_inner
def _row(x: Any, axis: int, t: int, n: int) -> Any:
    return x[n, t] if axis == 1 else x[t, n]


@_inner
def _arrange(x: Any, axis: int, reverse: bool, lengths: Any, first: int, last: int, out: Any, back: bool) -> None:
    """Copy the rows of x in the order of the loop, 0 where a row does not run; ``back``: from ``out`` into x."""
    steps, zero, at = x.shape[axis], x.dtype.type(0), 0
    for s in range(steps):
        t = _time(s, steps, reverse)
        for n in range(first, last):
            source, target = _row(x, axis, t, n), out[at]
            if back:
                source, target = target, source
            if t < lengths[n]:
                target[:] = source
            else:
                target[:] = zero
            at += 1


@compiled
def forward_steps(
    kind: int, address: int, x: Any, axis: int, reverse: bool, lengths: Any, first: int, last: int, w_xh: Any,
    w_hh: Any, b: Any, gates: Any, hs: Any, cs: Any, output: Any, h: Any, c: Any,
) -> None:  # fmt: skip
    """Run rows ``first`` … ``last`` − 1; ``h`` and ``c`` hold their first states and get their last.

    The weights are in panels. Kept are the gates and all states, ``hs`` and ``cs``.
    """
    steps, rows, inputs, hidden = x.shape[axis], last - first, x.shape[2], h.shape[1]
    zero, one, size = h.dtype.type(0), h.dtype.type(1), h.itemsize
    states = slice((steps + 1) * first, (steps + 1) * last)
    x, lengths, b, output, h, c = (
        borrowed(x),
        borrowed(lengths),
        borrowed(b),
        borrowed(output),
        borrowed(h),
        borrowed(c),
    )
    hs, cs, gates = borrowed(hs)[states], borrowed(cs)[states], borrowed(gates)
    gates = hs[rows:] if kind <= RELU else gates[steps * first : steps * last]
    width, skipped, apart = gates.shape[1], hidden if kind == GRU else 0, inputs * (steps if axis == 1 else 1)
    hs[:rows] = h[first:last]
    if kind == LSTM:
        cs[:rows] = c[first:last]
    for s in range(steps):
        t, a = _time(s, steps, reverse), gates[s * rows : (s + 1) * rows]
        before, after = hs[s * rows : (s + 1) * rows], hs[(s + 1) * rows : (s + 2) * rows]
        _product(address, rows, width - skipped, inputs, _row(x, axis, t, first).ctypes.data, apart, w_xh, zero,
                 a.ctypes.data, width)  # fmt: skip
        if kind == GRU:
            for r in range(rows):
                a[r, 3 * hidden :] = b[3 * hidden :]
        _product(address, rows, width - skipped, hidden, before.ctypes.data, hidden, w_hh, one,
                 a.ctypes.data + skipped * size, width)  # fmt: skip
        for r in range(rows):
            y, c_before, c_after = _row(output, axis, t, first + r), cs[s * rows + r], cs[(s + 1) * rows + r]
            if t >= lengths[first + r]:
                after[r] = before[r]
                y[:] = zero
                if kind == LSTM:
                    c_after[:] = c_before
                continue
            if kind == LSTM:
                lstm_forward(a[r], b, c_before, c_after, after[r])
            elif kind == GRU:
                gru_forward(a[r], b, before[r], after[r])
            else:
                rnn_forward(kind == RELU, a[r], b)
            y[:] = after[r]
    h[first:last] = hs[steps * rows :]
    if kind == LSTM:
        c[first:last] = cs[steps * rows :]


@compiled
def backward_steps(
    kind: int, address: int, x: Any, axis: int, reverse: bool, truncate: int, lengths: Any, first: int, last: int,
    arrange: bool, w_xh: Any, w_hh: Any, gates: Any, hs: Any, cs: Any, g: Any, d: Any, dh: Any, dc: Any, xs: Any,
    wants_dx: bool, dx: Any, dw_xh: Any, dw_hh: Any, db: Any,
) -> None:  # fmt: skip
    """The gradients of rows ``first`` … ``last`` − 1; ``dh`` and ``dc`` hold those of the last states, get the first's.

    ``w_hh`` is in panels. ``d`` has columns as the gates have them; ``dw_xh``, ``dw_hh`` and ``db`` get the part of the
    sum that is these rows'. Where the rows must be arranged, ``xs`` is work space.
    """
    steps, rows, inputs, hidden = x.shape[axis], last - first, x.shape[2], dh.shape[1]
    zero, one, size = dh.dtype.type(0), dh.dtype.type(1), dh.itemsize
    own, states = slice(steps * first, steps * last), slice((steps + 1) * first, (steps + 1) * last)
    g, lengths, x, dx, db = borrowed(g), borrowed(lengths), borrowed(x), borrowed(dx), borrowed(db)
    xs, gates, d = borrowed(xs)[own], borrowed(gates)[own], borrowed(d)[own]
    hs, cs, dh, dc = borrowed(hs)[states], borrowed(cs)[states], borrowed(dh)[first:last], borrowed(dc)[first:last]
    width, skipped = d.shape[1], hidden if kind == GRU else 0
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
                gru_backward(gates[at], hs[at], y, dh[r], now[r])
            else:
                rnn_backward(kind == RELU, hs[at + rows], y, dh[r], now[r])
            for j in range(width):
                db[j] += now[r, j]
        _product(address, rows, hidden, width - skipped, now.ctypes.data + skipped * size, width, w_hh, one,
                 dh.ctypes.data, hidden)  # fmt: skip
        before = _time(s - 1, steps, reverse)  # the step that made the state which step s begins with
        if truncate and s and (min(t, before) + 1) % truncate == 0:
            for r in range(rows):
                if max(t, before) < lengths[first + r]:  # a row that begins or has ended keeps its state as it is
                    dh[r] = zero
                    dc[r] = zero
    if arrange:
        _arrange(x, axis, reverse, lengths, first, last, xs, False)
    many, n, begin = steps * rows, width - skipped, d.ctypes.data
    gemm(address, True, False, n, hidden, many, one, begin + skipped * size, width, hs.ctypes.data, hidden, zero,
         dw_hh.ctypes.data, hidden)  # fmt: skip
    gemm(address, True, False, n, inputs, many, one, begin, width, xs.ctypes.data, inputs, zero, dw_xh.ctypes.data,
         inputs)  # fmt: skip
    if wants_dx:
        gemm(address, False, False, many, inputs, n, one, begin, width, w_xh.ctypes.data, inputs, zero,
             xs.ctypes.data if arrange else dx.ctypes.data, inputs)  # fmt: skip
        if arrange:
            _arrange(dx, axis, reverse, lengths, first, last, xs, True)
