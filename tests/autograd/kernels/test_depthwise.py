"""Depthwise convolution by kernel equals the reference: values, gradients, in any layout, on any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import conv, depthwise
from tests.autograd.kernels.layouts import layouts
from tests.autograd.kernels.test_conv import close, family, forget, layer


@pytest.fixture(params=[1, 2, 3], autouse=True)
def threads(request, monkeypatch):
    monkeypatch.setattr(conv, "ALGORITHMS", (depthwise,))
    monkeypatch.setattr(depthwise, "PART", 1)
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    forget()
    yield
    autograd.set_num_threads(before)
    forget()


@st.composite
def convolutions(draw):
    """Images, filters, a bias, the result's gradient, and options."""
    dtype, rng = draw(st.sampled_from([np.float32, np.float64])), np.random.default_rng(draw(st.integers(0, 99)))
    channels = draw(st.sampled_from([2, 3, 8, 16, 33]))
    width, dilation, stride = (tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (5, 2, 3))
    padding = tuple((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(2))
    least = [max(1, (r - 1) * d + 1 - sum(p)) for r, d, p in zip(width, dilation, padding, strict=True)]
    size = [n + draw(st.integers(0, 17)) for n in least]
    options = stride, padding, dilation, channels
    shapes = (draw(st.integers(1, 3)), channels, *size), (channels, 1, *width), (channels,)
    x, w, b = (draw(layouts(rng.standard_normal(shape).astype(dtype))) for shape in shapes)
    with autograd.use_kernels(False):
        y = rng.standard_normal(autograd.conv2d(x, w, *options).shape).astype(dtype)
    return x, w, b if draw(st.booleans()) else None, draw(layouts(y)), options


@given(convolutions())
def test_the_kernels_equal_the_reference(drawn):
    x, w, b, y, options = drawn
    with autograd.use_kernels(False):
        expected = *family(x, w, y, options), *layer(x, w, b, y, options)
    found = *family(x, w, y, options), *layer(x, w, b, y, options)
    close(found, expected)
    again = *family(x, w, y, options), *layer(x, w, b, y, options)
    assert [a.tobytes() for a in found] == [a.tobytes() for a in again]


@given(convolutions())
def test_what_is_no_number_spreads_as_in_the_reference_but_not_over_padding(drawn):
    x, w, _, y, options = drawn
    x, y = np.array(x), np.array(y)
    x.flat[x.size // 2] = y.flat[y.size // 3] = np.nan
    found = family(x, w, y, options)
    with autograd.use_kernels(False):
        expected = family(x, w, y, options)
    for a, b in zip(found, expected, strict=True):
        assert not np.isnan(a[~np.isnan(b)]).any()
        if not np.any(options[1]):
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


def test_it_serves_one_filter_for_each_channel_only():
    x, kernel = np.ones((1, 4, 5, 5), np.float32), "cpu.conv"
    for w, groups, served in (((4, 1, 3, 3), 4, True), ((8, 1, 3, 3), 4, False), ((4, 2, 3, 3), 2, False)):
        said = autograd.explain(autograd.conv2d, x, np.ones(w, np.float32), groups=groups)
        assert (kernel in said.splitlines()[0]) == served
