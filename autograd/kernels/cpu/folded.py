"""The gradient of images with few channels: sums over a filter's rows and results first, then over its columns.

Few channels leave most of a vector empty. Side by side with a filter's columns, S·C, they fill it: for each row h of x
z[q, (s, c)] = Σ_r Σ_k y[h − r, q, k] · w[k, c, r, s] is a product of full vectors; x[h, w, c] = Σ_s z[w − s, s, c].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference.windows import Ints, Pairs
from .compile import compiled
from .direct import dw, forward
from .filters import at_, run, worth
from .masks import full, read, write
from .memory import space
from .simd import spread
from .tiles import columns_of, contract, lanes_of

__all__ = ["dw", "dx", "forward", "serves"]


def serves(case: Any) -> bool:
    """Whether x has few channels, which would leave most of each vector empty, and filters step by 1."""
    plain = case.stride == case.dilation == (1, 1) and case.groups == 1
    return bool(plain and case.x[3] < lanes_of(np.float32) and case.w[3] > 1)


@compiled
def _fold(
    y: Any, packed: Any, sums: Any, nothing: Any, x: Any, runs: Any, places: Any, top: int, left: int, first: int,
    last: int,
) -> None:  # fmt: skip
    """Fill in the images ``first`` … ``last`` − 1 of x."""
    _, height, wide, filters = y.shape
    _, tall, across, channels = x.shape
    _, down, _, block = packed.shape
    size, like, columns = y.itemsize, x[0, 0, 0, 0], nothing.size - block  # a vector may be read behind
    length, reach, lanes = sums.shape[1] * size, columns // channels, 64 // size
    for n in range(first, last):
        for h in range(tall):
            count = 0
            for r in range(max(0, h + top - height + 1), min(down, h + top + 1)):
                runs[count, 0] = (h + top - r) * wide * filters * size
                runs[count, 1] = r * filters * block * size
                count += 1
            contract(
                sums, at_(y[n]), at_(packed), at_(sums), at_(nothing), places, wide, filters * size, length,
                runs[:count], filters, size, block * size, down * filters * block * size, columns, False,
            )  # fmt: skip
            for w in range(across):
                begin, end = max(0, w + left - wide + 1), min(reach, w + left + 1)
                pixel = at_(x) + ((n * tall + h) * across + w) * channels * size
                for c in range(0, channels, lanes):
                    mask, total = full(channels - c, like), spread(0, like)
                    at = at_(sums) + (w + left - begin) * length + (begin * channels + c) * size
                    for _ in range(begin, end):
                        total = total + read(at, mask, like)
                        at += channels * size - length
                    write(pixel + c * size, total, mask)


def dx(
    y: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of x, N H W C of ``size``, from that of the result, y, N P Q K."""
    (n, _, q, filters), (_, channels, down, reach) = y.shape, w.shape
    x, columns, block = np.empty((n, *size, channels), y.dtype), reach * channels, columns_of(y.dtype)
    packed = np.zeros((down, filters, -(-columns // block) * block), y.dtype)
    packed[..., :columns] = w.transpose(2, 0, 3, 1).reshape(down, filters, columns)
    packed = np.ascontiguousarray(packed.reshape(down, filters, -1, block).transpose(2, 0, 1, 3))
    nothing, places = np.zeros(columns + block, y.dtype), np.zeros((1, 2), np.int64)
    count = min(n, worth(y.size * w[0].size))

    def part(i: int) -> None:
        sums = space("folded", (q, packed.shape[0] * block), y.dtype)
        runs = np.empty((down, 2), np.int64)
        rows = i * n // count, (i + 1) * n // count
        _fold(y, packed, sums, nothing, x, runs, places, padding[0][0], padding[1][0], *rows)

    run(part, count, count)
    return x
