"""Pooling's kernels equal the reference: values, places, gradients, in any layout, on any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import pooling
from tests.autograd.kernels.layouts import layouts

CHANNELS = st.sampled_from([1, 3, 8, 16, 17, 40])


@pytest.fixture(params=[1, 3], autouse=True)
def threads(request, monkeypatch):
    monkeypatch.setattr(pooling, "PART", 1)
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    yield
    autograd.set_num_threads(before)


@st.composite
def images(draw, low=(1, 1), values=None):
    """Images at least as large as ``low``; with few values, so that there are ties."""
    size = [n + draw(st.integers(0, 5)) for n in low]
    shape = (draw(st.integers(1, 3)), draw(CHANNELS), *size)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(-2, 3, shape) if draw(st.booleans()) else rng.standard_normal(shape)
    return draw(layouts(x.astype(dtype)))


@st.composite
def pooled(draw, dilated):
    """An image and the options of a pooling in which a window fits."""
    width = tuple(draw(st.integers(1, 4)) for _ in range(2))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(2)) if dilated else (1, 1)
    reach = [(r - 1) * d + 1 for r, d in zip(width, dilation, strict=True)]
    padding = tuple(draw(st.integers(0, m // 2)) for m in reach)
    stride = tuple(draw(st.integers(1, 4)) for _ in range(2))
    least = [max(1, m - 2 * p) for m, p in zip(reach, padding, strict=True)]
    options = [width, stride, padding, *([dilation] if dilated else []), draw(st.booleans())]
    return draw(images(least)), options if dilated else [*options, draw(st.booleans())]


def found(op, x, g, *options):
    """What ``op`` gives, the gradient of x for g, and that gradient's gradient with respect to g."""
    x, g = autograd.Tensor(x, requires_grad=True), autograd.Tensor(g, requires_grad=True)
    out = op(x, *options)
    dx = autograd.gradients(out, x, g, create_graph=True)
    return out.data, dx.data, autograd.gradients(dx, g, x.detach()).data


def check(op, x, draw, *options):
    shape = op(x, *options).shape
    g = draw(layouts(np.random.default_rng(1).standard_normal(shape).astype(x.dtype)))
    with autograd.use_kernels(False):
        expected = found(op, x, g, *options)
    first, second = found(op, x, g, *options), found(op, x, g, *options)
    tolerance = 1e-5 if x.dtype == np.float32 else 1e-13
    for a, again, b in zip(first, second, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_array_equal(a, again)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, float(np.abs(b).max())))


@given(pooled(dilated=True), st.data())
def test_max_pooling(drawn, data):
    x, options = drawn
    check(autograd.max_pool2d, x, data.draw, *options)


@given(pooled(dilated=True), st.integers(0, 99))
def test_a_maximum_s_gradient_chooses_and_does_not_multiply(drawn, seed):
    x, options = drawn
    rng, special = np.random.default_rng(seed), [np.inf, -np.inf, np.nan]
    x, g = np.array(x), np.ones(autograd.max_pool2d(x, *options).shape, x.dtype)
    for a in (x, g):
        chosen = rng.random(a.shape) < 0.2
        a[chosen] = rng.choice(special, chosen.sum())
    with np.errstate(all="ignore"):
        served = found(autograd.max_pool2d, x, g, *options)
        with autograd.use_kernels(False):
            expected = found(autograd.max_pool2d, x, g, *options)
        winners = found(autograd.max_pool2d, x, np.ones_like(g), *options)[1] > 0
    for a, b in zip(served, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert not served[1][~winners].any()


@given(pooled(dilated=False), st.data())
def test_mean_pooling(drawn, data):
    x, options = drawn
    check(autograd.avg_pool2d, x, data.draw, *options)


@given(images(), st.data(), st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_adaptive_mean_pooling(x, data, windows):
    check(autograd.adaptive_avg_pool2d, x, data.draw, windows)


@given(pooled(dilated=True), st.data())
def test_places_and_what_is_not_a_number(drawn, data):
    x, options = drawn
    x = x.copy()
    special = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, -0.0]))
    x[np.random.default_rng(data.draw(st.integers(0, 99))).random(x.shape) < 0.2] = special
    pool = autograd.max_pool2d.op.call
    out, place = pool(x, *options)
    with autograd.use_kernels(False):
        expected, where = pool(x, *options)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(place, where)
    assert place.dtype == where.dtype


@pytest.mark.parametrize(("shape", "dtype", "width", "kernel"), [
    ((2, 3, 8, 8), "float32", 2, True),
    ((2, 3, 8, 8), "float64", (3, 1), True),
    ((2, 3, 8, 8), "int64", 2, False),
    ((1, 1, 20, 20), "float32", 17, False),
])  # fmt: skip
def test_who_serves(shape, dtype, width, kernel):
    for op in (autograd.max_pool2d, autograd.avg_pool2d):
        said = str(autograd.explain(op, np.ones(shape, dtype), width))
        served = kernel or (op is autograd.avg_pool2d and dtype == "float32")
        assert ("cpu.pooling" in said.splitlines()[0]) == served, said
