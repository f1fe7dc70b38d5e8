"""What every data set in memory is: images, labels, and the names of the classes."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autograd.errors import ShapeError


class LabelledImages:
    """Images and their labels as arrays: `ds[5]` is one pair, `ds[10:20]` and `ds[indices]` are whole batches.

    Shapes: `images` uint8 `N H W` or `N H W C`, `labels` int64 `N`. Slices are views, index arrays copy.

    Raises `ShapeError` when the two differ in length.

    >>> ds = LabelledImages(np.zeros((3, 2, 2), np.uint8), np.array([4, 5, 6]), classes=("a", "b"))
    >>> len(ds), int(ds[1][1]), ds[[0, 2]][1].tolist(), ds[-2:][0].shape
    (3, 5, [4, 6], (2, 2, 2))
    """

    whole_batches: ClassVar[bool] = True  # a data loader may index with an array
    classes: tuple[str, ...] = ()
    mean: ClassVar[tuple[float, ...]] = ()
    std: ClassVar[tuple[float, ...]] = ()

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], classes: tuple[str, ...] = ()) -> None:
        if len(images) != len(labels):
            raise ShapeError(
                f"{type(self).__name__}: images hold {len(images):,} samples but labels {len(labels):,} "
                "→ give one label for each image"
            )
        self.images = images
        self.labels = labels
        self.classes = classes or self.classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self.images[index], self.labels[index]

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.images.shape[1:]))
        return f"{type(self).__name__}({len(self):,} images of {shape}, {len(self.classes)} classes)"
