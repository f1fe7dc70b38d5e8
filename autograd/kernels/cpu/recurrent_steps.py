"""A sequence through all its steps, for some rows of the batch: products in tiles, and one pass per step.

Of every thread the rows lie together, in the order of the loop: its first step's rows, then its second's, and so on; of
gates first all of one, then all of the next. Whether a row runs at a step, and where gradients are cut, is as in
``autograd/ops/timeline.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import compiled, gemm, nested
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
from .simd import gather, load, store
from .tiles import contract


@nested
def _alike(lengths: Any, t: int, r: int, last: int) -> Any:
    """Whether row r runs at step t, and the first row behind it that does not do as it does."""
    runs, stop = t < lengths[r], r + 1
    while stop < last and (t < lengths[stop]) == runs:
        stop += 1
    return runs, stop


@nested
def _time(s: int, steps: int, reverse: bool) -> int:
    return steps - 1 - s if reverse else s


@nested
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
            if count < lanes:
                for j in range(count):
                    for k in range(terms):
                        panel[k, to + j] = source[k, start + j] if turned else source[start + j, k]
                continue
            into = at_(panel) + to * size
            given, step, apart = at_(source[start]), size, terms * size
            if turned:
                given, step, apart = at_(source) + start * size, columns * size, size
            for k in range(terms):
                v = load(given + k * step, zero) if turned else gather(given + k * step, apart, zero)
                store(into + k * block * size, v)


@compiled
def forward_steps(
    kind: int, keep: bool, x: Any, axis: int, reverse: bool, lengths: Any, first: int, last: int, w_xh: Any, w_hh: Any,
    sums: Any, b: Any, gates: Any, xs: Any, hs: Any, cs: Any, output: Any, h: Any, c: Any,
) -> None:  # fmt: skip
    """Run rows ``first`` … ``last`` − 1; ``h`` and ``c`` hold their first states and get their last.

    The weights are in panels; ``sums`` are the gates of x and of h that each sum is made of, or −1. ``gates`` are the
    sums at first; they, ``xs``, ``hs`` and ``cs`` are of all steps or, without ``keep``, only of the last.
    """
    steps, rows, hidden, size = x.shape[axis], last - first, h.shape[1], h.itemsize
    zero, panel, times = h.dtype.type(0), w_xh.shape[3] * size, steps + 1 if keep else 2
    own, states = slice((times - 1) * first, (times - 1) * last), slice(times * first, times * last)
    lengths, x, output, h, c = borrowed(lengths), borrowed(x), borrowed(output), borrowed(h), borrowed(c)
    xs, hs, cs = borrowed(xs)[own], borrowed(hs)[states], borrowed(cs)[states]
    alone, nothing = np.zeros((1, 2), np.int64), np.zeros_like(b)
    hs[:rows] = h[first:last]
    if kind == LSTM:
        cs[:rows] = c[first:last]
    for s in range(steps):
        t, now = _time(s, steps, reverse), s % (times - 1) * rows
        top, below = s % times * rows, (s + 1) % times * rows
        for r in range(rows):
            if t < lengths[first + r]:
                xs[now + r] = _row(x, axis, t, first + r)
            else:
                xs[now + r] = zero
        for part in range(len(sums)):
            to = at_(hs[below]) if kind <= RELU else at_(gates[part, own.start + now])
            for given, w, gate, add in (
                (at_(xs[now]), w_xh, sums[part, 0], False),
                (at_(hs[top]), w_hh, sums[part, 1], sums[part, 0] >= 0),
            ):
                terms = w.shape[2]
                if gate >= 0:
                    contract(
                        h, given, at_(w[gate]), to, at_((nothing if add else b)[part * hidden :]), alone, rows,
                        terms * size, hidden * size, alone, terms, size, panel, terms * panel, hidden, add,
                    )  # fmt: skip
        r = 0
        while r < rows:
            runs, stop = _alike(lengths, t, first + r, last)
            stop -= first
            before, after = hs[top + r : top + stop].reshape(-1), hs[below + r : below + stop].reshape(-1)
            c_before, c_after = cs[top + r : top + stop].reshape(-1), cs[below + r : below + stop].reshape(-1)
            at = own.start + now + r
            a = borrowed(gates)
            if not runs:
                after[:] = before
                c_after[:] = c_before
            elif kind == LSTM:
                lstm_forward(a, at, c_before, c_after, after)
            elif kind == GRU:
                gru_forward(a, at, before, after)
            else:
                rnn_forward(kind == RELU, after)
            for n in range(r, stop):
                y = _row(output, axis, t, first + n)
                if runs:
                    y[:] = hs[below + n]
                else:
                    y[:] = zero
            r = stop
    top = steps % times * rows
    h[first:last] = hs[top : top + rows]
    if kind == LSTM:
        c[first:last] = cs[top : top + rows]


@compiled
def backward_steps(
    kind: int, address: int, axis: int, reverse: bool, truncate: int, lengths: Any, first: int, last: int, w_xh: Any,
    w_hh: Any, sums: Any, gates: Any, xs: Any, hs: Any, cs: Any, g: Any, d: Any, dh: Any, dc: Any, wants_dx: bool,
    dx: Any, dw_xh: Any, dw_hh: Any, db: Any,
) -> None:  # fmt: skip
    """The gradients of rows ``first`` … ``last`` − 1; ``dh`` and ``dc`` hold those of the last states, get the first's.

    The weights are in panels, turned. ``d`` become the gradients of the sums; ``dw_xh``, ``dw_hh`` and ``db`` get what
    is these rows'.
    """
    steps, rows, inputs, hidden, size = g.shape[axis], last - first, dx.shape[2], dh.shape[1], dh.itemsize
    zero, one, panel, apart = dh.dtype.type(0), dh.dtype.type(1), w_hh.shape[2] * size, steps if axis == 1 else 1
    own, states = slice(steps * first, steps * last), slice((steps + 1) * first, (steps + 1) * last)
    lengths, g, dx, d, gates = borrowed(lengths), borrowed(g), borrowed(dx), borrowed(d), borrowed(gates)
    xs, hs, cs = borrowed(xs)[own], borrowed(hs)[states], borrowed(cs)[states]
    dh, dc = borrowed(dh)[first:last], borrowed(dc)[first:last]
    alone, nothing = np.zeros((1, 2), np.int64), np.zeros(max(inputs, hidden) + w_hh.shape[2], dh.dtype)
    of_x, of_h = _runs(sums[:, 0], d, panel), _runs(sums[:, 1], d, panel)
    db[:] = zero
    for s in range(steps - 1, -1, -1):
        t, top, below, r = _time(s, steps, reverse), s * rows, (s + 1) * rows, 0
        now = own.start + top
        while r < rows:
            runs, stop = _alike(lengths, t, first + r, last)
            stop -= first
            if runs:
                for n in range(r, stop):
                    y, into = _row(g, axis, t, first + n), dh[n]
                    for j in range(hidden):
                        into[j] += y[j]
                before, after = hs[top + r : top + stop].reshape(-1), hs[below + r : below + stop].reshape(-1)
                c_before, c_after = cs[top + r : top + stop].reshape(-1), cs[below + r : below + stop].reshape(-1)
                into, into_c = dh[r:stop].reshape(-1), dc[r:stop].reshape(-1)
                if kind == LSTM:
                    lstm_backward(gates, now + r, c_before, c_after, into, into_c, d)
                elif kind == GRU:
                    gru_backward(gates, now + r, before, into, d)
                else:
                    rnn_backward(kind == RELU, after, into, d[0, now + r : now + stop].reshape(-1))
            else:
                for part in range(len(sums)):
                    d[part, now + r : now + stop] = zero
            r = stop
        for part in range(len(sums)):
            for n in range(now, now + rows):
                total, given = db[part], d[part, n]
                for j in range(hidden):
                    total[j] += given[j]
        contract(
            dh, at_(d[0, now]), at_(w_hh), at_(dh), at_(nothing), alone, rows, hidden * size, hidden * size, of_h,
            hidden, size, panel, w_hh.shape[1] * panel, hidden, True,
        )  # fmt: skip
        if wants_dx:
            contract(
                dh, at_(d[0, now]), at_(w_xh), at_(_row(dx, axis, t, first)), at_(nothing), alone, rows, hidden * size,
                apart * inputs * size, of_x, hidden, size, panel, w_xh.shape[1] * panel, inputs, False,
            )  # fmt: skip
        made = _time(s - 1, steps, reverse)  # the step that made the state which step s begins with
        if truncate and s and (min(t, made) + 1) % truncate == 0:
            for r in range(rows):
                if max(t, made) < lengths[first + r]:  # a row that begins or has ended keeps its state as it is
                    dh[r] = zero
                    dc[r] = zero
    for part in range(len(sums)):
        for gate, given, wide, total in (
            (sums[part, 0], at_(xs), inputs, at_(dw_xh)), (sums[part, 1], at_(hs), hidden, at_(dw_hh))
        ):  # fmt: skip
            if gate >= 0:
                to = total + gate * hidden * wide * size
                gemm(address, True, False, hidden, wide, steps * rows, one, at_(d[part, own.start]), hidden, given,
                     wide, zero, to, wide)  # fmt: skip


@nested
def _runs(gates: Any, d: Any, panel: int) -> Any:
    """Where the sums that have a gate begin in ``d``, and the gates' weights in a panel, in bytes."""
    runs, count = np.empty((len(gates), 2), np.int64), 0
    for part in range(len(gates)):
        if gates[part] >= 0:
            runs[count] = part * d[0].nbytes, gates[part] * d.shape[2] * panel
            count += 1
    return runs[:count]
