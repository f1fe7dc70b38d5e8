"""Recurrent layers against PyTorch's of the same name, arguments and state, where PyTorch is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from nn.utils import rnn as ours_rnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the NumPy loops of test_recurrent stand alone")
theirs_rnn = pytest.importorskip("torch.nn.utils.rnn")

kinds = st.sampled_from(["RNN", "LSTM", "GRU"])


def close(a, b, what=""):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=what)


def flat(nested):
    """The tensors of nested tuples."""
    return [t for part in nested for t in flat(part)] if isinstance(nested, tuple) else [nested]


@st.composite
def configurations(draw):
    kind = draw(kinds)
    arguments = [draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))]
    if kind == "RNN":
        arguments.append(draw(st.sampled_from(["tanh", "relu"])))
    bias, batch_first, bidirectional = (draw(st.booleans()) for _ in range(3))
    return kind, (*arguments, bias, batch_first, 0.0, bidirectional), draw(st.integers(0, 999))


def both(kind, arguments, seed):
    """Ours and theirs with the same random parameters."""
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, kind)(*arguments).double()
    ours = getattr(nn, kind)(*arguments).double()
    assert [(k, tuple(v.shape)) for k, v in theirs.state_dict().items()] == [
        (k, v.shape) for k, v in ours.state_dict().items()
    ]
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def pairs(shapes, seed):
    arrays = [np.random.default_rng([seed, i]).normal(size=shape) for i, shape in enumerate(shapes)]
    return ([autograd.tensor(a, requires_grad=True) for a in arrays],
            [torch.tensor(a, requires_grad=True) for a in arrays])  # fmt: skip


def together(states):
    return tuple(states) if len(states) > 1 else states[0]


def compare(ours, theirs, our_out, their_out, our_leaves, their_leaves, seed):
    """Outputs, then the gradients of all leaves and parameters for random gradients of all outputs."""
    total, their_total = 0, 0
    for i, (a, b) in enumerate(zip(our_out, their_out, strict=True)):
        assert a.shape == tuple(b.shape)
        close(a, b)
        g = np.random.default_rng([seed, 7, i]).normal(size=a.shape)
        total, their_total = total + (a * g).sum(), their_total + (b * torch.tensor(g)).sum()
    total.backward()
    their_total.backward()
    for a, b in zip(our_leaves, their_leaves, strict=True):
        close(a.grad, b.grad)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(p.grad, q.grad, name)


@given(configurations(), st.integers(1, 5), st.integers(0, 4), st.booleans())
@settings(max_examples=100, deadline=None)
def test_layers(configuration, T, N, with_states):
    _, arguments, seed = configuration
    ours, theirs = both(*configuration)
    D, H = arguments[:2]
    layers = ours.num_layers * len(ours.directions)
    shape = (T, D) if not N else (N, T, D) if ours.batch_first else (T, N, D)
    state = (layers, H) if not N else (layers, N, H)
    mine, other = pairs([shape, *[state] * (len(ours.state_names) if with_states else 0)], seed)
    hx = [together(leaves[1:]) if with_states else None for leaves in (mine, other)]
    compare(ours, theirs, flat(ours(mine[0], hx[0])), flat(theirs(other[0], hx[1])), mine, other, seed)


@given(configurations(), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.booleans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_packed_sequences(configuration, lengths, with_states, enforce_sorted):
    _, arguments, seed = configuration
    ours, theirs = both(*configuration)
    lengths = sorted(lengths, reverse=True) if enforce_sorted else lengths
    T, N, (D, H), first = max(lengths) + seed % 2, len(lengths), arguments[:2], ours.batch_first
    state = (ours.num_layers * len(ours.directions), N, H)
    shape = (N, T, D) if first else (T, N, D)
    mine, other = pairs([shape, *[state] * (len(ours.state_names) if with_states else 0)], seed)
    packed = ours_rnn.pack_padded_sequence(mine[0], lengths, first, enforce_sorted)
    their_packed = theirs_rnn.pack_padded_sequence(other[0], torch.tensor(lengths), first, enforce_sorted)
    close(packed.data, their_packed.data)
    assert packed.batch_sizes.tolist() == their_packed.batch_sizes.tolist()
    assert (packed.sorted_indices is None) == (their_packed.sorted_indices is None)
    out, last = ours(packed, together(mine[1:]) if with_states else None)
    their_out, their_last = theirs(their_packed, together(other[1:]) if with_states else None)
    padded, found = ours_rnn.pad_packed_sequence(out, first, 0.5, T)
    their_padded, their_found = theirs_rnn.pad_packed_sequence(their_out, first, 0.5, T)
    assert found.tolist() == their_found.tolist()
    mine_all, other_all = [padded, *flat(last)], [their_padded, *flat(their_last)]
    compare(ours, theirs, mine_all, other_all, mine, other, seed)


@given(kinds, st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_cells(kind, D, H, N, bias, with_states, seed):
    arguments = (D, H, bias, ["tanh", "relu"][seed % 2]) if kind == "RNN" else (D, H, bias)
    ours, theirs = both(kind + "Cell", arguments, seed)
    shapes = [(N, D) if N else (D,), *[(N, H) if N else (H,)] * ((1 + (kind == "LSTM")) * with_states)]
    mine, other = pairs(shapes, seed)
    hx = [together(leaves[1:]) if with_states else None for leaves in (mine, other)]
    compare(ours, theirs, flat(ours(mine[0], hx[0])), flat(theirs(other[0], hx[1])), mine, other, seed)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.sampled_from(["left", "right"]))
@settings(max_examples=30, deadline=None)
def test_padding(lengths, batch_first, side):
    mine, other = pairs([(n, 2) for n in lengths], 0)
    padded = ours_rnn.pad_sequence(mine, batch_first, -1.0, side)
    their_padded = theirs_rnn.pad_sequence(other, batch_first, -1.0, side)
    close(padded, their_padded)
    rows = ours_rnn.unpad_sequence(padded, lengths, batch_first)
    their_rows = theirs_rnn.unpad_sequence(their_padded, torch.tensor(lengths), batch_first)
    for a, b in zip(rows, their_rows, strict=True):
        close(a, b)
    packed, their_packed = ours_rnn.pack_sequence(mine, False), theirs_rnn.pack_sequence(other, False)
    close(packed.data, their_packed.data)
    for a, b in zip(ours_rnn.unpack_sequence(packed), theirs_rnn.unpack_sequence(their_packed), strict=True):
        close(a, b)


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


@given(configurations(), st.integers(1, 8), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_truncation_is_a_loop_with_detach(configuration, T, k):
    kind, (D, H, _, *rest), seed = configuration
    ours, theirs = both(kind, (D, H, 1, *rest[:-3], False, 0.0, False), seed)
    ours.truncate = k
    mine, other = pairs([(T, 2, D), *[(1, 2, H)] * len(ours.state_names)], seed)
    out, last = ours(mine[0], together(mine[1:]))
    parts, state = [], together(other[1:])
    for t, x in enumerate(other[0]):
        part, state = theirs(x[None], detached(state) if t and t % k == 0 else state)
        parts.append(part)
    compare(ours, theirs, [out, *flat(last)], [torch.cat(parts), *flat(state)], mine, other, seed)


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_gradient_norms_are_those_of_retained_gradients(T, N, seed):
    ours, theirs = both("LSTMCell", (2, 3), seed)
    (x,), (y,) = pairs([(T, N, 2)], seed)
    layer = nn.LSTM(2, 3).double()
    layer.load_state_dict({f"{name}_l0": p for name, p in ours.state_dict().items()})
    with autograd.use_kernels(False):
        norms = nn.gradient_norms((layer(x)[0][-1] ** 2).sum())
    state, states = (torch.zeros(N, 3).double(), torch.zeros(N, 3).double()), []
    for y_t in y:
        state = theirs(y_t, state)
        for s in state:
            s.retain_grad()
        states.append(state)
    (state[0] ** 2).sum().backward()
    for name, found in zip("hc", zip(*states, strict=True), strict=True):
        np.testing.assert_allclose(norms[f"lstm.{name}"], [s.grad.norm().item() for s in found], rtol=1e-9)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_training_takes_the_same_way(kind):
    ours, theirs = both(kind, (2, 4, 2, *(["tanh"] if kind == "RNN" else []), True, False, 0.0, True), 0)
    head, their_head = both("Linear", (8, 1), 0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 8, 2)), rng.normal(size=(5, 8, 1))
    optimizer = nn.optim.Adam([*ours.parameters(), *head.parameters()], lr=0.02)
    their_optimizer = torch.optim.Adam([*theirs.parameters(), *their_head.parameters()], lr=0.02)
    losses, their_losses = [], []
    for _ in range(100):
        loss = ((head(ours(autograd.tensor(x))[0]) - y) ** 2).mean()
        their_loss = ((their_head(theirs(torch.tensor(x))[0]) - torch.tensor(y)) ** 2).mean()
        for o, value in ((optimizer, loss), (their_optimizer, their_loss)):
            o.zero_grad()
            value.backward()
            o.step()
        losses.append(loss.item())
        their_losses.append(their_loss.item())
    np.testing.assert_allclose(losses, their_losses, rtol=1e-9)
    assert losses[-1] < losses[0] / 2
