"""Threads, work space, the compiler and what happens without it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import kernels
from autograd.core.primitive import registry as primitives
from autograd.errors import DomainError
from autograd.kernels import registry
from autograd.kernels.cpu import blas, memory, threads


@pytest.fixture(params=[1, 2, 3])
def count(request):
    before = autograd.get_num_threads()
    autograd.set_num_threads(request.param)
    yield request.param
    autograd.set_num_threads(before)


@pytest.mark.parametrize("parts", [0, 1, 2, 7, 50])
def test_every_part_is_done_once_whoever_does_it(count, parts):
    done = []
    threads.run(done.append, parts)
    assert sorted(done) == list(range(parts))


def test_inside_a_part_there_are_no_more_threads(count):
    inner = []
    threads.run(lambda part: threads.run(lambda i: inner.append((part, i, threading.get_ident())), 3), 4)
    assert sorted(i[:2] for i in inner) == [(part, i) for part in range(4) for i in range(3)]
    assert all(len({who for p, _, who in inner if p == part}) == 1 for part in range(4))


def test_what_a_part_raises_is_raised_and_the_pool_lives_on(count):
    def fail(part):
        if part == 3:
            raise ValueError("part 3")

    with pytest.raises(ValueError, match="part 3"):
        threads.run(fail, 8)
    test_every_part_is_done_once_whoever_does_it(count, 5)


def test_after_a_failure_no_part_is_begun(count):
    begun = []

    def fail(part):
        begun.append(part)
        raise ValueError

    with pytest.raises(ValueError):
        threads.run(fail, 100)
    assert len(begun) <= count


def test_threads_end_with_their_pool_which_still_does_what_it_is_given(count):
    test_every_part_is_done_once_whoever_does_it(count, 5)
    pool, done = threads._pool, []
    autograd.set_num_threads(count + 1)
    for helper in pool.helpers:
        helper.join(10)
    assert not any(helper.is_alive() for helper in pool.helpers)
    pool.run(done.append, 5)
    assert sorted(done) == list(range(5))


@given(st.integers(1, 50), st.integers(-1, 50))
def test_over_cuts_a_length_into_parts_in_order(length, most):
    cuts = threads.over(length, most, lambda first, last: (first, last))
    assert [i for cut in cuts for i in range(*cut)] == list(range(length))
    assert len(cuts) == max(1, min(autograd.get_num_threads(), length, most))
    assert len({(last - first) // (length // len(cuts)) for first, last in cuts}) <= 2


LARGE = np.random.default_rng(1).standard_normal((800, 400)).astype(np.float32)


def computed():
    """The bytes of what kernels compute, of which none depends on the number of threads."""
    x = autograd.tensor(LARGE, requires_grad=True)
    out = autograd.softmax(autograd.relu(x))
    return out.data.tobytes() + autograd.gradients(out, x, LARGE).data.tobytes()


@contextlib.contextmanager
def computing(callers):
    """Others compute meanwhile; raises AssertionError if they get anything else than what is right."""
    expected, wrong, ended = computed(), [], threading.Event()

    def compute():
        while not ended.is_set():
            wrong.extend([True] * (computed() != expected))

    others = [threading.Thread(target=compute) for _ in range(callers)]
    [t.start() for t in others]
    try:
        yield expected
    finally:
        ended.set()
        [t.join() for t in others]
    assert not wrong


def test_several_threads_may_run_work_at_once_whatever_their_number_becomes(count):
    with computing(3) as expected:
        for i in range(30):
            autograd.set_num_threads(1 + i % 4)
            assert computed() == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_threads_compute_may_compute(count):
    with computing(2) as expected:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # ends it if it waits for threads that it does not have
                right, helpers = computed() == expected, threads._pool.helpers
                os._exit(0 if right and [h.is_alive() for h in helpers] == [True] * (count - 1) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("pause", [0, 1e-5, 1e-3])
def test_no_work_is_lost_between_waking_and_sleeping(count, pause):
    for parts in range(2, 60):
        done = []
        threads.run(lambda part, done=done: time.sleep(pause * (part % 2)) or done.append(part), parts % 5)
        assert sorted(done) == list(range(parts % 5))
        time.sleep(pause)


def test_the_caller_waits_longer_than_it_stays_awake(monkeypatch):
    monkeypatch.setattr(threads, "_pool", threads.Pool(2))
    monkeypatch.setattr(threads, "LOOKS", 1)
    first = threading.Barrier(2)
    done = []
    threads.run(lambda part: (first.wait(10), time.sleep(0.02 * part), done.append(part)), 2)
    assert sorted(done) == [0, 1]
    threads._pool.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot interrupt a thread")
@pytest.mark.parametrize("looks", [1, 1 << 40])
def test_an_interrupted_caller_waits_for_who_works_in_its_arrays(monkeypatch, looks):
    monkeypatch.setattr(threads, "_pool", threads.Pool(2))
    monkeypatch.setattr(threads, "LOOKS", looks)
    both, caller, done = threading.Barrier(2), threading.get_ident(), []

    def task(part):
        both.wait(10)
        if threading.get_ident() != caller:
            time.sleep(0.02)  # now the caller waits
            signal.pthread_kill(caller, signal.SIGINT)
            time.sleep(0.02)
            done.append(part)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            threads.run(task, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(done) == 1
    threads._pool.close()


def test_helpers_that_sleep_hold_nothing_of_their_work(count):
    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    threads.run(lambda part, held=held: None, 8)
    del held
    deadline = time.monotonic() + 10
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(1e-3)
    assert gone() is None


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, None])
def test_a_number_of_threads_is_at_least_one(wrong):
    with pytest.raises(DomainError, match="set_num_threads: count is"):
        autograd.set_num_threads(wrong)


def test_the_blas_has_one_thread_while_parts_run_and_its_own_number_afterwards(count):
    get = blas.get_num_threads
    if get() is None:
        pytest.skip("NumPy has another BLAS")
    before, inside = get(), []
    threads.run(lambda part: inside.append(get()), 4)
    with blas.alone(), blas.alone():
        inside.append(get())
    assert inside == [1] * 5
    assert get() == before


@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from(["f4", "f8", "u1"])), min_size=1, max_size=8))
def test_work_space_is_aligned_as_large_as_asked_for_and_its_thread_s_own(requests):
    for size, dtype in requests:
        a, b = (memory.space(name, (size, 3), dtype) for name in ("a", "b"))
        assert a.shape == (size, 3)
        assert a.dtype == dtype
        assert a.ctypes.data % 64 == 0
        a[...], b[...] = 1, 2
        assert (a == 1).all()
    others = []
    helper = threading.Thread(target=lambda: others.append(memory.space("a", (300, 3), "f8")))
    helper.start()
    helper.join()
    assert not np.shares_memory(others[0], memory.space("a", (300, 3), "f8"))


def run_python(program, **environment):
    code = textwrap.dedent(program)
    command, env = [sys.executable, "-W", "always", "-c", code], os.environ | environment
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


STEP = """
    import numpy as np, autograd, nn
    autograd.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 4))
    x = autograd.tensor(np.random.default_rng(1).standard_normal((8, 16, 14, 14)).astype("f"))
    loss = nn.CrossEntropyLoss()(net(x), autograd.tensor([0, 1, 2, 3] * 2))
    loss.backward()
    print(round(loss.item(), 4), *[round(float(abs(p.grad.numpy()).sum()), 2) for p in net.parameters()])
"""


def test_several_threads_may_run_work_at_once_where_nothing_is_compiled_yet(tmp_path):
    pytest.importorskip("numba")
    program = """
        import threading
        from autograd.kernels.cpu import threads
        threads.set_num_threads(2)
        done = []
        callers = [threading.Thread(target=threads.run, args=(done.append, 50)) for _ in range(3)]
        [c.start() for c in callers], [c.join() for c in callers]
        print(sum(done))
    """
    assert run_python(program, NUMBA_CACHE_DIR=str(tmp_path)).stdout == "3675\n"
    assert any(tmp_path.rglob("awake.look*.nbc"))


def test_without_numba_everything_runs_on_the_reference():
    blocked = "import sys; sys.modules['numba'] = None\n" + textwrap.dedent(STEP)
    assert run_python(blocked).stdout == run_python(STEP).stdout


def test_a_failing_compiler_falls_back_with_one_warning():
    pytest.importorskip("numba")
    broken = (
        textwrap.dedent("""
        import numba.core.dispatcher
        def fail(self, sig): raise RuntimeError("no compiler today")
        numba.core.dispatcher.Dispatcher.compile = fail
    """)
        + textwrap.dedent(STEP) * 2
    )
    done = run_python(broken)
    lines = done.stdout.splitlines()
    assert lines[0] == lines[1] == run_python(STEP).stdout.strip()
    told = [line for line in done.stderr.splitlines() if "RuntimeWarning" in line]
    assert len(told) == 1


def test_a_kernel_that_cannot_run_leaves_the_call_to_the_reference():
    def plan(spec):
        def run(*args):
            raise kernels.UnavailableError("broken", "no such machine")

        return run

    kernels.register("exp", np.ndarray, plan, name="broken", priority=1000)
    try:
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match="no such machine") if _ == 0 else pytest.MonkeyPatch.context():
                assert np.array_equal(autograd.exp(np.zeros(3)), np.ones(3))
    finally:
        kernels.unregister("exp", np.ndarray, "broken")


def test_a_planner_remembers_only_so_many_shapes(monkeypatch):
    monkeypatch.setattr(registry, "MOST", 4)
    op = primitives["relu"]
    planner = registry.Planner(op, kernels.offers("relu", np.ndarray), lambda x: np.maximum(x, 0))
    for size in [*range(1, 20), 1]:
        x = np.linspace(-1, 1, size, dtype=np.float32)
        np.testing.assert_array_equal(planner(x), np.maximum(x, 0))
        assert len(planner.cache) <= 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_the_blas_is_held_may_use_it():
    with blas.alone():
        before = blas._before
        child = os.fork()
        if child == 0:
            with blas.alone():
                fine = blas._held == 1
            os._exit(0 if fine and blas.get_num_threads() in (None, before) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
