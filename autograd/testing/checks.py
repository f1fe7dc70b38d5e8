"""Judging the gradients of any function, with tolerances from the oracles' own error estimates.

For order 1 and small inputs the whole Jacobian is compared, every element; for large ones ⟨∇ₓ⟨u, f⟩, v⟩ with the
difference quotient of ⟨u, f(x + tv)⟩, where ``u`` and ``v`` are normally distributed, so that no errors cancel as they
do against a seed of ones. For order k + 1, the library's own k-th directional derivative is the function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import DomainError, DTypeError
from . import conduct, oracles
from .conduct import Finding
from .oracles import SAFETY
from .point import ALL, Point

SMALL = 32  # elements of inputs whose Jacobian is compared in full
ROWS = 64  # elements of results, likewise
NUDGES = 2  # how often the noise of a value is looked at
observers: list[Callable[[int, Report], None]] = []  # called with the order and the report of every check


@dataclass(frozen=True)
class Comparison:
    """Derivatives with respect to one input (or ``ALL``) by both ways: a number, or a Jacobian of rows × elements."""

    input: int
    order: int
    analytic: Any
    numeric: Any
    error: Any  # the oracle's estimate, infinite where there is no derivative
    rounding: Any  # of the library's value and of the sums around it
    size: Any  # how large the derivatives are that meet in these numbers
    oracle: str = "differences"

    @property
    def tolerance(self) -> Any:
        """How far apart the two may be."""
        return SAFETY * (self.error + self.rounding)

    @cached_property
    def wrong(self) -> Any:
        """Where the two differ. Where there is no derivative the library's value need only be a finite number."""
        with np.errstate(invalid="ignore"):
            near = np.abs(self.analytic - self.numeric) <= self.tolerance
        return ~(near | (np.isposinf(self.tolerance) & np.isfinite(self.analytic)))

    @cached_property
    def judged(self) -> Any:
        """Where the oracle knows the derivative well enough to judge: to a thousandth of its size."""
        known = np.where(np.isfinite(self.numeric), np.abs(self.numeric), 0.0)
        return self.tolerance <= 1e-3 * np.maximum(np.maximum(self.size, known), 1e-3)

    @property
    def conclusive(self) -> bool:
        """Whether the oracle could judge every derivative."""
        return bool(np.all(self.judged))

    @property
    def ok(self) -> bool:
        """Whether all agree."""
        return not np.any(self.wrong)

    @property
    def badness(self) -> Any:
        """The differences in units of the tolerance; infinite where the library's value is no number."""
        with np.errstate(invalid="ignore"):
            distance = np.abs(self.analytic - self.numeric) / np.maximum(self.tolerance, 1e-300)
        return np.where(np.isfinite(distance), distance, np.where(self.wrong, np.inf, 0.0))


@dataclass(frozen=True)
class Report:
    """What a check found: derivatives by both ways, and what the function does wrong besides."""

    comparisons: tuple[Comparison, ...]
    findings: tuple[Finding, ...] = ()
    unreached: tuple[int, ...] = ()  # the inputs to which no gradient flows
    point: Point | None = field(default=None, repr=False)

    @property
    def conclusive(self) -> bool:
        """Whether the oracle could judge every derivative; it cannot at a kink or a jump."""
        return all(c.conclusive or not c.ok for c in self.comparisons)

    @property
    def ok(self) -> bool:
        """Whether all derivatives agree and nothing else is wrong."""
        return all(c.ok for c in self.comparisons) and not any(f.fatal for f in self.findings)

    @property
    def tested(self) -> bool:
        """Whether there was any derivative to compare: some floating result that some input leads to."""
        return any(c.input not in self.unreached for c in self.comparisons)

    @property
    def worst(self) -> Comparison | None:
        """The comparison with the largest difference in units of its tolerance, of inputs with a gradient if any is."""
        reached = [c for c in self.comparisons if c.input not in self.unreached] or self.comparisons
        return max(reached, key=lambda c: float(np.max(c.badness, initial=0.0)), default=None)

    @cached_property
    def diagnosis(self) -> Any:
        """What ails a derivative that differs, or that could not be judged; None if all is well."""
        from .diagnosis import diagnose

        with np.errstate(all="ignore"):
            return diagnose(self) if self.point is not None else None

    @property
    def verdict(self) -> str:
        """In a word or two: agree, wrong gradient, kink, lost precision, ill-conditioned, or what else is wrong."""
        named = next((f.name for f in self.findings if f.fatal or not self.tested), None)
        return named or ("agree" if self.diagnosis is None else self.diagnosis.verdict)

    def __str__(self) -> str:
        lines = [str(f) for f in self.findings]
        misbehaves = any(f.fatal or not self.tested for f in self.findings)
        if misbehaves and (self.worst is None or self.worst.ok or self.worst.input in self.unreached):
            return "\n".join(lines)
        if self.diagnosis is not None:
            lines.append(str(self.diagnosis))
        elif self.comparisons:
            count = sum(np.size(c.analytic) for c in self.comparisons)
            by = " and ".join(dict.fromkeys(c.oracle for c in self.comparisons))
            lines.append(f"gradients agree: {count} derivatives by {by}")
        return "\n".join(lines)


def check_gradients(
    f: Callable[..., Any], *inputs: Any, order: int = 1, directions: int = 1, rng: np.random.Generator | None = None
) -> Report:
    """Compare the gradients of ``f`` at ``inputs`` with numeric ones, up to ``order``; return what was found.

    Args:
        f: takes tensors and returns a tensor or several; must give the same result each time.
        inputs: tensors or arrays; floating ones are differentiated, in float64, the others stay as they are.
        order: 1 for gradients, 2 for gradients of gradients, 3 …
        directions: how many random directions to try, where the inputs are too large for every element.
        rng: where they come from: a generator or a seed, 0 if None.

    Raises:
        DTypeError: if no input is floating.
        DomainError: if ``order`` or ``directions`` is no whole number from 1 up.

    >>> import autograd
    >>> report = check_gradients(autograd.tanh, autograd.tensor([0.5, -1.0]), order=3)
    >>> report.ok
    True
    >>> print(report)
    gradients agree: 6 derivatives by complex step and differences
    """
    for name, count in (("order", order), ("directions", directions)):
        if not isinstance(count, (int, np.integer)) or count < 1:
            raise DomainError(f"check_gradients: {name}={count!r} → give a whole number from 1 up")
    point = Point(f, inputs, np.random.default_rng(0 if rng is None else rng), int(order), int(directions))
    if not point.moving:
        given = ", ".join(_kind(x) for x in inputs) or "nothing"
        raise DTypeError(
            f"check_gradients: no input is a floating array, but {given} → give one, np.array([0.5, -1.0])"
        )
    with np.errstate(all="ignore"):  # NaN and Inf are named, where they matter
        report = _judge(point)
    for observe in observers:
        observe(order, report)
    return report


def _judge(point: Point) -> Report:
    """What the function does wrong besides, then its derivatives of every order."""
    findings = conduct.observe(point.f, point.inputs, point.moving, point.words)
    if any(found.fatal for found in findings):
        return Report((), tuple(findings), point=point)
    point.begin()
    comparisons: list[Comparison] = []
    for _ in range(point.count if point.floating else 0):
        point.aim()
        small = point.size <= SMALL and point.rows <= ROWS
        for k in range(1, point.order + 1):
            if k > 1 and (found := conduct.observe_order(point, k)):
                return Report((), (*findings, found), point=point)
            if k > 1 or not small:
                comparisons += along_directions(point, k)
            elif not comparisons:
                comparisons += every_element(point)
    unreached = tuple(point.unreached())
    return Report(tuple(comparisons), (*findings, *_missing(point, unreached, comparisons)), unreached, point)


def assert_gradients(
    f: Callable[..., Any], *inputs: Any, order: int = 1, directions: int = 1, rng: np.random.Generator | None = None
) -> None:
    """Raise ``AssertionError`` unless the gradients of ``f`` at ``inputs`` agree with numeric ones, up to ``order``.

    The error says which input, where, both values, what the mistake looks like, and the call that shows it again. The
    arguments are those of ``check_gradients``.

    >>> import autograd
    >>> from autograd import primitive
    >>> wrong = primitive("wrong_sine_example", "x", forward="sin", vjp={"x": lambda g, x: -g * autograd.cos(x)})
    >>> assert_gradients(wrong, autograd.tensor([1.0]))
    Traceback (most recent call last):
    ...
    AssertionError: wrong gradient of input 0 (x) at [0], for the result at [0]: analytic -0.540302, numeric 0.5403...
    looks like: wrong sign: the gradient is −1 times what it should be
    ...
    """
    report = check_gradients(f, *inputs, order=order, directions=directions, rng=rng)
    if not (report.ok and report.tested):
        raise AssertionError(str(report)) from next((f.cause for f in report.findings if f.cause), None)


def check_rows(f: Callable[..., Any], x: Any, *, rng: np.random.Generator | None = None) -> Comparison:
    """Compare gradients at many points at once: every row of ``x`` is a point, and ``f`` treats rows independently.

    A microsecond or two for each row, for tests that draw millions of points. ``.wrong`` and ``.judged`` of the result
    have an element per row.

    >>> import autograd, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(1000, 6))
    >>> found = check_rows(autograd.relu, x)
    >>> int(found.wrong.sum()), found.judged.shape
    (0, (1000,))
    """
    rng = np.random.default_rng(0) if rng is None else rng
    point = Point(f, [x], rng)
    point.begin()
    point.aim()
    (i,) = point.moving
    x, u = point.inputs[i], point.cotangents
    v = rng.standard_normal(x.shape)
    count = len(x)

    def terms(at: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [(o * w).reshape(count, -1) for o, w in zip(point.results({i: at}), u, strict=True)], axis=1
        )

    sizes = np.abs(terms(x)).sum(1)
    numeric, error = oracles.directional_derivative(lambda at: terms(at).sum(1), x, v, noise=point.eps * sizes)
    products = (point.gradient(0, {})[i] * v).reshape(count, -1)
    size = np.abs(products).sum(1)
    rounding = point.eps * max(8, products.shape[1]) * np.maximum(size, sizes)
    return Comparison(i, 1, products.sum(1), numeric, error, rounding, size)


def every_element(point: Point) -> list[Comparison]:
    """Compare the Jacobians of order 1 with respect to each input."""
    value = point.values(point.z)
    moves = [np.abs(point.values(point.nudged()) - value) for _ in range(NUDGES)]
    noise = point.eps * np.abs(value) + np.max(moves, axis=0)
    scale = np.concatenate([np.full(point.inputs[i].size, point.scale(i)) for i in point.moving])
    (numeric, error), oracle = oracles.jacobian(point.values, point.z, point.rng, scale=scale, noise=noise)
    error = np.where(np.isinf(error).any(axis=0), np.inf, error)  # one result's kink may hide in another
    analytic = point.jacobian()
    dx, nudged = point.gradient(0, {}), point.gradient(0, point.split(point.nudged()))
    found = []
    for i, columns in point.columns():
        a, n = analytic[:, columns], numeric[:, columns]
        size = max(float(np.max(np.abs(part), where=np.isfinite(part), initial=0.0)) for part in (a, n))
        magnitude = np.maximum(np.abs(value), max(size, point.scale(i)))[:, None]
        moved = np.abs(nudged[i] - dx[i]).ravel()
        rounding = point.eps * max(8, point.size) * magnitude + np.where(np.isfinite(moved), moved, np.inf)
        found.append(Comparison(i, 1, a, n, error[:, columns], rounding, size, oracle))
    return found


def along_directions(point: Point, order: int) -> list[Comparison]:
    """Compare derivatives of the ``order − 1``-th directional derivative: of all inputs at once, or one by one.

    One by one if that finds a difference or cannot judge, so that the input it comes from is known.
    """
    point.turn(order)
    value, magnitude = point.value(order - 1, {})
    point.magnitude = max(point.magnitude, magnitude)
    moves = [abs(point.value(order - 1, point.split(point.nudged()))[0] - value) for _ in range(NUDGES + 1)]
    noise = point.eps * point.magnitude + max(moves)
    dx, nudged = point.gradient(order - 1, {}), point.gradient(order - 1, point.split(point.nudged()))
    directions = point.directions[order - 1]

    def along(inputs: Sequence[int]) -> Comparison:
        def moved(t: np.ndarray) -> float:
            return point.value(order - 1, {i: point.inputs[i] + t * directions[i] for i in inputs})[0]

        reach = max(point.scale(i) for i in inputs) / max(1.0, *(float(np.abs(directions[i]).max()) for i in inputs))
        numeric, error = oracles.directional_derivative(moved, np.zeros(()), np.ones(()), scale=reach, noise=noise)
        products = np.concatenate([(dx[i] * directions[i]).ravel() for i in inputs])
        size = float(np.abs(products).sum())
        apart = sum(float(np.abs((nudged[i] - dx[i]) * directions[i]).sum()) for i in inputs)
        rounding = point.eps * max(8, products.size) * max(point.magnitude, size) + apart
        number = inputs[0] if len(inputs) == 1 else ALL
        return Comparison(number, order, float(products.sum()), float(numeric), float(error), rounding, size)

    moving = [i for i in point.moving if point.inputs[i].size]
    if len(moving) > 1:
        together = along(moving)
        if together.ok and together.conclusive:
            return [together]
    return [along([i]) for i in moving]


def _kind(x: Any) -> str:
    """What an input is, in a word."""
    return f"{x.dtype} of shape {x.shape}" if hasattr(x, "dtype") else type(x).__name__


def _missing(point: Point, unreached: Sequence[int], comparisons: Sequence[Comparison]) -> list[Finding]:
    """Inputs to which no gradient flows: those that have no influence, and those whose influence is cut off."""
    found = []
    for i in unreached:
        mine = [c for c in comparisons if c.input == i and c.order == 1]
        still = all(c.ok for c in mine)
        text = (
            f"{point.words[i]} does not influence the result → leave it out, if that is meant"
            if still
            else f"the result changes with {point.words[i]}, but no gradient flows to it → look for detach(), "
            ".numpy(), no_grad() or a missing rule; if that is meant, bind it beforehand: lambda x: f(x, mask)"
        )
        found.append(Finding("has an input without gradient", text, fatal=not still))
    return found if comparisons else []
