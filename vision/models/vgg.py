"""VGG: depth from 3×3 convolutions (Simonyan & Zisserman 2014, "Very deep convolutional networks", arXiv 1409.1556)."""

from __future__ import annotations

import nn
from nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
)
from nn.published import Figures, Published
from vision.models.network import Network, choose, start

CONFIGURATIONS = {  # table 1, without the max pooling that ends every stage; 1×1 convolutions as "1x256"
    "A": "64 / 128 / 256 256 / 512 512 / 512 512",
    "A-LRN": "64 LRN / 128 / 256 256 / 512 512 / 512 512",
    "B": "64 64 / 128 128 / 256 256 / 512 512 / 512 512",
    "C": "64 64 / 128 128 / 256 256 1x256 / 512 512 1x512 / 512 512 1x512",
    "D": "64 64 / 128 128 / 256 256 256 / 512 512 512 / 512 512 512",
    "E": "64 64 / 128 128 / 256 256 256 256 / 512 512 512 512 / 512 512 512 512",
}

TABLES: Figures = {  # tables 1 and 2; multiply-adds as He et al. 2015 give them (sec. 3.3 and fig. 3)
    "A": {"depth": "11", "parameters": "133 M"},
    "A-LRN": {"depth": "11", "parameters": "133 M"},
    "B": {"depth": "13", "parameters": "133 M"},
    "C": {"depth": "16", "parameters": "134 M"},
    "D": {"depth": "16", "parameters": "138 M", "multiply-adds": ("15.3 G", "the convolutions alone: 15.35 G")},
    "E": {"depth": "19", "parameters": "144 M", "multiply-adds": "19.6 G"},
}


def features(configuration: str, batch_norm: bool = False) -> Sequential:
    """The convolutional part: x (N, 3, H, W) → (N, 512, H/32, W/32).

    >>> [type(layer).__name__ for layer in features("64 LRN / 128")]
    ['Conv2d', 'ReLU', 'LocalResponseNorm', 'MaxPool2d', 'Conv2d', 'ReLU', 'MaxPool2d']
    """
    layers: list[nn.Module | None] = []
    channels = 3
    for stage in configuration.split("/"):
        for word in stage.split():
            if word == "LRN":  # sec. 2.1 takes the parameters of Krizhevsky et al. 2012
                layers.append(LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0))
                continue
            size, width = (1, int(word[2:])) if word.startswith("1x") else (3, int(word))
            layers.append(Conv2d(channels, width, size, padding=size // 2))
            layers += [BatchNorm2d(width, activation="relu"), None] if batch_norm else [ReLU()]
            channels = width
        layers.append(MaxPool2d(2, 2))
    return Sequential({f"{i}": layer for i, layer in enumerate(layers) if layer})  # keys count a ReLU after each norm


def _published(configuration: str) -> Published:
    field = {"receptive field": "212"} if configuration == "D" else {}
    figures = {"features": {"output": "7×7×512"} | field, "classifier": {"output": "1000"}, "": TABLES[configuration]}
    sources = "multiply-adds: He et al. 2015; receptive field: Araujo et al. 2019"
    return Published(f"Simonyan & Zisserman 2014, tables 1 and 2; {sources}", (3, 224, 224), figures)


def _torchvision(network: Network) -> None:
    start(network, Conv2d, lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"))
    start(network, Linear, lambda w: nn.init.normal_(w, std=0.01))


def _paper(network: Network) -> None:
    """Glorot & Bengio's rule, which sec. 3.1 found to make the pre-training of shallower networks unnecessary."""
    for kind in (Conv2d, Linear):
        start(network, kind, nn.init.xavier_uniform_)


STARTS = {"torchvision": _torchvision, "paper": _paper}


def vgg(
    configuration: str = "D",
    batch_norm: bool = False,
    num_classes: int = 1000,
    variant: str = "torchvision",
    dropout: float = 0.5,
) -> Network:
    """VGG in the configuration A, A-LRN, B, C, D or E of table 1; `variant` chooses how its weights start.

    Shapes: x (N, 3, H, W) → (N, num_classes); the paper's H = W = 224 pixels, any from 32 on works.
    Keys are torchvision's; 7.3 % top-5 error for an ensemble (ILSVRC 2014).

    Raises:
        DomainError: for another configuration or variant.
    """
    layers, initialise = (
        choose("vgg: configuration", configuration, CONFIGURATIONS),
        choose("vgg: variant", variant, STARTS),
    )
    network = Network(
        {
            "features": features(layers, batch_norm),
            "avgpool": AdaptiveAvgPool2d(7),  # changes nothing at 224 pixels
            "flatten": Flatten(),
            "classifier": Sequential(
                Linear(512 * 7 * 7, 4096), ReLU(), Dropout(dropout),
                Linear(4096, 4096), ReLU(), Dropout(dropout),
                Linear(4096, num_classes),
            ),
        },
        None if batch_norm else _published(configuration),
    )  # fmt: skip
    initialise(network)
    return network


def vgg11(num_classes: int = 1000) -> Network:
    """Configuration A, with torchvision's start."""
    return vgg("A", False, num_classes)


def vgg13(num_classes: int = 1000) -> Network:
    """Configuration B, with torchvision's start."""
    return vgg("B", False, num_classes)


def vgg16(num_classes: int = 1000) -> Network:
    """Configuration D, with torchvision's start."""
    return vgg("D", False, num_classes)


def vgg19(num_classes: int = 1000) -> Network:
    """Configuration E, with torchvision's start."""
    return vgg("E", False, num_classes)


def vgg11_bn(num_classes: int = 1000) -> Network:
    """Configuration A with batch normalisation, with torchvision's start."""
    return vgg("A", True, num_classes)


def vgg13_bn(num_classes: int = 1000) -> Network:
    """Configuration B with batch normalisation, with torchvision's start."""
    return vgg("B", True, num_classes)


def vgg16_bn(num_classes: int = 1000) -> Network:
    """Configuration D with batch normalisation, with torchvision's start."""
    return vgg("D", True, num_classes)


def vgg19_bn(num_classes: int = 1000) -> Network:
    """Configuration E with batch normalisation, with torchvision's start."""
    return vgg("E", True, num_classes)
