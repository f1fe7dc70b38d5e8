"""Batch norm's kernels equal its definitions: values, gradients, in any layout, on any number of threads."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import DomainError
from autograd.kernels.cpu import norm
from tests.autograd.kernels.layouts import layouts

EPS = st.sampled_from([1e-5, 0.1])
ACTIVATIONS = st.sampled_from([None, "relu"])


def found(op, arrays, gradients, **params):
    """What ``op`` gives and the gradients of its inputs."""
    inputs = [a if a is None else autograd.Tensor(a, requires_grad=True) for a in arrays]
    out = op(*inputs, **params)
    out = out if isinstance(out, tuple) else (out,)
    pairs = [(o, g) for o, g in zip(out, gradients, strict=False) if g is not None]
    given = autograd.gradients([o for o, _ in pairs], [x for x in inputs if x is not None], [g for _, g in pairs])
    return [o.data for o in out] + [g.data for g in given]


def both(op, arrays, gradients, **params):
    """The same by its kernel and by its definition."""
    with autograd.use_kernels(False):
        expected = found(op, arrays, gradients, **params)
    return found(op, arrays, gradients, **params), expected


def assert_close(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(np.abs(b).max())))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(norm, "PART", 8)


@st.composite
def problems(draw):
    """x, w, b, mean, var, a residual or None, and gradients of the result, the mean and the variance."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    channels = draw(st.integers(1, 9))
    shape = (draw(st.integers(2, 5)), channels, *draw(st.lists(st.integers(1, 5), max_size=2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal(shape) * 3 + draw(st.sampled_from([0, 100]))
    vectors = [rng.standard_normal(channels) for _ in range(3)] + [rng.uniform(0.1, 2, channels)]
    arrays = [a.astype(dtype) for a in (x, *vectors, rng.standard_normal(shape))]
    gradients = [rng.standard_normal(s).astype(dtype) for s in (shape, channels, channels)]
    arrays[0], gradients[0] = draw(layouts(arrays[0])), draw(st.one_of(layouts(gradients[0]), parts(gradients[0])))
    arrays[-1] = draw(st.one_of(st.none(), layouts(arrays[-1])))
    return arrays, gradients, {"float32": 3e-4, "float64": 1e-10}[dtype]


@st.composite
def parts(draw, x):
    """The same numbers as some of the channels of a larger image, in either order in memory."""
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    shape = (x.shape[0], before + x.shape[1] + after, *x.shape[2:])
    whole = draw(
        st.sampled_from([np.full(shape, 7.0), np.moveaxis(np.full((shape[0], *shape[2:], shape[1]), 7.0), -1, 1)])
    )
    whole = whole.astype(x.dtype)
    part = whole[:, before : before + x.shape[1]]
    part[...] = x
    return part


def away_from_kinks(op, arrays, gradients, **params):
    """Whether no number that the rectifier sees is so near to 0 that rounding decides."""
    seen = found(op, arrays, gradients, **{**params, "activation": None})[0]
    return params["activation"] is None or np.abs(seen).min() > 1e-3


@pytest.mark.usefixtures("small_parts")
@given(problems(), EPS, ACTIVATIONS)
def test_training_equals_the_definition(problem, eps, activation):
    (x, w, b, _, _, residual), gradients, tolerance = problem
    arrays, params = (x, w, b, residual), {"eps": eps, "activation": activation}
    assert "cpu.norm" in autograd.explain(autograd.batch_norm_training, *arrays, **params).splitlines()[0]
    assume(away_from_kinks(autograd.batch_norm_training, arrays, gradients, **params))
    assert_close(*both(autograd.batch_norm_training, arrays, gradients, **params), tolerance)


@pytest.mark.usefixtures("small_parts")
@given(problems(), EPS, ACTIVATIONS)
def test_given_statistics_equal_the_definition(problem, eps, activation):
    arrays, gradients, tolerance = problem
    params = {"eps": eps, "activation": activation}
    assert "cpu.norm" in autograd.explain(autograd.batch_norm, *arrays, **params).splitlines()[0]
    assume(away_from_kinks(autograd.batch_norm, arrays, gradients, **params))
    assert_close(*both(autograd.batch_norm, arrays, gradients, **params), tolerance)


@pytest.mark.usefixtures("small_parts")
@given(problems(), EPS, ACTIVATIONS)
def test_threads_change_no_bit(problem, eps, activation):
    (x, w, b, _, _, residual), gradients, _ = problem
    before, times = autograd.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            autograd.set_num_threads(threads)
            given_x = (x, w, b, residual)
            times.append(found(autograd.batch_norm_training, given_x, gradients, eps=eps, activation=activation))
    finally:
        autograd.set_num_threads(before)
    for a, *others in zip(*times, strict=True):
        assert all(a.tobytes() == other.tobytes() for other in others)


@given(st.booleans(), st.booleans(), st.sampled_from([0.0, np.nan, np.inf]))
def test_at_the_kink_and_at_nan_nothing_arrives(with_residual, training, g):
    """Every x is its channel's mean, so that the rectifier sees b = 0, or a residual of NaN."""
    x, zero, one = np.full((2, 3, 2), 5, "float32"), np.zeros(3, "float32"), np.ones(3, "float32")
    residual = np.full_like(x, np.nan) if with_residual else None
    op, arrays = autograd.batch_norm, (x, one, zero, 5 * one, one, residual)
    if training:
        op, arrays = autograd.batch_norm_training, (x, one, zero, residual)
    given_gradient = [np.full_like(x, g), None, None]
    for a, b in zip(*both(op, arrays, given_gradient, activation="relu"), strict=True):
        np.testing.assert_array_equal(a, b)


@given(problems())
def test_what_the_kernel_leaves_to_the_definition(problem):
    (x, w, b, mean, var, _), _, _ = problem
    narrow = np.ones((*x.shape[:2], *(1,) * (x.ndim - 2)), x.dtype)
    with pytest.raises(DomainError, match="activation is 'tanh' → choose None or 'relu'"):
        autograd.batch_norm(autograd.Tensor(x), w, b, mean, var, activation="tanh")
    with pytest.raises(DomainError, match="BatchNorm2d: activation is 'tanh', expected None or 'relu'"):
        nn.BatchNorm2d(3, activation="tanh")
    out = autograd.batch_norm(autograd.Tensor(x), w, b, mean, var, narrow)
    np.testing.assert_allclose(out.data, autograd.batch_norm(x, w, b, mean, var) + 1, rtol=1e-3, atol=1e-4)


@given(problems(), st.data())
def test_nan_spoils_its_channel_and_no_other(problem, data):
    (x, w, b, *_), _, _ = problem
    x = x.copy()
    place = tuple(data.draw(st.integers(0, n - 1)) for n in x.shape)
    x[place] = np.nan
    out, mean, var = autograd.batch_norm_training(autograd.Tensor(x), w, b)
    spoilt = np.isnan(np.moveaxis(out.data, 1, 0).reshape(x.shape[1], -1))
    assert spoilt[place[1]].all() and spoilt.sum() == spoilt.shape[1]
    assert (np.isnan(mean.data) == np.isnan(var.data)).all() and np.isnan(mean.data).sum() == 1


def test_other_types_are_left_to_the_definition():
    x, w = np.ones((2, 3), np.float32), np.ones(3)
    for given_x, given_w in ((x, w), (x.astype("float16"), w.astype("float16"))):
        assert "definition" in autograd.explain(autograd.batch_norm_training, given_x, given_w, given_w).splitlines()[0]


def test_images_keep_their_order_in_memory():
    x = np.moveaxis(np.random.default_rng(0).standard_normal((2, 4, 5, 3)).astype("float32"), -1, 1)
    layer = nn.BatchNorm2d(3)
    for _ in range(2):
        assert layer(autograd.Tensor(x)).data.strides == x.strides
        layer.eval()


@given(problems())
def test_the_layer_adds_and_rectifies(problem):
    (x, *_, residual), _, _ = problem
    plain, fused = (nn.BatchNorm2d(x.shape[1], activation=activation) for activation in (None, "relu"))
    for layer in (plain, fused):
        layer._check = lambda x: None  # any number of axes
    for _ in range(2):
        expected = plain(autograd.Tensor(x))
        expected = autograd.relu(expected if residual is None else expected + residual)
        np.testing.assert_allclose(fused(autograd.Tensor(x), residual).data, expected.data, atol=1e-3)
        plain.eval(), fused.eval()
