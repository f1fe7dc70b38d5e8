"""Occlusion: how a unit's value changes while a grey square covers one part of the image after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import nn
from autograd import tensor
from autograd.errors import DomainError
from vision.see.figures import lit, panels, picture
from vision.see.run import Unit, answers, batch, named, numbers, unit_at, value, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Occlusion:
    """The unit's value under each square: `scores`, `P Q`; squares of `size` begin at `rows`, `columns`, in pixels."""

    image: np.ndarray
    scores: np.ndarray
    score: float
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    size: tuple[int, int]
    layer: str
    unit: tuple[int, ...]

    @property
    def heat(self) -> np.ndarray:
        """How much the value falls when a pixel is covered, `H W`: the mean over the squares that cover it."""
        fall, count = np.zeros(self.image.shape[1:]), np.zeros(self.image.shape[1:])
        for (i, j), score in np.ndenumerate(self.scores):
            square = self._square(i, j)
            fall[square] += self.score - score
            count[square] += 1
        return fall / np.maximum(count, 1)

    def _square(self, i: int, j: int) -> tuple[slice, slice]:
        top, left = self.rows[i], self.columns[j]
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])

    def figure(self) -> Figure:
        """The image under the worst square, and where covering lowers the value."""
        covered = picture(self.image)
        covered[self._square(*np.unravel_index(self.scores.argmin(), self.scores.shape))] = 0.5  # type: ignore[arg-type]
        shown = [
            (f"{self.score:.3g} falls to {self.scores.min():.3g}", covered),
            ("bright where covering lowers it", lit(self.image, self.heat)),
        ]
        return panels(shown, size=3.3, title=f"occlusion of {named(self.layer, self.unit)}")


def occlusion(
    model: nn.Module,
    image: Any,
    unit: Unit = None,
    layer: str = "",
    size: int | Sequence[int] = 8,
    stride: int | Sequence[int] | None = None,
    fill: float | Sequence[float] | None = None,
    batch_size: int = 64,
) -> Occlusion:
    """Cover a square of the image, see what becomes of the unit, and so for every place.

    Args:
        model: any network for images; it runs in evaluation mode and stays as it was.
        image: `C H W` or `1 C H W`, floating numbers, prepared as for training.
        unit: an index into the layer's answer, see `saliency`; the strongest unit if None.
        layer: a module's path; "" is the network's output.
        size: the square's height and width, in pixels.
        stride: from one square to the next, in pixels, half the size if None; a last one touches the far edge.
        fill: what covers, one number or one for each channel; the image's mean if None.
        batch_size: how many covered images run at once.

    Raises: as `saliency`; `DomainError` for a square that is larger than the image, or a fill for other channels.

    Source: Zeiler & Fergus 2013, arXiv:1311.2901, sec. 4.2. They plot the probability: end the network in a softmax.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> nn.init.ones_(net[1].weight)[0, 0].item()
    1.0
    >>> found = occlusion(net, np.ones((1, 2, 2), np.float32), unit=0, size=1, fill=0.0)
    >>> (found.score - found.scores).round(3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    x = batch("occlusion", model, image)
    out = answers("occlusion", model, x, [layer], record=False)[layer]
    index = unit_at("occlusion", layer, out, unit)
    plain = numbers(x)[0]
    channels, *extent = plain.shape
    height, width = _pair("size", size)
    steps = _pair("stride", (max(1, height // 2), max(1, width // 2)) if stride is None else stride)
    if height > extent[0] or width > extent[1]:
        raise DomainError(
            f"occlusion: size is {height}×{width} but the image {extent[0]}×{extent[1]} → give a smaller size"
        )
    batch_size = whole("occlusion", "batch_size", batch_size)
    given = np.asarray(plain.mean((1, 2)) if fill is None else fill)
    if given.dtype.kind not in "fiu" or not np.isfinite(given).all():
        raise DomainError(f"occlusion: fill is {fill!r}, expected finite numbers → give 1 or {channels}")
    cover = given.astype(plain.dtype).reshape(-1, 1, 1)
    if len(cover) not in (1, channels):
        raise DomainError(f"occlusion: fill has {len(cover)} numbers but the image C={channels} → give 1 or {channels}")
    rows, columns = (_places(n, k, s) for n, k, s in zip(extent, (height, width), steps, strict=True))
    places = [(top, left) for top in rows for left in columns]
    scores: list[np.ndarray] = []
    for first in range(0, len(places), batch_size):
        part = places[first : first + batch_size]
        covered = np.repeat(plain[None], len(part), 0)
        for one, (top, left) in zip(covered, part, strict=True):
            one[:, top : top + height, left : left + width] = cover
        found = answers("occlusion", model, tensor(covered, device=x.device), [layer], record=False)[layer]
        scores.append(numbers(found[(slice(None), *index)]).reshape(len(part), -1).sum(1))
    grid_shape = len(rows), len(columns)
    score = value(out, index)
    return Occlusion(
        plain, np.concatenate(scores).reshape(grid_shape), score, rows, columns, (height, width), layer, index
    )


def _pair(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2 or not all(hasattr(one, "__index__") and one >= 1 for one in pair):
        raise DomainError(f"occlusion: {name} is {value!r}, expected pixels → a positive integer, or two")
    return pair[0], pair[1]


def _places(extent: int, size: int, step: int) -> tuple[int, ...]:
    """Where squares begin, so that every pixel is covered if the step is not larger than the square.

    >>> _places(7, 3, 2), _places(8, 3, 2)
    ((0, 2, 4), (0, 2, 4, 5))
    """
    return tuple(sorted({*range(0, extent - size + 1, step), extent - size}))
