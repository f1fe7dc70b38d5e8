"""One step of each recurrent cell, forward and backward, in place, for rows of the batch that lie together.

``a`` are the sums of the products of x and h with the weights and become the gates: of an LSTM i, f, g, o, of a GRU
n, r, z and W_hn·h + b_hn, of a vanilla network h itself; the rows begin at ``at`` of each. Backward ``d`` becomes the
gradient of those sums, and ``dh``, which arrives as the gradient of the new state, what of it goes to the old one
besides the product with W_hh.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.extending import intrinsic

from .compile import nested
from .functions import sigmoid, sigmoid_quotient, tanh, tanh_quotient

TANH, RELU, LSTM, GRU = range(4)
SUMS = {  # of each, the gate of W_xh and that of W_hh, or −1
    TANH: ((0, 0),),
    RELU: ((0, 0),),
    LSTM: ((0, 0), (1, 1), (2, 2), (3, 3)),
    GRU: ((2, -1), (0, 0), (1, 1), (-1, 2)),
}


@intrinsic
def borrowed(typing: Any, x: Any) -> Any:
    """The array x for as long as someone else holds it: what is cut from it costs no counting of references."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(x)(context, builder, value=args[0])
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        return array._getvalue()

    return x(x), generate


@nested
def rnn_forward(relu: bool, a: Any) -> None:
    """h = tanh(a), or with relu."""
    if relu:
        zero = a.dtype.type(0)
        for j in range(a.size):
            a[j] = zero if a[j] <= zero else a[j]  # NaN stays
    else:
        for j in range(a.size):
            a[j] = tanh(a[j])


@nested
def rnn_backward(relu: bool, h: Any, dh: Any, d: Any) -> None:
    """d = dh · f'(a), in terms of h."""
    zero, one = h.dtype.type(0), h.dtype.type(1)
    if relu:
        for j in range(h.size):
            d[j] = dh[j] * (one if h[j] > zero else zero)
    else:
        for j in range(h.size):
            d[j] = dh[j] * (one - h[j] * h[j])
    dh[:] = zero


@nested
def _four(a: Any, at: int, size: int) -> Any:
    """The numbers from row ``at`` of each of the four."""
    stop = at + size // a.shape[2]
    return a[0, at:stop].reshape(-1), a[1, at:stop].reshape(-1), a[2, at:stop].reshape(-1), a[3, at:stop].reshape(-1)


@nested
def lstm_forward(a: Any, at: int, before: Any, c: Any, h: Any) -> None:
    """c = f·c + i·g, h = o·tanh(c)."""
    (i, f, g, o), one = _four(a, at, h.size), h.dtype.type(1)
    for j in range(h.size):  # one division for all that goes into c
        above_i, below_i = sigmoid_quotient(i[j])
        above_f, below_f = sigmoid_quotient(f[j])
        above_g, below_g = tanh_quotient(g[j])
        both = below_i * below_f
        over = one / (both * below_g)
        each = over * below_g
        i[j], f[j], g[j] = above_i * (below_f * each), above_f * (below_i * each), above_g * (both * over)
    for j in range(h.size):
        c[j] = f[j] * before[j] + i[j] * g[j]
    for j in range(h.size):
        above_o, below_o = sigmoid_quotient(o[j])
        above_c, below_c = tanh_quotient(c[j])
        over = one / (below_o * below_c)
        o[j] = above_o * (below_c * over)
        h[j] = above_o * above_c * over


@nested
def lstm_backward(a: Any, at: int, before: Any, c: Any, dh: Any, dc: Any, d: Any) -> None:
    """The gradients of the four sums; ``dc`` becomes that of the old c."""
    (i, f, u, o), (di, df, du, do), one = _four(a, at, c.size), _four(d, at, c.size), c.dtype.type(1)
    for j in range(c.size):
        s = tanh(c[j])
        dc[j] += dh[j] * o[j] * (one - s * s)
        do[j] = dh[j] * s * (o[j] * (one - o[j]))
    for j in range(c.size):
        di[j] = dc[j] * u[j] * (i[j] * (one - i[j]))
        du[j] = dc[j] * i[j] * (one - u[j] * u[j])
    for j in range(c.size):
        df[j] = dc[j] * before[j] * (f[j] * (one - f[j]))
        dc[j] *= f[j]
    dh[:] = c.dtype.type(0)


@nested
def gru_forward(a: Any, at: int, before: Any, h: Any) -> None:
    """h = (1 − z)·n + z·h, with n = tanh(x's sum + r·(h's sum))."""
    (n, r, z, of_h), one = _four(a, at, h.size), h.dtype.type(1)
    for gate in (r, z):
        for j in range(h.size):
            gate[j] = sigmoid(gate[j])
    for j in range(h.size):
        n[j] = tanh(n[j] + r[j] * of_h[j])
    for j in range(h.size):
        h[j] = (one - z[j]) * n[j] + z[j] * before[j]


@nested
def gru_backward(a: Any, at: int, before: Any, dh: Any, d: Any) -> None:
    """The gradients of the sums of n, r, z and of W_hn·h + b_hn."""
    size, one = before.size, before.dtype.type(1)
    (n, r, z, of_h), (dn, dr, dz, d_of_h) = _four(a, at, size), _four(d, at, size)
    for j in range(size):
        dn[j] = dh[j] * (one - z[j]) * (one - n[j] * n[j])
    for j in range(size):
        dz[j] = dh[j] * (before[j] - n[j]) * (z[j] * (one - z[j]))
    for j in range(size):
        dr[j] = dn[j] * of_h[j] * (r[j] * (one - r[j]))
        d_of_h[j] = dn[j] * r[j]
    for j in range(size):
        dh[j] *= z[j]
