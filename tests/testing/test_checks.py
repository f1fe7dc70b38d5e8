"""Checks of gradients: what is right passes everywhere, what is wrong is seen, kinks raise no alarm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import Tensor, elementwise, primitive
from autograd.errors import DomainError, DTypeError
from autograd.testing import assert_gradients, check_gradients
from autograd.testing.checks import SMALL, check_rows
from autograd.testing.precision import check_precision

seeds = st.integers(0, 2**32 - 1)

KINKED: dict[str, Callable[..., Any]] = {
    "relu": autograd.relu,
    "abs": autograd.abs,
    "clip": lambda x: autograd.clip(x, -1e-3, 0.5),
    "max": lambda x: autograd.max(x, axis=1),
    "sort": lambda x: autograd.sort(x, axis=1),
    "norm": lambda x: autograd.norm(x, axis=1),
    "max pool": lambda x: autograd.max_pool1d(x[:, None], 3, 2, 1),
    "leaky": lambda x: autograd.leaky_relu(x, 0.2),
    "relu of a sum": lambda x: autograd.relu(x.sum(axis=1)),
    "nested": lambda x: autograd.abs(autograd.relu(x) - autograd.maximum(-x, 1e-6)),
}


def near_kinks(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Points at any distance from zero and from one another: exactly on, below rounding, within a step, far away."""
    shape = (rows, 6)
    distances = rng.standard_normal(shape) * 10.0 ** rng.uniform(-17, 0, shape)
    at = rng.choice([0.0, 0.5, -1e-3, 1.0], size=shape, p=[0.7, 0.1, 0.1, 0.1])
    return np.where(rng.random(shape) < 0.15, 0.0, distances) + at


@pytest.mark.parametrize("name", KINKED)
@given(seed=seeds)
def test_no_false_alarm_near_kinks(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = near_kinks(rng, 400)
    found = check_rows(KINKED[name], x, rng=rng)
    assert found.ok, f"{x[found.wrong][0]!r}: {found.analytic[found.wrong][0]} {found.numeric[found.wrong][0]}"


@pytest.mark.parametrize("name", KINKED)
@given(seed=seeds)
def test_no_false_alarm_near_kinks_in_full_jacobians(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    report = check_gradients(KINKED[name], near_kinks(rng, 2), rng=rng)
    assert report.ok, str(report)
    assert report.verdict in ("agree", "kink", "ill-conditioned")


@pytest.mark.parametrize("name", KINKED)
def test_away_from_kinks_rows_are_judged(name: str) -> None:
    x = np.random.default_rng(0).permuted(np.tile(np.linspace(-1.3, 1.8, 6), (200, 1)), axis=1)
    assert check_rows(KINKED[name], x).judged.all()


def test_rows_see_what_is_wrong() -> None:
    wrong = elementwise("rows_wrong_example", "x", forward=np.tanh, deriv={"x": lambda out: 1 - out})
    x = np.random.default_rng(0).standard_normal((100, 3))
    assert check_rows(wrong, x).wrong.all()


SMOOTH: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "network": (lambda x, w, v: autograd.tanh(x @ w) @ v, [(2, 3), (3, 2), (2, 2)]),
    "softmax": (autograd.softmax, [(2, 4)]),
    "two results": (lambda x: (autograd.exp(x), autograd.sin(x).sum()), [(3,)]),
    "shared": (lambda x: x * x.sum() + x, [(3,)]),
    "sigmoid": (autograd.sigmoid, [(5,)]),  # not analytic as it is computed
    "large": (lambda x, w: autograd.tanh(x @ w), [(10, 10), (10, 10)]),
    "scalar": (lambda x: autograd.sin(x), [()]),
    "empty": (lambda x, y: x * y, [(0, 2), (1, 2)]),
}


@pytest.mark.parametrize("name", SMOOTH)
@given(seed=seeds)
def test_right_gradients_agree(name: str, seed: int) -> None:
    f, shapes = SMOOTH[name]
    rng = np.random.default_rng(seed)
    report = check_gradients(f, *[rng.standard_normal(s) for s in shapes], order=2, rng=rng)
    assert report.ok and report.conclusive, str(report)


@given(seed=seeds, factor=st.floats(1e-6, 1.0), columns=st.integers(1, 60))
def test_one_wrong_element_is_seen(seed: int, factor: float, columns: int) -> None:
    """In full Jacobians and along directions: an error of a millionth in one of up to 60 elements."""
    spoil = np.zeros(columns)
    spoil[seed % columns] = factor
    wrong = primitive(
        "spoilt_example", "x: N -> N", forward=np.sinh, vjp={"x": lambda g, x: g * np.cosh(x) * (1 + spoil)}
    )
    report = check_gradients(wrong, np.random.default_rng(seed).uniform(-1, 1, columns))
    assert not report.ok
    small = columns <= SMALL
    assert (report.worst.numeric.shape == (columns, columns)) if small else np.ndim(report.worst.numeric) == 0


@pytest.mark.parametrize("order", [2, 3])
def test_wrong_higher_orders_are_seen(order: int) -> None:
    def once(g: Any, x: Any) -> Any:
        return g * autograd.cos(x.detach() if isinstance(x, Tensor) else x)

    wrong = primitive("once_example", "x", forward="sin", vjp={"x": once})
    x = np.array([0.4, -1.2])
    assert check_gradients(wrong, x, order=1).ok
    report = check_gradients(wrong, x, order=order)
    assert not report.ok and report.worst.order >= 2
    assert "of order 2" in str(report) or "of order 3" in str(report)


def test_a_seed_of_ones_and_unsigned_directions_would_not_do() -> None:
    """Errors that cancel in sums: rows of the Jacobian that are wrong by amounts that add up to zero."""
    wrong = primitive(
        "cancel_example", "x: N -> N", forward=lambda x: x * 1.0, vjp={"x": lambda g: g + 0.1 * (g - g.mean())}
    )
    x = Tensor(np.arange(4.0), requires_grad=True)
    wrong(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1.0)
    assert not check_gradients(wrong, np.arange(4.0)).ok
    assert not check_gradients(wrong, np.arange(100.0)).ok


def test_nan_at_a_kink_is_wrong() -> None:
    nan = primitive("nan_example", "x", forward=np.abs, vjp={"x": lambda g, x: g * x / np.abs(x)})
    report = check_gradients(nan, np.array([1.0, 0.0]))
    assert not report.ok and report.verdict == "wrong gradient"


def test_no_floating_input_is_refused() -> None:
    with pytest.raises(DTypeError, match=r"no input is a floating array, but int64 of shape \(2,\) → give one"):
        check_gradients(autograd.tanh, np.array([1, 2]))


@pytest.mark.parametrize("given", [{"order": 0}, {"order": 1.5}, {"directions": 0}])
def test_senseless_counts_are_refused(given: Any) -> None:
    with pytest.raises(DomainError, match=r"check_gradients: (order|directions)=.* → give a whole number from 1 up"):
        check_gradients(autograd.tanh, np.ones(2), **given)


def test_the_call_draws_the_same_again() -> None:
    first, second = (check_gradients(autograd.tanh, np.ones(60), rng=np.random.default_rng(3)) for _ in range(2))
    assert first.comparisons == second.comparisons


# --- narrow types -----------------------------------------------------------------------------------------------------

NARROW: dict[str, Callable[..., Any]] = {
    "softmax": autograd.softmax,
    "network": lambda x: autograd.tanh(x @ x.mT).sum(axis=0),
    "variance": lambda x: ((x - x.mean(axis=0)) ** 2).mean(axis=0),
    "cancelling": lambda x: (x + 100.0) - 100.0,
    "linear": lambda x: x.sum(axis=1),
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", NARROW)
@given(seed=seeds)
def test_narrow_types_stay_within_the_bound(name: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    report = check_precision(NARROW[name], rng.standard_normal((3, 4)), dtype=dtype, rng=rng)
    assert report.ok, str(report)


@pytest.mark.parametrize("where", ["value", "gradient"])
def test_lost_digits_of_float32_are_seen(where: str) -> None:
    def rounded(x: Any) -> Any:
        return x.astype("float16").astype(x.dtype)

    lossy = primitive(
        f"lossy_{where}_example", "x", forward=lambda x: rounded(np.exp(x)) if where == "value" else np.exp(x),
        vjp={"x": lambda g, x: g * (rounded(np.exp(x)) if where == "gradient" else np.exp(x))},
    )  # fmt: skip

    def f(x: Any) -> Any:
        return autograd.exp(x) if x.dtype == np.float64 else lossy(x)

    report = check_precision(f, np.random.default_rng(0).standard_normal(5))
    assert not report.ok and report.verdict == "lost precision"
    assert [c.order for c in report.comparisons if not c.ok] == ([0] if where == "value" else [1])


def test_assertion_passes_silently() -> None:
    assert assert_gradients(autograd.tanh, np.ones(3), order=3) is None
