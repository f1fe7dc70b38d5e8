"""Vectors for compiled code: 64 bytes of neighbouring numbers in one register, with + − × and addresses.

Numba leaves it to the compiler whether a loop becomes vector instructions. Where that must not be left to chance
(transforms of many streams at once, whose independence the compiler cannot prove) a kernel says so with these.

``load(address, like)`` and ``store(address, v)`` move a vector; ``like`` is any number of the element type. Numbers and
vectors mix in arithmetic. On processors with shorter registers the compiler takes several.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, overload, register_model

BYTES = 64


def lanes(itemsize: int) -> int:
    """Return how many numbers of ``itemsize`` bytes a vector has."""
    return BYTES // itemsize


class Vector(types.Type):
    """The type of a vector of ``dtype``."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.lanes = dtype, lanes(dtype.bitwidth // 8)
        super().__init__(name=f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def _pointer(context: Any, builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, context.get_value_type(kind).as_pointer())


def _size(kind: Any) -> int:
    return int(kind.bitwidth) // 8


@intrinsic
def load(typing: Any, address: Any, like: Any) -> Any:
    """The vector at an address, of the type of ``like``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(_pointer(context, builder, args[0], signature.return_type))
        value.align = _size(like)
        return value

    return Vector(like)(address, like), generate


@intrinsic
def store(typing: Any, address: Any, v: Any) -> Any:
    """Put a vector at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[1], _pointer(context, builder, args[0], v)).align = _size(v.dtype)
        return context.get_dummy_value()

    return types.void(address, v), generate


@intrinsic
def gather(typing: Any, address: Any, step: Any, like: Any) -> Any:
    """The vector of numbers ``step`` bytes apart, the first at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, at = signature.return_type, args[0]
        out = ir.Constant(context.get_value_type(kind), ir.Undefined)
        for lane in range(kind.lanes):
            number = builder.load(_pointer(context, builder, at, like))
            out = builder.insert_element(out, number, ir.Constant(ir.IntType(32), lane))
            at = builder.add(at, args[1])
        return out

    return Vector(like)(address, step, like), generate


@intrinsic
def scatter(typing: Any, address: Any, step: Any, v: Any) -> Any:
    """Put the numbers of a vector ``step`` bytes apart."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = args[0]
        for lane in range(v.lanes):
            number = builder.extract_element(args[2], ir.Constant(ir.IntType(32), lane))
            builder.store(number, _pointer(context, builder, at, v.dtype))
            at = builder.add(at, args[1])
        return context.get_dummy_value()

    return types.void(address, step, v), generate


@intrinsic
def spread(typing: Any, number: Any, like: Any) -> Any:
    """A vector of one number, of the type of ``like``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.return_type
        return _spread(context, builder, context.cast(builder, args[0], signature.args[0], kind.dtype), kind)

    return Vector(like)(number, like), generate


def _spread(context: Any, builder: Any, number: Any, kind: Vector) -> Any:
    empty = ir.Constant(context.get_value_type(kind), ir.Undefined)
    zero = ir.Constant(ir.IntType(32), 0)
    order = ir.Constant(ir.VectorType(ir.IntType(32), kind.lanes), [0] * kind.lanes)
    return builder.shuffle_vector(builder.insert_element(empty, number, zero), empty, order)


def _arithmetic(symbol: Callable[..., Any], instruction: str) -> None:
    """Let ``symbol`` work on two vectors, or on a vector and a number."""

    @intrinsic
    def compute(typing: Any, a: Any, b: Any) -> Any:
        kind = a if isinstance(a, Vector) else b

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            values = [
                value
                if isinstance(of, Vector)
                else _spread(context, builder, context.cast(builder, value, of, kind.dtype), kind)
                for value, of in zip(args, signature.args, strict=True)
            ]
            return getattr(builder, instruction)(*values, flags=("reassoc", "contract", "nsz"))

        return kind(a, b), generate

    @overload(symbol, strict=False)
    def chosen(a: Any, b: Any) -> Any:
        if isinstance(a, Vector) or isinstance(b, Vector):
            return lambda a, b: compute(a, b)
        return None


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
