"""What a function does wrong besides its gradient is named as that, and never called a wrong gradient."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import autograd
from autograd import Tensor, primitive
from autograd.testing import assert_gradients, check_gradients

X, Y = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, -0.3])
CALLS = [0]


def counting(x: Tensor) -> Tensor:
    CALLS[0] += 1
    return x * CALLS[0]


def writes(x: Tensor) -> Tensor:
    x[0] = 7.0
    return x * 2


def writes_past_the_tensor(x: Tensor) -> Tensor:
    x.data[0] += 1.0
    return x * 2


def own_generator(x: Tensor) -> Tensor:
    return x * np.random.default_rng(0).standard_normal(3)


def seeded(x: Tensor) -> Tensor:
    autograd.manual_seed(0)
    return autograd.dropout(x)


spoils_what_it_saved = primitive(
    "spoils_example", "x", forward=lambda x: x * x / 2, vjp={"x": lambda g, x: np.multiply(x, g, out=x) * 1.0}
)
spoils_gradient = primitive(
    "spoils_gradient_example", "x", forward=np.exp, vjp={"x": lambda g, out: np.multiply(out, g, out=out) * 1.0}
)
raises_backwards = primitive(
    "raises_example", "x", forward=lambda x: x * 2, vjp={"x": lambda g: g.no_such_method()}
)  # fmt: skip
unbroadcast_wrong = primitive(
    "shape_example", "x: N D, b: D -> N D", forward="add", vjp={"x": lambda g: g, "b": lambda g: g[:, :1]}
)

CASES = {  # a function, its inputs, the verdict, and words that the message must have
    "array": (lambda x: x.detach().numpy() * 2, (X,), "returns no tensor", ["is a ndarray", "autograd's operations"]),
    "number": (lambda x: 3.0, (X,), "returns no tensor", ["is a float"]),
    "nothing": (lambda x: None, (X,), "returns no tensor", ["is None"]),
    "second result": (lambda x: (x * 2, "text"), (X,), "returns no tensor", ["result 1 is a str"]),
    "counter": (counting, (X,), "changes its result between calls", ["no counter"]),
    "numpy": (lambda x: x * np.random.rand(), (X,), "depends on global random state", ["NumPy's", "np.random.seed(0)"]),
    "python": (lambda x: x * random.random(), (X,), "depends on global random state", ["Python's", "random.seed(0)"]),
    "autograd": (lambda x: x * autograd.normal((3,)), (X,), "depends on global random state",
                 ["autograd's", "autograd.manual_seed(0)"]),
    "two": (lambda x: x * random.random() * np.random.rand(), (X,), "depends on global random state",
            ["NumPy's and Python's"]),
    "writes": (writes, (X,), "changes its input", ["input 0", "in place", "copy"]),
    "writes past": (writes_past_the_tensor, (X,), "changes its input", ["input 0"]),
    "writes second": (lambda x, y: writes(y) + x, (X, Y), "changes its input", ["input 1"]),
    "nan": (autograd.sqrt, (X,), "returns NaN or Inf", ["result 0 is nan at [1]", "domain"]),
    "inf": (lambda x: 1 / (x - 0.5), (X,), "returns NaN or Inf", ["inf at [0]"]),
    "raises": (lambda x: x.no_such, (X,), "raises", ["AttributeError"]),
    "raises backwards": (raises_backwards, (X,), "raises in its backward pass", ["no_such_method"]),
    "shape backwards": (unbroadcast_wrong, (np.ones((2, 3)), X), "raises in its backward pass", ["ShapeError"]),
    "detached": (lambda x, y: autograd.tanh(x) * y.detach(), (X, Y), "has an input without gradient",
                 ["the result changes with input 1", "detach()"]),
    "all detached": (lambda x: x.detach() * 2, (X,), "has an input without gradient", ["changes with input 0"]),
    "saved": (spoils_what_it_saved, (X,), "the backward pass changes an input", ["input 0", "new array"]),
    "saved result": (spoils_gradient, (X,), "the backward pass changes what it needs", ["swept again"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_misconduct_is_named(name: str) -> None:
    f, inputs, verdict, words = CASES[name]
    report = check_gradients(f, *inputs)
    assert not report.ok
    assert report.verdict == verdict
    assert str(report).startswith(verdict) and "wrong gradient" not in str(report)
    assert [w for w in words if w not in str(report)] == [], str(report)
    with pytest.raises(AssertionError) as caught:
        assert_gradients(f, *inputs)
    assert verdict in str(caught.value)


def test_a_wrong_gradient_is_told_beside_an_input_without_one() -> None:
    weighted = primitive(
        "weighted_example", "x: N, t: N -> N", forward="multiply", vjp={"x": lambda g, t: 2 * g * t}
    )  # fmt: skip
    report = check_gradients(weighted, X, Y)
    assert report.verdict == "has an input without gradient" and "bind it beforehand" in str(report)
    assert "wrong gradient of input 0 (x)" in str(report) and "2 times what it should be" in str(report)


def test_a_rule_that_cannot_be_differentiated_is_named() -> None:
    rule = primitive("raw_example", "x", forward="sin", vjp={"x": lambda g, x: g * np.cos(x.view(np.ndarray))})
    assert_gradients(rule, X)
    report = check_gradients(rule, X, order=2)
    assert report.verdict == "raises when differentiated again" and "autograd's operations" in str(report)


@pytest.mark.parametrize("f", [lambda x: x > 0, lambda x: autograd.argsort(x)], ids=["bool", "integers"])
def test_whole_numbers_are_nothing_to_test(f: Any) -> None:
    report = check_gradients(f, X)
    assert report.ok and not report.tested and report.verdict == "returns no floating numbers"
    with pytest.raises(AssertionError, match="returns no floating numbers"):
        assert_gradients(f, X)


def test_an_input_without_influence_is_mentioned() -> None:
    report = check_gradients(lambda x, y: x * x, X, Y)
    assert report.ok and report.tested
    assert "has an input without gradient: input 1 (y) does not influence the result" in str(report)
    assert_gradients(lambda x, y: x * x, X, Y)


def test_where_nothing_has_influence_nothing_is_tested() -> None:
    with pytest.raises(AssertionError, match=r"input 0 \(x\) does not influence"):
        assert_gradients(lambda x: autograd.ones((2,)), X)


@pytest.mark.parametrize("f", [own_generator, seeded, autograd.tanh], ids=["own generator", "seeded", "tanh"])
def test_good_conduct_passes(f: Any) -> None:
    assert_gradients(f, X)


def test_the_error_has_its_cause() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_gradients(lambda x: x.no_such, X)
    assert isinstance(caught.value.__cause__, AttributeError)
