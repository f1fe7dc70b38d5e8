"""Convolutions along one, two and three axes, in groups, and transposed ones equal the reference, with gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

import autograd
from autograd.errors import AutogradError
from autograd.kernels.cpu import axes as lines_and_volumes
from autograd.kernels.cpu import chunks, conv, direct, filters, winograd
from autograd.kernels.reference.windows import span
from autograd.ops import conv as ops
from tests.autograd.kernels.layouts import layouts


@pytest.fixture(params=[1, 2, 3], autouse=True)
def however_little(request, monkeypatch):
    """However little there is to do, it is done in many parts by several threads."""
    for module, name, value in (
        (filters, "ALONE", 0), (direct, "SEVERAL", 0), (chunks, "CHUNK", 2000), (conv, "APART", 16),
        (lines_and_volumes, "SEVERAL", 0), (lines_and_volumes, "ROOM", 5000), (winograd, "ALONE", 0),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    forget()
    yield
    autograd.set_num_threads(before)
    forget()


def members(axes):
    """The family along so many axes: forward, the gradients, transposed, with a bias."""
    names = ("conv{}d", "conv{}d_dx", "conv{}d_dw", "conv_transpose{}d", "biased_conv{}d")
    return [getattr(ops, name.format(axes)) for name in names]


def forget():
    """What was planned, and cut, with other numbers of threads or thresholds."""
    chunks.cut_into_chunks.cache_clear()
    for axes in (1, 2, 3):
        *primitives, layer = members(axes)
        for op in primitives:
            op.op.impls.clear()
        layer.op.plans.clear()


@st.composite
def convolutions(draw):
    """Images, filters, a bias and options; groups that are many and narrow as often as others."""
    axes, groups = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2, 3, 6]))
    dtype, rng = draw(st.sampled_from([np.float32, np.float64])), np.random.default_rng(draw(st.integers(0, 99)))
    c, k = draw(st.sampled_from([(2, 2), (4, 4), (8, 8), (16, 16), (1, 1), (1, 3), (5, 2), (2, 100), (16, 32)]))
    width, stride, dilation = (tuple(draw(st.integers(1, most)) for _ in range(axes)) for most in (3, 3, 2))
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes))
    if draw(st.booleans()):
        width, stride, dilation = (3,) * axes, (1,) * axes, (1,) * axes
    least = [max(1, span(r, d) - sum(p)) for r, d, p in zip(width, dilation, padding, strict=True)]
    size = [n + draw(st.integers(0, 20 // axes)) for n in least]
    shapes = (draw(st.integers(1, 3)), groups * c, *size), (groups * k, c, *width), (groups * k,)
    x, w, b = (draw(layouts(rng.standard_normal(shape).astype(dtype))) for shape in shapes)
    return x, w, b if draw(st.booleans()) else None, (stride, padding, dilation, groups)


def results(x, w, b, y, options):
    """What every member gives."""
    stride, padding, dilation, groups = options
    conv, dx, dw, transposed, layer = members(x.ndim - 2)
    found = [conv(x, w, *options), dx(y, w, x.shape[2:], *options), dw(x, y, w.shape[2:], *options)]
    try:
        found.append(transposed(y, w, stride, padding, 0, groups, dilation))
    except AutogradError as error:
        found.append(np.array(str(error)))  # the padding leaves nothing
    inputs = [autograd.Tensor(a, requires_grad=True) for a in (x, w, b) if a is not None]
    out = layer(*inputs, *([None] if b is None else []), *options)
    return [*found, out.data, *[g.data for g in autograd.gradients(out, inputs, autograd.Tensor(y))]]


@settings(max_examples=50)
@given(convolutions(), st.data())
def test_the_kernels_equal_the_reference(drawn, data):
    x, w, b, options = drawn
    with autograd.use_kernels(False):
        shape = members(x.ndim - 2)[0](x, w, *options).shape
        y = data.draw(layouts(np.random.default_rng(1).standard_normal(shape).astype(x.dtype)))
        expected = results(x, w, b, y, options)
    found, again = (results(x, w, b, y, options) for _ in "12")
    for a, e in zip(found, expected, strict=True):
        assert a.shape == e.shape and a.dtype == e.dtype
        if a.ndim:
            limit = (1e-4 if a.dtype == np.float32 else 1e-11) * max(1e-3, np.abs(e).max())
            np.testing.assert_allclose(a, e, rtol=0, atol=limit)
    assert [a.tobytes() for a in found] == [a.tobytes() for a in again]


@settings(max_examples=10)
@given(st.sampled_from([1, 2, 3]), st.sampled_from([1, 2]), st.integers(0, 99))
def test_second_derivatives_go_through_the_definitions(axes, groups, seed):
    rng = np.random.default_rng(seed)
    x, w = (
        autograd.Tensor(rng.standard_normal(s), requires_grad=True)
        for s in ((2, 4, *(5,) * axes), (4, 4 // groups, *(2,) * axes))
    )

    def twice():
        loss = (members(axes)[4](x, w, None, 1, 1, 1, groups) ** 3).sum()
        gx, gw = autograd.gradients(loss, [x, w], create_graph=True)
        return [g.data for g in autograd.gradients((gx**2).sum() + (gw**2).sum(), [x, w])]

    found = twice()
    with autograd.use_kernels(False):
        expected = twice()
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-10 * np.abs(e).max())


@pytest.mark.parametrize(
    ("x", "w", "groups", "algorithm"),
    [
        ((4, 64, 14, 14), (64, 32, 3, 3), 2, "winograd by groups"),
        ((4, 32, 14, 14), (64, 8, 3, 3), 4, "direct"),
        ((4, 32, 14, 14), (32, 4, 3, 3), 8, "narrow"),
        ((4, 32, 14, 14), (32, 1, 3, 3), 32, "depthwise"),
        ((4, 32, 14, 14), (64, 16, 2, 2), 2, "direct"),
        ((4, 16, 50), (32, 16, 3), 1, "direct"),
        ((4, 16, 50), (16, 1, 3), 16, "depthwise"),
        ((2, 16, 5, 14, 14), (16, 16, 3, 3, 3), 1, "winograd of slices side by side"),
    ],
)
def test_explain_names_the_algorithm(x, w, groups, algorithm):
    axes = len(x) - 2
    x, w, options = np.ones(x, np.float32), np.ones(w, np.float32), ((1,) * axes, ((0, 0),) * axes, (1,) * axes, groups)
    conv, *_, layer = members(axes)
    for function, inputs in ((conv, (x, w)), (layer, (x, w, None))):
        assert f"cpu.conv ({algorithm})" in autograd.explain(function, *inputs, *options)
