"""Numeric derivatives that know how far they may be off, so that tolerances need no magic numbers.

Central differences (f(x + hv) − f(x − hv)) / 2h err by a series in h². Richardson extrapolation takes one power after
the other away: from differences at h, h/2, h/4 … it makes A[i, j] = A[i, j−1] + (A[i, j−1] − A[i−1, j−1]) / (4^j − 1).
How much neighbours in this table differ tells how far each is off; the best one is kept with that estimate. Two
differences with very small steps, inexact but next to x, must agree with it: near a jump or a kink they do not. At a
kink everything agrees, on a mean of two slopes; it shows in (f(x + h) − 2f(x) + f(x − h)) / h, which falls with h
where f is smooth and does not at a kink.

Where f is analytic, f(x + ihv) = f(x) + ih f′ − h²… needs no difference: f′ = Im f(x + ihv) / h, exact to rounding. And
⟨v, J u⟩ = ⟨Jᵀ v, u⟩ compares the two directions of differentiation without any step at all. See docs/oracles.md.

Sources: Richardson, Phil. Trans. R. Soc. A 210 (1911) 307, sec. 1.1; Ridders, Adv. Eng. Software 4 (1982) 75; Squire &
Trapp, SIAM Review 40 (1998) 110; Linnainmaa, BIT 16 (1976) 146; Griewank & Walther, Evaluating Derivatives (2008).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.tensor import Tensor
from ..errors import DomainError
from ..ops.shape import concatenate
from ..transforms.forward import jvp
from ..transforms.reverse import vjp

LEVELS = 10  # differences at h, h/2 … h/512
REACH = 2.0**-6  # the first step, as a share of the scale of x
FINER = 2.0**-10  # the share of the steps that is tried where they do not settle
UNSETTLED = 32.0  # by how much an estimate is to be doubted that is far from rounding: several kinks may be near
WITNESSES = (2.0**-24, 2.0**-34)  # the steps of the two differences next to x
STEPS = np.array([*(REACH * 0.5**i for i in range(LEVELS)), *WITNESSES])
IMAGINARY = 1e-200  # its square is lost beside any number
SAFETY = 8.0  # an estimate is of the error's size, not a bound
EPS = float(np.finfo(np.float64).eps)

Function = Callable[[np.ndarray], Any]


class Estimate(NamedTuple):
    """A numeric derivative and how far it may be off: infinitely far where there is none, as at a kink."""

    value: Any
    error: Any


class Differences(NamedTuple):
    """Values of a function around a point: ``plus`` and ``minus`` at x ± h·v, an axis of steps, one of directions."""

    h: np.ndarray
    middle: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    rounding: np.ndarray  # of a difference quotient

    @staticmethod
    def around(f: Function, x: np.ndarray, directions: np.ndarray, scale: Any = None, noise: Any = 0.0) -> Differences:
        """Evaluate ``f`` along every direction, at all steps."""
        middle = np.asarray(f(x), np.float64)
        far = float(np.max(np.abs(x), initial=0.0))
        lengths = np.abs(directions).reshape(len(directions), -1).max(axis=1, initial=0.0)
        lengths = np.where(lengths > 0, lengths, 1.0)
        reach = np.asarray(max(1.0, far) if scale is None else scale) / lengths
        h = STEPS[:, None] * 2.0 ** np.round(np.log2(reach))  # powers of two: halving them is exact
        plus, minus = np.empty((2, *h.shape, *middle.shape))
        for k, v in enumerate(directions):
            for i, step in enumerate(h[:, k]):
                moved = step * v
                plus[i, k], minus[i, k] = f(x + moved), f(x - moved)
        h = h.reshape(*h.shape, *(1,) * middle.ndim)
        steps = EPS * far * np.abs(plus - minus) / h  # x ± h·v are rounded too
        rounding = 2 * (EPS * np.maximum(np.abs(plus), np.abs(minus)) + noise + steps) / h
        return Differences(h, middle, plus, minus, rounding)

    def take(self, at: np.ndarray) -> Differences:
        """Those along some of the directions."""
        return self._replace(**{n: getattr(self, n)[:, at] for n in ("h", "plus", "minus", "rounding")})

    @property
    def slopes(self) -> np.ndarray:
        """The central differences."""
        return (self.plus - self.minus) / (2 * self.h)

    def central(self) -> Estimate:
        """The derivative along each direction."""
        bends = np.abs(self.plus - 2 * self.middle + self.minus) / self.h
        falls = bends[1:LEVELS] <= 0.7 * bends[: LEVELS - 1] + 8 * self.rounding[1:LEVELS]
        best, error = _extrapolate(self.slopes[:LEVELS], self.rounding[:LEVELS], 4.0, falls)
        kink = bends[LEVELS - 1] > 0.75 * bends[LEVELS - 2] + 8 * self.rounding[LEVELS - 1]
        calm = (falls | ~np.isfinite(bends[: LEVELS - 1]))[-2:].all(axis=0)  # no other kink's bends hide this one's
        for i in range(LEVELS, len(STEPS)):
            kink |= bends[i] > 0.1 * np.where(calm, bends[i - 1], 0.0) + 8 * self.rounding[i]
        return Estimate(best, np.where(kink | ~np.isfinite(best), np.inf, self.witnessed(best, error)))

    def witnessed(self, value: np.ndarray, error: np.ndarray) -> np.ndarray:
        """The error of a derivative, no less than what separates it from the differences next to x."""
        apart = np.abs(value - self.slopes[LEVELS:]) - SAFETY * self.rounding[LEVELS:]
        return np.fmax(error, np.fmax.reduce(apart, axis=0))

    def sided(self) -> tuple[Estimate, Estimate]:
        """The slopes to the left and to the right along each direction, each with its error."""
        left, right = (self.middle - self.minus) / self.h, (self.plus - self.middle) / self.h
        last = slice(LEVELS - 4, LEVELS)
        return tuple(Estimate(*_extrapolate(s[last], self.rounding[last], 2.0)) for s in (left, right))  # type: ignore[return-value]


def _extrapolate(
    slopes: np.ndarray, rounding: np.ndarray, base: float, trusted: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The best entry of Richardson's table, and how far its neighbours and the next two best are from it.

    Neighbours may agree by chance; three entries do not. ``trusted`` says for every row but the first whether entries
    may be made with it.
    """
    row, entries, errors = slopes, [], []
    for j in range(1, len(slopes)):
        above, here = row[:-1], row[1:]
        row = here + (here - above) / (base**j - 1)
        off = np.maximum(np.abs(row - here), np.abs(row - above)) + rounding[j:]
        if trusted is not None:
            trusted = trusted if j == 1 else trusted[1:] & trusted[:-1]
            off = np.where(trusted, off, np.inf)
        entries.append(row)
        errors.append(off)
    table, off = np.concatenate(entries), np.concatenate(errors)
    off[~np.isfinite(off)] = np.inf
    at = np.argpartition(off, (0, 1, 2), axis=0)[:3]
    best, error = np.take_along_axis(table, at, 0), np.take_along_axis(off, at, 0)
    apart = np.where(np.isfinite(error), np.abs(best - best[0]), 0.0)
    return best[0], np.maximum(error[0], apart.max(axis=0))


def directional_derivative(
    f: Function, x: np.ndarray, v: np.ndarray, *, scale: float | None = None, noise: Any = 0.0
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
    >>> directional_derivative(np.abs, np.array(1e-9), np.array(1.0)).error  # it is not
    np.float64(inf)
    >>> bool(directional_derivative(np.sign, np.array(1e-9), np.array(1.0)).error > 1)  # a jump
    True
    """
    x, v = np.asarray(x, np.float64), np.asarray(v, np.float64)
    value, error = _derivatives(f, x, v[None], scale, noise)
    return Estimate(value[0][()], error[0][()])


@np.errstate(all="ignore")  # a step may leave the domain; a smaller one will not
def _derivatives(f: Function, x: np.ndarray, directions: np.ndarray, scale: Any, noise: Any) -> Estimate:
    """The derivative along each direction; where it does not settle and there is no kink, with smaller steps."""
    scales = np.full(len(directions), max(1.0, float(np.max(np.abs(x), initial=0.0))) if scale is None else scale)
    around = Differences.around(f, x, directions, scales, noise)
    value, error = around.central()
    known = np.where(np.isfinite(value), np.abs(value), 0.0).reshape(len(directions), -1).max(axis=1, initial=0.0)
    known = known.reshape(-1, *(1,) * (value.ndim - 1))
    enough = np.fmax(1e-6 * known, 8 * around.rounding[LEVELS - 1])
    vague = (error > enough) & np.isfinite(error)
    at = np.flatnonzero(vague.reshape(len(directions), -1).any(axis=1))
    if len(at):
        again = Differences.around(f, x, directions[at], FINER * scales[at], noise).central()
        closer = around.take(at).witnessed(again.value, again.error)
        better = vague[at] & (closer < error[at])
        value[at], error[at] = np.where(better, again.value, value[at]), np.where(better, closer, error[at])
    size = np.maximum(np.abs(around.plus[LEVELS - 1]), np.abs(around.minus[LEVELS - 1]))
    settled = error <= 16 * (EPS * size + noise) / around.h[LEVELS - 1]
    return Estimate(value, np.where(settled, error, UNSETTLED * error))


@np.errstate(all="ignore")
def one_sided(f: Function, x: np.ndarray, v: np.ndarray) -> tuple[Estimate, Estimate]:
    """Return the slopes of ``f`` at ``x`` along ``v`` coming from the left and going to the right.

    They differ at a kink. Where f is convex, every subgradient lies between them.

    >>> import numpy as np
    >>> left, right = one_sided(np.abs, np.array(0.0), np.array(1.0))
    >>> float(left.value), float(right.value)
    (-1.0, 1.0)
    """
    x, v = np.asarray(x, np.float64), np.asarray(v, np.float64)
    left, right = Differences.around(f, x, v[None]).sided()
    return Estimate(left.value[0], left.error[0]), Estimate(right.value[0], right.error[0])


def numerical_jacobian(f: Function, x: np.ndarray, *, scale: Any = None, noise: Any = 0.0) -> Estimate:
    """Return the matrix of all derivatives of ``f`` at ``x``, shape (*f(x).shape, *x.shape), with its error estimates.

    It calls ``f`` 24 times for every element of ``x``, or 49 where it is hard: for small inputs. ``scale`` may have one
    number per element.

    >>> import numpy as np
    >>> numerical_jacobian(lambda x: x * x, np.array([1.0, 2.0])).value.round(6)
    array([[2., 0.],
           [0., 4.]])
    """
    x = np.asarray(x, np.float64)
    units = np.eye(x.size).reshape(x.size, *x.shape)
    if not x.size:
        empty = np.zeros((*np.shape(f(x)), *x.shape))
        return Estimate(empty, empty)
    return Estimate(*[_last(part, x) for part in _derivatives(f, x, units, scale, noise)])


def _last(columns: np.ndarray, x: np.ndarray) -> np.ndarray:
    moved = np.moveaxis(columns, 0, -1)
    return moved.reshape(*moved.shape[:-1], *x.shape)


# --- the complex step -------------------------------------------------------------------------------------------------


def complex_step(f: Function, x: np.ndarray, v: np.ndarray) -> Estimate:
    """Return the derivative of ``f`` at ``x`` along ``v`` from one complex value, Im f(x + ihv) / h with h = 1e-200.

    Exact to rounding where ``f`` is analytic and computed on complex arrays as it is on real ones. ``abs``, ``conj``,
    ``sign``, a cast to a real type or a comparison that ties are not: the result is held against a difference, and
    refused unless it agrees.

    Raises:
        DomainError: if ``f`` cannot be computed on complex numbers, or is not analytic.

    >>> import numpy as np
    >>> bool(complex_step(np.exp, np.array(1.0), np.array(1.0)).value == np.exp(1.0))
    True
    >>> complex_step(lambda x: x * np.abs(x), np.array(1.0), np.array(1.0))
    Traceback (most recent call last):
    ...
    autograd.errors.DomainError: complex_step: the function is not analytic: 1 where differences give 2 ± ...
    """
    x, v = np.asarray(x, np.float64), np.asarray(v, np.float64)
    (value,) = _imaginary(f, x, v[None])
    _agree(value, np.abs(value), directional_derivative(f, x, v))
    return Estimate(value[()], (SAFETY * EPS * np.abs(value))[()])


def complex_jacobian(f: Function, x: np.ndarray, rng: np.random.Generator, *, noise: Any = 0.0) -> Estimate:
    """Return the matrix of all derivatives by complex steps; what they say along a random direction is verified.

    Raises:
        DomainError: if ``f`` cannot be computed on complex numbers, or is not analytic.

    >>> import numpy as np
    >>> complex_jacobian(lambda x: x * x, np.array([1.0, 2.0]), np.random.default_rng(0)).value
    array([[2., 0.],
           [0., 4.]])
    """
    x = np.asarray(x, np.float64)
    if not x.size:
        return numerical_jacobian(f, x)
    matrix = _last(_imaginary(f, x, np.eye(x.size).reshape(x.size, *x.shape)), x)
    v = rng.standard_normal(x.shape)
    axes = tuple(range(-x.ndim, 0))
    along = directional_derivative(f, x, v, noise=noise)
    _agree((matrix * v).sum(axis=axes), np.abs(matrix * v).sum(axis=axes), along)
    return Estimate(matrix, SAFETY * EPS * np.abs(matrix))


def _imaginary(f: Function, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
    rows = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")  # NumPy warns where it drops an imaginary part
        try:
            for v in directions:
                rows.append(np.asarray(f(x + 1j * (IMAGINARY * v))))
        except Exception as error:
            raise DomainError(
                f"complex_step: the function does not take complex numbers ({type(error).__name__}: {error}) "
                "→ use directional_derivative"
            ) from error
    if any(r.dtype.kind != "c" for r in rows):
        raise DomainError("complex_step: of complex numbers the function makes real ones → use directional_derivative")
    return np.array([r.imag / IMAGINARY for r in rows])


def _agree(value: np.ndarray, size: np.ndarray, along: Estimate) -> None:
    """Refuse what differences do not confirm, to a millionth of its size or better."""
    tolerance = SAFETY * (along.error + 16 * EPS * size)
    sure = tolerance <= 1e-6 * np.maximum(np.maximum(size, np.max(size, initial=0.0)), 1e-3)
    wrong = ~(np.abs(value - along.value) <= tolerance)
    if np.any(wrong | ~sure):
        at = np.unravel_index(np.argmax(wrong | ~sure), np.shape(value))
        found, true, error = (float(np.asarray(a)[at]) for a in (value, along.value, along.error))
        raise DomainError(
            f"complex_step: the function is not analytic: {found:.6g} where differences give {true:.6g} ± {error:.1e} "
            "→ use directional_derivative"
        )


def jacobian(
    f: Function, x: np.ndarray, rng: np.random.Generator, *, scale: Any = None, noise: Any = 0.0
) -> tuple[Estimate, str]:
    """Return all derivatives by the best oracle there is, and its name: complex steps if verified, else differences."""
    try:
        return complex_jacobian(f, x, rng, noise=noise), "complex step"
    except DomainError:
        return numerical_jacobian(f, x, scale=scale, noise=noise), "differences"


# --- without steps ----------------------------------------------------------------------------------------------------


def adjoint_gap(f: Callable[..., Any], inputs: Sequence[Any], rng: np.random.Generator) -> Estimate:
    """Return ⟨v, J u⟩ − ⟨Jᵀ v, u⟩ for random u and v, by ``jvp`` and ``vjp``, and how large rounding may make it.

    Free of differences, and sharp: but it holds the two directions of the library against each other only.

    >>> import autograd, numpy as np
    >>> gap = adjoint_gap(autograd.softmax, [np.array([0.1, 0.7, -0.4])], np.random.default_rng(0))
    >>> bool(abs(gap.value) < gap.error < 1e-12)
    True
    """

    def flat(*xs: Any) -> Any:
        out = f(*xs)
        parts = [o for o in (out if isinstance(out, (tuple, list)) else [out]) if o.dtype.kind == "f"]
        return concatenate([o.reshape(-1) for o in parts])

    xs = [Tensor(np.asarray(x, np.float64)) for x in inputs]
    us = [rng.standard_normal(x.shape) for x in xs]
    out, ju = jvp(flat, xs, us)
    v = rng.standard_normal(out.shape)
    _, pull = vjp(flat, *xs)
    left = v * ju.detach().numpy()
    right = np.concatenate([(g.detach().numpy() * u).ravel() for g, u in zip(pull(Tensor(v)), us, strict=True)])
    return Estimate(left.sum() - right.sum(), rounding_bound(left) + rounding_bound(right))


def rounding_bound(terms: Any, dtype: Any = "float64", count: int | None = None) -> float:
    """Return how far rounding may move a sum of ``count`` terms: γₙ Σ|terms|, γₙ = nε / (1 − nε), ε half an ulp of 1.

    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), eq. 3.5 and 4.4.

    >>> bool(abs(sum([0.1] * 10) - 1.0) <= rounding_bound([0.1] * 10))
    True
    """
    terms = np.abs(np.asarray(terms, np.float64))
    n = max(8, terms.size if count is None else count) * float(np.finfo(dtype).eps)
    return float(n / max(1 - n, EPS) * terms.sum())
