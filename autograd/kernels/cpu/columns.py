"""Convolution of few pixels with many filters, as one matrix product in which the filters lie as they are.

What a filter meets at a pixel becomes a row in the filters' own order, C R S. With the rows X, (N·P·Q) × (C·R·S), the
filters are W, K × (C·R·S), read where they lie: Y = X Wᵀ, dX = dY W, dW = dYᵀ X; only X is written out, and dX added
back. For 1×1 filters X is the image. Other algorithms bring the filters into an order of their own first, which costs
more than it gains when each of them meets few pixels.
Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing", 2006.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..reference.windows import Ints, Pairs, counts
from . import memory, threads
from .compile import compiled
from .matmul import product
from .tail import Tail

MANY = 1 << 16  # input × output channels from which filters larger than 1×1 are left as they lie …
FEW = 500  # … if pixels of the result are fewer
SEVERAL = 1 << 17  # numbers of the rows that are worth several threads


def serves(case: Any) -> bool:
    """Whether the filters are 1×1, or many and meet few pixels (measured)."""
    few = prod(case.w[:2]) >= MANY and prod(case.y[:3]) < FEW
    return bool(case.groups == 1 and (case.w[2:] == (1, 1) or few))


@compiled
def _exchange(
    x: Any, rows: Any, back: bool, first: int, last: int, down: int, across: int, top: int, left: int, tall: int,
    wide: int,
) -> None:  # fmt: skip
    """rows[pixel, c, r, s] = what the filters meet, of the images ``first`` … ``last`` − 1; zero beyond their edges.

    ``back``: the transpose, x = the sum of the rows that were taken from it. ``down`` and ``across`` are the stride,
    ``tall`` and ``wide`` the dilation.
    """
    _, height, width, _ = x.shape
    _, p, q, channels, r, s = rows.shape
    for n in range(first, last):
        if back:
            x[n] = 0
        for i in range(p):
            for j in range(q):
                row = rows[n, i, j]
                for a in range(r):
                    for b in range(s):
                        h, w = i * down + a * tall - top, j * across + b * wide - left
                        if 0 <= h < height and 0 <= w < width:
                            pixel = x[n, h, w]
                            if back:
                                for c in range(channels):
                                    pixel[c] += row[c, a, b]
                            else:
                                for c in range(channels):
                                    row[c, a, b] = pixel[c]
                        elif not back:
                            for c in range(channels):
                                row[c, a, b] = 0


def _by_images(x: np.ndarray, rows: np.ndarray, back: bool, stride: Ints, padding: Pairs, dilation: Ints) -> None:
    """Run ``_exchange`` on all threads, each with images of its own."""
    count = len(rows)
    parts = min(threads.get_num_threads(), count) if rows.size > SEVERAL else 1
    numbers = (*stride, padding[0][0], padding[1][0], *dilation)
    alone = rows.shape[4:] == (1, 1) and not any(map(any, padding))  # every row is a pixel
    met = x[:, : rows.shape[1] * stride[0] : stride[0], : rows.shape[2] * stride[1] : stride[1]] if alone else x

    def task(part: int) -> None:
        first, last = part * count // parts, (part + 1) * count // parts
        if not alone:
            _exchange(x, rows, back, first, last, *numbers)
        elif back:
            x[first:last] = 0
            met[first:last] = rows[first:last, ..., 0, 0]
        else:
            rows[first:last, ..., 0, 0] = met[first:last]

    threads.run(task, parts)


def _is_image(size: Ints, windows: Ints, width: Ints, stride: Ints, padding: Pairs) -> bool:
    """Whether every filter meets every pixel once, so that X is the image."""
    return width == stride == (1, 1) and tuple(size) == tuple(windows) and not any(map(any, padding))


def _rows(x: np.ndarray, width: Ints, windows: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> np.ndarray:
    """X, a row for every pixel of the result; the image itself where that is the same."""
    n, c = len(x), x.shape[3]
    if _is_image(x.shape[1:3], windows, width, stride, padding):
        return x.reshape(-1, c)
    rows = memory.space("columns", (n, *windows, c, *width), x.dtype)
    _by_images(x, rows, False, stride, padding, dilation)
    return rows.reshape(n * prod(windows), -1)


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Pairs, dilation: Ints, groups: int,
    tail: Tail | None = None,
) -> np.ndarray:  # fmt: skip
    """Return y, N P Q K, of x, N H W C, and filters w, K C R S, with the bias or a tail."""
    windows = counts(x.shape[1:3], w.shape[2:], stride, padding, dilation)
    rows = _rows(x, w.shape[2:], windows, stride, padding, dilation)
    return product(rows, w.reshape(len(w), -1).T, bias, tail).reshape(len(x), *windows, len(w))


def dx(
    y: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of x, N H W C of ``size``, from that of the result, y, N P Q K."""
    (n, p, q, k), c, width = y.shape, w.shape[1], w.shape[2:]
    rows = product(y.reshape(-1, k), w.reshape(k, -1)).reshape(n, p, q, c, *width)
    if _is_image(size, (p, q), width, stride, padding):
        return rows.reshape(n, p, q, c)
    x = np.empty((n, *size, c), y.dtype)
    _by_images(x, rows, True, stride, padding, dilation)
    return x


def dw(
    x: np.ndarray, y: np.ndarray, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of w, K C R S, from x and the gradient of the result, y."""
    k, c = y.shape[3], x.shape[3]
    rows = _rows(x, width, y.shape[1:3], stride, padding, dilation)
    return product(y.reshape(-1, k).T, rows).reshape(k, c, *width)
