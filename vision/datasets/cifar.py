"""CIFAR-10 in its binary version: records of a label byte and 3 × 1,024 pixels. No pickles, so nothing is executed."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autograd.errors import DataError
from vision.datasets.base import LabelledImages
from vision.datasets.fetch import Mirror, RemoteFile, fetch, read_members

_RECORD = 1 + 3 * 32 * 32
_ROWS = 10_000


class CIFAR10(LabelledImages):
    """Colour photographs of 32 × 32 pixels in ten classes, 6,000 of each.

    Shapes: `images` uint8 `N 32 32 3` (RGB), `labels` int64 `N`; N is 50,000, or 10,000 with `train=False`.

    Raises `DataError` when the mirror cannot be reached, or the archive is damaged.

    Source: Krizhevsky, *Learning multiple layers of features from tiny images*, 2009.

    >>> CIFAR10.classes[3]
    'cat'
    """

    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    archive: ClassVar[RemoteFile] = RemoteFile(
        "cifar-10-binary.tar.gz", 170_052_171, "md5:c32a1d4ab5d03f1284b67883e8d87530"
    )
    sources: ClassVar[tuple[Mirror, ...]] = (Mirror("https://www.cs.toronto.edu/~kriz/"),)
    hint: ClassVar[str] = "No package is known that carries CIFAR-10, so it needs this mirror or the archive by hand."

    def __init__(self, train: bool = True) -> None:
        name = self.archive.name
        path = fetch("CIFAR10", [self.archive], self.sources, "cifar10", self.hint)[name]
        parts = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
        sizes = {f"cifar-10-batches-bin/{part}": _ROWS * _RECORD for part in parts}
        members = read_members(path, sizes)
        images, labels = decode_records(b"".join(members[member] for member in sizes), str(path))
        super().__init__(images, labels)
        self.train = train


def decode_records(data: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images `N 32 32 3` and labels `N` from CIFAR-10 records: a label 0..9, then the red, green and blue planes.

    Raises `DataError` when `data` is not a whole number of records or a label is above 9.

    >>> images, labels = decode_records(bytes([7]) + bytes(3072), "example")
    >>> images.shape, labels
    ((1, 32, 32, 3), array([7]))
    """
    if len(data) % _RECORD:
        raise DataError(f"CIFAR10: {name} holds {len(data):,} bytes, not a multiple of {_RECORD:,} → fetch it again")
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max(initial=0) > 9:
        raise DataError(f"CIFAR10: {name} holds the label {labels.max()}, expected 0..9 → fetch it again")
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
