"""Photographs that come with scientific packages: something real to show to a network."""

import numpy as np
from numpy.typing import NDArray

from autograd.errors import DomainError
from vision.datasets.fetch import Mirror, RemoteFile, Source, fetch
from vision.datasets.folder import decode
from vision.datasets.pip import WINDOWS_WHEEL, PipPackage

_SCIKIT_IMAGE: tuple[Source, ...] = (
    Mirror("https://raw.githubusercontent.com/scikit-image/scikit-image/v0.25.2/skimage/data/"),
    PipPackage(
        "scikit-image==0.25.2",
        "skimage/data/",
        12.9,
        "bdd2b8c1de0849964dbc54037f36b4e9420157e67e45a8709a80d727f52c7da2",
        WINDOWS_WHEEL,
    ),
)
_SCIKIT_LEARN: tuple[Source, ...] = (
    Mirror("https://raw.githubusercontent.com/scikit-learn/scikit-learn/1.7.2/sklearn/datasets/images/"),
    PipPackage(
        "scikit-learn==1.7.2",
        "sklearn/datasets/images/",
        8.7,
        "6088aa475f0785e01bcf8529f55280a3d7d298679f50c0bb70a2364a82d0b290",
        WINDOWS_WHEEL,
    ),
)

PHOTOGRAPHS: dict[str, tuple[RemoteFile, tuple[Source, ...]]] = {
    name.partition(".")[0]: (RemoteFile(name, size, f"sha256:{digest}"), sources)
    for name, size, digest, sources in (
        ("chelsea.png", 240_512, "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb", _SCIKIT_IMAGE),
        ("coffee.png", 466_706, "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7", _SCIKIT_IMAGE),
        ("astronaut.png", 791_555, "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", _SCIKIT_IMAGE),
        ("rocket.jpg", 112_525, "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c", _SCIKIT_IMAGE),
        ("china.jpg", 196_653, "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29", _SCIKIT_LEARN),
        ("flower.jpg", 142_987, "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638", _SCIKIT_LEARN),
    )
}
"""By name: the cat Chelsea, an espresso, Eileen Collins, a rocket on its pad, a Chinese temple, a dahlia."""


def photograph(name: str) -> NDArray[np.uint8]:
    """A photograph in colour, fetched once: `"chelsea"`, `"coffee"`, `"astronaut"`, `"rocket"`, `"china"`, `"flower"`.

    Shapes: uint8 `H W 3`.

    Raises `DomainError` for another name, `DataError` when no source can be reached or the file is damaged.

    Source: the data of scikit-image 0.25.2 and scikit-learn 1.7.2.

    >>> photograph("coffee").shape                                                  # doctest: +SKIP
    (400, 600, 3)
    """
    if name not in PHOTOGRAPHS:
        raise DomainError(f"photograph: name is {name!r}, expected one of {', '.join(map(repr, PHOTOGRAPHS))}")
    file, sources = PHOTOGRAPHS[name]
    return decode("photograph", fetch(f"photograph {name}", [file], sources, "photographs")[file.name], "RGB")
