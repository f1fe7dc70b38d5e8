"""Convolution, transposed convolution and pooling against PyTorch's, in value and gradient, where it is installed."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import autograd

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: the loops of test_conv and test_pooling stand alone"
)


def same(name, arrays, *args, **kwargs):
    """Both libraries' function ``name`` gives equal values, and equal gradients for a random cotangent."""
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    ours = [autograd.tensor(a, requires_grad=True) for a in arrays]
    expected = getattr(torch.nn.functional, name)(*theirs, *args, **kwargs)
    kwargs.pop("bias", None)
    out = getattr(autograd, name)(*ours, *args, **kwargs)
    assert out.shape == tuple(expected.shape)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    g = np.random.default_rng(1).standard_normal(out.shape)
    for a, b in zip(
        autograd.gradients(out, ours, g), torch.autograd.grad(expected, theirs, torch.tensor(g)), strict=True
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-10)


def integers(low, high, n):
    return st.tuples(*[st.integers(low, high)] * n)


def distinct(shape):
    """Values without ties: PyTorch gives the first of equal ones the gradient, or all of them."""
    return np.random.default_rng(0).permutation(np.linspace(-2, 2, int(np.prod(shape)))).reshape(shape)


@given(st.data(), st.integers(1, 3))
def test_convolution(data, n):
    groups, c, k, batch = (data.draw(st.integers(1, 3)) for _ in range(4))
    width, dilation = data.draw(integers(1, 4, n)), data.draw(integers(1, 3, n))
    stride, padding = data.draw(integers(1, 3, n)), data.draw(integers(0, 2, n))
    least = [max(1, (r - 1) * d + 1 - 2 * p) for r, d, p in zip(width, dilation, padding, strict=True)]
    size = [m + data.draw(st.integers(0, 4)) for m in least]
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((batch, c * groups, *size)), rng.standard_normal((k * groups, c, *width))
    same(f"conv{n}d", [x, w], stride=stride, padding=padding, dilation=dilation, groups=groups)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@given(st.data(), st.integers(1, 3))
def test_convolution_that_keeps_the_size(data, n):
    width, dilation, size = data.draw(integers(1, 4, n)), data.draw(integers(1, 3, n)), data.draw(integers(1, 6, n))
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 2, *size)), rng.standard_normal((3, 2, *width))
    same(f"conv{n}d", [x, w], padding="same", dilation=dilation)


@given(st.data(), st.integers(1, 3))
def test_transposed_convolution(data, n):
    groups, c, k, batch = (data.draw(st.integers(1, 2)) for _ in range(4))
    width, size, stride = data.draw(integers(1, 4, n)), data.draw(integers(1, 4, n)), data.draw(integers(1, 3, n))
    dilation, padding = data.draw(integers(1, 3, n)), data.draw(integers(0, 2, n))
    extra = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    made = zip(size, width, stride, dilation, padding, extra, strict=True)
    assume(all((m - 1) * s + (r - 1) * d + 1 + e - 2 * p > 0 for m, r, s, d, p, e in made))
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((batch, c * groups, *size)), rng.standard_normal((c * groups, k, *width))
    options = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation}
    same(f"conv_transpose{n}d", [x, w], **options)


@given(st.data(), st.integers(1, 3), st.booleans())
def test_max_pooling(data, n, ceil_mode):
    width, dilation, stride = data.draw(integers(1, 4, n)), data.draw(integers(1, 2, n)), data.draw(integers(1, 4, n))
    padding = tuple(data.draw(st.integers(0, r // 2)) for r in width)
    # A window that meets padding only is −∞ here; PyTorch writes its gradient outside the array, and may crash.
    least = [max(d, (r - 1) * d + 1 - 2 * p) for r, d, p in zip(width, dilation, padding, strict=True)]
    size = [m + data.draw(st.integers(0, 5)) for m in least]
    same(f"max_pool{n}d", [distinct((2, 2, *size))], width, stride, padding, dilation, ceil_mode)


@given(st.data(), st.integers(1, 3), st.booleans(), st.booleans())
def test_average_pooling(data, n, ceil_mode, count_include_pad):
    width, stride = data.draw(integers(1, 4, n)), data.draw(integers(1, 4, n))
    padding = tuple(data.draw(st.integers(0, r // 2)) for r in width)
    size = [r + data.draw(st.integers(0, 5)) for r in width]  # PyTorch wants this much even with padding
    x = np.random.default_rng(0).standard_normal((2, 2, *size))
    same(f"avg_pool{n}d", [x], width, stride, padding, ceil_mode, count_include_pad)


@given(st.data(), st.integers(1, 2), st.sampled_from(["adaptive_avg_pool", "adaptive_max_pool"]))
def test_adaptive_pooling(data, n, name):
    size, windows = data.draw(integers(1, 9, n)), data.draw(integers(1, 9, n))
    same(f"{name}{n}d", [distinct((2, 2, *size))], windows)
