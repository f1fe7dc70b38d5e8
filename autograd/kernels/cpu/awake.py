"""Waiting awake: to be woken takes a thread 25 µs, unless it looks at a number in memory again and again.

Nobody holds Python's lock meanwhile. How long to wait is counted in looks: ``looks(seconds)``.
"""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compile import compiled

NUMBER, ORDER = ir.IntType(64), "seq_cst"


def _place(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, NUMBER.as_pointer())


@intrinsic
def _number(typing: Any, address: Any) -> Any:
    """What stands at an address now; the fence takes a while, in which a core is free for its other thread."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence(ORDER)
        return builder.load_atomic(_place(builder, args[0]), ORDER, 8)

    return types.int64(types.int64), generate


@intrinsic
def _add(typing: Any, address: Any, number: Any) -> Any:
    """Add a number to what stands at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _place(builder, args[0]), args[1], ORDER)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _replace(typing: Any, address: Any, old: Any, new: Any) -> Any:
    """Put ``new`` in the place of ``old``, and say whether that stood there."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.extract_value(builder.cmpxchg(_place(builder, args[0]), args[1], args[2], ORDER), 1)

    return types.boolean(types.int64, types.int64, types.int64), generate


# --- who waits for whom: ``resting`` is the address of a 1 while a helper may be offered work -------------------------


@compiled
def wait(done: int, parts: int, looks: int) -> bool:
    """Wait until so many parts are done; say whether they are."""
    while _number(done) != parts and looks > 0:
        looks -= 1
    return looks > 0


@compiled
def offer(resting: int) -> bool:
    """Offer work to a helper; say whether it rests, awake."""
    return _replace(resting, 1, 0)  # type: ignore[no-any-return]


@compiled
def rest(done: int, parts: int, resting: int, looks: int, later: int) -> bool:
    """Say that parts are done, and rest until more work is offered, and ``later`` looks; say whether it was."""
    _replace(resting, 0, 1)
    _add(done, parts)
    for _ in range(looks):
        if _number(resting) == 0:
            for _ in range(later):
                _number(resting)
            return True
    return not _replace(resting, 1, 0)


@functools.cache
def _rate() -> float:
    """How often a thread looks in a second."""
    numbers, tries = np.zeros(2, np.int64), []
    at = numbers.ctypes.data
    rest(at, 0, at + 8, 0, 0), offer(at)  # so that they are compiled
    for _ in range(4):
        start = time.perf_counter()
        wait(at, 1, 1 << 10)
        tries.append(time.perf_counter() - start)
    return (1 << 10) / min(tries)


def looks(seconds: float) -> int:
    """Return how many looks take so long."""
    return int(seconds * _rate())
