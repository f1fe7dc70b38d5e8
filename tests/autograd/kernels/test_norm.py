"""Batch norm's kernels equal its definitions: values, gradients, in any layout, on any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.kernels.cpu import norm
from tests.autograd.kernels.layouts import layouts

EPS = st.sampled_from([1e-5, 0.1])


def both(op, arrays, gradients, *params):
    """What ``op`` gives and the gradients of its inputs, by its kernel and by its definition."""
    found = []
    for on in (True, False):
        with autograd.use_kernels(on):
            inputs = [autograd.Tensor(a, requires_grad=True) for a in arrays]
            out = op(*inputs, *params)
            out = out if isinstance(out, tuple) else (out,)
            loss = sum((o * g).sum() for o, g in zip(out, gradients, strict=False))
            found.append([o.data for o in out] + [g.data for g in autograd.gradients(loss, inputs)])
    return found


def assert_close(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(np.abs(b).max())))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(norm, "PART", 8)


@st.composite
def problems(draw):
    """x, w, b, mean, var and gradients of the result, the mean and the variance."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    channels = draw(st.integers(1, 9))
    shape = (draw(st.integers(2, 5)), channels, *draw(st.lists(st.integers(1, 5), max_size=2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal(shape) * 3 + draw(st.sampled_from([0, 100]))
    vectors = [rng.standard_normal(channels) for _ in range(3)] + [rng.uniform(0.1, 2, channels)]
    arrays = [a.astype(dtype) for a in (x, *vectors)]
    gradients = [rng.standard_normal(s).astype(dtype) for s in (shape, channels, channels)]
    arrays[0], gradients[0] = draw(layouts(arrays[0])), draw(layouts(gradients[0]))
    return arrays, gradients, {"float32": 3e-4, "float64": 1e-10}[dtype]


@pytest.mark.usefixtures("small_parts")
@given(problems(), EPS)
def test_training_equals_the_definition(problem, eps):
    (x, w, b, _, _), gradients, tolerance = problem
    assert "cpu.norm" in autograd.explain(autograd.batch_norm_training, x, w, b).splitlines()[0]
    assert_close(*both(autograd.batch_norm_training, (x, w, b), gradients, eps), tolerance)


@pytest.mark.usefixtures("small_parts")
@given(problems(), EPS)
def test_given_statistics_equal_the_definition(problem, eps):
    arrays, gradients, tolerance = problem
    assert "cpu.norm" in autograd.explain(autograd.batch_norm, *arrays).splitlines()[0]
    assert_close(*both(autograd.batch_norm, arrays, gradients, eps), tolerance)


@pytest.mark.usefixtures("small_parts")
@given(problems(), EPS)
def test_threads_change_no_bit(problem, eps):
    (x, w, b, _, _), gradients, _ = problem
    before, found = autograd.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            autograd.set_num_threads(threads)
            found.append(both(autograd.batch_norm_training, (x, w, b), gradients, eps)[0])
    finally:
        autograd.set_num_threads(before)
    for a, *others in zip(*found, strict=True):
        assert all(a.tobytes() == other.tobytes() for other in others)


@given(problems(), st.data())
def test_nan_spoils_its_channel_and_no_other(problem, data):
    (x, w, b, _, _), _, _ = problem
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
