"""Weights under other keys and in other layouts: a table of what fits, and all or nothing loaded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import DataError, DomainError

sizes = st.integers(1, 4)


def loaded(layer, weight):
    nn.match(layer, {"weight": weight}, layout="HWIO").load(strict=False)
    return layer


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@given(sizes, sizes, st.tuples(sizes, sizes), st.integers(0, 9))
def test_keras_filters_compute_what_they_did(inputs, outputs, space, seed):
    kernel, x = numbers(seed, *space, inputs, outputs), numbers(seed + 1, 1, inputs, 5, 6)
    layer = loaded(nn.Conv2d(inputs, outputs, space, bias=False).double(), kernel)
    out = layer(autograd.tensor(x)).detach().numpy()
    for p, q in np.ndindex(out.shape[2:]):  # Keras: images and kernels channels last
        patch = x[0, :, p : p + space[0], q : q + space[1]].transpose(1, 2, 0)
        np.testing.assert_allclose(out[0, :, p, q], np.tensordot(patch, kernel, 3), atol=1e-12)


@given(sizes, sizes, st.tuples(sizes, sizes), st.integers(0, 9))
def test_keras_depthwise_filters(channels, multiplier, space, seed):
    kernel, x = numbers(seed, *space, channels, multiplier), numbers(seed + 1, 1, channels, 5, 6)
    conv = nn.Conv2d(channels, channels * multiplier, space, groups=channels, bias=False).double()
    out = loaded(conv, kernel)(autograd.tensor(x)).detach().numpy()
    for c, m in np.ndindex(channels, multiplier):
        expected = (x[0, c, : space[0], : space[1]] * kernel[:, :, c, m]).sum()
        np.testing.assert_allclose(out[0, c * multiplier + m, 0, 0], expected, atol=1e-12)


@given(sizes, sizes, st.tuples(sizes, sizes), st.integers(0, 9))
def test_keras_transposed_convolution(inputs, outputs, space, seed):
    kernel, x = numbers(seed, *space, outputs, inputs), numbers(seed + 1, 1, inputs, 2, 2)
    layer = loaded(nn.ConvTranspose2d(inputs, outputs, space, stride=space, bias=False).double(), kernel)
    out = layer(autograd.tensor(x)).detach().numpy()  # stride = size: every pixel paints a patch of its own
    for i, j in np.ndindex(2, 2):
        patch = out[0, :, i * space[0] : (i + 1) * space[0], j * space[1] : (j + 1) * space[1]]
        np.testing.assert_allclose(patch, np.einsum("hwoi,i->ohw", kernel, x[0, :, i, j]), atol=1e-12)


@given(sizes, sizes, st.integers(0, 9))
def test_matrices_and_recurrent_kernels_are_turned(inputs, outputs, seed):
    kernel, x = numbers(seed, inputs, outputs), numbers(seed + 1, 3, inputs)
    layer = loaded(nn.Linear(inputs, outputs, bias=False).double(), kernel)
    np.testing.assert_allclose(layer(autograd.tensor(x)).detach().numpy(), x @ kernel, atol=1e-12)
    cell = nn.LSTM(inputs, 2)
    found = nn.match(
        cell, {"weight_ih_l0": numbers(seed, inputs, 8), "weight_hh_l0": numbers(seed, 2, 8)}, layout="HWIO"
    )
    assert found.misshaped == [] and found.missing == ["bias_ih_l0", "bias_hh_l0"]


@given(st.integers(1, 3), st.sampled_from([nn.Conv1d, nn.Conv2d, nn.Conv3d]))
def test_any_number_of_dimensions(inputs, kind):
    conv = kind(inputs, 4, 2)
    kernel = conv.weight.detach().numpy()
    rank = kernel.ndim
    keras = kernel.transpose((*range(2, rank), 1, 0))
    np.testing.assert_array_equal(nn.match(conv, {"weight": keras}, layout="HWIO").state["weight"], kernel)


def test_what_is_no_kernel_stays():
    model = nn.Sequential(nn.Embedding(5, 3), nn.LayerNorm((3, 4)), nn.PReLU(4))
    state = model.state_dict()
    found = nn.match(model, state, layout="HWIO")
    assert all(found.state[key] is value for key, value in state.items())


def test_nested_states_are_flattened_and_renamed():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = {"module": {f"{i}.{key}": value for i in (0, 1) for key, value in model[i].state_dict().items()}, "lr": 0.1}
    found = nn.match(model, state, {r"module\.(.*)": r"\1", "lr": None})
    assert (found.missing, found.unexpected, found.misshaped) == ([], [], [])
    assert found.sources["1.bias"] == "module.1.bias"
    by_function = nn.match(model, state, lambda key: key.removeprefix("module.") if key != "lr" else None)
    assert by_function.state == found.state
    assert repr(found.load()) == "<All keys matched successfully>"


def test_the_first_pattern_that_matches_the_whole_key_counts():
    layer = nn.Linear(1, 1)
    found = nn.match(layer, {"weights": [1, 2]}, {"weight": "wrong", r"weights\.0": "weight", r"weights\..": "bias"})
    assert found.sources == {"weight": "weights.0", "bias": "weights.1"}


def test_the_report_and_nothing_half_loaded():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    state = {"0.weight": np.ones((3, 2)), "0.bias": np.ones(4), "1.weight": np.ones(3), "head": np.ones((2, 2))}
    found = nn.match(model, state)
    assert found.missing == ["1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert found.unexpected == ["head"] and found.misshaped == ["0.bias"]
    lines = str(found).splitlines()
    assert len(lines) == 1 + len(before) + 1
    assert "0.bias                 3      0.bias    has shape 4" in lines
    assert "1.bias                 3      –         missing" in lines
    assert "head                   –      head      unexpected" in lines
    for strict in (True, False):
        with pytest.raises(DataError, match=r"nothing was loaded[^→]*shape: 0\.bias has shape \(4,\)"):
            found.load(strict)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_a_matrix_in_the_wrong_layout_is_seen():
    found = nn.match(nn.Conv2d(3, 8, 5), {"weight": np.zeros((5, 5, 3, 8))})
    assert found.misshaped == ["weight"]
    with pytest.raises(DomainError, match="layout is 'NHWC', expected one of 'OIHW', 'HWIO'"):
        nn.match(nn.Linear(1, 1), {}, layout="NHWC")


def test_two_keys_that_become_one():
    with pytest.raises(DataError, match="a and b both become weight → change rename"):
        nn.match(nn.Linear(1, 1), {"a": 1, "b": 2}, {"a|b": "weight"})
