"""rnn, lstm and gru over a whole sequence: the kernel computes what the definition does."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import Tensor
from autograd.errors import DomainError, DTypeError

pytest.importorskip("numba")

from autograd.kernels.cpu import get_num_threads, recurrent, set_num_threads
from tests.autograd.kernels.layouts import LAYOUTS

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
STATES = {"rnn": 1, "lstm": 2, "gru": 1}


@pytest.fixture(autouse=True)
def threaded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Small arrays are shared among threads too."""
    monkeypatch.setattr(recurrent, "THREADED", 0)
    monkeypatch.setattr(recurrent, "LARGE", 0)
    before = get_num_threads()
    set_num_threads(2)
    yield
    set_num_threads(before)


@st.composite
def calls(draw: Any) -> tuple[str, list[Any], dict[str, Any]]:
    kind = draw(st.sampled_from(sorted(GATES)))
    T, N, D, H = (draw(st.integers(1, n)) for n in (6, 4, 5, 70))
    dtype, axis = draw(st.sampled_from(["float32", "float64"])), draw(st.integers(0, 1))
    rng, G = np.random.default_rng(draw(st.integers(0, 99))), GATES[kind] * H
    shapes = [(T, N, D) if axis == 0 else (N, T, D), *[(N, H)] * STATES[kind], (G, D), (G, H), (G,), (G,)]
    laid_out = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))]
    inputs: list[Any] = [laid_out((rng.normal(size=s) / s[-1] ** 0.5).astype(dtype)) for s in shapes]
    if draw(st.booleans()):
        inputs[-1] = None
    if draw(st.booleans()):
        inputs[-2] = None
    how = {
        "axis": axis,
        "reverse": draw(st.booleans()),
        "lengths": draw(st.none() | st.lists(st.integers(1, T), min_size=N, max_size=N)),
        "truncate": draw(st.none() | st.integers(1, 3)),
    }
    if kind == "rnn":
        how["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    return kind, inputs, how


def run(kind: str, inputs: list[Any], how: dict[str, Any], wanted: list[bool]) -> list[np.ndarray]:
    """The results, then the gradients of the wanted inputs."""
    leaves = [None if x is None else Tensor(x, requires_grad=w) for x, w in zip(inputs, wanted, strict=True)]
    out = getattr(autograd, kind)(*leaves, **how)
    rng = np.random.default_rng(1)
    gs = [Tensor(rng.normal(size=o.shape).astype(o.dtype)) for o in out]
    to = [x for x in leaves if x is not None and x.requires_grad]
    grads = autograd.gradients(list(out), to, gs, allow_unused=True) if to else []
    return [o.detach().numpy() for o in out] + [np.zeros(x.shape) if g is None else g.numpy()
                                                for x, g in zip(to, grads, strict=True)]  # fmt: skip


@given(calls(), st.data())
@settings(max_examples=80)
def test_it_is_the_definition(call: Any, data: Any) -> None:
    kind, inputs, how = call
    wanted = [data.draw(st.booleans()) for _ in inputs]
    found = run(kind, inputs, how, wanted)
    with autograd.use_kernels(False):
        expected = run(kind, inputs, how, wanted)
    tolerance = 1e-4 if inputs[0].dtype == np.float32 else 1e-10
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1))


@given(calls(), st.integers(1, 2))
@settings(max_examples=20)
def test_the_same_twice(call: Any, threads: int) -> None:
    kind, inputs, how = call
    set_num_threads(threads)
    once, twice = (run(kind, inputs, how, [True] * len(inputs)) for _ in range(2))
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_array_equal(a, b)


@given(calls())
@settings(max_examples=30)
def test_without_residuals_the_results_are_the_same(call: Any) -> None:
    kind, inputs, how = call
    op = getattr(autograd, kind).op
    values = op.arguments(inputs, how)
    kernel = op.kernel_for([x if x is None else Tensor(x) for x in inputs] + values[len(inputs) :])
    for a, b in zip(kernel.forward(*values)[0], kernel.infer(*values), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", GATES)
def test_weights_written_in_place_are_seen(kind: str) -> None:
    rng, G = np.random.default_rng(0), GATES[kind] * 40
    inputs = [rng.normal(size=s) for s in [(3, 2, 5), *[(2, 40)] * STATES[kind], (G, 5), (G, 40)]]
    f, w = getattr(autograd, kind), Tensor(inputs[-1])
    for place in [(0, 0), (0, 0), (0, 0), (G - 1, 39), (G // 2, 17)]:
        found = f(*[Tensor(x) for x in inputs[:-1]], w)[0].numpy()
        with autograd.use_kernels(False):
            expected = f(*[Tensor(x) for x in inputs[:-1]], w)[0].numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
        w.data[place] += 1


@given(calls())
@settings(max_examples=20)
def test_it_serves_numbers_of_one_type(call: Any) -> None:
    kind, inputs, how = call
    f = getattr(autograd, kind)
    assert "cpu.recurrent" in autograd.explain(f, *inputs, **how).splitlines()[0]
    others = [inputs[0].astype("float16"), *inputs[1:]]
    assert "the definition" in autograd.explain(f, *others, **how).splitlines()[0]


@pytest.mark.parametrize("kind", GATES)
def test_nan_goes_where_it_goes_in_the_definition(kind: str) -> None:
    rng, G = np.random.default_rng(0), GATES[kind] * 3
    shapes = [(4, 3, 2), *[(3, 3)] * STATES[kind], (G, 2), (G, 3), (G,), (G,)]
    inputs = [rng.normal(size=s) for s in shapes]
    inputs[0][1, 1] = np.nan
    for how in ({}, {"nonlinearity": "relu"}) if kind == "rnn" else ({},):
        found = run(kind, inputs, how, [True] * len(inputs))
        with autograd.use_kernels(False):
            expected = run(kind, inputs, how, [True] * len(inputs))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


@pytest.mark.parametrize("kind", GATES)
def test_a_second_sweep_finds_what_the_first_did(kind: str) -> None:
    rng, G = np.random.default_rng(0), GATES[kind] * 3
    x, *rest = (Tensor(rng.normal(size=s), requires_grad=True)
                for s in [(4, 3, 2), *[(3, 3)] * STATES[kind], (G, 2), (G, 3)])  # fmt: skip
    total = getattr(autograd, kind)(x, *rest)[0].sum()
    first = autograd.gradients(total, [x, *rest], retain_graph=True)
    for a, b in zip(first, autograd.gradients(total, [x, *rest]), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_new_lengths_need_no_new_plan() -> None:
    inputs = [Tensor(np.ones(s)) for s in [(3, 2, 2), (2, 2), (2, 2), (2, 2)]]
    autograd.rnn(*inputs, lengths=(1, 2))
    planned = len(autograd.rnn.op.plans)
    for lengths in ([2, 2], np.array([3, 1]), (1, 1)):
        autograd.rnn(*inputs, lengths=lengths)
    assert len(autograd.rnn.op.plans) == planned
    with pytest.raises(DomainError, match="lengths is"):
        autograd.rnn(*inputs, lengths=(1, 4))
    with pytest.raises(DTypeError, match="integers are needed"):
        autograd.rnn(*inputs, lengths=(1.5, 1))
