"""Local response normalisation in one pass, channels last: a pixel's channels stay in the nearest cache.

With s = k + alpha/size·Σ x² the result is x·s^(−3/4), by two square roots; other powers are left to the definition.
Backward s is computed again, which costs less than reading it: dx = g·s^(−3/4) − 3/2·alpha/size·x·Σ g·x·s^(−7/4).
Krizhevsky et al. 2012, sec. 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..registry import Spec
from . import threads
from .compile import compiled, inlined
from .layout import channels_first, channels_last
from .masks import fetch, full, read, root, write
from .simd import spread

PART = 1 << 15  # numbers that are worth a thread's while
AHEAD = 1024  # bytes: how far ahead of its use memory is asked for


@inlined
def _window(at: int, size: int, width: int, mask: Any, like: Any) -> Any:
    """The sums of ``width`` neighbours."""
    total = read(at, mask, like)
    for i in range(1, width):
        total = total + read(at + i * size, mask, like)
    return total


@inlined
def _squares(x: int, at: int, size: int, channels: int, like: Any) -> None:
    for c in range(0, channels, 64 // size):
        mask = full(channels - c, like)
        value = read(x + c * size, mask, like)
        fetch(x + c * size + AHEAD)
        write(at + c * size, value * value, mask)


@compiled
def _forward(x: Any, out: Any, width: int, share: float, k: float, first: int, last: int) -> None:
    like, size, channels = x[0, 0], x.itemsize, x.shape[1]
    squares = np.zeros(channels + width, x.dtype)
    begin = squares.ctypes.data
    for row in range(first, last):
        from_x, to_out = x.ctypes.data + row * channels * size, out.ctypes.data + row * channels * size
        _squares(from_x, begin + width // 2 * size, size, channels, like)
        for c in range(0, channels, 64 // size):
            mask = full(channels - c, like)
            s = _window(begin + c * size, size, width, mask, like) * share + k
            r = spread(1, like) / root(s)
            fetch(to_out + c * size + AHEAD)
            write(to_out + c * size, read(from_x + c * size, mask, like) * r * root(r), mask)


@compiled
def _backward(g: Any, x: Any, dx: Any, width: int, share: float, k: float, first: int, last: int) -> None:
    like, size, channels = x[0, 0], x.itemsize, x.shape[1]
    squares, powers = np.zeros(channels + width, x.dtype), np.empty(channels, x.dtype)
    products = np.zeros(channels + width, x.dtype)
    begin, power, product = squares.ctypes.data, powers.ctypes.data, products.ctypes.data
    for row in range(first, last):
        at = row * channels * size
        from_x, from_g, to_dx = x.ctypes.data + at, g.ctypes.data + at, dx.ctypes.data + at
        _squares(from_x, begin + width // 2 * size, size, channels, like)
        for c in range(0, channels, 64 // size):
            mask, i = full(channels - c, like), c * size
            r = spread(1, like) / root(_window(begin + i, size, width, mask, like) * share + k)
            p = r * root(r)
            write(power + i, p, mask)
            fetch(from_g + i + AHEAD)
            gx = read(from_g + i, mask, like) * read(from_x + i, mask, like)
            write(product + (width - 1) // 2 * size + i, gx * p * r * r, mask)
        for c in range(0, channels, 64 // size):
            mask, i = full(channels - c, like), c * size
            direct = read(from_g + i, mask, like) * read(power + i, mask, like)
            shared = read(from_x + i, mask, like) * _window(product + i, size, width, mask, like)
            fetch(to_dx + i + AHEAD)
            write(to_dx + i, direct - shared * (1.5 * share), mask)


def _pass(kernel: Callable[..., None], size: int, alpha: float, k: float, *images: np.ndarray) -> np.ndarray:
    """Run a kernel over the pixels of images, cut among the threads."""
    last = [channels_last(x) for x in images]
    flat = [x.reshape(-1, x.shape[-1]) for x in last]
    out = np.empty_like(flat[0])
    given = *flat, out, int(size), float(alpha) / size, float(k)
    threads.over(len(out), out.size // PART, lambda *cut: kernel(*given, *cut))
    return channels_first(out.reshape(last[0].shape))


class _Kernel:
    """See ``composite``."""

    @staticmethod
    def forward(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> tuple[np.ndarray, None]:
        return _pass(_forward, size, alpha, k, x), None

    @staticmethod
    def backward(
        g: np.ndarray, wanted: Sequence[bool], inputs: Sequence[np.ndarray], residuals: None, *params: Any
    ) -> list[np.ndarray]:
        size, alpha, _, k = params
        return [_pass(_backward, size, alpha, k, g, inputs[0])]


def _plan(spec: Spec) -> Any:
    served = spec.dtypes[0] in (np.float32, np.float64) and spec.params["beta"] == 0.75
    return _Kernel if served and isinstance(spec.params["size"], int) and spec.params["size"] > 0 else None


plans: dict[str, Callable[[Spec], Any]] = {"local_response_norm": _plan}
