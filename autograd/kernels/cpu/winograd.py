"""Convolution with 3×3 or 5×5 filters, stride 1, by Winograd's short algorithms: few products, many additions.

Four outputs of a 3-tap filter take 12 products. As polynomials, evaluated at the points 0, ±a, ±b, ∞, they take 6, and
in two dimensions 36 instead of 144: F(4×4, 3×3). The same points serve two outputs of a 5-tap filter, 36 products
instead of 100: F(2×2, 5×5). An image is cut into tiles of 6×6 that overlap. With the transforms (``transforms.py``: Bᵀ
for tiles and G for filters to the points, Aᵀ back)

    V = Bᵀ x B        U = G w Gᵀ        M[i] = V[i] · U[i] over channels, i = 1 … 36        y = Aᵀ M A

and the gradients by transposition: with respect to x the same with turned filters, with respect to w dM = A dy Aᵀ,
dU[i] = V[i]ᵀ · dM[i] over tiles, dw = Gᵀ dU G. Everything is channels last: a transform works on vectors of channels.
With a = 1/√2, b = √2 errors are hardly larger than those of plain sums, 2e-6 of the largest value in float32.

Source: Lavin & Gray, Fast algorithms for convolutional neural networks, CVPR 2016, sec. 4.3; Winograd 1980. On points:
Barabasz et al., Error analysis and improving the accuracy of Winograd convolution, ACM TOMS 2020.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import ceil, prod
from typing import Any

import numpy as np

from ..reference.windows import Ints, Pairs
from . import memory, threads
from .compile import compiled
from .filters import at_
from .simd import lanes
from .tail import Tail, tail_of
from .tiles import TILE, contract
from .transforms import (
    POINTS,
    apart,
    filters_to_points,
    outputs_to_points,
    points_to_filters,
    points_to_outputs,
    tiles_to_points,
)

WIDE = TILE.vectors * TILE.bytes  # bytes of a block: the channels of a result that are computed together
PLACE, ZERO = np.zeros((1, 2), np.int64), np.zeros(WIDE)  # for ``contract``: one product that begins where a and b do

# --- parts of the work, each for one thread ---------------------------------------------------------------------------
#
# U lies in blocks of filters and pieces of channels: [block, piece, point] are its rows, of ``near`` lines each. Where
# filters meet few tiles there are rows for one piece only, made anew for each block and piece, which stay in the cache.


@compiled
def _tiles(x: Any, v: Any, tmp: Any, outs: Any, first: int, last: int, grid: Any, top: int, left: int) -> None:
    """Bring some tiles to the points."""
    tiles_to_points(x, v, tmp, outs, first, last, grid[0], grid[1], top, left)


@compiled
def _filters(w: Any, u: Any, tmp: Any, taps: Any, turned: bool, near: int, begin: int, end: int) -> None:
    """Bring some blocks of filters to the points."""
    outs, ins = w.shape[1::-1] if turned else w.shape[:2]
    block, pieces = WIDE // w.itemsize, -(-ins // near)
    for number in range(begin * pieces, end * pieces):
        low, first = number // pieces * block, number % pieces * near
        filters_to_points(
            w, u, number * POINTS, WIDE, tmp, taps, turned, first, min(first + near, ins), low, min(low + block, outs)
        )


@compiled
def _products(
    w: Any, u: Any, made: bool, v: Any, m: Any, tail: Any, y: Any, tmp: Any, taps: Any, outs: Any, turned: bool,
    near: int, first: int, last: int, begin: int, end: int, grid: Any, place: Any, zero: Any,
) -> None:  # fmt: skip
    """Some blocks of y on some tiles."""
    item, ins, block = y.itemsize, w.shape[0] if turned else w.shape[1], WIDE // y.itemsize
    pieces = -(-ins // near)
    for number in range(begin, end):
        low, high = number * block, min(number * block + block, y.shape[3])
        for piece in range(pieces):
            c, stop, at = piece * near, min(piece * near + near, ins), 0
            if made:
                at = (number * pieces + piece) * POINTS
            else:
                filters_to_points(w, u, at, WIDE, tmp, taps, turned, c, stop, low, high)
            for point in range(POINTS):
                contract(
                    y, at_(v) + (point * v.shape[1] + c) * item, at_(u) + (at + point) * u.shape[1] * item,
                    at_(m) + point * m.shape[1] * item, at_(zero), place, last - first, ins * item, (high - low) * item,
                    place, stop - c, item, WIDE, 0, high - low, piece > 0,
                )  # fmt: skip
        points_to_outputs(m, tail, y, tmp, outs, first, last, low, high, grid[0], grid[1])


@compiled
def _sums(
    y: Any, u: Any, w: Any, once: bool, v: Any, m: Any, tmp: Any, taps: Any, outs: Any, near: int, first: int,
    last: int, begin: int, end: int, grid: Any, add: bool, place: Any, zero: Any,
) -> None:  # fmt: skip
    """Some blocks of u = Σ v mᵀ over some tiles, and ``once`` these are all, of w."""
    item, ins, block = y.itemsize, w.shape[1], WIDE // y.itemsize
    pieces = -(-ins // near)
    for number in range(begin, end):
        low, high = number * block, min(number * block + block, y.shape[3])
        outputs_to_points(y, m, tmp, outs, first, last, low, high, grid[0], grid[1])
        for piece in range(pieces):
            c, stop = piece * near, min(piece * near + near, ins)
            at = 0 if once else (number * pieces + piece) * POINTS
            for point in range(POINTS):
                contract(
                    y, at_(v) + (point * v.shape[1] + c) * item, at_(m) + point * m.shape[1] * item,
                    at_(u) + (at + point) * u.shape[1] * item, at_(zero), place, stop - c, item, WIDE,
                    place, last - first, ins * item, (high - low) * item, 0, high - low, add,
                )  # fmt: skip
            if once:
                points_to_filters(u, w, at, WIDE, tmp, taps, c, stop, low, high)


@compiled
def _total(u: Any, w: Any, tmp: Any, taps: Any, near: int, begin: int, end: int) -> None:
    """Add several sums up, in order, and bring some blocks of them back to filters."""
    outs, ins = w.shape[:2]
    block, pieces = WIDE // w.itemsize, -(-ins // near)
    for number in range(begin * pieces, end * pieces):
        for other in range(1, len(u)):
            for row in range(number * POINTS, (number + 1) * POINTS):
                for i in range(near * block):
                    u[0, row, i] += u[other, row, i]
        low, first = number // pieces * block, number % pieces * near
        points_to_filters(
            u[0], w, number * POINTS, WIDE, tmp, taps, first, min(first + near, ins), low, min(low + block, outs)
        )


# --- how the work is cut ----------------------------------------------------------------------------------------------

WORK = 1 << 21  # bytes of transformed tiles at a time: what the caches next to a core hold
ONCE = 128  # tiles that are taken all at a time, so that filters are brought to the points in the cache, once
NEAR = 128  # channels of a piece of filters, at most
SMALL = 1 << 22  # bytes of a sum that every thread can have of its own
FINER = 2  # parts for each thread, so that they end together
ALONE = 1 << 23  # products that one thread does sooner than several


class _Cut:
    """How a convolution from ``ins`` to ``outs`` channels is cut: blocks and pieces of filters, chunks of tiles."""

    def __init__(self, ins: int, outs: int, images: int, size: Ints, taps: int, dtype: Any) -> None:
        self.dtype, self.ins = np.dtype(dtype), ins
        item, (self.outs, self.taps) = self.dtype.itemsize, _marks(taps)
        self.grid = (ceil(size[0] / len(self.outs)), ceil(size[1] / len(self.outs)))
        self.tiles, self.block = images * prod(self.grid), WIDE // item
        few = POINTS * self.tiles * ins * outs < ALONE
        self.threads = 1 if few else threads.get_num_threads()
        self.blocks, pieces = ceil(outs / self.block), ceil(ins / NEAR)
        self.near = ceil(ins / pieces / lanes(item)) * lanes(item)
        row = apart(self.near * self.block, item)
        self.piece, self.rows = (POINTS, row), (self.blocks * pieces * POINTS, row)
        self.once = self.tiles <= ONCE and self.blocks >= self.threads
        whole = ceil(self.tiles * POINTS * ins * item / WORK / self.threads) * self.threads
        self.chunk = self.tiles if self.once else ceil(self.tiles / whole)

    def by_blocks(self, task: Callable[[int, int], Any]) -> None:
        """Call ``task(first block, last block)`` for parts that together are all blocks."""
        parts = min(self.blocks, FINER * self.threads if self.threads > 1 else 1)
        threads.run(lambda i: task(i * self.blocks // parts, (i + 1) * self.blocks // parts), parts)

    def space(self, name: str, shape: Ints) -> np.ndarray:
        return memory.space(f"winograd {name}", shape, self.dtype)

    def points(self, x: np.ndarray, first: int, last: int, pad: Ints) -> np.ndarray:
        """Bring some tiles to the points."""
        v = self.space("v", (POINTS, apart(self.chunk * self.ins, x.itemsize)))
        _tiles(x, v, self.tmp(), self.outs, first, last, self.grid, *pad)
        return v

    def products(self) -> np.ndarray:
        return self.space("m", (POINTS, apart(self.chunk * self.block, self.dtype.itemsize)))

    def tmp(self) -> np.ndarray:
        return self.space("tile", (POINTS * lanes(self.dtype.itemsize),))


def _marks(taps: int) -> tuple[Ints, Ints]:
    """The tuples whose lengths tell the transforms how many outputs and taps there are."""
    return (0,) * (7 - taps), (0,) * taps


def _each_thread(make: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
    """Return a function that makes an array at each thread's first call, and then returns it."""
    own = threading.local()

    def get() -> np.ndarray:
        if not hasattr(own, "made"):
            own.made = make()
        return own.made  # type: ignore[no-any-return]

    return get


def _convolve(
    x: np.ndarray, w: np.ndarray, tail: Tail, turned: bool, size: tuple[int, int], pad: tuple[int, int]
) -> np.ndarray:
    """Return y, N P Q K, of filters w, turned or not, and its tail."""
    outs = w.shape[1 if turned else 0]
    cut = _Cut(x.shape[3], outs, len(x), size, w.shape[2], x.dtype)
    y, zero, chunk, tiles = np.empty((len(x), *size, outs), x.dtype), ZERO.astype(x.dtype), cut.chunk, cut.tiles

    def products(u: np.ndarray, v: np.ndarray, first: int, last: int, begin: int, end: int) -> None:
        _products(
            w, u, not cut.once, v, cut.products(), tail, y, cut.tmp(), cut.taps, cut.outs, turned, cut.near, first,
            last, begin, end, cut.grid, PLACE, zero,
        )  # fmt: skip

    if cut.once:
        v = _each_thread(lambda: cut.points(x, 0, tiles, pad))
        cut.by_blocks(lambda begin, end: products(cut.space("u", cut.piece), v(), 0, tiles, begin, end))
        return y
    u = cut.space("u", cut.rows)
    cut.by_blocks(lambda begin, end: _filters(w, u, cut.tmp(), cut.taps, turned, cut.near, begin, end))

    def part(number: int) -> None:
        first, last = number * chunk, min((number + 1) * chunk, tiles)
        products(u, cut.points(x, first, last, pad), first, last, 0, cut.blocks)

    threads.run(part, ceil(tiles / chunk))
    return y


# --- the three functions of an algorithm ------------------------------------------------------------------------------

WASTE = 1.6  # computed outputs for each that is wanted: at the edges tiles reach beyond
FEW_TILES = 12  # below, transforming the filters costs more than the products save


def serves(case: Any) -> bool:
    """Whether the filters are 3×3 or 5×5, step by 1, and there are enough channels and tiles (measured)."""
    (n, p, q, outs), taps = case.y, case.w[2]
    plain = case.stride == case.dilation == (1, 1) and case.groups == 1 and taps == case.w[3] and taps in (3, 5)
    if not plain or case.x[3] % 16 or outs % 16:
        return False
    out = 7 - taps
    rows, cols = ceil(p / out), ceil(q / out)
    return bool(n * rows * cols >= FEW_TILES and rows * cols * out * out < WASTE * p * q)


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Pairs, dilation: Ints, groups: int,
    tail: Tail | None = None,
) -> np.ndarray:  # fmt: skip
    """Return y, N P Q K, of x, N H W C, and filters w, K C R R with R = 3 or 5, with the bias or a tail."""
    (top, bottom), (left, right) = padding
    taps = w.shape[2]
    size = (x.shape[1] + top + bottom - taps + 1, x.shape[2] + left + right - taps + 1)
    return _convolve(x, w, tail or tail_of(len(w), w.dtype, shift=bias), False, size, (top, left))


def dx(
    y: np.ndarray, w: np.ndarray, size: Any, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of x, N H W C of ``size``, from that of the result, y, N P Q K."""
    (top, _), (left, _) = padding
    taps = w.shape[2]
    return _convolve(y, w, tail_of(w.shape[1], w.dtype), True, size, (taps - 1 - top, taps - 1 - left))


def dw(
    x: np.ndarray, y: np.ndarray, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """Return the gradient of w, K C R R, from x and the gradient of the result, y."""
    cut, pad = _Cut(x.shape[3], y.shape[3], len(y), y.shape[1:3], width[0], x.dtype), (padding[0][0], padding[1][0])
    w, zero, tiles = np.empty((y.shape[3], x.shape[3], *width), x.dtype), ZERO.astype(x.dtype), cut.tiles

    def sums(u: np.ndarray, v: np.ndarray, first: int, last: int, begin: int, end: int, add: bool) -> None:
        _sums(
            y, u, w, cut.once, v, cut.products(), cut.tmp(), cut.taps, cut.outs, cut.near, first, last, begin, end,
            cut.grid, add, PLACE, zero,
        )  # fmt: skip

    if cut.once:
        v = _each_thread(lambda: cut.points(x, 0, tiles, pad))
        cut.by_blocks(lambda begin, end: sums(cut.space("u", cut.piece), v(), 0, tiles, begin, end, False))
        return w

    by_tiles = prod(cut.rows) * x.itemsize <= SMALL  # every thread its own sum
    parts = min(cut.threads, tiles if by_tiles else cut.blocks)
    u = cut.space("du", (parts if by_tiles else 1, *cut.rows))

    def part(i: int) -> None:
        first, last, begin, end = 0, tiles, i * cut.blocks // parts, (i + 1) * cut.blocks // parts
        if by_tiles:
            first, last, begin, end = i * tiles // parts, (i + 1) * tiles // parts, 0, cut.blocks
        for start in range(first, last, cut.chunk):
            stop = min(start + cut.chunk, last)
            sums(u[i if by_tiles else 0], cut.points(x, start, stop, pad), start, stop, begin, end, start > first)

    threads.run(part, parts)
    cut.by_blocks(lambda begin, end: _total(u, w, cut.tmp(), cut.taps, cut.near, begin, end))
    return w
