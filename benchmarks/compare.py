"""Sides that do the same work, timed in turns: worker processes of which never two compute at a time.

A side is a function that prepares its work and returns runs by name. It is called in a process of its own, and told the
number of threads, which was set there for libraries that ask the environment:

    with Worker(ours, "lenet5", threads=2) as a, Worker(theirs, "lenet5", threads=2) as b:
        seconds = alternate({"ours": a, "theirs": b}, "train")
    ratio(seconds["theirs"], seconds["ours"])
"""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

Runs = Mapping[str, Callable[[], Any]]
Side = Callable[..., Runs]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PAUSE = 0.05  # seconds between turns: the threads of some libraries spin for up to 0.03 after their work


class MeasurementError(Exception):
    """A side could not do its work, or the sides' results differ; the message is for the table."""


class Worker:
    """A process that prepares one side and then runs what it is told to, ``times`` times without interruption."""

    def __init__(self, side: Side, *args: Any, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, its_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(its_end, side, args, threads), daemon=True)
        with _environment({name: str(threads) for name in THREAD_VARIABLES}):
            self._process.start()
        its_end.close()
        self._ready = False

    def ask(self, run: str, times: int = 1) -> tuple[float, Any]:
        """Return the seconds that one run took, on average, and what the last one returned."""
        if not self._ready:
            self._receive()
            self._ready = True
        self._pipe.send((run, times))
        return self._receive()

    def _receive(self) -> Any:
        try:
            fine, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise MeasurementError(f"the process ended with exit status {self._process.exitcode}") from None
        if not fine:
            raise MeasurementError(answer)
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # the process ends at the end of its input
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, side: Side, args: tuple[Any, ...], threads: int) -> None:
    """What a worker does, until the other end is closed."""
    try:
        runs = dict(side(*args, threads=threads))
        runs["names"] = lambda: list(runs)
        pipe.send((True, None))
        while True:
            name, times = pipe.recv()
            run = runs[name]
            start = time.perf_counter()
            for _ in range(times):
                value = run()
            pipe.send((True, ((time.perf_counter() - start) / times, value)))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the other end was closed
        return
    except Exception as error:
        traceback.print_exc()
        pipe.send((False, f"{type(error).__name__}: {error}"))


@contextmanager
def _environment(values: Mapping[str, str]) -> Any:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# --- time -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effort:
    """How much is measured: turns of each side, seconds for all turns, and the least seconds of one turn."""

    rounds: int = 15
    budget: float = 10.0
    turn: float = 0.1
    fewest: int = 3


QUICK = Effort(rounds=3, budget=1.0, turn=0.02, fewest=1)


def alternate(workers: Mapping[str, Worker], run: str, effort: Effort = Effort()) -> dict[str, list[float]]:
    """Return each side's seconds for one run, turn by turn; the order of the sides is reversed every other round."""
    times, round_takes = {}, 0.0
    for name, worker in workers.items():
        worker.ask(run)  # compiles, allocates, reads the weights
        once, _ = worker.ask(run)
        times[name] = max(1, math.ceil(effort.turn / once))
        round_takes += once * times[name] + PAUSE
        time.sleep(PAUSE)
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for i in range(min(effort.rounds, max(effort.fewest, int(effort.budget / round_takes)))):
        for name in list(workers)[:: -1 if i % 2 else 1]:
            seconds[name].append(workers[name].ask(run, times[name])[0])
            time.sleep(PAUSE)
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median and what nine of ten values lie above and below."""
    ordered = sorted(values)
    outside = len(ordered) // 10
    return {"median": statistics.median(ordered), "low": ordered[outside], "high": ordered[-1 - outside]}


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """How many times as fast we are: the ratios of neighbouring turns, so that what slows both down drops out."""
    return spread([a / b for a, b in zip(theirs, ours, strict=True)])


def figures(seconds: Mapping[str, Sequence[float]], ours: str, own: Sequence[str] = ()) -> dict[str, Any]:
    """What is kept of one comparison: each side's median, and the ratio of the fastest other side to ``ours``.

    ``own``: sides that are shown, but are not what is compared with.
    """
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    against = min((side for side in seconds if side not in (ours, *own)), key=medians.__getitem__)
    found = ratio(seconds[against], seconds[ours])
    return {"seconds": medians, "against": against, "ratio": found, "turns": len(seconds[ours])}


# --- what both must have computed -------------------------------------------------------------------------------------


def agree(results: Mapping[str, Mapping[str, Any]], tolerance: float = 1e-3) -> None:
    """See that the named results of the first side are those of the others: a fast wrong answer is not a result.

    They may differ by ``tolerance`` relative to their size, or by twice as much as the others among themselves: two
    ways to compute the gradients of 50 layers in float32 differ by far more than a thousandth.

    Raises:
        MeasurementError: if they differ by more, or are not numbers.
    """
    (first, ours), *others = results.items()
    for side, found in others:
        if found.keys() != ours.keys():
            raise MeasurementError(f"{first} computed {sorted(ours)}, {side} {sorted(found)}")
    for name, a in ours.items():
        allowed = max([tolerance, *(2 * apart(x[name], y[name]) for (_, x), (_, y) in combinations(others, 2))])
        for side, found in others:
            if not (difference := apart(a, found[name])) <= allowed:
                raise MeasurementError(f"{name} differs by {difference:.1e} between {first} and {side}")


def apart(a: Any, b: Any) -> float:
    """The distance of two arrays, relative to the size of the larger."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    distance = float(np.linalg.norm(a - b))
    return distance and distance / float(max(np.linalg.norm(a), np.linalg.norm(b)))


# --- memory -----------------------------------------------------------------------------------------------------------


def memory() -> dict[str, float]:
    """Resident memory of this process in MB, now and at most so far."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return {"now": int(lines["VmRSS"].split()[0]) / 1e3, "peak": int(lines["VmHWM"].split()[0]) / 1e3}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {"now": peak, "peak": peak}


def opened(stack: ExitStack, sides: Mapping[str, tuple[Any, ...]], threads: int) -> dict[str, Worker]:
    """Start a worker for each ``(side, *arguments)``; they end with ``stack``."""
    return {name: stack.enter_context(Worker(*call, threads=threads)) for name, call in sides.items()}
