"""Depthwise convolution: every channel has a filter of its own, and a vector holds neighbouring channels.

Four pixels of a row of the result are summed at a time, so that a number of a filter is read once for the four. The
gradient of x does the same with the taps turned round: its pixels fall into ``stride`` phases, and all of one phase
meet the same taps. Nothing is computed beyond the edge.
Source: Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..reference.windows import Ints, Pairs, counts
from . import threads
from .compile import compiled
from .filters import at_
from .masks import fetch, full, read, write
from .simd import spread

PART = 1 << 20  # multiply-adds that are worth a thread's while
AHEAD = 4096  # bytes: how far ahead of its use memory is asked for


def serves(case: Any) -> bool:
    """Whether every channel of x has one filter of its own."""
    return bool(1 < case.groups == case.x[3] == case.w[0])


@lru_cache(maxsize=512)
def _taps(places: int, size: int, source: int, stride: int, before: int, apart: int, back: bool) -> tuple[Any, Any]:
    """What each of ``size`` places of an axis meets: (tap, place of the source), and where each place's own begin.

    ``back``: the places are those of x, and the source is the result that is ``stride`` times smaller.
    """
    met, begins = [], [0]
    for i in range(size):
        for r in reversed(range(places)) if back else range(places):  # so that what is met last is the farthest
            at, rest = divmod(i + before - r * apart, stride) if back else (i * stride - before + r * apart, 0)
            if rest == 0 and 0 <= at < source:
                met.append((r, at))
        begins.append(len(met))
    return np.array(met, np.int64).reshape(-1, 2), np.array(begins)


@lru_cache(maxsize=512)
def _phases(places: int, stride: int, before: int, apart: int, back: bool) -> tuple[Any, Any]:
    """(tap, place of the source for the first pixel) of every phase of a row, and where each phase's own begin."""
    met, begins = [], [0]
    for phase in range(stride if back else 1):
        for s in range(places):
            at, rest = divmod(phase + before - s * apart, stride) if back else (s * apart - before, 0)
            if rest == 0:
                met.append((s, at))
        begins.append(len(met))
    return np.array(met, np.int64).reshape(-1, 2), np.array(begins)


@compiled
def _slide(
    x: Any, w: Any, b: Any, out: Any, rows: Any, row_begins: Any, columns: Any, phase_begins: Any, move: int,
    first: int, last: int,
) -> None:  # fmt: skip
    """The rows ``first`` … ``last`` − 1 of all images' results; the source moves on by ``move`` from pixel to pixel."""
    _, height, width, channels = x.shape
    _, tall, wide, _ = out.shape
    size, like, step, across = x.itemsize, w[0, 0, 0], len(phase_begins) - 1, w.shape[1]
    pixel = channels * size
    ahead, further = move * pixel, step * pixel
    taps = np.empty((w.shape[0] * across, 3), np.int64)  # where its weights lie, and its first pixel; that one's column
    for job in range(first, last):
        n, i = job // tall, job % tall
        for phase in range(step):
            low, high, count = 0, (wide - phase + step - 1) // step, 0
            for t in range(phase_begins[phase], phase_begins[phase + 1]):
                low = max(low, (move - 1 - columns[t, 1]) // move)
                high = min(high, (width - 1 - columns[t, 1]) // move + 1)
                for j in range(row_begins[i], row_begins[i + 1]):
                    taps[count, 0] = (rows[j, 0] * across + columns[t, 0]) * pixel
                    taps[count, 1] = ((n * height + rows[j, 1]) * width + columns[t, 1]) * pixel
                    taps[count, 2] = columns[t, 1]
                    count += 1
            soon = taps[max(0, count - 1), 1] + AHEAD if count else 0
            k, pixels = 0, (wide - phase + step - 1) // step
            while k < pixels:
                several = low <= k and k + 4 <= high
                made = at_(out) + ((n * tall + i) * wide + phase + k * step) * pixel
                for away in range(0, pixel, 64):
                    mask = full((pixel - away) // size, like)
                    source, weights, place = at_(x) + k * ahead + away, at_(w) + away, k * move
                    s0 = read(at_(b) + away, mask, like)
                    if several:
                        s1 = s2 = s3 = s0
                        for t in range(4):
                            fetch(made + away + AHEAD + t * further)
                        for t in range(0, 4 * ahead, pixel):
                            fetch(source + soon + t)
                            if move > 1:
                                fetch(source + soon + t - width * pixel)
                        for t in range(count):
                            weight, at = read(weights + taps[t, 0], mask, like), source + taps[t, 1]
                            s0 = s0 + weight * read(at, mask, like)
                            s1 = s1 + weight * read(at + ahead, mask, like)
                            s2 = s2 + weight * read(at + 2 * ahead, mask, like)
                            s3 = s3 + weight * read(at + 3 * ahead, mask, like)
                        write(made + further + away, s1, mask)
                        write(made + 2 * further + away, s2, mask)
                        write(made + 3 * further + away, s3, mask)
                    else:
                        for t in range(count):
                            if 0 <= taps[t, 2] + place < width:
                                weight = read(weights + taps[t, 0], mask, like)
                                s0 = s0 + weight * read(source + taps[t, 1], mask, like)
                    write(made + away, s0, mask)
                k += 4 if several else 1


@compiled
def _weigh(
    x: Any, y: Any, sums: Any, rows: Any, row_begins: Any, columns: Any, down: int, stride: int, first: int, last: int
) -> None:
    """sums[r, s, c] += Σ x·y over the rows ``first`` … ``last`` − 1 of all images' results."""
    _, height, width, channels = x.shape
    _, tall, wide, _ = y.shape
    size, like, across = x.itemsize, x[0, 0, 0, 0], sums.shape[1]
    pixel, lanes = channels * size, 64 // size
    for job in range(first, last):
        n, i = job // tall, job % tall
        for c in range(0, channels, lanes):
            mask, away = full(channels - c, like), c * size
            for j in range(row_begins[i], row_begins[i + 1]):
                row = at_(x) + (n * height + rows[j, 1]) * width * pixel + away
                given = at_(y) + (n * tall + i) * wide * pixel + away
                if j == row_begins[i + 1] - 1:  # have the next rows brought nearer
                    for q in range(width):
                        fetch(row + (width * down + q) * pixel)
                    for q in range(wide):
                        fetch(given + (wide + q) * pixel)
                for t in range(len(columns)):
                    low = max(0, (stride - 1 - columns[t, 1]) // stride)
                    high = min(wide, (width - 1 - columns[t, 1]) // stride + 1)
                    s0 = s1 = s2 = s3 = spread(0, like)
                    at, g, whole = row + (columns[t, 1] + low * stride) * pixel, given + low * pixel, high - 3
                    for _ in range(low, whole, 4):
                        s0 = s0 + read(at, mask, like) * read(g, mask, like)
                        s1 = s1 + read(at + stride * pixel, mask, like) * read(g + pixel, mask, like)
                        s2 = s2 + read(at + 2 * stride * pixel, mask, like) * read(g + 2 * pixel, mask, like)
                        s3 = s3 + read(at + 3 * stride * pixel, mask, like) * read(g + 3 * pixel, mask, like)
                        at += 4 * stride * pixel
                        g += 4 * pixel
                    for _ in range(max(0, high - low) % 4):
                        s0 = s0 + read(at, mask, like) * read(g, mask, like)
                        at += stride * pixel
                        g += pixel
                    total = at_(sums) + (rows[j, 0] * across + columns[t, 0]) * pixel + away
                    write(total, read(total, mask, like) + ((s0 + s1) + (s2 + s3)), mask)


def _last(w: np.ndarray) -> np.ndarray:
    """Filters C 1 R S as R S C."""
    return np.ascontiguousarray(w[:, 0].transpose(1, 2, 0))


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return y, N P Q C, of x, N H W C, and filters w, C 1 R S."""
    windows = counts(x.shape[1:3], w.shape[2:], stride, padding, dilation)
    out = np.empty((len(x), *windows, groups), x.dtype)
    b = np.zeros(groups, x.dtype) if bias is None else np.ascontiguousarray(bias)
    rows = _taps(w.shape[2], windows[0], x.shape[1], stride[0], padding[0][0], dilation[0], False)
    columns = _phases(w.shape[3], 1, padding[1][0], dilation[1], False)
    given = x, _last(w), b, out, *rows, *columns, stride[1]
    threads.over(len(x) * windows[0], out.size * w[0].size // PART, lambda *cut: _slide(*given, *cut))
    return out


def dx(
    y: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of x, N H W C of ``size``, from that of the result, y, N P Q C."""
    out = np.empty((len(y), *size, groups), y.dtype)
    rows = _taps(w.shape[2], size[0], y.shape[1], stride[0], padding[0][0], dilation[0], True)
    columns = _phases(w.shape[3], stride[1], padding[1][0], dilation[1], True)
    given = y, _last(w), np.zeros(groups, y.dtype), out, *rows, *columns, 1
    threads.over(len(y) * size[0], y.size * w[0].size // PART, lambda *cut: _slide(*given, *cut))
    return out


def dw(
    x: np.ndarray, y: np.ndarray, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of the filters, C 1 R S of ``width``."""
    rows = _taps(width[0], y.shape[1], x.shape[1], stride[0], padding[0][0], dilation[0], False)
    columns, _ = _phases(width[1], 1, padding[1][0], dilation[1], False)

    def part(first: int, last: int) -> np.ndarray:
        sums = np.zeros((*width, groups), x.dtype)
        _weigh(x, y, sums, *rows, columns, *stride, first, last)
        return sums

    parts = threads.over(len(y) * y.shape[1], y.size * width[0] * width[1] // PART, part)
    return np.ascontiguousarray(np.sum(parts, axis=0).transpose(2, 0, 1))[:, None]
