import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import signal

import autograd
import nn
from autograd.errors import ShapeError
from tests.nn import oracles

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=40, deadline=None)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def distinct(seed, *shape):
    """Values at least 0.01 apart and from 0, so that no kink and no tie is near."""
    size = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(size).reshape(shape) - size // 2 + 0.5) / 50


@st.composite
def convolutions(draw, dims):
    """Sizes of a convolution: of the layer, of its groups, and of an input that need not divide evenly."""
    groups = draw(st.integers(1, 3))
    return {
        "channels": groups * draw(st.integers(1, 2)),
        "filters": groups * draw(st.integers(1, 2)),
        "kernel": tuple(draw(st.integers(1, 3)) for _ in range(dims)),
        "stride": tuple(draw(st.integers(1, 3)) for _ in range(dims)),
        "dilation": tuple(draw(st.integers(1, 2)) for _ in range(dims)),
        "padding": tuple(draw(st.integers(0, 2)) for _ in range(dims)),
        "spatial": tuple(draw(st.integers(1, 7 if dims < 3 else 4)) for _ in range(dims)),
        "groups": groups,
        "bias": draw(st.booleans()),
        "batch": draw(st.integers(1, 3)),
        "seed": draw(seeds),
    }


# ---------------------------------------------------------------------------------------------------- convolution


@pytest.mark.parametrize("dims", [1, 2, 3])
@given(data=st.data())
@few
def test_convolution_equals_the_loop(dims, data):
    c = data.draw(convolutions(dims))
    spans = [d * (r - 1) for d, r in zip(c["dilation"], c["kernel"], strict=True)]
    padding = data.draw(st.sampled_from([c["padding"], "valid", "same"]))
    stride = (1,) * dims if padding == "same" else c["stride"]
    margins = {
        "valid": [(0, 0)] * dims,
        "same": [(s // 2, s - s // 2) for s in spans],
    }.get(padding, [(p, p) for p in c["padding"]])  # fmt: skip
    assume(all(n + a + b > s for n, (a, b), s in zip(c["spatial"], margins, spans, strict=True)))
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
    layer = kind(c["channels"], c["filters"], c["kernel"], stride, padding, c["dilation"], c["groups"], c["bias"])
    x = normal(c["seed"], c["batch"], c["channels"], *c["spatial"])

    def loop(x, weight, bias=None):
        return oracles.conv(x, weight, bias, stride=stride, margins=margins, dilation=c["dilation"], groups=c["groups"])

    oracles.assert_agrees(layer, loop, x, seed=c["seed"])
    assert tuple(layer.margins) == tuple(margins)


@pytest.mark.parametrize("dims", [1, 2])
@given(data=st.data())
@few
def test_transposed_convolution_equals_the_loop(dims, data):
    c = data.draw(convolutions(dims))
    extra = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(c["stride"], c["dilation"], strict=True))
    sizes = zip(c["spatial"], c["stride"], c["dilation"], c["kernel"], c["padding"], extra, strict=True)
    assume(all((n - 1) * s + d * (r - 1) + 1 + o - 2 * p > 0 for n, s, d, r, p, o in sizes))
    kind = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}[dims]
    layer = kind(
        c["channels"],
        c["filters"],
        c["kernel"],
        c["stride"],
        c["padding"],
        extra,
        c["groups"],
        c["bias"],
        c["dilation"],
    )
    x = normal(c["seed"], c["batch"], c["channels"], *c["spatial"])

    def loop(x, weight, bias=None):
        how = {name: c[name] for name in ("stride", "padding", "dilation", "groups")}
        return oracles.conv_transpose(x, weight, bias, output_padding=extra, **how)

    oracles.assert_agrees(layer, loop, x, seed=c["seed"])


def test_one_filter_is_scipys_correlation():
    layer = nn.Conv2d(1, 1, (3, 5), bias=False).double()
    x = normal(0, 9, 12)
    expected = signal.correlate2d(x, layer.weight.detach().numpy()[0, 0], mode="valid")
    np.testing.assert_allclose(layer(autograd.tensor(x[None])).detach().numpy()[0], expected)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode):
    numpys = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    layer = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode)

    def loop(x, weight, bias):
        x = np.pad(x, [(0, 0), (0, 0), (1, 1), (2, 2)], mode=numpys)
        return oracles.conv(x, weight, bias, stride=(1, 1), margins=[(0, 0)] * 2, dilation=(1, 1), groups=1)

    oracles.assert_agrees(layer, loop, normal(1, 2, 2, 5, 6))


def test_output_size_chooses_among_the_possible_ones():
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = autograd.zeros((1, 2, 4, 4))
    assert layer(x).shape == (1, 3, 7, 7)
    assert layer(x, output_size=(8, 7)).shape == (1, 3, 8, 7)
    with pytest.raises(ShapeError, match=r"output_size is \(9, 7\), but from \(4, 4\) the sizes \(7, 7\) to \(8, 8\)"):
        layer(x, output_size=(9, 7))


# ---------------------------------------------------------------------------------------------------- pooling


@pytest.mark.parametrize(("kind", "dims"), [("max", 1), ("max", 2), ("avg", 1), ("avg", 2)])
@given(data=st.data())
@few
def test_pooling_equals_the_loop(kind, dims, data):
    sizes = [data.draw(st.integers(1, 3)) for _ in range(dims)]
    how = {
        "kernel": sizes,
        "stride": [data.draw(st.integers(1, 3)) for _ in range(dims)],
        "padding": [data.draw(st.integers(0, size // 2)) for size in sizes],
        "dilation": [data.draw(st.integers(1, 2)) if kind == "max" else 1 for _ in range(dims)],
        "ceil_mode": data.draw(st.booleans()),
    }
    spatial = [data.draw(st.integers(1, 8)) for _ in range(dims)]
    spans = [d * (k - 1) for d, k in zip(how["dilation"], sizes, strict=True)]
    assume(all(n + 2 * p > s for n, p, s in zip(spatial, how["padding"], spans, strict=True)))
    # With dilation a window may have all its taps in the padding; there is no largest value then.
    assume(kind == "avg" or not any(p and d > 1 for p, d in zip(how["padding"], how["dilation"], strict=True)))
    x = distinct(data.draw(seeds), data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3)), *spatial)
    if kind == "max":
        layer = [nn.MaxPool1d, nn.MaxPool2d][dims - 1](
            sizes, how["stride"], how["padding"], how["dilation"], ceil_mode=how["ceil_mode"]
        )
    else:
        how["count_include_pad"] = data.draw(st.booleans())
        layer = [nn.AvgPool1d, nn.AvgPool2d][dims - 1](
            sizes, how["stride"], how["padding"], how["ceil_mode"], how["count_include_pad"]
        )
    oracles.assert_agrees(layer, lambda x: oracles.pool(x, kind, **how), x)


@pytest.mark.parametrize(("kind", "dims"), [("max", 1), ("max", 2), ("avg", 1), ("avg", 2)])
@given(data=st.data())
@few
def test_adaptive_pooling_equals_the_loop(kind, dims, data):
    spatial = [data.draw(st.integers(1, 7)) for _ in range(dims)]
    wanted = [data.draw(st.one_of(st.none(), st.integers(1, 7))) for _ in range(dims)]
    sizes = [n if want is None else want for n, want in zip(spatial, wanted, strict=True)]
    layer = getattr(nn, f"Adaptive{kind.title()}Pool{dims}d")(wanted)
    oracles.assert_agrees(
        layer, lambda x: oracles.adaptive_pool(x, kind, sizes), distinct(data.draw(seeds), 2, 2, *spatial)
    )


def test_maximum_of_negative_values_at_the_border_is_not_zero():
    assert nn.MaxPool2d(3, 1, 1)(autograd.full((1, 1, 2, 2), -5.0)).numpy().max() == -5


# ---------------------------------------------------------------------------------------------------- normalisation


@given(data=st.data())
@few
def test_batch_norm_equals_the_formula_and_tracks(data):
    spatial = data.draw(st.sampled_from([(), (3,), (2, 3)]))
    channels, affine = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    momentum = data.draw(st.sampled_from([None, 0.1, 0.7]))
    track, seed = data.draw(st.booleans()), data.draw(seeds)
    kind = nn.BatchNorm2d if len(spatial) == 2 else nn.BatchNorm1d
    layer = kind(channels, eps=1e-3, momentum=momentum, affine=affine, track_running_stats=track)
    if affine:
        nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    over = (0, *range(2, 2 + len(spatial)))
    column = (slice(None), *[None] * len(spatial))

    def formula(x, weight=None, bias=None, mean=None, var=None):
        arrays = [None if a is None else a[column] for a in (weight, bias)]
        statistics = [None if a is None else a[column] for a in (mean, var)]
        return oracles.normalise(x, over, *arrays, 1e-3, *statistics)

    means, variances = np.zeros(channels), np.ones(channels)
    for step in range(1, 4):
        x = 1 + 3 * normal(seed + step, 4, channels, *spatial)
        oracles.assert_agrees(layer, formula, x, rtol=1e-5)
        rate = 1 / step if momentum is None else momentum
        means = (1 - rate) * means + rate * x.mean(axis=over)
        variances = (1 - rate) * variances + rate * x.var(axis=over, ddof=1)
    layer.eval()
    if track:
        np.testing.assert_allclose(layer.running_mean.numpy(), means)
        np.testing.assert_allclose(layer.running_var.numpy(), variances)
        assert layer.num_batches_tracked.item() == 3
        oracles.assert_agrees(layer, lambda x, weight=None, bias=None: formula(x, weight, bias, means, variances), x)
        layer.reset_running_stats()
        assert layer.num_batches_tracked.item() == 0 and not layer.running_mean.numpy().any()
    else:
        assert list(layer.buffers()) == []
        oracles.assert_agrees(layer, formula, x, rtol=1e-5)


def test_batch_norm_keeps_a_graph_of_the_running_statistics_valid():
    layer = nn.BatchNorm1d(2).eval()
    x = autograd.tensor(normal(0, 4, 2), requires_grad=True)
    out = layer(x)
    layer.train()(autograd.tensor(normal(1, 4, 2)))
    out.sum().backward()


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(1, 3), st.booleans(), st.booleans(), seeds)
@few
def test_layer_norm_equals_the_formula(shape, count, affine, bias, seed):
    tail = shape[-min(count, len(shape) - 1) :]
    assume(np.prod(tail) > 1)
    layer = nn.LayerNorm(tail, eps=1e-3, elementwise_affine=affine, bias=bias)
    over = tuple(range(-len(tail), 0))
    oracles.assert_agrees(
        layer,
        lambda x, weight=None, bias=None: oracles.normalise(x, over, weight, bias, 1e-3),
        normal(seed, *shape),
        rtol=1e-5,
    )


@given(st.integers(1, 3), st.integers(1, 2), st.sampled_from([(2,), (3,), (2, 3), (1, 2, 2)]), st.booleans(), seeds)
@few
def test_group_norm_equals_the_formula(groups, width, spatial, affine, seed):
    layer = nn.GroupNorm(groups, groups * width, eps=1e-3, affine=affine)
    column = (slice(None), *[None] * len(spatial))

    def formula(x, weight=None, bias=None):
        split = x.reshape(len(x), groups, width, *spatial)
        out = oracles.normalise(split, tuple(range(2, split.ndim)), None, None, 1e-3).reshape(x.shape)
        return out if weight is None else out * weight[column] + bias[column]

    oracles.assert_agrees(layer, formula, normal(seed, 2, groups * width, *spatial), rtol=1e-5)


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([(), (2,), (2, 2)]), seeds)
@few
def test_local_response_norm_equals_the_loop(size, channels, spatial, seed):
    layer = nn.LocalResponseNorm(size, alpha=0.3, beta=0.6, k=2.0)
    oracles.assert_agrees(
        layer, lambda x: oracles.local_response_norm(x, size, 0.3, 0.6, 2.0), normal(seed, 2, channels, *spatial)
    )


# ---------------------------------------------------------------------------------------------------- activations

VARIANTS = [
    *((name, {}) for name in oracles.ACTIVATIONS),
    ("LeakyReLU", {"negative_slope": 0.3}), ("ELU", {"alpha": 2.0}), ("CELU", {"alpha": 0.5}),
    ("GELU", {"approximate": "tanh"}), ("Hardtanh", {"min_val": -0.2, "max_val": 2.0}), ("Softplus", {"beta": 3.0}),
    ("Softmax", {"dim": 1}), ("LogSoftmax", {"dim": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_activation_equals_the_formula(name, arguments):
    x = distinct(3, 5, 6, 7) * 2 + 0.003
    layer = getattr(nn, name)(**arguments)
    oracles.assert_agrees(layer, lambda x: oracles.ACTIVATIONS[name](x, **arguments), x, rtol=1e-5)
    assert all(f"{key}={value!r}" in repr(layer) for key, value in arguments.items())


def test_activations_take_pytorchs_positions_and_inplace():
    assert nn.LeakyReLU(0.2, True).negative_slope == 0.2
    assert repr(nn.ReLU(inplace=True)) == "ReLU()"
    with pytest.raises(TypeError, match=r"ELU\(alpha=1.0, inplace=False\): got an unexpected keyword argument 'slope'"):
        nn.ELU(slope=1)
    with pytest.raises(TypeError, match="too many positional arguments"):
        nn.ReLU(False, 3)


@given(st.sampled_from([(3, 4), (2, 4, 3), (2, 4, 3, 2)]), st.booleans(), seeds)
@few
def test_prelu_equals_the_formula(shape, each, seed):
    layer = nn.PReLU(4 if each else 1, init=0.1)
    column = (slice(None), *[None] * (len(shape) - 2))
    oracles.assert_agrees(layer, lambda x, weight: np.where(x > 0, x, x * weight[column]), distinct(seed, *shape))


# ---------------------------------------------------------------------------------------------------- linear, reshaping


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 4), st.booleans(), seeds)
@few
def test_linear_equals_the_formula(shape, features, bias, seed):
    layer = nn.Linear(shape[-1], features, bias=bias)
    oracles.assert_agrees(layer, lambda x, weight, bias=0.0: x @ weight.T + bias, normal(seed, *shape))


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.data())
@few
def test_flatten_and_unflatten_are_inverse(shape, data):
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    x = autograd.tensor(normal(0, *shape))
    flat = nn.Flatten(start, end - len(shape))(x)
    assert flat.shape == (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :])
    part = shape[start : end + 1]
    back = nn.Unflatten(start, [-1, *part[1:]])(flat)
    assert np.array_equal(back.numpy(), x.numpy())


# ---------------------------------------------------------------------------------------------------- dropout


def test_dropout_scales_what_it_keeps_and_repeats_after_the_same_seed():
    x = autograd.tensor(1 + normal(0, 200, 100) ** 2, requires_grad=True)

    def run(seed):
        x.grad = None
        out = nn.Dropout(0.3, generator=autograd.random.Generator(seed))(x)
        out.sum().backward()
        return out.detach().numpy(), x.grad.numpy()

    out, grad = run(7)
    kept = out != 0
    np.testing.assert_allclose(out[kept], x.detach().numpy()[kept] / 0.7)
    np.testing.assert_allclose(grad, kept / 0.7)
    assert abs(kept.mean() - 0.7) < 0.02
    assert np.array_equal(out, run(7)[0]) and not np.array_equal(out, run(8)[0])
    assert nn.Dropout(0.3).eval()(x) is x and nn.Dropout(0.0)(x) is x
    assert not nn.Dropout(1.0)(x).detach().numpy().any()


def test_dropout2d_drops_whole_channels():
    x = autograd.ones((40, 50, 2, 3))
    out = nn.Dropout2d(0.25)(x).numpy()
    first = out[..., 0, 0]
    assert (out == first[..., None, None]).all()
    assert abs((first == 0).mean() - 0.25) < 0.05 and np.allclose(first[first != 0], 1 / 0.75)
    assert nn.Dropout2d(0.25)(autograd.ones((5, 2, 3))).shape == (5, 2, 3)


# ---------------------------------------------------------------------------------------------------- embedding


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.one_of(st.none(), st.integers(-5, 4)), seeds)
@few
def test_embedding_looks_up_and_spares_the_padding(indices, padding, seed):
    layer = nn.Embedding(5, 3, padding_idx=padding).double()
    g = normal(seed, len(indices), 3)
    out = layer(autograd.tensor(indices))
    assert np.array_equal(out.detach().numpy(), layer.weight.detach().numpy()[indices])
    out.backward(autograd.tensor(g))
    expected = np.zeros((5, 3))
    for index, row in zip(indices, g, strict=True):
        expected[index] += row if padding is None or index != padding % 5 else 0
    np.testing.assert_allclose(layer.weight.grad.numpy(), expected)
    if padding is not None:
        assert not layer.weight.detach().numpy()[padding].any()


def test_pretrained_embedding():
    table = normal(0, 4, 2)
    assert not nn.Embedding.from_pretrained(table).weight.requires_grad
    layer = nn.Embedding.from_pretrained(table, freeze=False, padding_idx=1)
    assert np.array_equal(layer(autograd.tensor([1, 3])).detach().numpy(), table[[1, 3]])
    assert layer.weight.requires_grad and repr(layer) == "Embedding(4, 2, padding_idx=1)"
