"""From a unit back to the pixels: saliency, guided back-propagation, the deconvolutional network.

All three are one backward sweep and differ in what a rectifier lets pass (Springenberg et al. 2015, fig. 1): the
gradient g where its input x was positive; g where g itself is positive; or where both are. Convolutions go back by
their transposed filters, max pooling by its switches: the places of the maxima.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import autograd
import nn
from autograd import Tensor
from vision.see.figures import panels, picture
from vision.see.run import Unit, answers, batch, named, numbers, slopes, unit_at, value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GUIDED = {"relu": {"x": lambda g, out: autograd.where(out > 0, autograd.relu(g), 0)}}
DECONVNET = {"relu": {"x": lambda g: autograd.relu(g)}}


@dataclass(frozen=True)
class Attribution:
    """What each pixel has to do with a unit: `values`, `C H W` as the image; `score` is the unit's own value."""

    method: str
    image: np.ndarray
    values: np.ndarray
    layer: str
    unit: tuple[int, ...]
    score: float

    @property
    def heat(self) -> np.ndarray:
        """One number for each pixel, `H W`: the largest |value| among the channels (Simonyan et al. 2014, sec. 3.1)."""
        return np.abs(self.values).max(0)

    def figure(self) -> Figure:
        """The image; the values, 0 in grey; their heat."""
        shown = [
            (f"{named(self.layer, self.unit)} = {self.score:.3g}", picture(self.image)),
            (self.method, picture(self.values, centred=True)),
            ("its strength", picture(self.heat[None])),
        ]
        return panels(shown, size=3.0)


def saliency(model: nn.Module, image: Any, unit: Unit = None, layer: str = "") -> Attribution:
    """How much the unit changes with each pixel: the gradient ∂unit/∂image.

    Args:
        model: any network for images; it runs in evaluation mode and stays as it was.
        image: `C H W` or `1 C H W`, floating numbers, prepared as for training.
        unit: an index into the layer's answer: a class, a map `k` (the sum of its units) or a unit `(k, p, q)`; the
            strongest unit if None.
        layer: a module's path, `named_modules()` lists them; "" is the network's output.

    Raises: `ShapeError`, `DTypeError`, `DomainError`, `IndexingError` for images, layers and units that do not fit.

    Source: Simonyan et al. 2014, Deep inside convolutional networks, arXiv:1312.6034, eq. 3.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> found = saliency(net, np.ones((1, 2, 2), np.float32), unit=1)
    >>> bool((found.values.ravel() == net[1].weight[1].detach().numpy()).all())
    True
    """
    return _attribution("saliency", model, image, unit, layer, None)


def guided(model: nn.Module, image: Any, unit: Unit = None, layer: str = "") -> Attribution:
    """Guided back-propagation: the gradient that rectifiers pass where it and their input are positive.

    Arguments and errors are those of `saliency`. Rectifiers are `autograd.relu`, wherever it is called.

    Source: Springenberg et al. 2015, Striving for simplicity, arXiv:1412.6806, sec. 3.4.
    """
    return _attribution("guided back-propagation", model, image, unit, layer, GUIDED)


def deconvnet(model: nn.Module, image: Any, unit: Unit = None, layer: str = "") -> Attribution:
    """Project a unit's activation, all others set to 0, down to the pixels: unpool, rectify, filter, layer by layer.

    Unpooling puts each value where the maximum was; the rectifier is the signal's own; the filters are transposed.
    Arguments and errors are those of `saliency`; a map `k` keeps all its activations.

    Source: Zeiler & Fergus 2013, arXiv:1311.2901, sec. 2.1.
    """
    return _attribution("deconvnet", model, image, unit, layer, DECONVNET, activation=True)


def _attribution(
    method: str, model: nn.Module, image: Any, unit: Unit, layer: str, rules: Any, activation: bool = False
) -> Attribution:
    op = method.split()[0]
    x = batch(op, model, image)
    out = answers(op, model, x, [layer], rules)[layer]
    index = unit_at(op, layer, out, unit)
    values = project(out, x, [index], activation)
    return Attribution(method, numbers(x)[0], values[0], layer, index, value(out, index))


def project(out: Tensor, x: Tensor, units: Sequence[tuple[int, ...]], activation: bool) -> np.ndarray:
    """Carry one unit for each image of a batch back to the pixels, `N C H W`; zeros where nothing leads there."""
    found = slopes(out, x, units, activation)
    return np.zeros(x.shape, x.dtype) if found is None else numbers(found)
