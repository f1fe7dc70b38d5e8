"""Padding and packing sequences, and wrong calls of recurrent layers, cells and `nn.utils.rnn`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import DomainError, DTypeError, ShapeError
from nn.utils.rnn import (
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

every_kind = pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])

sequences = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(
    lambda sizes: [np.arange(n * 2.0).reshape(n, 2) + 10 * k for k, n in enumerate(sizes)]
)


@given(sequences, st.booleans(), st.sampled_from([0.0, -1.0]))
@settings(max_examples=30, deadline=None)
def test_packing_and_padding_are_undone(parts, batch_first, value):
    ts = [autograd.tensor(p, requires_grad=True) for p in parts]
    padded = pad_sequence(ts, batch_first, value)
    rows = padded.detach().numpy() if batch_first else padded.detach().numpy().swapaxes(0, 1)
    left = pad_sequence(ts, True, value, "left").detach().numpy()
    for row, mirrored, part in zip(rows, left, parts, strict=True):
        np.testing.assert_array_equal(row[: len(part)], part)
        np.testing.assert_array_equal(mirrored[len(row) - len(part) :], part)
        assert (row[len(part) :] == value).all() and (mirrored[: len(row) - len(part)] == value).all()
    lengths = autograd.tensor([len(p) for p in parts])
    packed = pack_padded_sequence(padded, lengths, batch_first, enforce_sorted=False)
    again, found = pad_packed_sequence(packed, batch_first, value, total_length=max(map(len, parts)) + 1)
    assert found.tolist() == lengths.tolist()
    again_rows = again.detach().numpy() if batch_first else again.detach().numpy().swapaxes(0, 1)
    np.testing.assert_array_equal(again_rows[:, :-1], rows)
    assert (again_rows[:, -1] == value).all()
    for back in (unpad_sequence(padded, lengths, batch_first), unpack_sequence(packed),
                 unpack_sequence(pack_sequence(ts, enforce_sorted=False))):  # fmt: skip
        for a, part in zip(back, parts, strict=True):
            np.testing.assert_array_equal(a.detach().numpy(), part)
    (again * again).sum().backward()
    for t, part in zip(ts, parts, strict=True):
        np.testing.assert_array_equal(t.grad.numpy(), 2 * part)
    assert (np.diff(packed.batch_sizes.numpy()) <= 0).all() and packed.to("float32").data.dtype.name == "float32"


# ---------------------------------------------------------------------------------------------------- wrong calls


@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ([2, 3], DomainError, r"lengths is \[2, 3\], which does not descend → sort .* enforce_sorted=False"),
        ([5, 2], DomainError, r"lengths is \[5, 2\] .* N=2 sequences of T=4 steps → give 2 integers from 1 to 4"),
        ([4, 0], DomainError, r"lengths is \[4, 0\]"), ([4, -1], DomainError, r"lengths is \[4, -1\]"),
        ([4], DomainError, r"lengths is \[4\] but there are N=2"),
        ([], DomainError, r"lengths is \[\] but"), ([4.0, 2], DTypeError, ".* expected a list of int"),
        (3, DTypeError, "lengths is 3"),
    ],
)  # fmt: skip
def test_lengths_are_explained(lengths, error, words):
    with pytest.raises(error, match=f"^pack_padded_sequence: {words}"):
        pack_padded_sequence(autograd.zeros((4, 2, 3)), lengths)
    if "descend" not in words:
        with pytest.raises(error, match="lengths is"):
            nn.GRU(3, 2)(autograd.zeros((4, 2, 3)), lengths=lengths)


@every_kind
@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((0, 2, 3), r"T=0 time steps, expected at least 1"),
        ((4, 2, 5), r"the last axis is 5 but input_size=3"),
        ((4, 2, 1, 3), r"4 axes, expected 3 \(T N D\) or 2 \(T D\)"),
        ((3,), r"1 axes, expected 3"),
    ],
)
def test_inputs_are_explained(kind, shape, words):
    with pytest.raises(ShapeError, match=rf"^{kind}: x has shape .*{words}"):
        getattr(nn, kind)(3, 2)(autograd.zeros(shape))


@every_kind
def test_states_are_explained(kind):
    layer, x = getattr(nn, kind)(3, 2, num_layers=2, bidirectional=True), autograd.zeros((4, 5, 3))
    name = "h_0" if kind == "LSTM" else "hx"

    def states(*shape):
        h = autograd.zeros(shape)
        return (h, h) if kind == "LSTM" else h

    expected = r"expected \(4, 5, 2\): num_layers × directions = 2 × 2, N=5, hidden_size=2"
    for wrong in ((2, 5, 2), (4, 6, 2), (4, 5, 3), (4, 2)):
        found = str(wrong).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(ShapeError, match=f"^{kind}: {name} has shape {found}, {expected}"):
            layer(x, states(*wrong))
    with pytest.raises(ShapeError, match=r"expected \(4, 2\): num_layers × directions = 2 × 2, hidden_size=2"):
        layer(x[:, 0], states(4, 1, 2))
    with pytest.raises(ShapeError, match=r"expected \(4, 3, 2\): .* N=3"):
        layer(pack_padded_sequence(x[:, :3], [4, 2, 1]), states(4, 5, 2))
    with pytest.raises(DomainError, match=r"lengths is \[4, 2\], but x is packed and has its own \[4, 1\] → leave"):
        layer(pack_padded_sequence(x[:, :2], [4, 1]), lengths=[4, 2])
    with pytest.raises(ShapeError, match=r"x has shape \(5, 2\): the last axis is 2 but input_size=3"):
        layer(pack_padded_sequence(x[:, :2, :2], [4, 1]))
    with pytest.raises(ShapeError, match=r"packed with data of shape \(5, 1, 3\): 3 axes, expected 2"):
        layer(pack_padded_sequence(x[:, :2, None], [4, 1]))
    cell = getattr(nn, kind + "Cell")(3, 2)
    with pytest.raises(ShapeError, match=rf"{kind}Cell: {name} has shape \(4, 2\), expected \(5, 2\)"):
        cell(x[0], states(4, 2))
    with pytest.raises(ShapeError, match="3 axes, expected 2"):
        cell(x)
    with pytest.raises(ShapeError, match="the last axis is 2 but input_size=3"):
        cell(x[0, :, :2])


def test_other_wrong_calls_are_explained():
    for wrong in ({"hidden_size": 0}, {"input_size": 0}, {"num_layers": 0}, {"truncate": 0}, {"hidden_size": 2.5},
                  {"num_layers": (2,)}, {"input_size": "LSTM"}):  # fmt: skip
        with pytest.raises(DomainError, match=f"GRU: {next(iter(wrong))} is .*expected an integer of at least 1"):
            nn.GRU(**{"input_size": 3, "hidden_size": 2, **wrong})
    for make in (nn.RNN, nn.RNNCell):
        with pytest.raises(DomainError, match=r"nonlinearity is 'sin', expected one of tanh, relu"):
            make(3, 2, nonlinearity="sin")
    with pytest.raises(DomainError, match=r"LSTM: proj_size is 1, .* leave it 0"):
        nn.LSTM(3, 2, proj_size=1)
    for dropout in (1.5, float("nan"), "half"):
        with pytest.raises(DomainError, match=f"dropout={dropout!r}, expected a probability"):
            nn.GRU(3, 2, 2, dropout=dropout)
    for module in (nn.RNN(3, 2), nn.RNNCell(3, 2)):
        with pytest.raises(DTypeError, match="x is a list, expected a tensor"):
            module([[0.0, 0.0, 0.0]])
        with pytest.raises(DTypeError, match="hx is a list, expected a tensor"):
            module(autograd.zeros((1, 3)), [[0.0, 0.0]])
    for lstm in (nn.LSTM(3, 2), nn.LSTMCell(3, 2)):
        with pytest.raises(DTypeError, match=r"hx is a Tensor, expected the pair \(h_0, c_0\)"):
            lstm(autograd.zeros((1, 3)), autograd.zeros((1, 2)))
    with pytest.raises(DTypeError, match="sequence is a Tensor, expected a PackedSequence"):
        pad_packed_sequence(autograd.zeros((2, 2)))
    with pytest.raises(DTypeError, match="input is a list, expected a tensor"):
        pack_padded_sequence([[1.0]], [1])
    with pytest.raises(ShapeError, match=r"input has shape \(3,\): 1 axes, expected at least 2"):
        pack_padded_sequence(autograd.zeros(3), [3])
    with pytest.raises(DomainError, match="sequences is empty"):
        pad_sequence([])
    with pytest.raises(ShapeError, match=r"a sequence has shape \(2, 3\) but the first \(2, 2\)"):
        pad_sequence([autograd.zeros((2, 2)), autograd.zeros((2, 3))])
    with pytest.raises(DomainError, match="padding_side is 'up'"):
        pad_sequence([autograd.zeros((2, 2))], padding_side="up")
    with pytest.raises(DomainError, match="total_length is 1 but the longest sequence has 2 steps"):
        pad_packed_sequence(pack_sequence([autograd.zeros((2, 2))]), total_length=1)
    with pytest.raises(DomainError, match=r"total_length is 3.0 .* give an integer of at least 2"):
        pad_packed_sequence(pack_sequence([autograd.zeros((2, 2))]), total_length=3.0)
    with pytest.raises(DomainError, match=r"input has shape \(4, 0, 3\), N=0 sequences"):
        pack_padded_sequence(autograd.zeros((4, 0, 3)), [])
    with pytest.raises(ShapeError, match=r"unpad_sequence: padded_sequences has shape \(3,\): 1 axes, .* T N"):
        unpad_sequence(autograd.zeros(3), [3])
    with pytest.raises(DTypeError, match="sequences is a NoneType, expected a list"):
        pad_sequence(None)
    with pytest.raises(ShapeError, match=r"a sequence has shape \(\): 0 axes"):
        pad_sequence([autograd.tensor(1.0)])


def test_clipping_is_that_of_the_optimisers():
    assert nn.utils.clip_grad_norm_ is nn.optim.clip_grad_norm_
    assert nn.utils.rnn.pad_sequence is pad_sequence
