"""Labelled images as NumPy arrays, fetched once, verified always.

>>> from vision.datasets import MNIST
>>> train = MNIST(train=True)                                                   # doctest: +SKIP
>>> images, labels = train[:64]                                                 # doctest: +SKIP
>>> images.shape, labels.shape                                                  # doctest: +SKIP
((64, 28, 28), (64,))
"""

from vision.datasets.base import LabelledImages
from vision.datasets.cifar import CIFAR10
from vision.datasets.emoji import Emoji
from vision.datasets.fetch import cache_dir
from vision.datasets.folder import ImageFolder, write_folder
from vision.datasets.idx import read_idx, write_idx
from vision.datasets.mnist import MNIST, FashionMNIST
from vision.datasets.photographs import photograph

__all__ = [
    "CIFAR10", "MNIST", "Emoji", "FashionMNIST", "ImageFolder", "LabelledImages", "cache_dir", "photograph",
    "read_idx", "write_folder", "write_idx",
]  # fmt: skip
