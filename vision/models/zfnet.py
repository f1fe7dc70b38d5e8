"""ZFNet (Zeiler & Fergus 2013, "Visualizing and understanding convolutional networks", arXiv 1311.2901)."""

from __future__ import annotations

import nn
from nn import Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2d, ReLU
from nn.published import Published
from vision.models.network import Network, choose, start

FILTERS = {"a": (384, 384, 256), "b": (512, 1024, 512)}
"""Filters of the convolutions 3, 4, 5: network (a) is figure 3's, (b) the wider one of table 2 and of the lecture."""

_BOTH = {
    "conv1": {"output": "110×110×96"},
    "norm1": {"output": "55×55×96"},
    "conv2": {"output": "26×26×256"},
    "norm2": {"output": "13×13×256"},
    "fc6": {"output": "4096"},
    "fc7": {"output": "4096"},
    "": {"depth": "8"},
}
PUBLISHED = {
    "a": Published(
        "Zeiler & Fergus 2013, fig. 3",
        (3, 224, 224),
        _BOTH | {"conv3": {"output": "13×13×384"}, "conv4": {"output": "13×13×384"}, "pool5": {"output": "6×6×256"}},
    ),
    "b": Published(
        "Zeiler & Fergus 2013, fig. 3 and table 2; lecture",
        (3, 224, 224),
        _BOTH | {"conv3": {"output": "13×13×512"}, "conv4": {"output": "13×13×1024"}, "conv5": {"output": "13×13×512"}},
    ),
}


def zfnet(variant: str = "b", num_classes: int = 1000, dropout: float = 0.5) -> Network:
    """ZFNet: AlexNet with smaller filters, closer together, in the first two layers; 14.8 % top-5 error as an ensemble.

    Shapes: x (N, 3, 224, 224) → (N, num_classes). Every weight starts with 10⁻² (sec. 3), read as a deviation of that.

    Raises:
        DomainError: for another variant.
    """
    third, fourth, fifth = choose("zfnet: variant", variant, FILTERS)

    def pool_and_norm(number: int) -> dict[str, nn.Module]:
        norm = LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)
        return {f"pool{number}": MaxPool2d(3, 2, ceil_mode=True), f"norm{number}": norm}

    network = Network(
        {
            "conv1": Conv2d(3, 96, 7, 2, padding=1), "relu1": ReLU(), **pool_and_norm(1),
            "conv2": Conv2d(96, 256, 5, 2), "relu2": ReLU(), **pool_and_norm(2),
            "conv3": Conv2d(256, third, 3, padding=1), "relu3": ReLU(),
            "conv4": Conv2d(third, fourth, 3, padding=1), "relu4": ReLU(),
            "conv5": Conv2d(fourth, fifth, 3, padding=1), "relu5": ReLU(), "pool5": MaxPool2d(3, 2, ceil_mode=True),
            "flatten": Flatten(),
            "fc6": Linear(fifth * 6 * 6, 4096), "relu6": ReLU(), "drop6": Dropout(dropout),
            "fc7": Linear(4096, 4096), "relu7": ReLU(), "drop7": Dropout(dropout),
            "fc8": Linear(4096, num_classes),
        },
        PUBLISHED[variant],
    )  # fmt: skip
    for kind in (Conv2d, Linear):
        start(network, kind, lambda w: nn.init.normal_(w, std=0.01))
    return network
