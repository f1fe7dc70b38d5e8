"""From an array to what a box shows of it: statistics and a small picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .. import backend
from ..core.tensor import Tensor
from .graph import Graph, Sample

ROW, SIDE = 16, 14  # cells of a vector's picture, and of a map's side


def norm(array: Any) -> float:
    """Return the Euclidean norm of all elements, computed in float64; not-a-number if one is."""
    return float(np.linalg.norm(backend.of(array).to_host(array).astype(np.float64)))


def sample(array: Any) -> Sample:
    """Return the statistics of an array's finite elements, and a picture of its first example.

    The picture of N C H W is the mean over the channels of the first image, of other arrays with several axes the last
    axis of the first row. What is larger than 14×14 cells, or a row of 16, is made coarser by averaging blocks.

    >>> s = sample(np.array([[1.0, 3.0], [np.nan, 5.0]]))
    >>> s.low, s.high, s.mean, s.bad, s.picture
    (1.0, 5.0, 3.0, 1, ((0.0, 1.0),))
    """
    array = array.data if isinstance(array, Tensor) else array
    values = np.asarray(backend.of(array).to_host(array)).astype(np.float64)
    finite = values[np.isfinite(values)]
    bad = values.size - finite.size
    if not finite.size:
        return Sample(np.nan, np.nan, np.nan, np.nan, 0.0, bad=bad)
    scale = float(abs(finite).max()) or 1.0
    spread = finite / scale  # so that squares do not overflow
    return Sample(
        low=float(finite.min()), high=float(finite.max()), mean=float(spread.mean() * scale),
        std=float(spread.std() * scale), norm=float(np.linalg.norm(spread) * scale),
        picture=_picture(values), bad=bad,
    )  # fmt: skip


def _picture(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    if not values.ndim or not values.size:
        return ()
    if values.ndim >= 4:  # N C ... H W
        image = values[0].reshape(-1, *values.shape[-2:]).mean(axis=0)
        cells = _coarser(_coarser(image, SIDE, 0), SIDE, 1)
    else:
        cells = _coarser(values.reshape(-1, values.shape[-1])[:1], ROW, 1)
    known = cells[np.isfinite(cells)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    scaled = np.zeros_like(cells) if high == low else np.clip((cells / 2 - low / 2) / (high / 2 - low / 2), 0, 1)
    return tuple(tuple(0.0 if np.isnan(c) else round(float(c), 3) for c in row) for row in scaled)


def _coarser(cells: np.ndarray, most: int, axis: int) -> np.ndarray:
    """Blocks of about equal size along an axis averaged, so that at most ``most`` are left."""
    n = cells.shape[axis]
    if n <= most:
        return cells
    edges = np.arange(most) * n // most
    sizes = np.diff(np.append(edges, n))
    shape = (-1, 1) if axis == 0 else (1, -1)
    return np.asarray(np.add.reduceat(cells, edges, axis=axis) / sizes.reshape(shape))


def samples(graph: Graph) -> Graph:
    """Return the graph with a sample in place of every array that its boxes hold as value or gradient."""

    def short(x: Any) -> Sample | None:
        if isinstance(x, (tuple, list)):  # of several outputs the first
            x = next((one for one in x if one is not None), None)
        return x if x is None or isinstance(x, Sample) else sample(x)

    held = {id: b for id, b in graph.boxes.items() if b.value is not None or b.gradient is not None}
    boxes = {id: replace(b, value=short(b.value), gradient=short(b.gradient)) for id, b in held.items()}
    return graph.changed(boxes=graph.boxes | boxes)
