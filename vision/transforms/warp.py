"""Batches of images under affine maps, sampled bilinearly."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 14  # pixels worked on at a time, so that the intermediates stay in the cache


def warp(
    images: NDArray[Any],
    matrices: NDArray[Any],
    shifts: NDArray[Any],
    fill: float | None = 0.0,
    size: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Images under affine maps: `out(p) = images(A⁻¹ (p − d − t) + c)`, bilinear, c and d the centres before and after.

    Outside lies `fill`; without it, the nearest pixel of the edge.

    Shapes: `N C H W`, matrices A `N 2 2`, shifts t `N 2` (pixels, x first) → `N C size`, or `N C H W`, same dtype.
    """
    n, channels, *before = images.shape
    out = np.empty((n, channels, *(size or before)), images.dtype)
    c, d = (np.array([(width - 1) / 2, (height - 1) / 2]) for *_, height, width in (images.shape, out.shape))
    inverse = np.linalg.inv(matrices)
    offset = c - np.einsum("nij,nj->ni", inverse, d + shifts)
    step = max(1, _CHUNK // max(1, out.shape[2] * out.shape[3]))
    for start in range(0, n, step):
        part = slice(start, start + step)
        _warp(images[part], inverse[part].astype(np.float32), offset[part].astype(np.float32), fill, out[part])
    return out


def _warp(
    images: NDArray[Any], inverse: NDArray[Any], offset: NDArray[Any], fill: float | None, out: NDArray[Any]
) -> None:
    n, channels, height, width = images.shape
    # One pixel of fill before, two after: clipped coordinates always have four neighbours, and no mask is needed.
    stride, rows = width + 3, height + 3
    framed = np.full((channels, n, rows, stride), fill or 0, np.float32)
    framed[:, :, 1:-2, 1:-2] = images.swapaxes(0, 1)
    if fill is None:
        framed[:, :, [0, -2, -1]] = framed[:, :, [1, -3, -3]]
        framed[..., [0, -2, -1]] = framed[..., [1, -3, -3]]

    columns, lines = (np.arange(length, dtype=np.float32) for length in (out.shape[3], out.shape[2]))
    a = inverse[:, :, :, None, None]
    x = a[:, 0, 0] * columns + (a[:, 0, 1] * lines[:, None] + (offset[:, 0, None, None] + 1))
    y = a[:, 1, 0] * columns + (a[:, 1, 1] * lines[:, None] + (offset[:, 1, None, None] + 1))
    np.clip(x, 0, width + 1, out=x)
    np.clip(y, 0, height + 1, out=y)
    left, top = x.astype(np.intp), y.astype(np.intp)
    x -= left
    y -= top
    top *= stride
    top += left
    top += (np.arange(n) * (rows * stride))[:, None, None]
    for channel in range(channels):
        pixels = framed[channel].reshape(-1)
        upper = _between(pixels, top, x)
        lower = _between(pixels[stride:], top, x)
        lower -= upper
        lower *= y
        lower += upper
        out[:, channel] = np.rint(lower) if out.dtype.kind in "iu" else lower


def _between(pixels: NDArray[Any], index: NDArray[Any], fraction: NDArray[Any]) -> NDArray[Any]:
    """`pixels[index]` and its right neighbour, mixed: `p + fraction · (q − p)`."""
    p = pixels.take(index)
    q = pixels[1:].take(index)
    q -= p
    q *= fraction
    q += p
    return q
