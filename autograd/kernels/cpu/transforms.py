"""The transforms of ``winograd``: to the points 0, ±a, ±b, ∞ and back, in vectors of channels.

A row of taps or of outputs is taken for the coefficients of a polynomial: ``evaluate`` gives its values at the points,
``gather_back`` is the transpose of that, and ``from_tile`` makes of 6 pixels what the filter's values are multiplied
with. In two dimensions a transform runs over the columns of a tile, and then over the rows of what that gave.

``outs`` and ``taps`` are tuples: their lengths, 7 together, say how many outputs and taps a row has, and are constants
to the compiler, which leaves out what is added for longer rows. Addresses and steps are in bytes; ``tmp`` is work space
for 36 vectors. What is computed for the points lies in arrays of one row for each (``apart``).
"""

from __future__ import annotations

from typing import Any

from .compile import inlined
from .simd import gather, load, scatter, spread, store
from .tail import positive

TILE, POINTS = 6, 36  # pixels of a tile along an axis, points in two dimensions
BLOCK = 8  # rows of filters at a time, so that reading and writing both meet neighbours
ROW = TILE * 64  # bytes from row to row of the work space
A, B = 0.5**0.5, 2**0.5  # the points a and b; that ab = 1 keeps the numbers of all three transforms near 1
PAGE = 4096  # bytes after which addresses share a place in the nearest cache


def apart(numbers: int, item: int) -> int:
    """Return how long rows of so many numbers are made: such that 36 neighbouring rows lie at places of their own."""
    return (-(-numbers * item // PAGE) * PAGE + 64) // item


# --- in one dimension -------------------------------------------------------------------------------------------------


@inlined
def evaluate(c: Any, count: int) -> Any:
    """The values of c₀ + c₁ p + c₂ p² + … at the points, at ∞ the last of ``count`` coefficients."""
    last = c[1] if count == 2 else c[2] if count == 3 else c[3] if count == 4 else c[4]
    even_a, odd_a = c[0] + 0.5 * c[2] + 0.25 * c[4], A * (c[1] + 0.5 * c[3])
    even_b, odd_b = c[0] + 2 * c[2] + 4 * c[4], B * (c[1] + 2 * c[3])
    return c[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, last


@inlined
def gather_back(v: Any, count: int, like: Any) -> Any:
    """The transpose: the sums Σ pᵏ v over the points for k = 0 … 4, to number ``count`` − 1 the value at ∞ added."""
    sa, da, sb, db, zero = v[1] + v[2], A * (v[1] - v[2]), v[3] + v[4], B * (v[3] - v[4]), spread(0, like)
    return (
        v[0] + sa + sb,
        da + db + (v[5] if count == 2 else zero),
        0.5 * sa + 2 * sb + (v[5] if count == 3 else zero),
        0.5 * da + 2 * db + (v[5] if count == 4 else zero),
        0.25 * sa + 4 * sb + (v[5] if count == 5 else zero),
    )


@inlined
def divided(v: Any) -> Any:
    """The values at the points divided by Π (p − q) over the other points q: Lagrange's denominators."""
    return v[0], v[1] * (-2 / 3), v[2] * (-2 / 3), v[3] * (1 / 6), v[4] * (1 / 6), v[5]


@inlined
def from_tile(x: Any) -> Any:
    """Bᵀ x, the transpose of interpolation, for 6 pixels."""
    even_a, odd_a, even_b, odd_b = x[4] - 2 * x[2], A * (x[3] - 2 * x[1]), x[4] - 0.5 * x[2], B * (x[3] - 0.5 * x[1])
    at_0, at_infinity = x[0] - 2.5 * x[2] + x[4], x[1] - 2.5 * x[3] + x[5]
    return at_0, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, at_infinity


@inlined
def _times(v: Any, factor: Any) -> Any:
    return v[0] * factor, v[1] * factor, v[2] * factor, v[3] * factor, v[4] * factor


@inlined
def _plus(v: Any, u: Any) -> Any:
    return v[0] + u[0], v[1] + u[1], v[2] + u[2], v[3] + u[3], v[4] + u[4]


@inlined
def _positive(v: Any, like: Any) -> Any:
    return positive(v[0], like), positive(v[1], like), positive(v[2], like), positive(v[3], like), positive(v[4], like)


# --- rows and columns of vectors --------------------------------------------------------------------------------------


@inlined
def _read(at: int, step: int, like: Any, low: int, high: int) -> Any:
    """Six vectors ``step`` bytes apart; zero before number ``low`` and from number ``high`` on."""
    zero = spread(0, like)
    return (
        load(at, like) if low <= 0 < high else zero,
        load(at + step, like) if low <= 1 < high else zero,
        load(at + 2 * step, like) if low <= 2 < high else zero,
        load(at + 3 * step, like) if low <= 3 < high else zero,
        load(at + 4 * step, like) if low <= 4 < high else zero,
        load(at + 5 * step, like) if low <= 5 < high else zero,
    )


@inlined
def _write(at: int, step: int, v: Any, high: int) -> None:
    """Store the first ``high`` of some vectors ``step`` bytes apart."""
    store(at, v[0])
    if high > 1:
        store(at + step, v[1])
    if high > 2:
        store(at + 2 * step, v[2])
    if high > 3:
        store(at + 3 * step, v[3])
    if high > 4:
        store(at + 4 * step, v[4])


@inlined
def _write_points(at: int, step: int, v: Any) -> None:
    _write(at, step, v, 5)
    store(at + 5 * step, v[5])


@inlined
def _taps(at: int, step: int, apart: int, like: Any, count: int) -> Any:
    """``count`` vectors ``step`` bytes apart, whose numbers lie ``apart`` bytes apart; then zeros."""
    zero = spread(0, like)
    return (
        gather(at, apart, like),
        gather(at + step, apart, like),
        gather(at + 2 * step, apart, like),
        gather(at + 3 * step, apart, like) if count > 3 else zero,
        gather(at + 4 * step, apart, like) if count > 4 else zero,
    )


# --- in two dimensions, for all channels of some tiles ----------------------------------------------------------------
#
# Tiles are numbered along the rows of an image, image after image; ``rows`` × ``cols`` of them lie on each.


@inlined
def tiles_to_points(
    x: Any, v: Any, tmp: Any, outs: Any, first: int, last: int, rows: int, cols: int, top: int, left: int
) -> None:
    """v[point, tile, channel] = Bᵀ x B of 6×6 pixels; the first tile begins ``top`` and ``left`` beyond the edge."""
    _, height, width, channels = x.shape
    like, item = x.dtype.type(0), x.itemsize
    zero, pixel, line = spread(0, like), channels * item, width * channels * item
    kept, step = tmp.ctypes.data, v.shape[1] * item
    for tile in range(first, last):
        image, place = divmod(tile, rows * cols)
        h, w = (place // cols) * len(outs) - top, (place % cols) * len(outs) - left
        corner = x.ctypes.data + ((image * height + h) * width + w) * pixel
        target = v.ctypes.data + (tile - first) * pixel
        for c in range(0, pixel, 64):
            for s in range(TILE):
                if 0 <= w + s < width:
                    column = _read(corner + s * pixel + c, line, like, -h, height - h)
                    _write_points(kept + s * 64, ROW, from_tile(column))
                else:
                    _write_points(kept + s * 64, ROW, (zero, zero, zero, zero, zero, zero))
            for r in range(TILE):
                row = _read(kept + r * ROW, 64, like, 0, TILE)
                _write_points(target + r * TILE * step + c, step, from_tile(row))


@inlined
def outputs_to_points(
    y: Any, m: Any, tmp: Any, outs: Any, first: int, last: int, begin: int, end: int, rows: int, cols: int
) -> None:
    """m[point, tile, channel] = A y Aᵀ of the outputs of a tile, of the channels ``begin`` … ``end`` − 1."""
    _, height, width, channels = y.shape
    like, item, count = y.dtype.type(0), y.itemsize, len(outs)
    zero, pixel, line = spread(0, like), channels * item, width * channels * item
    kept, part = tmp.ctypes.data, (end - begin) * item
    step = m.shape[1] * item
    for tile in range(first, last):
        image, place = divmod(tile, rows * cols)
        h, w = (place // cols) * count, (place % cols) * count
        corner = y.ctypes.data + ((image * height + h) * width + w) * pixel + begin * item
        target = m.ctypes.data + (tile - first) * part
        for c in range(0, part, 64):
            for s in range(count):
                if w + s < width:
                    column = _read(corner + s * pixel + c, line, like, 0, min(count, height - h))
                    _write_points(kept + s * 64, ROW, evaluate(column, count))
                else:
                    _write_points(kept + s * 64, ROW, (zero, zero, zero, zero, zero, zero))
            for r in range(TILE):
                row = _read(kept + r * ROW, 64, like, 0, count)
                _write_points(target + r * TILE * step + c, step, evaluate(row, count))


@inlined
def points_to_outputs(
    m: Any, tail: Any, y: Any, tmp: Any, outs: Any, first: int, last: int, begin: int, end: int, rows: int, cols: int
) -> None:
    """y = Aᵀ m A and its tail, of the channels ``begin`` … ``end`` − 1; less of a tile where the image ends."""
    terms, residual, added, rectified = tail
    _, height, width, channels = y.shape
    like, item, count = y.dtype.type(0), y.itemsize, len(outs)
    pixel, line = channels * item, width * channels * item
    kept, part = tmp.ctypes.data, (end - begin) * item
    step = m.shape[1] * item
    for tile in range(first, last):
        image, place = divmod(tile, rows * cols)
        h, w = (place // cols) * count, (place % cols) * count
        corner = ((image * height + h) * width + w) * pixel + begin * item
        source, wide = m.ctypes.data + (tile - first) * part, min(count, width - w)
        for c in range(0, part, 64):
            scale = load(terms[0].ctypes.data + begin * item + c, like)
            shift = load(terms[1].ctypes.data + begin * item + c, like)
            for s in range(TILE):
                column = _read(source + s * step + c, TILE * step, like, 0, TILE)
                _write(kept + s * 64, ROW, gather_back(column, count, like), count)
            for r in range(min(count, height - h)):
                o = gather_back(_read(kept + r * ROW, 64, like, 0, TILE), count, like)
                o = _plus(_times(o, scale), (shift, shift, shift, shift, shift))
                if added:
                    o = _plus(o, _read(residual.ctypes.data + corner + r * line + c, pixel, like, 0, wide))
                if rectified:
                    o = _positive(o, like)
                _write(y.ctypes.data + corner + r * line + c, pixel, o, wide)


# --- filters ----------------------------------------------------------------------------------------------------------
#
# The 36 rows of u from row ``at`` on hold the channels ``first`` … ``last`` − 1, which are summed over, by ``begin`` …
# ``end`` − 1, those of the result: a line of ``wide`` bytes for each of the former.


@inlined
def filters_to_points(
    w: Any, u: Any, at: int, wide: int, tmp: Any, taps: Any, turned: bool, first: int, last: int, begin: int, end: int
) -> None:
    """u[at + point, a, b] = G w Gᵀ, w being K C R S, a of C and b of K.

    With ``turned`` the filters are turned by 180°, and a is of K and b of C.
    """
    like, item, count = w.dtype.type(0), w.itemsize, len(taps)
    near = count * count * item  # from channel to channel
    far = w.shape[1] * near
    (down, along) = (far, near) if turned else (near, far)
    start, tap = (near - item, -item) if turned else (0, item)
    kept, step = tmp.ctypes.data, u.shape[1] * item
    for near_a in range(first, last, BLOCK):
        for b in range(begin, end, 64 // item):
            for a in range(near_a, min(near_a + BLOCK, last)):
                corner = w.ctypes.data + a * down + b * along + start
                target = u.ctypes.data + at * step + (a - first) * wide + (b - begin) * item
                for s in range(count):
                    column = _taps(corner + s * tap, count * tap, along, like, count)
                    _write_points(kept + s * 64, ROW, divided(evaluate(column, count)))
                for r in range(TILE):
                    row = _read(kept + r * ROW, 64, like, 0, count)
                    _write_points(target + r * TILE * step, step, divided(evaluate(row, count)))


@inlined
def points_to_filters(
    u: Any, w: Any, at: int, wide: int, tmp: Any, taps: Any, first: int, last: int, begin: int, end: int
) -> None:
    """w = Gᵀ u[at + point, c, k] G, w being K C R S."""
    like, item, count = w.dtype.type(0), w.itemsize, len(taps)
    near, kept, step = count * count * item, tmp.ctypes.data, u.shape[1] * item
    far = w.shape[1] * near
    for near_c in range(first, last, BLOCK):
        for k in range(begin, end, 64 // item):
            for c in range(near_c, min(near_c + BLOCK, last)):
                source = u.ctypes.data + at * step + (c - first) * wide + (k - begin) * item
                target = w.ctypes.data + k * far + c * near
                for s in range(TILE):
                    column = _read(source + s * step, TILE * step, like, 0, TILE)
                    _write(kept + s * 64, ROW, gather_back(divided(column), count, like), count)
                for r in range(count):
                    t = gather_back(divided(_read(kept + r * ROW, 64, like, 0, TILE)), count, like)
                    to = target + r * count * item
                    scatter(to, far, t[0])
                    scatter(to + item, far, t[1])
                    scatter(to + 2 * item, far, t[2])
                    if count > 3:
                        scatter(to + 3 * item, far, t[3])
                    if count > 4:
                        scatter(to + 4 * item, far, t[4])
