"""Convolution in any number of dimensions by columns: copy what every filter place meets, then one matrix product.

With the windows' elements in the columns of a matrix (C·R·S, N·P·Q), convolution is the filters (K, C·R·S) times it,
the filters' gradient is the result's gradient times its transpose, and the input's gradient goes the same way back:
columns first, then added where they came from. A few examples at a time, so that the columns stay in the cache.
Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing", 2006.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from .windows import ALL, Ints, Pairs, Tap, batches, channels_first, counts, taps


def conv(xp: Any, x: Any, w: Any, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    """Return out[n, k, p…] = Σ_c,r… w[k, c, r…] · x[n, c, p·stride + r·dilation − padding …]."""
    n, k, width = x.shape[0], w.shape[0], w.shape[2:]
    windows = counts(x.shape[2:], width, stride, padding, dilation)
    filters = w.reshape(groups, k // groups, -1)
    if _is_pointwise(width, x.shape[2:], windows, stride, padding):
        return xp.matmul(filters, _by_group(x, groups)).reshape(n, k, *windows)
    places = taps(x.shape[2:], width, windows, stride, padding, dilation)
    out = xp.empty((n, k, *windows), xp.result_type(x, w))
    for part, columns in _columns(xp, x, width, windows, places, groups):
        out[part] = channels_first(xp.matmul(filters, columns).reshape(k, -1, *windows))
    return out


def conv_dx(xp: Any, y: Any, w: Any, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    """Return x[n, c, p·stride + r·dilation − padding …] = Σ w[k, c, r…] · y[n, k, p…], of ``size``."""
    n, k, windows = y.shape[0], y.shape[1], y.shape[2:]
    c, width = w.shape[1] * groups, w.shape[2:]
    filters = w.reshape(groups, k // groups, -1).swapaxes(1, 2)
    if _is_pointwise(width, size, windows, stride, padding):
        return xp.matmul(filters, _by_group(y, groups)).reshape(n, c, *size)
    places = taps(size, width, windows, stride, padding, dilation)
    x = xp.zeros((n, c, *size), xp.result_type(y, w))
    for part in batches(n, c * prod(width) * prod(windows)):
        rows = channels_first(y[part]).reshape(groups, k // groups, -1)
        columns = xp.matmul(filters, rows).reshape(c, *width, -1, *windows)
        block = channels_first(x[part])
        for offset, met, elements in places:
            block[(ALL, ALL, *elements)] += columns[(ALL, *offset, ALL, *met)]
    return x


def conv_dw(xp: Any, x: Any, y: Any, width: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    """Return w[k, c, r…] = Σ_n,p… y[n, k, p…] · x[n, c, p·stride + r·dilation − padding …], of size ``width``."""
    k, windows, c = y.shape[1], y.shape[2:], x.shape[1]
    if _is_pointwise(width, x.shape[2:], windows, stride, padding):
        products = xp.matmul(_by_group(y, groups), _by_group(x, groups).swapaxes(-1, -2))
        return products.sum(axis=0).reshape(k, c // groups, *width)
    places = taps(x.shape[2:], width, windows, stride, padding, dilation)
    w = xp.zeros((groups, k // groups, c // groups * prod(width)), xp.result_type(x, y))
    for part, columns in _columns(xp, x, width, windows, places, groups):
        rows = channels_first(y[part]).reshape(groups, k // groups, -1)
        w += xp.matmul(rows, columns.swapaxes(1, 2))
    return w.reshape(k, c // groups, *width)


def _columns(
    xp: Any, x: Any, width: Ints, windows: Ints, places: tuple[Tap, ...], groups: int
) -> Iterator[tuple[slice, Any]]:
    """Yield parts of the batch, and for each the windows' elements as columns (groups, C/groups·R·S, N·P·Q)."""
    n, c = x.shape[:2]
    columns = None
    for part in batches(n, c * prod(width) * prod(windows)):
        block = channels_first(x[part])
        shape = (c, *width, block.shape[1], *windows)
        if columns is None or columns.shape != shape:
            columns = xp.zeros(shape, x.dtype)  # where a window meets padding it stays zero
        for offset, met, elements in places:
            columns[(ALL, *offset, ALL, *met)] = block[(ALL, ALL, *elements)]
        yield part, columns.reshape(groups, c // groups * prod(width), -1)


def _is_pointwise(width: Ints, size: Ints, windows: Ints, stride: Ints, padding: Pairs) -> bool:
    """Whether window i is element i, for all of them: a plain matrix product over channels."""
    return prod(width) == prod(stride) == 1 and size == windows and not any(map(any, padding))


def _by_group(x: Any, groups: int) -> Any:
    """Reshape (N, C, …) to (N, groups, C/groups, pixels)."""
    n, c = x.shape[:2]
    return x.reshape(n, groups, c // groups, prod(x.shape[2:]))
