"""Winograd's convolution equals the reference, for its result and both gradients, on any images it serves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

import autograd
from autograd.kernels.cpu import threads, winograd
from autograd.kernels.reference import conv as reference

margins = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def problems(draw):
    """Images N H W C, filters K C R R, a bias and padding."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    padding = draw(st.tuples(margins, margins))
    taps = draw(st.sampled_from([3, 5]))
    n, h, w = draw(st.integers(1, 3)), draw(st.integers(taps, 15)), draw(st.integers(taps, 15))
    c, k = (16 * draw(st.integers(1, 5)) for _ in "CK")
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x, filters, bias = (rng.standard_normal(shape) for shape in ((n, h, w, c), (k, c, taps, taps), (k,)))
    scale = draw(st.sampled_from([1e-6, 1.0, 1e6]))
    return (scale * x).astype(dtype), filters.astype(dtype), bias.astype(dtype), padding


def options(padding):
    """Stride, padding, dilation, groups."""
    return (1, 1), padding, (1, 1), 1


def expected(x, w, bias, padding):
    """The same by the reference in float64, and the gradients for a cotangent g."""
    images, filters = np.moveaxis(x, -1, 1).astype(float), w.astype(float)
    y = reference.conv(np, images, filters, *options(padding))
    g = np.random.default_rng(1).standard_normal(y.shape).astype(x.dtype)
    dx = reference.conv_dx(np, g.astype(float), filters, images.shape[2:], *options(padding))
    dw = reference.conv_dw(np, images, g.astype(float), filters.shape[2:], *options(padding))
    y = y if bias is None else y + bias.astype(float)[:, None, None]
    return np.ascontiguousarray(np.moveaxis(g, 1, -1)), np.moveaxis(y, 1, -1), np.moveaxis(dx, 1, -1), dw


def close(found, wanted):
    size = np.abs(wanted).max()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= size * (1e-5 if found.dtype == np.float32 else 2e-14)


@pytest.fixture(params=["all tiles", "chunks, sums of tiles", "chunks, sums of blocks"])
def cutting(request, monkeypatch):
    """Small tiles, channels and thresholds are cut as large ones are."""
    monkeypatch.setattr(winograd, "NEAR", 16)
    monkeypatch.setattr(winograd, "ALONE", 0)
    if request.param != "all tiles":
        monkeypatch.setattr(winograd, "ONCE", 0)
        monkeypatch.setattr(winograd, "WORK", 1 << 15)
        monkeypatch.setattr(winograd, "SMALL", 1 << 30 if "tiles" in request.param else 0)


@pytest.mark.parametrize("count", [1, 2, 3])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problem=problems(), biased=st.booleans())
def test_result_and_gradients_are_the_reference_s(cutting, count, problem, biased):
    x, w, bias, padding = problem
    bias = bias if biased else None
    g, y, dx, dw = expected(x, w, bias, padding)
    before = threads.get_num_threads()
    threads.set_num_threads(count)
    try:
        close(winograd.forward(x, w, bias, *options(padding)), y)
        close(winograd.dx(g, w, x.shape[1:3], *options(padding)), dx)
        close(winograd.dw(x, g, w.shape[2:], *options(padding)), dw)
    finally:
        threads.set_num_threads(before)


@settings(deadline=None, max_examples=10)
@given(problem=problems())
def test_the_same_twice(problem):
    x, w, bias, padding = problem
    first, second = (winograd.forward(x, w, bias, *options(padding)) for _ in "12")
    assert np.array_equal(first, second)
    first, second = (winograd.dw(x, np.ascontiguousarray(first), w.shape[2:], *options(padding)) for _ in "12")
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("x", "w", "algorithm"),
    [
        ((1, 16, 9, 9), (32, 16, 3, 3), "direct"),
        ((4, 16, 14, 14), (32, 16, 3, 3), "winograd"),
        ((1, 512, 5, 5), (512, 512, 3, 3), "columns"),
    ],
)
def test_explain_names_the_algorithm(x, w, algorithm):
    x, w, options = np.ones(x, np.float32), np.ones(w, np.float32), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    for function, inputs in ((autograd.conv2d, (x, w)), (autograd.biased_conv2d, (x, w, None))):
        assert f"cpu.conv ({algorithm})" in autograd.explain(function, *inputs, *options)
