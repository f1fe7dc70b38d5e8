"""Dot products of few rows with many: a large matrix is read once, as it lies, at the speed of memory.

A tile of sums, some rows of x by some of w, is held in registers, a vector for each sum, and added up at the end. All
rows of x meet a piece of w before the next does, so that it comes from memory once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from . import threads
from .compile import behaved, compiled
from .filters import at_
from .masks import _name, _read, full
from .memory import space
from .simd import Vector
from .tiles import TILE

ROWS, FILTERS = (4, 6) if TILE.rows > 6 else (2, 4)  # a tile
PIECE = 512  # terms at a time, where rows of x are more than a tile's
SEVERAL = 1 << 21  # multiply-adds that are worth several threads
LINE = 64


def dots(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Return x · wᵀ plus a bias for each column, where x has few rows."""
    w, (m, k), n = behaved(w), x.shape, len(w)
    out, width = np.empty((m, n), x.dtype), LINE // x.itemsize
    added = np.zeros(n, x.dtype) if bias is None else behaved(bias)
    pieces = np.zeros((-(-k // PIECE), m, min(PIECE, -(-k // width) * width)), x.dtype)  # each in one place
    for i, piece in enumerate(pieces):
        piece[:, : k - i * PIECE] = x[:, i * PIECE : (i + 1) * PIECE]
    tiles = -(-n // FILTERS)

    def part(first: int, last: int) -> None:
        sums = space("dots", (-(-m // ROWS), ROWS, FILTERS, width), x.dtype)
        _dots(pieces, w, added, out, sums, first, last)

    threads.over(tiles, tiles if m * n * k > SEVERAL else 1, part)
    return out


@compiled
def _dots(pieces: Any, w: Any, bias: Any, out: Any, sums: Any, first: int, last: int) -> None:
    """Some tiles' columns of the result."""
    (_, m, piece), (n, terms), zero, size = pieces.shape, w.shape, w.dtype.type(0), w.itemsize
    width = LINE // size
    for left in range(first * FILTERS, min(last * FILTERS, n), FILTERS):
        count = min(FILTERS, n - left)
        sums[:] = 0
        for i in range(len(pieces)):
            length = min(piece, terms - i * piece)
            ahead = piece if i + 1 < len(pieces) else FILTERS * terms - i * piece
            for tile in range(len(sums)):
                _add_products(
                    at_(pieces[i, tile * ROWS]), piece * size, min(ROWS, m - tile * ROWS) - 1,
                    at_(w[left]) + i * piece * size, terms * size, count - 1, length // width,
                    length % width, full(length % width, zero), ahead * size, at_(sums[tile]), zero,
                )  # fmt: skip
        for i in range(m):
            for j in range(count):
                out[i, left + j] = _total(at_(sums[i // ROWS, i % ROWS, j]), zero) + bias[left + j]


@intrinsic
def _add_products(
    typing: Any, x: Any, x_row: Any, x_last: Any, w: Any, w_row: Any, w_last: Any, whole: Any, rest: Any, mask: Any,
    ahead: Any, sums: Any, like: Any,
) -> Any:  # fmt: skip
    """Add a tile's products, over ``whole`` vectors and the ``rest`` under a mask, to its sums.

    Rows behind the last are the last again. What lies ``ahead`` of those of w is fetched meanwhile.
    """
    long = types.int64

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, x_row, x_last, w, w_row, w_last, whole, rest, mask, ahead, sums, _ = args
        vector, word = context.get_value_type(Vector(like)), args[0].type
        fuse = builder.module.declare_intrinsic(
            f"llvm.fmuladd.{_name(vector)}", fnty=ir.FunctionType(vector, [vector] * 3)
        )

        def rows(first: Any, row: Any, last: Any, count: int) -> list[Any]:
            numbers = [builder.select(builder.icmp_signed("<", word(i), last), word(i), last) for i in range(count)]
            return [builder.add(first, builder.mul(number, row)) for number in numbers]

        def at(address: Any) -> Any:
            return builder.inttoptr(address, vector.as_pointer())

        def fetch(address: Any) -> Any:
            return builder.load(at(address), align=like.bitwidth // 8)

        def step(distance: Any, read: Any) -> None:
            of_w = [read(builder.add(row, distance)) for row in w_rows]
            for i, row in enumerate(x_rows):
                of_x = read(builder.add(row, distance))
                for j, other in enumerate(of_w):
                    own = held[i * FILTERS + j]
                    builder.store(builder.call(fuse, [of_x, other, builder.load(own)]), own)

        x_rows, w_rows = rows(x, x_row, x_last, ROWS), rows(w, w_row, w_last, FILTERS)
        places = [builder.add(sums, word(i * LINE)) for i in range(ROWS * FILTERS)]
        held = [cgutils.alloca_once_value(builder, fetch(place)) for place in places]
        with cgutils.for_range(builder, whole) as loop:
            distance = builder.mul(loop.index, word(LINE))
            for row in w_rows:
                _prefetch(builder, builder.add(builder.add(row, ahead), distance))
            step(distance, fetch)
        with builder.if_then(builder.icmp_signed(">", rest, word(0))):
            step(builder.mul(whole, word(LINE)), lambda address: _read(context, builder, address, vector, mask))
        for place, own in zip(places, held, strict=True):
            builder.store(builder.load(own), at(place)).align = like.bitwidth // 8
        return context.get_dummy_value()

    return types.void(long, long, long, long, long, long, long, long, mask, long, long, like), generate


def _prefetch(builder: Any, address: Any) -> None:
    number = ir.IntType(32)
    given = [builder.inttoptr(address, ir.IntType(8).as_pointer()), number(0), number(2), number(1)]
    kind = ir.FunctionType(ir.VoidType(), [a.type for a in given])
    builder.call(builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind), given)


@intrinsic
def _total(typing: Any, address: Any, like: Any) -> Any:
    """The sum of the vector at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(Vector(like))
        number = vector.element
        add = builder.module.declare_intrinsic(
            f"llvm.vector.reduce.fadd.{_name(vector)}", fnty=ir.FunctionType(number, [number, vector])
        )
        value = builder.load(builder.inttoptr(args[0], vector.as_pointer()), align=like.bitwidth // 8)
        return builder.call(add, [ir.Constant(number, -0.0), value], fastmath=["reassoc"])

    return like(types.int64, like), generate
