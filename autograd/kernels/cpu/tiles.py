"""A tile of a product, held in the processor's registers: what direct convolution is made of.

``contract`` computes out[i, k] = bias[k] + Σ_t a[i + t] · b[t, k], where rows i and terms t are offsets from tables, so
that overlapping windows are read where they lie and nothing is copied into columns first. Source: Georganas et al.,
"Anatomy of high-performance deep learning convolutions on SIMD architectures", SC 2018; the tables are those of
Dukhan, "The indirect convolution algorithm", 2019.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .compile import nested


class Tile(NamedTuple):
    """Rows and vectors of a tile, and the bytes of a vector."""

    rows: int
    vectors: int
    bytes: int


def _tile() -> Tile:
    """As many rows as the registers hold, beside vectors of b and one of a; a row is 64 bytes or more."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return Tile(14, 2, 64)
    return Tile(6, 2, 32) if features.get("avx2") else Tile(6, 4, 16)


TILE = _tile()


def lanes_of(dtype: Any) -> int:
    """Return how many numbers a vector holds."""
    return TILE.bytes // int(np.dtype(dtype).itemsize)


def columns_of(dtype: Any) -> int:
    """Return how many columns a tile has."""
    return TILE.vectors * lanes_of(dtype)


@intrinsic
def _multiply(
    typing: Any, out: Any, rows: Any, vectors: Any, a: Any, a_row: Any, a_step: Any, b: Any, b_step: Any, runs: Any,
    count: Any, length: Any, bias: Any, c: Any, c_row: Any, columns: Any, add: Any,
) -> Any:  # fmt: skip
    """One tile; ``out`` only says the type, all else are addresses and distances in bytes, and numbers."""
    numbers = (rows, vectors, a, a_row, a_step, b, b_step, runs, count, length, bias, c, c_row, columns, add)
    signature = types.void(out, *numbers)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = context.get_value_type(signature.args[0].dtype)
        size = signature.args[0].dtype.bitwidth // 8
        lanes = TILE.bytes // size
        rows, vectors, *rest = args[1:]
        end = builder.append_basic_block("end")
        switch = builder.switch(builder.add(builder.mul(rows, rows.type(TILE.vectors + 1)), vectors), end)
        for m in range(1, TILE.rows + 1):
            for n in range(1, TILE.vectors + 1):
                block = builder.append_basic_block(f"tile_{m}_{n}")
                switch.add_case(rows.type(m * (TILE.vectors + 1) + n), block)
                with builder.goto_block(block):
                    _emit(builder, ir.VectorType(element, lanes), size, m, n, *rest)
                    builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return signature, generate


def _opaque(builder: Any, value: Any) -> Any:
    """The value itself, but the compiler cannot see what it comes from and keeps to the addresses as they are written.

    Left to itself it gives every row a pointer of its own, more than there are registers.
    """
    return builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], side_effect=False)


def _emit(
    builder: Any, vector: Any, size: int, m: int, n: int, a: Any, a_row: Any, a_step: Any, b: Any, b_step: Any,
    runs: Any, count: Any, length: Any, bias: Any, c: Any, c_row: Any, columns: Any, add: Any,
) -> None:  # fmt: skip
    word = a.type
    lanes, element = vector.count, vector.element
    zero, empty = ir.Constant(ir.IntType(32), 0), ir.Constant(vector, ir.Undefined)

    def at(address: Any, kind: Any) -> Any:
        return builder.inttoptr(address, kind.as_pointer())

    def load(address: Any, kind: Any) -> Any:
        return builder.load(at(address, kind), align=size, typ=kind)

    fuse = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{lanes}{'f32' if size == 4 else 'f64'}"
    )
    sums = [[cgutils.alloca_once(builder, vector) for _ in range(n)] for _ in range(m)]
    for j in range(n):
        start = load(builder.add(bias, word(j * lanes * size)), vector)
        for i in range(m):
            builder.store(start, sums[i][j])
    row, row3, row4 = (_opaque(builder, builder.mul(a_row, word(times))) for times in (1, 3, 4))
    with cgutils.for_range(builder, count) as run:
        entry = builder.add(runs, builder.mul(run.index, word(16)))
        a_at = cgutils.alloca_once_value(builder, builder.add(a, load(entry, word)))
        b_at = cgutils.alloca_once_value(builder, builder.add(b, load(builder.add(entry, word(8)), word)))
        with cgutils.for_range(builder, length):
            b_now, a_now = builder.load(b_at), builder.load(a_at)
            at_row = _opaque(builder, a_now)
            columns_of_b = [load(builder.add(b_now, word(j * lanes * size)), vector) for j in range(n)]
            for i in range(m):
                if i and i % 4 == 0:
                    at_row = _opaque(builder, builder.add(at_row, row4))
                distance = [word(0), row, builder.mul(row, word(2)), row3][i % 4]
                number = load(builder.add(at_row, distance), element)
                spread = builder.shuffle_vector(
                    builder.insert_element(empty, number, zero),
                    empty,
                    ir.Constant(ir.VectorType(zero.type, lanes), None),
                )
                for j in range(n):
                    product = [spread, columns_of_b[j], builder.load(sums[i][j])]
                    builder.store(builder.call(fuse, product), sums[i][j])
            builder.store(builder.add(a_now, a_step), a_at)
            builder.store(builder.add(b_now, b_step), b_at)
    # the last vector may be cut off
    flags = ir.VectorType(ir.IntType(1), lanes)
    pointer = vector.as_pointer()
    name = f"v{lanes}{'f32' if size == 4 else 'f64'}.p0"
    module = builder.module
    store = cgutils.get_or_insert_function(
        module, ir.FunctionType(ir.VoidType(), [vector, pointer, ir.IntType(32), flags]), f"llvm.masked.store.{name}"
    )
    fetch = cgutils.get_or_insert_function(
        module, ir.FunctionType(vector, [pointer, ir.IntType(32), flags, vector]), f"llvm.masked.load.{name}"
    )
    numbers = ir.VectorType(word, lanes)
    iota = ir.Constant(numbers, list(range(lanes)))
    align = ir.Constant(ir.IntType(32), size)
    adding = builder.icmp_signed("!=", add, word(0))
    masks = []
    for j in range(n):
        left = builder.sub(columns, word(j * lanes))
        all_left = builder.shuffle_vector(
            builder.insert_element(ir.Constant(numbers, ir.Undefined), left, zero),
            ir.Constant(numbers, ir.Undefined),
            ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes),
        )
        masks.append(builder.icmp_signed("<", iota, all_left))
    blank = ir.Constant(vector, [0.0] * lanes)
    with builder.if_then(adding):
        for i in range(m):
            for j in range(n):
                address = builder.add(builder.add(c, builder.mul(c_row, word(i))), word(j * lanes * size))
                old = builder.call(fetch, [at(address, vector), align, masks[j], blank])
                builder.store(builder.fadd(old, builder.load(sums[i][j])), sums[i][j])
    for i in range(m):
        for j in range(n):
            address = builder.add(builder.add(c, builder.mul(c_row, word(i))), word(j * lanes * size))
            builder.call(store, [builder.load(sums[i][j]), at(address, vector), align, masks[j]])


ROWS, VECTORS, BYTES = TILE
NEAR = 1 << 17  # bytes that stay in the cache while something else passes through


@nested
def contract(
    out: Any, a: int, b: int, c: int, bias: int, places: Any, rows: int, a_row: int, c_row: int, runs: Any, length: int,
    a_step: int, b_step: int, panel: int, columns: int, add: bool,
) -> None:  # fmt: skip
    """out[place][row, k] = bias[k] + Σ_run Σ_t a[place + row + run + t] · b[run + t, k]; all distances in bytes."""
    size = out.itemsize
    lanes = BYTES // size
    blocks, pieces = (columns + VECTORS * lanes - 1) // (VECTORS * lanes), (rows + ROWS - 1) // ROWS
    spots = len(places) * pieces
    by_spots = blocks * panel < NEAR  # then b stays in the cache while whole rows of the result are written
    for outer in range(spots if by_spots else blocks):
        for inner in range(blocks if by_spots else spots):
            spot, block = (outer, inner) if by_spots else (inner, outer)
            place, piece = spot // pieces, spot % pieces
            start, stop = piece * rows // pieces, (piece + 1) * rows // pieces
            first = block * VECTORS * lanes
            left = columns - first
            _multiply(
                out, stop - start, min(VECTORS, (left + lanes - 1) // lanes), a + places[place, 0] + start * a_row,
                a_row, a_step, b + block * panel, b_step, np.int64(runs.ctypes.data), len(runs), length,
                bias + first * size, c + places[place, 1] + start * c_row + first * size, c_row, left, np.int64(add),
            )  # fmt: skip
