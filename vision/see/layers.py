"""What a network has learned and what it answers: filters, and activation maps along the depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import autograd
import nn
from autograd.errors import DomainError, ShapeError
from vision.see.figures import grid, picture, sheet, some
from vision.see.run import answers, batch, numbers, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filters(weight: Any, most: int = 64) -> Figure:
    """The filters of a convolution, `K C R S`, one picture each, in the same scale.

    Of three channels they are in colour, 0 in grey; otherwise their first channel: black −, white +.

    Raises `ShapeError` when the weight has not four axes, `DomainError` for NaN and infinity.
    """
    values = np.asarray(weight.detach().cpu().numpy() if isinstance(weight, autograd.Tensor) else weight)
    if values.ndim != 4:
        raise ShapeError(
            f"filters: weight has shape {values.shape} but 4 axes K C R S are needed → give a Conv2d's weight"
        )
    if bad := int((~np.isfinite(values)).sum()):
        raise DomainError(f"filters: weight has {bad} NaN or infinite of {values.size} values → look when they arise")
    title = f"{some(len(values), most)} filters {values.shape[2]}×{values.shape[3]}: "
    if values.shape[1] != 3:
        return sheet(values[:most, 0], title + "black −, grey 0, white +", centred=True)
    bound = np.abs(values).max(initial=1e-12)
    return sheet(0.5 + 0.5 * values[:most].transpose(0, 2, 3, 1) / bound, title + "colours of the input, grey 0")


def maps(model: nn.Module, image: Any, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """What modules answer to one image, `C H W` or `1 C H W`: arrays by path, in the order of `layers`.

    All convolutions if `layers` is None. Raises as `saliency` does for images and layers that do not fit.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    >>> {path: found.shape for path, found in maps(net, np.ones((1, 5, 5), np.float32), ["0", "1"]).items()}
    {'0': (4, 3, 3), '1': (4, 3, 3)}
    """
    return _maps("maps", model, image, layers)


def activations(model: nn.Module, image: Any, most: int = 32, layers: Sequence[str] | None = None) -> dict[str, Figure]:
    """What layers answer to one image, `C H W` or `1 C H W`: their rectified activation maps, by path.

    All convolutions if `layers` is None, any modules that answer with maps `C H W` by their paths.
    """
    most = whole("activations", "most", most)
    return {
        path: sheet(
            found[:most].clip(0), f"layer {path}: {some(len(found), most)} maps {found.shape[1]}×{found.shape[2]}"
        )
        for path, found in _maps("activations", model, image, layers).items()
        if _has_maps("activations", path, found)
    }


def depth(model: nn.Module, image: Any, layers: Sequence[str] | None = None, most: int = 7) -> Figure:
    """An image's way through the network: a row for each layer with its `most` strongest maps, rectified, from the
    first layer down to the deepest.
    """
    most, answered = whole("depth", "most", most), _maps("depth", model, image, layers)
    shown = {path: found for path, found in answered.items() if _has_maps("depth", path, found)}
    figure, axes = grid(len(shown), most + 1, 1.25 * (most + 1), 1.3 * len(shown))
    for row, (path, found) in zip(axes, shown.items(), strict=True):
        strongest = np.argsort(-found.max((1, 2)), kind="stable")[:most]
        size = "×".join(map(str, found.shape))
        row[0].text(0.95, 0.5, f"{path or 'output'}\n{size}", ha="right", va="center", fontsize=9)
        for ax, k in zip(row[1:], strongest, strict=False):
            ax.imshow(picture(found[k][None].clip(0)), cmap="gray", vmin=0, vmax=1)
            ax.set_title(f"map {k}", fontsize=7, pad=2)
        for ax in row:
            ax.axis("off")
    return figure


def convolutions(model: nn.Module) -> list[str]:
    """The paths of a network's two-dimensional convolutions."""
    return [path for path, module in model.named_modules() if isinstance(module, nn.Conv2d)]


def _maps(op: str, model: nn.Module, image: Any, layers: Sequence[str] | None) -> dict[str, np.ndarray]:
    x = batch(op, model, image)
    paths = convolutions(model) if layers is None else list(layers)
    if not paths:
        raise DomainError(f"{op}: layers is {layers!r}, which is none of this network → name its modules")
    found = answers(op, model, x, paths, record=False)
    return {path: numbers(found[path])[0] for path in paths}


def _has_maps(op: str, path: str, found: np.ndarray) -> bool:
    if found.ndim != 3:
        raise DomainError(
            f"{op}: layer {path!r} answers with shape {found.shape}, expected maps C H W → choose a layer before it"
        )
    return True
