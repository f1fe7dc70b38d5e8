"""Grad-CAM: where in its last maps a network finds what speaks for a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import nn
from autograd.errors import DomainError
from vision.see.figures import lit, panels, picture
from vision.see.layers import convolutions
from vision.see.run import Unit, answers, batch, named, numbers, slopes, unit_at, value

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GradCAM:
    """`values` `P Q` = max(0, Σ_k weights[k] · maps[k]); `maps` `K P Q` are the layer's answer, `weights` `K`."""

    image: np.ndarray
    values: np.ndarray
    maps: np.ndarray
    weights: np.ndarray
    layer: str
    unit: tuple[int, ...]
    score: float

    def figure(self) -> Figure:
        """The image, and the image bright where the values are large."""
        said = f"{named('', self.unit)} = {self.score:.3g}"
        return panels(
            [(said, picture(self.image)), (f"Grad-CAM at {self.layer}", lit(self.image, self.values))], size=3.3
        )


def grad_cam(model: nn.Module, image: Any, unit: Unit = None, layer: str | None = None) -> GradCAM:
    """Weigh a layer's maps by what they do for an output, on the average over their places; keep what speaks for it.

        weights[k] = mean_pq ∂output/∂maps[k, p, q],   values = max(0, Σ_k weights[k] · maps[k])

    Args:
        model: any network for images; it runs in evaluation mode and stays as it was.
        image: `C H W` or `1 C H W`, floating numbers, prepared as for training.
        unit: an index into the network's output, a class; the strongest if None.
        layer: the path of a module that answers with maps; the last convolution if None.

    Raises: as `saliency`; `DomainError` for a network without convolution, or a layer that the output does not need.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, eqs. 1 and 2.

    >>> net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    >>> grad_cam(net, np.ones((1, 4, 4), np.float32), unit=1).values.shape
    (4, 4)
    """
    x = batch("grad_cam", model, image)
    if layer is None:
        layer = next(reversed(convolutions(model)), None)
        if layer is None:
            raise DomainError("grad_cam: layer is None but the network has no Conv2d → name a layer with maps C H W")
    found = answers("grad_cam", model, x, [layer])
    out, maps = found[""], found[layer]
    if maps.ndim != 4:
        shape = tuple(maps.shape[1:])
        raise DomainError(f"grad_cam: layer {layer!r} answers with {shape}, expected maps C H W → one before it")
    index = unit_at("grad_cam", "", out, unit)
    ways = slopes(out, maps, [index])
    if ways is None:
        raise DomainError(f"grad_cam: the output does not depend on layer {layer!r} → choose one on the way to it")
    values, weights = numbers(maps)[0], numbers(ways)[0].mean((1, 2))
    warmth = np.maximum(np.tensordot(weights, values, 1), 0)
    return GradCAM(numbers(x)[0], warmth, values, weights, layer, index, value(out, index))
