"""One step of each recurrent cell for one row of the batch, forward and backward, in place.

``a`` has the products of x and h with the weights and becomes the gates: of an LSTM i, f, g, o, of a GRU n, r, z and
W_hn·h + b_hn, of a vanilla network h itself. Backward ``d`` becomes the gradient of those sums, and ``dh``, which
arrives as the gradient of the new state, what of it goes to the old one besides the product ``d @ w_hh``.
"""

from __future__ import annotations

from typing import Any

import numba
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import OPTIONS
from .functions import sigmoid, sigmoid_quotient, tanh, tanh_quotient

TANH, RELU, LSTM, GRU = range(4)
SUMS: dict[int, tuple[tuple[int | None, int | None], ...]] = {  # of each, the gate of W_xh and that of W_hh
    TANH: ((0, 0),),
    RELU: ((0, 0),),
    LSTM: ((0, 0), (1, 1), (2, 2), (3, 3)),
    GRU: ((2, None), (0, 0), (1, 1), (None, 2)),
}

_inner = numba.njit(**OPTIONS)


@intrinsic
def borrowed(typing: Any, x: Any) -> Any:
    """The array x for as long as someone else holds it: what is cut from it costs no counting of references."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(x)(context, builder, value=args[0])
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        return array._getvalue()

    return x(x), generate


@_inner
def rnn_forward(relu: bool, a: Any) -> None:
    """h = tanh(a), or with relu."""
    if relu:
        zero = a.dtype.type(0)
        for j in range(a.size):
            a[j] = zero if a[j] <= zero else a[j]  # NaN stays
    else:
        for j in range(a.size):
            a[j] = tanh(a[j])


@_inner
def rnn_backward(relu: bool, h: Any, g: Any, dh: Any, d: Any) -> None:
    """d = dh · f'(a), in terms of h."""
    zero, one = h.dtype.type(0), h.dtype.type(1)
    if relu:
        for j in range(h.size):
            d[j] = (dh[j] + g[j]) * (one if h[j] > zero else zero)
    else:
        for j in range(h.size):
            d[j] = (dh[j] + g[j]) * (one - h[j] * h[j])
    dh[:] = zero


@_inner
def _sigmoids(a: Any) -> None:
    for j in range(a.size):
        a[j] = sigmoid(a[j])


@_inner
def lstm_forward(a: Any, apart: int, before: Any, c: Any, h: Any) -> None:
    """c = f·c + i·g, h = o·tanh(c), for some of the units; their gates are ``apart``."""
    n, one = h.size, h.dtype.type(1)
    i, f, g, o = a[:n], a[apart:][:n], a[2 * apart :][:n], a[3 * apart :][:n]
    for j in range(n):  # one division for all that goes into c
        above_i, below_i = sigmoid_quotient(i[j])
        above_f, below_f = sigmoid_quotient(f[j])
        above_g, below_g = tanh_quotient(g[j])
        both = below_i * below_f
        over = one / (both * below_g)
        each = over * below_g
        i[j], f[j], g[j] = above_i * (below_f * each), above_f * (below_i * each), above_g * (both * over)
    for j in range(n):
        c[j] = f[j] * before[j] + i[j] * g[j]
    for j in range(n):
        above_o, below_o = sigmoid_quotient(o[j])
        above_c, below_c = tanh_quotient(c[j])
        over = one / (below_o * below_c)
        o[j] = above_o * (below_c * over)
        h[j] = above_o * above_c * over


@_inner
def lstm_backward(a: Any, before: Any, c: Any, g: Any, dh: Any, dc: Any, d: Any) -> None:
    """The gradients of the four sums; ``dc`` becomes that of the old c."""
    n, one = c.size, c.dtype.type(1)
    i, f, u, o = a[:n], a[n : 2 * n], a[2 * n : 3 * n], a[3 * n :]
    di, df, du, do = d[:n], d[n : 2 * n], d[2 * n : 3 * n], d[3 * n :]
    for j in range(n):
        total, s = dh[j] + g[j], tanh(c[j])
        dc[j] += total * o[j] * (one - s * s)
        do[j] = total * s * (o[j] * (one - o[j]))
    for j in range(n):
        di[j] = dc[j] * u[j] * (i[j] * (one - i[j]))
        du[j] = dc[j] * i[j] * (one - u[j] * u[j])
    for j in range(n):
        df[j] = dc[j] * before[j] * (f[j] * (one - f[j]))
        dc[j] *= f[j]
    dh[:] = c.dtype.type(0)


@_inner
def gru_forward(a: Any, apart: int, before: Any, h: Any) -> None:
    """h = (1 − z)·n + z·h, with n = tanh(x's sum + r·(h's sum)), for some of the units; their gates are ``apart``."""
    k, one = h.size, h.dtype.type(1)
    n, r, z, of_h = a[:k], a[apart:][:k], a[2 * apart :][:k], a[3 * apart :][:k]
    _sigmoids(r)
    _sigmoids(z)
    for j in range(k):
        n[j] = tanh(n[j] + r[j] * of_h[j])
    for j in range(k):
        h[j] = (one - z[j]) * n[j] + z[j] * before[j]


@_inner
def gru_backward(a: Any, before: Any, g: Any, dh: Any, d: Any) -> None:
    """The gradients of the sums of n, r, z and of W_hn·h + b_hn."""
    k, one = before.size, before.dtype.type(1)
    n, r, z, of_h = a[:k], a[k : 2 * k], a[2 * k : 3 * k], a[3 * k :]
    dn, dr, dz, d_of_h = d[:k], d[k : 2 * k], d[2 * k : 3 * k], d[3 * k :]
    for j in range(k):
        dn[j] = (dh[j] + g[j]) * (one - z[j]) * (one - n[j] * n[j])
        dz[j] = (dh[j] + g[j]) * (before[j] - n[j]) * (z[j] * (one - z[j]))
    for j in range(k):
        dr[j] = dn[j] * of_h[j] * (r[j] * (one - r[j]))
        d_of_h[j] = dn[j] * r[j]
    for j in range(k):
        dh[j] = (dh[j] + g[j]) * z[j]
