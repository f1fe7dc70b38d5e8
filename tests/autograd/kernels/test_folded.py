"""The gradient of images with few channels, folded: it equals the reference, for any filters that step by 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

import autograd
from autograd.kernels.cpu import conv, filters, folded
from autograd.kernels.reference import conv as reference
from autograd.ops.conv import conv2d_dx

PLAIN = (1, 1)


@pytest.fixture(params=[1, 2, 3], autouse=True)
def threads(request, monkeypatch):
    monkeypatch.setattr(filters, "ALONE", 0)
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    yield
    autograd.set_num_threads(before)


@st.composite
def problems(draw):
    """Gradients N P Q K of results, filters K C R S, the size of images, and padding."""
    pair = lambda low, high: st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731
    width, padding = draw(pair(1, 6)), draw(st.tuples(pair(0, 7), pair(0, 7)))
    size = tuple(max(1, r - sum(p)) + draw(st.integers(0, 20)) for r, p in zip(width, padding, strict=True))
    windows = [n + sum(p) - r + 1 for n, p, r in zip(size, padding, width, strict=True)]
    windows = [max(1, m - draw(st.integers(0, 1))) for m in windows]  # fewer may be asked for than fit
    n, c, k = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 15, 16, 37])), draw(st.sampled_from([1, 3, 16]))
    rng, dtype = np.random.default_rng(draw(st.integers(0, 99))), draw(st.sampled_from(["float32", "float64"]))
    return *(rng.standard_normal(s).astype(dtype) for s in ((n, *windows, k), (k, c, *width))), size, padding


def both(y, w, size, padding):
    found = folded.dx(y, w, size, PLAIN, padding, PLAIN, 1)
    return found, np.moveaxis(reference.conv_dx(np, np.moveaxis(y, -1, 1), w, size, PLAIN, padding, PLAIN, 1), 1, -1)


@settings(deadline=None)
@given(problems())
def test_it_is_the_reference_s(problem):
    found, expected = both(*problem)
    limit = (1e-5 if found.dtype == np.float32 else 1e-13) * max(1, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)
    assert found.tobytes() == both(*problem)[0].tobytes()


@settings(deadline=None)
@given(problems(), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_no_number_goes_where_it_belongs(problem, special):
    y, *rest = problem
    y.flat[y.size // 3] = special
    with np.errstate(invalid="ignore"):  # some BLAS multiply what lies beside the numbers
        found, expected = both(y, *rest)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))


@pytest.mark.parametrize(
    ("c", "stride", "groups", "width", "serves"),
    [(6, 1, 1, 5, True), (15, 1, 1, 3, True), (16, 1, 1, 3, False), (6, 2, 1, 5, False), (6, 1, 2, 5, False),
     (6, 1, 1, 1, False)],
)  # fmt: skip
def test_whom_it_serves(c, stride, groups, width, serves):
    y, w = np.ones((2, 18, 4, 4), np.float32), np.ones((18, c // groups, width, width), np.float32)
    conv2d_dx.op.impls.clear()
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folded, "dx", lambda *arguments: taken.append(1) or direct_dx(*arguments))
        direct_dx = conv.direct.dx
        size = tuple((4 - 1) * stride + width for _ in range(2))
        conv2d_dx(y, w, size, stride=(stride, stride), padding=((0, 0), (0, 0)), dilation=PLAIN, groups=groups)
    conv2d_dx.op.impls.clear()
    assert bool(taken) == serves
