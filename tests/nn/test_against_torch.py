"""Every layer against PyTorch's of the same name, arguments and state, where PyTorch is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the NumPy oracles of test_layers stand alone")

LAYERS = [
    ("Linear", (4, 3), {}, (2, 5, 4)),
    ("Linear", (4, 3), {"bias": False}, (4,)),
    ("Flatten", (), {}, (2, 3, 4, 5)),
    ("Flatten", (2, 3), {}, (2, 3, 4, 5)),
    ("Unflatten", (1, (2, 3)), {}, (2, 6, 4)),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 8)),
    ("Conv2d", (4, 6, (3, 2), 2, (1, 0), (1, 2), 2), {"bias": False}, (2, 4, 9, 8)),
    ("Conv2d", (3, 5, 4), {"padding": "same", "dilation": 2}, (2, 3, 8, 9)),
    ("Conv2d", (3, 5, 3), {"padding": (2, 1), "padding_mode": "reflect"}, (2, 3, 6, 7)),
    ("Conv2d", (3, 5, 3), {"padding": 2, "padding_mode": "circular"}, (2, 3, 6, 7)),
    ("Conv2d", (3, 5, 3), {"padding": 2, "padding_mode": "replicate"}, (3, 6, 7)),
    ("Conv3d", (2, 4, 3, 2, 1), {}, (2, 2, 5, 6, 7)),
    ("ConvTranspose1d", (4, 6, 3, 3, 1, 2), {"groups": 2}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, (3, 2), 2, (1, 0), (1, 0), 2, True, (2, 1)), {}, (2, 4, 5, 4)),
    ("MaxPool1d", (3, 2, 1), {"ceil_mode": True}, (2, 3, 8)),
    ("MaxPool2d", (3, 2, 1), {"ceil_mode": True}, (2, 3, 8, 7)),
    ("MaxPool2d", ((3, 2),), {"dilation": 2}, (2, 3, 9, 9)),
    ("AvgPool1d", (3, 2, 1, True, False), {}, (2, 3, 8)),
    ("AvgPool2d", (3, 2, 1, True, False), {}, (2, 3, 8, 7)),
    ("AvgPool2d", (3, 2, 1, True), {}, (2, 3, 8, 7)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 5)),
    ("AdaptiveMaxPool1d", (5,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", (4,), {}, (2, 3, 7, 3)),
    ("BatchNorm1d", (3,), {"momentum": 0.3}, (4, 3)),
    ("BatchNorm1d", (3,), {"affine": False}, (4, 3, 2)),
    ("BatchNorm2d", (3, 1e-3, None), {}, (4, 3, 2, 5)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 2, 5)),
    ("LayerNorm", ((3, 4),), {}, (2, 3, 4)),
    ("LayerNorm", (4,), {"bias": False}, (2, 3, 4)),
    ("LayerNorm", (4, 1e-2, False), {}, (2, 3, 4)),
    ("GroupNorm", (2, 6), {}, (3, 6, 4, 2)),
    ("GroupNorm", (3, 6, 1e-2, False), {}, (3, 6, 2)),
    ("LocalResponseNorm", (5, 0.3, 0.6, 2.0), {}, (2, 7, 3, 3)),
    ("LocalResponseNorm", (4,), {"alpha": 0.5}, (2, 7, 3)),
    *((name, (), {}, (3, 4, 5)) for name in (
        "ReLU", "LeakyReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Softplus", "Sigmoid", "LogSigmoid", "Tanh",
        "Hardtanh", "Hardsigmoid", "Hardswish", "ReLU6", "Softsign", "Tanhshrink", "PReLU", "Identity")),
    ("LeakyReLU", (0.3, True), {}, (3, 4)), ("ELU", (2.0,), {}, (3, 4)), ("CELU", (0.3,), {}, (3, 4)),
    ("GELU", ("tanh",), {}, (3, 4)), ("Hardtanh", (-0.3, 0.5), {}, (3, 4)), ("Softplus", (2.0,), {}, (3, 4)),
    ("Softmax", (1,), {}, (3, 4, 2)), ("LogSoftmax", (-1,), {}, (3, 4, 2)), ("PReLU", (4, 0.1), {}, (3, 4, 2)),
]  # fmt: skip


SINGLE = ("Hardsigmoid", "Hardswish", "CELU")  # PyTorch keeps their constants 1/6 and 1/alpha in float32


def assert_same(name, args, kwargs, shape, seed=0, training=True):
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, name)(*args, **kwargs).double().train(training)
    theirs.inplace = False
    ours = getattr(nn, name)(*args, **kwargs).double().train(training)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})

    data = np.random.default_rng(seed).normal(size=shape) * 2
    x, y = autograd.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    for _ in range(2 if training else 1):
        ours.zero_grad(), theirs.zero_grad()
        x.grad = y.grad = None
        out, expected = ours(x), theirs(y)
        assert out.shape == tuple(expected.shape)
        np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-10)
        g = np.random.default_rng(seed + 1).normal(size=out.shape)
        out.backward(autograd.tensor(g))
        expected.backward(torch.tensor(g))
        rtol = 1e-6 if name in SINGLE else 1e-8
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=rtol, atol=1e-10)
        for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-9, err_msg=key)
    for (key, ours_), theirs_ in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        np.testing.assert_allclose(ours_.numpy(), theirs_.numpy(), rtol=1e-9, err_msg=key)
        assert ours_.dtype.name == str(theirs_.dtype).removeprefix("torch.")


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS)
def test_layer(name, args, kwargs, shape, training):
    assert_same(name, args, kwargs, shape, training=training)


def sizes(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_drawn_convolutions(data):
    draw, groups = data.draw, data.draw(st.integers(1, 3))
    transposed = draw(st.booleans())
    kernel, stride, dilation, padding = draw(sizes(1, 4)), draw(sizes(1, 3)), draw(sizes(1, 3)), draw(sizes(0, 2))
    extra = (
        tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        if transposed
        else (0, 0)
    )
    least = tuple(d * (k - 1) + 1 + 2 * p for d, k, p in zip(dilation, kernel, padding, strict=True))
    spatial = tuple(n + draw(st.integers(0, 5)) for n in least)
    channels = [groups * draw(st.integers(1, 2)) for _ in range(2)]
    arguments = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    if transposed:
        arguments["output_padding"] = extra
    name = "ConvTranspose2d" if transposed else "Conv2d"
    assert_same(
        name, (*channels, kernel), arguments, (draw(st.integers(1, 2)), channels[0], *spatial), draw(st.integers(0, 99))
    )


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_drawn_pooling(data):
    draw, kind = data.draw, data.draw(st.sampled_from(["MaxPool2d", "AvgPool2d"]))
    kernel, stride = draw(sizes(1, 4)), draw(sizes(1, 4))
    arguments = {"padding": tuple(draw(st.integers(0, k // 2)) for k in kernel), "ceil_mode": draw(st.booleans())}
    dilation = (1, 1)
    if kind == "MaxPool2d":
        arguments["dilation"] = dilation = draw(st.sampled_from([(1, 1), (2, 1)]))
    else:
        arguments["count_include_pad"] = draw(st.booleans())
    spatial = tuple(d * (k - 1) + 1 + draw(st.integers(0, 6)) for d, k in zip(dilation, kernel, strict=True))
    assert_same(kind, (kernel, stride), arguments, (2, 2, *spatial), draw(st.integers(0, 99)))


@pytest.mark.parametrize("padding", [None, 1])
def test_embedding(padding):
    theirs, ours = torch.nn.Embedding(6, 3, padding_idx=padding), nn.Embedding(6, 3, padding_idx=padding)
    ours.load_state_dict({"weight": theirs.weight.detach().numpy()})
    indices = np.array([[1, 5, 1], [0, 5, 2]])
    out, expected = ours(autograd.tensor(indices)), theirs(torch.tensor(indices))
    np.testing.assert_array_equal(out.detach().numpy(), expected.detach().numpy())
    (out * out).sum().backward()
    (expected * expected).sum().backward()
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-6)


def test_initial_values_follow_the_same_distributions():
    for name, args in [
        ("Linear", (300, 200)),
        ("Conv2d", (30, 40, 5)),
        ("ConvTranspose2d", (30, 40, 5)),
        ("Embedding", (300, 100)),
    ]:
        theirs, ours = getattr(torch.nn, name)(*args), getattr(nn, name)(*args)
        for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            quantiles = np.linspace(0.05, 0.95, 7)
            scale = float(q.detach().abs().max())
            if "bias" in key:  # too few values for quantiles
                assert float(p.detach().numpy().max()) / scale == pytest.approx(1, abs=0.3), f"{name}.{key}"
            else:
                ours_, theirs_ = (np.quantile(a, quantiles) / scale for a in (p.detach().numpy(), q.detach().numpy()))
                assert abs(ours_ - theirs_).max() < 0.02, f"{name}.{key}"
