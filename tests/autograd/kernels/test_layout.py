"""Channels last is the same image in another order, in any layout, on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels.cpu import layout
from tests.autograd.kernels.layouts import layouts


@pytest.fixture(autouse=True, params=[1, 2])
def count(request, monkeypatch):
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    monkeypatch.setattr(layout, "SEVERAL", 100)
    yield request.param
    autograd.set_num_threads(before)


@given(
    st.data(),
    st.tuples(st.integers(1, 3), st.integers(1, 40)),
    st.lists(st.integers(1, 20), min_size=1, max_size=2),
    st.sampled_from(["f4", "f8", "f2", "u1"]),
)
def test_pixels_keep_their_numbers(data, begin, size, dtype):
    given_ = np.arange(np.prod((*begin, *size)), dtype=np.int64).reshape(*begin, *size).astype(dtype)
    if dtype in ("f4", "f8"):
        given_.flat[given_.size // 2] = np.nan
    x = data.draw(layouts(given_))
    last = layout.channels_last(x)
    assert last.flags.c_contiguous and last.dtype == x.dtype
    np.testing.assert_array_equal(last, np.moveaxis(given_, 1, -1))
    np.testing.assert_array_equal(layout.channels_first(last), given_)
