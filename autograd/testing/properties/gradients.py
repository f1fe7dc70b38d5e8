"""What holds for the gradients of every operation: against the oracles, and against one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.sweep import gradients
from ...core.tensor import Tensor
from ...transforms.forward import jvp
from .. import samples
from ..checks import check_gradients
from .declared import Example, InconclusiveError, holds, moves, noise, outputs, words_of

HAS_GRADIENT = "an input with a gradient"


def judge(e: Example, order: int) -> None:
    """Raise unless the gradients up to ``order`` agree with the oracle, or it cannot judge at this point."""
    report = check_gradients(e.f, *e.points, order=order, rng=np.random.default_rng(len(e.shapes)))
    if not report.ok:
        raise AssertionError(report)  # in words, with a diagnosis, when it is printed
    if not report.conclusive:
        raise InconclusiveError(report)


@holds(moves, HAS_GRADIENT, draws=3)
def gradients_agree_with_the_oracle(e: Example) -> None:
    """The reverse rules give the derivative that differences of the forward computation give."""
    judge(e, 1)


@holds(moves, HAS_GRADIENT)
def gradients_of_gradients_agree_with_the_oracle(e: Example) -> None:
    """The rules, differentiated by the library twice and three times, give what differences give."""
    judge(e, 3)


@holds(lambda e: e.moving and not _worded(e.op), "inputs from intervals", draws=2)
def gradients_at_whole_numbers_agree_with_the_oracle(e: Example) -> None:
    """So they do at −1, 0, 1, 2, where mistakes about exponents, divisors and masks show, unless there is a kink."""
    whole = e.change(_whole(e, k) if k in e.moving else x for k, x in enumerate(e.sample.inputs))
    report = check_gradients(whole.f, *whole.points)
    if not report.ok:
        raise AssertionError(report)


def _whole(e: Example, k: int) -> np.ndarray:
    """The input's values rounded, where that leaves them in their domain."""
    low, high = _interval(e.op, k)
    x = np.asarray(e.sample.inputs[k])
    near = np.round(x)
    return np.where((low < near) & (near < high), near, x)


def _interval(op: Any, k: int) -> tuple[float, float]:
    names = [o.name for o in op.contract.inputs]
    low, high = op.domain.get(names[0 if op.contract.variadic else k], (-np.inf, np.inf))
    return float(low), float(high)


def _worded(op: Any) -> set[str]:
    return {name for name, domain in op.domain.items() if isinstance(domain, str)}


@holds(lambda e: set(e.sample.differentiable) - set(e.moving), "a floating input without a rule", draws=3)
def inputs_without_a_rule_have_no_gradient(e: Example) -> None:
    """Nothing depends on an input that has no rule, unless the doc says that it counts as a constant."""
    if "constant" not in words_of(e.op):
        still = Example(e.op, e.sample, tuple(i for i in e.sample.differentiable if i not in e.moving))
        report = check_gradients(still.f, *still.points)
        assert report.ok, f"it has no rule for an input on which it depends, and its doc names no constant: {report}"


def paired(us: list[Any], vs: list[Any]) -> Any:
    """⟨us, vs⟩ over all arrays, and the size of the terms in it."""
    products = [u * v for u, v in zip(us, vs, strict=True)]
    return sum(float(p.sum()) for p in products), sum(float(np.abs(p).sum()) for p in products)


def weighted(e: Example, us: list[np.ndarray]) -> Callable[..., Any]:
    """The function ⟨us, outputs⟩ of the points."""

    def scalar(*xs: Tensor) -> Any:
        found = [o for o in outputs(e.f(*xs)) if o.requires_grad]
        return sum((o * u).sum() for o, u in zip(found, us, strict=True))

    return scalar


def agree(left: float, right: float, size: float, otherwise: str) -> None:
    """Raise unless two sums, of terms that add up to ``size``, are equal but for rounding."""
    allowed = 1e-10 * max(size, 1.0)
    assert abs(left - right) <= allowed, f"{otherwise}: {left:.12g} and {right:.12g}, apart by more than {allowed:.1e}"


@holds(moves, HAS_GRADIENT, draws=2)
def forward_mode_is_adjoint_to_reverse_mode(e: Example) -> None:
    """⟨u, J t⟩ by the forward mode is ⟨Jᵀ u, t⟩ by the reverse mode, also at kinks."""
    for at in (e, _at_kinks(e)) if getattr(e.op, "kinks", {}) else (e,):
        out = at.run()[1]
        if out:
            us, ts = noise(out), noise(at.points, 1)
            _, along = jvp(weighted(at, us), tuple(at.points), tuple(ts))
            back, size = paired(at.pull(us), ts)
            agree(float(along), back, size, "⟨u, J t⟩ and ⟨Jᵀ u, t⟩ differ")


@holds(moves, HAS_GRADIENT, draws=2)
def gradients_are_linear_in_the_cotangent(e: Example) -> None:
    """The gradient of 2.5u − 0.7w is 2.5 times that of u less 0.7 times that of w."""
    out = e.run()[1]
    us, ws = noise(out), noise(out, 1)
    both = e.pull([2.5 * u - 0.7 * w for u, w in zip(us, ws, strict=True)])
    for left, gu, gw in zip(both, e.pull(us), e.pull(ws), strict=True):
        size = max(1.0, float(np.max(np.abs(gu), initial=0)), float(np.max(np.abs(gw), initial=0)))
        np.testing.assert_allclose(left, 2.5 * gu - 0.7 * gw, 0, 1e-12 * size, err_msg="not linear in the cotangent")


class Curvature:
    """The second derivatives of ⟨us, outputs⟩ at an example."""

    def __init__(self, e: Example) -> None:
        self.e, self.xs, out = e, *e.run()
        self.us = noise(out)
        found = gradients(out, self.xs, list(map(Tensor, self.us)), create_graph=True, allow_unused=True) if out else []
        self.slopes = [(i, g) for i, g in enumerate(found) if g is not None and g.requires_grad]

    def times(self, vs: list[np.ndarray]) -> list[np.ndarray]:
        """H v, by two reverse sweeps."""
        zeros = [np.zeros_like(x) for x in self.e.points]
        if not self.slopes:
            return zeros
        tops, seeds = [g for _, g in self.slopes], [Tensor(vs[i]) for i, _ in self.slopes]
        found = gradients(tops, self.xs, seeds, retain_graph=True, allow_unused=True)
        return [z if g is None else g.numpy() for z, g in zip(zeros, found, strict=True)]

    def forward_times(self, vs: list[np.ndarray], ws: list[np.ndarray]) -> float:
        """⟨w, H v⟩, by the forward mode over a reverse sweep."""

        def slope(*xs: Tensor) -> Any:
            value = weighted(self.e, self.us)(*xs)
            found = gradients(value, xs, create_graph=True, allow_unused=True)
            return sum((g * w).sum() for g, w in zip(found, ws, strict=True) if g is not None)

        return float(jvp(slope, tuple(self.e.points), tuple(vs))[1])


@holds(moves, HAS_GRADIENT)
def hessian_is_symmetric(e: Example) -> None:
    """⟨w, H v⟩ = ⟨v, H w⟩, also between different inputs."""
    h, vs, ws = Curvature(e), noise(e.points, 1), noise(e.points, 2)
    (left, size), (right, _) = paired(ws, h.times(vs)), paired(vs, h.times(ws))
    agree(left, right, size, "⟨w, H v⟩ and ⟨v, H w⟩ differ")


@holds(moves, HAS_GRADIENT)
def forward_over_reverse_is_reverse_over_reverse(e: Example) -> None:
    """⟨w, H v⟩ is the same by the forward mode over a reverse sweep and by two reverse sweeps."""
    h, vs, ws = Curvature(e), noise(e.points, 1), noise(e.points, 2)
    if h.us:
        left, size = paired(ws, h.times(vs))
        agree(h.forward_times(vs, ws), left, size, "H v by forward over reverse and by reverse over reverse differ")


@holds(lambda e: e.sample.symmetric, "a symmetric input", draws=2)
def symmetric_inputs_get_symmetric_gradients(e: Example) -> None:
    """The gradient of an input that is declared symmetric is symmetric itself, also where no one asks for it."""
    plain = replace(e, sample=replace(e.sample, symmetric=()))
    for i, g in zip(plain.moving, plain.pull(noise(plain.run()[1])), strict=True):
        if i in e.sample.symmetric:
            size = max(1.0, float(np.max(np.abs(g), initial=0.0)))
            np.testing.assert_allclose(g, g.swapaxes(-1, -2), 0, 1e-11 * size, err_msg="the gradient is not symmetric")


LARGE = 3000.0


@holds(lambda e: e.moving and not _worded(e.op), "inputs from intervals")
def large_inputs_give_numbers(e: Example) -> None:
    """Where the result is a finite number for inputs of thousands, gradients and their gradients are no NaN."""
    far = e.change(_far(e, k) if k in e.moving else x for k, x in enumerate(e.sample.inputs))
    with np.errstate(all="ignore"):
        out = far.run()[1]
        if not all(np.isfinite(o.data).all() for o in out):
            return
        h = Curvature(far)
        found = {"gradients": far.pull(h.us), "gradients of gradients": h.times(noise(far.points, 1))}
    for what, arrays in found.items():
        assert not any(np.isnan(g).any() for g in arrays), f"the result is finite, but {what} are NaN"


def _far(e: Example, k: int) -> np.ndarray:
    low, high = _interval(e.op, k)
    x = e.sample.inputs[k]
    start = low if np.isfinite(low) else high if np.isfinite(high) else 0.0
    return x if np.isfinite(low) and np.isfinite(high) else np.asarray(start + LARGE * (x - start))


# --- kinks ------------------------------------------------------------------------------------------------------------

STEP = 2.0**-12
MOST = 12  # elements of a result that are looked at


@holds(lambda e: e.moving and getattr(e.op, "kinks", {}), "a declared kink", draws=3)
def stated_subgradients_lie_between_the_slopes(e: Example) -> None:
    """At declared kinks ⟨gradient, v⟩ lies between the slopes on either side along v.

    So it does for every element of the subdifferential of a function that is convex or concave there. The slopes are
    taken between one and two steps away: at a jump the value in between belongs to neither side.
    """
    at, rng = _at_kinks(e), np.random.default_rng(0)
    out = at.run()[1]
    if not out:
        return
    vs = noise(at.points, 1)
    (left, off_left), (right, off_right) = (slopes(at, [sign * v for v in vs]) for sign in (-1.0, 1.0))
    allowed = off_left + off_right + 1e-7
    low, high = np.minimum(-left, right) - allowed, np.maximum(-left, right) + allowed
    places = [(k, i) for k, o in enumerate(out) for i in range(o.size)]
    for n in rng.permutation(len(places))[:MOST]:
        k, i = places[n]
        us = [np.zeros(o.shape) for o in out]
        us[k].reshape(-1)[i] = 1.0
        found = paired(at.pull(us), vs)[0]
        between = f"the slopes on either side are {low[n]:.6g} and {high[n]:.6g}"
        assert low[n] <= found <= high[n], f"at a kink the derivative of one element is {found:.6g}, but {between}"


def _at_kinks(e: Example) -> Example:
    return e.change(samples.on_kinks(e.sample, np.random.default_rng(e.points[0].size)).inputs)


def slopes(e: Example, vs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The slopes of all outputs just beyond the point, towards v, and how far they may be off."""

    def at(t: float) -> np.ndarray:
        found = outputs(e.f(*[Tensor(x + t * v) for x, v in zip(e.points, vs, strict=True)]))
        return np.concatenate([o.numpy().ravel() for o in found if o.dtype.kind == "f"])

    far, near = (at(2 * h) - at(h) for h in (STEP, STEP / 2))
    far, near = far / STEP, near / (STEP / 2)
    return 2 * near - far, np.abs(near - far)
