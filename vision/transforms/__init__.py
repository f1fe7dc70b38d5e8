"""Transforms of whole batches of images, as NumPy arrays, before they become tensors.

Each is a callable `transform(images, rng)`: a batch `N C H W` in, a batch out, the input left as it was. The random
ones draw from the `numpy.random.Generator` that they are given, so a seed decides everything; the others ignore it.
`Mixup` and `CutMix` take and give a whole batch, images and labels.

    >>> import numpy as np
    >>> prepare = Compose(ToFloat(), RandomAffine(degrees=10, translate=(0.1, 0.1)), Normalize(0.1307, 0.3081))
    >>> batch = np.full((64, 28, 28), 100, np.uint8)
    >>> out = prepare(batch, np.random.default_rng(0))
    >>> out.shape, out.dtype
    ((64, 1, 28, 28), dtype('float32'))
"""

from vision.transforms.base import Compose, Transform
from vision.transforms.colour import ColorJitter, Lighting, Normalize, RandomGrayscale, ToFloat
from vision.transforms.geometry import (
    CenterCrop,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
)
from vision.transforms.mixing import CutMix, Mixup, RandomErasing

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "CutMix", "Lighting", "Mixup", "Normalize", "Pad", "RandomAffine",
    "RandomCrop", "RandomErasing", "RandomGrayscale", "RandomHorizontalFlip", "RandomResizedCrop", "ToFloat",
    "Transform",
]  # fmt: skip
