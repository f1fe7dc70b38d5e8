"""What ails a gradient that differs: which input, where, how far, and what the mistake looks like.

The Jacobians by both ways are laid beside each other, and every known mistake is tried on the right one: what gives
the wrong one, to within the tolerance, is named. ``hypotheses`` are a table, the most specific first; ``repairs`` try
on the tape what the Jacobians alone do not show; ``places`` finds the element, ``reproduce`` writes the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import oracles
from ..oracles import EPS
from ..point import ALL, Point
from . import places, repairs
from .hypotheses import OF_ANY_SHAPE, VAGUE, Evidence, looks_like
from .reproduce import call

if TYPE_CHECKING:
    from ..checks import Comparison, Report

LARGE = 400  # elements of inputs and of results up to which whole Jacobians are looked at
CUT = "a dropped term: the gradient is right when nothing is cut off by detach()"
DIGITS = 1e-5  # a gradient that is off by less than this share is right, but has lost digits


@dataclass(frozen=True)
class Diagnosis:
    """A verdict about the worst derivative: ``wrong gradient``, ``kink``, ``lost precision`` or ``ill-conditioned``."""

    verdict: str
    input: int
    order: int
    at: tuple[int, ...] | None  # the element of the input; None for a random direction
    result: tuple[int, ...] | None  # the element of the result, likewise
    analytic: float
    numeric: float
    error: float
    looks_like: str
    note: str
    point: Point = field(repr=False)

    @cached_property
    def reproduce(self) -> str:
        """The line that shows it again."""
        return call(self.point)

    def __str__(self) -> str:
        where = f" at {list(self.at)}" if self.at is not None else ", along a random direction"
        which = "" if self.result is None else f", for the result at {list(self.result)}"
        order = "" if self.order == 1 else f" of order {self.order}"
        found = f"analytic {self.analytic + 0.0:.6g}, numeric {self.numeric + 0.0:.6g} ± {self.error:.1e}"
        preposition = "of" if self.verdict == "wrong gradient" else "at"
        if self.point.dtype:
            what = f"the {'gradient' if self.order else 'value'}, along a random direction"
            found = f"{self.analytic:.6g}, in float64 {self.numeric:.6g} ± {self.error:.1e}"
            return f"{self.verdict} in {self.point.dtype}: {what}: {found}\n{self.note}\nreproduce: {self.reproduce}"
        what = "all inputs" if self.input == ALL else self.point.words[self.input]
        lines = [f"{self.verdict}{order} {preposition} {what}{where}{which}: {found}"]
        lines += [f"looks like: {self.looks_like}"] * bool(self.looks_like) + [self.note] * bool(self.note)
        return "\n".join([*lines, f"reproduce: {self.reproduce}"])


def diagnose(report: Report) -> Diagnosis | None:
    """Return what ails the derivative that is most wrong, or else the one that is least certain; None if all is well.

    >>> import autograd, numpy as np
    >>> from autograd.testing import check_gradients
    >>> print(check_gradients(autograd.relu, np.array([1.0, 0.0])).diagnosis)
    kink at input 0 (x) at [1], for the result at [1]: analytic 0, numeric 0.5 ± inf
    the slope is 0 to the left and 1 to the right; the analytic value lies between them
    reproduce: check_gradients(relu, np.array([1.0, 0.0]))
    """
    point, worst = report.point, report.worst
    assert point is not None
    if worst is None:
        return None
    if worst.ok:
        unsure = [c for c in report.comparisons if not c.conclusive]
        return _unsure(point, unsure[0]) if unsure else None
    k = int(np.argmax(worst.badness))
    analytic, numeric, error = (float(np.ravel(a)[k]) for a in _numbers(worst))
    at, result = places.of(point, worst, k)
    narrow = worst.oracle == "float64"  # a narrow type against a wide one
    number, size = worst.input, float(np.max(worst.size, initial=0.0))
    if at is None and not narrow and (found := places.search(point, worst)):
        number, at, result, analytic, numeric, error, size = found
    size = max(size, abs(numeric) if np.isfinite(numeric) else 0.0)
    shape, note = "", ""
    if lost := narrow or abs(analytic - numeric) <= DIGITS * size:
        digits = -np.log10(max(abs(analytic - numeric) / size, EPS))
        cause = "a type still narrower, overflow" if narrow else "float32 numbers"
        note = f"it is right to {max(digits, 0):.0f} digits only → look for {cause}, or differences of large terms"
    else:
        shape = _shape_of_the_bug(point, worst)
    verdict = "lost precision" if lost else "wrong gradient"
    return Diagnosis(verdict, number, worst.order, at, result, analytic, numeric, error, shape, note, point)


def _numbers(c: Comparison) -> Sequence[np.ndarray]:
    return np.broadcast_arrays(c.analytic, c.numeric, c.error)


def _unsure(point: Point, c: Comparison) -> Diagnosis:
    """Why the oracle could not judge: a kink, or rounding."""
    doubt = np.where(c.judged, -np.inf, np.nan_to_num(c.tolerance, nan=np.inf))
    k = int(np.argmax(doubt))
    at, result = places.of(point, c, k)
    analytic, numeric, error = (float(np.ravel(a)[k]) for a in _numbers(c))
    if np.isfinite(error) and error <= np.ravel(np.broadcast_to(c.rounding, np.shape(c.analytic)))[k]:
        note = "inputs moved by a rounding give another gradient → a better conditioned point can be judged"
        return Diagnosis("ill-conditioned", c.input, c.order, at, result, analytic, numeric, error, "", note, point)
    if point.eps > EPS:
        note = f"it computes with only {-np.log10(point.eps):.0f} digits → judge it in float64, without casts"
        return Diagnosis("lost precision", c.input, c.order, at, result, analytic, numeric, error, "", note, point)
    left, right, row = places.slopes(point, c, k)
    if np.ndim(c.analytic) == 2:
        k = row * c.analytic.shape[1] + k % c.analytic.shape[1]
        at, result = places.of(point, c, k)
        analytic, numeric, error = (float(np.ravel(a)[k]) for a in _numbers(c))
    note = "the function jumps here, or bends within a few roundings → move away from that"
    if np.isfinite(left.value + right.value):
        low, high = sorted((float(left.value), float(right.value)))
        slack = oracles.SAFETY * max(float(left.error), float(right.error))
        if high - low > slack and slack < 1e3:
            inside = low - slack <= analytic <= high + slack
            where = "lies between them" if inside else "lies outside: no subgradient of a convex function"
            note = f"the slope is {_short(left.value)} to the left and {_short(right.value)} to the right; "
            note += f"the analytic value {where}"
        elif slack < 1e-3 * max(abs(low), abs(high), 1e-3):
            note = "close to a kink, or curved within the smallest steps → move away from it"
    return Diagnosis("kink", c.input, c.order, at, result, analytic, numeric, error, "", note, point)


def _short(x: Any) -> str:
    return f"{round(float(x), 9) + 0.0:.6g}"


def _shape_of_the_bug(point: Point, worst: Comparison) -> str:
    """What the wrong gradient looks like: from whole Jacobians if they are small, or else along random directions."""
    if point.size > LARGE or (worst.order == 1 and point.rows > LARGE):
        evidence = places.along_directions(point, worst)
        if evidence.equal(repairs.uncut(lambda: places.along_directions(point, worst).wrong), evidence.right):
            return CUT
        return looks_like(evidence, OF_ANY_SHAPE)
    shapes, order = point.shapes if worst.order == 1 else [()], worst.order - 1
    if order:
        point.turn(worst.order)
        right, error = oracles.numerical_jacobian(lambda z: point.value(order, point.split(z))[0], point.z)
        right, error = right[None], error[None]
    else:
        scale = np.concatenate([np.full(point.inputs[i].size, point.scale(i)) for i in point.moving])
        (right, error), _ = oracles.jacobian(point.values, point.z, np.random.default_rng(1), scale=scale)

    def analytic() -> np.ndarray:
        dx = point.gradient(order, {}) if order else {}
        return np.concatenate([dx[i].ravel() for i in point.moving])[None] if order else point.jacobian()

    def by_input(matrix: np.ndarray) -> dict[int, np.ndarray]:
        return {i: matrix[:, columns] for i, columns in point.columns()}

    sizes = {i: point.inputs[i].shape for i in point.moving}
    evidence = Evidence(worst.input, by_input(analytic()), by_input(right), by_input(error), sizes, shapes)
    if evidence.equal(repairs.uncut(lambda: by_input(analytic())[worst.input]), evidence.right):
        return CUT
    if worst.order == 1 and (stale := repairs.overwritten(point)):
        return stale
    named = looks_like(evidence)
    if worst.order == 1 and (not named or named.startswith(VAGUE)):
        named = repairs.repaired(point, evidence) or named
    return named
