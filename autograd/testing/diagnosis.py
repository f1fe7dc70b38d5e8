"""What ails a gradient that differs: which input, where, how far, and what the mistake looks like.

The Jacobians by both ways are laid beside each other, and every known mistake is tried on the right one: what gives
the wrong one, to within the tolerance, is named. Hypotheses stand in a table, the most specific first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import oracles, repairs
from .hypotheses import VAGUE, Evidence, looks_like
from .oracles import EPS
from .point import Point

if TYPE_CHECKING:
    from .checks import Comparison, Report

ALL = -1  # in place of an input's number, as in a comparison
LARGE = 400  # elements of inputs and of results up to which whole Jacobians are looked at
PRINTED = 16  # elements of inputs up to which the call that shows it again has their values
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
    reproduce: str

    def __str__(self) -> str:
        where = f" at {list(self.at)}" if self.at is not None else ", along a random direction"
        which = "" if self.result is None else f", for the result at {list(self.result)}"
        order = "" if self.order == 1 else f" of order {self.order}"
        found = f"analytic {self.analytic:.6g}, numeric {self.numeric:.6g} ± {self.error:.1e}"
        preposition = "of" if self.verdict == "wrong gradient" else "at"
        what = "all inputs" if self.input == ALL else f"input {self.input}"
        lines = [f"{self.verdict}{order} {preposition} {what}{where}{which}: {found}"]
        lines += [f"looks like: {self.looks_like}"] * bool(self.looks_like) + [self.note] * bool(self.note)
        return "\n".join([*lines, f"reproduce: {self.reproduce}"])


def diagnose(report: Report) -> Diagnosis | None:
    """Return what ails the derivative that is most wrong, or else the one that is least certain; None if all is well.

    >>> import autograd, numpy as np
    >>> from autograd.testing import check_gradients
    >>> print(check_gradients(autograd.relu, np.array([1.0, 0.0])).diagnosis)
    kink at input 0 at [1], for the result at [1]: analytic 0, numeric 0.5 ± inf
    the slope is 0 to the left and 1 to the right; the analytic value lies between them
    reproduce: check_gradients(relu, np.array([1.0, 0.0]), order=1, rng=np.random.default_rng(0))
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
    at, result = _places(point, worst, k)
    size = max(float(np.max(worst.size, initial=0.0)), abs(numeric) if np.isfinite(numeric) else 0.0)
    narrow = worst.oracle == "float64"  # a narrow type against a wide one
    lost = narrow or abs(analytic - numeric) <= DIGITS * size
    shape, note = "", ""
    if lost:
        digits = -np.log10(max(abs(analytic - numeric) / size, EPS))
        cause = "a type still narrower, overflow" if narrow else "float32 numbers"
        note = f"it is right to {max(digits, 0):.0f} digits only → look for {cause}, or differences of large terms"
    else:
        shape = _shape_of_the_bug(point, worst)
    verdict = "lost precision" if lost else "wrong gradient"
    return Diagnosis(verdict, worst.input, worst.order, at, result, analytic, numeric, error, shape, note, call(point))


def _numbers(c: Comparison) -> Sequence[np.ndarray]:
    return np.broadcast_arrays(c.analytic, c.numeric, c.error)


def _places(point: Point, c: Comparison, k: int) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """The element of the input and the element of the result that entry ``k`` belongs to."""
    if np.ndim(c.analytic) < 2:
        return None, None
    row, column = divmod(k, c.analytic.shape[1])
    at = tuple(int(n) for n in np.unravel_index(column, point.inputs[c.input].shape))
    for number, shape in enumerate(point.shapes):
        size = int(np.prod(shape))
        if row < size:
            place = tuple(int(n) for n in np.unravel_index(row, shape))
            return at, place if len(point.shapes) == 1 else (number, *place)
        row -= size
    return at, None


def _unsure(point: Point, c: Comparison) -> Diagnosis:
    """Why the oracle could not judge: a kink, or rounding."""
    doubt = np.where(c.judged, -np.inf, np.nan_to_num(c.tolerance, nan=np.inf))
    k = int(np.argmax(doubt))
    at, result = _places(point, c, k)
    analytic, numeric, error = (float(np.ravel(a)[k]) for a in _numbers(c))
    if np.isfinite(error) and error <= np.ravel(np.broadcast_to(c.rounding, np.shape(c.analytic)))[k]:
        note = "inputs moved by a rounding give another gradient → a better conditioned point can be judged"
        return Diagnosis(
            "ill-conditioned", c.input, c.order, at, result, analytic, numeric, error, "", note, call(point)
        )
    left, right, row = _slopes(point, c, k)
    if np.ndim(c.analytic) == 2:
        k = row * c.analytic.shape[1] + k % c.analytic.shape[1]
        at, result = _places(point, c, k)
        analytic, numeric, error = (float(np.ravel(a)[k]) for a in _numbers(c))
    verdict, note = "kink", "the function jumps here, or bends within a few roundings → move away from that"
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
    return Diagnosis(verdict, c.input, c.order, at, result, analytic, numeric, error, "", note, call(point))


def _short(x: Any) -> str:
    return f"{round(float(x), 9) + 0.0:.6g}"


def _slopes(point: Point, c: Comparison, k: int) -> tuple[oracles.Estimate, oracles.Estimate, int]:
    """The slopes on both sides of the point in the direction of entry ``k``, of the result where they differ most."""
    x = point.inputs[c.input]
    if np.ndim(c.analytic) < 2:
        point.turn(c.order)
        inputs = point.moving if c.input == ALL else [c.input]
        v = point.directions[c.order - 1]

        def along(t: np.ndarray) -> Any:
            return point.value(c.order - 1, {i: point.inputs[i] + t * v[i] for i in inputs})[0]

        return *oracles.one_sided(along, np.zeros(()), np.ones(())), 0
    unit = np.zeros(x.size)
    unit[k % c.analytic.shape[1]] = 1.0
    sides = oracles.one_sided(
        lambda at: np.concatenate([o.ravel() for o in point.results({c.input: at})]), x, unit.reshape(x.shape)
    )
    row = int(np.argmax(np.nan_to_num(np.abs(sides[1].value - sides[0].value), nan=-1.0, posinf=-1.0)))
    left, right = (oracles.Estimate(side.value[row], side.error[row]) for side in sides)
    return left, right, row


def _shape_of_the_bug(point: Point, worst: Comparison) -> str:
    """What the wrong gradient looks like, from whole Jacobians where they are small enough."""
    if point.size > LARGE or (worst.order == 1 and point.rows > LARGE):
        return ""
    if worst.order == 1:
        (right, error), _ = oracles.jacobian(
            point.values, point.z, np.random.default_rng(1), scale=np.concatenate(
                [np.full(point.inputs[i].size, point.scale(i)) for i in point.moving])
        )  # fmt: skip
        wrong = point.jacobian()
        shapes = point.shapes
    else:
        point.turn(worst.order)
        order = worst.order - 1
        right, error = oracles.numerical_jacobian(lambda z: point.value(order, point.split(z))[0], point.z)
        right, error = right[None], error[None]
        dx = point.gradient(order, {})
        wrong, shapes = np.concatenate([dx[i].ravel() for i in point.moving])[None], [()]
    evidence = Evidence(
        worst.input, {i: wrong[:, s] for i, s in point.columns()}, {i: right[:, s] for i, s in point.columns()},
        {i: error[:, s] for i, s in point.columns()}, {i: point.inputs[i].shape for i in point.moving}, shapes,
    )  # fmt: skip
    if worst.order == 1:
        stale = repairs.overwritten(point)
        if stale:
            return stale
    named = looks_like(evidence)
    if worst.order == 1 and (not named or named.startswith(VAGUE)):
        named = repairs.repaired(point, evidence) or named
    return named


# --- the call that shows it again -------------------------------------------------------------------------------------


def call(point: Point) -> str:
    """Return the call that finds the same again: values where they are few, otherwise shapes and types."""
    name = getattr(point.f, "__name__", "f")
    name = name if name.isidentifier() else "f"
    arrays = [x for x in point.inputs if isinstance(x, np.ndarray)]
    few = sum(x.size for x in arrays) <= PRINTED
    given = [_literal(x, few) for x in point.inputs]
    more = f", directions={point.count}" if point.count != 1 else ""
    return f"check_gradients({', '.join([name, *given])}, order={point.order}{more}, rng={_generator(point)})"


def _literal(x: Any, few: bool) -> str:
    if not isinstance(x, np.ndarray):
        return repr(x)
    if not few or not x.size:
        return f"<{x.dtype} {x.shape}>"
    return f"np.array({x.tolist()!r})"


def _generator(point: Point) -> str:
    """The generator as it was when the check began, if a seed gives it; any other one finds the same mistake."""
    entropy = getattr(point.rng.bit_generator.seed_seq, "entropy", None)
    fresh = entropy is not None and np.random.default_rng(entropy).bit_generator.state == point.start
    return f"np.random.default_rng({entropy if fresh else 0})"
