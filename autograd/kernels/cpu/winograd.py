"""Convolution with 3×3 filters, stride 1, by Winograd's short algorithms: F(4×4, 3×3), a quarter of the products.

Four outputs of a 3-tap filter are two polynomials multiplied: evaluated at the points 0, ±1, ±2, ∞, the products are 6
instead of 12; in two dimensions 36 instead of 144. An image is cut into tiles of 6×6 that overlap by 2. With the
transforms (Bᵀ to the points for tiles, G for filters, Aᵀ back)

    V = Bᵀ x B        U = G w Gᵀ        M[i] = V[i] · U[i] over channels, i = 1 … 36        y = Aᵀ M A

and the gradients by transposition: with respect to x the same with turned filters, with respect to w dM = A dy Aᵀ,
dU[i] = V[i]ᵀ · dM[i] over tiles, dw = Gᵀ dU G. Everything is channels last: a transform works on vectors of channels.
Errors grow with the points: about 1e-5 of the largest value in float32, 1e-14 in float64.

Source: Lavin & Gray, Fast algorithms for convolutional neural networks, CVPR 2016, sec. 4.3; Winograd 1980.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from . import blas, memory, threads
from .compile import compiled, gemm
from .simd import lanes
from .transforms import (
    OUT,
    POINTS,
    filters_to_points,
    outputs_to_points,
    points_to_filters,
    points_to_outputs,
    tiles_to_points,
)

Pairs = tuple[tuple[int, int], ...]


# --- parts of the work, each for one thread ---------------------------------------------------------------------------


@compiled
def _forward_part(
    address: int, x: Any, u: Any, bias: Any, y: Any, v: Any, m: Any, tmp: Any, first: int, last: int, begin: int,
    end: int, rows: int, cols: int, top: int, left: int,
) -> None:  # fmt: skip
    """The channels ``begin`` … ``end`` − 1 of y on some tiles."""
    one, item, ins, outs, tiles = y.dtype.type(1), y.itemsize, x.shape[3], y.shape[3], last - first
    tiles_to_points(x, v, tmp, first, last, rows, cols, top, left)
    for point in range(POINTS):
        gemm(
            address, False, False, tiles, end - begin, ins, one, v.ctypes.data + point * tiles * ins * item, ins,
            u.ctypes.data + (point * ins * outs + begin) * item, outs, one * 0,
            m.ctypes.data + point * tiles * (end - begin) * item, end - begin,
        )  # fmt: skip
    points_to_outputs(m, bias, y, tmp, first, last, begin, end, rows, cols)


@compiled
def _filters_part(
    address: int, x: Any, y: Any, u: Any, v: Any, m: Any, tmp: Any, first: int, last: int, chunk: int, begin: int,
    end: int, rows: int, cols: int, top: int, left: int,
) -> None:  # fmt: skip
    """u[point, :, begin:end] = Σ v mᵀ over some tiles, ``chunk`` at a time."""
    one, item, ins, outs = y.dtype.type(1), y.itemsize, x.shape[3], y.shape[3]
    for start in range(first, last, chunk):
        stop = min(start + chunk, last)
        tiles = stop - start
        tiles_to_points(x, v, tmp, start, stop, rows, cols, top, left)
        outputs_to_points(y, m, tmp, start, stop, begin, end, rows, cols)
        for point in range(POINTS):
            gemm(
                address, True, False, ins, end - begin, tiles, one, v.ctypes.data + point * tiles * ins * item, ins,
                m.ctypes.data + point * tiles * (end - begin) * item, end - begin, one * (start > first),
                u.ctypes.data + (point * ins * outs + begin) * item, outs,
            )  # fmt: skip


# --- the three functions of an algorithm ------------------------------------------------------------------------------

WORK = 1 << 21  # bytes of transformed tiles at a time: what the caches next to a core hold
SMALL = 1 << 22  # bytes of a sum that every thread can have of its own


def _chunk(tiles: int, channels: int, item: int) -> int:
    """How many tiles at a time: as the cache holds, but enough to be worth reading the filters again."""
    least = max(32, channels // 10)
    share = ceil(tiles / threads.get_num_threads())
    return min(tiles if share < least else share, max(least, WORK // (POINTS * channels * item)))


def _convolve(
    x: np.ndarray, u: np.ndarray, bias: np.ndarray, size: tuple[int, int], pad: tuple[int, int]
) -> np.ndarray:
    """Return y, N P Q K, from the transformed filters u, point C K."""
    (n, _, _, ins), outs, item = x.shape, u.shape[2], x.itemsize
    rows, cols = ceil(size[0] / OUT), ceil(size[1] / OUT)
    y, tiles, address = np.empty((n, *size, outs), x.dtype), n * rows * cols, blas.gemm_address(x.dtype)
    chunk = _chunk(tiles, ins + outs, item)
    chunks = ceil(tiles / chunk)
    splits = max(1, min(threads.get_num_threads() // chunks, outs // lanes(item)))
    cuts = [part * outs // splits // lanes(item) * lanes(item) for part in range(splits)] + [outs]

    def part(number: int) -> None:
        at, split = divmod(number, splits)
        first, last, begin, end = at * chunk, min((at + 1) * chunk, tiles), cuts[split], cuts[split + 1]
        v = memory.space("winograd v", (POINTS, last - first, ins), x.dtype)
        m = memory.space("winograd m", (POINTS, last - first, end - begin), x.dtype)
        _forward_part(address, x, u, bias, y, v, m, _tmp(x), first, last, begin, end, rows, cols, *pad)

    threads.run(part, chunks * splits)
    return y


def _tmp(x: np.ndarray) -> np.ndarray:
    return memory.space("winograd tile", (POINTS * lanes(x.itemsize),), x.dtype)


def _transformed(w: np.ndarray, turned: bool) -> np.ndarray:
    """Return G w Gᵀ, point C K; of turned filters point K C."""
    a, b = w.shape[:2] if turned else w.shape[1::-1]
    u = memory.space("winograd u", (POINTS, a, b), w.dtype)
    width = lanes(w.itemsize)
    parts = min(threads.get_num_threads() if a * b > 1 << 12 else 1, b // width)
    cuts = [part * (b // width) // parts * width for part in range(parts)] + [b]
    threads.run(lambda part: filters_to_points(w, u, _tmp(w), cuts[part], cuts[part + 1], turned), parts)
    return u


def forward(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, padding: Pairs) -> np.ndarray:
    """Return y, N P Q K, of x, N H W C, and filters w, K C 3 3."""
    (top, bottom), (left, right) = padding
    size = (x.shape[1] + top + bottom - 2, x.shape[2] + left + right - 2)
    offset = np.zeros(w.shape[0], w.dtype) if bias is None else bias
    return _convolve(x, _transformed(w, False), offset, size, (top, left))


def dx(y: np.ndarray, w: np.ndarray, size: tuple[int, int], padding: Pairs) -> np.ndarray:
    """Return the gradient of x, N H W C of ``size``, from that of the result, y, N P Q K."""
    (top, _), (left, _) = padding
    return _convolve(y, _transformed(w, True), np.zeros(w.shape[1], w.dtype), size, (2 - top, 2 - left))


def dw(x: np.ndarray, y: np.ndarray, padding: Pairs) -> np.ndarray:
    """Return the gradient of w, K C 3 3, from x and the gradient of the result, y."""
    (n, p, q, outs), ins, item = y.shape, x.shape[3], x.itemsize
    rows, cols = ceil(p / OUT), ceil(q / OUT)
    tiles, address, (top, _), (left, _) = n * rows * cols, blas.gemm_address(x.dtype), *padding
    count = threads.get_num_threads()
    by_tiles = POINTS * ins * outs * item <= SMALL and tiles >= 32 * count  # every thread its own sum
    splits = 1 if by_tiles else max(1, min(count, outs // lanes(item)))
    parts = count if by_tiles else 1
    u = memory.space("winograd du", (parts, POINTS, ins, outs), x.dtype)
    width = lanes(item)
    cuts = [split * (outs // width) // splits * width for split in range(splits)] + [outs]

    def part(number: int) -> None:
        at, split = divmod(number, splits)
        first, last, begin, end = at * tiles // parts, (at + 1) * tiles // parts, cuts[split], cuts[split + 1]
        chunk = min(_chunk(tiles, ins + outs, item), last - first)
        v = memory.space("winograd v", (POINTS, chunk, ins), x.dtype)
        m = memory.space("winograd m", (POINTS, chunk, end - begin), x.dtype)
        _filters_part(address, x, y, u[at], v, m, _tmp(x), first, last, chunk, begin, end, rows, cols, top, left)

    threads.run(part, parts * splits)
    for other in range(1, parts):
        u[0] += u[other]
    w = np.empty((outs, ins, 3, 3), x.dtype)
    several = min(count if ins * outs > 1 << 12 else 1, outs // width)
    ends = [i * (outs // width) // several * width for i in range(several)] + [outs]
    threads.run(lambda i: points_to_filters(u[0], w, _tmp(x), ends[i], ends[i + 1]), several)
    return w
