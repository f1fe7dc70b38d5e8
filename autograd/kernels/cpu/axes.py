"""Convolution along one axis, and along three, made of convolutions along two.

A sequence is an image of height 1. Of a volume, the T slices that a filter meets become the channels of one image,
side by side, so that each place along the first axis is an image by itself. Both have ``forward``, ``dx`` and ``dw``
on contiguous channels-last arrays, as every algorithm has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..reference.windows import Ints, Pairs, counts
from . import threads
from .compile import compiled

SEVERAL = 1 << 17  # numbers of slices that are worth several threads
ROOM = 1 << 26  # bytes of slices side by side at a time, if a sample does not need more


class Line:
    """One axis: images of height 1."""

    def __init__(self, algorithm: Any) -> None:
        self.algorithm, self.__name__ = algorithm, algorithm.__name__

    def forward(self, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, *options: Any) -> np.ndarray:
        """Return y, N P K, of x, N L C, and filters w, K C/groups R."""
        return self.algorithm.forward(x[:, None], w[:, :, None], bias, *flat(*options))[:, 0]  # type: ignore[no-any-return]

    def dx(self, y: np.ndarray, w: np.ndarray, size: Ints, *options: Any) -> np.ndarray:
        """Return the gradient of x from that of the result, y."""
        return self.algorithm.dx(y[:, None], w[:, :, None], (1, *size), *flat(*options))[:, 0]  # type: ignore[no-any-return]

    def dw(self, x: np.ndarray, y: np.ndarray, width: Ints, *options: Any) -> np.ndarray:
        """Return the gradient of w from that of the result, y."""
        return self.algorithm.dw(x[:, None], y[:, None], (1, *width), *flat(*options))[:, :, 0]  # type: ignore[no-any-return]


def flat(stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> tuple[Any, ...]:
    """The options of images of height 1."""
    return (1, *stride), ((0, 0), *padding), (1, *dilation), groups


class Volume:
    """Three axes: an image for each place along the first, whose channels are those of the T slices met there."""

    def __init__(self, algorithm: Any) -> None:
        self.algorithm, self.__name__ = algorithm, f"{algorithm.__name__} of slices side by side"

    def forward(
        self, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Ints, padding: Pairs, dilation: Ints,
        groups: int,
    ) -> np.ndarray:  # fmt: skip
        """Return y, N O P Q K, of x, N D H W C, and filters w, K C/groups T R S."""
        windows = counts(x.shape[1:4], w.shape[2:], stride, padding, dilation)
        rest, filters = (stride[1:], padding[1:], dilation[1:], groups), _beside(w)

        def part(first: int, last: int) -> np.ndarray:
            images = _slices(x[first:last], w.shape[2], windows[0], stride, padding, dilation, groups)
            return self.algorithm.forward(images, filters, bias, *rest)  # type: ignore[no-any-return]

        made = _by_samples(part, len(x), windows[0] * x[0, 0].nbytes * w.shape[2])
        out = made[0] if len(made) == 1 else np.concatenate(made)
        return out.reshape(len(x), *windows, -1)

    def dx(
        self, y: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
    ) -> np.ndarray:
        """Return the gradient of x, N D H W C of ``size``, from that of the result, y."""
        rest, filters = (size[1:], stride[1:], padding[1:], dilation[1:], groups), _beside(w)
        x = np.empty((len(y), *size, w.shape[1] * groups), y.dtype)

        def part(first: int, last: int) -> None:
            images = self.algorithm.dx(y[first:last].reshape(-1, *y.shape[2:]), filters, *rest)
            _exchange(x[first:last], images, True, w.shape[2], y.shape[1], stride, padding, dilation, groups)

        _by_samples(part, len(y), y.shape[1] * x[0, 0].nbytes * w.shape[2])
        return x

    def dw(
        self, x: np.ndarray, y: np.ndarray, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
    ) -> np.ndarray:
        """Return the gradient of w, K C/groups T R S of ``width``, from that of the result, y."""
        rest = width[1:], stride[1:], padding[1:], dilation[1:], groups

        def part(first: int, last: int) -> np.ndarray:
            images = _slices(x[first:last], width[0], y.shape[1], stride, padding, dilation, groups)
            return self.algorithm.dw(images, y[first:last].reshape(-1, *y.shape[2:]), *rest)  # type: ignore[no-any-return]

        sums = _by_samples(part, len(x), y.shape[1] * x[0, 0].nbytes * width[0])
        total = sum(sums[1:], sums[0]).reshape(y.shape[4], width[0], -1, *width[1:])
        return np.ascontiguousarray(total.swapaxes(1, 2))


def _beside(w: np.ndarray) -> np.ndarray:
    """Filters K C T R S as K (T C) R S."""
    k, c, t, *places = w.shape
    return np.ascontiguousarray(w.swapaxes(1, 2)).reshape(k, t * c, *places)


def _by_samples(part: Callable[[int, int], Any], count: int, size: int) -> list[Any]:
    """Return ``part(first, last)`` for a few samples at a time, one of which takes ``size`` bytes."""
    at_once = max(1, ROOM // size)
    return [part(first, min(first + at_once, count)) for first in range(0, count, at_once)]


def _slices(
    x: np.ndarray, taps: int, windows: int, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """The images (N·O) H W (groups T C/groups) of x; x itself where there is one slice for each."""
    if taps == stride[0] == 1 and windows == x.shape[1]:
        return x.reshape(-1, *x.shape[2:])
    images = np.empty((len(x) * windows, *x.shape[2:4], taps * x.shape[4]), x.dtype)
    _exchange(x, images, False, taps, windows, stride, padding, dilation, groups)
    return images


def _exchange(
    x: np.ndarray, images: np.ndarray, back: bool, taps: int, windows: int, stride: Ints, padding: Pairs,
    dilation: Ints, groups: int,
) -> None:  # fmt: skip
    """Copy slices of x into images, or sum them ``back``, on all threads."""
    n, depth, channels = len(x), x.shape[1], x.shape[4] // groups
    slices, beside = x.reshape(n, depth, -1, channels), images.reshape(n, windows, -1, taps, channels)
    jobs = n * (depth if back else windows)
    parts = min(jobs, threads.get_num_threads()) if images.size > SEVERAL else 1
    numbers = stride[0], padding[0][0], dilation[0]
    move = _sum if back else _copy
    threads.run(lambda i: move(slices, beside, *numbers, i * jobs // parts, (i + 1) * jobs // parts), parts)


@compiled
def _copy(x: Any, images: Any, step: int, before: int, apart: int, first: int, last: int) -> None:
    """images[n, o, place, t, c] = x[n, o·step + t·apart − before, place, c], 0 beyond the edge."""
    _, depth, places, channels = x.shape
    _, windows, _, taps, _ = images.shape
    for job in range(first, last):
        n, o = job // windows, job % windows
        for t in range(taps):
            at, out = o * step + t * apart - before, images[n, o, :, t]
            if 0 <= at < depth:
                given = x[n, at]
                for place in range(places):
                    for c in range(channels):
                        out[place, c] = given[place, c]
            else:
                out[...] = 0


@compiled
def _sum(x: Any, images: Any, step: int, before: int, apart: int, first: int, last: int) -> None:
    """The transpose of ``_copy``."""
    _, depth, places, channels = x.shape
    _, windows, _, taps, _ = images.shape
    for job in range(first, last):
        n, at = job // depth, job % depth
        x[n, at] = 0
        for t in range(taps):
            o, rest = divmod(at + before - t * apart, step)
            if rest == 0 and 0 <= o < windows:
                out, given = x[n, at], images[n, o, :, t]
                for place in range(places):
                    for c in range(channels):
                        out[place, c] += given[place, c]
