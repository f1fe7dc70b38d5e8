"""Attention against loops in NumPy, and without influence of masked positions; more of it in test_derived_layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd import backend
from autograd.errors import DomainError, DTypeError, ShapeError

Q, K, H = 3, 4, 5
sizes = st.integers(1, 4)


def additive(q, k, w):
    return w["energy.weight"][0] @ np.tanh(w["query.weight"] @ q + w["key.weight"] @ k)


def general(q, k, w):
    return k @ w["query.weight"] @ q


KINDS = {
    "additive": (lambda: nn.AdditiveAttention(Q, K, H), additive),
    "general": (lambda: nn.DotProductAttention(Q, K), general),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def drawn(kind, seed, steps, batch, length):
    """A layer and inputs in double precision: queries L N Q, keys T N K, a mask T N."""
    rng = np.random.default_rng(seed)
    query, keys = rng.normal(size=(steps, batch, Q)), rng.normal(size=(length, batch, K))
    layer = KINDS[kind][0]().double()
    for p in layer.parameters():
        p.data[...] = rng.normal(size=p.shape)
    return layer, query, keys, rng.random((length, batch)) < 0.6


def loop(score, query, keys, mask, weights):
    """Queries, members and positions one by one."""
    context = np.zeros((*query.shape[:2], K))
    attention = np.zeros((*query.shape[:2], len(keys)))
    for step, n in np.ndindex(query.shape[:2]):
        valid = [t for t in range(len(keys)) if mask[t, n]]
        e = {t: np.exp(score(query[step, n], keys[t, n], weights)) for t in valid}
        for t in valid:
            attention[step, n, t] = e[t] / sum(e.values())
            context[step, n] += attention[step, n, t] * keys[t, n]
    return context, attention


@every_kind
@given(st.integers(0, 99), sizes, sizes, sizes, st.booleans())
def test_equals_a_loop(kind, seed, steps, batch, length, masked):
    layer, query, keys, mask = drawn(kind, seed, steps, batch, length)
    if not masked:
        mask[...] = True
    weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    expected = loop(KINDS[kind][1], query, keys, mask, weights)
    given_mask = autograd.tensor(mask) if masked else None
    found = layer(autograd.tensor(query), autograd.tensor(keys), given_mask)
    alone = layer(autograd.tensor(query[0]), autograd.tensor(keys), given_mask)
    for a, first, b in zip(found, alone, expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(first.detach().numpy(), b[0], rtol=1e-9, atol=1e-12)


@every_kind
@given(st.integers(0, 99), sizes, sizes, sizes)
def test_masked_positions_weigh_nothing_and_get_no_gradient(kind, seed, steps, batch, length):
    layer, query, keys, mask = drawn(kind, seed, steps, batch, length)
    mask[:, 0] = False  # an empty sequence
    rng = np.random.default_rng(seed)
    g = [rng.normal(size=(steps, batch, K)), rng.normal(size=(steps, batch, length))]
    results = []
    for behind in (1.0, 1e6):  # what stands at masked positions makes no difference
        tensors = [
            autograd.tensor(x, requires_grad=True) for x in (query, np.where(mask[:, :, None], keys, behind * keys))
        ]
        context, weights = layer(*tensors, autograd.tensor(mask))
        leaves = [*tensors, *layer.parameters()]
        dx = autograd.gradients([context, weights], leaves, [autograd.tensor(u) for u in g])
        assert not weights.detach().numpy()[:, ~mask.T].any() and not dx[1].numpy()[~mask].any()
        assert not context.detach().numpy()[:, 0].any() and not dx[0].numpy()[:, 0].any()
        results.append([t.detach().numpy() for t in (context, weights, *dx)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@every_kind
def test_masks_on_every_device(kind, device):
    layer, *inputs = drawn(kind, 0, 2, 3, 4)
    expected = layer(*map(autograd.tensor, inputs))
    home = backend.by_name(device)
    found = layer.to(device=device)(*[autograd.Tensor(home.from_host(x, device)) for x in inputs])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(home.to_host(a.data), b.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("query", "keys", "mask", "error", "message"),
    [
        ((2, 4), (5, 2, 4), None, ShapeError, "query_size=3"),
        ((2, 3), (5, 2, 3), None, ShapeError, "key_size=4"),
        ((2, 3), (5, 1, 4), None, ShapeError, "query has N=2 but keys has N=1"),
        ((3,), (5, 2, 4), None, ShapeError, r"query has shape \(3,\): 1 axes"),
        ((2, 3), (2, 4), None, ShapeError, r"keys has shape \(2, 4\): 2 axes"),
        ((2, 3), (0, 2, 4), None, ShapeError, "T=0 positions, expected at least 1"),
        ((2, 3), (5, 2, 4), autograd.ones((2, 5)), ShapeError, r"mask has shape \(2, 5\), expected \(5, 2\)"),
        ((2, 3), (5, 2, 4), autograd.ones((5, 2)), DTypeError, "mask has dtype float32, expected bool"),
    ],
)  # fmt: skip
def test_errors(query, keys, mask, error, message):
    with pytest.raises(error, match=message):
        nn.DotProductAttention(3, 4)(autograd.zeros(query), autograd.zeros(keys), mask)
    with pytest.raises(DomainError, match="hidden_size is 0"):
        nn.AdditiveAttention(3, 4, 0)
