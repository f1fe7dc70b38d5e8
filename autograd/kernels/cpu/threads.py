"""One pool of threads for everything that kernels do at the same time.

A kernel has its work cut by ``over``, or cuts it itself and calls ``run``; compiled code and the BLAS give up Python's
lock while they work. Inside ``run`` the BLAS works with one thread, so that no core is ever asked for twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

from ...errors import DomainError
from . import blas

Task = Callable[[int], Any]
Look = Callable[[int, int], bool]
Result = TypeVar("Result")

LOOKS = 1 << 16  # at work that is not done, before the caller sleeps: 0.3 ms


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
        self.task, self.parts, self.left = task, parts, iter(range(parts))
        self.done: list[int] = []  # how many parts each thread has done
        self.finished, self.bell = ctypes.c_int64(), SimpleQueue[None]()
        self.error: BaseException | None = None

    def work(self) -> None:
        """Take parts until there are none; once one has failed the others are only taken."""
        taken = 0
        for part in self.left:
            try:
                if self.error is None:
                    self.task(part)
            except BaseException as error:
                self.error = self.error or error
            taken += 1
        self.done.append(taken)
        if sum(self.done) == self.parts:
            self.finished.value = 1
            self.bell.put(None)

    def wait(self, look: Look) -> None:
        """Wait until all parts are done, at first awake."""
        while not self.finished.value:
            try:
                if not look(ctypes.addressof(self.finished), LOOKS):
                    self.bell.get()
            except BaseException as error:  # an interrupt: the others still write into the caller's arrays
                self.error = self.error or error


class Pool:
    """``count`` threads, the caller's own among them; the others are started at first use."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.look: Look | None = None  # known once the threads are started
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
        with self.starting:
            look = self.look or self._start()
            self._keep_apart()
        job = _Job(task, parts)
        with blas.alone():
            for _ in range(helpers):
                self.jobs.put(job)  # a helper that comes too late finds nothing to do, and is not waited for
            self.inside.pool = True
            try:
                job.work()
            finally:
                self.inside.pool = False
            job.wait(look)
        if job.error is not None:
            raise job.error

    def _start(self) -> Look:
        from .awake import look  # Numba's, which whoever computes nothing does not wait for

        look(0, 0)  # so that a compiler that fails does so now
        self.look = look
        for number in range(1, self.count):
            helper = threading.Thread(target=self._serve, name=f"autograd-{number}", daemon=True)
            helper.start()
            self.helpers.append(helper)
        return look

    def _keep_apart(self) -> None:
        """Keep the helpers off the caller's core: Linux wakes them there, to wait, while another core idles."""
        if not _getcpu or len(self.cores) < 2 or (core := _getcpu()) == self.avoided:
            return
        self.avoided = core
        for helper in self.helpers:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(helper.native_id or 0, self.cores - {core})

    def _serve(self) -> None:
        self.inside.pool = True
        while (job := self.jobs.get()) is not None:
            job.work()
            del job  # and with it what the task holds

    def close(self) -> None:
        """Let the threads end; whoever still calls ``run`` does all parts."""
        with self.starting:
            self.count = 1
            for _ in self.helpers:
                self.jobs.put(None)


_pool = Pool(_available())


def run(task: Task, parts: int) -> None:
    """Call ``task(part)`` for every part, 0 … parts − 1, on all threads; see ``Pool.run``."""
    _pool.run(task, parts)


def over(length: int, most: int, part: Callable[[int, int], Result]) -> list[Result]:
    """Cut 0 … ``length`` − 1 into as many parts as there are threads, at ``most`` so many; do them at the same time.

    Return what ``part(first, last)`` returned of each, in their order; ``last`` is the next one's first.
    """
    count = max(1, min(_pool.count, length, most))
    if count == 1:
        return [part(0, length)]
    results: list[Any] = [None] * count

    def task(i: int) -> None:
        results[i] = part(i * length // count, (i + 1) * length // count)

    run(task, count)
    return results


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
        before, _pool = _pool, Pool(int(count))
        before.close()


def slices(length: int, parts: int) -> Iterator[slice]:
    """Cut ``length`` into ``parts`` slices that differ by at most one."""
    return (slice(i * length // parts, (i + 1) * length // parts) for i in range(parts))


def _after_fork() -> None:
    """A child process has none of its parent's threads."""
    global _pool
    _pool = Pool(_pool.count)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
