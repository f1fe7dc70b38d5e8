"""Convolution where the pixels lie: overlapping windows are the rows of a product that nobody writes out.

All three members of the family are sums of products over tables of offsets (``tiles.contract``). Padding is put around
a few rows of the images at a time, which then stay in the cache. The gradient of x is a convolution, too: its pixels
whose indices leave the same remainder by the stride meet the same places of the filters, and are computed together.
Source: Georganas et al., SC 2018; Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from ..reference.windows import Ints, Pairs, counts
from . import threads
from .compile import compiled
from .memory import space
from .tiles import columns_of, contract, lanes_of

CHUNK = 1 << 19  # bytes of images worked on at a time: half of the L2 cache
ALONE = 1 << 21  # multiply-adds that one thread does sooner than several


class Tap(NamedTuple):
    """A place of the filters: its number, and its row and column from the first pixel of the window."""

    number: int
    row: int
    column: int


class Phase(NamedTuple):
    """Every so many-th pixel of the result: the first of them, and the places of the filters that they meet."""

    row: int
    column: int
    taps: tuple[Tap, ...]


class Area(NamedTuple):
    """Rows of images in memory, with padding: where the first begins, and the bytes from row to row, image to image."""

    address: int
    row: int
    image: int


# --- the family -------------------------------------------------------------------------------------------------------


def serves(case: Any) -> bool:
    """Every convolution: any stride, padding, dilation and groups."""
    return True


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the convolution N P Q K of x, N H W C, with filters K C/groups R S, plus the bias."""
    (k, c), places = w.shape[:2], w.shape[2:]
    out = np.empty((len(x), *counts(x.shape[1:3], places, stride, padding, dilation), k), x.dtype)
    packed = _packed(w, groups, c, k // groups, prod(places), w[0].size)
    joined = places[1] if dilation[1] == groups == 1 else 1
    _slide(x, packed, bias, out, _windows(places, padding, dilation), stride, (1, 1), joined)
    return out


def dx(
    y: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of x, N H W C, from that of the result, y."""
    k, c = w.shape[:2]
    x = np.empty((len(y), *size, c * groups), y.dtype)
    packed = _packed(w, groups, k // groups, c, w[0].size, prod(w.shape[2:]))
    _slide(y, packed, None, x, _phases(w.shape[2:], stride, padding, dilation), (1, 1), stride, 1)
    return x


def dw(
    x: np.ndarray, y: np.ndarray, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of the filters, K C/groups R S, from that of the result, y."""
    (n, p, q, k), size = y.shape, x.itemsize
    c, filters = x.shape[3] // groups, k // groups
    joined = width[1] if dilation[1] == groups == 1 else 1
    (phase,) = _windows(width, padding, dilation)
    count = _threads(y.size * c * prod(width))
    chunks = _chunks(n, p, x[0, 0].nbytes * stride[0] + y[0, 0].nbytes, count)
    by_columns = filters >= count * columns_of(x.dtype)
    parts = 1 if by_columns else min(count, len(chunks))
    sums = np.empty((parts, groups, prod(width) * c, filters), x.dtype)
    nothing = np.zeros(k + columns_of(x.dtype), x.dtype)

    def add(own: slice, start: int, stop: int, into: np.ndarray) -> None:
        for chunk in chunks[own]:
            images, rows = chunk
            area = _area(x, images, rows, phase.taps, stride, q)
            given = _readable(y, images, rows, filters)
            runs = _grid(
                images.stop - images.start, rows.stop - rows.start,
                area.image, stride[0] * area.row, given[0].nbytes, given[0, 0].nbytes,
            )  # fmt: skip
            places = _taps_table(
                phase.taps[::joined], area.row, x.shape[3] * size, c * filters * size, *_corner(phase.taps)
            )
            for group in range(groups):
                contract(
                    nothing, area.address + group * c * size,
                    given.ctypes.data + (group * filters + start) * size,
                    into[group].ctypes.data + start * size, nothing.ctypes.data,
                    places, joined * c, size, filters * size, runs, q, stride[1] * x.shape[3] * size, k * size,
                    columns_of(x.dtype) * size, stop - start, chunk is not chunks[own][0],
                )  # fmt: skip

    if by_columns:
        cuts = [i * filters // count for i in range(count + 1)]
        _run(lambda i: add(slice(None), cuts[i], cuts[i + 1], sums[0]), count, count)
    else:
        cuts = [i * len(chunks) // parts for i in range(parts + 1)]
        _run(lambda i: add(slice(cuts[i], cuts[i + 1]), 0, filters, sums[i]), parts, count)
    return _filters(sums, k, c, width, count)


# --- which pixels meet ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _windows(width: Ints, padding: Pairs, dilation: Ints) -> tuple[Phase]:
    """The places of the filters, as pixels from the first of the window, which may lie in the padding."""
    (top, _), (left, _) = padding
    places = np.ndindex(*width)
    taps = (Tap(i, r * dilation[0] - top, s * dilation[1] - left) for i, (r, s) in enumerate(places))
    return (Phase(0, 0, tuple(taps)),)


@lru_cache(maxsize=1024)
def _phases(width: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> tuple[Phase, ...]:
    """For every remainder of a pixel by the stride, the places through which it takes part, and in which windows."""
    phases = []
    for i, j in np.ndindex(*stride):
        taps = []
        for number, (r, s) in enumerate(np.ndindex(*width)):
            row, row_left = divmod(i + padding[0][0] - r * dilation[0], stride[0])
            column, column_left = divmod(j + padding[1][0] - s * dilation[1], stride[1])
            if not row_left and not column_left:
                taps.append(Tap(number, row, column))
        phases.append(Phase(i, j, tuple(taps)))
    return tuple(phases)


def _slide(
    source: np.ndarray, packed: np.ndarray, bias: np.ndarray | None, out: np.ndarray, phases: tuple[Phase, ...],
    step: Ints, out_step: Ints, joined: int,
) -> None:  # fmt: skip
    """Fill ``out`` with products of the windows of ``source``; its pixels advance by ``step`` while out's by another."""
    (n, height, wide, k), size = out.shape, out.itemsize
    groups, _, places, terms, block = packed.shape
    columns, pixel = k // groups, source.shape[3] * size
    taps = tuple(tap for phase in phases for tap in phase.taps)
    added = np.zeros(k + block, out.dtype)
    if bias is not None:
        added[:k] = bias
    tall = ceil(height / out_step[0])
    count = _threads(n * height * wide * packed.size // prod(out_step))
    chunks = _chunks(n, tall, source[0, 0].nbytes * step[0] + out[0, 0].nbytes * out_step[0], count)

    def task(part: int) -> None:
        images, rows = chunks[part]
        area = _area(source, images, rows, taps, step, ceil(wide / out_step[1]))
        for row, column, own in phases:
            across = ceil((wide - column) / out_step[1])
            down = min(rows.stop, ceil((height - row) / out_step[0])) - rows.start
            if across < 1 or down < 1:
                continue
            begin = out[images.start, rows.start * out_step[0] + row, column:].ctypes.data
            grid = _grid(
                images.stop - images.start, down, area.image, step[0] * area.row, out[0].nbytes,
                out_step[0] * out[0, 0].nbytes,
            )  # fmt: skip
            runs = _taps_table(own[::joined], area.row, pixel, terms * block * size, *_corner(taps))
            for group in range(groups):
                contract(
                    added, area.address + group * terms * size, packed[group].ctypes.data,
                    begin + group * columns * size, added[group * columns :].ctypes.data, grid, across,
                    step[1] * pixel, out_step[1] * k * size, runs, joined * terms, size, block * size,
                    places * terms * block * size, columns, False,
                )  # fmt: skip

    _run(task, len(chunks), count)


# --- tables -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _grid(images: int, rows: int, image: int, row: int, other_image: int, other_row: int) -> np.ndarray:
    """Offsets of every row of every image, on both sides, in bytes."""
    steps = np.array([[[image, other_image]], [[row, other_row]]])
    return np.ascontiguousarray(
        (np.arange(images)[:, None, None] * steps[0] + np.arange(rows)[:, None] * steps[1]).reshape(-1, 2)
    )


@lru_cache(maxsize=4096)
def _taps_table(taps: tuple[Tap, ...], row: int, pixel: int, place: int, top: int, left: int) -> np.ndarray:
    """Offsets of the filters' places in an image, and in the filters, in bytes."""
    offsets = [((tap.row - top) * row + (tap.column - left) * pixel, tap.number * place) for tap in taps]
    return np.array(offsets, np.int64).reshape(-1, 2)


@lru_cache(maxsize=1024)
def _corner(taps: tuple[Tap, ...]) -> tuple[int, int]:
    """The first row and column that any place of the filters meets."""
    return min(tap.row for tap in taps), min(tap.column for tap in taps)


@lru_cache(maxsize=1024)
def _chunks(n: int, rows: int, row_bytes: int, count: int) -> tuple[tuple[slice, slice], ...]:
    """Cut images, and their rows if an image is large or images are few, into chunks that stay in the cache."""
    least = count if n % count == 0 or n > 8 * count else 4 * count
    pieces = -(-max(least, ceil(n * rows * row_bytes / CHUNK)) // count) * count
    if pieces <= n:
        return tuple((images, slice(0, rows)) for images in threads.slices(n, pieces))
    per_image = min(rows, ceil(pieces / n))
    return tuple((slice(i, i + 1), part) for i in range(n) for part in threads.slices(rows, per_image))


def _threads(multiply_adds: int) -> int:
    return 1 if multiply_adds < ALONE else threads.get_num_threads()


def _run(task: Any, parts: int, count: int) -> None:
    if count > 1:
        threads.run(task, parts)
    else:
        for part in range(parts):
            task(part)


# --- copies -----------------------------------------------------------------------------------------------------------


def _area(x: np.ndarray, images: slice, rows: slice, taps: tuple[Tap, ...], step: Ints, across: int) -> Area:
    """Return where the windows of these rows lie: in x itself, or in a copy with zeros around, this thread's own."""
    top, left = _corner(taps)
    first, last = rows.start * step[0] + top, (rows.stop - 1) * step[0] + max(tap.row for tap in taps)
    right = (across - 1) * step[1] + max(tap.column for tap in taps)
    if first >= 0 and left >= 0 and last < x.shape[1] and right < x.shape[2]:
        return Area(x[images.start, first, left:].ctypes.data, x[0, 0].nbytes, x[0].nbytes)
    c = x.shape[3]
    copy = space("area", (images.stop - images.start, last - first + 1, (right - left + 1) * c), x.dtype)
    _pad(x.reshape(*x.shape[:2], -1), copy, images.start, first, left * c)
    return Area(copy.ctypes.data, copy[0, 0].nbytes, copy[0].nbytes)


@compiled
def _pad(x: Any, out: Any, image: int, first: int, left: int) -> None:
    """out[i, r, j] = x[image + i, first + r, left + j], and zero outside x."""
    _, height, wide = x.shape
    start, stop = min(max(0, -left), out.shape[2]), max(0, min(out.shape[2], wide - left))
    for i in range(out.shape[0]):
        for r in range(out.shape[1]):
            row = out[i, r]
            if first + r < 0 or first + r >= height or stop <= start:
                row[:] = 0
                continue
            row[:start] = 0
            row[start:stop] = x[image + i, first + r, left + start : left + stop]
            row[stop:] = 0


def _readable(y: np.ndarray, images: slice, rows: slice, columns: int) -> np.ndarray:
    """Return these rows of y, with room behind them if whole vectors would reach beyond the last."""
    given = y[images, rows]
    lanes = lanes_of(y.dtype)
    if columns % lanes == 0:
        return given
    copy = space("readable", (given.size + lanes,), y.dtype)[: given.size].reshape(given.shape)
    copy[...] = given
    return copy


def _packed(w: np.ndarray, groups: int, terms: int, columns: int, term: int, column: int) -> np.ndarray:
    """Return filters as ``contract`` reads them: groups, blocks of columns, places, terms, columns of a block."""
    block, places = columns_of(w.dtype), prod(w.shape[2:])
    blocks = ceil(columns / block)
    packed = space("packed", (groups, blocks, places, terms, block), w.dtype)
    flat, count = w.reshape(-1), _threads(w.size * 16)

    def task(part: int) -> None:
        _pack(flat, packed, w.size // groups, columns, term, column, part, count)

    _run(task, count, count)
    return packed


@compiled
def _pack(w: Any, packed: Any, group: int, columns: int, term: int, column: int, part: int, parts: int) -> None:
    groups, blocks, places, terms, block = packed.shape
    for g in range(groups):
        for b in range(part * blocks // parts, (part + 1) * blocks // parts):
            wide = min(block, columns - b * block)
            for t in range(terms):
                for r in range(places):
                    row = packed[g, b, r, t]
                    at = g * group + b * block * column + t * term + r
                    for j in range(wide):
                        row[j] = w[at + j * column]
                    row[wide:] = 0


def _filters(sums: np.ndarray, k: int, c: int, width: Ints, count: int) -> np.ndarray:
    """Add partial sums (parts, groups, places · C, K) up, in order, and return them as filters."""
    out = np.empty((k, c, *width), sums.dtype)
    flat, parts = out.reshape(sums.shape[1], sums.shape[3], c, -1), ceil(sums.shape[3] / 32)
    _run(lambda part: _unpack(sums, flat, part), parts, count)
    return out


@compiled
def _unpack(sums: Any, out: Any, part: int) -> None:
    parts, groups, _, filters = sums.shape
    _, _, channels, places = out.shape
    for g in range(groups):
        for first in range(part * 32, min(part * 32 + 32, filters), 16):
            last = min(first + 16, filters)
            for c in range(channels):
                for r in range(places):
                    for k in range(first, last):
                        total = sums[0, g, r * channels + c, k]
                        for i in range(1, parts):
                            total += sums[i, g, r * channels + c, k]
                        out[g, k, c, r] = total
