"""Linear algebra: values by what defines them, gradients of two orders, and what happens where there are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd.errors import DomainError, ShapeError
from autograd.ops import linalg
from autograd.testing import assert_gradients

batches = st.sampled_from([(), (2,), (2, 1)])
sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)


def matrices(rng, batch, rows, columns):
    """Matrices with singular values between 0.6 and 2.4, all different."""
    n = min(rows, columns)
    u, v = (np.linalg.qr(rng.standard_normal((*batch, m, m)))[0][..., :n] for m in (rows, columns))
    s = np.linspace(2.4, 0.6, n) + rng.uniform(-0.1, 0.1, (*batch, n))
    return (u * s[..., None, :]) @ v.mT


def symmetric(rng, batch, n, definite=False):
    v = np.linalg.qr(rng.standard_normal((*batch, n, n)))[0]
    w = np.linspace(0.6, 2.4, n) * (1 if definite else rng.choice([-1, 1], n))
    return (v * w) @ v.mT


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def identity_of(x):
    return np.broadcast_to(np.eye(x.shape[-1]), x.shape)


@given(batches, sizes, sizes, seeds)
def test_equations_and_determinants(batch, n, k, seed):
    rng = np.random.default_rng(seed)
    a, b = matrices(rng, batch, n, n), rng.standard_normal((n, k))
    close(a @ linalg.solve(a, b), np.broadcast_to(b, (*batch, n, k)))
    close(a @ linalg.solve(a, b[:, 0])[..., None], np.broadcast_to(b[:, :1], (*batch, n, 1)))
    close(a @ linalg.inv(a), identity_of(a))
    sign, size = linalg.slogdet(a)
    close(sign * np.exp(size), linalg.det(a))
    close(np.abs(linalg.det(a)), np.linalg.svd(a)[1].prod(axis=-1))
    close(linalg.trace(a), np.einsum("...ii->...", a))
    close(linalg.matrix_power(a, -3) @ linalg.matrix_power(a, 2) @ a, identity_of(a))
    close(linalg.matrix_power(a, 0), identity_of(a))


@given(batches, sizes, sizes, seeds)
def test_factors_multiply_to_the_matrix(batch, m, n, seed):
    rng = np.random.default_rng(seed)
    x, y, k = matrices(rng, batch, m, n), symmetric(rng, batch, n), min(m, n)
    q, r = linalg.qr(x)
    u, s, vh = linalg.svd(x)
    w, v = linalg.eigh(y)
    assert [t.shape[len(batch) :] for t in (q, r, u, s, vh)] == [(m, k), (k, n), (m, k), (k,), (k, n)]
    close(q @ r, x)
    close((u * s[..., None, :]) @ vh, x)
    close(v @ (w[..., None] * v.mT), y)
    for orthonormal in (q, u, vh.mT, v):
        close(
            orthonormal.mT @ orthonormal,
            np.broadcast_to(np.eye(orthonormal.shape[-1]), (*batch, *2 * (orthonormal.shape[-1],))),
        )
    close(r, np.triu(r))
    assert (np.diff(s) <= 0).all() and (np.diff(w) >= 0).all()
    close(linalg.eigvalsh(y), w)
    lower = linalg.cholesky(symmetric(rng, batch, n, definite=True))
    close(lower, np.tril(lower))


@settings(max_examples=20)
@given(batches, sizes, sizes, seeds)
def test_gradients_of_two_orders_agree_with_differences(batch, m, n, seed):
    rng = np.random.default_rng(seed)
    square, x, b = matrices(rng, batch, n, n), matrices(rng, batch, m, n), rng.standard_normal((n, m))
    for f in (linalg.inv, linalg.det, linalg.slogdet, linalg.trace, lambda a: linalg.matrix_power(a, -2)):
        assert_gradients(f, square, order=2, rng=rng)
    assert_gradients(linalg.solve, square, b, order=2, rng=rng)
    assert_gradients(linalg.solve, square, b[:, 0], order=2, rng=rng)
    for f in (
        linalg.qr,
        linalg.svd,
        linalg.norm,
        lambda x: linalg.norm(x, axis=-1),
        lambda x: linalg.norm(x, 1, axis=-1),
    ):
        assert_gradients(f, x, order=2, rng=rng)


@settings(max_examples=20)
@given(batches, sizes, seeds)
def test_gradients_at_symmetric_matrices(batch, n, seed):
    rng = np.random.default_rng(seed)
    assert_gradients(lambda x: linalg.cholesky(x + x.mT), symmetric(rng, batch, n, definite=True), order=2, rng=rng)
    for f in (linalg.eigh, linalg.eigvalsh):
        assert_gradients(lambda x, f=f: f(x + x.mT), symmetric(rng, batch, n), order=2, rng=rng)


def test_third_order_gradients():
    rng = np.random.default_rng(0)
    x = matrices(rng, (), 3, 3)
    for f in (linalg.inv, linalg.det, linalg.qr, linalg.svd, lambda x: linalg.eigh(x + x.mT)):
        assert_gradients(f, x, order=3, rng=rng)


def test_the_batch_broadcasts():
    rng = np.random.default_rng(0)
    a, b = matrices(rng, (2, 1), 3, 3), rng.standard_normal((4, 3, 2))
    assert linalg.solve(a, b).shape == (2, 4, 3, 2)
    assert_gradients(linalg.solve, a, b, order=2)


@pytest.mark.parametrize(
    "f", [lambda x: linalg.cholesky(x).sum(), lambda x: linalg.eigvalsh(x)[0], lambda x: linalg.eigh(x)[1][0, 0]]
)
def test_symmetric_inputs_get_symmetric_gradients(f):
    x = autograd.tensor(symmetric(np.random.default_rng(0), (), 4, definite=True), requires_grad=True)
    dx = autograd.gradients(f(x), x).numpy()
    close(dx, dx.T)


def test_a_matrix_function_does_not_depend_on_signs():
    """The square root v·√w·vᵀ has the gradient of a function without factors: its square is x."""
    rng = np.random.default_rng(0)
    x, g = symmetric(rng, (), 4, definite=True), rng.standard_normal((4, 4))
    leaf = autograd.tensor(x, requires_grad=True)
    w, v = linalg.eigh(leaf)
    root = v * autograd.sqrt(w) @ v.mT
    close((root @ root).detach().numpy(), x)
    close(autograd.gradients(root @ root, leaf, g).numpy(), (g + g.T) / 2)


def test_equal_values_have_gradients_but_their_vectors_do_not():
    x = autograd.tensor(np.eye(3), requires_grad=True)
    close(autograd.gradients((linalg.eigvalsh(x) ** 2).sum(), x).numpy(), 2 * np.eye(3))
    close(autograd.gradients(linalg.svd(x)[1].sum(), x).numpy(), np.eye(3))
    v = linalg.eigh(x)[1]
    assert np.isnan(autograd.gradients(v[0, 1], x).numpy()).any()


def test_a_singular_value_of_zero_has_a_gradient():
    x = autograd.tensor(np.outer([1.0, 2.0, 2.0], [3.0, 4.0]), requires_grad=True)
    dx = autograd.gradients(linalg.svd(x)[1][0], x).numpy()
    close(dx, np.outer([1, 2, 2], [3, 4]) / 15)


def test_values_of_one_are_no_exception():
    """A mask for equal values must not take 1 for 0."""
    x = np.array([[0.6], [0.8]])
    assert_gradients(lambda x: linalg.svd(x), x)


def test_a_singular_value_of_zero_has_no_vectors():
    x = autograd.tensor(np.zeros((2, 1)), requires_grad=True)
    assert np.isnan(autograd.gradients(linalg.svd(x)[0].sum(), x).numpy()).any()


def test_norms():
    x = np.array([[3.0, -4.0], [0.0, 0.0]])
    for ord_ in (None, "fro"):
        close(linalg.norm(x, ord_), 5)
    for ord_ in (None, 1, 2, np.inf):
        for keepdims in (False, True):
            close(linalg.norm(x, ord_, 1, keepdims), np.linalg.norm(x, ord_, 1, keepdims))
            close(linalg.norm(x[0], ord_, keepdims=keepdims), np.linalg.norm(x[0], ord_, keepdims=keepdims))
    close(autograd.grad(lambda x: linalg.norm(x, axis=1).sum())(x), [[0.6, -0.8], [0.0, 0.0]])
    close(autograd.grad(lambda x: autograd.grad(linalg.norm)(x).sum())(np.zeros(2)), [0.0, 0.0])


@pytest.mark.parametrize("name", ["solve", "inv", "det", "slogdet", "cholesky", "qr", "svd", "eigh", "norm"])
def test_the_strict_device_needs_no_transfer(name):
    from autograd.backend.strict import count_transfers

    x = symmetric(np.random.default_rng(0), (), 3, definite=True)
    f, several = getattr(linalg, name), name == "solve"
    found = {}
    for device in ("cpu", "strict"):
        leaf = autograd.tensor(x, device=device).requires_grad_()
        with count_transfers() as counted:
            out = f(leaf, leaf) if several else f(leaf)
            out = out if isinstance(out, tuple) else (out,)
            dx = autograd.gradients(sum((o * o).sum() for o in out), leaf)
        assert (counted.to_host, counted.to_device) == (0, 0)
        found[device] = [t.detach().cpu().numpy() for t in (*out, dx)]
    for a, b in zip(*found.values(), strict=True):
        close(a, b)


X = np.zeros((2, 2))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: linalg.inv(X), DomainError, "inv: Singular matrix"),
        (lambda: linalg.solve(X, X), DomainError, "solve: Singular matrix"),
        (lambda: linalg.cholesky(-np.eye(2)), DomainError, "cholesky: Matrix is not positive definite"),
        (lambda: linalg.inv(X[:1]), ShapeError, "inv: x has N=2 but x has N=1"),
        (lambda: linalg.det(X[0]), ShapeError, "det: x has shape (2,), that is 1 axes, but at least 2 are needed"),
        (lambda: linalg.solve(X, np.zeros(3)), ShapeError, "solve: b has N=3 but a has N=2 → expected 2"),
        (lambda: linalg.eigh(np.zeros((3, 2))), ShapeError, "eigh: x has N=2 but x has N=3"),
        (lambda: linalg.norm(X, 2), DomainError, "norm: ord=2 but None or 'fro' of matrices is offered"),
        (lambda: linalg.norm(X, 3, axis=0), DomainError, "norm: ord=3 but None, 1, 2 or inf of vectors is offered"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)
