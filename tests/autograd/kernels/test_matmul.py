"""Products in parts equal NumPy's in one, for operands in any order and of any size."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import dots, matmul
from tests.autograd.kernels.layouts import layouts


@pytest.fixture(params=[1, 3], autouse=True)
def threads(request, monkeypatch):
    for module, name in (
        (matmul, "LARGE"),
        (matmul, "WORTH"),
        (matmul, "THIN"),
        (matmul, "SEVERAL"),
        (dots, "SEVERAL"),
    ):
        monkeypatch.setattr(module, name, 0)
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
    if draw(st.booleans()):  # more than are packed at a time, and rows that would share places in the cache
        sizes[draw(st.sampled_from("ABC"))] = draw(st.sampled_from([500, 512, 777, 1024, 1700]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    made = []
    for letters in shapes:
        x = rng.standard_normal([sizes[letter] for letter in letters]).astype(dtype)
        turned = np.asfortranarray(x) if draw(st.booleans()) else x
        if draw(st.integers(0, 3)) == 0:
            turned[tuple(draw(st.integers(0, size - 1)) for size in x.shape)] = draw(st.sampled_from([np.nan, np.inf]))
        made.append(draw(layouts(turned)) if draw(st.booleans()) else turned)
    return made


def close(found, expected):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    limit = (1e-5 if found.dtype == np.float32 else 1e-13) * np.abs(expected[finite]).max(initial=1.0)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=0, atol=limit)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # ∞ − ∞
@given(factors("AB", "BC"))
def test_a_product(drawn):
    x, y = drawn
    close(autograd.matmul(x, y), np.matmul(x, y))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
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


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 9))
def test_parts_cover_a_product_once(m, n, k, parts):
    limits = matmul._cuts(m, n, k, parts, 32)
    boxes = [[(low, high) for low, high in zip(cut[::2], cut[1::2], strict=True)] for cut in limits]
    varied = [axis for axis in range(3) if len({box[axis] for box in boxes}) > 1]
    assert len(varied) <= 1 and len(limits) == parts and all(low < high for (low, high), *_ in boxes)
    for axis, size in enumerate((k, m, n)):
        edges = [box[axis] for box in boxes] if axis in varied else boxes[0][axis : axis + 1]
        assert edges[0][0] == 0 and edges[-1][1] == size
        assert all(before[1] == after[0] for before, after in pairwise(edges))
