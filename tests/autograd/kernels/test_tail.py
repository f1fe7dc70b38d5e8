"""A convolution with its tail equals the definition: every algorithm, any layout, any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.errors import DomainError
from autograd.kernels.cpu import chunks, columns, conv, depthwise, direct, filters, matmul, tail, winograd
from tests.autograd.kernels.layouts import layouts
from tests.autograd.kernels.test_conv import close


@pytest.fixture(params=[1, 2, 3], autouse=True)
def however_little(request, monkeypatch):
    """However little there is to do, it is done in many chunks by several threads."""
    for module, name, value in (
        (filters, "ALONE", 0), (direct, "SEVERAL", 0), (chunks, "CHUNK", 2000), (matmul, "SEVERAL", 0),
        (matmul, "WORTH", 0), (winograd, "NEAR", 16), (winograd, "ALONE", 0), (winograd, "FEW_TILES", 1),
        (tail, "PART", 8),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    forget()
    yield
    autograd.set_num_threads(before)
    forget()


def forget():
    """Plans and chunks are remembered."""
    chunks.cut_into_chunks.cache_clear()
    autograd.affine_conv2d.op.plans.clear()


ALGORITHMS = {  # what serves where: groups, filters' widths, channels, strides
    winograd: ([1], [3, 5], [16, 48], [1]),
    columns: ([1], [1], [3, 16, 200], [1, 2]),
    direct: ([1, 2, 3], [1, 2, 3, 7], [1, 5, 16, 33], [1, 2]),
    depthwise: ([4, 17], [3], [1], [1, 2]),
}


@st.composite
def problems(draw, algorithm):
    """Images, filters, scale, bias, residual, and options; the last three inputs may be None."""
    groups, widths, channels, strides = (draw(st.sampled_from(several)) for several in ALGORITHMS[algorithm])
    stride, padding = (strides,) * 2, ((draw(st.integers(0, 1)), 1), (1, draw(st.integers(0, 1))))
    if algorithm is columns:
        padding = ((0, 0), (0, 0))
    several = draw(st.sampled_from(ALGORITHMS[algorithm][2]))
    x, w = (draw(st.integers(1, 3)), groups * channels), (groups * several, channels, widths, widths)
    x = (*x, *(draw(st.integers(widths, 15)) for _ in "HW"))
    out = [(n + sum(p) - widths) // strides + 1 for n, p in zip(x[2:], padding, strict=True)]
    rng, dtype = np.random.default_rng(draw(st.integers(0, 99))), draw(st.sampled_from([np.float32, np.float64]))
    numbers = [rng.standard_normal(s).astype(dtype) for s in (x, w, w[:1], w[:1], (x[0], w[0], *out))]
    given_arrays = [draw(layouts(a)) for a in numbers]
    given_arrays[2:] = [a if draw(st.booleans()) else None for a in given_arrays[2:]]
    return given_arrays, (stride, padding, (1, 1), groups, draw(st.sampled_from([None, "relu"])))


def inferred(arrays, options, op=autograd.affine_conv2d):
    """By the kernel."""
    with autograd.no_grad():
        return op(*[a if a is None else autograd.Tensor(a) for a in arrays], *options).data


def defined(arrays, options, op=autograd.affine_conv2d):
    with autograd.use_kernels(False):
        return inferred(arrays, options, op)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda module: module.__name__.rpartition(".")[2])
@given(data=st.data())
def test_the_kernel_equals_the_definition(algorithm, data):
    arrays, options = data.draw(problems(algorithm))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "ALGORITHMS", (algorithm, direct))
        forget()
        found, again = (inferred(arrays, options) for _ in "12")
        served = autograd.explain(autograd.affine_conv2d, *arrays, *options)
    forget()
    close([found], [defined(arrays, options)])
    assert found.tobytes() == again.tobytes()
    assert "cpu.conv" in served.splitlines()[0]


@given(st.sampled_from([1, 3]), st.sampled_from([1, 2]), st.sampled_from([None, "relu"]), st.data())
def test_lines_and_volumes(dims, groups, activation, data):
    op, rng = getattr(autograd, f"affine_conv{dims}d"), np.random.default_rng(dims)
    numbers = [rng.standard_normal(s) for s in ((2, 6, *[5] * dims), (4, 6 // groups, *[3] * dims), 4, 4)]
    arrays = [data.draw(layouts(a)) for a in (*numbers, rng.standard_normal((2, 4, *[5] * dims)))]
    options = ((1,) * dims, ((1, 1),) * dims, (1,) * dims, groups, activation)
    close([inferred(arrays, options, op)], [defined(arrays, options, op)])
    assert "cpu.conv" in autograd.explain(op, *arrays, *options).splitlines()[0]


def filters_of(width):
    """Filters for 16 channels, and the padding that keeps an image's size: served by columns, direct and Winograd's."""
    w = np.random.default_rng(1).standard_normal((16, 16, width, width))
    return w.astype(np.float32), (((width - 1) // 2, width // 2),) * 2


@given(st.data(), st.integers(1, 3))
def test_a_residual_may_be_the_image_itself_and_stays_as_it_is(data, width):
    x = data.draw(layouts(np.random.default_rng(0).standard_normal((2, 16, 9, 9)).astype(np.float32)))
    before, (w, padding) = x.copy(), filters_of(width)
    arrays, options = (x, w, None, None, x), ((1, 1), padding, (1, 1), 1, "relu")
    close([inferred(arrays, options)], [defined(arrays, options)])
    np.testing.assert_array_equal(x, before)


@given(st.integers(1, 3), st.integers(0, 3), st.integers(0, 15))
def test_nan_reaches_what_depends_on_it_through_the_rectifier(width, slot, channel):
    image = np.ones((1, 16, 9, 9), np.float32)
    w, padding = filters_of(width)
    arrays = [-np.abs(w), image[0, :, 0, 0].copy(), np.zeros(16, np.float32), np.zeros_like(image)]
    arrays[slot][(0, channel) if slot == 3 else channel] = np.nan
    found = inferred((image, *arrays), ((1, 1), padding, (1, 1), 1, "relu"))
    spoilt = np.arange(16) == channel
    assert np.isnan(found[:, spoilt]).all() and not found[:, ~spoilt].any()


def test_what_is_left_to_the_definition():
    x, w, options = (
        np.ones((1, 2, 5, 5), np.float32),
        np.ones((3, 2, 3, 3), np.float32),
        ((1, 1), ((0, 0),) * 2, (1, 1), 1),
    )
    for arrays in ((x, w.astype(float), None, None, None), (x, w, None, None, np.ones((1, 3, 1, 1), np.float32))):
        assert "definition" in autograd.explain(autograd.affine_conv2d, *arrays, *options).splitlines()[0]
    with pytest.raises(DomainError, match="affine_conv2d: activation is 'tanh' → choose None or 'relu'"):
        autograd.affine_conv2d(x, w, activation="tanh")
    needed = autograd.Tensor(x, requires_grad=True)
    autograd.affine_conv2d(needed, w, np.ones(3, np.float32), *(None, None), *options, "relu").sum().backward()
    inside = np.array([1, 2, 3, 2, 1], np.float32)
    np.testing.assert_allclose(needed.grad.data[0, 0], 3 * np.outer(inside, inside))
