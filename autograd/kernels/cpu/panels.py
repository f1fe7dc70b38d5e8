"""Matrix products of any operands: columns packed into panels that stay in the cache, tiles of rows pass them by.

Some terms and some columns of B at a time are brought into the order in which a tile reads them. Rows of A are read
where they lie; those that would share places in the cache are copied, a tile at a time.
Source: Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34, 2008.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import compiled, nested
from .filters import at_, transpose
from .masks import fetch, full, read
from .simd import store
from .tail import finish
from .tiles import TILE, contract

ROWS, VECTORS, BYTES = TILE
BLOCK = VECTORS * BYTES  # bytes of a tile's columns
DEPTH = 768  # terms at a time
AHEAD = 8  # terms whose columns are fetched early
ROOM = 1 << 19  # bytes of packed columns: half of the L2 cache
PAGE, LINE = 4096, 64  # rows about a page apart share a place in the L1 cache
APART = DEPTH * 8 + 2 * LINE  # bytes from row to row of a copy
COPIED = ROWS * APART
WORK = COPIED + ROOM + DEPTH * BLOCK


@nested
def _pack_columns(
    out: Any, b: int, row: int, column: int, terms: int, columns: int, to: int, panel: int, offsets: Any
) -> None:
    """Columns as blocks of terms × columns; ``row`` and ``column`` are distances in bytes, one of them a number's."""
    size, zero = out.itemsize, out.dtype.type(0)
    width, last = LINE // size, b + (columns - 1) * column
    for outer in range(terms if column == size else (columns + width - 1) // width):
        if column == size:  # as it lies in memory
            for left in range(0, columns, width):
                at = to + left * size // BLOCK * panel + outer * BLOCK + left * size % BLOCK
                fetch(b + (outer + AHEAD) * row + left * size)
                store(at, read(b + outer * row + left * size, full(columns - left, zero), zero))
        else:
            left = outer * width
            at = to + left * size // BLOCK * panel + left * size % BLOCK
            for t in range(0, terms, width):
                given, to_them = b + left * column + t * size, at_(offsets) + 8 * t
                transpose(given, column, last + t * size, full(terms - t, zero), at, to_them, zero)


@nested
def _copy_rows(out: Any, a: int, row: int, rows: int, terms: int, to: int, to_row: int) -> None:
    size, zero = out.itemsize, out.dtype.type(0)
    for i in range(rows):
        for t in range(0, terms, LINE // size):
            store(to + i * to_row + t * size, read(a + i * row + t * size, full(terms - t, zero), zero))


@compiled
def multiply(
    out: Any, bias: Any, tail: Any, work: Any, a: int, a_row: int, a_step: int, b: int, b_row: int, b_column: int,
    from_term: int, to_term: int, first: int, last: int, begin: int, end: int,
) -> None:  # fmt: skip
    """Rows ``first`` … ``last`` − 1, columns ``begin`` … ``end`` − 1 of out = bias + A·B over some terms.

    Distances are in bytes; one of A's, and one of B's, is a number's. ``bias`` has a second row, of zeros. A tail is
    put to each tile while it is in the cache.
    """
    size, columns = out.itemsize, out.shape[1]
    width, places, runs = BLOCK // size, np.zeros((1, 2), np.int64), np.zeros((1, 2), np.int64)
    terms, tiles = to_term - from_term, (last - first + ROWS - 1) // ROWS
    chunks, shared = (terms + DEPTH - 1) // DEPTH, a_step == size and (a_row + LINE) % PAGE <= 2 * LINE
    own, packed = at_(work), at_(work) + COPIED
    for chunk in range(chunks):
        start = from_term + chunk * terms // chunks
        length = from_term + (chunk + 1) * terms // chunks - start
        panel = length * BLOCK
        offsets = np.minimum(np.arange(length + LINE // size), length - 1) * BLOCK
        wide = max(1, ROOM // panel) * width
        for left in range(begin, end, wide):
            right = min(left + wide, end)
            given = b + start * b_row + left * b_column
            _pack_columns(out, given, b_row, b_column, length, right - left, packed, panel, offsets)
            for tile in range(tiles):
                top, bottom = first + tile * (last - first) // tiles, first + (tile + 1) * (last - first) // tiles
                at, row = a + top * a_row + start * a_step, a_row
                if shared:
                    _copy_rows(out, at, a_row, bottom - top, length, own, APART)
                    at, row = own, APART
                contract(
                    out, at, packed, at_(out) + (top * columns + left) * size, at_(bias[min(chunk, 1)]) + left * size,
                    places, bottom - top, row, columns * size, runs, length, a_step, BLOCK, panel, right - left,
                    chunk > 0,
                )  # fmt: skip
                if tail[0].size and chunk == chunks - 1:
                    finish(out, tail, top, bottom, left, right)
