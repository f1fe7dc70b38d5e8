"""The transforms of `winograd`: to the points 0, ±1, ±2, ∞ and back, in vectors of channels.

The functions in one dimension are the rows of the matrices Bᵀ, G, Aᵀ and of their transposes, with what several rows
share computed once. In two dimensions they run over the columns of a tile and then over the rows of what that gave.
"""

from __future__ import annotations

from typing import Any

from .compile import compiled, inlined
from .simd import gather, load, scatter, spread, store

OUT, TILE, POINTS = 4, 6, 36  # pixels of a result's tile and of an image's along an axis, points in two dimensions


# --- in one dimension ----------------------------------------------------------------------------------


@inlined
def _points_of_tile(x0: Any, x1: Any, x2: Any, x3: Any, x4: Any, x5: Any) -> Any:
    """Bᵀ x."""
    even, odd = x4 - 4 * x2, x3 - 4 * x1
    second, first = x4 - x2, 2 * (x3 - x1)
    return 4 * x0 - 5 * x2 + x4, even + odd, even - odd, second + first, second - first, 4 * x1 - 5 * x3 + x5


@inlined
def _points_of_filter(w0: Any, w1: Any, w2: Any) -> Any:
    """G w."""
    even, odd = (w0 + w2) * (-1 / 6), w1 * (1 / 6)
    far, near = w0 * (1 / 24) + w2 * (1 / 6), w1 * (1 / 12)
    return w0 * 0.25, even - odd, even + odd, far + near, far - near, w2


@inlined
def _outputs_of_points(m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any) -> Any:
    """Aᵀ m."""
    s1, d1, s2, d2 = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + s1 + s2, d1 + 2 * d2, s1 + 4 * s2, d1 + 8 * d2 + m5


@inlined
def _points_of_outputs(y0: Any, y1: Any, y2: Any, y3: Any) -> Any:
    """A y, the transpose."""
    s1, d1, s2, d2 = y0 + y2, y1 + y3, y0 + 4 * y2, 2 * y1 + 8 * y3
    return y0, s1 + d1, s1 - d1, s2 + d2, s2 - d2, y3


@inlined
def _filter_of_points(u0: Any, u1: Any, u2: Any, u3: Any, u4: Any, u5: Any) -> Any:
    """Gᵀ u."""
    s1, d1, s2, d2 = u1 + u2, u2 - u1, u3 + u4, u3 - u4
    return (
        u0 * 0.25 - s1 * (1 / 6) + s2 * (1 / 24),
        d1 * (1 / 6) + d2 * (1 / 12),
        s2 * (1 / 6) - s1 * (1 / 6) + u5,
    )


@inlined
def _put(at: int, step: int, p: Any) -> None:
    """Store six vectors ``step`` bytes apart."""
    store(at, p[0])
    store(at + step, p[1])
    store(at + 2 * step, p[2])
    store(at + 3 * step, p[3])
    store(at + 4 * step, p[4])
    store(at + 5 * step, p[5])


# --- in two dimensions, for all channels of some tiles ----------------------------------------------------------------
#
# Tiles are numbered along the rows of an image, image after image; ``rows`` × ``cols`` of them lie on each. ``tmp`` is
# work space for the half-way result of a tile, 36 vectors. Addresses and steps are in bytes.


@inlined
def tiles_to_points(x: Any, v: Any, tmp: Any, first: int, last: int, rows: int, cols: int, top: int, left: int) -> None:
    """v[point, tile, channel] = Bᵀ x B of 6×6 pixels; the first tile begins ``top`` and ``left`` beyond the edge."""
    _, height, width, channels = x.shape
    like, item = x.dtype.type(0), x.itemsize
    zero, pixel, line = spread(0, like), channels * item, width * channels * item
    kept, step = tmp.ctypes.data, (last - first) * pixel
    for tile in range(first, last):
        image, place = divmod(tile, rows * cols)
        h, w = (place // cols) * OUT - top, (place % cols) * OUT - left
        corner = x.ctypes.data + ((image * height + h) * width + w) * pixel
        target = v.ctypes.data + (tile - first) * pixel
        in0, in1, in2 = 0 <= h < height, 0 <= h + 1 < height, 0 <= h + 2 < height
        in3, in4, in5 = 0 <= h + 3 < height, 0 <= h + 4 < height, 0 <= h + 5 < height
        for c in range(0, pixel, 64):
            for s in range(TILE):
                at = corner + s * pixel + c
                if 0 <= w + s < width:
                    points = _points_of_tile(
                        load(at, like) if in0 else zero,
                        load(at + line, like) if in1 else zero,
                        load(at + 2 * line, like) if in2 else zero,
                        load(at + 3 * line, like) if in3 else zero,
                        load(at + 4 * line, like) if in4 else zero,
                        load(at + 5 * line, like) if in5 else zero,
                    )
                    _put(kept + s * 64, 384, points)
                else:
                    _put(kept + s * 64, 384, (zero, zero, zero, zero, zero, zero))
            for r in range(TILE):
                at = kept + r * 384
                points = _points_of_tile(
                    load(at, like), load(at + 64, like), load(at + 128, like),
                    load(at + 192, like), load(at + 256, like), load(at + 320, like),
                )  # fmt: skip
                _put(target + r * TILE * step + c, step, points)


@inlined
def outputs_to_points(
    y: Any, m: Any, tmp: Any, first: int, last: int, begin: int, end: int, rows: int, cols: int
) -> None:
    """m[point, tile, channel] = A y Aᵀ of 4×4 pixels, of the channels ``begin`` … ``end`` − 1."""
    _, height, width, channels = y.shape
    like, item = y.dtype.type(0), y.itemsize
    zero, pixel, line = spread(0, like), channels * item, width * channels * item
    kept, part = tmp.ctypes.data, (end - begin) * item
    step = (last - first) * part
    for tile in range(first, last):
        image, place = divmod(tile, rows * cols)
        h, w = (place // cols) * OUT, (place % cols) * OUT
        corner = y.ctypes.data + ((image * height + h) * width + w) * pixel + begin * item
        target = m.ctypes.data + (tile - first) * part
        in1, in2, in3 = h + 1 < height, h + 2 < height, h + 3 < height
        for c in range(0, part, 64):
            for s in range(OUT):
                at = corner + s * pixel + c
                if w + s < width:
                    points = _points_of_outputs(
                        load(at, like),
                        load(at + line, like) if in1 else zero,
                        load(at + 2 * line, like) if in2 else zero,
                        load(at + 3 * line, like) if in3 else zero,
                    )
                    _put(kept + s * 64, 256, points)
                else:
                    _put(kept + s * 64, 256, (zero, zero, zero, zero, zero, zero))
            for r in range(TILE):
                at = kept + r * 256
                points = _points_of_outputs(
                    load(at, like), load(at + 64, like), load(at + 128, like), load(at + 192, like)
                )
                _put(target + r * TILE * step + c, step, points)


@inlined
def points_to_outputs(
    m: Any, bias: Any, y: Any, tmp: Any, first: int, last: int, begin: int, end: int, rows: int, cols: int
) -> None:
    """y = Aᵀ m A + bias, the channels ``begin`` … ``end`` − 1 of 4×4 pixels, less where the image ends."""
    _, height, width, channels = y.shape
    like, item = y.dtype.type(0), y.itemsize
    pixel, line = channels * item, width * channels * item
    kept, part = tmp.ctypes.data, (end - begin) * item
    step = (last - first) * part
    for tile in range(first, last):
        image, place = divmod(tile, rows * cols)
        h, w = (place // cols) * OUT, (place % cols) * OUT
        corner = y.ctypes.data + ((image * height + h) * width + w) * pixel + begin * item
        source = m.ctypes.data + (tile - first) * part
        for c in range(0, part, 64):
            offset = load(bias.ctypes.data + begin * item + c, like)
            for s in range(TILE):
                at = source + s * step + c
                row = TILE * step
                outputs = _outputs_of_points(
                    load(at, like), load(at + row, like), load(at + 2 * row, like),
                    load(at + 3 * row, like), load(at + 4 * row, like), load(at + 5 * row, like),
                )  # fmt: skip
                store(kept + s * 64, outputs[0])
                store(kept + s * 64 + 384, outputs[1])
                store(kept + s * 64 + 768, outputs[2])
                store(kept + s * 64 + 1152, outputs[3])
            for r in range(min(OUT, height - h)):
                at, to = kept + r * 384, corner + r * line + c
                outputs = _outputs_of_points(
                    load(at, like), load(at + 64, like), load(at + 128, like),
                    load(at + 192, like), load(at + 256, like), load(at + 320, like),
                )  # fmt: skip
                store(to, outputs[0] + offset)
                if w + 1 < width:
                    store(to + pixel, outputs[1] + offset)
                if w + 2 < width:
                    store(to + 2 * pixel, outputs[2] + offset)
                if w + 3 < width:
                    store(to + 3 * pixel, outputs[3] + offset)


# --- filters ----------------------------------------------------------------------------------------------------------


@compiled
def filters_to_points(w: Any, u: Any, tmp: Any, begin: int, end: int, turned: bool) -> None:
    """u[point, a, b] = G w Gᵀ for b in ``begin`` … ``end`` − 1, w being K C 3 3.

    a counts C and b counts K; with ``turned`` the filters are turned by 180°, a counts K and b counts C.
    """
    outs, ins = w.shape[:2]
    like, item = w.dtype.type(0), w.itemsize
    far, near = ins * 9 * item, 9 * item  # from filter to filter, from channel to channel
    (rows, down, along) = (outs, far, near) if turned else (ins, near, far)
    kept, tap = tmp.ctypes.data, -item if turned else item
    wide = u.shape[2] * item
    step = rows * wide
    for b in range(begin, end, 64 // item):
        for a in range(rows):
            corner = w.ctypes.data + a * down + b * along + (8 * item if turned else 0)
            target = u.ctypes.data + a * wide + b * item
            for s in range(3):
                at = corner + s * tap
                points = _points_of_filter(
                    gather(at, along, like), gather(at + 3 * tap, along, like), gather(at + 6 * tap, along, like)
                )
                _put(kept + s * 64, 192, points)
            for r in range(TILE):
                at = kept + r * 192
                points = _points_of_filter(load(at, like), load(at + 64, like), load(at + 128, like))
                _put(target + r * TILE * step, step, points)


@compiled
def points_to_filters(u: Any, w: Any, tmp: Any, begin: int, end: int) -> None:
    """w = Gᵀ u G for the filters ``begin`` … ``end`` − 1, u being point C K."""
    outs, ins = w.shape[:2]
    like, item = w.dtype.type(0), w.itemsize
    far, kept, row = ins * 9 * item, tmp.ctypes.data, outs * item
    step = ins * row
    for k in range(begin, end, 64 // item):
        for c in range(ins):
            source = u.ctypes.data + c * row + k * item
            target = w.ctypes.data + k * far + c * 9 * item
            for s in range(TILE):
                at, down = source + s * step, TILE * step
                taps = _filter_of_points(
                    load(at, like), load(at + down, like), load(at + 2 * down, like),
                    load(at + 3 * down, like), load(at + 4 * down, like), load(at + 5 * down, like),
                )  # fmt: skip
                store(kept + s * 64, taps[0])
                store(kept + s * 64 + 384, taps[1])
                store(kept + s * 64 + 768, taps[2])
            for r in range(3):
                at = kept + r * 384
                taps = _filter_of_points(
                    load(at, like), load(at + 64, like), load(at + 128, like),
                    load(at + 192, like), load(at + 256, like), load(at + 320, like),
                )  # fmt: skip
                scatter(target + 3 * r * item, far, taps[0])
                scatter(target + (3 * r + 1) * item, far, taps[1])
                scatter(target + (3 * r + 2) * item, far, taps[2])
