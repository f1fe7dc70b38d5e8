"""What excites a layer's maps most in many images, and the deconvolutional projections of those activations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import nn
from autograd import tensor
from autograd.errors import DomainError, IndexingError
from nn.measure import Field
from vision.see.attribution import DECONVNET, project
from vision.see.field import expected, fields
from vision.see.figures import grid, picture
from vision.see.run import answers, batch, numbers, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Features:
    """For each of `channels` K the M images that excite the map most: `images` and `units` (p, q), both `K M`.

    `patches` and `projections`, `K M C R S`: what the unit sees of the image, and its activation carried back there.
    """

    layer: str
    channels: tuple[int, ...]
    images: np.ndarray
    units: np.ndarray
    scores: np.ndarray
    patches: np.ndarray
    projections: np.ndarray

    def figure(self) -> Figure:
        """A row for each channel: on the left the projections, 0 in grey, on the right what the units see there."""
        most = self.scores.shape[1]
        figure, axes = grid(len(self.channels), 2 * most + 1, 1.1 * (2 * most + 1), 1.12 * len(self.channels) + 0.4)
        for k, (channel, row) in enumerate(zip(self.channels, axes, strict=True)):
            together = picture(np.concatenate(list(self.projections[k]), 2), centred=True)  # in one scale
            shown = [*np.split(together, most, axis=1), *map(picture, self.patches[k])]
            for ax, part in zip([*row[:most], *row[most + 1 :]], shown, strict=True):
                ax.imshow(part, cmap="gray", vmin=0, vmax=1)
            row[most].text(0.5, 0.5, f"map\n{channel}", ha="center", va="center", fontsize=9)
        for ax in axes.flat:
            ax.axis("off")
        figure.suptitle(f"{self.layer}: what excites a map most, on the left its projection", fontsize=10)
        return figure


def features(
    model: nn.Module,
    images: Any,
    layer: str,
    channels: Sequence[int] | None = None,
    most: int = 9,
    batch_size: int = 100,
) -> Features:
    """Find the images that excite each map most, and project each activation back to the pixels that it sees.

    Args:
        model: any network for images; it runs in evaluation mode and stays as it was.
        images: `N C H W`, floating numbers, prepared as for training.
        layer: the path of a module that answers with maps.
        channels: which maps; the first eight if None.
        most: how many images for each map, from each image the map's strongest unit.
        batch_size: how many images run at once.

    Raises: as `saliency`; `DomainError` for a layer without maps, or fewer images than `most`.

    Source: Zeiler & Fergus 2013, arXiv:1311.2901, fig. 2.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    >>> found = features(net, np.random.default_rng(0).random((5, 1, 6, 6), np.float32), "1", channels=[2], most=3)
    >>> found.projections.shape
    (1, 3, 1, 3, 3)
    """
    first = batch("features", model, images[:1] if hasattr(images, "shape") else images, several=True)
    most, batch_size = whole("features", "most", most), whole("features", "batch_size", batch_size)
    if len(images) < most:
        raise DomainError(f"features: most={most} but {len(images)} images → give more images, or ask for fewer")
    parts = [images[begin : begin + batch_size] for begin in range(0, len(images), batch_size)]
    best = [_strongest(model, part, layer) for part in parts]  # of each image and map the value and its place
    values, places = (np.concatenate([pair[i] for pair in best]) for i in (0, 1))
    field = fields(model, first).get(layer)
    chosen = range(min(8, values.shape[1])) if channels is None else channels
    wanted = tuple(chosen) if isinstance(chosen, Iterable) else (chosen,)
    outside = [k for k in wanted if not hasattr(k, "__index__") or not 0 <= k < values.shape[1]]
    if outside or not wanted:
        raise IndexingError(
            f"features: channels is {list(wanted)} but layer {layer!r} has {values.shape[1]} maps → give 0 to one less"
        )
    order = np.argsort(-values, axis=0, kind="stable")[:most].T[list(wanted)]  # K M
    patches, projections = [], []
    for channel, chosen in zip(wanted, order, strict=True):
        x = batch("features", model, np.stack([numbers(tensor(images[n])) for n in chosen]), several=True)
        out = answers("features", model, x, [layer], DECONVNET)[layer]
        units = [(channel, *places[n, channel]) for n in chosen]
        projected = project(out, x, units, activation=True)
        windows = [_window(field, unit[1:], x.shape[2:]) for unit in units]
        patches.append([one[(..., *window)] for one, window in zip(numbers(x), windows, strict=True)])
        projections.append([one[(..., *window)] for one, window in zip(projected, windows, strict=True)])
    columns = np.array(wanted)[:, None]
    return Features(
        layer, wanted, order, places[order, columns], values[order, columns], np.array(patches), np.array(projections)
    )


def _strongest(model: nn.Module, images: Any, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """The largest value of each map for each image, `N K`, and its place, `N K 2`."""
    out = numbers(answers("features", model, batch("features", model, images, True), [layer], record=False)[layer])
    if out.ndim != 4:
        raise DomainError(
            f"features: layer {layer!r} answers with shape {out.shape[1:]}, expected maps C H W → one before it"
        )
    flat = out.reshape(*out.shape[:2], -1)
    return flat.max(2), np.stack(np.unravel_index(flat.argmax(2), out.shape[2:]), axis=2)


def _window(field: Field | None, place: Any, extent: Any) -> tuple[slice, slice]:
    """What a unit sees, moved inside the image, so that all windows have one size; everything if it is not known."""
    if field is None:
        return slice(None), slice(None)
    windows = zip(expected(field, place), field.size, extent, strict=True)
    starts = [(min(max(seen.start, 0), max(n - size, 0)), min(size, n)) for seen, size, n in windows]
    rows, columns = (slice(int(start), int(start) + size) for start, size in starts)
    return rows, columns
