"""Derivatives by differences, with an estimate of their own error, so that tolerances need no magic numbers.

A central difference (f(x + hv) − f(x − hv)) / 2h errs by a series in h². Richardson extrapolation takes one power after
the other away: from differences at h, h/2, h/4 … it makes A[i, j] = A[i, j−1] + (A[i, j−1] − A[i−1, j−1]) / (4^j − 1).
How much neighbours in this table differ tells how far each is off; the best one is returned with that estimate. Next to
a jump nothing in the table settles, and the estimate is large. At a kink everything settles, on a mean of two slopes;
it shows in (f(x + h) − 2f(x) + f(x − h)) / h, which falls with h where f is smooth and does not at a kink.

Sources: Richardson, Phil. Trans. R. Soc. A 210 (1911) 307, sec. 1.1; Ridders, Adv. Eng. Software 4 (1982) 75.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

STEPS = 10  # differences at h, h/2 … h/512
REACH = 2.0**-6  # the first step, as a share of the scale of x
EPS = float(np.finfo(np.float64).eps)

Function = Callable[[np.ndarray], Any]


class Estimate(NamedTuple):
    """A numeric derivative and how far it may be off."""

    value: Any
    error: Any


def directional_derivative(
    f: Function, x: np.ndarray, v: np.ndarray, *, scale: float | None = None, noise: float = 0.0
) -> Estimate:
    """Return the derivative of ``f`` at ``x`` along ``v``, d/dt f(x + t·v) at t = 0, with its error estimate.

    Args:
        f: takes a float64 array of the shape of ``x``, and returns a number or an array of fixed shape.
        x: the point.
        v: the direction, of the shape of ``x``.
        scale: the length over which ``f`` changes; the largest of |x| and 1 if None. The first step moves 1/64 of it.
        noise: how far values of ``f`` may be off, beyond the rounding of its result.

    >>> import numpy as np
    >>> slope = directional_derivative(np.sin, np.array(1.0), np.array(1.0))
    >>> bool(abs(slope.value - np.cos(1.0)) < slope.error < 1e-11)
    True
    >>> bool(directional_derivative(np.abs, np.array(1e-4), np.array(1.0)).error < 1e-9)  # the kink is far enough
    True
    >>> bool(directional_derivative(np.abs, np.array(1e-9), np.array(1.0)).error > 1)  # it is not
    True
    >>> bool(directional_derivative(np.sign, np.array(1e-9), np.array(1.0)).error > 1)  # a jump
    True
    """
    x, v = np.asarray(x, dtype=np.float64), np.asarray(v, dtype=np.float64)
    middle = np.asarray(f(x), dtype=np.float64)
    length = float(np.max(np.abs(v), initial=0.0))
    if length == 0.0:
        return Estimate(np.zeros_like(middle)[()], np.zeros_like(middle)[()])
    reach = REACH * (max(1.0, float(np.max(np.abs(x), initial=0.0))) if scale is None else scale)
    first = 2.0 ** round(float(np.log2(reach / length)))  # a power of two: halving it is exact
    best, error, bend = np.zeros_like(middle), np.full_like(middle, np.inf), np.full_like(middle, np.inf)
    above: list[np.ndarray] = []
    for i in range(STEPS):
        h = first / 2**i
        plus, minus = np.asarray(f(x + h * v), np.float64), np.asarray(f(x - h * v), np.float64)
        rounding = 2 * (EPS * np.maximum(np.abs(plus), np.abs(minus)) + noise) / h  # what cancels in the difference
        row = [(plus - minus) / (2 * h)]
        for j in range(1, i + 1):
            row.append(row[-1] + (row[-1] - above[j - 1]) / (4**j - 1))
            off = np.maximum(np.abs(row[j] - row[j - 1]), np.abs(row[j] - above[j - 1])) + rounding
            best, error = np.where(off < error, row[j], best), np.where(off < error, off, error)
        above, wider, bend = row, bend, np.abs(plus - 2 * middle + minus) / h
    kink = (bend > 0.75 * wider) & (bend > 8 * rounding)
    return Estimate(best[()], np.where(kink, np.maximum(error, bend), error)[()])


def numerical_jacobian(f: Function, x: np.ndarray) -> Estimate:
    """Return the matrix of all derivatives of ``f`` at ``x``, shape (*f(x).shape, *x.shape), with its error estimates.

    It calls ``f`` twenty times for every element of ``x``: for small inputs.

    >>> import numpy as np
    >>> numerical_jacobian(lambda x: x * x, np.array([1.0, 2.0])).value.round(6)
    array([[2., 0.],
           [0., 4.]])
    """
    x = np.asarray(x, dtype=np.float64)
    columns = [directional_derivative(f, x, unit.reshape(x.shape)) for unit in np.eye(x.size)]
    if not columns:
        empty = np.zeros((*np.shape(f(x)), *x.shape))
        return Estimate(empty, empty)
    value, error = (np.stack([np.asarray(c[k]) for c in columns], axis=-1) for k in (0, 1))
    shape = (*value.shape[:-1], *x.shape)
    return Estimate(value.reshape(shape), error.reshape(shape))
