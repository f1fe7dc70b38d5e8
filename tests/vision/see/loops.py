"""Small networks drawn at random, and their way forward and back a second time, as loops in NumPy."""

import numpy as np
from hypothesis import strategies as st

import autograd
import nn


@st.composite
def networks(draw, channels=None, size=9, head=True, kinds=("conv", "relu", "max", "mean")):
    """A chain of layers in float64 that ends in two scores if it has a `head`, and an image for it."""
    autograd.manual_seed(draw(st.integers(0, 2**16)))
    depth = channels = channels or draw(st.integers(1, 3))
    layers, extent = [], size
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5)):
        width, stride, padding = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(0, 1))
        padding = min(padding, width // 2)
        if kind != "relu" and extent + 2 * padding < 3:
            continue
        if kind == "conv":
            dilation = draw(st.integers(1, 2)) if extent + 2 * padding >= 5 else 1
            groups = draw(st.sampled_from([1, depth]))
            filters = groups * draw(st.integers(1, 2))
            layers.append(nn.Conv2d(depth, filters, width, stride, padding, dilation, groups))
            extent, depth = (extent + 2 * padding - dilation * (width - 1) - 1) // stride + 1, filters
        elif kind == "relu":
            layers.append(nn.ReLU())
        else:
            layers.append((nn.MaxPool2d if kind == "max" else nn.AvgPool2d)(width, stride, padding))
            extent = (extent + 2 * padding - width) // stride + 1
    if head:
        layers += [nn.Flatten(), nn.Linear(depth * extent * extent, 4), nn.ReLU(), nn.Linear(4, 2)]
    image = np.random.default_rng(draw(st.integers(0, 2**16))).normal(size=(channels, size, size))
    return nn.Sequential(*layers or [nn.ReLU()]).double(), image


def windows(layer, extent):
    """The places of a layer's outputs, and the rows and columns of the padded input under each."""
    pads = layer.padding
    dilation = getattr(layer, "dilation", (1, 1))
    counts = [
        (n + 2 * pad - d * (k - 1) - 1) // s + 1
        for n, pad, d, k, s in zip(extent, pads, dilation, layer.kernel_size, layer.stride, strict=True)
    ]
    for place in np.ndindex(*counts):
        under = [
            p * s + d * np.arange(k)
            for p, s, d, k in zip(place, layer.stride, dilation, layer.kernel_size, strict=True)
        ]
        yield place, np.ix_(*under)


def padded(layer, x, value):
    (top, left) = layer.padding
    return np.pad(x, ((0, 0), (top, top), (left, left)), constant_values=value)


def forward(layer, x):
    """One layer's answer, by going over its places."""
    if isinstance(layer, nn.ReLU):
        return np.where(x > 0, x, 0)
    if isinstance(layer, nn.Flatten):
        return x.ravel()
    if isinstance(layer, nn.Linear):
        return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()
    wide = padded(layer, x, -np.inf if isinstance(layer, nn.MaxPool2d) else 0)
    found = {}
    for place, under in windows(layer, x.shape[1:]):
        patch = np.stack([one[under] for one in wide])
        if isinstance(layer, nn.MaxPool2d):
            found[place] = patch.max((1, 2))
        elif isinstance(layer, nn.AvgPool2d):
            found[place] = patch.mean((1, 2))
        else:
            weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
            share, filters = weight.shape[1], len(weight) // layer.groups
            parts = [patch[k // filters * share :][:share] for k in range(len(weight))]
            found[place] = np.array([(w * part).sum() for w, part in zip(weight, parts, strict=True)]) + bias
    rows, columns = (1 + max(place[i] for place in found) for i in (0, 1))
    return np.array([found[p, q] for p in range(rows) for q in range(columns)]).T.reshape(-1, rows, columns)


def backward(layer, x, g, method):
    """What arrives at a layer's input `x` of the signal `g` at its output; rectifiers differ by method."""
    if isinstance(layer, nn.ReLU):
        lets = {"saliency": x > 0, "deconvnet": g > 0, "guided": (x > 0) & (g > 0)}[method]
        return np.where(lets, g, 0)
    if isinstance(layer, nn.Flatten):
        return g.reshape(x.shape)
    if isinstance(layer, nn.Linear):
        return layer.weight.detach().numpy().T @ g
    wide = padded(layer, x, -np.inf)
    back = np.zeros_like(wide)
    for place, under in windows(layer, x.shape[1:]):
        for k, signal in enumerate(g[(slice(None), *place)]):
            if isinstance(layer, nn.MaxPool2d):
                patch = wide[k][under]
                switch = patch.size - 1 - patch.ravel()[::-1].argmax()  # the last of equals
                marked = np.zeros(patch.size)
                marked[switch] = signal
                back[k][under] += marked.reshape(patch.shape)
            elif isinstance(layer, nn.AvgPool2d):
                back[k][under] += signal / np.prod(layer.kernel_size)
            else:
                weight = layer.weight.detach().numpy()[k]
                first = k // (layer.out_channels // layer.groups) * len(weight)
                for c, w in enumerate(weight, start=first):
                    back[c][under] += signal * w
    top, left = layer.padding
    return back[:, top : top + x.shape[1], left : left + x.shape[2]]


def project(network, image, unit, method, activation=False):
    """Carry one of the network's units back to the pixels."""
    signals = [image]
    for layer in network:
        signals.append(forward(layer, signals[-1]))
    g = np.zeros_like(signals[-1])
    g[unit] = signals[-1][unit] if activation else 1
    for layer, x in zip(reversed(list(network)), reversed(signals[:-1]), strict=True):
        g = backward(layer, x, g, method)
    return g
