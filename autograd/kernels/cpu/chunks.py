"""Images cut into chunks that stay in the cache, with padding around: what direct convolution works on at a time."""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..reference.windows import Ints
from . import threads
from .compile import nested
from .filters import at_
from .memory import space

CHUNK = 1 << 19  # bytes of images worked on at a time: half of the L2 cache


@lru_cache(maxsize=1024)
def cut_into_chunks(
    n: int, rows: int, row_bytes: int, count: int, numbers: Ints, across: int, taps: int
) -> tuple[np.ndarray, int, int]:
    """Cut images, and their rows if an image is large or images are few, into chunks that stay in the cache.

    Returns them as images from … to, rows from … to; the pixels of the largest with padding; the rows of its tables.
    """
    least = count if n % count == 0 or n > 8 * count else 4 * count
    pieces = -(-max(least, ceil(n * rows * row_bytes / CHUNK)) // count) * count
    if pieces <= n:
        images, most = ceil(n / pieces), rows
        chunks = [(part.start, part.stop, 0, rows) for part in threads.slices(n, pieces)]
    else:
        images, per_image = 1, min(rows, ceil(pieces / n))
        chunks = [(i, i + 1, part.start, part.stop) for i in range(n) for part in threads.slices(rows, per_image)]
        most = ceil(rows / per_image)
    step, across_step, _, _, top, bottom, left, right, _ = numbers
    pixels = images * ((most - 1) * step + bottom - top + 1) * ((across - 1) * across_step + right - left + 1)
    return np.array(chunks), pixels, max(images * most, taps)


def room(x: np.ndarray, pixels: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Room of this thread's own for a padded chunk, and for two tables of offsets."""
    tables = space("tables", (2, rows, 2), np.int64)
    return space("area", (pixels * apart(x.shape[3], x.itemsize),), x.dtype), tables[0], tables[1]


@intrinsic
def _copy(typing: Any, to: Any, source: Any, count: Any) -> Any:
    """Copy bytes from address to address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, source = (builder.inttoptr(address, cgutils.voidptr_t) for address in args[:2])
        cgutils.raw_memcpy(builder, to, source, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def _clear(typing: Any, to: Any, count: Any) -> Any:
    """Write zeros from an address on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(args[0], cgutils.voidptr_t), args[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@nested
def area(x: Any, work: Any, chunk: Any, top: int, bottom: int, left: int, right: int, near: bool) -> Any:
    """Return where the chunk's windows lie, in x or a copy with zeros around, and the bytes of a pixel, row, image.

    ``near``: a copy in any case, for who does not read pixel after pixel, and would wait for each.
    """
    _, height, wide, c = x.shape
    own, apart = c * x.itemsize, _kept_apart(c, x.itemsize) * x.itemsize
    if not near and top >= 0 and left >= 0 and bottom < height and right < wide and own == apart:
        at = ((chunk[0] * height + top) * wide + left) * own
        return at_(x) + at, own, wide * own, height * wide * own
    length = right - left + 1
    start, stop, to = min(max(0, -left), length), min(right + 1, wide) - left, at_(work)
    stop = max(start, stop)
    for i in range(chunk[0], chunk[1]):
        for r in range(top, bottom + 1):
            if 0 <= r < height:
                source = at_(x) + ((i * height + r) * wide + left + start) * own
                _clear(to, start * apart)
                if own == apart:
                    _copy(to + start * apart, source, (stop - start) * own)
                else:
                    for pixel in range(stop - start):
                        _copy(to + (start + pixel) * apart, source + pixel * own, own)
                _clear(to + stop * apart, (length - stop) * apart)
            else:
                _clear(to, length * apart)
            to += length * apart
    return at_(work), apart, length * apart, (bottom - top + 1) * length * apart


def apart(c: int, size: int) -> int:
    """How far pixels of c channels are kept apart: a multiple of a page, and they would share a place in the cache."""
    return c if c * size % 4096 else c + 64 // size


_kept_apart = nested(apart)
