"""Convolution's kernels equal the reference: values and gradients, in any layout, on any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import chunks, columns, conv, direct, filters, matmul
from autograd.ops.conv import conv2d_dw, conv2d_dx
from tests.autograd.kernels.layouts import layouts


@pytest.fixture(params=[(1, (direct,)), (2, (direct,)), (3, (direct,)), (2, (columns, direct))], autouse=True)
def however_little(request, monkeypatch):
    """However little there is to do, it is done in many chunks by several threads."""
    count, algorithms = request.param
    monkeypatch.setattr(conv, "ALGORITHMS", algorithms)
    for module, name, value in (
        (filters, "ALONE", 0), (direct, "SEVERAL", 0), (chunks, "CHUNK", 2000), (matmul, "SEVERAL", 0),
        (columns, "SEVERAL", 0), (columns, "MANY", 0), (columns, "FEW", 10**9),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    before = autograd.get_num_threads()
    autograd.set_num_threads(count)
    forget()
    yield
    autograd.set_num_threads(before)
    forget()


def forget():
    """Plans and chunks are remembered."""
    chunks.cut_into_chunks.cache_clear()
    for op in (autograd.conv2d, conv2d_dx, conv2d_dw):
        op.op.impls.clear()
    autograd.biased_conv2d.op.plans.clear()


@st.composite
def convolutions(draw):
    """Images, filters, a bias, and options."""
    dtype, rng = draw(st.sampled_from([np.float32, np.float64])), np.random.default_rng(draw(st.integers(0, 99)))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    c, k = (draw(st.sampled_from(several)) for several in ([1, 2, 5, 16, 512], [1, 3, 16, 33, 100]))
    width, dilation = (tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (4, 2))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(2))
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2))
    if draw(st.booleans()) and groups == 1:
        width, padding = (1, 1), ((0, 0), (0, 0))
    least = [max(1, (r - 1) * d + 1 - sum(p)) for r, d, p in zip(width, dilation, padding, strict=True)]
    size = [n + draw(st.integers(0, 17)) for n in least]
    shapes = (draw(st.integers(1, 4)), groups * c, *size), (groups * k, c, *width), (groups * k,)
    x, w, b = (draw(layouts(rng.standard_normal(shape).astype(dtype))) for shape in shapes)
    return x, w, b if draw(st.booleans()) else None, (stride, padding, dilation, groups)


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        limit = (1e-4 if a.dtype == np.float32 else 1e-11) * max(1e-3, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)


def family(x, w, y, options):
    """The three members on arrays, and the layer's function with its gradients, which share a pass."""
    return (
        autograd.conv2d(x, w, *options),
        conv2d_dx(y, w, x.shape[2:], *options),
        conv2d_dw(x, y, w.shape[2:], *options),
    )


def layer(x, w, b, y, options):
    inputs = [autograd.Tensor(a, requires_grad=True) for a in (x, w, b) if a is not None]
    out = autograd.biased_conv2d(*inputs, *([None] if b is None else []), *options)
    return out.data, *[g.data for g in autograd.gradients(out, inputs, autograd.Tensor(y))]


@given(convolutions(), st.data())
def test_the_kernels_equal_the_reference(drawn, data):
    x, w, b, options = drawn
    with autograd.use_kernels(False):
        shape = autograd.conv2d(x, w, *options).shape
        y = data.draw(layouts(np.random.default_rng(1).standard_normal(shape).astype(x.dtype)))
        expected = family(x, w, y, options), layer(x, w, b, y, options)
    found = family(x, w, y, options), layer(x, w, b, y, options)
    close(found[0], expected[0])
    close(found[1], expected[1])
    again = family(x, w, y, options), layer(x, w, b, y, options)
    assert [a.tobytes() for several in found for a in several] == [a.tobytes() for several in again for a in several]


@given(convolutions())
def test_what_is_no_number_spreads_as_in_the_reference(drawn):
    x, w, _, options = drawn
    x = np.array(x)
    x.flat[x.size // 2] = np.nan
    y = np.ones(autograd.conv2d(x, w, *options).shape, x.dtype)
    y.flat[y.size // 3] = np.nan
    found = family(x, w, y, options)
    with autograd.use_kernels(False):
        expected = family(x, w, y, options)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


def test_which_code_serves():
    x, w = np.ones((1, 2, 5, 5), np.float32), np.ones((3, 2, 3, 3), np.float32)
    assert "cpu.conv" in autograd.explain(autograd.conv2d, x, w)
    assert "cpu.conv" in autograd.explain(autograd.biased_conv2d, x, w, None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    for a, b in ((x, w.astype(np.float64)), (x.astype(int), w.astype(int))):
        assert "reference" in autograd.explain(autograd.conv2d, a, b)
