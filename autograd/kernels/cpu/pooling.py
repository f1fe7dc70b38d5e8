"""Max and mean pooling, channels last: whatever reads windows reads lists of pixels, channels side by side.

For each pixel of the result, forward or backward, there is a list of the pixels that it comes from. So gradients are
gathered too: a number is written once, by one thread, in one order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..reference.pool import bins, pool_counts
from ..reference.windows import Ints, taps
from ..registry import Spec
from . import threads
from .compile import compiled, inlined
from .layout import channels_first, channels_last
from .masks import at_least, choose, fetch, full, not_less, read, read_bytes, same, write, write_bytes
from .simd import spread

PART = 1 << 15  # vectors to read that are worth a thread's while
MANY = 1 << 22  # entries of lists that are too long to be kept
AHEAD = 1024  # bytes: how far ahead of its use memory is asked for

Reads = Sequence[tuple[int, int, float]]  # along an axis: place of the result, pixel that it reads, a number
Lists = tuple[np.ndarray, np.ndarray, np.ndarray]  # where each pixel's list begins; the pixels read; their numbers


def _lists(size: Ints, from_size: Ints, reads: Sequence[Reads], join: np.ufunc, dtype: Any) -> Lists | None:
    """The lists of all pixels of a result, in row-major order; an entry's number joins its row's and its column's."""
    rows, columns = (np.array(sorted(axis), np.float64).reshape(-1, 3).T for axis in reads)
    if rows.shape[1] * columns.shape[1] > MANY:
        return None
    place = np.add.outer(rows[0] * size[1], columns[0]).ravel()
    order = np.argsort(place, kind="stable")
    start = np.add.outer(rows[1] * from_size[1], columns[1]).ravel()[order]
    number = join.outer(rows[2], columns[2]).ravel()[order]
    begin = np.searchsorted(place[order], np.arange(size[0] * size[1] + 1))
    return begin.astype(np.int64), start.astype(np.int64), number.astype(dtype)


def _are_single(lists: Lists) -> bool:
    """Whether every list has one entry."""
    return bool((np.diff(lists[0]) == 1).all())


# --- compiled: images are N × pixels × channels -----------------------------------------------------------------------


@compiled
def _maxima(x: Any, out: Any, place: Any, begin: Any, start: Any, number: Any, first: int, last: int) -> None:
    """Windows ``first`` …: their maxima, and the numbers of the taps that met them, the last of equal ones."""
    like, size, (pixels, channels) = x[0, 0, 0], x.itemsize, out.shape[1:]
    for n in range(first // pixels, -(-last // pixels)):
        image = x[n].ctypes.data
        for entry in range(max(0, first - n * pixels), min(pixels, last - n * pixels)):
            pixel = n * pixels + entry
            for c in range(0, channels, 64 // size):
                mask, best, winner = full(channels - c, like), spread(-np.inf, like), spread(0, like)
                for t in range(begin[entry], begin[entry + 1]):
                    at = image + (start[t] * channels + c) * size
                    fetch(at + AHEAD)
                    element = read(at, mask, like)
                    winner = choose(at_least(element, best), spread(number[t], like), winner)
                    best = choose(same(best, best), choose(not_less(element, best), element, best), best)  # NaN stays
                write(out.ctypes.data + (pixel * channels + c) * size, best, mask)
                write_bytes(place.ctypes.data + pixel * channels + c, winner, mask)


@compiled
def _pick(x: Any, place: Any, out: Any, begin: Any, start: Any, number: Any, first: int, last: int) -> None:
    """Windows ``first`` …: the elements of x at their places."""
    like, size, (pixels, channels) = x[0, 0, 0], x.itemsize, out.shape[1:]
    for n in range(first // pixels, -(-last // pixels)):
        image = x[n].ctypes.data
        for entry in range(max(0, first - n * pixels), min(pixels, last - n * pixels)):
            pixel = n * pixels + entry
            for c in range(0, channels, 64 // size):
                mask, found = full(channels - c, like), spread(0, like)
                winner = read_bytes(place.ctypes.data + pixel * channels + c, mask, like)
                for t in range(begin[entry], begin[entry + 1]):
                    element = read(image + (start[t] * channels + c) * size, mask, like)
                    found = choose(same(winner, spread(number[t], like)), element, found)
                write(out.ctypes.data + (pixel * channels + c) * size, found, mask)


@inlined
def _won(y: int, place: int, number: Any, mask: Any, like: Any) -> Any:
    """y where its window found the number, elsewhere 0."""
    fetch(y + AHEAD)
    won = same(read_bytes(place, mask, like), spread(number, like))
    return choose(won, read(y, mask, like), spread(0, like))


@compiled
def _spread(
    y: Any, place: Any, x: Any, begin: Any, start: Any, number: Any, alone: bool, first: int, last: int
) -> None:  # fmt: skip
    """Pixels ``first`` … of x: the sums of the y of the windows that have their place there; ``alone``: of one each."""
    like, size, (pixels, channels) = x[0, 0, 0], x.itemsize, x.shape[1:]
    step, lanes = channels * size, 64 // size
    for n in range(first // pixels, -(-last // pixels)):
        image, places = y[n].ctypes.data, place[n].ctypes.data
        for entry in range(max(0, first - n * pixels), min(pixels, last - n * pixels)):
            to = x.ctypes.data + (n * pixels + entry) * step
            if alone:
                at = start[entry]
                for c in range(0, channels, lanes):
                    mask = full(channels - c, like)
                    fetch(to + c * size + AHEAD)
                    value = _won(image + at * step + c * size, places + at * channels + c, number[entry], mask, like)
                    write(to + c * size, value, mask)
            else:
                for c in range(0, channels, lanes):
                    mask, total = full(channels - c, like), spread(0, like)
                    fetch(to + c * size + AHEAD)
                    for t in range(begin[entry], begin[entry + 1]):
                        at = start[t] * channels + c
                        total = total + _won(image + at * size, places + at, number[t], mask, like)
                    write(to + c * size, total, mask)


@compiled
def _sums(x: Any, out: Any, begin: Any, start: Any, number: Any, alone: bool, first: int, last: int) -> None:
    """Pixels ``first`` … of the result: Σ number·x over each list; ``alone``: each list is one pixel."""
    like, size, (pixels, channels) = x[0, 0, 0], x.itemsize, out.shape[1:]
    step, lanes, few = channels * size, 64 // size, full(channels, like)
    for n in range(first // pixels, -(-last // pixels)):
        image = x[n].ctypes.data
        for entry in range(max(0, first - n * pixels), min(pixels, last - n * pixels)):
            to = out.ctypes.data + (n * pixels + entry) * step
            if alone and channels <= lanes:  # loops of one turn would take most of the time
                write(to, read(image + start[entry] * step, few, like) * number[entry], few)
            elif alone:
                for c in range(0, channels, lanes):
                    mask, at = full(channels - c, like), image + start[entry] * step + c * size
                    fetch(to + c * size + AHEAD)
                    fetch(at + AHEAD)
                    write(to + c * size, read(at, mask, like) * number[entry], mask)
            else:
                for c in range(0, channels, lanes):
                    mask, total = full(channels - c, like), spread(0, like)
                    fetch(to + c * size + AHEAD)
                    for t in range(begin[entry], begin[entry + 1]):
                        at = image + start[t] * step + c * size
                        fetch(at + AHEAD)
                        total = total + read(at, mask, like) * number[t]
                    write(to + c * size, total, mask)


def _run(kernel: Callable[..., None], result: np.ndarray, images: Sequence[np.ndarray], *lists: Any) -> None:
    """Run a kernel on all pixels of all images of ``result``, cut among the threads; images lose their second axis."""
    args = [*[x.reshape(len(x), -1, x.shape[3]) for x in images], *lists]
    channels, pixels = result.shape[3], result.size // result.shape[3]
    vectors = len(result) * len(lists[1]) * -(-channels * result.itemsize // 64)
    threads.over(pixels, vectors // PART, lambda *cut: kernel(*args, *cut))


def _shape(spec: Spec, number: int = 0) -> Ints:
    shape = spec.shapes[number]
    assert shape is not None
    return shape


def _served(spec: Spec) -> bool:
    places = spec.dtypes[1:]
    return spec.dtypes[0] in (np.float32, np.float64) and all(d == np.uint8 for d in places)


# --- maxima -----------------------------------------------------------------------------------------------------------


def _taps(size: Ints, windows: Ints, params: dict[str, Any]) -> tuple[list[Reads], int]:
    """Along every axis the pixels that windows read, with what adds up to the reference's number of a tap; how many."""
    reads: list[Reads] = []
    options = (params[n] for n in ("kernel_size", "stride", "padding", "dilation"))
    numbers = 1
    for n, m, width, step, pads, apart in reversed(list(zip(size, windows, *options, strict=True))):
        met = taps((n,), (width,), (m,), (step,), (pads,), (apart,))
        starts = [tap.offset[0] * apart - pads[0] for tap in met]
        axis = [(p, p * step + s, i * numbers) for i, s in enumerate(starts) for p in range(m)]
        reads.insert(0, [entry for entry in axis if 0 <= entry[1] < n])
        numbers *= len(met)
    return reads, numbers


def _reversed(reads: list[Reads]) -> list[Reads]:
    """The same entries, from what is read to who reads it."""
    return [[(pixel, place, number) for place, pixel, number in axis] for axis in reads]


def _plan_max(spec: Spec) -> Callable[..., Any] | None:
    (n, c, *size), dtype = _shape(spec), spec.dtypes[0]
    windows = pool_counts(tuple(size), *spec.params.values())
    reads, numbers = _taps(tuple(size), windows, spec.params)
    lists = _lists(windows, tuple(size), reads, np.add, dtype)
    if lists is None or numbers > 256 or not _served(spec):
        return None

    def max_pool(x: np.ndarray, *params: Any) -> tuple[np.ndarray, np.ndarray]:
        out = np.empty((n, *windows, c), dtype)
        place = np.empty(out.shape, np.uint8)
        _run(_maxima, out, (channels_last(x), out, place), *lists)
        return channels_first(out), channels_first(place)

    return max_pool


def _plan_max_at(spec: Spec) -> Callable[..., Any] | None:
    size, windows = _shape(spec)[2:], _shape(spec, 1)[2:]
    lists = _lists(windows, size, _taps(size, windows, spec.params)[0], np.add, spec.dtypes[0])
    if lists is None or not _served(spec):
        return None

    def max_pool_at(x: np.ndarray, place: np.ndarray, *params: Any) -> np.ndarray:
        places = channels_last(place)
        out = np.empty(places.shape, x.dtype)
        _run(_pick, out, (channels_last(x), places, out), *lists)
        return channels_first(out)

    return max_pool_at


def _plan_max_dx(spec: Spec) -> Callable[..., Any] | None:
    (n, c, *windows), size = _shape(spec), spec.params["size"]
    reads = _reversed(_taps(size, tuple(windows), spec.params)[0])
    lists = _lists(size, tuple(windows), reads, np.add, spec.dtypes[0])
    if lists is None or not _served(spec):
        return None
    alone = _are_single(lists)

    def max_pool_dx(y: np.ndarray, place: np.ndarray, *params: Any) -> np.ndarray:
        x = np.empty((n, *size, c), y.dtype)
        _run(_spread, x, (channels_last(y), channels_last(place), x), *lists, alone)
        return channels_first(x)

    return max_pool_dx


# --- means ------------------------------------------------------------------------------------------------------------

Windows = list[tuple[int, int, int]]  # along an axis: where each begins and ends, and how many elements it counts


def _regular(size: Ints, params: dict[str, Any]) -> list[Windows]:
    """The windows of ``avg_pool2d``."""
    width, stride, padding = params["kernel_size"], params["stride"], params["padding"]
    counts = pool_counts(size, width, stride, padding, (1, 1), params["ceil_mode"])
    axes = []
    for n, m, places, step, (before, after) in zip(size, counts, width, stride, padding, strict=True):
        begins = [p * step - before for p in range(m)]
        ends = [min(b + places, n + after) for b in begins]
        inside = [(max(b, 0), min(e, n)) for b, e in zip(begins, ends, strict=True)]
        whole = zip(begins, ends, strict=True) if params["count_include_pad"] else inside
        axes.append([(*i, e - b) for i, (b, e) in zip(inside, whole, strict=True)])
    return axes


def _adaptive(size: Ints, windows: Ints) -> list[Windows]:
    """The windows of ``adaptive_avg_pool2d``."""
    return [[(b.start, b.stop, b.stop - b.start) for b in bins(n, m)] for n, m in zip(size, windows, strict=True)]


def _plan_mean(spec: Spec, windows: list[Windows]) -> Callable[..., Any] | None:
    reads = [[(p, i, 1 / count) for p, (b, e, count) in enumerate(axis) for i in range(b, e)] for axis in windows]
    return _plan_sums(spec, reads, (len(windows[0]), len(windows[1])))


def _plan_mean_dx(spec: Spec, windows: list[Windows]) -> Callable[..., Any] | None:
    if tuple(map(len, windows)) != _shape(spec)[2:]:
        return None  # the reference says what is wrong
    reads = [[(i, p, 1 / count) for p, (b, e, count) in enumerate(axis) for i in range(b, e)] for axis in windows]
    return _plan_sums(spec, reads, spec.params["size"])


def _plan_sums(spec: Spec, reads: Sequence[Reads], to: Ints) -> Callable[..., Any] | None:
    (n, c, *size), dtype = _shape(spec), spec.dtypes[0]
    lists = _lists(to, tuple(size), reads, np.multiply, dtype)
    if lists is None or not _served(spec):
        return None
    alone = _are_single(lists)

    def sums(x: np.ndarray, *params: Any) -> np.ndarray:
        out = np.empty((n, *to, c), dtype)
        _run(_sums, out, (channels_last(x), out), *lists, alone)
        return channels_first(out)

    return sums


plans: dict[str, Callable[[Spec], Callable[..., Any] | None]] = {
    "max_pool2d": _plan_max,
    "max_pool2d_at": _plan_max_at,
    "max_pool2d_dx": _plan_max_dx,
    "avg_pool2d": lambda spec: _plan_mean(spec, _regular(_shape(spec)[2:], spec.params)),
    "avg_pool2d_dx": lambda spec: _plan_mean_dx(spec, _regular(spec.params["size"], spec.params)),
    "adaptive_avg_pool2d": lambda spec: _plan_mean(spec, _adaptive(_shape(spec)[2:], spec.params["output_size"])),
    "adaptive_avg_pool2d_dx": lambda spec: _plan_mean_dx(spec, _adaptive(spec.params["size"], _shape(spec)[2:])),
}
