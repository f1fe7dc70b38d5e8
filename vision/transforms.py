"""Transforms of whole batches of images, as NumPy arrays, before they become tensors.

Each is a callable `transform(images, rng)`: a batch `N C H W` in, a batch out, the input left as it was. The random
ones draw from the `numpy.random.Generator` that they are given, so a seed decides everything; the others ignore it.

    >>> prepare = Compose(ToFloat(), RandomAffine(degrees=10, translate=(0.1, 0.1)), Normalize(0.1307, 0.3081))
    >>> batch = np.full((64, 28, 28), 100, np.uint8)
    >>> out = prepare(batch, np.random.default_rng(0))
    >>> out.shape, out.dtype
    ((64, 1, 28, 28), dtype('float32'))
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator
from numpy.typing import NDArray

from autograd.errors import DomainError, DTypeError, ShapeError
from vision.warp import warp

Images = NDArray[Any]


class Transform(Protocol):
    """What `Compose`, and a data loader, calls."""

    def __call__(self, images: Images, rng: Generator | None = None) -> Images: ...


class Compose:
    """Transforms one after another, given singly or as a list, all drawing from the same generator.

    >>> Compose(ToFloat(), Pad(2))(np.zeros((5, 28, 28), np.uint8)).shape
    (5, 1, 32, 32)
    """

    def __init__(self, *transforms: Transform | Sequence[Transform]) -> None:
        self.transforms = [one for given in transforms for one in (given if isinstance(given, Sequence) else [given])]

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        for transform in self.transforms:
            images = transform(images, rng)
        return images

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.transforms))})"


class _Transform:
    """A readable `repr` from the parameters."""

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in vars(self).items() if name[0] != "_")
        return f"{type(self).__name__}({', '.join(given)})"


class ToFloat(_Transform):
    """Bytes to numbers: `out = images / 255`, float32, channels first.

    Shapes: uint8 `N H W` or `N H W C` → float32 `N C H W` in 0..1; `channels_first=True` takes uint8 `N C H W`.

    Raises `DTypeError` when the images are not uint8, `ShapeError` for another rank or more than 4 channels.

    >>> ToFloat()(np.full((1, 2, 2, 3), 255, np.uint8)).shape
    (1, 3, 2, 2)
    """

    def __init__(self, channels_first: bool = False) -> None:
        self.channels_first = channels_first

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
            raise DTypeError(
                f"ToFloat: images are {_kind(images)}, expected a uint8 array → float images need no ToFloat"
            )
        if images.ndim == 3:
            images = images[:, None]
        elif images.ndim != 4:
            raise ShapeError(
                f"ToFloat: images have shape {images.shape}, expected N H W or N H W C → add the axis N in front"
            )
        elif not self.channels_first:
            if images.shape[3] > 4:
                raise ShapeError(
                    f"ToFloat: images of shape {images.shape} have C={images.shape[3]} in N H W C, expected 1 to 4 "
                    "→ for N C H W use ToFloat(channels_first=True)"
                )
            images = images.transpose(0, 3, 1, 2)
        return np.multiply(images, np.float32(1 / 255), dtype=np.float32, order="C")


class Normalize(_Transform):
    """Zero mean, unit deviation per channel: `out = (images − mean) / std`.

    Shapes: float `N C H W` → the same; `mean` and `std` are numbers or have C entries, in the images' units (0..1).

    Raises `DTypeError` for integer images, `ShapeError` when C differs, `DomainError` when `std` is not positive or the
    images hold NaN or values that no image in 0..1 has (beyond ±16: bytes that were cast, not scaled).

    >>> Normalize(0.5, 0.25)(np.ones((1, 1, 1, 1), np.float32)).item()
    2.0
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = np.atleast_1d(np.asarray(mean, np.float32))
        self.std = np.atleast_1d(np.asarray(std, np.float32))
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise DomainError(f"Normalize: mean={mean}, std={std} → give finite means and positive deviations")

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        images = _batch("Normalize", images, floating=True)
        for name, value in (("mean", self.mean), ("std", self.std)):
            if value.shape not in ((1,), (images.shape[1],)):
                raise ShapeError(
                    f"Normalize: images have C={images.shape[1]} but {name} has {value.size} entries → give C"
                )
        if images.size and not (images.min() >= -16 and images.max() <= 16):
            raise DomainError(
                f"Normalize: images hold values from {images.min():g} to {images.max():g}, expected about 0..1 "
                "→ scale bytes with ToFloat() first"
            )
        out: Images = images - self.mean[:, None, None].astype(images.dtype)
        out /= self.std[:, None, None].astype(images.dtype)
        return out


class Pad(_Transform):
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
        images = _batch("Pad", images)
        top, bottom, left, right = self.padding
        return np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=self.fill)


class CenterCrop(_Transform):
    """The middle of each image: `size` pixels, or `(height, width)`; the odd pixel is cut at the bottom and right.

    Shapes: `N C H W` → `N C height width`. Raises `ShapeError` when the image is smaller.

    >>> CenterCrop(1)(np.arange(9).reshape(1, 1, 3, 3)).item()
    4
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = _pair("CenterCrop", size)

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        images = _batch("CenterCrop", images)
        height, width = self.size
        free_rows, free_columns = _room("CenterCrop", images, self.size)
        top, left = free_rows // 2, free_columns // 2
        return images[:, :, top : top + height, left : left + width].copy()


class RandomCrop(_Transform):
    """A window of `size` at a uniformly drawn place, one for each image, after padding every side by `padding` pixels.

    Shapes: `N C H W` → `N C height width`. Raises `ShapeError` when the padded image is smaller.

    >>> RandomCrop(28, padding=2)(np.zeros((3, 1, 28, 28), np.float32), np.random.default_rng(0)).shape
    (3, 1, 28, 28)
    """

    def __init__(self, size: int | tuple[int, int], padding: int = 0, fill: float = 0) -> None:
        self.size = _pair("RandomCrop", size)
        self.padding = padding
        self.fill = fill
        self._pad = Pad(padding, fill)

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = _generator("RandomCrop", rng)
        images = self._pad(_batch("RandomCrop", images))
        free = _room("RandomCrop", images, self.size)
        top, left = (rng.integers(0, room, len(images), endpoint=True) for room in free)
        windows = sliding_window_view(images, self.size, axis=(2, 3))
        out: Images = windows[np.arange(len(images)), :, top, left]
        return out


class RandomHorizontalFlip(_Transform):
    """Left and right exchanged, in each image with probability `p`.

    >>> RandomHorizontalFlip(p=1)(np.array([[[[1, 2, 3]]]]), np.random.default_rng(0)).tolist()
    [[[[3, 2, 1]]]]
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability("RandomHorizontalFlip", p)

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = _generator("RandomHorizontalFlip", rng)
        images = _batch("RandomHorizontalFlip", images)
        flip = rng.random(len(images)) < self.p
        out = images.copy()
        out[flip] = images[flip, :, :, ::-1]
        return out


class RandomAffine(_Transform):
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
        self.degrees = _interval("RandomAffine", "degrees", degrees, 360)
        self.translate = translate
        self.scale = scale
        self.shear = _interval("RandomAffine", "shear", shear, 89)
        self.fill = fill
        if not all(0 <= fraction <= 1 for fraction in translate):
            raise DomainError(f"RandomAffine: translate={translate} → give fractions of width and height in 0..1")
        if not 0 < scale[0] <= scale[1] < math.inf:
            raise DomainError(f"RandomAffine: scale={scale} → give 0 < low <= high")

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = _generator("RandomAffine", rng)
        images = _batch("RandomAffine", images)
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


class RandomErasing(_Transform):
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
        self.p = _probability("RandomErasing", p)
        self.scale = scale
        self.ratio = ratio
        self.value = value
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise DomainError(f"RandomErasing: scale={scale} → give fractions of the area, 0 <= low <= high <= 1")
        if not 0 < ratio[0] <= ratio[1] < math.inf:
            raise DomainError(f"RandomErasing: ratio={ratio} → give 0 < low <= high")

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = _generator("RandomErasing", rng)
        images = _batch("RandomErasing", images)
        n, channels, height, width = images.shape
        value = np.asarray(self.value, images.dtype)
        if value.shape not in ((), (channels,)):
            raise ShapeError(
                f"RandomErasing: images have C={channels} but value has {value.size} entries → give one for each"
            )
        area = rng.uniform(*self.scale, n) * (height * width)
        ratio = np.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), n))
        erased = rng.random(n) < self.p
        rows = _span(np.sqrt(area * ratio) * erased, height, rng)
        columns = _span(np.sqrt(area / ratio), width, rng)
        mask = rows[:, None, :, None] & columns[:, None, None, :]
        return np.where(mask, value.reshape(-1, 1, 1), images)


def _span(length: NDArray[Any], size: int, rng: Generator) -> NDArray[np.bool_]:
    """Which of `size` places lie in a random interval of the given lengths: `N size`."""
    length = np.minimum(np.rint(length), size).astype(np.intp)[:, None]
    start = rng.integers(0, size - length, endpoint=True)
    place = np.arange(size)
    inside: NDArray[np.bool_] = (start <= place) & (place < start + length)
    return inside


# ---------------------------------------------------------------------------------------------------- checks


def _kind(images: object) -> str:
    return f"{images.dtype}" if isinstance(images, np.ndarray) else f"a {type(images).__name__}"


def _batch(op: str, images: Images, floating: bool = False) -> Images:
    """The images, if they are a batch `N C H W` of a type that the operation takes."""
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "fiu":
        raise DTypeError(
            f"{op}: images are {_kind(images)}, expected a NumPy array of numbers → convert with numpy.asarray"
        )
    if floating and images.dtype.kind != "f":
        raise DTypeError(f"{op}: images are {images.dtype}, expected a float type → apply ToFloat() first")
    if images.ndim != 4:
        raise ShapeError(
            f"{op}: images have shape {images.shape}, expected N C H W → apply ToFloat() or add the missing axes"
        )
    if images.shape[3] in (3, 4) and images.shape[1] > 4:
        raise ShapeError(
            f"{op}: images have shape {images.shape}, expected N C H W, but "
            f"C={images.shape[1]} and W={images.shape[3]} look like N H W C → apply ToFloat() first"
        )
    return images


def _generator(op: str, rng: Generator | None) -> Generator:
    if not isinstance(rng, Generator):
        raise DTypeError(
            f"{op}: rng is {type(rng).__name__}, expected a Generator → pass numpy.random.default_rng(seed)"
        )
    return rng


def _room(op: str, images: Images, size: tuple[int, int]) -> tuple[int, int]:
    """The rows and columns that a crop leaves over."""
    rows, columns = images.shape[2] - size[0], images.shape[3] - size[1]
    if rows < 0 or columns < 0:
        raise ShapeError(f"{op}: size is {size} but the images are {images.shape[2:]} → crop less, or pad first")
    return rows, columns


def _pair(op: str, size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise DomainError(f"{op}: size={size} → give positive numbers of pixels")
    return height, width


def _probability(op: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise DomainError(f"{op}: p={p} → give a probability in 0..1")
    return p


def _interval(op: str, name: str, value: float | tuple[float, float], limit: float) -> tuple[float, float]:
    low, high = (-value, value) if isinstance(value, (int, float)) else value
    if not -limit <= low <= high <= limit:
        raise DomainError(f"{op}: {name}={value} → give a number in 0..{limit} or (low, high) within ±{limit}")
    return low, high
