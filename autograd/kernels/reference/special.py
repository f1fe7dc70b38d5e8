"""Special functions that array libraries lack."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

SOURCE = "W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969)"

# Numerators and denominators, the highest power first, for |x| ≤ 0.46875, up to 4, and beyond.
_A = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_C = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
_D = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
_P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
_Q = (
    1.0,
    2.56852019228982242e0,
    1.87295284992346725e0,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)
_ROOT_PI_INVERSE = 5.6418958354775628695e-1


def _ratio(numerator: Sequence[float], denominator: Sequence[float], x: Any) -> Any:
    top, bottom = numerator[0] + 0 * x, denominator[0] + 0 * x
    for a, b in zip(numerator[1:], denominator[1:], strict=True):
        top, bottom = top * x + a, bottom * x + b
    return top / bottom


def _erfc_of_large(xp: Any, y: Any) -> Any:
    """erfc(y) for y ≥ 0.46875."""
    middle = _ratio(_C, _D, xp.minimum(y, 4))
    far = xp.maximum(y, 4)
    inverse = 1 / (far * far)
    tail = (_ROOT_PI_INVERSE - inverse * _ratio(_P, _Q, inverse)) / far
    return xp.exp(-xp.minimum(y * y, 1e4 if y.dtype.itemsize > 4 else 100.0)) * xp.where(y <= 4, middle, tail)


def _finite(xp: Any, x: Any) -> tuple[Any, Any]:
    x = x * 1.0
    return x, xp.clip(xp.abs(x), None, 30.0)  # erfc is 0 in every type beyond


def _at_least_single(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The function, of float16 computed in float32: the polynomials would overflow."""

    @functools.wraps(function)
    def wide(xp: Any, x: Any) -> Any:
        return function(xp, x.astype("float32")).astype(x.dtype) if x.dtype == "float16" else function(xp, x)

    return wide


@_at_least_single
def erf(xp: Any, x: Any) -> Any:
    """erf(x) = 2/√π ∫₀ˣ e^(−t²) dt, to a few units in the last place."""
    x, y = _finite(xp, x)
    small = xp.minimum(y, 0.46875)
    return xp.where(
        y <= 0.46875,
        xp.sign(x) * small * _ratio(_A, _B, small * small),
        xp.sign(x) * (1 - _erfc_of_large(xp, xp.maximum(y, 0.46875))),
    )


@_at_least_single
def erfc(xp: Any, x: Any) -> Any:
    """erfc(x) = 1 − erf(x), without cancellation for large x."""
    x, y = _finite(xp, x)
    large = _erfc_of_large(xp, xp.maximum(y, 0.46875))
    return xp.where(y <= 0.46875, 1 - erf(xp, x), xp.where(x < 0, 2 - large, large))
