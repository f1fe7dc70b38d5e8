"""The oracles: their error estimates hold, they see kinks and jumps, and none gives a wrong derivative silently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import primitive
from autograd.errors import DomainError
from autograd.testing import oracles
from autograd.testing.oracles import SAFETY

numbers = st.floats(-3, 3, allow_subnormal=False)
distances = st.floats(-16, -1).map(lambda e: 10.0**e)

SMOOTH = {  # a function of an array, and its derivative
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "cubic": (lambda x: x**3 - 5 * x, lambda x: 3 * x**2 - 5),
    "runge": (lambda x: 1 / (1 + 25 * x * x), lambda x: -50 * x / (1 + 25 * x * x) ** 2),
    "steep": (lambda x: np.tanh(100 * x), lambda x: 100 / np.cosh(np.clip(100 * x, -300, 300)) ** 2),
    "fast": (lambda x: np.sin(40 * x), lambda x: 40 * np.cos(40 * x)),
    "large": (lambda x: 1e8 + np.sin(x), np.cos),
    "tiny": (lambda x: 1e-12 * np.sin(x), lambda x: 1e-12 * np.cos(x)),
    "constant": (lambda x: 0 * x + 7.0, lambda x: 0 * x),
}
KINKED = {  # a function of one number, the derivative taken next to the kink at 0, and the slopes on both sides
    "abs": (np.abs, np.sign, (-1, 1)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: float(x > 0), (0, 1)),
    "hinge": (lambda x: np.exp(x) * np.maximum(3 * x, -x), lambda x: np.exp(x) * ((3, 3 * x) if x > 0 else (-1, -x))[0]
              + np.exp(x) * np.maximum(3 * x, -x), (-1, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
@given(x=numbers, v=numbers.filter(lambda v: abs(v) > 1e-3))
def test_the_estimate_covers_the_error(name: str, x: float, v: float) -> None:
    f, slope = SMOOTH[name]
    value, error = oracles.directional_derivative(f, np.array(x), np.array(v))
    true = slope(np.array(x)) * v
    assert abs(value - true) <= SAFETY * error
    assert error <= 1e-3 * abs(true) + 1e-6 * max(1.0, abs(float(f(np.array(x)))))


@pytest.mark.parametrize("name", KINKED)
@given(distance=distances, sign=st.sampled_from([-1, 1]), v=st.sampled_from([1.0, -1.0, 0.3, -2.7]))
def test_near_a_kink_the_estimate_is_right_or_large(name: str, distance: float, sign: int, v: float) -> None:
    f, slope, _ = KINKED[name]
    x = sign * distance
    value, error = oracles.directional_derivative(f, np.array(x), np.array(v))
    assert abs(value - slope(x) * v) <= SAFETY * error
    if distance > 1e-3:
        assert error < 1e-6


@pytest.mark.parametrize("name", KINKED)
def test_on_a_kink_there_is_no_derivative_but_two_slopes(name: str) -> None:
    f, _, slopes = KINKED[name]
    assert np.isinf(oracles.directional_derivative(f, np.array(0.0), np.array(1.0)).error)
    for side, slope in zip(oracles.one_sided(f, np.array(0.0), np.array(1.0)), slopes, strict=True):
        assert abs(side.value - slope) <= SAFETY * side.error < 1e-6


def test_the_old_blind_spot_between_the_last_two_steps() -> None:
    """A kink between the two smallest steps of the table once gave 0.006 ± 0.003 for a derivative of 1."""
    for x in np.geomspace(1e-6, 1e-2, 400):
        value, error = oracles.directional_derivative(np.abs, np.array(x), np.array(1.0))
        assert abs(value - 1) <= SAFETY * error


def test_two_kinks_that_hide_each_other_are_seen() -> None:
    """Around 0 a narrow clip is odd: no second difference shows its kinks, the differences next to x do."""
    for width in np.geomspace(1e-9, 1e-1, 300):
        value, error = oracles.directional_derivative(lambda x, w=width: np.clip(x, -w, w), np.zeros(()), np.ones(()))
        assert abs(value - 1) <= SAFETY * error


def test_the_edge_of_a_domain_is_no_obstacle() -> None:
    value, error = oracles.directional_derivative(np.log, np.array(1e-4), np.array(1.0))
    assert abs(value - 1e4) <= SAFETY * error < 1.0


@given(st.integers(0, 2**32 - 1))
def test_jacobians_by_differences_and_complex_steps_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(4), rng.standard_normal((3, 4))

    def f(x: np.ndarray) -> np.ndarray:
        return np.tanh(w @ x) * np.exp(x[0])

    by_differences, by_complex = oracles.numerical_jacobian(f, x), oracles.complex_jacobian(f, x, rng)
    assert (abs(by_differences.value - by_complex.value) <= SAFETY * (by_differences.error + by_complex.error)).all()
    true = np.exp(x[0]) * (w * (1 - np.tanh(w @ x) ** 2)[:, None] + np.outer(np.tanh(w @ x), [1, 0, 0, 0]))
    np.testing.assert_allclose(by_complex.value, true, rtol=1e-12, atol=1e-14)


NOT_ANALYTIC = {
    "abs": lambda x: x * np.abs(x),
    "conj": lambda x: x * np.conj(x),
    "real": lambda x: np.real(x) * 2.0,
    "cast": lambda x: x.astype(np.float64) * x,
    "norm": lambda x: np.linalg.norm(x) * x,
    "sign": lambda x: np.sign(x) * x,
    "angle": lambda x: np.arctan2(x.real, 1.0) * x,
    "refuses": lambda x: np.floor(x) * x,
    "part": lambda x: np.concatenate([np.exp(x[:1]), np.abs(x[1:]) * x[1:]]),
}


@pytest.mark.parametrize("name", NOT_ANALYTIC)
@given(seed=st.integers(0, 1000))
def test_no_wrong_complex_step(name: str, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(0.2, 3, 3) * [1, -1, 1]
    f = NOT_ANALYTIC[name]
    with pytest.raises(DomainError, match=r"complex_step: .*→ use directional_derivative"):
        oracles.complex_jacobian(f, x, np.random.default_rng(seed))
    value, oracle = oracles.jacobian(f, x, np.random.default_rng(seed))[0].value, "differences"
    assert oracles.jacobian(f, x, np.random.default_rng(seed))[1] == oracle and np.isfinite(value).all()


BRANCHES = {  # comparisons of complex numbers go by the real part: right, away from ties
    "maximum": lambda x: np.maximum(x, 0.1) ** 2,
    "where": lambda x: np.where(x > 0, x**3, -x),
    "sort": lambda x: np.sort(x) * np.array([1.0, 2.0, 3.0]),
    "max": lambda x: np.max(x, keepdims=True) * x,
}


@pytest.mark.parametrize("name", BRANCHES)
@given(seed=st.integers(0, 1000))
def test_branches_are_right_or_refused(name: str, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-2, 2, 3)
    try:
        found = oracles.complex_jacobian(BRANCHES[name], x, np.random.default_rng(seed))
    except DomainError:
        return
    expected = oracles.numerical_jacobian(BRANCHES[name], x)
    assert (abs(found.value - expected.value) <= SAFETY * (found.error + expected.error)).all()


def test_ties_are_refused() -> None:
    with pytest.raises(DomainError, match="not analytic"):
        oracles.complex_step(lambda x: np.maximum(x, 0), np.array(0.0), np.array(1.0))


@given(st.integers(0, 2**32 - 1))
def test_adjoint_identity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    gap = oracles.adjoint_gap(lambda x, w: (autograd.tanh(x @ w), autograd.softmax(x)), [x, w], rng)
    assert abs(gap.value) <= gap.error < 1e-11


def test_adjoint_identity_sees_a_rule_that_is_no_adjoint() -> None:
    wrong = primitive(
        "not_adjoint_example", "x: N -> N", forward=lambda x: np.cumsum(x), linear_in=("x",),
        vjp={"x": lambda g: g.cumsum()},
    )  # fmt: skip
    gap = oracles.adjoint_gap(wrong, [np.arange(4.0)], np.random.default_rng(0))
    assert abs(gap.value) > 1e3 * gap.error


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=200))
def test_rounding_bound_covers_naive_sums(terms: list[float]) -> None:
    total = np.float32(0.0)
    for t in terms:
        total += np.float32(t)
    assert abs(float(total) - sum(terms)) <= oracles.rounding_bound(terms, "float32")
