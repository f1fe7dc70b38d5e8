"""Gradient rules replaced for one function: its values stay, its gradients follow the rules, others keep theirs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import with_rules
from autograd.errors import DomainError

numbers = st.lists(st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=5).map(np.array)


def chain(x):
    return autograd.relu(autograd.sin(autograd.relu(x) - 0.5) * x)


@given(numbers)
def test_the_declared_rules_change_nothing(x):
    declared = {name: dict(autograd.registry[name].rules) for name in ("relu", "sin", "multiply", "subtract")}
    same = with_rules(chain, declared)
    for f in (with_rules(chain, {}), same):
        np.testing.assert_array_equal(f(autograd.tensor(x)).numpy(), chain(autograd.tensor(x)).numpy())
        np.testing.assert_allclose(
            autograd.grad(lambda x, f=f: f(x).sum())(x), autograd.grad(lambda x: chain(x).sum())(x)
        )


@given(numbers)
def test_a_replaced_rule_is_used_at_every_place(x):
    doubled = with_rules(chain, {"relu": {"x": lambda g, out: 2 * g * (out > 0)}})
    inner = np.maximum(x, 0)
    outer = np.sin(inner - 0.5) * x > 0
    slope = 2 * outer * (np.sin(inner - 0.5) + x * np.cos(inner - 0.5) * 2 * (x > 0))
    np.testing.assert_allclose(autograd.grad(lambda x: doubled(x).sum())(x), slope)
    assert autograd.grad(lambda x: autograd.relu(x).sum())(np.array([1.0])) == [1.0]


@given(numbers)
def test_replaced_rules_can_be_differentiated(x):
    cubed = with_rules(autograd.tanh, {"tanh": {"x": lambda g, out: g * out**3}})
    second = autograd.grad(lambda x: autograd.grad(lambda x: cubed(x).sum())(x).sum())(x)
    np.testing.assert_allclose(second, 3 * np.tanh(x) ** 5)


def test_only_what_the_function_records_is_changed():
    x = autograd.tensor([2.0, -1.0], requires_grad=True)
    before = autograd.relu(x)
    passing = with_rules(lambda y: {"out": [autograd.relu(y)]}, {"relu": {"x": lambda g: g}})
    after = passing(before - 1)["out"][0]
    assert autograd.gradients(after.sum(), x).tolist() == [1.0, 0.0]  # the second is cut by the relu outside


def test_composites_run_as_they_are_defined():
    x = autograd.normal((2, 3, 4, 4), generator=autograd.Generator(0))
    x.requires_grad = True
    w = autograd.ones((3, 3, 1, 1))
    f = with_rules(lambda x: autograd.biased_conv2d(x, w), {"conv2d": {"x": lambda g, x_shape: 7 * g}})
    np.testing.assert_allclose(autograd.gradients(f(x).sum(), x).numpy(), 7)


def test_what_is_not_there_is_refused():
    with pytest.raises(DomainError, match=r"no primitive is called 'relo', expected \['relu'"):
        with_rules(chain, {"relo": {}})
    with pytest.raises(DomainError, match=r"relu's rule for 'x' takes \('x',\).*\['out'\] are kept"):
        with_rules(chain, {"relu": {"x": lambda g, x: g}})
    with pytest.raises(DomainError, match=r"relu's rule for 'y'"):
        with_rules(chain, {"relu": {"y": lambda g: g}})
