"""AlexNet (Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks")."""

from __future__ import annotations

import nn
from nn import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2d, ReLU, Sequential
from nn.published import Published
from vision.models.network import Network, choose, start

PAPER = Published(
    "Krizhevsky et al. 2012, fig. 2 and sec. 3.5; receptive field: Araujo et al. 2019",
    (3, 227, 227),  # the paper says 224, from which no padding gives the 55×55 of its second layer: (224 − 11)/4 + 1
    {
        "conv1": {"weights": "96·11·11·3", "neurons": ("253,440", "the 55×55 of fig. 2 times 96 filters is 290,400")},
        "conv2": {"weights": "256·5·5·48", "neurons": "186,624"},
        "conv3": {"weights": "384·3·3·256", "neurons": "64,896"},
        "conv4": {"weights": "384·3·3·192", "neurons": "64,896"},
        "conv5": {"weights": "256·3·3·192", "neurons": "43,264"},
        "pool5": {"receptive field": "195"},
        "fc6": {"neurons": "4096"},
        "fc7": {"neurons": "4096"},
        "fc8": {"neurons": "1000"},
        "": {"parameters": ("60 M", "60,965,224 rounds to 61 M; the paper rounds down"), "depth": "8"},
    },
)

LECTURE = Published(
    "the lecture's slide, after Stanford's CS231n",
    (3, 227, 227),
    {
        "conv1": {"output": "55×55×96"},
        "pool1": {"output": "27×27×96"},
        "norm1": {"output": "27×27×96"},
        "conv2": {"output": "27×27×256"},
        "pool2": {"output": "13×13×256"},
        "norm2": {"output": "13×13×256"},
        "conv3": {"output": "13×13×384"},
        "conv4": {"output": "13×13×384"},
        "conv5": {"output": "13×13×256"},
        "pool5": {"output": "6×6×256"},
        "fc6": {"output": "4096"},
        "fc7": {"output": "4096"},
        "fc8": {"output": "1000"},
    },
)


def _torchvision(num_classes: int, dropout: float) -> Network:
    """One tower, fewer filters, no normalisation (Krizhevsky 2014, "One weird trick", arXiv 1404.5997)."""
    return Network(
        {
            "features": Sequential(
                Conv2d(3, 64, 11, 4, padding=2), ReLU(), MaxPool2d(3, 2),
                Conv2d(64, 192, 5, padding=2), ReLU(), MaxPool2d(3, 2),
                Conv2d(192, 384, 3, padding=1), ReLU(),
                Conv2d(384, 256, 3, padding=1), ReLU(),
                Conv2d(256, 256, 3, padding=1), ReLU(), MaxPool2d(3, 2),
            ),
            "avgpool": AdaptiveAvgPool2d(6),
            "flatten": Flatten(),
            "classifier": Sequential(
                Dropout(dropout), Linear(256 * 6 * 6, 4096), ReLU(),
                Dropout(dropout), Linear(4096, 4096), ReLU(),
                Linear(4096, num_classes),
            ),
        }
    )  # fmt: skip


def _as_published(num_classes: int, dropout: float, groups: int = 2, pool_first: bool = False) -> Network:
    """Two groups of filters (one for each GPU), normalisation before pooling (sec. 3.3 to 3.5); fc6 is 256·6·6 wide."""

    def normalised(number: int) -> dict[str, nn.Module]:
        norm = {f"norm{number}": LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)}
        pool = {f"pool{number}": MaxPool2d(3, 2)}
        return {**pool, **norm} if pool_first else {**norm, **pool}

    network = Network(
        {
            "conv1": Conv2d(3, 96, 11, 4), "relu1": ReLU(), **normalised(1),
            "conv2": Conv2d(96, 256, 5, padding=2, groups=groups), "relu2": ReLU(), **normalised(2),
            "conv3": Conv2d(256, 384, 3, padding=1), "relu3": ReLU(),
            "conv4": Conv2d(384, 384, 3, padding=1, groups=groups), "relu4": ReLU(),
            "conv5": Conv2d(384, 256, 3, padding=1, groups=groups), "relu5": ReLU(), "pool5": MaxPool2d(3, 2),
            "flatten": Flatten(),
            "fc6": Linear(256 * 6 * 6, 4096), "relu6": ReLU(), "drop6": Dropout(dropout),
            "fc7": Linear(4096, 4096), "relu7": ReLU(), "drop7": Dropout(dropout),
            "fc8": Linear(4096, num_classes),
        },
        LECTURE if pool_first else PAPER,
    )  # fmt: skip
    for kind in (Conv2d, Linear):
        start(network, kind, lambda w: nn.init.normal_(w, std=0.01))
    for name in ("conv2", "conv4", "conv5", "fc6", "fc7"):  # so that their ReLUs start with positive inputs (sec. 5)
        nn.init.ones_(dict(network.named_parameters())[f"{name}.bias"])
    return network


VARIANTS = {
    "torchvision": _torchvision,
    "paper": _as_published,
    "lecture": lambda num_classes, dropout: _as_published(num_classes, dropout, groups=1, pool_first=True),
}


def alexnet(variant: str = "torchvision", num_classes: int = 1000, dropout: float = 0.5) -> Network:
    """AlexNet: five convolutions and three fully connected layers; top-5 error 16.4 % (ILSVRC 2012).

    Shapes: x (N, 3, H, W) → (N, num_classes); "paper" and "lecture" need H = W = 227 pixels, "torchvision" at least 63.
    `variant`: "paper" with two groups of filters, "lecture" (its "simplified" one) without groups and with pooling
    before normalisation, "torchvision" with its names, sizes and start.

    Raises:
        DomainError: for another variant.
    """
    return choose("alexnet: variant", variant, VARIANTS)(num_classes, dropout)
