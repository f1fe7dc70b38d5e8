"""Recurrent networks over time: what is on the tape, rows of different lengths, truncation, kernels, gradient norms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import autograd
from autograd import Tensor, kernels
from autograd.core.sweep import reachable
from autograd.errors import DomainError, DTypeError, GraphError, ShapeError
from autograd.testing import assert_gradients

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
STATES = {"rnn": 1, "lstm": 2, "gru": 1}
kinds = st.sampled_from(sorted(GATES))
few = settings(max_examples=25, deadline=None)


def arrays(kind: str, T: int, N: int, D: int, H: int, seed: int = 0) -> list[np.ndarray]:
    """x, the states, the weights and the biases, all different."""
    rng, G = np.random.default_rng(seed), GATES[kind] * H
    shapes = [(T, N, D), *[(N, H)] * STATES[kind], (G, D), (G, H), (G,), (G,)]
    return [rng.normal(size=s) for s in shapes]


def paths(t: Tensor) -> list[str]:
    return [n.scope.path for n in reversed(reachable([t.node])) if n.op is not None]


def named_values(t: Tensor) -> list[str]:
    return [n.scope.path for n in reversed(reachable([t.node])) if n.scope.kind == "value"]


# --- the tape ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("definitions")
@pytest.mark.parametrize(
    ("kind", "names"), [("rnn", "h"), ("lstm", ["i", "f", "o", "g", "c", "h"]), ("gru", ["r", "z", "n", "h"])]
)
def test_every_step_names_its_values(kind: str, names: Any) -> None:
    inputs = [Tensor(a, requires_grad=True) for a in arrays(kind, 3, 1, 2, 2)]
    output = getattr(autograd, kind)(*inputs)[0]
    assert named_values(output.sum()) == [f"{kind}.t{t}.{name}" for t in (1, 2, 3) for name in names]
    order = [name for name in paths(output) if name == kind]
    assert order == [kind] * 5  # unstack and its three parts before the steps, stack after them
    backwards = getattr(autograd, kind)(*inputs, reverse=True)[0]
    assert [p.split(".")[1] for p in named_values(backwards) if p.endswith(".h")] == ["t3", "t2", "t1"]


@pytest.mark.usefixtures("definitions")
def test_terms_stand_in_the_lectures_order() -> None:
    x, h, w_xh, w_hh, *_ = [Tensor(a, requires_grad=True) for a in arrays("rnn", 1, 1, 2, 2)]
    state = autograd.rnn(x, h, w_xh, w_hh)[1].node
    total = state.parents[0]
    assert (state.op.name, total.op.name) == ("tanh", "add")
    of_h, of_x = total.parents
    assert of_h.parents[0] is h.node and of_h.parents[1].parents[0] is w_hh.node
    assert of_x.parents[1].op.name == "transpose" and of_x.parents[1].parents[0] is w_xh.node


@pytest.mark.usefixtures("definitions")
def test_a_composite_has_no_scope_in_a_module_of_its_name() -> None:
    inputs = [Tensor(a, requires_grad=True) for a in arrays("rnn", 1, 1, 2, 2)]
    with autograd.scope("encoder", kind="RNN"):
        assert named_values(autograd.rnn(*inputs)[0]) == ["encoder.t1.h"]
    with autograd.scope("encoder", kind="Other"):
        assert named_values(autograd.rnn(*inputs)[0]) == ["encoder.rnn.t1.h"]


@pytest.mark.parametrize("kind", GATES)
def test_arrays_give_arrays(kind: str) -> None:
    inputs = arrays(kind, 3, 2, 2, 2)
    found = getattr(autograd, kind)(*inputs, lengths=(3, 1), truncate=1)
    with autograd.use_kernels(False):
        expected = getattr(autograd, kind)(*map(Tensor, inputs), lengths=(3, 1))
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, np.ndarray)
        np.testing.assert_array_equal(a, b.data)


@pytest.mark.parametrize("lengths", [np.array([3, 1]), Tensor(np.array([3, 1]))], ids=["array", "tensor"])
def test_lengths_may_be_an_array_anywhere(lengths: Any, device: str) -> None:
    inputs = [Tensor(a).to(device) for a in arrays("gru", 3, 2, 2, 2)]
    expected = autograd.gru(*inputs, lengths=(3, 1))[0]
    found = autograd.gru(*inputs, lengths=lengths if isinstance(lengths, np.ndarray) else lengths.to(device))[0]
    np.testing.assert_array_equal(found.cpu().numpy(), expected.cpu().numpy())


@pytest.mark.parametrize("kind", GATES)
def test_second_order_through_time(kind: str) -> None:
    f = getattr(autograd, kind)
    assert_gradients(lambda *xs: f(*xs), *arrays(kind, 3, 2, 2, 2), order=2)
    assert_gradients(lambda *xs: f(*xs, reverse=True, lengths=(1, 3)), *arrays(kind, 3, 2, 1, 2, 1), order=2)


# --- rows of different lengths ----------------------------------------------------------------------------------------


@given(kinds, st.lists(st.integers(1, 5), min_size=1, max_size=4), st.booleans(), st.none() | st.integers(1, 3),
       st.integers(0, 99))  # fmt: skip
@example("rnn", [1, 2, 4], True, 1, 0)  # rows that begin where others are cut
@example("lstm", [2, 4], True, 2, 0)
@few
def test_a_padded_batch_is_every_sequence_alone(
    kind: str, lengths: list[int], reverse: bool, truncate: int | None, seed: int
) -> None:
    T, N, H, f = max(lengths) + seed % 2, len(lengths), 2, getattr(autograd, kind)
    x, *rest = arrays(kind, T, N, 3, H, seed)
    states, weights = rest[: STATES[kind]], rest[STATES[kind] :]
    rng = np.random.default_rng(seed + 1)
    for n, length in enumerate(lengths):
        x[length:, n] = rng.choice([np.nan, np.inf, 3.0])
    gs = [rng.normal(size=(T, N, H)), *[rng.normal(size=(N, H)) for _ in states]]

    def run(x: np.ndarray, states: list[np.ndarray], gs: list[np.ndarray], **how: Any) -> tuple[list[Any], list[Any]]:
        leaves = [Tensor(a, requires_grad=True) for a in (x, *states, *weights)]
        out = f(*leaves, reverse=reverse, truncate=truncate, **how)
        grads = autograd.gradients(list(out), leaves, [Tensor(g) for g in gs], allow_unused=True)
        return [o.detach().numpy() for o in out], [np.zeros(a.shape) if g is None else g.numpy()
                                          for a, g in zip(leaves, grads, strict=True)]  # fmt: skip

    out, grads = run(x, states, gs, lengths=tuple(lengths))
    sums = [np.zeros_like(w) for w in weights]
    for n, length in enumerate(lengths):
        row = slice(n, n + 1)
        alone, alone_grads = run(
            x[:length, row], [s[row] for s in states], [gs[0][:length, row], *[g[row] for g in gs[1:]]]
        )
        np.testing.assert_allclose(out[0][:length, row], alone[0], rtol=1e-12)
        assert not out[0][length:, n].any()
        for state, last in zip(out[1:], alone[1:], strict=True):
            np.testing.assert_allclose(state[row], last, rtol=1e-12)
        np.testing.assert_allclose(grads[0][:length, row], alone_grads[0], rtol=1e-9, atol=1e-12)
        assert not grads[0][length:, n].any()
        for g, a in zip(grads[1 : 1 + len(states)], alone_grads[1 : 1 + len(states)], strict=True):
            np.testing.assert_allclose(g[row], a, rtol=1e-9, atol=1e-12)
        sums = [s + a for s, a in zip(sums, alone_grads[1 + len(states) :], strict=True)]
    for g, s in zip(grads[1 + len(states) :], sums, strict=True):
        np.testing.assert_allclose(g, s, rtol=1e-9, atol=1e-12)


@given(kinds, st.integers(1, 7), st.integers(1, 4), st.booleans())
@few
def test_the_batch_axis_may_come_first(kind: str, T: int, N: int, reverse: bool) -> None:
    x, *rest = map(Tensor, arrays(kind, T, N, 2, 3))
    f = getattr(autograd, kind)
    first = f(x, *rest, reverse=reverse)
    second = f(x.swapaxes(0, 1), *rest, reverse=reverse, axis=1)
    np.testing.assert_array_equal(first[0].numpy(), second[0].numpy().swapaxes(0, 1))
    for a, b in zip(first[1:], second[1:], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@given(kinds, st.integers(1, 7), st.integers(1, 7), st.booleans())
@few
def test_truncated_gradients_go_back_to_the_last_cut(kind: str, T: int, k: int, reverse: bool) -> None:
    x, *rest = arrays(kind, T, 1, 2, 2)
    f, leaf = getattr(autograd, kind), Tensor(x, requires_grad=True)
    output = f(leaf, *map(Tensor, rest), reverse=reverse, truncate=k)[0]
    whole = f(Tensor(x), *map(Tensor, rest), reverse=reverse)[0]
    np.testing.assert_array_equal(output.detach().numpy(), whole.numpy())
    for t in range(T):
        g = autograd.gradients(output[t].sum(), leaf, retain_graph=True).numpy()
        reached = [s for s in range(T) if g[s].any()]
        same_part = [s for s in range(T) if s // k == t // k and (s >= t if reverse else s <= t)]
        assert reached == same_part and len(reached) <= k


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"lengths": (4, 1)}, DomainError, r"lengths is \[4, 1\] .*T=3 steps .* from 1 to 3"),
        ({"lengths": (0, 1)}, DomainError, r"lengths is \[0, 1\]"),
        ({"lengths": (-1, 1)}, DomainError, r"lengths is \[-1, 1\]"),
        ({"lengths": (3,)}, DomainError, r"lengths is \[3\] but .* N=2 rows"),
        ({"lengths": 3}, DTypeError, r"lengths is 3 but integers are needed"),
        ({"lengths": (3.0, 1)}, DTypeError, r"lengths is \(3.0, 1\) but integers"),
        ({"truncate": 0}, DomainError, r"truncate is 0 .* an integer from 1"),
        ({"truncate": 1.5}, DomainError, r"truncate is 1.5 "),
        ({"axis": 2}, ShapeError, r".*axis=2, .* axis=0 or .* axis=1"),
        ({"axis": 1}, ShapeError, r"h has N=2 but x \(3, 2, 2\) has N=3"),
    ],
)
def test_parameters_are_explained(kind: str, how: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=rf"^{kind}: {words}"):
        getattr(autograd, kind)(*arrays(kind, 3, 2, 2, 2), **how)


@pytest.mark.parametrize("kind", GATES)
def test_no_steps_and_lost_axes_are_explained(kind: str) -> None:
    x, *rest = arrays(kind, 3, 2, 2, 2)
    with pytest.raises(ShapeError, match=r"T=0 time steps"):
        getattr(autograd, kind)(x[:0], *rest)
    with pytest.raises(ShapeError, match=r"x must be T N D"):
        getattr(autograd, kind)(x[0], *rest)
    with pytest.raises(DTypeError, match=rf"^{kind}: h is NoneType but numbers are needed"):
        getattr(autograd, kind)(x, None, *rest[1:])
    with pytest.raises(DomainError, match=r"nonlinearity is 'sin' → choose one of tanh, relu"):
        autograd.rnn_cell(*arrays("rnn", 1, 1, 1, 1), nonlinearity="sin")


# --- kernels with several outputs -------------------------------------------------------------------------------------


class Fused:
    """A kernel for the LSTM that runs the definition on arrays, and differentiates it for its backward pass."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def forward(self, *args: Any) -> tuple[tuple[np.ndarray, ...], Any]:
        self.calls.append("forward")
        return autograd.lstm.op.definition(*args), None

    def backward(self, g: Any, wanted: Any, inputs: Any, residuals: Any, *params: Any) -> list[Any]:
        self.calls.append("backward")
        assert len(g) == 3 and all(isinstance(part, np.ndarray) for part in g)
        leaves = [None if x is None else Tensor(x, requires_grad=True) for x in inputs]
        with autograd.enable_grad():
            out = autograd.lstm.op.definition(*leaves, *params)
        found = autograd.gradients(list(out), [x for x in leaves if x is not None], [Tensor(p) for p in g])
        given = iter([f.data for f in found])
        return [None if x is None else next(given) if want else next(given) * np.nan
                for x, want in zip(leaves, wanted, strict=True)]  # fmt: skip


@contextmanager
def registered(op: str, plan: Callable[[Any], Any]) -> Iterator[None]:
    kernels.register(op, np.ndarray, plan, name="fused", priority=1000)
    try:
        yield
    finally:
        kernels.unregister(op, np.ndarray, "fused")


@pytest.mark.parametrize("used", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_kernel_with_several_outputs_stands_in(used: tuple[int, ...]) -> None:
    inputs, kernel = arrays("lstm", 3, 2, 2, 2), Fused()

    def loss(*xs: Any) -> Tensor:
        out = autograd.lstm(*xs, lengths=[3, 2])
        return sum((out[i] * out[i]).sum() for i in used)

    leaves = [Tensor(a, requires_grad=True) for a in inputs]
    with autograd.use_kernels(False):
        expected = autograd.gradients(loss(*leaves), leaves)
    with registered("lstm", lambda spec: kernel):
        value = loss(*leaves)
        assert not named_values(value) and kernel.calls == ["forward"]
        found = autograd.gradients(value, leaves)
        assert kernel.calls == ["forward", "backward"]
        with autograd.no_grad():
            assert not loss(*leaves).requires_grad
        assert_gradients(loss, *inputs, order=2)  # through the definition
        with pytest.raises(GraphError, match=r"a kernel stood in for lstm → .*use_kernels\(False\)"):
            autograd.gradient_norms(loss(*leaves))
        with autograd.use_kernels(False):
            assert "lstm.h" in autograd.gradient_norms(loss(*leaves))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


# --- gradient norms ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
@few
def test_gradient_norms_are_those_of_the_jacobians_product(T: int, N: int, seed: int) -> None:
    x, h, w_xh, w_hh, *_ = arrays("rnn", T, N, 2, 3, seed)
    leaves = [Tensor(a, requires_grad=True) for a in (x, h, w_xh, w_hh)]
    with autograd.use_kernels(False):
        output, last = autograd.rnn(*leaves)
    loss = last.sum()
    norms = autograd.gradient_norms(loss)
    g, expected, states = np.ones((N, 3)), [], output.detach().numpy()
    for t in reversed(range(T)):
        expected.append(np.sqrt((g * g).sum()))
        g = (g * (1 - states[t] ** 2)) @ w_hh
    assert norms.keys() == {"rnn.h"}
    np.testing.assert_allclose(norms["rnn.h"], expected[::-1], rtol=1e-10)
    np.testing.assert_array_equal(autograd.gradient_norms(loss)["rnn.h"], norms["rnn.h"])  # the graph is kept
    loss.backward()


def test_gradient_norms_are_zero_where_nothing_arrives_and_add_up_over_calls(device: str) -> None:
    leaves = [Tensor(a, requires_grad=True).to(device) for a in arrays("rnn", 5, 1, 2, 2)]
    output, last = autograd.rnn(*leaves, truncate=2)
    norms = autograd.gradient_norms(output[1].sum() + last.sum())["rnn.h"]
    assert norms.shape == (5,) and list(norms > 0) == [True, True, False, False, True]
    once = autograd.gradient_norms(autograd.rnn(*leaves)[1].sum())["rnn.h"]
    twice = autograd.gradient_norms(autograd.rnn(*leaves)[1].sum() + autograd.rnn(*leaves)[1].sum())["rnn.h"]
    np.testing.assert_allclose(twice, once * 2**0.5)


def test_gradient_norms_without_steps_or_graph() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(GraphError, match=r"gradient_norms: no value .* run a recurrent layer"):
        autograd.gradient_norms((x * x).sum())
    with pytest.raises(GraphError, match="gradient_norms: no value"):
        autograd.gradient_norms(Tensor(1.0))
    with pytest.raises(DTypeError, match="gradient_norms: loss is float but a tensor is needed"):
        autograd.gradient_norms(1.0)
    with pytest.raises(ShapeError, match=r"loss has shape \(2,\), not one element"):
        autograd.gradient_norms(x * x)
