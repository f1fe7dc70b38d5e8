"""Recurrent layers against plain loops in NumPy, batches of different lengths, and what is drawn and counted."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from autograd.core.sweep import reachable
from autograd.testing import assert_gradients
from nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
few = settings(max_examples=30, deadline=None)
names = st.sampled_from(sorted(GATES))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(kind, x, states, w_ih, w_hh, b_ih, b_hh, relu=False):
    """One step for one row, by the papers' formulas."""
    h, H = states[0], len(states[0])
    of_x, of_h = w_ih @ x + b_ih, w_hh @ h + b_hh
    if kind == "RNN":
        total = of_x + of_h
        return [np.maximum(total, 0) if relu else np.tanh(total)]
    part = [slice(k * H, (k + 1) * H) for k in range(4)]
    if kind == "GRU":
        r, z = (sigmoid(of_x[part[k]] + of_h[part[k]]) for k in (0, 1))
        n = np.tanh(of_x[part[2]] + r * of_h[part[2]])
        return [(1 - z) * n + z * h]
    i, f, o = (sigmoid(of_x[part[k]] + of_h[part[k]]) for k in (0, 1, 3))
    c = f * states[1] + i * np.tanh(of_x[part[2]] + of_h[part[2]])
    return [o * np.tanh(c), c]


def loop(layer, x, states, weights):
    """A whole layer for one sequence (T, D): the outputs and the last states (layers·directions, H)."""
    kind, last = type(layer).__name__, []
    for level in range(layer.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 1 + layer.bidirectional]:
            w = [weights.get(f"{n}_l{level}{suffix}", 0.0) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            now, out = [s[len(last)] for s in states], {}
            for t in reversed(range(len(x))) if suffix else range(len(x)):
                now = step(kind, x[t], now, *w, relu=getattr(layer, "nonlinearity", "") == "relu")
                out[t] = now[0]
            outputs.append(np.stack([out[t] for t in range(len(x))]))
            last.append(now)
        x = np.concatenate(outputs, axis=-1)
    return x, [np.stack(s) for s in zip(*last, strict=True)]


@st.composite
def drawn(draw):
    """A layer, a batch (T N D) with lengths, and initial states."""
    kind = draw(names)
    D, H, T, N = (draw(st.integers(1, 4)) for _ in range(4))
    how = {"num_layers": draw(st.integers(1, 3)), "bidirectional": draw(st.booleans()), "bias": draw(st.booleans()),
           "batch_first": draw(st.booleans())}  # fmt: skip
    if kind == "RNN":
        how["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    layer = getattr(nn, kind)(D, H, dtype="float64", **how)
    lengths = [draw(st.integers(1, T)) for _ in range(N - 1)] + [T]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    states = [rng.normal(size=(layer.num_layers * len(layer.directions), N, H)) for _ in layer.state_names]
    return layer, rng.normal(size=(T, N, D)), lengths, states


def together(layer, states):
    return tuple(states) if len(states) == 2 else states[0]


def tensors(states):
    return [autograd.tensor(s) for s in states]


@given(drawn())
@few
def test_layers_equal_the_loop(case):
    layer, x, lengths, states = case
    weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    given_ = autograd.tensor(x.swapaxes(0, 1) if layer.batch_first else x)
    output, last = layer(given_, together(layer, tensors(states)), lengths=lengths)
    output = output.detach().numpy()
    output = output.swapaxes(0, 1) if layer.batch_first else output
    for n, length in enumerate(lengths):
        out, ends = loop(layer, x[:length, n], [s[:, n] for s in states], weights)
        np.testing.assert_allclose(output[:length, n], out, rtol=1e-10, atol=1e-12)
        assert not output[length:, n].any()
        for state, end in zip(last if len(states) == 2 else [last], ends, strict=True):
            np.testing.assert_allclose(state.detach().numpy()[:, n], end, rtol=1e-10, atol=1e-12)
    alone, ends = layer(autograd.tensor(x[:, -1]), together(layer, tensors([s[:, -1] for s in states])))
    np.testing.assert_allclose(alone.detach().numpy(), output[:, -1], rtol=1e-12)  # without N, batch_first or not
    assert (ends[0] if len(states) == 2 else ends).shape == states[0].shape[::2]


@given(drawn())
@few
def test_packed_is_padded(case):
    layer, x, lengths, states = case
    layer.batch_first = False
    order = np.argsort([-n for n in lengths], kind="stable")
    x_, g = autograd.tensor(x, requires_grad=True), np.random.default_rng(0).normal(size=x.shape[:2])[..., None]
    hx = tensors(states)
    packed = pack_padded_sequence(x_, lengths, enforce_sorted=False)
    assert isinstance(packed, PackedSequence) and packed.data.shape == (sum(lengths), x.shape[2])
    output, last = layer(packed, together(layer, hx))
    assert isinstance(output, PackedSequence)
    padded, found = pad_packed_sequence(output)
    expected, expected_last = layer(x_, together(layer, hx), lengths=lengths)
    assert found.tolist() == lengths
    np.testing.assert_allclose(padded.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    for a, b in zip(last if len(states) == 2 else [last], expected_last if len(states) == 2 else [expected_last],
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)
    leaves = [x_, *layer.parameters()]
    for a, b in zip(autograd.gradients((padded * g).sum(), leaves), autograd.gradients((expected * g).sum(), leaves),
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
    again, _ = layer(pack_padded_sequence(autograd.tensor(x[:, order]), [lengths[n] for n in order]),
                     together(layer, [s[:, order] for s in hx]))  # fmt: skip
    assert again.sorted_indices is None
    np.testing.assert_allclose(again.data.detach().numpy(), output.data.detach().numpy(), rtol=1e-12)


@given(names, st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_a_cell_is_one_step_of_the_layer(kind, seed):
    D, H, N = (int(n) for n in np.random.default_rng(seed).integers(1, 4, 3))
    layer, cell = getattr(nn, kind)(D, H), getattr(nn, kind + "Cell")(D, H, bias=True)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x = autograd.normal((N, D))
    after, (_, last) = cell(x), layer(x[None])
    for a, b in zip([after] if kind != "LSTM" else after, [last] if kind != "LSTM" else last, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy()[0], rtol=1e-6, atol=1e-7)
    alone = cell(x[0], after[0] if kind != "LSTM" else tuple(s[0] for s in after))
    batch = cell(x, after)
    np.testing.assert_allclose((alone[0] if kind == "LSTM" else alone).detach().numpy(),
                               (batch[0] if kind == "LSTM" else batch).detach().numpy()[0], rtol=1e-5)  # fmt: skip


@pytest.mark.parametrize("kind", GATES)
def test_gradients_of_any_order_through_layers(kind):
    layer = getattr(nn, kind)(2, 2, num_layers=2, bidirectional=True, dtype="float64")
    names, values = zip(*((n, p.detach().numpy()) for n, p in layer.named_parameters()), strict=True)

    def f(x, *parameters):
        for name, p in zip(names, parameters, strict=True):
            setattr(layer, name, p)
        return layer(x)[0]

    assert_gradients(f, np.random.default_rng(0).normal(size=(3, 2, 2)), *values, order=1)
    small = getattr(nn, kind)(1, 2, bias=False, dtype="float64")
    w_ih, w_hh = (p.detach().numpy() for p in small.parameters())

    def g(x, w_ih, w_hh):
        small.weight_ih_l0, small.weight_hh_l0 = w_ih, w_hh
        return small(x)[0]

    assert_gradients(g, np.random.default_rng(0).normal(size=(3, 1, 1)), w_ih, w_hh, order=2)


@pytest.mark.parametrize("kind", GATES)
def test_state_dict_keys_shapes_and_range(kind):
    layer = getattr(nn, kind)(3, 16, 2, bidirectional=True)
    G = GATES[kind] * 16
    expected = {}
    for level, width in enumerate((3, 32)):
        for suffix in (f"_l{level}", f"_l{level}_reverse"):
            expected |= {"weight_ih" + suffix: (G, width), "weight_hh" + suffix: (G, 16)}
            expected |= {"bias_ih" + suffix: (G,), "bias_hh" + suffix: (G,)}
    assert {key: p.shape for key, p in layer.state_dict().items()} == expected
    assert list(layer.state_dict()) == list(expected)
    values = np.concatenate([p.detach().numpy().ravel() for p in layer.parameters()])
    assert abs(values).max() <= 0.25 and values.std() == pytest.approx(0.25 / 3**0.5, rel=0.05)
    assert set(getattr(nn, kind)(3, 2, bias=False).state_dict()) == {"weight_ih_l0", "weight_hh_l0"}
    assert [*getattr(nn, kind + "Cell")(3, 2).state_dict()] == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


@pytest.mark.parametrize("kind", GATES)
def test_saved_and_loaded(kind, tmp_path):
    first, second = (nn.Sequential(getattr(nn, kind)(2, 3, 2)) for _ in range(2))
    nn.save(first.state_dict(), tmp_path / "net.safetensors")
    second.load_state_dict(nn.load(tmp_path / "net.safetensors"))
    x = autograd.normal((4, 1, 2))
    np.testing.assert_array_equal(first(x)[0].detach().numpy(), second(x)[0].detach().numpy())


@pytest.mark.parametrize("kind", GATES)
def test_on_its_device(kind, device):
    layer = getattr(nn, kind)(3, 2, 2, bidirectional=True, dropout=0.5).to(device)
    x = autograd.uniform((4, 2, 3), device=device).requires_grad_()
    packed = pack_padded_sequence(x, [2, 4], enforce_sorted=False)
    for given_, how in ((x, {}), (x, {"lengths": (4, 2)}), (packed, {})):
        layer.zero_grad()
        out, last = layer(given_, **how)
        out = pad_packed_sequence(out)[0] if given_ is packed else out
        (out.sum() + (last[0] if kind == "LSTM" else last).sum()).backward()
        assert {out.device, x.grad.device, *(p.grad.device for p in layer.parameters())} == {device}
        assert {t.dtype.name for t in (out, x.grad, *layer.parameters())} == {"float32"}
    cell = getattr(nn, kind + "Cell")(3, 2).to(device)
    after = cell(x[0], cell(x[1]))
    assert (after[0] if kind == "LSTM" else after).device == device


def test_dropout_acts_between_layers_and_in_training_only():
    layer = nn.RNN(2, 64, num_layers=2, dropout=0.5)
    x = autograd.ones((1, 1, 2))
    assert (layer(x)[0] - layer(x)[0]).detach().numpy().any()
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    layer.train().dropout = 1.0
    np.testing.assert_array_equal(layer(x)[1][0].detach().numpy(), layer.eval()(x)[1][0].detach().numpy())
    with pytest.warns(UserWarning, match="dropout=0.5 acts between layers, but num_layers=1"):
        nn.RNN(2, 3, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.RNN(2, 3, 2, dropout=0.5)


@pytest.mark.parametrize("kind", GATES)
def test_checkpointed(kind):
    """Of an LSTM, too, whose outputs are a tuple in a tuple; with the same dropout again."""
    layer, x = getattr(nn, kind)(2, 3, 2, dropout=0.5), autograd.normal((4, 2, 2)).requires_grad_()
    gradients = []
    for run in (layer, lambda x: autograd.checkpoint(layer, x)):
        autograd.manual_seed(0)
        out, last = run(x)
        loss = (out**2).sum() + (last[1] if kind == "LSTM" else last).sum()
        gradients.append(autograd.gradients(loss, [x, *layer.parameters()]))
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-7)


def test_the_trainer_takes_packed_batches():
    class Last(nn.Module):
        def __init__(self):
            self.rnn, self.head = nn.GRU(2, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.head(self.rnn(x)[1][0])

    def packed(samples):
        stories, replies = zip(*samples, strict=True)
        return pack_sequence([autograd.tensor(s) for s in stories], enforce_sorted=False), np.array(replies)

    rng = np.random.default_rng(0)
    stories = [rng.normal(size=(n, 2)).astype("float32") for n in rng.integers(1, 6, 32)]
    loader = nn.data.DataLoader([(s, int(s[0, 0] > 0)) for s in stories], batch_size=8, collate_fn=packed)
    model = Last()
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.optim.Adam(model.parameters(), lr=0.02), progress=False)
    trainer.fit(loader, epochs=5)
    losses = trainer.history["loss"]
    assert losses[-1] < losses[0] and trainer.predict(loader).shape == (32, 2)
    assert trainer.predict(batch[0] for batch in loader).shape == (32, 2)


def test_truncated_training_equals_training_on_parts():
    layer, x = nn.RNN(2, 3, truncate=2, dtype="float64"), np.random.default_rng(0).normal(size=(6, 1, 2))
    layer(autograd.tensor(x))[0].sum().backward()
    found = {name: p.grad.numpy() for name, p in layer.named_parameters()}
    layer.zero_grad()
    layer.truncate, h = None, None
    for part in np.split(x, 3):
        output, h = layer(autograd.tensor(part), h)
        output.sum().backward()
        h = h.detach()
    for name, p in layer.named_parameters():
        np.testing.assert_allclose(found[name], p.grad.numpy(), rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- what is drawn


def places(t):
    return [n.scope.path for n in reversed(reachable([t.node])) if n.scope.kind == "value"]


class Net(nn.Module):
    def __init__(self, rnn):
        self.rnn = rnn

    def forward(self, x):
        return self.rnn(x)[0]


@pytest.mark.usefixtures("definitions")
def test_paths_of_the_states():
    x = autograd.zeros((2, 1, 3))
    assert places(Net(nn.RNN(3, 2))(x)) == ["net.rnn.t1.h", "net.rnn.t2.h"]
    assert places(nn.RNN(3, 2)(x)[0]) == ["rnn.t1.h", "rnn.t2.h"]
    lstm = [f"lstm.t{t}.{name}" for t in (1, 2) for name in "ifogch"]
    assert places(nn.LSTM(3, 2)(x)[0]) == lstm
    assert places(nn.GRU(3, 2)(x)[0]) == [f"gru.t{t}.{name}" for t in (1, 2) for name in "rznh"]
    assert places(nn.RNN(3, 2, 2)(x)[0]) == [f"rnn.l{k}.t{t}.h" for k in (0, 1) for t in (1, 2)]
    both = [f"rnn.{place}.h" for place in ("l0.t1", "l0.t2", "l0_reverse.t2", "l0_reverse.t1")]
    assert places(nn.RNN(3, 2, bidirectional=True)(x)[0]) == both
    cell, h = nn.RNNCell(3, 2), None
    for t in (1, 2):
        with autograd.time_step(t):
            h = cell(x[t - 1], h)
    assert places(h) == ["t1.rnncell.h", "t2.rnncell.h"]


@pytest.mark.usefixtures("definitions")
def test_gradient_norms_of_layers():
    x = autograd.normal((5, 2, 3))
    loss = Net(nn.LSTM(3, 4, 2))(x)[-1].sum()
    norms = nn.gradient_norms(loss)
    assert set(norms) == {f"net.rnn.l{k}.{name}" for k in (0, 1) for name in "ifogch"}
    assert all(v.shape == (5,) and (v > 0).all() for key, v in norms.items() if key.endswith(".h"))


def test_symbols():
    assert nn.Linear(2, 3).symbols == {"weight": "W", "bias": "b"}
    plain = {"weight_ih_l0": "W_xh", "weight_hh_l0": "W_hh", "bias_ih_l0": "b_xh", "bias_hh_l0": "b_hh"}
    assert nn.LSTM(2, 3).symbols == plain
    symbols = nn.GRU(2, 3, 12, bidirectional=True).symbols
    assert symbols["weight_hh_l0"] == "W_hh⁽¹⁾" and symbols["bias_ih_l11_reverse"] == "b_xh⁽¹²⁾′"
    assert nn.RNN(2, 3, bidirectional=True).symbols["weight_ih_l0_reverse"] == "W_xh′"
    assert nn.LSTMCell(2, 3).symbols["weight_ih"] == "W_xh"
    for layer in (nn.RNN(2, 3, 2), nn.GRUCell(2, 3)):
        assert set(layer.symbols) == {name for name, _ in layer.named_parameters()}


@given(drawn())
@few
def test_summary_counts_every_weight_once_per_step(case):
    layer, x, _, _ = case
    T, N, _ = x.shape
    weights = sum(p.size for name, p in layer.named_parameters() if name.startswith("weight"))
    shape = (N, T, layer.input_size) if layer.batch_first else x.shape
    table = nn.summary(layer, shape)
    assert table.multiply_adds == T * N * weights and table.weights == weights
    assert type(layer).__name__ in str(table)


def test_summary_of_cells_and_packed_batches():
    assert nn.summary(nn.LSTMCell(3, 2), (5, 3)).multiply_adds == 5 * 8 * (3 + 2)

    class Packing(nn.Module):
        def __init__(self):
            self.rnn = nn.GRU(3, 2)

        def forward(self, x):
            return pad_packed_sequence(self.rnn(pack_padded_sequence(x, [4, 1]))[0])[0]

    assert nn.summary(Packing(), (4, 2, 3)).multiply_adds == 5 * 6 * (3 + 2)
    table = nn.summary(nn.GRU(3, 2), pack_padded_sequence(autograd.zeros((4, 2, 3)), [4, 1]))
    assert table.multiply_adds == 5 * 6 * (3 + 2) and table.rows[0].output_shape == ((5, 2), (1, 2, 2))
    states = autograd.zeros((1, 2, 2)), autograd.zeros((1, 2, 2))
    assert nn.summary(nn.LSTM(3, 2), [(4, 2, 3), states]).multiply_adds == 4 * 2 * 8 * (3 + 2)


def test_repr():
    assert repr(nn.RNN(3, 4, 2, "relu", bias=False)) == "RNN(3, 4, num_layers=2, bias=False, nonlinearity=relu)"
    assert repr(nn.LSTM(3, 4, batch_first=True, truncate=5)) == "LSTM(3, 4, batch_first=True, truncate=5)"
    assert repr(nn.RNNCell(3, 4, nonlinearity="relu")) == "RNNCell(3, 4, nonlinearity=relu)"
