"""Layers a second time: loops and formulas in NumPy and SciPy, and the comparison with them in value and gradient."""

import math

import numpy as np
from scipy import special

import autograd


def assert_agrees(layer, oracle, *inputs, seed=0, rtol=1e-6, step=1e-6):
    """Hold a layer equal to `oracle(*inputs, **parameters)`: its output, and its derivative in a random direction."""
    layer.double()
    rng = np.random.default_rng(seed)
    tensors = [autograd.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    parameters = dict(layer.named_parameters())
    values = {name: p.detach().numpy().copy() for name, p in parameters.items()}
    expected = oracle(*inputs, **values)
    out = layer(*tensors)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-9, atol=1e-9)

    g = rng.normal(size=expected.shape)
    layer.zero_grad()
    out.backward(autograd.tensor(g))
    leaves = {**{i: t for i, t in enumerate(tensors) if t.requires_grad}, **parameters}
    for key, leaf in leaves.items():
        direction = rng.normal(size=leaf.shape)

        def shifted(by, key=key, direction=direction):
            moved = [x + by * direction if i == key else x for i, x in enumerate(inputs)]
            return oracle(*moved, **{n: v + by * direction if n == key else v for n, v in values.items()})

        difference = (g * (shifted(step) - shifted(-step))).sum() / (2 * step)
        grad = leaf.grad.numpy() if leaf.grad is not None else np.zeros(leaf.shape)
        np.testing.assert_allclose((grad * direction).sum(), difference, rtol=rtol, atol=1e-6 * max(1, g.size) ** 0.5)


def conv(x, weight, bias=None, *, stride, margins, dilation, groups):
    """Convolve by a loop over output places and filters."""
    x = np.pad(x, ((0, 0), (0, 0), *margins))
    filters, depth, *kernel = weight.shape
    sizes = [(n - d * (r - 1) - 1) // s + 1 for n, d, r, s in zip(x.shape[2:], dilation, kernel, stride, strict=True)]
    out = np.zeros((len(x), filters, *sizes))
    for place in np.ndindex(*sizes):
        patch = x[(..., *_window(place, kernel, stride, dilation))]
        for k in range(filters):
            first = k // (filters // groups) * depth
            out[(slice(None), k, *place)] = (
                (patch[:, first : first + depth] * weight[k]).reshape(len(x), -1).sum(axis=1)
            )
    return out if bias is None else out + bias.reshape(-1, *[1] * len(kernel))


def conv_transpose(x, weight, bias=None, *, stride, padding, output_padding, dilation, groups):
    """Paint each input value's weighted filter into the output, then cut off the padding."""
    channels, depth, *kernel = weight.shape
    spatial = x.shape[2:]
    full = [
        (n - 1) * s + d * (r - 1) + 1 + o
        for n, s, d, r, o in zip(spatial, stride, dilation, kernel, output_padding, strict=True)
    ]
    out = np.zeros((len(x), depth * groups, *full))
    for place in np.ndindex(*spatial):
        window = _window(place, kernel, stride, dilation)
        for c in range(channels):
            first = c // (channels // groups) * depth
            value = x[(slice(None), c, *place)].reshape(-1, *[1] * (1 + len(kernel)))
            out[(slice(None), slice(first, first + depth), *window)] += value * weight[c]
    out = out[(..., *(slice(p, n - p) for p, n in zip(padding, full, strict=True)))]
    return out if bias is None else out + bias.reshape(-1, *[1] * len(kernel))


def _window(place, kernel, stride, dilation):
    return tuple(
        slice(p * s, p * s + d * (r - 1) + 1, d) for p, r, s, d in zip(place, kernel, stride, dilation, strict=True)
    )


def pool(x, kind, *, kernel, stride, padding, dilation, ceil_mode, count_include_pad=True):
    """Pool by a loop over output places."""
    spatial = x.shape[2:]
    sizes = []
    for n, r, s, p, d in zip(spatial, kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (r - 1) - 1
        size = (math.ceil(room / s) if ceil_mode else room // s) + 1
        sizes.append(size - (ceil_mode and (size - 1) * s >= n + p))
    out = np.zeros((*x.shape[:2], *sizes))
    for place in np.ndindex(*sizes):
        places = [
            range(q * s - p, q * s - p + d * (r - 1) + 1, d)
            for q, r, s, p, d in zip(place, kernel, stride, padding, dilation, strict=True)
        ]
        inside = [[i for i in axis if 0 <= i < n] for axis, n in zip(places, spatial, strict=True)]
        values = x[np.ix_(range(len(x)), range(x.shape[1]), *inside)]
        axes = tuple(range(2, x.ndim))
        if kind == "max":
            out[(..., *place)] = values.max(axis=axes)
        else:
            padded = [sum(i < n + p for i in axis) for axis, n, p in zip(places, spatial, padding, strict=True)]
            total = math.prod(padded) if count_include_pad else math.prod(map(len, inside))
            out[(..., *place)] = values.sum(axis=axes) / total
    return out


def adaptive_pool(x, kind, sizes):
    """Pool over windows that begin at ⌊i·n/size⌋ and end before ⌈(i+1)·n/size⌉."""
    out = np.zeros((*x.shape[:2], *sizes))
    for place in np.ndindex(*sizes):
        window = tuple(
            slice(i * n // m, -((i + 1) * n // -m)) for i, n, m in zip(place, x.shape[2:], sizes, strict=True)
        )
        values = x[(..., *window)]
        axes = tuple(range(2, x.ndim))
        out[(..., *place)] = values.max(axis=axes) if kind == "max" else values.mean(axis=axes)
    return out


def normalise(x, axes, weight, bias, eps, mean=None, var=None):
    """Subtract the mean, divide by the deviation, scale and shift; statistics over `axes` unless they are given."""
    mean = x.mean(axis=axes, keepdims=True) if mean is None else mean
    var = x.var(axis=axes, keepdims=True) if var is None else var
    out = (x - mean) / np.sqrt(var + eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def local_response_norm(x, size, alpha, beta, k):
    """Divide by the neighbours' activity, channel by channel."""
    out = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        out[:, c] = x[:, c] / (k + alpha / size * (near**2).sum(axis=1)) ** beta
    return out


def _gelu(x, approximate="none"):
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + special.erf(x / np.sqrt(2)))


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

ACTIVATIONS = {
    "ReLU": lambda x: np.where(x > 0, x, 0),
    "LeakyReLU": lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
    "ELU": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
    "SELU": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    "CELU": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
    "GELU": _gelu,
    "SiLU": lambda x: x * special.expit(x),
    "Mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "Softplus": lambda x, beta=1.0: np.logaddexp(0, beta * x) / beta,
    "Sigmoid": special.expit,
    "LogSigmoid": special.log_expit,
    "Tanh": np.tanh,
    "Hardtanh": lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
    "Hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "Hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "Softsign": lambda x: x / (1 + abs(x)),
    "Tanhshrink": lambda x: x - np.tanh(x),
    "Softmax": lambda x, dim=-1: special.softmax(x, axis=dim),
    "LogSoftmax": lambda x, dim=-1: special.log_softmax(x, axis=dim),
}
