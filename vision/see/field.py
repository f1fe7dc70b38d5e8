"""The receptive field: which pixels a unit sees, by arithmetic and by following what reaches what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import autograd
import nn
from autograd import Tensor
from nn.measure import Field
from vision.see.attribution import project
from vision.see.figures import ACCENT, lit, panels
from vision.see.run import Unit, answers, batch, named, numbers, unit_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReceptiveField:
    """What a unit sees of an image.

    `reach`, `H W`: whether the pixel has any part in the unit. `field` is the arithmetic's answer for the whole layer
    (`nn.summary`), None where the layer sees everything or it is not known.
    """

    image: np.ndarray
    reach: np.ndarray
    field: Field | None
    layer: str
    unit: tuple[int, ...]

    @property
    def box(self) -> tuple[slice, slice]:
        """The smallest rectangle of rows and columns that holds every pixel seen; empty if there is none."""
        rows, columns = (np.flatnonzero(self.reach.any(axis)) for axis in (1, 0))
        return tuple(slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, 0) for seen in (rows, columns))  # type: ignore[return-value]

    @property
    def expected(self) -> tuple[slice, slice] | None:
        """The rectangle by arithmetic: `start + place · stride` and `size` on; it may lie beyond the edges."""
        return expected(self.field, self.unit[-2:]) if self.field and len(self.unit) == 3 else None

    @property
    def picture(self) -> np.ndarray:
        """The image's picture, dark where the unit sees nothing."""
        return lit(self.image, self.reach)

    def figure(self) -> Figure:
        """The picture, and a rectangle around what is seen."""
        from matplotlib.patches import Rectangle

        rows, columns = self.box
        width, height = columns.stop - columns.start, rows.stop - rows.start
        step = f"; the next unit's {'×'.join(map(str, self.field.stride))} on" if self.field else ""
        title = f"{named(self.layer, self.unit)}\nsees {height}×{width} pixels{step}"
        figure = panels([(title, self.picture)], size=4.0)
        corner = columns.start - 0.5, rows.start - 0.5
        figure.axes[0].add_patch(Rectangle(corner, width, height, fill=False, edgecolor=ACCENT, linewidth=2))
        return figure


def receptive_field(model: nn.Module, image: Any, unit: Unit = None, layer: str = "") -> ReceptiveField:
    """Which pixels a unit sees: those from which any way leads to it, whatever the weights and the image are.

    Arguments and errors are those of `saliency`; a map `k` sees what its units see together. Ways are followed back
    through the recorded run: all pixels under a filter or a pooling window, each value for itself where an operation is
    elementwise; other operations by their gradients, where 0 means that nothing arrives.

    Source: Araujo et al. 2019, Computing receptive fields, distill.pub, eqs. 2 and 3 (the arithmetic).

    >>> net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2))
    >>> found = receptive_field(net, np.zeros((1, 8, 8), np.float32), unit=(0, 1, 2))
    >>> found.box, found.expected == found.box
    ((slice(2, 6, None), slice(4, 8, None)), True)
    """
    x = batch("receptive_field", model, image)
    out = answers("receptive_field", model, x, [layer], _ways())[layer]
    index = unit_at("receptive_field", layer, out, unit)
    reach = (project(out, x, [index], activation=False)[0] != 0).any(0)
    return ReceptiveField(numbers(x)[0], reach, fields(model, x).get(layer), layer, index)


def fields(model: nn.Module, x: Tensor) -> dict[str, Field | None]:
    """What the units of each layer see, by path, from the arithmetic of `nn.summary`."""
    return {row.path: row.receptive_field for row in nn.summary(model, x.detach()).rows}


def expected(field: Field, place: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns that the unit at a place `p q` sees.

    >>> expected(Field((3, 3), (2, 2), (-1, -1)), (0, 4))
    (slice(-1, 2, None), slice(7, 10, None))
    """
    starts = [first + p * step for first, p, step in zip(field.start, place, field.stride, strict=True)]
    rows, columns = (slice(start, start + size) for start, size in zip(starts, field.size, strict=True))
    return rows, columns


def _ways() -> dict[str, dict[str, Any]]:
    """Gradient rules that carry 1 to whatever has a part in the output, and 0 to the rest."""
    declared = autograd.registry
    rules = {name: dict.fromkeys(op.rules, lambda g: _is_way(g)) for name, op in declared.items() if _elementwise(op)}
    for n in (1, 2, 3):
        spread = declared[f"conv{n}d_dx"].call
        rules[f"conv{n}d"] = {"x": _through_filters(spread)}
        rules[f"max_pool{n}d"] = {"x": _through_windows(spread)}
    for n in (1, 2):
        mean = declared[f"adaptive_avg_pool{n}d_dx"].call
        rules[f"adaptive_max_pool{n}d"] = {"x": _through_bins(mean)}
    return rules


def _elementwise(op: Any) -> bool:
    return bool(op.contract.text.endswith("-> ...") and not op.contract.has_letters)


def _is_way(g: Any, least: float = 0.0) -> Any:
    return (abs(g) > least).astype(g.dtype)


def _spread(ways: Any, width: Any, size: Any, spread: Any, *options: Any) -> Any:
    """Ways to windows become ways to all that the windows cover, in each channel by itself."""
    channels = ways.shape[1]
    ones = autograd.ones((channels, 1, *width), dtype=ways.dtype, device=Tensor(ways).device).data
    return _is_way(spread(ways, ones, size, *options, channels), 0.5)  # they are counts, but fast kernels round


def _through_filters(spread: Any) -> Any:
    def rule(g: Any, x_shape: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
        images, filters, *places = g.shape
        ways = _is_way(abs(g).reshape((images, groups, filters // groups, *places)).sum(2))
        return _spread(ways, w.shape[2:], x_shape[2:], spread, stride, padding, dilation).repeat(w.shape[1], 1)

    return rule


def _through_windows(spread: Any) -> Any:
    def rule(g: Any, x_shape: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
        ways, size = _is_way(g[0]), x_shape[2:]
        ends = zip(ways.shape[2:], stride, dilation, kernel_size, padding, size, strict=True)
        whole = [max((p - 1) * s + d * (k - 1) + 1 - sum(pad), n) for p, s, d, k, pad, n in ends]  # for ceil_mode
        found = _spread(ways, kernel_size, whole, spread, stride, padding, dilation)
        return found[(..., *(slice(n) for n in size))]

    return rule


def _through_bins(mean: Any) -> Any:
    return lambda g, x_shape: _is_way(mean(g[0], x_shape[2:]))
