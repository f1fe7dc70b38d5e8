"""Pooling in any number of dimensions, one place of the window after the other: no windows are copied out.

At a tie the last of the equal elements, in row-major order, is the maximum and gets the whole gradient.
"""

from __future__ import annotations

import itertools
from math import prod
from typing import Any

from .windows import ALL, Ints, Pairs, count, span, taps


def pool_counts(size: Ints, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, ceil_mode: bool) -> Ints:
    """Return how many windows there are along every axis.

    With ``ceil_mode`` one that is not full at the end counts too, if it begins in the input or the padding before it.
    """
    counts = []
    for n, places, step, pad, apart in zip(size, width, stride, padding, dilation, strict=True):
        windows = count(n, places, step, pad, apart)
        ragged = (n + sum(pad) - span(places, apart)) % step > 0
        counts.append(windows + (ceil_mode and ragged and windows * step < n + pad[0]))
    return tuple(counts)


def max_pool(
    xp: Any, x: Any, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, ceil_mode: bool
) -> tuple[Any, Any]:
    """Return the maxima of the windows, and for each the number of the tap that met it."""
    windows = pool_counts(x.shape[2:], width, stride, padding, dilation, ceil_mode)
    places = taps(x.shape[2:], width, windows, stride, padding, dilation)
    lowest = -xp.inf if x.dtype.kind == "f" else xp.iinfo(x.dtype).min
    out = xp.full((*x.shape[:2], *windows), lowest, x.dtype)
    place = xp.zeros(out.shape, xp.uint8 if len(places) <= 256 else xp.int32)
    for number, (_, met, elements) in enumerate(places):
        best, winner, element = out[(..., *met)], place[(..., *met)], x[(..., *elements)]
        wins = element >= best
        xp.maximum(best, element, out=best)
        xp.maximum(winner, wins * place.dtype.type(number), out=winner)  # numbers rise: the last that wins stays
    return out, place


def max_pool_at(xp: Any, x: Any, place: Any, width: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Any:
    """Return the elements of x where each window's maximum was."""
    out = xp.zeros(place.shape, x.dtype)
    for number, (_, met, elements) in enumerate(taps(x.shape[2:], width, place.shape[2:], stride, padding, dilation)):
        out[(..., *met)] += xp.where(place[(..., *met)] == number, x[(..., *elements)], 0)
    return out


def max_pool_dx(
    xp: Any, y: Any, place: Any, size: Ints, width: Ints, stride: Ints, padding: Pairs, dilation: Ints
) -> Any:
    """Return zeros of spatial ``size`` with every y added where its window's maximum was: the adjoint."""
    x = xp.zeros((*y.shape[:2], *size), y.dtype)
    apart = all(map(_are_apart, width, stride, dilation))
    for number, (_, met, elements) in enumerate(taps(size, width, y.shape[2:], stride, padding, dilation)):
        share = xp.where(place[(..., *met)] == number, y[(..., *met)], 0)
        if apart:
            x[(..., *elements)] = share
        else:
            x[(..., *elements)] += share
    return x


def avg_pool(
    xp: Any, x: Any, width: Ints, stride: Ints, padding: Pairs, ceil_mode: bool, count_include_pad: bool
) -> Any:
    """Return the means of the windows."""
    dilation = (1,) * len(width)
    windows = pool_counts(x.shape[2:], width, stride, padding, dilation, ceil_mode)
    out = xp.zeros((*x.shape[:2], *windows), x.dtype)
    for _, met, elements in taps(x.shape[2:], width, windows, stride, padding, dilation):
        out[(..., *met)] += x[(..., *elements)]
    return out / _divisor(xp, out, x.shape[2:], width, stride, padding, count_include_pad)


def avg_pool_dx(
    xp: Any, y: Any, size: Ints, width: Ints, stride: Ints, padding: Pairs, ceil_mode: bool, count_include_pad: bool
) -> Any:
    """Return zeros of spatial ``size`` with every y shared out among the elements of its window: the adjoint."""
    dilation = (1,) * len(width)
    windows = pool_counts(size, width, stride, padding, dilation, ceil_mode)
    y = y / _divisor(xp, y, size, width, stride, padding, count_include_pad)
    x = xp.zeros((*y.shape[:2], *size), y.dtype)
    apart = all(map(_are_apart, width, stride, dilation))
    for _, met, elements in taps(size, width, windows, stride, padding, dilation):
        if apart:
            x[(..., *elements)] = y[(..., *met)]
        else:
            x[(..., *elements)] += y[(..., *met)]
    return x


def _are_apart(width: int, stride: int, dilation: int) -> bool:
    """Whether no two windows share an element."""
    return stride >= span(width, dilation)


def _divisor(xp: Any, y: Any, size: Ints, width: Ints, stride: Ints, padding: Pairs, count_include_pad: bool) -> Any:
    """How many elements each window counts: a number if all count the same, otherwise an array over the windows."""
    windows = y.shape[2:]
    axes = list(zip(size, windows, width, stride, padding, strict=True))
    inside = all((m - 1) * step + places <= n + sum(pad) for n, m, places, step, pad in axes)
    if inside and (count_include_pad or not any(map(any, padding))):
        return prod(width)
    divisor = xp.ones((), y.dtype)
    for n, m, places, step, (before, after) in axes:
        start = xp.arange(m) * step - before
        stop = xp.minimum(start + places, n + after)
        if not count_include_pad:
            start, stop = xp.maximum(start, 0), xp.minimum(stop, n)
        divisor = divisor[..., None] * (stop - start)
    return divisor.astype(y.dtype)


def bins(n: int, parts: int) -> list[slice]:
    """Cut n elements into ``parts`` windows of as equal sizes as can be; neighbours may share an element."""
    return [slice(i * n // parts, -(-(i + 1) * n // parts)) for i in range(parts)]


def adaptive_avg_pool(xp: Any, x: Any, windows: Ints) -> Any:
    """Return the means of ``windows`` bins along every axis; a mean of means, for a bin is a box."""
    for axis, parts in enumerate(windows, 2):
        lead = (ALL,) * axis
        x = xp.stack([x[(*lead, b)].mean(axis=axis) for b in bins(x.shape[axis], parts)], axis=axis)
    return x


def adaptive_avg_pool_dx(xp: Any, y: Any, size: Ints) -> Any:
    """Return y shared out among the elements of its bins, of spatial ``size``: the adjoint."""
    for axis, n in enumerate(size, 2):
        lead, parts = (ALL,) * axis, y.shape[axis]
        x = xp.zeros((*y.shape[:axis], n, *y.shape[axis + 1 :]), y.dtype)
        for i, b in enumerate(bins(n, parts)):
            x[(*lead, b)] += y[(*lead, slice(i, i + 1))] / (b.stop - b.start)
        y = x
    return y


def adaptive_max_pool(xp: Any, x: Any, windows: Ints) -> tuple[Any, Any]:
    """Return the maxima of ``windows`` bins along every axis, and their positions in the flattened axes."""
    n, c, *size = x.shape
    positions = xp.arange(prod(size)).reshape(size)
    index = xp.empty((n, c, *windows), positions.dtype)
    for choice in itertools.product(*[enumerate(bins(m, parts)) for m, parts in zip(size, windows, strict=True)]):
        place, box = zip(*choice, strict=True)
        last_first = x[(ALL, ALL, *box)].reshape(n, c, -1)[..., ::-1]
        index[(ALL, ALL, *place)] = positions[box].reshape(-1)[::-1][last_first.argmax(axis=-1)]
    out = xp.take_along_axis(x.reshape(n, c, -1), index.reshape(n, c, -1), axis=-1)
    return out.reshape(index.shape), index
