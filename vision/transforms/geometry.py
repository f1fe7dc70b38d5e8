"""Where pixels lie: borders, windows, mirror images, affine maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator
from numpy.typing import NDArray

from autograd.errors import DomainError, ShapeError
from vision.transforms.base import Images, Parametrised, batch_of, generator, interval, log_uniform, pair, probability
from vision.transforms.warp import warp


class Pad(Parametrised):
    """A border of constant `fill`.

    `padding` in pixels: a number for every side, `(vertical, horizontal)`, or `(top, bottom, left, right)`.

    Shapes: `N C H W` → `N C H+top+bottom W+left+right`.

    >>> Pad((0, 1), fill=7)(np.zeros((1, 1, 1, 2), np.uint8)).tolist()
    [[[[7, 0, 0, 7]]]]
    """

    def __init__(self, padding: int | tuple[int, int] | tuple[int, int, int, int], fill: float = 0) -> None:
        given = (padding,) if isinstance(padding, int) else tuple(padding)
        sides = given * (4 // len(given)) if len(given) in (1, 4) else tuple(np.repeat(given, 2).tolist())
        if len(sides) != 4 or any(side < 0 for side in sides):
            raise DomainError(f"Pad: padding={padding} → give 1, 2 or 4 numbers of pixels, none negative")
        self.padding = sides
        self.fill = fill

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        images = batch_of("Pad", images)
        top, bottom, left, right = self.padding
        return np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=self.fill)


class CenterCrop(Parametrised):
    """The middle of each image: `size` pixels, or `(height, width)`; the odd pixel is cut at the bottom and right.

    Shapes: `N C H W` → `N C height width`. Raises `ShapeError` when the image is smaller.

    >>> CenterCrop(1)(np.arange(9).reshape(1, 1, 3, 3)).item()
    4
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = pair("CenterCrop", size)

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        images = batch_of("CenterCrop", images)
        height, width = self.size
        free_rows, free_columns = _spare("CenterCrop", images, self.size)
        top, left = free_rows // 2, free_columns // 2
        return images[:, :, top : top + height, left : left + width].copy()


class RandomCrop(Parametrised):
    """A window of `size` at a uniformly drawn place, one for each image, after padding every side by `padding` pixels.

    Shapes: `N C H W` → `N C height width`. Raises `ShapeError` when the padded image is smaller.

    >>> RandomCrop(28, padding=2)(np.zeros((3, 1, 28, 28), np.float32), np.random.default_rng(0)).shape
    (3, 1, 28, 28)
    """

    def __init__(self, size: int | tuple[int, int], padding: int = 0, fill: float = 0) -> None:
        self.size = pair("RandomCrop", size)
        self.padding = padding
        self.fill = fill
        self._pad = Pad(padding, fill)

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = generator("RandomCrop", rng)
        images = self._pad(batch_of("RandomCrop", images))
        free = _spare("RandomCrop", images, self.size)
        top, left = (rng.integers(0, room, len(images), endpoint=True) for room in free)
        windows = sliding_window_view(images, self.size, axis=(2, 3))
        out: Images = windows[np.arange(len(images)), :, top, left]
        return out


class RandomHorizontalFlip(Parametrised):
    """Left and right exchanged, in each image with probability `p`.

    >>> RandomHorizontalFlip(p=1)(np.array([[[[1, 2, 3]]]]), np.random.default_rng(0)).tolist()
    [[[[3, 2, 1]]]]
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability("RandomHorizontalFlip", p)

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = generator("RandomHorizontalFlip", rng)
        images = batch_of("RandomHorizontalFlip", images)
        flip = rng.random(len(images)) < self.p
        out = images.copy()
        out[flip] = images[flip, :, :, ::-1]
        return out


class RandomResizedCrop(Parametrised):
    """A window of drawn size, shape and place, one for each image, resized to `size` (bilinear).

    The window covers a fraction of the area drawn from `scale`; its width over height is drawn log-uniformly from
    `ratio`; a side that would not fit is cut to the image.

    Shapes: float or uint8 `N C H W` → `N C height width`. Raises `DomainError` for parameters outside their range.

    Source: Szegedy et al., *Going deeper with convolutions*, 2015, sec. 6.

    >>> out = RandomResizedCrop(4)(np.ones((2, 3, 9, 7), np.float32), np.random.default_rng(0))
    >>> out.shape, bool((out == 1).all())
    ((2, 3, 4, 4), True)
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.size = pair("RandomResizedCrop", size)
        self.scale, self.ratio = scale, ratio
        if not 0 < scale[0] <= scale[1] <= 1:
            raise DomainError(f"RandomResizedCrop: scale={scale} → give fractions of the area, 0 < low <= high <= 1")
        if not 0 < ratio[0] <= ratio[1] < math.inf:
            raise DomainError(f"RandomResizedCrop: ratio={ratio} → give 0 < low <= high")

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = generator("RandomResizedCrop", rng)
        images = batch_of("RandomResizedCrop", images)
        whole = np.array(images.shape[2:])
        centers, sides = self.draw(len(images), whole, rng)
        zoom = (np.array(self.size) / sides)[:, ::-1]  # x first
        shifts = -zoom * (centers - (whole - 1) / 2)[:, ::-1]
        return warp(images, zoom[:, :, None] * np.eye(2), shifts, fill=None, size=self.size)

    def draw(self, n: int, whole: NDArray[np.intp], rng: Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The windows' centres and sides, in pixels, rows first: `N 2` each."""
        area = rng.uniform(*self.scale, n) * whole.prod()
        root = np.sqrt(log_uniform(self.ratio, n, rng))
        sides = np.clip(np.rint(np.sqrt(area)[:, None] * np.stack([1 / root, root], axis=1)), 1, whole)
        corners = rng.integers(0, (whole - sides).astype(np.int64), endpoint=True)
        return corners + (sides - 1) / 2, sides


class RandomAffine(Parametrised):
    """Each image rotated, sheared, scaled about its centre and shifted by amounts of its own, sampled bilinearly.

        out(p) = images(A⁻¹ (p − c − t) + c),   A = scale · rotation(angle) · shear

    `degrees` (clockwise) and `shear` (along x) in degrees: an interval, or a number d for −d..d. `translate=(x, y)` in
    fractions of width and height, drawn from −x..x and −y..y; `scale=(low, high)`. Outside the image lies `fill`.

    Shapes: float or uint8 `N C H W` → the same. Raises `DomainError` for parameters outside their range.

    Source: Simard, Steinkraus, Platt, *Best practices for convolutional neural networks*, 2003, sec. 2.

    >>> still = RandomAffine(degrees=0)
    >>> x = np.random.default_rng(0).random((2, 1, 5, 5), np.float32)
    >>> bool(np.allclose(still(x, np.random.default_rng(1)), x))
    True
    """

    def __init__(
        self,
        degrees: float | tuple[float, float] = 0.0,
        translate: tuple[float, float] = (0.0, 0.0),
        scale: tuple[float, float] = (1.0, 1.0),
        shear: float | tuple[float, float] = 0.0,
        fill: float = 0.0,
    ) -> None:
        self.degrees = interval("RandomAffine", "degrees", degrees, 360)
        self.translate = translate
        self.scale = scale
        self.shear = interval("RandomAffine", "shear", shear, 89)
        self.fill = fill
        if not all(0 <= fraction <= 1 for fraction in translate):
            raise DomainError(f"RandomAffine: translate={translate} → give fractions of width and height in 0..1")
        if not 0 < scale[0] <= scale[1] < math.inf:
            raise DomainError(f"RandomAffine: scale={scale} → give 0 < low <= high")

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = generator("RandomAffine", rng)
        images = batch_of("RandomAffine", images)
        return warp(images, *self.draw(len(images), images.shape[2:], rng), fill=self.fill)

    def draw(self, n: int, size: Sequence[int], rng: Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One matrix A and one shift t for each image: `N 2 2` and `N 2`, in pixels, x first."""
        angle = np.radians(rng.uniform(*self.degrees, n))
        shear = np.tan(np.radians(rng.uniform(*self.shear, n)))
        scale = rng.uniform(*self.scale, n)
        reach = np.multiply(self.translate, size[::-1])
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        matrices = np.stack([cos, cos * shear - sin, sin, sin * shear + cos], axis=-1).reshape(n, 2, 2)
        return matrices, rng.uniform(-reach, reach, (n, 2))


def _spare(op: str, images: Images, size: tuple[int, int]) -> tuple[int, int]:
    """The rows and columns that a crop leaves over."""
    rows, columns = images.shape[2] - size[0], images.shape[3] - size[1]
    if rows < 0 or columns < 0:
        raise ShapeError(f"{op}: size is {size} but the images are {images.shape[2:]} → crop less, or pad first")
    return rows, columns
