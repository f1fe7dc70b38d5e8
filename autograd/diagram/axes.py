"""Axes: which axis of an input an operation keeps apart as an axis of its result, read off its declared contract."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

from .. import composites, registry
from ..core.contract import Operand
from .facts import words
from .graph import Box

WHOLE = slice(None)


def input_axis(box: Box, slot: int, shape: tuple[int, ...], axis: int) -> int | None:
    """Return the axis of input ``slot`` that becomes ``axis`` of the box's result unmixed, or None if there is none.

    >>> box = Box("y", "operation", "@", op="matmul", shape=(7, 2, 5))
    >>> input_axis(box, 0, (7, 2, 3), 0), input_axis(box, 1, (3, 5), 0), input_axis(box, 0, (7, 2, 3), 2)
    (0, None, None)
    """
    declared = registry.get(box.op) or composites.get(box.op)
    if declared is None or not box.shape:
        return None
    ndim, out_ndim, given = len(shape), len(box.shape), box.given
    if declared.contract.variadic:
        same = box.op == "concatenate" and given.get("axis", 0) % out_ndim != axis
        return axis if same else None
    if box.op == "getitem":
        place, elements = selected(given["index"], shape).get(axis, (0, None))
        return place if elements == range(shape[place]) else None
    operand, out = declared.contract.inputs[slot], declared.contract.outputs[0] if declared.contract.outputs else None
    if operand.dims is None:
        return _opaque_axis(box, ndim, axis) if len(declared.contract.inputs) == 1 else None
    if out is None or out.dims is None:
        return None
    free = out_ndim - len(out.core)
    if out.before <= axis < out.before + free:  # one of the axes that ... stands for: they match from the right
        place = ndim - (len(operand.core) - operand.before) - (out.before + free - axis)
        return place if place >= operand.before and shape[place] == box.shape[axis] else None
    letter = out.core[axis if axis < out.before else axis - free]
    first, *others = declared.contract.inputs
    if letter not in operand.core or letter not in first.core or any(_mixes(o, letter) for o in (first, *others, out)):
        return None
    if not others and (letter != "N" or out.core[0] != "N"):  # of one input only the batch is sure: think of tril
        return None
    place = operand.core.index(letter)
    return place if place < operand.before else place + ndim - len(operand.core)


def _mixes(operand: Operand, letter: str) -> bool:
    """Whether a letter stands for two axes of one input, or for a part or multiple of one."""
    return sum(letter in re.findall(r"[A-Za-z]+", dim) for dim in operand.core) > (letter in operand.core)


def _opaque_axis(box: Box, ndim: int, axis: int) -> int | None:
    """Where an operation of one input with any shape takes ``axis`` of its result from."""
    given = box.given
    if box.op == "transpose":
        axes = given.get("axes") or tuple(reversed(range(ndim)))
        return int(axes[axis]) % ndim
    if "axis" not in given or given["axis"] is None:
        return None
    mixed = {a % ndim for a in (given["axis"] if isinstance(given["axis"], tuple) else (given["axis"],))}
    kept = range(ndim) if len(box.shape) == ndim else [a for a in range(ndim) if a not in mixed]
    return kept[axis] if axis < len(kept) and kept[axis] not in mixed else None


# --- indexing ---------------------------------------------------------------------------------------------------------


def _parts(index: Any, ndim: int) -> list[Any]:
    """What an index does to each axis: an integer, a slice, None for a new one; nothing if it has arrays."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(p is not None and p is not Ellipsis and not isinstance(p, (slice, Integral)) for p in parts):
        return []
    missing = ndim - sum(p is not None and p is not Ellipsis for p in parts)
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
    return parts[:at] + [WHOLE] * missing + parts[at + 1 :]


def selected(index: Any, shape: tuple[int, ...]) -> dict[int, tuple[int, range]]:
    """Return for axes of ``x[index]`` the axis of x that they are, and which of its elements.

    >>> selected((slice(1, None), 0, None), (3, 4, 5))
    {0: (0, range(1, 3)), 2: (2, range(0, 5))}
    """
    found: dict[int, tuple[int, range]] = {}
    axis = out = 0
    for part in _parts(index, len(shape)):
        if isinstance(part, slice):
            found[out] = axis, range(shape[axis])[part]
        axis += part is not None
        out += not isinstance(part, Integral)
    return found


def element(index: Any, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the axis and the place of the one element that ``x[index]`` is, if it is x at one place of one axis.

    >>> element((slice(None), -1), (3, 4, 5)), element((0, 0), (3, 4, 5))
    ((1, 3), None)
    """
    parts = _parts(index, len(shape))
    places = [axis for axis, part in enumerate(parts) if part != WHOLE]
    if len(places) != 1 or not isinstance(parts[places[0]], Integral):
        return None
    return places[0], int(parts[places[0]]) % shape[places[0]]


# --- one element along an axis ----------------------------------------------------------------------------------------


def only_selects(box: Box, ndim: int, axis: int) -> bool:
    """Whether a box changes nothing in the elements along ``axis`` of its input: it selects or moves them."""
    if box.op == "getitem":
        parts = _parts(box.given["index"], ndim)
        return len(parts) == ndim and all(p == WHOLE for n, p in enumerate(parts) if n != axis)
    if box.op == "transpose":
        axes = [int(a) % ndim for a in box.given.get("axes") or reversed(range(ndim))]
        others = [a for a in axes if a != axis]
        return others == sorted(others)
    return False


def at_one_element(box: Box, ndim: int, axis: int) -> Box:
    """Return the box with its label and parameters as they are for one element along ``axis`` of its input.

    >>> box = Box("y", "operation", "softmax", op="softmax", params="axis=2", given={"axis": 2})
    >>> at_one_element(box, 3, 0).params
    'axis=1'
    """
    if box.op == "getitem":
        parts = _parts(box.given["index"], ndim)
        at = [n for n, part in enumerate(parts) if part is not None][axis]
        index = tuple(parts[:at] + parts[at + 1 :])
        return replace(box, label=f"[{words(index, inside=True)}]", given={"index": index})
    given, params = dict(box.given), box.params
    for name in given.keys() & {"axis", "axes"}:
        old = given[name]
        given[name] = _lower(old, ndim, axis)
        params = params.replace(f"{name}={words(old)}", f"{name}={words(given[name])}")
    return replace(box, given=given, params=params)


def _lower(axes: Any, ndim: int, gone: int) -> Any:
    """The same axes of an array without the axis ``gone``; those counted from the end stay what they are called."""
    if isinstance(axes, Sequence):
        return tuple(_lower(a, ndim, gone) for a in axes if a % ndim != gone)
    if not isinstance(axes, Integral):
        return axes
    a = int(axes)
    return a - (gone < a) if a >= 0 else a + (a % ndim < gone)
