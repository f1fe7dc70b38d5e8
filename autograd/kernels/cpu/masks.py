"""Vectors that need not be full, and choices between them, for loops over few numbers.

``full(count, like)`` is a mask for the first ``count`` lanes; ``read`` and ``write`` leave alone what lies behind.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from .simd import Vector, _arithmetic, lanes

BIT, BYTE, INT = ir.IntType(1), ir.IntType(8), ir.IntType(32)


class Mask(types.Type):
    """The type of a truth value for each lane."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Mask({lanes})")


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Mask) -> None:
        super().__init__(manager, kind, ir.VectorType(BIT, kind.lanes))


@intrinsic
def full(typing: Any, count: Any, like: Any) -> Any:
    """The mask of the first ``count`` lanes of vectors of numbers like ``like``."""
    width = lanes(like.bitwidth // 8)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = builder.trunc(args[0], INT)
        kind = ir.VectorType(INT, width)
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(INT, 0))
        every = builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(kind, [0] * width))
        return builder.icmp_signed("<", ir.Constant(kind, list(range(width))), every)

    return Mask(width)(types.int64, like), generate


def _access(builder: Any, verb: str, name: str, result: Any, vector: Any, args: list[Any]) -> Any:
    function = builder.module.declare_intrinsic(
        f"llvm.masked.{verb}.{name}.p0", fnty=ir.FunctionType(result, [a.type for a in args])
    )
    return builder.call(function, args)


def _name(vector: Any) -> str:
    element = vector.element
    letter = {"float": "f32", "double": "f64"}.get(str(element)) or str(element)
    return f"v{vector.count}{letter}"


def _read(context: Any, builder: Any, address: Any, kind: Any, mask: Any) -> Any:
    pointer = builder.inttoptr(address, kind.as_pointer())
    return _access(
        builder, "load", _name(kind), kind, kind, [pointer, ir.Constant(INT, 1), mask, ir.Constant(kind, None)]
    )


def _write(context: Any, builder: Any, address: Any, value: Any, mask: Any) -> None:
    pointer = builder.inttoptr(address, value.type.as_pointer())
    _access(builder, "store", _name(value.type), ir.VoidType(), value.type, [value, pointer, ir.Constant(INT, 1), mask])


@intrinsic
def read(typing: Any, address: Any, mask: Any, like: Any) -> Any:
    """The numbers at an address that the mask names; 0 in the other lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _read(context, builder, args[0], context.get_value_type(signature.return_type), args[1])

    return Vector(like)(types.int64, mask, like), generate


@intrinsic
def write(typing: Any, address: Any, v: Any, mask: Any) -> Any:
    """Put the lanes that the mask names at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _write(context, builder, args[0], args[1], args[2])
        return context.get_dummy_value()

    return types.void(types.int64, v, mask), generate


@intrinsic
def accumulate(typing: Any, address: Any, v: Any, mask: Any) -> Any:
    """Add the lanes that the mask names to float64 numbers at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.DoubleType(), v.lanes)
        value = builder.fpext(args[1], kind) if args[1].type != kind else args[1]
        _write(context, builder, args[0], builder.fadd(_read(context, builder, args[0], kind, args[2]), value), args[2])
        return context.get_dummy_value()

    return types.void(types.int64, v, mask), generate


@intrinsic
def stream(typing: Any, address: Any, v: Any) -> Any:
    """Put a vector past the caches, at an address that 64 divides."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = builder.store(args[1], builder.inttoptr(args[0], args[1].type.as_pointer()))
        stored.align = 64
        stored.set_metadata("nontemporal", builder.module.add_metadata([INT(1)]))
        return context.get_dummy_value()

    return types.void(types.int64, v), generate


@intrinsic
def read_bytes(typing: Any, address: Any, mask: Any, like: Any) -> Any:
    """Bytes as a vector of numbers like ``like``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        return builder.uitofp(_read(context, builder, args[0], ir.VectorType(BYTE, mask.lanes), args[1]), kind)

    return Vector(like)(types.int64, mask, like), generate


@intrinsic
def write_bytes(typing: Any, address: Any, v: Any, mask: Any) -> Any:
    """Put a vector of whole numbers below 256 as bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = builder.fptoui(args[1], ir.VectorType(INT, v.lanes))
        _write(context, builder, args[0], builder.trunc(whole, ir.VectorType(BYTE, v.lanes)), args[2])
        return context.get_dummy_value()

    return types.void(types.int64, v, mask), generate


def _comparison(symbol: str, doc: str, ordered: bool = True) -> Callable[..., Any]:
    @intrinsic
    def compare(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return (builder.fcmp_ordered if ordered else builder.fcmp_unordered)(symbol, *args)

        return Mask(a.lanes)(a, b), generate

    compare.__doc__ = doc
    return compare  # type: ignore[no-any-return]


at_least = _comparison(">=", "a ≥ b")
not_less = _comparison(">=", "a ≥ b, or one of them is NaN", ordered=False)
above = _comparison(">", "a > b")
same = _comparison("==", "a = b")


@intrinsic
def choose(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """The lanes of a that the mask names and the other lanes of b."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(mask, a, b), generate


_arithmetic(operator.truediv, "fdiv")


@intrinsic
def fetch(typing: Any, address: Any) -> Any:
    """Have what lies at an address brought nearer; any address will do."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], BYTE.as_pointer())
        given = [pointer, INT(0), INT(3), INT(1)]  # to be read, soon, data
        kind = ir.FunctionType(ir.VoidType(), [a.type for a in given])
        builder.call(builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind), given)
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def root(typing: Any, v: Any) -> Any:
    """√v."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type])
        name = f"llvm.sqrt.{_name(args[0].type)}"
        return builder.call(builder.module.declare_intrinsic(name, fnty=kind), args)

    return v(v), generate
