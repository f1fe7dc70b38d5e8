"""Parts of images replaced: by a constant, or by other images, whose classes then count in proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from autograd.errors import DomainError, DTypeError, IndexingError, ShapeError
from vision.transforms.base import Images, Parametrised, batch_of, generator, log_uniform, probability

Batch = tuple[Images, NDArray[Any]]


class RandomErasing(Parametrised):
    """With probability `p`, a rectangle of each image is overwritten with `value`: a number, or one for each channel.

    The rectangle covers a fraction of the area drawn from `scale`; its height over width is drawn log-uniformly from
    `ratio`; a side that would not fit is cut to the image.

    Shapes: `N C H W` → the same. Raises `DomainError` for parameters outside their range, `ShapeError` when C differs.

    Source: Zhong et al., *Random erasing data augmentation*, 2020, alg. 1.

    >>> out = RandomErasing(p=1, scale=(0.25, 0.25), ratio=(1, 1))(np.ones((2, 1, 8, 8)), np.random.default_rng(0))
    >>> out.sum(axis=(1, 2, 3))
    array([48., 48.])
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float | Sequence[float] = 0.0,
    ) -> None:
        self.p = probability("RandomErasing", p)
        self.scale = scale
        self.ratio = ratio
        self.value = value
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise DomainError(f"RandomErasing: scale={scale} → give fractions of the area, 0 <= low <= high <= 1")
        if not 0 < ratio[0] <= ratio[1] < math.inf:
            raise DomainError(f"RandomErasing: ratio={ratio} → give 0 < low <= high")

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = generator("RandomErasing", rng)
        images = batch_of("RandomErasing", images)
        n, channels, height, width = images.shape
        value = np.asarray(self.value, images.dtype)
        if value.shape not in ((), (channels,)):
            raise ShapeError(
                f"RandomErasing: images have C={channels} but value has {value.size} entries → give one for each"
            )
        area = rng.uniform(*self.scale, n) * (height * width)
        ratio = log_uniform(self.ratio, n, rng)
        erased = rng.random(n) < self.p
        rows = span(np.sqrt(area * ratio) * erased, height, rng)
        columns = span(np.sqrt(area / ratio), width, rng)
        mask = rows[:, None, :, None] & columns[:, None, None, :]
        return np.where(mask, value.reshape(-1, 1, 1), images)


def span(length: NDArray[Any], size: int, rng: Generator) -> NDArray[np.bool_]:
    """Which of `size` places lie in a random interval of the given lengths: `N size`."""
    length = np.minimum(np.rint(length), size).astype(np.intp)[:, None]
    start = rng.integers(0, size - length, endpoint=True)
    place = np.arange(size)
    inside: NDArray[np.bool_] = (start <= place) & (place < start + length)
    return inside


class Mixup(Parametrised):
    """Each image mixed with another of the batch, and their classes likewise: x = λ xᵢ + (1−λ) xⱼ, λ ~ Beta(α, α).

    It takes a batch of images and class numbers, so it goes to `DataLoader(..., batch_transform=)`.

    Shapes: float `N C H W` and integers `N` → the same and probabilities float32 `N classes`.

    Raises `DomainError` for α ≤ 0 or no classes, `DTypeError` for labels that are no integers or images that are, and
    `IndexingError` for a class outside 0..classes−1.

    Source: Zhang et al., *mixup: beyond empirical risk minimization*, 2018, sec. 2.

    >>> images, target = Mixup(classes=3)((np.ones((4, 1, 2, 2)), np.array([0, 1, 2, 0])), np.random.default_rng(0))
    >>> images.shape, target.shape, bool(np.allclose(target.sum(axis=1), 1))
    ((4, 1, 2, 2), (4, 3), True)
    """

    def __init__(self, classes: int, alpha: float = 0.2) -> None:
        self.classes, self.alpha = classes, alpha
        if classes < 1 or not 0 < alpha < math.inf:
            raise DomainError(f"{type(self).__name__}: classes={classes}, alpha={alpha} → give positive numbers")

    def __call__(self, batch: Batch, rng: Generator | None = None) -> Batch:
        name = type(self).__name__
        rng = generator(name, rng)
        images, labels = batch_of(name, batch[0], floating=True), np.asarray(batch[1])
        if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
            raise DTypeError(
                f"{name}: labels are {labels.dtype} {labels.shape} for {len(images)} images "
                "→ give one class number for each"
            )
        if len(labels) and not (labels.min() >= 0 and labels.max() < self.classes):
            raise IndexingError(
                f"{name}: labels lie in {labels.min()}..{labels.max()}, expected 0..{self.classes - 1} → give classes="
            )
        share, other = rng.beta(self.alpha, self.alpha, len(images)), rng.permutation(len(images))
        mixed, share = self.mix(images, images[other], share, rng)
        target = np.zeros((len(images), self.classes), np.float32)
        rows = np.arange(len(images))
        np.add.at(target, (rows, labels), share)
        np.add.at(target, (rows, labels[other]), 1 - share)
        return mixed, target

    def mix(self, images: Images, others: Images, share: NDArray[Any], rng: Generator) -> tuple[Images, NDArray[Any]]:
        """The mixed images, and the share that the first have in them."""
        weight = share.astype(images.dtype)[:, None, None, None]
        return weight * images + (1 - weight) * others, share


class CutMix(Mixup):
    """A rectangle of each image replaced by that of another of the batch; the classes count by area.

    The rectangle covers 1−λ of the area, λ ~ Beta(α, α), in the image's own proportions, and lies inside the image.

    Shapes and errors are those of `Mixup`. Source: Yun et al., *CutMix*, 2019, sec. 3.

    >>> ones = np.ones((2, 1, 8, 8))
    >>> images, target = CutMix(classes=2)((ones, np.array([0, 1])), np.random.default_rng(0))
    >>> bool((images == 1).all()), target.shape
    (True, (2, 2))
    """

    def __init__(self, classes: int, alpha: float = 1.0) -> None:
        super().__init__(classes, alpha)

    def mix(self, images: Images, others: Images, share: NDArray[Any], rng: Generator) -> tuple[Images, NDArray[Any]]:
        height, width = images.shape[2:]
        side = np.sqrt(1 - share)
        inside = span(side * height, height, rng)[:, :, None] & span(side * width, width, rng)[:, None, :]
        return np.where(inside[:, None], others, images), 1 - inside.mean(axis=(1, 2))
