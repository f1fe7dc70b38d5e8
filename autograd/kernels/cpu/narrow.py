"""Convolution in many groups of 2, 4 or 8 channels: a vector holds the channels of several groups.

Of the channels of a pixel that lie in a vector, each lane takes number c of its own group, for one c after the other:
so every lane has its own sum, as in depthwise convolution, and none is idle. Windows are read where they lie, as in
direct convolution (``direct.py``), whose tables of offsets these are; eight pixels of a row share the filters' numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..reference.windows import Ints, Pairs, counts
from .chunks import area, cut_into_chunks, room
from .compile import compiled
from .direct import Meetings, _phases, _windows
from .filters import LINE, at_, run, worth
from .masks import _read, _write, fetch, full
from .memory import space
from .simd import Vector

WIDTHS = (2, 4, 8)  # channels of a group, several of which fit into a vector
ABREAST = 8  # sums at the same time


def serves(case: Any) -> bool:
    """Whether groups have so few channels, as many before as after."""
    return bool(case.groups > 1 and case.w[1] in WIDTHS and case.w[0] == case.x[3])


# --- eight sums -------------------------------------------------------------------------------------------------------


def _for_width(builder: Any, width: Any, emit: Callable[[int], None]) -> None:
    """Emit code for groups of every width, of which the one that fits is run."""
    end = builder.append_basic_block("end")
    switch = builder.switch(width, end)
    for each in WIDTHS:
        block = builder.append_basic_block(f"groups_of_{each}")
        switch.add_case(width.type(each), block)
        with builder.goto_block(block):
            emit(each)
            builder.branch(end)
    builder.position_at_end(end)


def _channels(width: int, lanes: int) -> list[list[int]]:
    """Which channel of its group every lane takes, one after the other: those of its own quarter of a vector first.

    Each lane takes each once. Within a quarter, 16 bytes, numbers change their places in one step.
    """
    near = lanes // 4
    return [[i ^ lane % width // near * near for lane in range(lanes)] for i in range(width)]


def _of_group(builder: Any, v: Any, channels: Sequence[int], width: int) -> Any:
    """In every lane the given channel of its own group."""
    order = [lane // width * width + c for lane, c in enumerate(channels)]
    return builder.shuffle_vector(v, v, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))


def _fuse(builder: Any, a: Any, b: Any, to: Any) -> None:
    """to += a · b."""
    kind = a.type
    name = f"llvm.fmuladd.v{kind.count}{'f64' if kind.count * 8 == LINE else 'f32'}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    builder.store(builder.call(function, [a, b, builder.load(to)]), to)


def _load(builder: Any, address: Any, kind: Any, align: int) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align, typ=kind)


@intrinsic
def _pixels(
    typing: Any, like: Any, a: Any, a_row: Any, rows: Any, mask: Any, runs: Any, count: Any, w: Any, bias: Any, c: Any,
    c_row: Any, width: Any,
) -> Any:  # fmt: skip
    """Up to eight pixels of the result at c: bias + Σ_run Σ_i lane i of its group in a[row + run] · w[run, i]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, size = context.get_value_type(Vector(like)), like.bitwidth // 8
        _, a, a_row, rows, mask, runs, count, w, bias, c, c_row, width = args
        word = a.type
        sums = [cgutils.alloca_once_value(builder, _load(builder, bias, kind, size)) for _ in range(ABREAST)]
        last = builder.sub(rows, word(1))
        places = []
        for i in range(ABREAST):  # what lies behind the last pixel is not read
            row = builder.select(builder.icmp_signed("<", word(i), last), word(i), last)
            places.append(builder.add(a, builder.mul(row, a_row)))

        def emit(each: int) -> None:
            with cgutils.for_range(builder, count) as run:
                away = _load(builder, builder.add(runs, builder.mul(run.index, word(8))), word, 8)
                terms = builder.add(w, builder.mul(run.index, word(each * LINE)))
                given = [_read(context, builder, builder.add(place, away), kind, mask) for place in places]
                for i, channels in enumerate(_channels(each, kind.count)):
                    weights = _load(builder, builder.add(terms, word(i * LINE)), kind, size)
                    for v, total in zip(given, sums, strict=True):
                        _fuse(builder, _of_group(builder, v, channels, each), weights, total)

        _for_width(builder, width, emit)
        for i, total in enumerate(sums):
            with builder.if_then(builder.icmp_signed("<", word(i), rows)):
                _write(context, builder, builder.add(c, builder.mul(c_row, word(i))), builder.load(total), mask)
        return context.get_dummy_value()

    return types.void(like, *(types.int64,) * 3, mask, *(types.int64,) * 7), generate


@intrinsic
def _terms(
    typing: Any, like: Any, a: Any, a_row: Any, runs: Any, y: Any, y_row: Any, count: Any, mask: Any, c: Any,
    width: Any,
) -> Any:  # fmt: skip
    """Eight terms of the filters at c: c[run, i] += Σ_row lane i of its group in a[row + run] · y[row]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, size = context.get_value_type(Vector(like)), like.bitwidth // 8
        _, a, a_row, runs, y, y_row, count, mask, c, width = args
        word = a.type
        places = [builder.add(c, word(i * LINE)) for i in range(ABREAST)]
        sums = [cgutils.alloca_once_value(builder, _load(builder, place, kind, size)) for place in places]

        def emit(each: int) -> None:
            taps = range(ABREAST // each)
            aways = [_load(builder, builder.add(runs, word(8 * i)), word, 8) for i in taps]
            starts = [builder.add(a, away) for away in aways]
            with cgutils.for_range(builder, count) as row:
                g = _read(context, builder, builder.add(y, builder.mul(row.index, y_row)), kind, mask)
                further = builder.mul(row.index, a_row)
                for tap, start in enumerate(starts):
                    v = _read(context, builder, builder.add(start, further), kind, mask)
                    for i, channels in enumerate(_channels(each, kind.count)):
                        _fuse(builder, _of_group(builder, v, channels, each), g, sums[tap * each + i])

        _for_width(builder, width, emit)
        for place, total in zip(places, sums, strict=True):
            builder.store(builder.load(total), builder.inttoptr(place, kind.as_pointer())).align = size
        return context.get_dummy_value()

    return types.void(like, *(types.int64,) * 6, mask, *(types.int64,) * 2), generate


# --- the family -------------------------------------------------------------------------------------------------------


@compiled
def _fill(
    x: Any, packed: Any, added: Any, out: Any, work: Any, runs: Any, taps: Any, phases: Any, chunks: Any, each: int,
    numbers: Any,
) -> None:  # fmt: skip
    """Some chunks of a convolution, or of its gradient with respect to the images."""
    begin, end, step, across_step, out_step, out_across, top, bottom, left, right, _ = numbers
    _, height, wide, channels = out.shape
    size, like, blocks = out.itemsize, out[0, 0, 0, 0], len(packed)
    for chunk in chunks[begin:end]:
        first, last = chunk[2] * step + top, (chunk[3] - 1) * step + bottom
        end_column = ((wide - 1) // out_across) * across_step + right
        address, pixel, pitch, image = area(x, work, chunk, first, last, left, end_column, True)
        for phase in phases:
            across = (wide - phase[1] + out_across - 1) // out_across
            down = min(chunk[3], (height - phase[0] + out_step - 1) // out_step) - chunk[2]
            count = phase[3] - phase[2]
            for t in range(count):
                tap = taps[phase[2] + t]
                runs[t] = (tap[1] - top) * pitch + (tap[2] - left) * pixel
            for job in range((chunk[1] - chunk[0]) * max(0, down)):
                i, r = job // down, job % down
                at = (chunk[0] + i) * height + (chunk[2] + r) * out_step + phase[0]
                given = address + i * image + r * step * pitch
                made = at_(out) + (at * wide + phase[1]) * channels * size
                for p in range(0, across, ABREAST):
                    for block in range(blocks):
                        mask = full(channels - block * (LINE // size), like)
                        _pixels(
                            like, given + p * across_step * pixel + block * LINE, across_step * pixel,
                            np.int64(min(ABREAST, across - p)), mask, at_(runs), np.int64(count),
                            at_(packed[block]) + phase[2] * each * LINE, at_(added) + block * LINE,
                            made + p * out_across * channels * size + block * LINE, out_across * channels * size, each,
                        )  # fmt: skip


@compiled
def _weigh(x: Any, y: Any, sums: Any, work: Any, runs: Any, taps: Any, chunks: Any, each: int, numbers: Any) -> None:
    """Add some chunks' part of the gradient of the filters to sums: blocks, terms, lanes."""
    begin, end, step, across_step, _, _, top, bottom, left, right, _ = numbers
    _, height, wide, channels = y.shape
    size, like = y.itemsize, y[0, 0, 0, 0]
    for chunk in chunks[begin:end]:
        first, last = chunk[2] * step + top, (chunk[3] - 1) * step + bottom
        address, pixel, pitch, image = area(x, work, chunk, first, last, left, (wide - 1) * across_step + right, True)
        for t in range(len(runs)):  # the last round may be short of taps: what is summed instead is not looked at
            tap = taps[min(t, len(taps) - 1)]
            runs[t] = (tap[1] - top) * pitch + (tap[2] - left) * pixel
        down = chunk[3] - chunk[2]
        for job in range((chunk[1] - chunk[0]) * down):
            i, r = job // down, job % down
            at = ((chunk[0] + i) * height + chunk[2] + r) * wide * channels * size
            for line in range(0, wide * channels * size, LINE):  # of the next row
                fetch(at_(y) + at + wide * channels * size + line)
            for block in range(len(sums)):
                mask = full(channels - block * (LINE // size), like)
                for t in range(0, len(runs), ABREAST // each):
                    _terms(
                        like, address + i * image + r * step * pitch + block * LINE, across_step * pixel,
                        at_(runs) + 8 * t, at_(y) + at + block * LINE, channels * size, np.int64(wide), mask,
                        at_(sums[block]) + t * each * LINE, each,
                    )  # fmt: skip


def _packed(w: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Filters K C R S as blocks of vectors of K, terms (place, C); places in their order."""
    k, c = w.shape[:2]
    lanes = LINE // w.itemsize
    out = space("packed", (ceil(k / lanes), len(order) * c, lanes), w.dtype)
    taken = np.resize(np.array(_channels(c, lanes)).T, (k, c))
    given = np.take_along_axis(w.reshape(k, c, -1), taken[..., None], axis=1)[..., order]
    given = given.transpose(2, 1, 0).reshape(-1, k)
    for b, block in enumerate(out):
        columns = given[:, b * lanes : (b + 1) * lanes]
        block[:, : columns.shape[1]] = columns
        block[:, columns.shape[1] :] = 0
    return out


def _slide(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, out: np.ndarray, meetings: Meetings, step: Ints,
    out_step: Ints,
) -> np.ndarray:  # fmt: skip
    """Fill ``out`` with products of windows of x; while out advances by ``out_step``, these do by ``step``."""
    taps, phases, corner = meetings
    packed = _packed(w, taps[:, 0])
    added = np.zeros(packed.shape[::2], out.dtype)
    if bias is not None:
        added.reshape(-1)[: len(bias)] = bias
    count = worth(min(x.size, out.size) * w[0].size)
    row_bytes = x[0, 0].nbytes * step[0] + out[0, 0].nbytes * out_step[0]
    _on_chunks(
        lambda part, work, runs, chunks, numbers: _fill(
            x, packed, added, out, work, runs, taps, phases, chunks, w.shape[1], numbers
        ),
        x, out.shape, row_bytes, len(taps), count, (*step, *out_step, *corner, 1),
    )  # fmt: skip
    return out


def _on_chunks(
    task: Callable[..., None], x: np.ndarray, out: Sequence[int], row_bytes: int, taps: int, count: int, numbers: Ints
) -> int:
    """Call ``task(part, work, runs, chunks, numbers)`` on several threads, each with chunks of its own."""
    n, tall, wide, _ = out
    chunks, *sizes = cut_into_chunks(
        n, ceil(tall / numbers[2]), row_bytes, count, numbers, ceil(wide / numbers[3]), taps + ABREAST
    )
    parts = min(len(chunks), count)

    def part(i: int) -> None:
        work, table, _ = room(x, *sizes)
        cut = i * len(chunks) // parts, (i + 1) * len(chunks) // parts
        task(i, work, table.reshape(-1), chunks, np.array(cut + numbers))

    run(part, parts, count)
    return parts


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return y, N P Q C, of x, N H W C, and filters w, C C/groups R S."""
    out = np.empty((len(x), *counts(x.shape[1:3], w.shape[2:], stride, padding, dilation), len(w)), x.dtype)
    return _slide(x, w, bias, out, _windows(w.shape[2:], padding, dilation), stride, (1, 1))


def dx(
    y: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of x, N H W C of ``size``, from that of the result, y, N P Q C."""
    each = w.shape[1]
    turned = w.reshape(groups, each, each, *w.shape[2:]).swapaxes(1, 2).reshape(w.shape)
    out = np.empty((len(y), *size, len(w)), y.dtype)
    return _slide(y, turned, None, out, _phases(w.shape[2:], stride, padding, dilation), (1, 1), stride)


def dw(
    x: np.ndarray, y: np.ndarray, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of the filters, C C/groups R S of ``width``."""
    k, each, places = y.shape[3], x.shape[3] // groups, width[0] * width[1]
    lanes, count, rounds = LINE // x.itemsize, worth(y.size * each * places), ceil(places * each / ABREAST)
    taps, _, corner = _windows(width, padding, dilation)
    sums = np.zeros((count, ceil(k / lanes), rounds * ABREAST, lanes), x.dtype)
    row_bytes = x[0, 0].nbytes * stride[0] + y[0, 0].nbytes
    parts = _on_chunks(
        lambda part, work, runs, chunks, numbers: _weigh(
            x, y, sums[part], work, runs[: rounds * ABREAST // each], taps, chunks, each, numbers
        ),
        x, y.shape, row_bytes, places, count, (*stride, 1, 1, *corner, 1),
    )  # fmt: skip
    terms = sums[:parts].sum(axis=0)[:, : places * each].transpose(0, 2, 1).reshape(-1, places, each)[:k]
    taken = np.resize(np.array(_channels(each, lanes)).T, (k, 1, each))  # and i → its channel is its own inverse
    return np.take_along_axis(terms, taken, axis=2).swapaxes(1, 2).reshape(k, each, *width)
