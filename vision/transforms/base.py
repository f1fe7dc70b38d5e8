"""What a transform is, several in a row, and the checks that all of them share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from autograd.errors import DomainError, DTypeError, ShapeError

Images: TypeAlias = NDArray[Any]


class Transform(Protocol):
    """What `Compose`, and a data loader, calls."""

    def __call__(self, images: Images, rng: Generator | None = None) -> Images: ...


class Compose:
    """Transforms one after another, given singly or as a list, all drawing from the same generator.

    >>> from vision.transforms import Pad, ToFloat
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


class Parametrised:
    """A readable `repr` from the parameters."""

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in vars(self).items() if name[0] != "_")
        return f"{type(self).__name__}({', '.join(given)})"


def kind_of(images: object) -> str:
    """What was given instead of images, in words."""
    return f"{images.dtype}" if isinstance(images, np.ndarray) else f"a {type(images).__name__}"


def batch_of(op: str, images: Images, floating: bool = False) -> Images:
    """The images, if they are a batch `N C H W` of a type that the operation takes."""
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "fiu":
        raise DTypeError(
            f"{op}: images are {kind_of(images)}, expected a NumPy array of numbers → convert with numpy.asarray"
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


def generator(op: str, rng: Generator | None) -> Generator:
    """The generator, if one was given."""
    if not isinstance(rng, Generator):
        raise DTypeError(
            f"{op}: rng is {type(rng).__name__}, expected a Generator → pass numpy.random.default_rng(seed)"
        )
    return rng


def pair(op: str, size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width, in pixels."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise DomainError(f"{op}: size={size} → give positive numbers of pixels")
    return height, width


def probability(op: str, p: float) -> float:
    """The number p, if it is a probability."""
    if not 0 <= p <= 1:
        raise DomainError(f"{op}: p={p} → give a probability in 0..1")
    return p


def interval(op: str, name: str, value: float | tuple[float, float], limit: float) -> tuple[float, float]:
    """The interval of that name, within ±limit; of a number, the one around zero."""
    low, high = (-value, value) if isinstance(value, (int, float)) else value
    if not -limit <= low <= high <= limit:
        raise DomainError(f"{op}: {name}={value} → give a number in 0..{limit} or (low, high) within ±{limit}")
    return low, high


def log_uniform(limits: tuple[float, float], n: int, rng: Generator) -> NDArray[np.float64]:
    """n numbers whose logarithms are drawn uniformly."""
    return np.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]), n))
