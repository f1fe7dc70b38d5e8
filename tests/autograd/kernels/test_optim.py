"""The optimisers' kernels do what their rules say, to rounding, and remember it under the same names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import kernels
from autograd.kernels.cpu import optim
from nn.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from tests.autograd.kernels.layouts import layouts

MANY = 2 * optim.FEW
DECAY = st.sampled_from([0.0, 0.1])
RATE = st.sampled_from([0.0, 0.01, 1.0])
BETAS = st.tuples(st.floats(0, 0.99), st.floats(0.5, 0.999))
ADAM = {
    "lr": RATE,
    "betas": BETAS,
    "eps": st.sampled_from([1e-8, 1e-3]),
    "weight_decay": DECAY,
    "maximize": st.booleans(),
}
MAKERS = {
    "sgd": (SGD, {"lr": RATE, "weight_decay": DECAY, "maximize": st.booleans()}),
    "momentum": (SGD, {"lr": RATE, "momentum": st.floats(0.1, 0.99), "dampening": DECAY, "weight_decay": DECAY}),
    "nesterov": (SGD, {"lr": RATE, "momentum": st.floats(0.1, 0.99), "nesterov": st.just(True), "weight_decay": DECAY}),
    "adam": (Adam, ADAM),
    "adamw": (AdamW, ADAM),
    "rmsprop": (RMSprop, {"lr": RATE, "alpha": st.floats(0.5, 0.99), "weight_decay": DECAY}),
    "rmsprop with momentum": (RMSprop, {"lr": RATE, "momentum": st.just(0.9)}),
}
SHAPES = {"vector": (MANY,), "matrix": (MANY // 64, 64), "filters": (MANY // 32, 2, 4, 4)}


def trained(make, hyperparameters, start, gradients, kernels=True):
    """The parameter and what the optimiser remembers after a step along each gradient."""
    p = autograd.Tensor(start.copy(), requires_grad=True)
    optimizer = make([p], **hyperparameters)
    with autograd.use_kernels(kernels):
        for g in gradients:
            p.grad = autograd.Tensor(g)
            optimizer.step()
    return p.data, optimizer.state_dict()["state"].get(0, {})


@st.composite
def problems(draw):
    make, drawn = MAKERS[draw(st.sampled_from(sorted(MAKERS)))]
    dtype, shape = draw(st.sampled_from(["float32", "float64"])), SHAPES[draw(st.sampled_from(sorted(SHAPES)))]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    start, *gradients = (rng.standard_normal(shape).astype(dtype) for _ in range(4))
    return make, draw(st.fixed_dictionaries(drawn)), start, [draw(layouts(g)) for g in gradients]


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(optim, "PART", 1000)


@settings(max_examples=60)
@pytest.mark.usefixtures("small_parts")
@given(problems())
def test_a_kernel_equals_its_rule(problem):
    gradients = problem[-1]
    before = [g.copy() for g in gradients]
    (p, state), (expected, remembered) = (trained(*problem, kernels=on) for on in (True, False))
    tolerance = {"float32": 1e-5, "float64": 1e-13}[p.dtype.name]
    np.testing.assert_allclose(p, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    assert list(state) == list(remembered)
    for name, value in remembered.items():
        np.testing.assert_allclose(np.asarray(state[name]), np.asarray(value), rtol=0, atol=tolerance * 10)
    for g, was in zip(gradients, before, strict=True):
        np.testing.assert_array_equal(g, was)


@settings(max_examples=20)
@pytest.mark.usefixtures("small_parts")
@given(problems())
def test_threads_change_no_bit(problem):
    before, found = autograd.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            autograd.set_num_threads(threads)
            found.append(trained(*problem)[0].tobytes())
    finally:
        autograd.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def chosen(rule, shape, dtypes=("float32", "float32"), **switches):
    spec = kernels.Spec((shape, shape), tuple(map(np.dtype, dtypes)), switches)
    return kernels.choose(kernels.offers(rule, np.ndarray), spec)[0] is not None


def test_what_is_left_to_the_rules():
    assert chosen("sgd", (MANY,), nesterov=False) and chosen("adam", (MANY,), amsgrad=False)
    assert not chosen("sgd", (10,), nesterov=False)
    assert not chosen("sgd", (MANY,), ("float16", "float16"), nesterov=False)
    assert not chosen("adam", (MANY,), amsgrad=True) and not chosen("rmsprop", (MANY,), centered=True)


def test_a_parameter_in_another_order_of_memory_is_changed_by_the_rule():
    start = np.asfortranarray(np.random.default_rng(0).standard_normal((MANY // 64, 64)))
    p = autograd.Tensor(start, requires_grad=True)
    p.grad, expected = autograd.ones(p.shape, dtype="float64"), start - 0.5
    SGD([p], lr=0.5).step()
    assert p.data is start
    np.testing.assert_array_equal(start, expected)


def test_a_rule_of_the_same_name_is_another_rule():
    def sgd(p, g, state, lr=1.0):
        return 2 * lr * g

    class Twice(Optimizer):
        rule = staticmethod(sgd)

    p = autograd.zeros((MANY,))
    p.requires_grad_()
    p.grad = autograd.ones(p.shape)
    Twice([p]).step()
    assert (p.data == -2).all()


def test_a_step_is_a_write_that_graphs_notice():
    p = autograd.ones((MANY,))
    p.requires_grad_()
    loss = (p * p).sum()
    p.grad = autograd.ones(p.shape)
    SGD([p], lr=0.5).step()
    with pytest.raises(autograd.errors.GraphError, match="written to in place"):
        loss.backward()
