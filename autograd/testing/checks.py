"""Judging the gradients of any function: random signed directions, tolerances from the oracle's own error estimate.

For order 1, ⟨∇ₓ⟨u, f⟩, v⟩ by the library is compared with the difference quotient of ⟨u, f(x + tv)⟩; ``u`` and ``v``
are normally distributed, so that no errors cancel as they do against a seed of ones. For order k + 1, the library's own
k-th directional derivative is the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import backend
from ..core.sweep import gradients
from ..core.tensor import Tensor
from ..errors import DTypeError
from .oracles import EPS, directional_derivative

observers: list[Callable[[int, Any], None]] = []  # called with the order and the report of every check
SAFETY = 8.0  # the estimate is of the error's size, not a bound
NUDGES = 3  # how often the noise of a value is looked at


@dataclass(frozen=True)
class Comparison:
    """One derivative by both ways: of which order, along a direction of which input."""

    input: int
    order: int
    analytic: float
    numeric: float
    error: float  # the oracle's estimate
    rounding: float  # of the library's value and of the sums around it
    size: float  # how large the derivatives are that meet in this number

    @property
    def tolerance(self) -> float:
        """How far apart the two may be."""
        return SAFETY * (self.error + self.rounding)

    @property
    def conclusive(self) -> bool:
        """Whether the oracle knows the derivative well enough to judge: to a thousandth of its size."""
        return self.tolerance <= 1e-3 * max(self.size, abs(self.numeric), 1e-3)

    @property
    def ok(self) -> bool:
        """Whether the two agree."""
        return abs(self.analytic - self.numeric) <= self.tolerance

    @property
    def badness(self) -> float:
        """The difference in units of the tolerance."""
        distance = abs(self.analytic - self.numeric) / max(self.tolerance, 1e-300)
        return distance if math.isfinite(distance) else math.inf


@dataclass(frozen=True)
class Report:
    """What a check found. ``worst`` is the comparison that fails most clearly, or comes closest to failing."""

    comparisons: tuple[Comparison, ...]

    @property
    def conclusive(self) -> bool:
        """Whether the oracle could judge every derivative; it cannot at a kink or a jump."""
        return all(c.conclusive or not c.ok for c in self.comparisons)

    @property
    def ok(self) -> bool:
        """Whether all derivatives agree."""
        return all(c.ok for c in self.comparisons)

    @property
    def worst(self) -> Comparison:
        """The comparison with the largest difference in units of its tolerance."""
        return max(self.comparisons, key=lambda c: c.badness)

    def __str__(self) -> str:
        c = self.worst
        verdict = "agree" if self.ok else "differ"
        return (
            f"gradients {verdict}: worst is order {c.order} along a random direction of input {c.input}: "
            f"analytic {c.analytic:.12g}, numeric {c.numeric:.12g} ± {c.error:.1e}, "
            f"apart by {abs(c.analytic - c.numeric):.1e} where {c.tolerance:.1e} is allowed"
        )


def _place(x: Any) -> Any:
    """A truth-worthy copy of an input: floating arrays become float64 on the host."""
    data = x.data if isinstance(x, Tensor) else x
    if not backend.is_array(type(data)):
        return data
    host = np.array(backend.of(data).to_host(data))
    return host.astype(np.float64) if host.dtype.kind == "f" else host


def _outputs(out: Any) -> list[Tensor]:
    found = out if isinstance(out, (tuple, list)) else [out]
    wrong = next((o for o in found if not isinstance(o, Tensor)), None)
    if wrong is not None:
        raise DTypeError(
            f"check_gradients: the function returns a {type(wrong).__name__}, not a tensor → compute with tensors"
        )
    return [o for o in found if o.dtype.kind == "f"]


def largest(arrays: Iterable[np.ndarray]) -> float:
    """The largest absolute value in any of the arrays."""
    return max((float(np.max(np.abs(a), initial=0.0)) for a in arrays), default=0.0)


class _Probe:
    """A function at a point, with the random cotangents and directions that turn it into numbers."""

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any], rng: np.random.Generator) -> None:
        self.f, self.rng = f, rng
        self.inputs = [_place(x) for x in inputs]
        self.moving = [i for i, x in enumerate(self.inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
        if not self.moving:
            raise DTypeError("check_gradients: no input is a floating array → give one")
        self.cotangents: list[np.ndarray] = []
        self.cotangents = [rng.standard_normal(o.shape) for o in _outputs(self.call({})[1])]
        self.directions: list[dict[int, np.ndarray]] = []
        self.magnitude = largest(self.cotangents) * largest(self.inputs[i] for i in self.moving)  # of the terms so far

    def turn(self) -> None:
        """Draw a direction for the next order."""
        self.directions.append({i: self.rng.standard_normal(self.inputs[i].shape) for i in self.moving})

    def call(self, moved: dict[int, np.ndarray], grad: bool = False) -> tuple[dict[int, Tensor], Any]:
        tensors: dict[int, Tensor] = {
            i: Tensor(moved.get(i, self.inputs[i]).copy(), requires_grad=grad) for i in self.moving
        }
        rest = [Tensor(x) if isinstance(x, np.ndarray) else x for x in self.inputs]
        return tensors, self.f(*[tensors.get(i, x) for i, x in enumerate(rest)])

    def value(self, order: int, moved: dict[int, np.ndarray]) -> tuple[float, float]:
        """⟨u, f⟩ differentiated ``order`` times along the directions, and the size of the terms that were summed."""
        if order == 0:
            found = _outputs(self.call(moved)[1])
            products = [o.numpy() * u for o, u in zip(found, self.cotangents, strict=True)]
        else:
            dx = self.gradient(order - 1, moved)
            products = [dx[i] * v for i, v in self.directions[order - 1].items()]
        return float(sum(p.sum() for p in products)), float(sum(np.abs(p).sum() for p in products))

    def gradient(self, order: int, moved: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """The gradient of the ``order``-th directional derivative, by the library."""
        x, out = self.call(moved, grad=True)
        parts = list(zip(_outputs(out), self.cotangents, strict=True))
        for k in range(order + 1):
            parts = [(t, u) for t, u in parts if t.requires_grad]
            if not parts:
                break
            tensors, seeds = [t for t, _ in parts], [Tensor(u) for _, u in parts]
            dx = gradients(tensors, list(x.values()), seeds, create_graph=k < order, allow_unused=True)
            found = {i: g for i, g in zip(x, dx, strict=True) if g is not None}
            if k == order:
                return {i: found[i].numpy() if i in found else np.zeros(x[i].shape) for i in x}
            parts = [(g, self.directions[k][i]) for i, g in found.items()]
        return {i: np.zeros(x[i].shape) for i in x}

    def compare(self, order: int) -> list[Comparison]:
        """Both derivatives of the ``order − 1``-th directional derivative, for each input along its direction."""
        self.turn()
        value, magnitude = self.value(order - 1, {})
        self.magnitude = max(self.magnitude, magnitude)
        noise = EPS * self.magnitude + max(abs(self.value(order - 1, self.nudge())[0] - value) for _ in range(NUDGES))
        dx, nudged = self.gradient(order - 1, {}), self.gradient(order - 1, self.nudge())
        comparisons = []
        for i, v in self.directions[order - 1].items():

            def along(at: np.ndarray, i: int = i) -> float:
                return self.value(order - 1, {i: at})[0]

            numeric, error = directional_derivative(along, self.inputs[i], v, noise=noise)
            products = dx[i] * v
            size = float(np.abs(products).sum())
            moved = float(np.abs((nudged[i] - dx[i]) * v).sum())
            rounding = EPS * max(8, products.size) * max(self.magnitude, size) + moved
            comparisons.append(
                Comparison(i, order, float(products.sum()), float(numeric), float(error), rounding, size)
            )
        return comparisons

    def nudge(self) -> dict[int, np.ndarray]:
        """The inputs moved by a few roundings: how far results move shows what rounding does to them."""
        moves = {i: self.rng.uniform(-4.0, 4.0, self.inputs[i].shape) for i in self.moving}
        return {i: self.inputs[i] * (1 + EPS * m) for i, m in moves.items()}


def check_gradients(
    f: Callable[..., Any], *inputs: Any, order: int = 1, directions: int = 1, rng: np.random.Generator | None = None
) -> Report:
    """Compare the gradients of ``f`` at ``inputs`` with differences, up to ``order``; return what was found.

    Args:
        f: takes tensors and returns a tensor or several; must give the same result each time.
        inputs: tensors or arrays; floating ones are differentiated, in float64, the others stay as they are.
        order: 1 for gradients, 2 for gradients of gradients, 3 …
        directions: how many random directions to try.
        rng: where they come from; seeded with 0 if None.

    Raises:
        DTypeError: if no input is floating, or ``f`` returns something other than tensors.

    >>> import autograd
    >>> check_gradients(autograd.tanh, autograd.tensor([0.5, -1.0]), order=3).ok
    True
    """
    rng = np.random.default_rng(0) if rng is None else rng
    comparisons: list[Comparison] = []
    for _ in range(directions):
        probe = _Probe(f, inputs, rng)
        for k in range(1, order + 1):
            comparisons += probe.compare(k)
    report = Report(tuple(comparisons))
    for observe in observers:
        observe(order, report)
    return report


def assert_gradients(
    f: Callable[..., Any], *inputs: Any, order: int = 1, directions: int = 1, rng: np.random.Generator | None = None
) -> None:
    """Raise ``AssertionError`` unless the gradients of ``f`` at ``inputs`` agree with differences, up to ``order``.

    The arguments are those of ``check_gradients``.

    >>> import autograd
    >>> from autograd import primitive
    >>> wrong = primitive("wrong_sine_example", "x", forward="sin", vjp={"x": lambda g, x: -g * autograd.cos(x)})
    >>> assert_gradients(wrong, autograd.tensor([1.0]))
    Traceback (most recent call last):
    ...
    AssertionError: gradients differ: worst is order 1 along a random direction of input 0: ...
    """
    report = check_gradients(f, *inputs, order=order, directions=directions, rng=rng)
    if not report.ok:
        raise AssertionError(str(report))
