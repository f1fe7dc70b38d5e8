"""Activation maximisation: the image that a unit would like to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import autograd
import nn
from autograd import Tensor
from autograd.errors import DomainError
from vision.see.figures import ACCENT, grid, picture
from vision.see.run import Unit, answers, batch, named, numbers, slopes, unit_at, value, whole, within

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Maximised:
    """The image `C H W` that was found, and the unit's value at every step, jitter included, and at the end."""

    image: np.ndarray
    scores: np.ndarray
    layer: str
    unit: tuple[int, ...]

    def figure(self) -> Figure:
        """The image, and how the unit's value grew."""
        figure, axes = grid(1, 2, 6.6, 3.4)
        axes[0, 0].imshow(picture(self.image), cmap="gray", vmin=0, vmax=1)
        axes[0, 0].axis("off")
        axes[0, 0].set_title(f"what {named(self.layer, self.unit)} would like", fontsize=9)
        axes[0, 1].plot(self.scores, color=ACCENT)
        axes[0, 1].set(xlabel="step", ylabel="the unit's value")
        axes[0, 1].grid(alpha=0.3)
        return figure


def maximise(
    model: nn.Module,
    start: Any,
    unit: Unit = None,
    layer: str = "",
    *,
    steps: int = 100,
    rate: float = 0.05,
    decay: float = 0.0,
    blur: float = 0.0,
    jitter: int = 0,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
) -> Maximised:
    """Climb from an image to one that the unit answers more strongly: x ← x + rate · g / rms(g), g = ∂unit/∂x.

    Args:
        model: any network for images; it runs in evaluation mode and stays as it was.
        start: the image to begin with, `C H W` or `1 C H W`, noise for example.
        unit: an index into the layer's answer, see `saliency`; the strongest at the start if None.
        layer: a module's path; "" is the network's output.
        steps: how many.
        rate: how far a step changes a pixel, on the average (root mean square), in the image's units.
        decay: L2 regularisation: the share of the image's values that a step takes away.
        blur: the deviation, in pixels, of a Gaussian that smooths the image after every fourth step; 0: none.
        jitter: before each gradient the image is shifted by up to so many pixels either way, around the edges.
        bounds: the smallest and largest value that a pixel can have.
        seed: of the shifts.

    Raises: as `saliency`; `DomainError` for numbers that make no sense.

    Source: Erhan et al. 2009; decay and blur: Yosinski et al. 2015, arXiv:1506.06579, sec. 3; jitter: Olah et al. 2017,
    Feature visualization, distill.pub.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> found = maximise(net, np.zeros((1, 2, 2), np.float32), unit=0, steps=5)
    >>> bool((np.diff(found.scores) > 0).all())
    True
    """
    for name, number in (("steps", steps), ("jitter", jitter), ("seed", seed)):
        whole("maximise", name, number, least=0)
    for name, given, most in (("rate", rate, None), ("decay", decay, 1), ("blur", blur, None)):
        within("maximise", name, given, most)
    if bounds is not None and not (isinstance(bounds, Sequence) and len(bounds) == 2 and bounds[0] < bounds[1]):
        raise DomainError(f"maximise: bounds is {bounds!r}, expected two numbers → the smaller and the larger one")
    x = batch("maximise", model, start).detach()
    out = answers("maximise", model, x, [layer], record=False)[layer]
    index = unit_at("maximise", layer, out, unit)
    random, scores = np.random.default_rng(seed), []
    for step in range(1, steps + 1):
        shift = random.integers(-jitter, jitter + 1, 2).tolist()
        score, g = _slope(model, autograd.roll(x, shift, (2, 3)), index, layer)
        scores.append(score)
        g = autograd.roll(g, [-s for s in shift], (2, 3))
        x = (1 - decay) * x + rate * g / autograd.maximum((g * g).mean() ** 0.5, 1e-12)
        if blur and step % 4 == 0:
            x = _smoothed(x, blur)
        if bounds is not None:
            x = autograd.clip(x, *bounds)
    scores.append(_slope(model, x, index, layer)[0])
    return Maximised(numbers(x)[0], np.array(scores), layer, index)


def _slope(model: nn.Module, x: Tensor, index: tuple[int, ...], layer: str) -> tuple[float, Tensor]:
    """The unit's value, and its gradient."""
    x = x.detach()
    x.requires_grad = True
    out = answers("maximise", model, x, [layer])[layer]
    found = slopes(out, x, [index])
    return value(out, index), autograd.zeros_like(x) if found is None else found


def _smoothed(x: Tensor, deviation: float) -> Tensor:
    """Blur with a Gaussian out to three deviations; beyond the edges the image goes on with its edge pixels."""
    reach = max(1, round(3 * deviation))
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (places / deviation) ** 2)
    channels = x.shape[1]
    for axis in (2, 3):
        shape = [channels, 1, 1, 1]
        shape[axis] = len(weights)
        line = np.broadcast_to((weights / weights.sum()).reshape([-1 if a == axis else 1 for a in range(4)]), shape)
        edges = np.clip(np.arange(-reach, x.shape[axis] + reach), 0, x.shape[axis] - 1)
        wide = autograd.take(x, autograd.tensor(edges, device=x.device), axis=axis)
        x = autograd.conv2d(wide, autograd.tensor(line, dtype=x.dtype, device=x.device), groups=channels)
    return x
