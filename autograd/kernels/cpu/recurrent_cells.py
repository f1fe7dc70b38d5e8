"""One step of each recurrent cell for one row of the batch, forward and backward, in place.

``a`` has the products of x and h with the weights and becomes the gates: of an LSTM i, f, g, o, of a GRU n, r, z and
W_hn·h + b_hn, of a vanilla network h itself. Backward ``d`` becomes the gradient of those sums, and ``dh``, which
arrives as the gradient of the new state, what of it goes to the old one besides the product ``d @ w_hh``.
"""

from __future__ import annotations

from typing import Any

import numba

from .compile import OPTIONS
from .functions import sigmoid, tanh

TANH, RELU, LSTM, GRU = range(4)

_inner = numba.njit(**OPTIONS)


@_inner
def rnn_forward(relu: bool, a: Any, b: Any) -> None:
    """h = tanh(a + b), or with relu."""
    zero = a.dtype.type(0)
    for j in range(a.size):
        if relu:
            total = a[j] + b[j]
            a[j] = zero if total <= zero else total  # NaN stays
        else:
            a[j] = tanh(a[j] + b[j])


@_inner
def rnn_backward(relu: bool, h: Any, g: Any, dh: Any, d: Any) -> None:
    """d = dh · f'(a), in terms of h."""
    zero, one = h.dtype.type(0), h.dtype.type(1)
    for j in range(h.size):
        slope = (one if h[j] > zero else zero) if relu else one - h[j] * h[j]
        d[j] = (dh[j] + g[j]) * slope
        dh[j] = zero


@_inner
def lstm_forward(a: Any, b: Any, before: Any, c: Any, h: Any) -> None:
    """c = f·c + i·g, h = o·tanh(c)."""
    n = h.size
    i, f, g, o = a[:n], a[n : 2 * n], a[2 * n : 3 * n], a[3 * n :]
    bi, bf, bg, bo = b[:n], b[n : 2 * n], b[2 * n : 3 * n], b[3 * n :]
    for j in range(n):
        i[j] = sigmoid(i[j] + bi[j])
        f[j] = sigmoid(f[j] + bf[j])
        g[j] = tanh(g[j] + bg[j])
        o[j] = sigmoid(o[j] + bo[j])
        c[j] = f[j] * before[j] + i[j] * g[j]
        h[j] = o[j] * tanh(c[j])


@_inner
def lstm_backward(a: Any, before: Any, c: Any, g: Any, dh: Any, dc: Any, d: Any) -> None:
    """The gradients of the four sums; ``dc`` becomes that of the old c."""
    n, zero, one = c.size, c.dtype.type(0), c.dtype.type(1)
    i, f, u, o = a[:n], a[n : 2 * n], a[2 * n : 3 * n], a[3 * n :]
    di, df, du, do = d[:n], d[n : 2 * n], d[2 * n : 3 * n], d[3 * n :]
    for j in range(n):
        total, s = dh[j] + g[j], tanh(c[j])
        dcj = dc[j] + total * o[j] * (one - s * s)
        di[j] = dcj * u[j] * (i[j] * (one - i[j]))
        df[j] = dcj * before[j] * (f[j] * (one - f[j]))
        du[j] = dcj * i[j] * (one - u[j] * u[j])
        do[j] = total * s * (o[j] * (one - o[j]))
        dc[j] = dcj * f[j]
        dh[j] = zero


@_inner
def gru_forward(a: Any, b: Any, before: Any, h: Any) -> None:
    """h = (1 − z)·n + z·h, with n = tanh(x's sum + r·(h's sum)), which has its bias already."""
    k, one = h.size, h.dtype.type(1)
    n, r, z, of_h = a[:k], a[k : 2 * k], a[2 * k : 3 * k], a[3 * k :]
    bn, br, bz = b[:k], b[k : 2 * k], b[2 * k : 3 * k]
    for j in range(k):
        r[j] = sigmoid(r[j] + br[j])
        z[j] = sigmoid(z[j] + bz[j])
        n[j] = tanh(n[j] + bn[j] + r[j] * of_h[j])
        h[j] = (one - z[j]) * n[j] + z[j] * before[j]


@_inner
def gru_backward(a: Any, before: Any, g: Any, dh: Any, d: Any) -> None:
    """The gradients of the sums of n, r, z and of W_hn·h + b_hn."""
    k, one = before.size, before.dtype.type(1)
    n, r, z, of_h = a[:k], a[k : 2 * k], a[2 * k : 3 * k], a[3 * k :]
    dn, dr, dz, d_of_h = d[:k], d[k : 2 * k], d[2 * k : 3 * k], d[3 * k :]
    for j in range(k):
        total = dh[j] + g[j]
        dnj = total * (one - z[j]) * (one - n[j] * n[j])
        dn[j] = dnj
        dr[j] = dnj * of_h[j] * (r[j] * (one - r[j]))
        dz[j] = total * (before[j] - n[j]) * (z[j] * (one - z[j]))
        d_of_h[j] = dnj * r[j]
        dh[j] = total * z[j]
