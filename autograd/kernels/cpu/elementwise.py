"""One pass over memory, whatever its order: the rectifier and its gradient.

Large results are written past the caches, where nobody would find them anyway: that saves reading what is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..registry import Spec
from . import threads
from .compile import compiled, inlined
from .masks import above, choose, fetch, full, not_less, read, stream, write
from .simd import spread

PART = 1 << 18  # numbers that are worth a thread's while
FAR = 1 << 25  # bytes of a result that no cache holds
AHEAD = 1024  # bytes: how far ahead of its use memory is asked for


@inlined
def _rectified(x: int, mask: Any, like: Any) -> Any:
    value = read(x, mask, like)
    fetch(x + AHEAD)
    return choose(not_less(value, spread(0, like)), value, spread(0, like))


@compiled
def _relu(x: int, out: int, first: int, last: int, like: Any, size: int, far: bool) -> None:
    lanes = 64 // size
    whole, every = last - (last - first) % lanes if far else first, full(lanes, like)
    for i in range(first, whole, lanes):
        stream(out + i * size, _rectified(x + i * size, every, like))
    for i in range(whole, last, lanes):
        mask = full(last - i, like)
        write(out + i * size, _rectified(x + i * size, mask, like), mask)


@inlined
def _passed(y: int, x: int, mask: Any, like: Any) -> Any:
    passes, value = above(read(x, mask, like), spread(0, like)), read(y, mask, like)
    fetch(y + AHEAD)
    fetch(x + AHEAD)
    return choose(passes, value, spread(0, like))


@compiled
def _relu_dx(y: int, x: int, out: int, first: int, last: int, like: Any, size: int, far: bool) -> None:
    lanes = 64 // size
    whole, every = last - (last - first) % lanes if far else first, full(lanes, like)
    for i in range(first, whole, lanes):
        stream(out + i * size, _passed(y + i * size, x + i * size, every, like))
    for i in range(whole, last, lanes):
        mask = full(last - i, like)
        write(out + i * size, _passed(y + i * size, x + i * size, mask, like), mask)


def _pass(kernel: Callable[..., None], *inputs: np.ndarray) -> np.ndarray:
    """Run ``kernel`` over inputs of one shape and type; the result lies in memory as the last of them does."""
    out = np.empty_like(inputs[-1])
    size, like, far = out.itemsize, out.dtype.type(0), out.nbytes >= FAR
    flat = [*[in_order_of(out, x) for x in inputs], out]
    addresses = [a.__array_interface__["data"][0] for a in flat]
    head = min(-addresses[-1] % 64 // size, out.size)  # what comes before the first line of the cache
    kernel(*addresses, 0, head, like, size, False)
    lanes = 64 // size

    def part(first: int, last: int) -> None:
        kernel(*addresses, head + first * lanes, min(head + last * lanes, out.size), like, size, far)

    threads.over(-(-(out.size - head) // lanes), out.size // PART, part)
    return out


def in_order_of(out: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return x as it is if it lies in memory as ``out``, which has no gaps, and otherwise a copy that does."""
    if x.strides == out.strides:
        return x
    copy = np.empty_like(out)
    copy[...] = x
    return copy


def _plan(kernel: Callable[..., None]) -> Callable[[Spec], Callable[..., Any] | None]:
    def plan(spec: Spec) -> Callable[..., Any] | None:
        alike = len({*spec.shapes}) == len({*spec.dtypes}) == 1
        served = alike and spec.dtypes[0] in (np.float32, np.float64)
        return (lambda *inputs: _pass(kernel, *inputs)) if served else None

    return plan


plans: dict[str, Callable[[Spec], Callable[..., Any] | None]] = {"relu": _plan(_relu), "relu_dx": _plan(_relu_dx)}
