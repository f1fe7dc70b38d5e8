"""Layers joined in inference give what they give one by one, and nobody who looks can tell."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import AutogradError

CONVOLUTIONS = {1: (nn.Conv1d, nn.BatchNorm1d), 2: (nn.Conv2d, nn.BatchNorm2d)}


def seen_norm(kind, channels, **options):
    """A norm in evaluation that has seen something."""
    norm, rng = kind(channels, **options), np.random.default_rng(channels)
    for name in ("weight", "bias", "running_mean", "running_var"):
        if getattr(norm, name) is not None:
            getattr(norm, name).data[...] = rng.uniform(0.5, 2, channels)
    return norm.eval()


@st.composite
def chains(draw):
    """Layers in evaluation, among them convolutions with norms and rectifiers, or without; and their dimensions."""
    dims = draw(st.sampled_from([1, 2, 2, 2]))
    conv, norm = CONVOLUTIONS[dims]
    layers = []
    for _ in range(draw(st.integers(1, 3))):
        mode = draw(st.sampled_from(["zeros", "circular"]))
        layers.append(
            conv(4, 4, draw(st.sampled_from([1, 3])), padding="same", bias=draw(st.booleans()), padding_mode=mode)
        )
        for _ in range(draw(st.integers(0, 3))):
            activation = draw(st.sampled_from([None, "relu"]))
            behind = seen_norm(norm, 4, activation=activation, affine=draw(st.booleans()))
            layers.append(draw(st.sampled_from([behind, nn.ReLU(), nn.Tanh()])))
    return layers, dims


def one_by_one(x, layers, residual=None):
    for layer in layers:
        x = layer(x) if residual is None or layer is not layers[-1] else layer(x, residual=residual)
    return x


def image(dims, seed=0, dtype=np.float32):
    return autograd.tensor(np.random.default_rng(seed).standard_normal((2, 4, *[5] * dims)).astype(dtype))


@given(chains(), st.booleans(), st.sampled_from([np.float32, np.float64, np.float16]), st.booleans())
def test_a_chain_gives_what_its_layers_give(drawn, added, dtype, recorded):
    layers, dims = drawn
    added = added and isinstance(layers[-1], nn.BatchNorm1d | nn.BatchNorm2d)
    nn.Sequential(*layers).to(dtype)
    x, residual = image(dims, dtype=dtype), image(dims, 1, dtype) if added else None
    with contextlib.nullcontext() if recorded else autograd.no_grad():
        found, expected = nn.chain(x, *layers, residual=residual), one_by_one(x, layers, residual)
        assert found.requires_grad == expected.requires_grad and found.dtype == expected.dtype
    close = {np.float64: 1e-12, np.float32: 1e-5, np.float16: 3e-2}[dtype]
    np.testing.assert_allclose(found.data, expected.data, rtol=close, atol=close * np.abs(expected.data).max())


@given(chains(), st.data())
def test_hooks_see_and_change_what_they_would(drawn, data):
    layers, dims = drawn
    watched, seen = data.draw(st.sampled_from(layers)), []

    def look(module, args, out):
        seen.append((args[0].data.copy(), out.data.copy()))
        return out * 2

    with watched.register_forward_hook(look), autograd.no_grad():
        found, expected = nn.Sequential(*layers)(image(dims)), one_by_one(image(dims), layers)
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-4, atol=1e-4)
    half = len(seen) // 2
    assert half == layers.count(watched)
    for a, b in zip(seen[:half], seen[half:], strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(a[1], b[1], rtol=1e-4, atol=1e-4)


@pytest.fixture
def joined(monkeypatch):
    """The activations of convolutions that took others' work over."""
    calls, tailed = [], nn.Conv2d.tailed

    def count(*given):
        calls.append(given[-1])
        return tailed(*given)

    monkeypatch.setattr(nn.Conv2d, "tailed", staticmethod(count))
    return calls


class OwnNorm(nn.BatchNorm2d):
    """A norm that does something else."""

    def forward(self, x, residual=None):
        return -super().forward(x, residual)


def test_what_is_joined(joined):
    conv, norm, x = nn.Conv2d(4, 4, 3, padding=1), seen_norm(nn.BatchNorm2d, 4), image(2)
    with autograd.no_grad():
        nn.Sequential(conv, norm, nn.ReLU(), conv, nn.ReLU(), conv, nn.Tanh())(x)
        assert joined == ["relu", "relu"]
        own, patched, moving = seen_norm(OwnNorm, 4), seen_norm(nn.BatchNorm2d, 4), nn.BatchNorm2d(4)
        patched.forward = lambda x: x * 0
        blind = nn.BatchNorm2d(4, track_running_stats=False).eval()
        for other in (own, patched, moving, blind, nn.LeakyReLU()):
            np.testing.assert_array_equal(nn.chain(x, conv, other).data, one_by_one(x, [conv, other]).data)
    assert nn.chain(x, conv, norm).requires_grad
    assert joined == ["relu", "relu"]


def test_drawings_and_summaries_know_every_layer(joined):
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), seen_norm(nn.BatchNorm2d, 4, activation="relu"))
    with autograd.no_grad():
        assert "batch_norm" in nn.draw(net, image(2), depth=9).dot
        assert "BatchNorm2d" in str(nn.summary(net, image(2)))
    assert joined == []


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ((nn.Conv2d(4, 4, 3), seen_norm(nn.BatchNorm2d, 4)), image(1)),
        ((nn.Conv2d(4, 4, 9), seen_norm(nn.BatchNorm2d, 4)), image(2)),
        ((nn.Conv2d(3, 4, 3), nn.ReLU()), image(2)),
        ((nn.Conv2d(4, 5, 3), seen_norm(nn.BatchNorm2d, 4)), image(2)),
        ((nn.Conv2d(4, 4, 3), seen_norm(nn.BatchNorm1d, 4)), image(2)),
        ((nn.Conv2d(4, 4, 3), nn.ReLU()), image(2, dtype=np.float64).data.tolist()),
    ],
)
def test_errors_are_those_of_the_layers(layers, x):
    errors = []
    for run in (lambda: nn.chain(x, *layers), lambda: one_by_one(x, layers)):
        with pytest.raises((AutogradError, AttributeError, TypeError)) as caught, autograd.no_grad():
            run()
        errors.append((type(caught.value), str(caught.value).replace("affine_", "biased_")))
    assert errors[0] == errors[1]
