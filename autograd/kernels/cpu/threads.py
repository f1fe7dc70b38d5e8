"""One pool of threads for everything that kernels do at the same time.

A kernel cuts its work into parts and calls ``run(task, parts)``; compiled code and the BLAS give up Python's lock while
they work. Inside ``run`` the BLAS works with one thread, so that the machine's cores are never asked for twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from ...errors import DomainError
from . import blas

Task = Callable[[int], Any]


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
        self.done: SimpleQueue[int] = SimpleQueue()  # the parts that helpers have done
        self.error: BaseException | None = None

    def work(self) -> Iterator[int]:
        """Take parts until there are none; once one has failed the others are only taken."""
        for part in self.left:
            try:
                if self.error is None:
                    self.task(part)
            except BaseException as error:
                self.error = self.error or error
            yield part


class Pool:
    """``count`` threads, the caller's own among them; the others are started at first use."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
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
        with self.starting:
            if not self.started:
                self.started = True
                for number in range(1, self.count):
                    helper = threading.Thread(target=self._serve, name=f"autograd-{number}", daemon=True)
                    helper.start()
                    self.helpers.append(helper)
            self._keep_apart()
        job = _Job(task, parts)
        with blas.alone():
            for _ in range(helpers):
                self.jobs.put(job)
            self.inside.pool = True
            try:
                own = sum(1 for _ in job.work())
            finally:
                self.inside.pool = False
            for _ in range(parts - own):  # a helper that comes too late finds nothing to do, and is not waited for
                job.done.get()
        if job.error is not None:
            raise job.error

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
            for part in job.work():
                job.done.put(part)
            del job

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
