"""The gradient of an embedding equals NumPy's sum over uses, in any layout, and refuses rows that there are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.errors import IndexingError
from autograd.ops.index import embedding_dw
from tests.autograd.kernels.layouts import layouts


@st.composite
def problems(draw):
    shape = (draw(st.integers(1, 20)),)
    count, rng = draw(st.integers(1, 5)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    indices = draw(st.sampled_from([np.int64, np.int32, np.int8]))(rng.integers(-count, count, shape))
    y = rng.standard_normal((*shape, draw(st.integers(1, 20)))).astype(draw(st.sampled_from([np.float32, np.float64])))
    return draw(layouts(y)), draw(layouts(indices)), count


@given(problems())
def test_rows_are_sums_over_uses(problem):
    y, indices, count = problem
    assert "cpu.index" in str(autograd.explain(embedding_dw, y, indices, count)).splitlines()[0]
    expected = np.zeros((count, y.shape[-1]), y.dtype)
    np.add.at(expected, indices, y)
    found = embedding_dw(y, indices, count)
    assert found.dtype == y.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("index", [-4, 3])
@pytest.mark.parametrize("kernels", [True, False])
def test_rows_that_there_are_not(index, kernels):
    with autograd.use_kernels(kernels), pytest.raises(IndexingError):
        embedding_dw(np.ones((2, 4)), np.array([0, index]), 3)
