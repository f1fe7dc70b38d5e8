"""Sizes for the letters of shapes, so that several shapes fit each other: ``"N C H W"`` and ``"K C/groups 3 3"``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.contract import Contract
from ..errors import AutogradError, ShapeError

Dims = tuple[str, ...]
Shape = tuple[int, ...]
Pick = Callable[[int, int], int]


def parse(text: str) -> Dims:
    """Return the dimensions that are written in ``text``, in the language of contracts.

    >>> parse("N C/groups 3 ...")
    ('N', 'C/groups', '3', '...')
    """
    operands = Contract.parse(f"shape: {text}").inputs
    if len(operands) != 1 or operands[0].dims is None or operands[0].dims.count("...") > 1:
        raise AutogradError(f"shape {text!r} is not understood → write letters and numbers, such as 'N C/groups 3 ...'")
    return operands[0].dims


def split(dim: str) -> tuple[str, str, str]:
    """``"C/groups"`` → ``("C", "/", "groups")``; the last two are empty where there is no arithmetic."""
    return re.fullmatch(r"(\w+)([/*]?)(\w*)", dim).groups()  # type: ignore[union-attr, return-value]


def names(dims: Iterable[str]) -> dict[str, None]:
    """All letters in the dimensions, in their order."""
    parts = [n for d in dims if d != "..." for n in split(d)]
    return dict.fromkeys(n for n in parts if n and n.isidentifier())


def solve(
    dims: Iterable[str], known: Mapping[str, int], pick: Pick, limits: Callable[[str], tuple[int, int]]
) -> dict[str, int]:
    """Return a size for every letter in ``dims``; where ``C/groups`` is among them, C is a multiple of groups.

    Args:
        dims: all dimensions of all shapes that are to fit.
        known: sizes of letters that are given.
        pick: draws a number from low … high.
        limits: the least and the largest size of a letter.

    Raises:
        ShapeError: if two letters would have to be multiples of each other.

    >>> solve(("N", "C", "C/groups"), {"groups": 2}, max, lambda letter: (1, 4))
    {'N': 4, 'C': 4}
    """
    dims = list(dims)
    parts = [split(d) for d in dims if "/" in d]
    divisors: dict[str, list[str]] = {n: [r for left, _, r in parts if left == n] for n in names(dims)}
    sizes: dict[str, int] = {}
    waiting: list[str] = []

    def size(name: str) -> int:
        if name.isdigit() or name in known or name in sizes:
            return int(name) if name.isdigit() else known[name] if name in known else sizes[name]
        if name in waiting:
            circle = " and ".join(f"{a}/{b}" for a in waiting for b in divisors[a] if b in waiting)
            raise ShapeError(f"{circle} cannot all be whole → leave one of them out, or give {name} as a number")
        waiting.append(name)
        step = math.lcm(*(size(d) for d in divisors[name] if d != name))
        waiting.remove(name)
        low, high = limits(name)
        least = max(-(-low // step), any(name in d for d in divisors.values()))  # a divisor is not 0
        sizes[name] = step * pick(least, max(least, high // step))
        return sizes[name]

    for name in divisors:
        size(name)
    return sizes


def evaluate(dim: str, sizes: Mapping[str, int]) -> int:
    """Return the size that a number, a letter, a quotient or a product stands for.

    Raises:
        ShapeError: if a quotient is not whole.

    >>> evaluate("C/groups", {"C": 6, "groups": 2})
    3
    """
    left, sign, right = split(dim)
    a, b = (int(n) if n.isdigit() else sizes.get(n, 1) for n in (left, right))
    if sign == "/" and (b < 1 or a % b):
        raise ShapeError(f"{dim}: {left}={a} cannot be divided into {right}={b} equal parts → let one of them be drawn")
    return a // b if sign == "/" else a * b


def batch(pick: Pick, most: int = 2) -> Shape:
    """Return the axes that ``...`` stands for."""
    return tuple(pick(1, 3) for _ in range(pick(0, most)))


def part(axes: Shape, pick: Pick) -> Shape:
    """Return some of the axes, a few of them 1: it broadcasts with them."""
    return tuple(1 if pick(0, 3) == 3 else n for n in axes[pick(0, len(axes)) :])


def shape_of(dims: Dims, sizes: Mapping[str, int], free: Shape) -> Shape:
    """Return the shape that the dimensions stand for, ``free`` in the place of ``...``."""
    axes: list[Any] = [free if d == "..." else (evaluate(d, sizes),) for d in dims]
    return tuple(n for part in axes for n in part)
