"""The engine: graphs of any size, memory, misuse, in-place writes, threads, scopes, anomalies."""

import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import autograd
from autograd import Tensor, no_grad, tensor
from autograd.errors import AnomalyError, DTypeError, GraphError, ShapeError
from autograd.testing import assert_gradients

F64 = np.float64


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


@contextmanager
def no_collector() -> Iterator[None]:
    """What is freed in the block is freed by reference counts."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# --- size -------------------------------------------------------------------------------------------------------------


def test_a_chain_of_a_million_nodes_is_differentiated_and_freed() -> None:
    limit = sys.getrecursionlimit()
    with no_collector():
        x = leaf(3.0)
        y = x
        for _ in range(1_000_000):
            y = -y
        assert y.node is not None and y.node.seq - x.node.seq == 1_000_000  # type: ignore[union-attr]
        y.backward()
        assert x.grad.item() == 1.0  # type: ignore[union-attr]
    assert sys.getrecursionlimit() == limit


def test_a_chain_that_is_never_swept_is_freed() -> None:
    with no_collector():
        x = leaf(3.0)
        y = x.exp()
        first = weakref.ref(y.data)  # exp saves its result
        for _ in range(300_000):
            y = -y
        assert first() is not None
        del y
        assert first() is None


def test_a_diamond_of_a_thousand_layers_takes_one_visit_per_node() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(1000):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**1000  # type: ignore[union-attr]


def test_a_diamond_of_products_agrees_at_second_order() -> None:
    def f(x: Tensor) -> Tensor:
        for _ in range(6):
            x = x * x
        return x

    assert_gradients(f, np.array([0.9, -1.05]), order=3)


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_returns_after_each_step() -> None:
    w = Tensor(np.ones((100, 100)), requires_grad=True)

    def step() -> None:
        w.grad = None
        (w @ w).tanh().sum().backward()
        w.grad = None

    step()
    with no_collector():
        tracemalloc.start()
        step()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            step()
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert after - before < 4000  # bytes; one matrix has 80,000
    assert peak - before < 8 * 80_000


def test_saved_arrays_go_as_the_sweep_passes_and_at_the_latest_with_the_result() -> None:
    x = leaf(1.0, 2.0)
    h = x.exp()
    saved = weakref.ref(h.data)
    out = (h * 2).sum()
    del h
    assert saved() is not None
    out.backward(retain_graph=True)
    assert saved() is not None
    out.backward()
    assert saved() is None
    h = x.exp()
    saved = weakref.ref(h.data)
    out = (h * 2).sum()
    del h, out
    assert saved() is None


def test_a_gradient_graph_is_freed_with_its_result() -> None:
    x = leaf(1.0, 2.0)
    with no_collector():
        y = (x * x).exp()
        memory = weakref.ref(y.data)
        dx = autograd.gradients(y.sum(), x, create_graph=True)
        ddx = autograd.gradients(dx.sum(), x).numpy()
        del y, dx
        assert memory() is None
        assert gc.collect() == 0
    np.testing.assert_allclose(ddx, (2 + 4 * x.data**2) * np.exp(x.data**2))


def test_results_of_no_grad_hold_nothing() -> None:
    with no_grad():
        h = leaf(1.0, 2.0).exp()
        memory = weakref.ref(h.data)
        out = h * 2
        del h
    assert memory() is None and out.node is None


# --- misuse -----------------------------------------------------------------------------------------------------------


def test_a_freed_graph_a_vector_and_a_constant_say_so() -> None:
    x = leaf(1.0, 2.0)
    out = (x * x).sum()
    out.backward()
    with pytest.raises(GraphError, match=r"backward: the graph was freed .* → pass retain_graph=True"):
        out.backward()
    with pytest.raises(GraphError, match=r"backward: tensor has shape \(2,\), that is 2 elements, not a scalar → "):
        (x * x).backward()
    with pytest.raises(GraphError, match=r"backward: tensor of shape \(1,\) has no graph → "):
        tensor([1.0]).backward()
    with pytest.raises(GraphError, match="has no graph"), no_grad():
        (x * x).sum().backward()
    with pytest.raises(ShapeError, match=r"backward: gradient has shape \(3,\) but the tensor \(2,\)"):
        (x * x).backward(np.ones(3))
    with pytest.raises(GraphError, match=r"the outputs do not depend on input 1 .* → pass allow_unused=True"):
        autograd.gradients((x * x).sum(), [x, leaf(1.0)])
    with pytest.raises(GraphError, match=r"gradients: input 0 .* is a constant → "):
        autograd.gradients((x * x).sum(), tensor([1.0]))
    with pytest.raises(DTypeError, match="int64 but only floating types have gradients"):
        tensor([1, 2], requires_grad=True)


def test_gradients_add_up_until_they_are_reset() -> None:
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, 6.0])  # type: ignore[union-attr]
    x.grad = None
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 2.0])  # type: ignore[union-attr]


def test_several_results_one_used_twice_one_not_at_all() -> None:
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    first, _, last = x.unstack()
    (first * first + last).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0.0, 2.0], [0.0, 0.0], [1.0, 1.0]])  # type: ignore[union-attr]

    def f(x: Tensor) -> Tensor:
        a, _, c = x.unstack()
        left, right = c.split(2)
        return (a * a * c).sum() + left.exp() * right

    assert_gradients(f, np.arange(6.0).reshape(3, 2) / 4, order=3)


# --- in-place writes --------------------------------------------------------------------------------------------------

WRITES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {}


def write(remark: str) -> Callable[[Callable[[Tensor, Tensor], Tensor]], None]:
    return lambda f: WRITES.__setitem__(remark, f)


@write(r"multiply: its input 'y' of shape \(3,\)")
def _operand(w: Tensor, c: Tensor) -> Tensor:
    out = w * c
    c[0] = 5.0
    return out


@write(r"exp: its result of shape \(3,\)")
def _result(w: Tensor, c: Tensor) -> Tensor:
    out = w.exp()
    with no_grad():
        out[0] = 5.0
    return out


@write(r"divide: its input 'y' of shape \(3,\)")
def _through_a_view(w: Tensor, c: Tensor) -> Tensor:
    out = w / c
    c[::2][...] = 5.0
    return out


@write(r"tanh in layer: its result of shape \(1,\)")
def _view_of_the_result(w: Tensor, c: Tensor) -> Tensor:
    with autograd.scope("layer"):
        out = w[:1].tanh()
    with no_grad():
        out.reshape((1, 1))[...] = 5.0
    return out


@write(r"multiply: its input 'y' of shape \(2,\)")
def _memory_of_a_saved_view(w: Tensor, c: Tensor) -> Tensor:
    out = w[:2] * c[:2]
    c += 1.0
    return out


@write(r"square: its input 'x' of shape \(3,\)")
def _leaf_under_no_grad(w: Tensor, c: Tensor) -> Tensor:
    out = autograd.square(w)
    with no_grad():
        w -= 0.5
    return out


@write(r"getitem: its input 'index' of shape \(2,\)")
def _index(w: Tensor, c: Tensor) -> Tensor:
    index = tensor([0, 1], device=w.device)
    out = w[index]
    index[0] = 2
    return out


@pytest.mark.parametrize("remark", WRITES)
@pytest.mark.parametrize("device", ["cpu", "strict"])
def test_a_write_to_what_the_gradient_needs_is_caught_and_named(remark: str, device: str) -> None:
    w = tensor([1.0, 2.0, 3.0], device=device, requires_grad=True)
    c = tensor([1.0, 2.0, 3.0], device=device)
    out = WRITES[remark](w, c).sum()
    with pytest.raises(GraphError, match=rf"{remark}.* was written to in place.* → "):
        out.backward()


def test_writes_that_no_gradient_notices_are_allowed() -> None:
    w, c = leaf(1.0, 2.0, 3.0), tensor([1.0, 2.0, 3.0])
    c[0] = 4.0  # before use
    out = (w * c).sum() + (w + c.detach()).sum()
    other = c.copy()
    other[...] = 0.0  # not the memory that was saved
    out.backward()
    c[0] = 9.0  # after the sweep
    np.testing.assert_array_equal(w.grad.numpy(), [5.0, 3.0, 4.0])  # type: ignore[union-attr]
    total = tensor([0.0, 0.0, 0.0])
    out = (w + total).sum()
    total += 1.0  # a sum saves nothing
    out.backward()


def test_a_recorded_write_is_part_of_the_graph() -> None:
    def f(x: Tensor, v: Tensor) -> Tensor:
        y = x * x
        y[1] = v * v
        y += x
        y *= 2.0
        y[0] -= v
        return y

    assert_gradients(f, np.array([1.0, 2.0, 3.0]), np.array(0.5), order=2)
    w = leaf(1.0, 2.0)
    with pytest.raises(GraphError, match=r"in place: this leaf of shape \(2,\) requires gradients"):
        w[0] = 3.0
    with pytest.raises(GraphError, match="in place: this leaf"):
        w += 1.0
    with pytest.raises(ShapeError, match=r"add: .*shape \(2,\)"):
        c = tensor([1.0, 2.0])
        c += np.ones((2, 2))


# --- recording --------------------------------------------------------------------------------------------------------


def test_no_grad_nests_and_ends_with_an_exception() -> None:
    x = leaf(1.0)
    with no_grad():
        with no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
        with autograd.enable_grad():
            assert (x * 2).requires_grad
        assert not autograd.is_grad_enabled()
        with pytest.raises(ZeroDivisionError), autograd.enable_grad():
            raise ZeroDivisionError
        assert not autograd.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert autograd.is_grad_enabled() and (x * 2).requires_grad
    again = no_grad()
    with again, again:
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_decorates_a_function() -> None:
    @no_grad()
    def double(x: Tensor) -> Tensor:
        return x * 2

    assert not double(leaf(1.0)).requires_grad
    assert autograd.is_grad_enabled()


def test_threads_record_independently() -> None:
    start, results = threading.Barrier(4), {}

    def work(i: int) -> None:
        x = leaf(float(i + 1))
        start.wait()
        for _ in range(200):
            if i % 2:
                with no_grad(), autograd.scope(f"thread{i}"):
                    assert not (x * x).requires_grad
            else:
                with autograd.scope(f"thread{i}"):
                    y = x * x * x
                assert y.node.scope.path == f"thread{i}"
                y.backward()
        results[i] = None if x.grad is None else x.grad.item()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    with no_grad():  # of this thread only
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert results == {0: 200 * 3.0, 1: None, 2: 200 * 27.0, 3: None}


def test_scopes_nest_are_interned_and_end_with_an_exception() -> None:
    x = leaf(1.0)
    with autograd.scope("rnn"):
        for t in range(2):
            with autograd.time_step(t):
                y = x * 2
        with pytest.raises(ZeroDivisionError), autograd.scope("broken"):
            raise ZeroDivisionError
        z = y + 1
    assert y.node.scope.path == "rnn.t1" and z.node.scope.path == "rnn"
    assert (x * 2).node.scope.path == ""
    with autograd.scope("rnn"), autograd.time_step(1):
        assert autograd.current_scope() is y.node.scope
        with no_grad():
            assert autograd.current_scope() is y.node.scope


# --- anomalies --------------------------------------------------------------------------------------------------------


def test_anomaly_mode_names_operation_module_and_line() -> None:
    x = leaf(0.0, 1.0)
    with autograd.detect_anomaly(), autograd.scope("encoder"), autograd.scope("norm"):
        line = sys._getframe().f_lineno + 3
        here = rf"in encoder.norm, .*{__file__.rpartition('/')[2]}"
        with pytest.raises(AnomalyError, match=rf"log: .* 1 non-finite value of 2 .* {here}:{line} → "):
            autograd.log(x)
        out = autograd.sqrt(x).sum()
        with pytest.raises(AnomalyError, match=rf"sqrt: its gradient .* {here}:{line + 1} → "):
            out.backward()


def test_anomaly_mode_passes_on_what_came_in_and_ends() -> None:
    x = leaf(np.inf, 1.0)
    with autograd.detect_anomaly():
        assert autograd.exp(x).data[0] == np.inf  # the inputs were not finite
        before = (x * 2).node.scope
    assert before.line is not None
    after = (x * 2).node.scope
    assert after.line is None, "the line of an earlier call is remembered for later ones"
    with np.errstate(divide="ignore"):
        assert autograd.log(tensor([0.0])).item() == -np.inf


@pytest.mark.parametrize("shape", [(1,), (1, 1), (3,), (2, 3), (150, 150)])
def test_gradients_are_their_owner_s_to_write_to(shape):
    x, y = (autograd.ones(shape, requires_grad=True) for _ in range(2))
    seed = np.ones(shape[::-1])
    views = {
        "a seed": lambda: (x.T, [x], seed),
        "a transposed seed, twice": lambda: (x.T + y.T, [x, y], seed),
        "broadcast": lambda: (x[None].sum(axis=0).sum(), [x], None),
        "broadcast, of what a rule made": lambda: (autograd.exp(x[None].sum(axis=0)).sum(), [x], None),
        "a part": lambda: (autograd.concatenate([x, y]) * 2, [x, y], None),
        "turned": lambda: (autograd.exp(x.T), [x], seed),
    }
    for what, case in views.items():
        out, inputs, begin = case()
        begin = np.ones(out.shape) if begin is None else begin
        found = [g.data for g in autograd.gradients(out, inputs, begin)]
        for i, g in enumerate(found):
            others = [*found[:i], *found[i + 1 :], x.data, y.data, begin]
            assert g.flags.writeable and not any(np.shares_memory(g, other) for other in others), what
