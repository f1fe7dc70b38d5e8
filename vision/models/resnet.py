"""ResNet: layers that learn what to add to their input (He et al. 2015, "Deep residual learning", arXiv 1512.03385)."""

from __future__ import annotations

import nn
from autograd import Tensor
from nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, Sequential, chain
from nn.published import Figures, Published
from vision.models.network import Network, choose, start

STRIDES = {"torchvision": (1, 2), "paper": (2, 1)}
"""Strides of a bottleneck's first two convolutions that halve an image: the paper's 1×1 skips pixels, a 3×3 none."""


class BasicBlock(nn.Module):
    """relu(F(x) + x), F two 3×3 convolutions (fig. 2; eq. 1, 2)."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int = 1, variant: str = "torchvision") -> None:
        self.conv1 = Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(width, activation="relu")
        self.conv2 = Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(width, activation="relu")
        self.downsample = shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x) + x); the last normalisation adds x and rectifies."""
        out = chain(x, self.conv1, self.bn1)
        return chain(out, self.conv2, self.bn2, residual=self.downsample(x))


class Bottleneck(nn.Module):
    """relu(F(x) + x), F a 1×1 convolution to fewer channels, a 3×3 on those, and a 1×1 back (fig. 5)."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int = 1, variant: str = "torchvision") -> None:
        first, second = STRIDES[variant] if stride == 2 else (1, 1)
        self.conv1 = Conv2d(channels, width, 1, first, bias=False)
        self.bn1 = BatchNorm2d(width, activation="relu")
        self.conv2 = Conv2d(width, width, 3, second, padding=1, bias=False)
        self.bn2 = BatchNorm2d(width, activation="relu")
        self.conv3 = Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = BatchNorm2d(4 * width, activation="relu")
        self.downsample = shortcut(channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x) + x); the last normalisation adds x and rectifies."""
        out = chain(x, self.conv1, self.bn1, self.conv2, self.bn2)
        return chain(out, self.conv3, self.bn3, residual=self.downsample(x))


def shortcut(channels: int, out: int, stride: int) -> nn.Module:
    """What the input goes through on its way past the block: nothing, unless its shape must change (option B)."""
    if stride == 1 and channels == out:
        return nn.Identity()
    return Sequential(Conv2d(channels, out, 1, stride, bias=False), BatchNorm2d(out))


NETWORKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {  # blocks in each stage (table 1)
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}

MULTIPLY_ADDS: dict[int, str | tuple[str, str]] = {  # table 1
    18: "1.8 G",
    34: ("3.6 G", "its shortcuts have no weights (option A): 3.64 G; with 1×1 convolutions 3.66 G"),
    50: ("3.8 G", "3.86 G, rounded down"),
    101: "7.6 G",
    152: "11.3 G",
}
PARAMETERS = {
    18: "11.7 M",
    34: "21.8 M",
    50: "25.6 M",
    101: "44.5 M",
    152: "60.2 M",
}  # of the weights that torchvision publishes: the paper gives none


def _published(depth: int, variant: str) -> Published:
    kind, _ = NETWORKS[depth]
    products = MULTIPLY_ADDS[depth]
    if variant == "torchvision" and kind is Bottleneck:
        stated = products if isinstance(products, str) else products[0]
        products = (stated, "the stride stands in the 3×3 convolutions, so the 1×1 before them see the larger image")
    sizes = {stage: f"{112 // 2**stage}×{112 // 2**stage}×{32 * 2**stage * kind.expansion}" for stage in range(1, 5)}
    figures: Figures = {
        "conv1": {"output": "112×112×64"},
        **{f"layer{stage}": {"output": size} for stage, size in sizes.items()},
        "fc": {"output": "1000"},
        "": {"depth": str(depth), "parameters": PARAMETERS[depth], "multiply-adds": products},
    }
    return Published(
        "He et al. 2015, table 1; parameters, not in the paper: the weights that torchvision publishes",
        (3, 224, 224),
        figures,
    )


def resnet(depth: int, variant: str = "torchvision", num_classes: int = 1000) -> Network:
    """ResNet with 18, 34, 50, 101 or 152 weight layers; weights start as in He et al. 2015 (arXiv 1502.01852), eq. 10.

    Shapes: x (N, 3, H, W) → (N, num_classes); the paper's H = W = 224 pixels, any from 1 on works.
    `variant` "paper" and "torchvision" differ in where a bottleneck takes its stride, so not for 18 and 34.

    Raises:
        DomainError: for another depth or variant.
    """
    kind, blocks = choose("resnet: depth", depth, NETWORKS)
    choose("resnet: variant", variant, STRIDES)
    layers: dict[str, nn.Module] = {
        "conv1": Conv2d(3, 64, 7, 2, padding=3, bias=False),
        "bn1": BatchNorm2d(64, activation="relu"),
        "maxpool": MaxPool2d(3, 2, padding=1),
    }
    channels = 64
    for stage, count in enumerate(blocks, start=1):
        width = 32 * 2**stage
        rest = (kind(width * kind.expansion, width, 1, variant) for _ in range(count - 1))
        layers[f"layer{stage}"] = Sequential(kind(channels, width, 1 if stage == 1 else 2, variant), *rest)
        channels = width * kind.expansion
    layers |= {"avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten(), "fc": Linear(channels, num_classes)}
    network = Network(layers, _published(depth, variant))
    start(network, Conv2d, lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"))
    return network


def resnet18(variant: str = "torchvision", num_classes: int = 1000) -> Network:
    """ResNet with 18 weight layers.

    >>> import autograd
    >>> resnet18(num_classes=10).eval()(autograd.zeros((1, 3, 32, 32))).shape
    (1, 10)
    """
    return resnet(18, variant, num_classes)


def resnet34(variant: str = "torchvision", num_classes: int = 1000) -> Network:
    """ResNet with 34 weight layers."""
    return resnet(34, variant, num_classes)


def resnet50(variant: str = "torchvision", num_classes: int = 1000) -> Network:
    """ResNet with 50 weight layers."""
    return resnet(50, variant, num_classes)


def resnet101(variant: str = "torchvision", num_classes: int = 1000) -> Network:
    """ResNet with 101 weight layers."""
    return resnet(101, variant, num_classes)


def resnet152(variant: str = "torchvision", num_classes: int = 1000) -> Network:
    """ResNet with 152 weight layers, which won ILSVRC 2015 with 3.57 % top-5 error (as an ensemble of six)."""
    return resnet(152, variant, num_classes)
