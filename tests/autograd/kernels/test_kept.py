"""What is kept is always what would be made anew, whoever writes into the array; and it is kept, within bounds."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from autograd.kernels.cpu import kept as room
from autograd.kernels.cpu.kept import kept, marks

CALLS = 3  # the first sees the sample, the second the marks, the third finds them equal


def doubled(x):
    """Return what is kept for twice x, and how often it was made."""
    made = []

    def fill(out):
        made.append(True)
        np.multiply(x.reshape(-1), 2, out=out.reshape(-1))

    return kept("doubled", x, (x.size, 1), fill), len(made)


@pytest.fixture(autouse=True)
def nothing_kept():
    room._entries.clear()
    yield
    room._entries.clear()


arrays = st.builds(
    lambda size, dtype, seed: np.random.default_rng(seed).standard_normal(size).astype(dtype),
    st.integers(1, 3000), st.sampled_from(["float32", "float64"]), st.integers(0, 9),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(data=st.data(), x=arrays)
def test_it_is_what_would_be_made_anew(data, x):
    backwards, places = x[::-1], st.integers(0, x.size - 1)
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, CALLS + 1))):
            found, _ = doubled(x.reshape(-1, 1))
            assert found is None or np.array_equal(found[:, 0], 2 * x)
        write = data.draw(st.sampled_from(["one", "sign", "swap", "all", "back", "nothing"]))
        first, second = data.draw(places), data.draw(places)
        if write == "one":
            backwards[first] = data.draw(st.floats(width=32))
        elif write == "sign":
            x[[first, second]] *= -1
        elif write == "swap":
            x[[first, second]] = x[[second, first]]
        elif write == "all":
            x += 1
        elif write == "back":
            x += 1
            doubled(x.reshape(-1, 1))
            x -= 1
        x[np.isnan(x)] = 0


@settings(deadline=None, max_examples=60)
@given(data=st.data(), x=arrays)
def test_marks_tell_contents_apart(data, x):
    content = x.copy()
    words = content.view(np.uint8)
    flips = data.draw(st.sets(st.integers(0, 8 * words.size - 1), min_size=1, max_size=6))
    for bit in flips:
        words[bit // 8] ^= 1 << bit % 8
    assert marks(content) != marks(x)
    assert marks(x.copy()) == marks(x)


def test_signs_that_change_together_are_noticed():
    """The highest bits of two words of one lane, which a product modulo 2⁶⁴ would let cancel."""
    x = np.random.default_rng(0).standard_normal(1 << 14)
    known = {marks(x)}
    for first in range(0, x.size, 64):
        y = x.copy()
        y[[first, (first + 64) % x.size]] *= -1
        known.add(marks(y))
    assert len(known) == 1 + x.size // 64


@pytest.mark.parametrize("count", [1, 2, 3])
def test_marks_do_not_depend_on_threads(count, monkeypatch):
    x = np.random.default_rng(0).standard_normal(300_000)
    whole = marks(x)
    monkeypatch.setattr(room, "SEVERAL", 1)
    before = room.threads.get_num_threads()
    room.threads.set_num_threads(count)
    try:
        assert marks(x) == whole
    finally:
        room.threads.set_num_threads(before)


def test_it_is_made_once_content_was_found_equal():
    x = np.arange(100.0)
    assert [doubled(x)[1] for _ in range(5)] == [0, 0, 1, 0, 0]
    assert doubled(x)[0] is doubled(x)[0]
    x[0] = 1  # the sample sees it
    assert [doubled(x)[1] for _ in range(5)] == [0, 0, 1, 0, 0]
    x[50] = 1  # the marks see it
    assert [doubled(x)[1] for _ in range(5)] == [0, 1, 0, 0, 0]


def test_nothing_is_made_while_content_changes():
    x = np.arange(100.0)
    for step in range(10):
        assert doubled(x) == (None, 0)
        x[step] += 1  # which the sample may miss


def test_it_goes_with_its_array():
    x = np.arange(100.0)
    for _ in range(CALLS):
        doubled(x[10:])
    assert room._size() == 90 * 8
    del x
    gc.collect()
    assert room._size() == 0
    doubled(np.arange(3.0))
    assert len(room._entries) == 1


def test_it_is_bounded(monkeypatch):
    monkeypatch.setattr(room, "LIMIT", 1000)
    arrays = [np.arange(60.0) + i for i in range(3)]
    found = [[doubled(x)[0] for x in arrays] for _ in range(CALLS)][-1]
    assert [f is not None for f in found] == [True, True, False]
    assert room._size() <= 1000


def test_what_compiled_code_cannot_read_is_not_kept():
    x = np.arange(10.0)[::2]
    assert [doubled(x) for _ in range(CALLS)] == [(None, 0)] * CALLS


def test_threads_that_call_at_the_same_time_get_the_same():
    x, wrong = np.arange(5000.0), []

    def call():
        for _ in range(50):
            found, _ = doubled(x)
            if found is not None and not np.array_equal(found[:, 0], 2 * x):
                wrong.append(found)

    workers = [threading.Thread(target=call) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert doubled(x)[0] is not None
