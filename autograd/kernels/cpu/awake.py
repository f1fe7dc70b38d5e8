"""Waiting awake: to be woken takes a thread 25 µs, unless it looks at a number in memory again and again."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compile import compiled


@intrinsic
def _number(typing: Any, address: Any) -> Any:
    """What stands at an address now; the fence takes a while, in which a core is free for its other thread."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return builder.load_atomic(builder.inttoptr(args[0], ir.IntType(64).as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), generate


@compiled
def look(address: int, times: int) -> bool:
    """Look at a number until it is not 0, at most so many times; say whether it is not. Python's lock is free."""
    while times > 0 and _number(address) == 0:
        times -= 1
    return times > 0
