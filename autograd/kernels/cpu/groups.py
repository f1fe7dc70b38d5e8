"""Convolution in groups of channels, each of which is a convolution by itself, by an algorithm that knows no groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..reference.windows import Ints, counts
from . import threads


class Grouped:
    """Groups of channels, each a convolution by itself: several at the same time, or one after the other."""

    def __init__(self, algorithm: Any) -> None:
        self.algorithm, self.__name__ = algorithm, f"{algorithm.__name__} by groups"

    def forward(self, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, *options: Any) -> np.ndarray:
        """Return y, N P Q K, of x, N H W C, and filters w, K C/groups R S."""
        *rest, groups = options
        out = np.empty((len(x), *counts(x.shape[1:3], w.shape[2:], *rest), len(w)), x.dtype)

        def part(of: Callable[..., Any]) -> None:
            own = bias if bias is None else of(bias)
            of(out)[...] = self.algorithm.forward(np.ascontiguousarray(of(x)), of(w, 0), own, *rest, 1)

        _each_group(part, groups)
        return out

    def dx(self, y: np.ndarray, w: np.ndarray, size: Ints, *options: Any) -> np.ndarray:
        """Return the gradient of x, N H W C of ``size``, from that of the result, y."""
        *rest, groups = options
        x = np.empty((len(y), *size, w.shape[1] * groups), y.dtype)

        def part(of: Callable[..., Any]) -> None:
            of(x)[...] = self.algorithm.dx(np.ascontiguousarray(of(y)), of(w, 0), size, *rest, 1)

        _each_group(part, groups)
        return x

    def dw(self, x: np.ndarray, y: np.ndarray, width: Ints, *options: Any) -> np.ndarray:
        """Return the gradient of w, K C/groups R S of ``width``, from that of the result, y."""
        *rest, groups = options
        w = np.empty((y.shape[3], x.shape[3] // groups, *width), x.dtype)

        def part(of: Callable[..., Any]) -> None:
            pixels = (np.ascontiguousarray(of(a)) for a in (x, y))
            of(w, 0)[...] = self.algorithm.dw(*pixels, width, *rest, 1)

        _each_group(part, groups)
        return w


def _each_group(part: Callable[[Any], None], groups: int) -> None:
    """Call ``part(of)`` for each group, ``of(x, axis)`` being its part of x along an axis, the last if none is given.

    Threads take groups if that leaves none without work; otherwise each group is shared by all of them.
    """

    def task(group: int) -> None:
        def of(x: np.ndarray, axis: int = -1) -> np.ndarray:
            parts = x.shape[axis] // groups
            return x[(slice(None),) * (axis % x.ndim) + (slice(group * parts, (group + 1) * parts),)]

        part(of)

    if groups % threads.get_num_threads() == 0:
        threads.run(task, groups)
    else:
        for group in range(groups):
            task(group)
