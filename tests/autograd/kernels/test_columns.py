"""Convolution by columns equals the reference, for its result and both gradients, with any options but groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from autograd.kernels.cpu import columns
from autograd.kernels.reference import conv as reference
from autograd.kernels.reference.windows import span


@st.composite
def problems(draw):
    """Images N H W C, filters K C R S, a bias, stride, padding, dilation."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    pair = lambda low, high: st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731
    stride, dilation, width = draw(pair(1, 3)), draw(pair(1, 2)), draw(pair(1, 3))
    padding = draw(st.tuples(pair(0, 2), pair(0, 2)))
    size = [draw(st.integers(max(1, span(r, d) - sum(p)), 9)) for r, d, p in zip(width, dilation, padding, strict=True)]
    n, c, k = (draw(st.integers(1, 4)) for _ in "NCK")
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((n, *size, c), (k, c, *width), (k,)))
    return x, w, b, stride, padding, dilation


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=(1e-5 if found.dtype == np.float32 else 1e-12) * 30)


@settings(deadline=None, max_examples=100)
@given(problem=problems(), fewer=st.booleans())
def test_result_and_gradients_are_the_reference_s(problem, fewer):
    x, w, b, *options = problem
    images = np.moveaxis(x, -1, 1)
    y = reference.conv(np, images, w, *options, 1)
    windows = [max(1, n - fewer) for n in y.shape[2:]]  # the gradients may be asked for fewer than fit
    g = np.random.default_rng(1).standard_normal((*y.shape[:2], *windows)).astype(x.dtype)
    pixels = np.ascontiguousarray(np.moveaxis(g, 1, -1))
    close(columns.forward(x, w, b, *options, 1), np.moveaxis(y + b[:, None, None], 1, -1))
    dx = reference.conv_dx(np, g, w, images.shape[2:], *options, 1)
    close(columns.dx(pixels, w, x.shape[1:3], *options, 1), np.moveaxis(dx, 1, -1))
    close(columns.dw(x, pixels, w.shape[2:], *options, 1), reference.conv_dw(np, images, g, w.shape[2:], *options, 1))
