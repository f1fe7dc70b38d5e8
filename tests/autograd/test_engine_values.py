"""What goes through the engine: element types, broadcasting, indices and views, kernels, copies."""

import copy
import operator
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autograd
from autograd import Tensor, kernels, tensor
from autograd.errors import AutogradError, DeviceError, DTypeError, GraphError, ShapeError
from autograd.testing import assert_gradients

F64 = np.float64


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


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
        kernels.unregister(op, np.ndarray, name)


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


def test_what_a_rule_returns_without_making_it_is_copied() -> None:
    first = autograd.primitive(
        "first_of_two_t", "x -> *parts", forward=lambda x: (x * 1, x * 2), vjp={"x": lambda g: g[0]}
    )
    half = autograd.primitive("half_square_t", "x", forward=lambda x: x * x / 2, vjp={"x": lambda g, x: x})
    x, seed = Tensor(np.array([1.0, 2.0]), requires_grad=True), np.array([3.0, 4.0])
    first(x)[0].backward(Tensor(seed))
    x.grad += 1
    np.testing.assert_array_equal(seed, [3.0, 4.0])
    x.grad = None
    (x * 10 + half(x)).sum().backward()
    np.testing.assert_array_equal(x.detach().numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(x.grad.numpy(), [11.0, 12.0])


def test_a_gradient_of_the_wrong_shape_names_its_rule() -> None:
    short = autograd.primitive("short_t", "x", forward=lambda x: x * 1, vjp={"x": lambda g: g[:1]})
    with pytest.raises(ShapeError, match=r"short_t: its rule gave .* of shape \(1,\) for an input of \(2,\) → "):
        short(Tensor(np.ones(2), requires_grad=True)).sum().backward()


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


@given(st.floats(-6e4, 6e4), st.sampled_from(["float16", "float32", "float64", "int64"]))
def test_a_python_float_becomes_the_wanted_type_at_once(value: float, dtype: str) -> None:
    np.testing.assert_array_equal(tensor([value], dtype=dtype).numpy(), np.array([value]).astype(dtype))
