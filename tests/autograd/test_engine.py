"""The engine: graph size, memory, in-place writes, threads, scopes, anomalies, types, indices, kernels, copies."""

import copy
import gc
import operator
import pickle
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autograd
from autograd import Tensor, kernels, no_grad, tensor
from autograd.errors import AnomalyError, AutogradError, DeviceError, DTypeError, GraphError, ShapeError
from autograd.kernels import registry as kernel_registry
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
    with pytest.raises(ShapeError, match="in place: value has shape"):
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
            with autograd.scope("cell", step=t):
                y = x * 2
        with pytest.raises(ZeroDivisionError), autograd.scope("broken"):
            raise ZeroDivisionError
        z = y + 1
    assert y.node.scope.path == "rnn.cell[1]" and z.node.scope.path == "rnn"
    assert (x * 2).node.scope.path == ""
    with autograd.scope("rnn"), autograd.scope("cell", step=1):
        assert autograd.current_scope() is y.node.scope
        with no_grad():
            assert autograd.current_scope() is y.node.scope


# --- anomalies --------------------------------------------------------------------------------------------------------


def test_anomaly_mode_names_operation_module_and_line() -> None:
    x = leaf(0.0, 1.0)
    with autograd.detect_anomaly(), autograd.scope("encoder"), autograd.scope("norm"), np.errstate(all="ignore"):
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


# --- types ------------------------------------------------------------------------------------------------------------

DTYPES = ("bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64")
SCALARS = (True, 2, 2.5, np.float32(2.5), np.int8(2), np.float64(2.5))
BINARY = (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.pow, operator.lt)


def same_as_numpy(f: Callable[..., Any], *arguments: Any) -> None:
    def tensors(x: Any) -> Any:
        return Tensor(x) if isinstance(x, np.ndarray) else x

    try:
        expected = f(*arguments)
    except (TypeError, OverflowError):
        with pytest.raises((AutogradError, TypeError, OverflowError)):
            f(*map(tensors, arguments))
        return
    found = f(*map(tensors, arguments))
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)


@given(st.sampled_from(BINARY), st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_types_of_two_tensors_are_numpys(f: Any, left: str, right: str) -> None:
    same_as_numpy(f, np.array([1, 2, 1], left), np.array([1, 2, 2], right))


@given(st.sampled_from(BINARY), st.sampled_from(DTYPES), st.sampled_from(SCALARS), st.booleans())
def test_types_with_a_scalar_are_numpys(f: Any, dtype: str, scalar: Any, swapped: bool) -> None:
    x = np.array([1, 2, 1], dtype)
    same_as_numpy(f, *((scalar, x) if swapped else (x, scalar)))


@given(st.sampled_from(("sum", "mean", "max", "argmax", "cumsum", "prod")), st.sampled_from(DTYPES))
def test_types_of_reductions_are_numpys(name: str, dtype: str) -> None:
    same_as_numpy(lambda x: getattr(x, name)(0), np.array([[1, 2], [3, 1]], dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradients_have_the_type_of_their_tensor(dtype: str) -> None:
    x = tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
    w = tensor([3.0, 4.0], dtype="float64", requires_grad=True)
    (x * w).sum().backward()
    assert x.grad.dtype == dtype and w.grad.dtype == F64  # type: ignore[union-attr]


def test_mixed_devices_and_things_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DeviceError, match="add: x on 'cpu', y on 'strict'"):
        tensor([1.0]) + tensor([1.0], device="strict")
    with pytest.raises(DTypeError, match=r"multiply: y is str .* but numbers are needed"):
        tensor([1.0]) * "two"
    with pytest.raises(ShapeError, match=r"add: shapes do not broadcast: x \(2,\), y \(3,\)"):
        tensor([1.0, 2.0]) + tensor([1.0, 2.0, 3.0])


# --- broadcasting, views, indices -------------------------------------------------------------------------------------


@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_broadcasting_is_undone(shapes: hnp.BroadcastableShapes) -> None:
    rng = np.random.default_rng(0)
    x, y, z = (rng.uniform(0.5, 1.5, s) for s in shapes.input_shapes)
    assert_gradients(lambda x, y, z: x * y / z - y, x, y, z, order=2)


INDICES = {
    "integer": 1,
    "negative": -1,
    "slices": (slice(None, None, -2), slice(1, None)),
    "mixed": (0, slice(None), -1),
    "ellipsis": (..., None, 2),
    "mask": np.arange(4) % 2 == 0,
    "mask of two axes": np.arange(12).reshape(4, 3) % 5 == 0,
    "array": np.array([[0, 3], [1, 1]]),
    "repeated": np.array([2, 2, 2, 0]),
    "pairs": (np.array([0, 1, 0]), np.array([2, 2, 2])),
    "broadcast arrays": (np.array([[0], [3]]), np.array([1, 1, 2])),
    "apart": (np.array([0, 1, 0]), slice(None), np.array([4, 4, 4])),
    "list": [3, 3, 1],
    "empty list": [],
    "nothing": (),
}


def uploaded(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(uploaded(i) for i in index)
    return tensor(index, device="strict") if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("name", INDICES)
def test_indices_read_as_numpys_and_have_gradients(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 5))
    index = INDICES[name]
    np.testing.assert_array_equal(Tensor(x)[index].numpy(), x[index])
    assert_gradients(lambda x: x[index] * x[index], x, order=2)
    there = tensor(x, device="strict", requires_grad=True)
    there[uploaded(index)].sum().backward()
    here = Tensor(x, requires_grad=True)
    here[index].sum().backward()
    np.testing.assert_array_equal(there.grad.cpu().numpy(), here.grad.numpy())  # type: ignore[union-attr]


def test_an_index_outside_the_array_is_refused() -> None:
    with pytest.raises(IndexError, match=r"getitem: .*4.*"):
        tensor([1.0, 2.0])[4]
    with pytest.raises(IndexError, match="getitem: "):
        tensor([1.0, 2.0])[np.array([0, 7])]


def test_views_share_memory_and_chain() -> None:
    base = np.arange(12.0)
    x = Tensor(base)
    assert np.shares_memory(x.reshape(3, 4).T[1:].data, base)

    def f(x: Tensor) -> Tensor:
        y = x.reshape(3, 4)
        return y.T[1:, ::2].sum(axis=1) * y[0, 1:] * y[::-1][0, :3]

    assert_gradients(f, base / 6, order=3)


# --- kernels ----------------------------------------------------------------------------------------------------------


@contextmanager
def registered(op: str, plan: Any, name: str = "fake", priority: int = 1) -> Iterator[None]:
    """A kernel that is there in the block only."""
    kernels.register(op, np.ndarray, plan, name=name, priority=priority)
    try:
        yield
    finally:
        offers = kernel_registry._offers
        offers[op, np.ndarray] = [o for o in offers[op, np.ndarray] if o.name != name]
        if not any(known for (other, _), known in offers.items() if other == op):
            kernel_registry._offered.discard(op)
        for listener in kernels.listeners:
            listener(op)


def test_a_kernel_for_a_primitive_is_chosen_once_per_spec_and_goes() -> None:
    asked: list[kernels.Spec] = []
    ran: list[int] = []

    def plan(spec: kernels.Spec) -> Any:
        asked.append(spec)
        if spec.shapes[0] != (2,):
            return None

        def run(x: np.ndarray) -> np.ndarray:
            ran.append(1)
            return np.tanh(x)

        return run

    x = leaf(0.5, -0.5)
    with registered("tanh", plan):
        for _ in range(3):
            y = autograd.tanh(x)
        assert len(asked) == 1 and len(ran) == 3 and asked[0].dtypes == (F64,)
        np.testing.assert_array_equal(y.data, np.tanh(x.data))
        autograd.tanh(leaf(0.1, 0.2, 0.3))
        assert len(asked) == 2 and len(ran) == 3
        y.sum().backward()
        assert "fake" in autograd.explain(autograd.tanh, x)
        with autograd.use_kernels(False):
            autograd.tanh(x)
        assert len(ran) == 3
        assert_gradients(autograd.tanh, np.array([0.3, 0.4]), order=3)
    assert "fake" not in autograd.explain(autograd.tanh, x)
    count = len(ran)
    autograd.tanh(x)
    assert len(ran) == count


class FusedMish:
    """A kernel that remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        self.calls.append("forward")
        t = np.tanh(np.logaddexp(x, 0))
        return x * t, t

    def backward(self, g: np.ndarray, wanted: Any, inputs: Any, residuals: Any) -> list[Any]:
        self.calls.append("backward")
        (x,), t = inputs, residuals
        return [g * (t + x * (1 - t * t) / (1 + np.exp(-x)))]


def test_a_kernel_for_a_composite_stands_in_for_training_only() -> None:
    kernel = FusedMish()
    x = np.array([0.5, -1.0, 2.0])
    expected, slope = autograd.value_and_grad(lambda x: autograd.mish(x).sum())(x)
    with registered("mish", lambda spec: kernel):
        out = autograd.mish(Tensor(x, requires_grad=True))
        assert kernel.calls == ["forward"] and out.node.op.name == "mish"
        y, dx = autograd.value_and_grad(lambda x: autograd.mish(x).sum())(x)
        np.testing.assert_allclose([y, *dx], [expected, *slope], rtol=1e-14)
        kernel.calls.clear()
        assert_gradients(autograd.mish, x, order=1)
        assert {"forward", "backward"} == set(kernel.calls)
        assert_gradients(autograd.mish, x, order=3)  # through the definition
        with autograd.use_kernels(False):
            kernel.calls.clear()
            autograd.mish(Tensor(x))
            assert kernel.calls == []
    kernel.calls.clear()
    assert autograd.mish(Tensor(x, requires_grad=True)).node.op.name != "mish" and kernel.calls == []


def test_a_better_kernel_replaces_one_that_was_chosen_already() -> None:
    first, second = FusedMish(), FusedMish()
    x = leaf(0.5, -1.0)
    with registered("mish", lambda spec: first, name="first"):
        autograd.mish(x)
        with registered("mish", lambda spec: second, name="second", priority=5):
            autograd.mish(x)
        assert first.calls == ["forward"] and second.calls == ["forward"]


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "strict"])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_leaves_are_copied(copied: Any, device: str) -> None:
    x = tensor([1.0, 2.0], dtype="float64", device=device, requires_grad=True)
    y = copied(x)
    assert y.requires_grad and y.is_leaf and y.dtype == x.dtype and y.grad is None
    assert y.node is not x.node
    np.testing.assert_array_equal(y.detach().cpu().numpy(), [1.0, 2.0])
    (y * 2).sum().backward()
    assert x.grad is None


def test_results_of_operations_are_not_copied_by_accident() -> None:
    y = leaf(1.0) * 2
    with pytest.raises(GraphError, match=r"deepcopy: this tensor was made by multiply → copy \.detach\(\) instead"):
        copy.deepcopy(y)
    with pytest.raises(GraphError, match=r"pickle: this tensor was made by multiply → pickle \.detach\(\) instead"):
        pickle.dumps(y)


def test_deepcopy_keeps_sharing() -> None:
    x = leaf(1.0)
    a, b = copy.deepcopy([x, x])
    assert a is b and a is not x
