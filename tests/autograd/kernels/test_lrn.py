"""Local response normalisation's kernel equals its definition, values and gradients, in any layout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import lrn
from tests.autograd.kernels.layouts import layouts


@pytest.fixture(params=[1, 3], autouse=True)
def threads(request, monkeypatch):
    monkeypatch.setattr(lrn, "PART", 8)
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    yield
    autograd.set_num_threads(before)


@st.composite
def problems(draw):
    """An image, a gradient of the result and the options."""
    shape = (
        draw(st.integers(1, 3)),
        draw(st.sampled_from([1, 3, 8, 16, 17, 70])),
        *draw(st.sampled_from([(), (4,), (3, 5)])),
    )
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    pair = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).standard_normal((2, *shape)).astype(dtype)
    options = draw(st.integers(1, 7)), draw(st.floats(0, 2)), 0.75, draw(st.floats(0.5, 3))
    return *[draw(layouts(x)) for x in pair], options


def found(x, g, options):
    x = autograd.Tensor(x, requires_grad=True)
    out = autograd.local_response_norm(x, *options)
    return out.data, autograd.gradients(out, x, g).data


@given(problems())
def test_kernel_equals_the_definition(problem):
    x, g, options = problem
    with autograd.use_kernels(False):
        expected = found(x, g, options)
    tolerance = 2e-5 if x.dtype == np.float32 else 1e-12
    for a, again, b in zip(found(x, g, options), found(x, g, options), expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, again)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, float(np.abs(b).max())))


@given(problems(), st.data())
def test_nan_reaches_what_it_reaches_in_the_definition(problem, data):
    x, g, options = problem
    x = x.copy()
    x[tuple(data.draw(st.integers(0, n - 1)) for n in x.shape)] = np.nan
    with autograd.use_kernels(False):
        expected = found(x, g, options)
    for a, b in zip(found(x, g, options), expected, strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


@pytest.mark.parametrize(
    ("beta", "dtype", "kernel"), [(0.75, "float32", True), (0.5, "float32", False), (0.75, "float16", False)]
)
def test_who_serves(beta, dtype, kernel):
    said = str(autograd.explain(autograd.local_response_norm, np.ones((2, 8, 3, 3), dtype), 5, 1e-4, beta))
    assert ("cpu.lrn" in said.splitlines()[0]) == kernel
