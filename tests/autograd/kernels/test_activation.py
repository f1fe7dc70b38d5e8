"""Activation functions' kernels equal the definitions, value and slope, in any layout, on any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import kernels
from autograd.kernels.cpu import ACTIVATIONS, KERNELS, LEAST, activation
from tests.autograd.kernels.layouts import layouts

SPECIAL = np.array([0.0, -0.0, np.nan, 1e-45, -1e-45, 1e-7, -1e-7, -3.0, 3.0, 6.0, 88.0, -88.0, 104.0, -104.0])
PARAMS = {
    "leaky_relu": {"negative_slope": st.sampled_from([0.01, 0.3, -0.5, 0])},
    "elu": {"alpha": st.sampled_from([1.0, 0.5, 2])},
    "celu": {"alpha": st.sampled_from([1.0, 0.5, 2])},
    "gelu": {"approximate": st.sampled_from(["none", "tanh"])},
    "hardtanh": {"min_val": st.sampled_from([-1.0, -2, 0.5]), "max_val": st.sampled_from([1.0, 0.25])},
}
NAMES = sorted({name.removesuffix("_dx") for name in ACTIVATIONS})


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    monkeypatch.setattr(activation, "PART", 8)
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    yield
    autograd.set_num_threads(before)


@st.composite
def arrays(draw):
    """A gradient and an input of one shape, in any layouts, with special numbers among the others."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    g, x = (rng.standard_normal((2, *shape)) * 3).astype(np.float32)
    special = rng.random(shape) < 0.3
    x[special] = rng.choice(SPECIAL.astype(np.float32), special.sum())
    return draw(layouts(g)), draw(layouts(x))


def planned(name, params, *inputs):
    spec = kernels.Spec(tuple(x.shape for x in inputs), tuple(x.dtype for x in inputs), params)
    return activation.plans[name](spec)


def by_kernel(name, params, g, x):
    """The value and the gradient as the kernels give them."""
    if name not in autograd.registry:
        kernel = planned(name, params, x)
        return kernel.forward(x, *params.values())[0], kernel.backward(g, [True], [x], None, *params.values())[0]
    op = autograd.registry[name]
    forward = planned(name, params, x) if name in activation.plans else op.reference(np.ndarray)
    out = forward(x, *params.values())
    rule = op.served["x"]
    of = out if "out" in op.rule_names["x"] else x
    return out, planned(rule.name, rule.params and params, g, of)(g, of, *params.values())


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", NAMES)
@given(st.data(), arrays())
def test_kernels_equal_the_definitions(name, data, pair):
    g, x = pair
    params = {key: data.draw(value) for key, value in PARAMS.get(name, {}).items()}
    copies = g.copy(), x.copy()
    with np.errstate(all="ignore"):
        found = by_kernel(name, params, g, x)
        with autograd.use_kernels(False):
            variable = autograd.tensor(x.astype(np.float64), requires_grad=True)
            out = getattr(autograd, name)(variable, **params)
            expected = out.detach().numpy(), autograd.gradients(out, variable, g.astype(np.float64)).numpy()
    for ours, exact in zip(found, expected, strict=True):
        assert ours.dtype == np.float32 and ours.strides == np.empty_like(x).strides
        np.testing.assert_allclose(ours, exact, rtol=3e-6, atol=2e-6)
    for again, ours in zip(by_kernel(name, params, g, x), found, strict=True):
        np.testing.assert_array_equal(again, ours)
    for after, before in zip((g, x), copies, strict=True):
        np.testing.assert_array_equal(after, before)


def test_the_table_serves_what_is_announced():
    assert set(ACTIVATIONS) == set(activation.plans)
    assert {KERNELS[name] for name in ACTIVATIONS} == {("activation",)}


@pytest.mark.parametrize("name", NAMES)
def test_large_tensors_reach_the_kernels_and_small_ones_do_not(name):
    function, least = getattr(autograd, name), LEAST.get(name, 0)
    for n in (least - 1, least):
        x = np.linspace(-3, 3, max(n, 1), dtype=np.float32)
        if name in ACTIVATIONS:
            assert ("cpu.activation" in autograd.explain(function, x).splitlines()[0]) == (n == least)
        if f"{name}_dx" in ACTIVATIONS:
            rule, fits = function.op.served["x"], n >= LEAST[f"{name}_dx"]
            params = rule.params.values()
            assert ("cpu.activation" in autograd.explain(rule, x, x, *params).splitlines()[0]) == fits


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_all_orders_agree_with_kernels_and_without(name):
    x = np.linspace(-4.01, 4, 1 << 16, dtype=np.float32)
    found = []
    for on in (True, False):
        with autograd.use_kernels(on):
            first = autograd.grad(lambda x: getattr(autograd, name)(x).sum())
            found.append((first(x), autograd.grad(lambda x: (first(x) * x).sum())(x)))  # noqa: B023
    for ours, definition in zip(*found, strict=True):
        np.testing.assert_allclose(ours, definition, rtol=1e-5, atol=5e-6)


def test_other_types_and_shapes_are_left_to_the_definition():
    x = np.ones((2, 3), np.float32)
    assert planned("gelu", {"approximate": "none"}, x.astype(np.float64)) is None
    assert planned("sigmoid_dx", {}, x, x[0]) is None
    assert planned("sigmoid", {}, x.astype(int)) is None
    assert planned("hardtanh", {"min_val": None, "max_val": 1.0}, x) is None


def test_a_rule_is_served_only_while_a_kernel_is_offered():
    calls = []

    def plan(spec):
        return lambda g, x: calls.append(spec) or g * 2 * x

    kernels.register("square_dx", np.ndarray, plan, name="spy")
    try:
        x = np.array([3.0])
        assert autograd.grad(lambda x: autograd.square(x).sum())(x) == 6
        assert len(calls) == 1 and calls[0].shapes == ((1,), (1,))
        with autograd.use_kernels(False):
            autograd.grad(lambda x: autograd.square(x).sum())(x)
        assert len(calls) == 1
        assert autograd.grad(lambda x: autograd.grad(lambda x: autograd.square(x).sum())(x).sum())(x) == 2
        assert len(calls) == 1  # the rule itself was recorded
    finally:
        kernels.unregister("square_dx", np.ndarray, "spy")
    assert not autograd.square.op.served


def test_other_rules_are_not_served():
    x = autograd.tensor(np.full(1 << 16, 0.5, np.float32), requires_grad=True)
    out = autograd.with_rules(autograd.sigmoid, {"sigmoid": {"x": lambda g: 7 * g}})(x)
    np.testing.assert_array_equal(autograd.gradients(out.sum(), x), 7)
