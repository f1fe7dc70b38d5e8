"""Convolution where the pixels lie: overlapping windows are the rows of a product that nobody writes out.

All three members of the family are sums of products over tables of offsets (``tiles.contract``). Padding is put around
a few rows of the images at a time, which then stay in the cache. The gradient of x is a convolution, too: its pixels
whose indices leave the same remainder by the stride meet the same places of the filters, and are computed together.
Source: Georganas et al., SC 2018; Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, prod
from typing import Any

import numpy as np

from ..reference.windows import Ints, Pairs, counts
from . import columns
from .chunks import apart, area, cut_into_chunks, room
from .compile import compiled
from .filters import Filters, at_, pack, run, unpacked, worth
from .memory import space
from .tail import Tail, finish, finished, nothing
from .tiles import TILE, columns_of, contract, lanes_of

BLOCK = TILE.vectors * TILE.bytes  # bytes of a tile's columns
SEVERAL = 1 << 17  # filters' numbers that are worth several threads
MANY = 1 << 16  # input × output channels from which columns give the filters' gradient …
NEAR = 1 << 24  # … if they have no more bytes


# --- the family -------------------------------------------------------------------------------------------------------


def serves(case: Any) -> bool:
    """Every convolution: any stride, padding, dilation and groups."""
    return True


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Pairs, dilation: Ints, groups: int,
    tail: Tail | None = None,
) -> np.ndarray:  # fmt: skip
    """Return the convolution N P Q K of x, N H W C, with filters K C/groups R S, plus the bias, or with a tail."""
    windows = counts(x.shape[1:3], w.shape[2:], stride, padding, dilation)
    beside = _beside(len(w), w.shape[3], windows[1]) if stride[1] == dilation[1] == groups == 1 else 1
    if beside > 1:
        every = bias if bias is None else np.tile(bias, beside)
        out = forward(x, _repeated(w, beside), every, (stride[0], beside), padding, dilation, groups)
        if _is_finite(min(x, out, key=np.size)):
            out = out.reshape(len(x), *windows, -1)
            return finished(out, tail) if tail else out
    (k, c), places = w.shape[:2], w.shape[2:]
    out = np.empty((len(x), *windows, k), x.dtype)
    filters = Filters(w.reshape(-1), groups, prod(places), c, k // groups, prod(places), w[0].size)
    joined = places[1] if dilation[1] == groups == 1 and apart(c, x.itemsize) == c else 1
    _slide(x, filters, bias, out, _windows(places, padding, dilation), stride, (1, 1), joined, tail)
    return out


def dx(
    y: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of x, N H W C, from that of the result, y."""
    (k, c), turned = w.shape[:2], tuple((r - 1 - a, r - 1 - b) for r, (a, b) in zip(w.shape[2:], padding, strict=True))
    plain = stride == dilation == (1, 1) and groups == 1 and min(map(min, turned)) >= 0
    full = counts(size, w.shape[2:], stride, padding, dilation) == y.shape[1:3]  # y has all windows that fit
    if plain and full and _beside(c, w.shape[3], size[1]) > 1:
        return forward(y, np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1)), None, stride, turned, dilation, 1)
    x = np.empty((len(y), *size, c * groups), y.dtype)
    filters = Filters(w.reshape(-1), groups, prod(w.shape[2:]), k // groups, c, w[0].size, prod(w.shape[2:]))
    _slide(y, filters, None, x, _phases(w.shape[2:], stride, padding, dilation), (1, 1), stride, 1)
    return x


def dw(
    x: np.ndarray, y: np.ndarray, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of the filters, K C/groups R S, from that of the result, y."""
    columns_bytes = prod(y.shape[:3]) * x.shape[3] * prod(width) * x.itemsize
    if groups == 1 and x.shape[3] * y.shape[3] >= MANY and columns_bytes <= NEAR:
        return columns.dw(x, y, width, stride, padding, dilation, groups)
    beside = _beside(y.shape[3], width[1], y.shape[2]) if stride[1] == dilation[1] == groups == 1 else 1
    if beside > 1:
        several, wider = y.reshape(*y.shape[:2], -1, y.shape[3] * beside), (width[0], width[1] + beside - 1)
        sums = dw(x, several, wider, (stride[0], beside), padding, dilation, groups)
        if _is_finite(sums):
            return _folded(sums, beside)
    (n, p, q, k), c = y.shape, x.shape[3] // groups
    filters, lanes = k // groups, lanes_of(x.dtype)
    count = worth(n * p * q * groups * c * prod(width) * _filled(filters, lanes))
    taps, _, corner = _windows(width, padding, dilation)
    joined = width[1] if dilation[1] == groups == 1 and apart(c, x.itemsize) == c else 1
    numbers = (*stride, 1, 1, *corner, joined)
    row_bytes = x[0, 0].nbytes * stride[0] + y[0, 0].nbytes
    chunks, *sizes = cut_into_chunks(n, p, row_bytes, count, numbers, q, len(taps))
    by_filters = filters >= count * columns_of(x.dtype)  # every thread some filters, or some of the pixels
    sums = np.empty((1 if by_filters else min(count, len(chunks)), groups, prod(width) * c, filters), x.dtype)
    cut = columns_of(x.dtype)
    blocks = ceil(filters / cut)

    def task(part: int) -> None:
        readable = space("readable", (sizes[1] * q * k + lanes if filters % lanes else 0,), x.dtype)
        if by_filters:
            limits = (0, len(chunks), part * blocks // count * cut, min(filters, (part + 1) * blocks // count * cut))
        else:
            limits = (part * len(chunks) // len(sums), (part + 1) * len(chunks) // len(sums), 0, filters)
        own = sums[0 if by_filters else part]
        _weigh(x, y, own, readable, *room(x, *sizes), taps, chunks, np.array(limits + numbers))

    run(task, count if by_filters else len(sums), count)
    return unpacked(sums, k, c, width, count)


# --- few filters ------------------------------------------------------------------------------------------------------
# Pixels side by side can be taken for one of several times as many channels: its windows are a little wider, and its
# filters are the given ones, moved by one place for each pixel, with zeros around. Then few filters fill a vector.


def _filled(columns: int, lanes: int) -> int:
    return ceil(columns / lanes) * lanes


@lru_cache(maxsize=1024)
def _beside(columns: int, width: int, wide: int) -> int:
    """How many pixels side by side to take for one, so that the least is multiplied, unused lanes included."""
    lanes = TILE.bytes // 4
    fit = [beside for beside in range(1, lanes + 1) if wide % beside == 0]
    return min(fit, key=lambda beside: _filled(beside * columns, lanes) * (width + beside - 1) / beside)


def _repeated(w: np.ndarray, beside: int) -> np.ndarray:
    """Filters for pixels side by side: each as often, one place further every time."""
    if beside == 1:
        return w
    k, c, r, s = w.shape
    out = np.zeros((beside, k, c, r, s + beside - 1), w.dtype)
    for i in range(beside):
        out[i, ..., i : i + s] = w
    return out.reshape(-1, *out.shape[2:])


def _is_finite(x: np.ndarray) -> bool:
    """Whether no infinity, times the zeros of ``_repeated``, became NaN where none belongs: else pixels go singly."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(x.sum()))


def _folded(w: np.ndarray, beside: int) -> np.ndarray:
    """The transpose of ``_repeated``."""
    parts, s = w.reshape(beside, -1, *w.shape[1:]), w.shape[3] - beside + 1
    return np.ascontiguousarray(sum((parts[i, ..., i : i + s] for i in range(1, beside)), parts[0, ..., :s]))


# --- which pixels meet ------------------------------------------------------------------------------------------------

Meetings = tuple[
    np.ndarray, np.ndarray, Ints
]  # taps (number, row, column), phases (row, column, taps from … to), corner


@lru_cache(maxsize=1024)
def _windows(width: Ints, padding: Pairs, dilation: Ints) -> Meetings:
    """The places of the filters and the pixels that they meet, counted from the first pixel's own."""
    (top, _), (left, _) = padding
    taps = [(i, r * dilation[0] - top, s * dilation[1] - left) for i, (r, s) in enumerate(np.ndindex(*width))]
    return _meetings(taps, [(0, 0, 0, len(taps))])


@lru_cache(maxsize=1024)
def _phases(width: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Meetings:
    """For every remainder of a pixel by the stride, the places through which it takes part, and in which windows."""
    taps: list[Ints] = []
    phases = []
    for i, j in np.ndindex(*stride):
        first = len(taps)
        for number, (r, s) in enumerate(np.ndindex(*width)):
            row, row_left = divmod(i + padding[0][0] - r * dilation[0], stride[0])
            column, column_left = divmod(j + padding[1][0] - s * dilation[1], stride[1])
            if not row_left and not column_left:
                taps.append((number, row, column))
        phases.append((i, j, first, len(taps)))
    return _meetings(taps, phases)


def _meetings(taps: Sequence[Ints], phases: Sequence[Ints]) -> Meetings:
    rows, columns = ([tap[axis] for tap in taps] for axis in (1, 2))
    return np.array(taps), np.array(phases), (min(rows), max(rows), min(columns), max(columns))


def _slide(
    source: np.ndarray, filters: Filters, bias: np.ndarray | None, out: np.ndarray, meetings: Meetings,
    step: Ints, out_step: Ints, joined: int, tail: Tail | None = None,
) -> None:  # fmt: skip
    """Fill ``out`` with products of windows of ``source``; while out advances by ``out_step``, these do by ``step``."""
    taps, phases, corner = meetings
    if len(taps) == 1 and step == out_step == (1, 1) and source.shape[:3] == out.shape[:3] and not any(corner):
        wide = _rows(prod(out.shape[:3]))  # every pixel by itself: in which rows does not matter
        source, out = (x.reshape(1, -1, wide, x.shape[3]) for x in (source, out))
    (n, height, wide, k), dtype = out.shape, out.dtype
    block = columns_of(dtype)
    blocks = ceil(filters.columns / block)
    added, ending = np.zeros(k + block, dtype), tail or nothing(dtype)
    if bias is not None:
        added[:k] = bias
    packed = space("packed", (filters.groups, blocks, filters.places, filters.terms, block), dtype)
    lanes = lanes_of(dtype)
    count = worth(
        n * height * wide * packed.size // (blocks * block) * _filled(filters.columns, lanes) // prod(out_step)
    )
    tall = ceil(height / out_step[0])
    by_blocks = blocks >= count > 1 and (packed.nbytes > source.nbytes or n * tall < count)  # else by pixels
    row_bytes = source[0, 0].nbytes * step[0] + out[0, 0].nbytes * out_step[0]
    numbers = (*step, *out_step, *corner, joined)
    if by_blocks:
        chunks, *sizes = cut_into_chunks(n, tall, 0, 1, numbers, ceil(wide / out_step[1]), len(taps))
        parts = count
    else:
        chunks, *sizes = cut_into_chunks(n, tall, row_bytes, count, numbers, ceil(wide / out_step[1]), len(taps))
        parts = min(len(chunks), count)
        run(lambda part: pack(*filters, packed, part, count), count, count if packed.size > SEVERAL else 1)

    def task(part: int) -> None:
        if by_blocks:
            pack(*filters, packed, part, count)
            limits = (0, len(chunks), part * blocks // count, (part + 1) * blocks // count)
        else:
            limits = (part * len(chunks) // parts, (part + 1) * len(chunks) // parts, 0, blocks)
        _fill(
            source, packed, added, ending, out, *room(source, *sizes), taps, phases, chunks, np.array(limits + numbers)
        )

    run(task, parts, count)


@lru_cache(maxsize=1024)
def _rows(pixels: int) -> int:
    """How many pixels to put in a row: as many full tiles as there are."""
    return max((wide for wide in range(1, min(pixels, 8 * TILE.rows) + 1) if pixels % wide == 0), key=_fullness)


def _fullness(wide: int) -> float:
    return min(wide / (ceil(wide / TILE.rows) * TILE.rows), 0.9)


@compiled
def _fill(
    x: Any, packed: Any, added: Any, tail: Any, out: Any, work: Any, grid: Any, runs: Any, taps: Any, phases: Any,
    chunks: Any, numbers: Any,
) -> None:  # fmt: skip
    """Some chunks of ``_slide``."""
    begin, end, first_block, last_block, step, across_step, out_step, out_across, top, bottom, left, right, joined = (
        numbers
    )
    _, height, wide, k = out.shape
    groups, _, places, terms, block = packed.shape
    size, columns = x.itemsize, k // groups
    start, stop, panel = first_block * block, min(last_block * block, columns), places * terms * block * x.itemsize
    for chunk in chunks[begin:end]:
        first, last = chunk[2] * step + top, (chunk[3] - 1) * step + bottom
        end_column = ((wide - 1) // out_across) * across_step + right
        address, pixel, pitch, image = area(x, work, chunk, first, last, left, end_column, False)
        for phase in phases:
            across = (wide - phase[1] + out_across - 1) // out_across
            down = min(chunk[3], (height - phase[0] + out_step - 1) // out_step) - chunk[2]
            used = 0
            for t in range(phase[2], phase[3], joined):
                runs[used, 0] = (taps[t, 1] - top) * pitch + (taps[t, 2] - left) * pixel
                runs[used, 1] = taps[t, 0] * terms * block * size
                used += 1
            rows = 0
            for i in range(chunk[1] - chunk[0]):
                for r in range(down):
                    at = (chunk[0] + i) * height + (chunk[2] + r) * out_step + phase[0]
                    grid[rows, 0] = i * image + r * step * pitch
                    grid[rows, 1] = (at * wide + phase[1]) * k * size
                    rows += 1
            for group in range(groups if across > 0 else 0):
                contract(
                    out, address + group * terms * size, at_(packed[group]) + first_block * panel,
                    at_(out) + (group * columns + start) * size, at_(added) + (group * columns + start) * size,
                    grid[:rows], across, across_step * pixel, out_across * k * size, runs[:used], joined * terms,
                    size, block * size, panel, stop - start, False,
                )  # fmt: skip
                for r in range(rows if tail[0].size else 0):  # without phases, since pixels lie side by side
                    pixel_at = grid[r, 1] // (k * size)
                    finish(out, tail, pixel_at, pixel_at + across, group * columns + start, group * columns + stop)


@compiled
def _weigh(
    x: Any, y: Any, out: Any, readable: Any, work: Any, grid: Any, runs: Any, taps: Any, chunks: Any, numbers: Any
) -> None:
    """The sums of ``dw`` over some chunks, for some filters: out, groups (R·S·C) K."""
    begin, end, start, stop, step, across_step, _, _, top, bottom, left, right, joined = numbers
    _, height, wide, k = y.shape
    groups, terms, filters = out.shape
    size, channels, block = x.itemsize, terms // len(taps), BLOCK // x.itemsize
    nothing = np.zeros(filters + block, x.dtype)
    for number in range(begin, end):
        chunk = chunks[number]
        first, last = chunk[2] * step + top, (chunk[3] - 1) * step + bottom
        address, pixel, pitch, image = area(x, work, chunk, first, last, left, (wide - 1) * across_step + right, False)
        given, rows = at_(y), 0
        behind = (len(y) - chunk[1] + 1) * height - chunk[3]  # rows of y
        copied = readable.size > 0 and behind * wide * k < block  # its last vector reads past y
        if copied:
            given = at_(readable)
            at = 0
            for i in range(chunk[0], chunk[1]):
                source = y[i, chunk[2] : chunk[3]].ravel()
                readable[at : at + source.size] = source
                at += source.size
        for i in range(chunk[1] - chunk[0]):
            for r in range(chunk[3] - chunk[2]):
                runs[rows, 0] = i * image + r * step * pitch
                at = i * (chunk[3] - chunk[2]) + r if copied else (chunk[0] + i) * height + chunk[2] + r
                runs[rows, 1] = at * wide * k * size
                rows += 1
        used = 0
        for t in range(0, len(taps), joined):
            grid[used, 0] = (taps[t, 1] - top) * pitch + (taps[t, 2] - left) * pixel
            grid[used, 1] = taps[t, 0] * channels * filters * size
            used += 1
        for group in range(groups):
            contract(
                out, address + group * channels * size, given + (group * filters + start) * size,
                at_(out[group]) + start * size, at_(nothing), grid[:used], joined * channels, size,
                filters * size, runs[:rows], wide, across_step * pixel, k * size, block * size, stop - start,
                number > begin,
            )  # fmt: skip
