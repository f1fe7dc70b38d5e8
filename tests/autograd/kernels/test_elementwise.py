"""The rectifier's kernels equal NumPy to the bit, in any layout, on any number of threads; small arrays go to NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import kernels
from autograd.kernels.cpu import LEAST, elementwise
from autograd.ops.activation import relu_dx
from tests.autograd.kernels.layouts import layouts

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45])


@pytest.fixture(params=[(1, 1 << 40), (2, 1 << 40), (2, 1), (3, 1)], autouse=True)
def machine(request, monkeypatch):
    """A number of threads, and whether results are large."""
    monkeypatch.setattr(elementwise, "PART", 8)
    monkeypatch.setattr(elementwise, "FAR", request.param[1])
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param[0])
    yield
    autograd.set_num_threads(before)


@st.composite
def arrays(draw):
    """Two arrays of one shape, in any layouts, with special numbers among the others."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pair = rng.standard_normal((2, *shape)).astype(dtype)
    special = rng.random(pair.shape) < 0.3
    pair[special] = rng.choice(SPECIAL.astype(dtype), special.sum())
    return [draw(layouts(x)) for x in pair]


def planned(op, *inputs):
    return elementwise.plans[op](kernels.Spec(tuple(x.shape for x in inputs), tuple(x.dtype for x in inputs), {}))


@given(arrays())
def test_kernels_equal_the_references(pair):
    y, x = pair
    for op, inputs in ((autograd.relu, [x]), (relu_dx, [y, x])):
        before = [i.copy() for i in inputs]
        out = planned(op.op.name, *inputs)(*inputs)
        expected = op.op.reference(np.ndarray)(*inputs)
        np.testing.assert_array_equal(out, expected)
        assert out.dtype == expected.dtype and out.shape == expected.shape
        for given_input, copy in zip(inputs, before, strict=True):
            np.testing.assert_array_equal(given_input, copy)


@given(arrays())
def test_order_in_memory_is_kept(pair):
    x = pair[1]
    assert planned("relu", x)(x).strides == np.empty_like(x).strides


@pytest.mark.parametrize("op", ("relu", "relu_dx"))
def test_small_arrays_go_to_numpy(op, monkeypatch):
    function = {"relu": autograd.relu, "relu_dx": relu_dx}[op]
    few, many = (np.ones(LEAST[op] + more, np.float32) for more in (-1, 0))
    count = len(function.op.contract.inputs)
    for x, kernel in ((few, False), (many, True)):
        assert ("cpu.elementwise" in str(autograd.explain(function, *[x] * count)).splitlines()[0]) == kernel
    np.testing.assert_array_equal(function(*[few] * count), 1)
    np.testing.assert_array_equal(function(*[many] * count), 1)


def test_broadcast_and_other_types_are_left_to_the_reference():
    x = np.ones((2, 3), np.float32)
    assert planned("relu_dx", x, x[0]) is None
    assert planned("relu_dx", x, x.astype(np.float64)) is None
    assert planned("relu", x.astype(int)) is None
