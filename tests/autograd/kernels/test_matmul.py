"""Products in parts equal NumPy's in one, for operands in any order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import matmul
from tests.autograd.kernels.layouts import layouts


@pytest.fixture(params=[1, 3], autouse=True)
def threads(request, monkeypatch):
    monkeypatch.setattr(matmul, "LARGE", 0)
    autograd.matmul.op.impls.clear()
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    yield
    autograd.set_num_threads(before)
    autograd.matmul.op.impls.clear()


@st.composite
def factors(draw, *shapes):
    """Arrays of these shapes, in any order in memory."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    sizes = {letter: draw(st.integers(1, 40)) for letter in "ABC"}
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    made = []
    for letters in shapes:
        x = rng.standard_normal([sizes[letter] for letter in letters]).astype(dtype)
        turned = np.asfortranarray(x) if draw(st.booleans()) else x
        made.append(draw(layouts(turned)) if draw(st.booleans()) else turned)
    return made


def close(found, expected):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    limit = (1e-5 if found.dtype == np.float32 else 1e-13) * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


@given(factors("AB", "BC"))
def test_a_product(drawn):
    x, y = drawn
    close(autograd.matmul(x, y), np.matmul(x, y))


@given(factors("AB", "CB", "C", "AC"), st.booleans(), st.booleans())
def test_the_affine_map_and_its_gradients(drawn, biased, batch):
    x, w, b, g = drawn
    x, g = (x[None], g[None]) if batch else (x, g)
    inputs = [autograd.Tensor(a, requires_grad=True) for a in ((x, w, b) if biased else (x, w))]

    def computed():
        out = autograd.linear(*inputs)
        return out.data, *[a.data for a in autograd.gradients(out, inputs, autograd.Tensor(g))]

    found, again = computed(), computed()
    with autograd.use_kernels(False):
        expected = computed()
    for a, b, c in zip(found, expected, again, strict=True):
        close(a, b)
        assert a.tobytes() == c.tobytes()


def test_which_code_serves():
    x = np.ones((3, 4), np.float32)
    assert "cpu.matmul" in autograd.explain(autograd.matmul, x, x.T)
    assert "cpu.matmul" in autograd.explain(autograd.linear, x, x, None)
    assert "cpu.matmul: chosen" not in autograd.explain(autograd.matmul, x.astype(int), x.T.astype(int))
    assert "cpu.matmul: chosen" not in autograd.explain(autograd.matmul, x[None], x.T)
