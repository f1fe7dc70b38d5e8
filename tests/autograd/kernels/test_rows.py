"""Softmax, log-softmax and layer norm by kernel equal the definitions, on any layout and any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import rows
from tests.autograd.kernels.layouts import layouts

SPECIAL = {
    "none": (), "NaN": (np.nan,), "large": (3e4, -3e4), "left out": (-np.inf,), "infinite": (np.inf, -np.inf),
    "all of it": (np.inf, -np.inf, np.nan),
}  # fmt: skip


@pytest.fixture(params=[1, 2, 3], autouse=True)
def threads(request, monkeypatch):
    monkeypatch.setattr(rows, "PART", 8)
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    yield
    autograd.set_num_threads(before)


def by(kernels, function, inputs, g):
    """The value and the gradients, by kernel in float32 or by the definition in float64."""
    dtype = np.float32 if kernels else np.float64
    with autograd.use_kernels(kernels), np.errstate(all="ignore"):
        xs = [autograd.tensor(x if kernels else x.astype(dtype), requires_grad=True) for x in inputs]
        out = function(*xs)
        found = autograd.gradients(out, xs, g.astype(dtype, copy=False))
        return [t.detach().numpy() for t in (out, *found)]


def assert_equal(function, inputs, g, scale=1):
    before = [x.copy() for x in (*inputs, g)]
    found, exact = by(True, function, inputs, g), by(False, function, inputs, g)
    for ours, expected in zip(found, exact, strict=True):
        assert ours.dtype == np.float32
        most = np.abs(expected[np.isfinite(expected)]).max(initial=scale)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=2e-6 * most)
    for again, ours in zip(by(True, function, inputs, g), found, strict=True):
        np.testing.assert_array_equal(again, ours)
    for x, copy in zip((*inputs, g), before, strict=True):
        np.testing.assert_array_equal(x, copy)


def drawn(data, *shapes, special=()):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    made = [(rng.standard_normal(shape) * 3).astype(np.float32) for shape in shapes]
    if special:
        x = made[0].reshape(-1)
        chosen = rng.random(x.size) < data.draw(st.sampled_from([0.1, 0.6]))
        x[chosen] = rng.choice(special, chosen.sum())
    return [data.draw(layouts(x)) for x in made]


shapes = st.tuples(st.lists(st.integers(1, 5), max_size=3), st.integers(1, 70)).map(lambda s: (*s[0], s[1]))


@pytest.mark.parametrize("operation", [autograd.softmax, autograd.log_softmax])
@given(st.data(), shapes, st.sampled_from(sorted(SPECIAL)))
def test_softmax_equals_the_definition(operation, data, shape, special):
    x, g = drawn(data, shape, shape, special=SPECIAL[special])
    axis = data.draw(st.sampled_from([-1, len(shape) - 1]))
    assert "cpu.rows" in autograd.explain(operation, x, axis).splitlines()[0]
    assert_equal(lambda x: operation(x, axis), [x], g)


@given(st.data(), st.lists(st.integers(1, 5), max_size=2), st.lists(st.integers(2, 6), min_size=1, max_size=2))
def test_layer_norm_equals_the_definition(data, outer, inner):
    x, g, w, b = drawn(data, (*outer, *inner), (*outer, *inner), inner, inner)
    eps = data.draw(st.sampled_from([1e-5, 0.1]))
    assert "cpu.rows" in autograd.explain(autograd.layer_norm, x, w, b, len(inner)).splitlines()[0]
    axes = tuple(range(-len(inner), 0))
    scale = np.abs(g).max() * np.abs(w).max() / np.sqrt(x.astype(float).var(axes) + eps).min()  # of what cancels in dx
    assert_equal(lambda *xs: autograd.layer_norm(*xs, len(inner), eps), [x, w, b], g, max(1, scale))


def test_nan_stays_in_its_row():
    x = np.ones((3, 40), np.float32)
    x[1, 7] = np.nan
    for out in (
        autograd.softmax(autograd.tensor(x)),
        autograd.log_softmax(autograd.tensor(x)),
        autograd.layer_norm(autograd.tensor(x), np.ones(40, np.float32), np.ones(40, np.float32)),
    ):
        np.testing.assert_array_equal(np.isnan(out.numpy()).sum(axis=1), [0, 40, 0])


def test_a_result_written_to_is_refused():
    y = autograd.softmax(autograd.tensor(np.ones((4, 5), np.float32), requires_grad=True))
    with autograd.no_grad():
        y[...] = 0
    with pytest.raises(autograd.errors.GraphError, match="written to in place"):
        y.sum().backward()


def test_what_is_left_to_the_definitions():
    x = np.ones((4, 5), np.float32)
    for call in (
        (autograd.softmax, x, 0),
        (autograd.softmax, x.astype(np.float64), -1),
        (autograd.layer_norm, x, x[0].astype(np.float64), x[0]),
        (autograd.layer_norm, x, x, x, 1),
    ):
        assert "definition" in autograd.explain(*call).splitlines()[0]
