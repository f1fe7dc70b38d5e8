"""Figures without the state that `pyplot` keeps, and arrays as pictures. The only file here that draws by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.errors import AutogradError, ShapeError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, ACCENT = "#1b1b1b", "#0072b2"  # the second is told apart by colour-blind readers too, and in print
DARK = 0.15  # how bright black is, and what is left of a picture where no light falls
CLIPPED = 0.5  # per cent of the values at either end


def grid(rows: int = 1, columns: int = 1, width: float = 4.0, height: float = 4.0) -> tuple[Figure, Any]:
    """An empty figure, in inches, and its axes `rows columns`, without the state that `pyplot` keeps.

    Raises `AutogradError` when matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise AutogradError("see: matplotlib is not installed → pip install 'unfoldgrad[vision]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def picture(values: np.ndarray, centred: bool = False) -> np.ndarray:
    """Values `C H W` as a picture from 0 to 1: `H W 3` of three channels, else `H W`, the mean of the channels.

    The range of the values becomes 0 to 1; `centred`: 0 becomes ½, and the scale is the same on both sides. The
    outermost ½ % are clipped, so that single bright pixels leave the others visible, but no value below a tenth of the
    largest, so that noise stays small.

    Raises `ShapeError` when the values have not three axes.

    >>> picture(np.array([[[-1.0, 0.0, 3.0]]]), centred=True).round(2)
    array([[0.33, 0.5 , 1.  ]])
    """
    values = np.asarray(values, float)
    if values.ndim != 3:
        raise ShapeError(f"picture: values have shape {values.shape}, expected C H W → values[None] of a map")
    sized = np.abs(values) if centred else values
    least, peak = (sized.min(), sized.max()) if sized.size else (0, 0)
    low, high = np.percentile(sized, (CLIPPED, 100 - CLIPPED), method="nearest") if sized.size else (0, 0)
    high = max(high, least + (peak - least) / 10)
    low = -high if centred else low
    scaled = (
        np.clip((values - low) / (high - low), 0, 1) if high > low else np.full(values.shape, 0.5 if centred else 0)
    )
    return scaled.transpose(1, 2, 0) if len(values) == 3 else scaled.mean(0)


def panels(shown: Sequence[tuple[str, np.ndarray]], columns: int = 8, size: float = 2.6, title: str = "") -> Figure:
    """Pictures `H W` or `H W 3`, from 0 to 1, with a title above each, in rows of `columns`; `size` in inches."""
    columns = min(columns, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure, axes = grid(rows, columns, size * columns, (size + 0.3) * rows + (0.3 if title else 0))
    for ax, (name, image) in zip(axes.flat, shown, strict=False):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(name, fontsize=9)
    for ax in axes.flat:
        ax.axis("off")
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def sheet(maps: np.ndarray, title: str, centred: bool = False) -> Figure:
    """Small pictures in a grid, grey `H W` or coloured `H W 3`; `centred`: one scale for all, with 0 in the middle."""
    columns = min(8, max(len(maps), 1))
    rows = max(math.ceil(len(maps) / columns), 1)
    figure, axes = grid(rows, columns, columns, rows + 0.4)
    bound = float(np.abs(maps).max(initial=1e-12))
    for ax, values in zip(axes.flat, maps, strict=False):
        low, high = (-bound, bound) if centred else (0, 1) if maps.ndim == 4 else (None, None)
        ax.imshow(values, cmap="gray", vmin=low, vmax=high)
    for ax in axes.flat:
        ax.axis("off")
    figure.suptitle(title, fontsize=10)
    return figure


def lit(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture of an image `C H W`, bright where a map of any size is largest, dark where it is smallest.

    >>> lit(np.ones((1, 2, 4)) * [[[0.0, 9.0, 9.0, 9.0]]], np.array([[0.0, 1.0]])).round(2)[0]
    array([0.02, 0.36, 0.79, 1.  ])
    """
    shown = DARK + (1 - DARK) * picture(image)  # so that light is seen on black, too
    light = np.asarray(heat, float)
    for axis, wanted in enumerate(shown.shape[:2]):  # between the middles of the map's places along a straight line
        have = light.shape[axis]
        at = np.clip((np.arange(wanted) + 0.5) * have / wanted - 0.5, 0, have - 1)
        before = at.astype(int)
        share = (at - before).reshape((-1, 1) if axis == 0 else -1)
        after = np.minimum(before + 1, have - 1)
        light = light.take(before, axis) * (1 - share) + light.take(after, axis) * share
    light = picture(light[None])
    return shown * (DARK + (1 - DARK) * (light if shown.ndim == 2 else light[..., None]))


def some(count: int, most: int) -> str:
    """How many of how many are shown.

    >>> some(96, 64), some(6, 64)
    ('64 of 96', '6')
    """
    return f"{most} of {count}" if count > most else f"{count}"
