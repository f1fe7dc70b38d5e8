"""What values pixels have: numbers for bytes, normal ranges, and colours that vary as light does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from autograd.errors import DomainError, DTypeError, ShapeError
from vision.transforms.base import Images, Parametrised, batch_of, generator, kind_of, probability

# From red, green, blue to luminance and two axes of colour (NTSC, 1953); grey is the first axis alone.
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
YIQ[1:] -= YIQ[1:].mean(axis=1, keepdims=True)  # the usual four digits leave grey a trace of colour
GREY = YIQ[0]


class ToFloat(Parametrised):
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
                f"ToFloat: images are {kind_of(images)}, expected a uint8 array → float images need no ToFloat"
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


class Normalize(Parametrised):
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
        images = batch_of("Normalize", images, floating=True)
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


class ColorJitter(Parametrised):
    """Brightness b, contrast c, saturation s and hue h drawn for each image: one affine map of its colours.

        out = clip(b c M x + (1−c) b ḡ, 0, 1),   M = rotation(2π h) · (s + (1−s) 1 gᵀ)

    g = (0.299, 0.587, 0.114) gives the luminance, ḡ is its mean over the image; hue is turned about the grey axis,
    which keeps the luminance. b, c, s are drawn from the interval given, or from max(0, 1−d)..1+d for a number d; h
    in turns, within −0.5..0.5.

    Shapes: float `N 3 H W` in 0..1 → the same; one channel will do if saturation and hue are left alone.

    Raises `DomainError` for parameters out of range, `DTypeError` for integer images, `ShapeError` for other channels.

    Source: Haeberli, *Matrix operations for image processing*, 1993; Howard, *Some improvements on deep convolutional
    neural network based image classification*, 2013.

    >>> grey = np.full((1, 3, 2, 2), 0.5, np.float32)
    >>> ColorJitter(brightness=(2, 2), hue=0.5)(grey, np.random.default_rng(0)).round(3).max()
    np.float32(1.0)
    """

    def __init__(
        self,
        brightness: float | tuple[float, float] = 0.0,
        contrast: float | tuple[float, float] = 0.0,
        saturation: float | tuple[float, float] = 0.0,
        hue: float | tuple[float, float] = 0.0,
    ) -> None:
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = (-hue, hue) if isinstance(hue, (int, float)) else hue
        if not -0.5 <= self.hue[0] <= self.hue[1] <= 0.5:
            raise DomainError(f"ColorJitter: hue={hue} → give turns in 0..0.5, or (low, high) within ±0.5")

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = generator("ColorJitter", rng)
        images = batch_of("ColorJitter", images, floating=True)
        n = len(images)
        bright, contrast, saturation = (
            rng.uniform(*limits, n)[:, None, None] for limits in (self.brightness, self.contrast, self.saturation)
        )
        angle = 2 * math.pi * rng.uniform(*self.hue, n)
        if images.shape[1] == 1 and not (any(self.hue) or any(factor - 1 for factor in self.saturation)):
            colours, grey = np.ones((n, 1, 1)), np.ones(1)
        else:
            _three("ColorJitter", images)
            colours, grey = _turned(angle) @ (saturation * np.eye(3) + (1 - saturation) * GREY), GREY
        mean = images.mean(axis=(2, 3), dtype=np.float64) @ grey
        out = _mapped(images, bright * contrast * colours, (1 - contrast) * bright * mean[:, None, None])
        return out.clip(0, 1, out=out)


class RandomGrayscale(Parametrised):
    """With probability `p`, the image without its colours: its luminance in all three channels.

    Shapes: float `N 3 H W` → the same. Raises `ShapeError` for other channels, `DTypeError` for integer images.

    >>> out = RandomGrayscale(p=1)(np.random.default_rng(0).random((1, 3, 2, 2)), np.random.default_rng(0))
    >>> bool(np.allclose(out[:, 0], out[:, 2]))
    True
    """

    def __init__(self, p: float = 0.1) -> None:
        self.p = probability("RandomGrayscale", p)

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = generator("RandomGrayscale", rng)
        images = _three("RandomGrayscale", batch_of("RandomGrayscale", images, floating=True))
        chosen = (rng.random(len(images)) < self.p)[:, None, None]
        return _mapped(images, np.where(chosen, np.broadcast_to(GREY, (3, 3)), np.eye(3)), np.zeros((1, 1, 1)))


class Lighting(Parametrised):
    """Each image shifted along the principal axes of ImageNet's colours: out = x + Σᵢ αᵢ λᵢ pᵢ, αᵢ ~ N(0, std²).

    λᵢ are the deviations of the training images' pixels along the axes pᵢ, in units of 0..1.

    Shapes: float `N 3 H W` → the same. Raises `ShapeError` for other channels, `DTypeError` for integer images.

    Source: Krizhevsky, Sutskever, Hinton 2012, sec. 4.1.

    >>> out = Lighting(0.1)(np.zeros((1, 3, 2, 2)), np.random.default_rng(0))
    >>> bool((out == out[:, :, :1, :1]).all())
    True
    """

    DEVIATIONS = np.array([0.2175, 0.0188, 0.0045])
    AXES = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])

    def __init__(self, std: float = 0.1) -> None:
        self.std = std
        if not 0 <= std < math.inf:
            raise DomainError(f"Lighting: std={std} → give a deviation of at least 0")

    def __call__(self, images: Images, rng: Generator | None = None) -> Images:
        rng = generator("Lighting", rng)
        images = _three("Lighting", batch_of("Lighting", images, floating=True))
        shift = rng.normal(0, self.std, (len(images), 3)) * self.DEVIATIONS @ self.AXES.T
        out: Images = images + shift.astype(images.dtype)[:, :, None, None]
        return out


def _mapped(images: Images, matrices: NDArray[Any], shifts: NDArray[Any]) -> Images:
    """Colours x of every pixel to M x + t, one map for each image: `N C C`, `N 1 1`."""
    pixels = images.reshape(*images.shape[:2], images.shape[2] * images.shape[3])
    out = matrices.astype(images.dtype) @ pixels
    out += shifts.astype(images.dtype)
    return out.reshape(images.shape)


def _turned(angle: NDArray[Any]) -> NDArray[Any]:
    """Rotations of colour about the grey axis: `N 3 3`."""
    turn = np.zeros((len(angle), 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 1, 2], turn[:, 2, 1] = -np.sin(angle), np.sin(angle)
    colours: NDArray[Any] = np.linalg.inv(YIQ) @ turn @ YIQ
    return colours


def _factors(name: str, value: float | tuple[float, float]) -> tuple[float, float]:
    low, high = (max(0.0, 1 - value), 1 + value) if isinstance(value, (int, float)) else value
    if not 0 <= low <= high < math.inf:
        raise DomainError(f"ColorJitter: {name}={value} → give a number of at least 0, or (low, high) of factors")
    return low, high


def _three(op: str, images: Images) -> Images:
    if images.shape[1] != 3:
        raise ShapeError(f"{op}: images have C={images.shape[1]}, expected red, green, blue → give colour pictures")
    return images
