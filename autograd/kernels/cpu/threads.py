"""One pool of threads for everything that kernels do at the same time.

A kernel cuts its work into parts and calls ``run(task, parts)``; compiled code and the BLAS give up Python's lock while
they work. Inside ``run`` the BLAS works with one thread, so that the machine's cores are never asked for twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from ...errors import DomainError
from . import blas

Task = Callable[[int], Any]

REST = 4e-5  # seconds that a helper stays awake after its work
LATER = 1.5e-5  # seconds that it lets the caller have Python's lock first, who has work offered and a part to begin
PATIENCE, NAP = 1e-3, 5e-5  # seconds that the caller waits awake for the helpers; and sleeps after that, every time


def _available() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _find_getcpu() -> Callable[[], int] | None:
    """Return the C library's function that says on which core the caller runs, on Linux."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)


_getcpu = _find_getcpu()


class _Job:
    """Parts of one piece of work, taken one after the other by whoever is free."""

    def __init__(self, task: Task, parts: int) -> None:
        self.task, self.left = task, iter(range(parts))
        self.done = ctypes.c_int64()  # how many parts the helpers have done
        self.error: BaseException | None = None

    def work(self) -> int:
        """Take parts until there are none, and return how many; once one has failed the others are only taken."""
        taken = 0
        for part in self.left:
            try:
                if self.error is None:
                    self.task(part)
            except BaseException as error:
                self.error = self.error or error
            taken += 1
        return taken


class Pool:
    """``count`` threads, the caller's own among them; the others are started at first use.

    Who has just worked stays awake for a moment, since calls follow closely in a network: a helper until it is offered
    more, the caller until the helpers are done. Then they sleep.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()  # for helpers that sleep
        self.offered: list[_Job | None] = [None] * count  # to helpers that are awake
        self.resting = [(ctypes.c_int64 * 16)() for _ in range(count)]  # 1 if a helper is; a line of the cache for each
        self.started = False
        self.inside = threading.local()
        self.starting = threading.Lock()
        self.helpers: list[threading.Thread] = []
        self.cores = os.sched_getaffinity(0) if _getcpu else set()
        self.avoided: int | None = None

    def run(self, task: Task, parts: int) -> None:
        """Call ``task(part)`` for every part, 0 … parts − 1, in any order; raise what the first that failed raised."""
        helpers = min(self.count, parts) - 1
        if helpers < 1 or getattr(self.inside, "pool", False):
            with blas.alone():
                for part in range(parts):
                    task(part)
            return
        from . import awake  # Numba's, which whoever computes nothing does not wait for

        with self.starting:
            if not self.started:
                self.started = awake.looks(REST) > 0  # compiled now, before a helper has to
                for number in range(self.count - 1):
                    self._start(number)
            self._keep_apart()
        job = _Job(task, parts)
        with blas.alone():
            for number in range(helpers):
                self.offered[number] = job
                if not awake.offer(ctypes.addressof(self.resting[number])):
                    self.offered[number] = None  # of another caller it may have been: no job needs a helper
                    self.jobs.put(job)
            self.inside.pool = True
            try:
                own = job.work()
            finally:
                self.inside.pool = False
            while not awake.wait(ctypes.addressof(job.done), parts - own, awake.looks(PATIENCE)):
                time.sleep(NAP)  # a helper that comes too late finds nothing to do, and is not waited for
        if job.error is not None:
            raise job.error

    def _start(self, number: int) -> None:
        helper = threading.Thread(target=self._serve, args=(number,), name=f"autograd-{number + 1}", daemon=True)
        helper.start()
        self.helpers.append(helper)

    def _keep_apart(self) -> None:
        """Keep the helpers off the caller's core: Linux wakes them there, to wait, while another core idles."""
        if not _getcpu or len(self.cores) < 2 or (core := _getcpu()) == self.avoided:
            return
        self.avoided = core
        for helper in self.helpers:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(helper.native_id or 0, self.cores - {core})

    def _serve(self, number: int) -> None:
        from . import awake

        self.inside.pool = True
        how = ctypes.addressof(self.resting[number]), awake.looks(REST), awake.looks(LATER)
        while (job := self.jobs.get()) is not None:
            while job is not None:
                done, taken = job.done, job.work()
                job = None  # and with it what the task holds
                if awake.rest(ctypes.addressof(done), taken, *how):
                    job, self.offered[number] = self.offered[number], None

    def close(self) -> None:
        """Let the threads end."""
        if self.started:
            for _ in range(1, self.count):
                self.jobs.put(None)


_pool = Pool(_available())


def run(task: Task, parts: int) -> None:
    """Call ``task(part)`` for every part, 0 … parts − 1, on all threads; see ``Pool.run``."""
    _pool.run(task, parts)


def get_num_threads() -> int:
    """Return how many threads kernels use.

    At first that is ``OMP_NUM_THREADS`` or, if it is not set, the number of cores that the process may use.

    >>> get_num_threads() >= 1
    True
    """
    return _pool.count


def set_num_threads(count: int) -> None:
    """Set how many threads kernels use, for the whole process.

    Raises:
        DomainError: if ``count`` is no integer of at least 1.

    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    global _pool
    if not hasattr(count, "__index__") or isinstance(count, bool) or count < 1:
        raise DomainError(f"set_num_threads: count is {count!r} but a number of threads is needed → give 1 or more")
    if count != _pool.count:
        _pool.close()
        _pool = Pool(int(count))


def slices(length: int, parts: int) -> Iterator[slice]:
    """Cut ``length`` into ``parts`` slices that differ by at most one."""
    return (slice(i * length // parts, (i + 1) * length // parts) for i in range(parts))


def _after_fork() -> None:
    """A child process has none of its parent's threads."""
    global _pool
    _pool = Pool(_pool.count)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
