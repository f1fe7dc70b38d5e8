"""The kernel of cross-entropy equals its definition: values, gradients, in any layout, on any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import cross_entropy
from autograd.ops.normalize import class_cross_entropy
from tests.autograd.kernels.layouts import layouts

SMOOTHING = st.sampled_from([0.0, 0.1, 1.0])


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(cross_entropy, "PART", 8)


@st.composite
def problems(draw):
    """Scores, classes, which to ignore, and a gradient."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 40)), *draw(st.lists(st.integers(1, 3), max_size=2)))
    places = (shape[0], *shape[2:])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = (rng.standard_normal(shape) * draw(st.sampled_from([1, 30])) + draw(st.sampled_from([0, 500]))).astype(dtype)
    target = rng.integers(0, shape[1], places).astype(draw(st.sampled_from(["int64", "int32", "uint8"])))
    ignored, g = rng.random(places) < 0.3, rng.standard_normal(places).astype(dtype)
    return draw(layouts(x)), draw(layouts(target)), draw(layouts(ignored)), draw(layouts(g))


def results(x, target, ignored, g, smoothing, kernels):
    with autograd.use_kernels(kernels):
        leaf = autograd.Tensor(x, requires_grad=True)
        losses = class_cross_entropy(leaf, target, ignored, None, smoothing)
        return losses.data, autograd.gradients(losses, leaf, autograd.Tensor(g)).data


@pytest.mark.usefixtures("small_parts")
@given(problems(), SMOOTHING)
def test_the_kernel_equals_the_definition(problem, smoothing):
    named = autograd.explain(class_cross_entropy, *problem[:3], None, smoothing)
    assert named.splitlines()[0].endswith("cpu.cross_entropy")
    found, expected = (results(*problem, smoothing, kernels=on) for on in (True, False))
    tolerance = {"float32": 1e-6, "float64": 1e-14}[problem[0].dtype.name]
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * (1 + np.abs(problem[0]).max()))


@pytest.mark.usefixtures("small_parts")
@given(problems(), SMOOTHING)
def test_threads_change_no_bit(problem, smoothing):
    before, found = autograd.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            autograd.set_num_threads(threads)
            found.append([a.tobytes() for a in results(*problem, smoothing, kernels=True)])
    finally:
        autograd.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def with_special(problem, seed, share):
    """A problem with infinities and NaN among its scores, of which the others are small enough for exp."""
    x, target, ignored, g = (np.array(a) for a in problem)
    x, rng = np.clip(x, -80, 80), np.random.default_rng(seed)
    chosen = rng.random(x.shape) < share
    x[chosen] = rng.choice([np.inf, -np.inf, -np.inf, np.nan], chosen.sum())
    return x, target, ignored, g


@given(problems(), SMOOTHING, st.integers(0, 99), st.sampled_from([0.1, 0.6]))
def test_what_is_not_finite_does_what_it_does_in_the_definition(problem, smoothing, seed, share):
    x, target, ignored, g = with_special(problem, seed, share)
    with np.errstate(all="ignore"):
        found, expected = (results(x, target, ignored & False, g, smoothing, kernels=on) for on in (True, False))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * 80)


@given(problems(), SMOOTHING, st.integers(0, 99))
def test_whatever_the_scores_of_an_ignored_example_its_gradient_is_0(problem, smoothing, seed):
    x, target, ignored, g = with_special(problem, seed, 0.6)
    with np.errstate(all="ignore"):
        losses, dx = results(x, target, ignored, g, smoothing, kernels=True)
    assert not losses[ignored].any()
    assert not np.moveaxis(dx, 1, -1)[ignored].any()


def test_numbers_that_are_no_classes_are_left_to_the_definition():
    x, ignored, g = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(2, bool), np.ones(2, np.float32)
    for a, b in zip(*(results(x, np.array([0, y]), ignored, g, 0.0, kernels=True) for y in (-1, 2)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)  # the definition counts from the end, as NumPy does
    with pytest.raises(autograd.errors.IndexingError):
        results(x, np.array([0, 3]), ignored, g, 0.0, kernels=True)


def test_weights_are_left_to_the_definition():
    x, target, ignored = np.zeros((2, 3), np.float32), np.array([0, 1]), np.zeros(2, bool)
    assert "definition" in autograd.explain(class_cross_entropy, x, target, ignored, x[0]).splitlines()[0]
