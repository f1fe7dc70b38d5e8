"""exp, sigmoid and tanh for compiled loops: without branches or calls, so that the compiler computes many at once.

For float32 within 2 units in the last place everywhere (Cody & Waite 1980: x = n·ln 2 + r, a polynomial for e^r − 1,
the exponent's bits for 2ⁿ); float64 takes the C library's. Call them from compiled code only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import overload

# No sums in another order here: ln 2 is taken away in two parts, and a large number is added and taken away to round.
INLINED: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "forceinline": True}

_inlined = numba.njit(**INLINED)

ROUND = np.float32(1.5 * 2**23)  # adding it leaves an integer in the lowest bits of the sum
ROUND_BITS = np.int32(ROUND.view(np.int32))
LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
C2, C3, C4, C5, C6, C7 = (  # of (e^r − 1 − r) / r² on ±ln 2 / 2, from Cephes' expf
    np.float32(c) for c in (0.5, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4)
)
T3, T5, T7, T9, T11 = (  # of tanh below NEAR, from Cephes' tanhf
    np.float32(c) for c in (-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2, -5.70498872745e-3)
)
NEAR = np.float32(0.625)
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
SMALLEST, LARGEST, TANH_LOW = np.float32(-104), np.float32(89), np.float32(-40)  # beyond: 0, ∞; e^−40 + 1 is 1
LOWEST = np.float32(-87)  # the exponential of what is below is no ordinary number
MAGNITUDE, SIGN, BIAS, MANTISSA = np.int32(0x7FFFFFFF), np.int32(-(2**31)), np.int32(127), np.int32(23)


@_inlined
def _power_of_2(n: Any) -> Any:
    """2ⁿ for −126 ≤ n ≤ 127."""
    return np.int32((n + BIAS) << MANTISSA).view(np.float32)


@_inlined
def _reduced(x: Any) -> Any:
    """n and e^r − 1, where x = n·ln 2 + r and |r| ≤ ln 2 / 2."""
    sum_ = x * LOG2_E + ROUND
    n = sum_ - ROUND
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = ((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2
    return np.int32(np.float32(sum_).view(np.int32) - ROUND_BITS), p * (r * r) + r


@_inlined
def _exp32(x: Any) -> Any:
    x = SMALLEST if x < SMALLEST else x  # written so that NaN stays
    x = LARGEST if x > LARGEST else x
    n, e = _reduced(x)
    half = np.int32(n >> np.int32(1))  # in two steps, since 2ⁿ itself may be no ordinary number
    return (e + ONE) * _power_of_2(half) * _power_of_2(np.int32(n - half))


@_inlined
def _sigmoid32(x: Any) -> Any:
    """With z = e^−|x| = s·(1 + e): 1 / (1 + z) above 0, below s / (1 + z)·(1 + e), rounded once less than z is."""
    z = -abs(x)
    n, e = _reduced(SMALLEST if z < SMALLEST else z)
    half = np.int32(n >> np.int32(1))
    s = _power_of_2(half) * _power_of_2(np.int32(n - half))
    q = (s if x < 0 else ONE) / (ONE + (s * e + s))
    return q * (e if x < 0 else ZERO) + q


@_inlined
def _tanh32(x: Any) -> Any:
    """Of |x|, near 0 a polynomial, elsewhere 1 − 2·z / (1 + z) with z = e^(−2|x|); then the sign of x."""
    y = abs(x)
    z = -TWO * y
    n, e = _reduced(TANH_LOW if z < TANH_LOW else z)
    s = _power_of_2(n)
    z = s * e + s
    square = y * y
    p = (((T11 * square + T9) * square + T7) * square + T5) * square + T3
    value = p * (square * y) + y if y < NEAR else ONE - (TWO * z) / (ONE + z)
    sign = np.int32(np.float32(x).view(np.int32) & SIGN)
    return np.int32(np.float32(value).view(np.int32) & MAGNITUDE | sign).view(np.float32)


@_inlined
def _sigmoid_quotient32(x: Any) -> Any:
    """1 or e^x over 1 + e^−|x|, within 3 units; 0 becomes e^−87."""
    z = -abs(x)
    n, e = _reduced(LOWEST if z < LOWEST else z)
    s = _power_of_2(n)
    z = s * e + s
    return z if x < 0 else ONE, ONE + z


@_inlined
def _tanh_quotient32(x: Any) -> Any:
    """−m over 2 + m with m = e^(−2|x|) − 1 = s·e + (s − 1), which loses no digits near 0; and the sign of x."""
    z = -TWO * abs(x)
    n, e = _reduced(TANH_LOW if z < TANH_LOW else z)
    s = _power_of_2(n)
    m = s * e + (s - ONE)
    sign = np.int32(np.float32(x).view(np.int32) & SIGN)
    return np.int32(np.float32(m).view(np.int32) & MAGNITUDE | sign).view(np.float32), TWO + m


@_inlined
def _sigmoid64(x: Any) -> Any:
    z = np.exp(-abs(x))
    return (z if x < 0 else 1.0) / (1.0 + z)


@_inlined
def _sigmoid_quotient64(x: Any) -> Any:
    z = np.exp(-abs(x))
    return z if x < 0 else 1.0, 1.0 + z


@_inlined
def _tanh_quotient64(x: Any) -> Any:
    m = np.expm1(-2.0 * abs(x))
    return np.copysign(m, x), 2.0 + m


def _either(single: Callable[..., Any], double: Callable[..., Any]) -> Callable[..., Any]:
    """A function for compiled code that takes ``single`` for float32 and ``double`` for float64."""

    def function(x: Any) -> Any:
        raise NotImplementedError("for compiled code only → call autograd's operation")

    @overload(function, jit_options=INLINED)
    def by_type(x: Any) -> Callable[..., Any]:
        def of_single(x: Any) -> Any:
            return single(x)

        def of_double(x: Any) -> Any:
            return double(x)

        return of_single if x == types.float32 else of_double

    return function


exp = _either(_exp32, _inlined(lambda x: np.exp(x)))
sigmoid = _either(_sigmoid32, _sigmoid64)
tanh = _either(_tanh32, _inlined(lambda x: np.tanh(x)))
# The same as a numerator and a denominator from 1 to 2, for several to be divided at once.
sigmoid_quotient = _either(_sigmoid_quotient32, _sigmoid_quotient64)
tanh_quotient = _either(_tanh_quotient32, _tanh_quotient64)
