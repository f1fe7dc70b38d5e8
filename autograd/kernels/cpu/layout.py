"""Channels last: the order in memory that the kernels compute in.

An image N C H W whose numbers lie in the order N H W C looks the same to its user, and to every operation; only its
strides differ. Compiled loops run over channels, which lie side by side, and a pixel's channels are one row of a
matrix product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import threads
from .compile import behaved, compiled
from .filters import LINE, at_, transpose
from .masks import full

SEVERAL = 1 << 17  # numbers that are worth several threads
FLOATS = (np.float32, np.float64)


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return N C … as a contiguous array N … C: a view if its memory is in that order, otherwise a copy."""
    last = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x.transpose(0, *range(2, x.ndim), 1)
    if last.flags.carray:
        return last
    if not x.flags.carray or x.dtype not in FLOATS:
        return behaved(last)
    out = np.empty(last.shape, x.dtype)
    n, c = x.shape[:2]
    given, made = x.reshape(n, c, -1), out.reshape(n, -1, c)
    parts = min(n, threads.get_num_threads()) if x.size > SEVERAL else 1
    threads.run(lambda part: _turn(given, made, part * n // parts, (part + 1) * n // parts), parts)
    return out


@compiled
def _turn(x: Any, out: Any, first: int, last: int) -> None:
    """out[n, p, c] = x[n, c, p]: squares in registers; few channels one by one, while both sides stay in the cache."""
    _, channels, pixels = x.shape
    size, zero = x.itemsize, x.dtype.type(0)
    lanes = LINE // size
    to = np.empty(pixels + lanes, np.int64)
    for p in range(len(to)):
        to[p] = min(p, pixels - 1) * channels * size
    for n in range(first, last):
        for c in range(0, channels if channels >= lanes else 0, lanes):
            c = min(c, channels - lanes)
            rows, end = at_(x[n, c]), at_(x[n, c + lanes - 1])
            for p in range(0, pixels, lanes):
                transpose(
                    rows + p * size, pixels * size, end + p * size, full(pixels - p, zero), at_(out[n]) + c * size,
                    at_(to) + 8 * p, zero,
                )  # fmt: skip
        for p in range(0, pixels if channels < lanes else 0, 128):
            for c in range(channels):
                for i in range(p, min(p + 128, pixels)):
                    out[n, i, c] = x[n, c, i]


def channels_first(x: np.ndarray) -> np.ndarray:
    """Return a contiguous N … C as a view N C … of the same memory."""
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x.transpose(0, -1, *range(1, x.ndim - 1))


def distance(x: np.ndarray) -> int:
    """How many numbers lie from one pixel of N C … to the next, its channels side by side; 0 if there is no such order.

    For channels last it is C; for some of the channels of such an image it is more.
    """
    channels, step, next_step = x.shape[1] * x.itemsize, 0, 0
    if 0 in x.strides:  # one pixel stands for many
        return 0
    for n, stride in zip((*x.shape[:1:-1], x.shape[0]), (*x.strides[:1:-1], x.strides[0]), strict=True):
        if n > 1:
            if step and stride != next_step:
                return 0
            step, next_step = step or stride, stride * n
    step = step or channels
    beside = x.flags.behaved and (x.shape[1] == 1 or x.strides[1] == x.itemsize)
    return step // x.itemsize if beside and step >= channels and step % x.itemsize == 0 else 0
