"""Convolution with 3×3 or 5×5 filters, stride 1, by Winograd's short algorithms: few products, many additions.

Four outputs of a 3-tap filter take 12 products. As polynomials, evaluated at the points 0, ±1, ±2, ∞, they take 6, and
in two dimensions 36 instead of 144: F(4×4, 3×3). The same points serve two outputs of a 5-tap filter, 36 products
instead of 100: F(2×2, 5×5). An image is cut into tiles of 6×6 that overlap. With the transforms (``transforms.py``: Bᵀ
for tiles and G for filters to the points, Aᵀ back)

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

from ..reference.windows import Ints, Pairs
from . import blas, memory, threads
from .compile import compiled, gemm
from .simd import lanes
from .transforms import (
    POINTS,
    filters_to_points,
    outputs_to_points,
    points_to_filters,
    points_to_outputs,
    tiles_to_points,
)

# --- parts of the work, each for one thread ---------------------------------------------------------------------------


@compiled
def _forward_part(
    address: int, x: Any, u: Any, bias: Any, y: Any, v: Any, m: Any, tmp: Any, size: Any, first: int, last: int,
    begin: int, end: int, rows: int, cols: int, top: int, left: int,
) -> None:  # fmt: skip
    """The channels ``begin`` … ``end`` − 1 of y on some tiles."""
    one, item, ins, outs, tiles = y.dtype.type(1), y.itemsize, x.shape[3], y.shape[3], last - first
    tiles_to_points(x, v, tmp, size, first, last, rows, cols, top, left)
    for point in range(POINTS):
        gemm(
            address, False, False, tiles, end - begin, ins, one, v.ctypes.data + point * tiles * ins * item, ins,
            u.ctypes.data + (point * ins * outs + begin) * item, outs, one * 0,
            m.ctypes.data + point * tiles * (end - begin) * item, end - begin,
        )  # fmt: skip
    points_to_outputs(m, bias, y, tmp, size, first, last, begin, end, rows, cols)


@compiled
def _filters_part(
    address: int, x: Any, y: Any, u: Any, v: Any, m: Any, tmp: Any, size: Any, first: int, last: int, chunk: int,
    begin: int, end: int, rows: int, cols: int, top: int, left: int,
) -> None:  # fmt: skip
    """u[point, :, begin:end] = Σ v mᵀ over some tiles, ``chunk`` at a time."""
    one, item, ins, outs = y.dtype.type(1), y.itemsize, x.shape[3], y.shape[3]
    for start in range(first, last, chunk):
        stop = min(start + chunk, last)
        tiles = stop - start
        tiles_to_points(x, v, tmp, size, start, stop, rows, cols, top, left)
        outputs_to_points(y, m, tmp, size, start, stop, begin, end, rows, cols)
        for point in range(POINTS):
            gemm(
                address, True, False, ins, end - begin, tiles, one, v.ctypes.data + point * tiles * ins * item, ins,
                m.ctypes.data + point * tiles * (end - begin) * item, end - begin, one * (start > first),
                u.ctypes.data + (point * ins * outs + begin) * item, outs,
            )  # fmt: skip


# --- the three functions of an algorithm ------------------------------------------------------------------------------

WORK = 1 << 21  # bytes of transformed tiles at a time: what the caches next to a core hold
SMALL = 1 << 22  # bytes of a sum that every thread can have of its own


def _marks(taps: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tuples whose lengths tell the transforms how many outputs and taps there are."""
    return (0,) * (7 - taps), (0,) * taps


def _chunk(tiles: int, channels: int, item: int) -> int:
    """How many tiles at a time: as the cache holds, but enough to be worth reading the filters again."""
    least = max(32, channels // 10)
    share = ceil(tiles / threads.get_num_threads())
    return min(tiles if share < least else share, max(least, WORK // (POINTS * channels * item)))


def _cuts(channels: int, parts: int, item: int) -> list[int]:
    """The borders of ``parts`` parts of channels, each of whole vectors."""
    width = lanes(item)
    return [part * (channels // width) // parts * width for part in range(parts)] + [channels]


def _tmp(x: np.ndarray) -> np.ndarray:
    return memory.space("winograd tile", (POINTS * lanes(x.itemsize),), x.dtype)


def _convolve(
    x: np.ndarray, u: np.ndarray, bias: np.ndarray, taps: int, size: tuple[int, int], pad: tuple[int, int]
) -> np.ndarray:
    """Return y, N P Q K, from the transformed filters u, point C K."""
    (n, _, _, ins), outs, item, (mark, _) = x.shape, u.shape[2], x.itemsize, _marks(taps)
    rows, cols = ceil(size[0] / len(mark)), ceil(size[1] / len(mark))
    y, tiles, address = np.empty((n, *size, outs), x.dtype), n * rows * cols, blas.gemm_address(x.dtype)
    chunk = _chunk(tiles, ins + outs, item)
    chunks = ceil(tiles / chunk)
    splits = max(1, min(threads.get_num_threads() // chunks, outs // lanes(item)))
    cuts = _cuts(outs, splits, item)

    def part(number: int) -> None:
        at, split = divmod(number, splits)
        first, last, begin, end = at * chunk, min((at + 1) * chunk, tiles), cuts[split], cuts[split + 1]
        v = memory.space("winograd v", (POINTS, last - first, ins), x.dtype)
        m = memory.space("winograd m", (POINTS, last - first, end - begin), x.dtype)
        _forward_part(address, x, u, bias, y, v, m, _tmp(x), mark, first, last, begin, end, rows, cols, *pad)

    threads.run(part, chunks * splits)
    return y


def _transformed(w: np.ndarray, turned: bool) -> np.ndarray:
    """Return G w Gᵀ, point C K; of turned filters point K C."""
    a, b = w.shape[:2] if turned else w.shape[1::-1]
    u, (_, mark) = memory.space("winograd u", (POINTS, a, b), w.dtype), _marks(w.shape[2])
    cuts = _cuts(b, _parts(a * b, b, w.itemsize), w.itemsize)
    threads.run(
        lambda i: filters_to_points(w, u, _tmp(w), mark, cuts[i], cuts[i + 1], turned), len(cuts) - 1
    )  # fmt: skip
    return u


def _parts(filters: int, channels: int, item: int) -> int:
    """Into how many parts filters are cut to be transformed: one if there are few."""
    return min(threads.get_num_threads() if filters > 1 << 12 else 1, channels // lanes(item))


# --- the three functions of an algorithm ------------------------------------------------------------------------------


WASTE = 1.6  # computed outputs for each that is wanted: at the edges tiles reach beyond
FEW_TILES = 48  # below, transforming the filters costs more than the products save


def serves(case: Any) -> bool:
    """Whether the filters are 3×3 or 5×5, step by 1, and there are enough channels and tiles (measured)."""
    (n, p, q, outs), taps = case.y, case.w[2]
    plain = case.stride == case.dilation == (1, 1) and case.groups == 1 and taps == case.w[3] and taps in (3, 5)
    if not plain or case.x[3] % 16 or outs % 16 or blas.gemm_address(np.float32) is None:
        return False
    out = 7 - taps
    rows, cols = ceil(p / out), ceil(q / out)
    return bool(n * rows * cols >= FEW_TILES and rows * cols * out * out < WASTE * p * q)


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return y, N P Q K, of x, N H W C, and filters w, K C R R with R = 3 or 5."""
    (top, bottom), (left, right) = padding
    taps = w.shape[2]
    size = (x.shape[1] + top + bottom - taps + 1, x.shape[2] + left + right - taps + 1)
    offset = np.zeros(w.shape[0], w.dtype) if bias is None else bias
    return _convolve(x, _transformed(w, False), offset, taps, size, (top, left))


def dx(
    y: np.ndarray, w: np.ndarray, size: Any, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of x, N H W C of ``size``, from that of the result, y, N P Q K."""
    (top, _), (left, _) = padding
    taps = w.shape[2]
    pad = (taps - 1 - top, taps - 1 - left)
    return _convolve(y, _transformed(w, True), np.zeros(w.shape[1], w.dtype), taps, size, pad)


def dw(
    x: np.ndarray, y: np.ndarray, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of w, K C R R, from x and the gradient of the result, y."""
    taps = width[0]
    (n, p, q, outs), ins, item, (mark, marked) = y.shape, x.shape[3], x.itemsize, _marks(taps)
    rows, cols = ceil(p / len(mark)), ceil(q / len(mark))
    tiles, address, (top, _), (left, _) = n * rows * cols, blas.gemm_address(x.dtype), *padding
    count = threads.get_num_threads()
    by_tiles = POINTS * ins * outs * item <= SMALL and tiles >= 32 * count  # every thread its own sum
    splits, parts = (1, count) if by_tiles else (max(1, min(count, outs // lanes(item))), 1)
    u, cuts = memory.space("winograd du", (parts, POINTS, ins, outs), x.dtype), _cuts(outs, splits, item)

    def part(number: int) -> None:
        at, split = divmod(number, splits)
        first, last, begin, end = at * tiles // parts, (at + 1) * tiles // parts, cuts[split], cuts[split + 1]
        chunk = min(_chunk(tiles, ins + outs, item), last - first)
        v = memory.space("winograd v", (POINTS, chunk, ins), x.dtype)
        m = memory.space("winograd m", (POINTS, chunk, end - begin), x.dtype)
        _filters_part(address, x, y, u[at], v, m, _tmp(x), mark, first, last, chunk, begin, end, rows, cols, top, left)

    threads.run(part, parts * splits)
    for other in range(1, parts):
        u[0] += u[other]
    w, ends = np.empty((outs, ins, taps, taps), x.dtype), _cuts(outs, _parts(ins * outs, outs, item), item)
    threads.run(lambda i: points_to_filters(u[0], w, _tmp(x), marked, ends[i], ends[i + 1]), len(ends) - 1)
    return w
