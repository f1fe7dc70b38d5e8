"""GoogLeNet: modules that look at several scales at once (Szegedy et al. 2014, "Going deeper", arXiv 1409.4842)."""

from __future__ import annotations

from typing import NamedTuple

import autograd
import nn
from autograd import Tensor
from nn import AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential
from nn.published import Published
from vision.models.network import Network, choose, start

INCEPTIONS = {  # filters: 1×1; 3×3 reduce, 3×3; 5×5 reduce, 5×5; after pooling (table 1)
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

_OTHERWISE = "does not follow from the filters in the same line of the table"
PUBLISHED = Published(
    "Szegedy et al. 2014, table 1",
    (3, 224, 224),
    {
        "conv1": {
            "output": "112×112×64",
            "parameters": ("2.7K", "7·7·3·64 is 9,408; (7 + 7)·3·64 would be 2,688"),
            "multiply-adds": ("34M", "112·112·9,408 is 118 M; 112·112·2,688 would be 34 M"),
        },
        "maxpool1": {"output": "56×56×64"},
        "conv3": {
            "output": "56×56×192",
            "parameters": ("112K", "with those of conv2, and a K of 1,024: 114,688 weights"),
            "multiply-adds": ("360M", "with those of conv2: 359.7 M"),
        },
        "maxpool2": {"output": "28×28×192"},
        "inception3a": {
            "output": "28×28×256",
            "parameters": ("159K", "its K is 1,024: 159.5 K of weights, rounded down"),
            "multiply-adds": "128M",
        },
        "inception3b": {
            "output": "28×28×480",
            "parameters": ("380K", "its K is 1,024: 379.6 K"),
            "multiply-adds": "304M",
        },
        "maxpool3": {"output": "14×14×480"},
        "inception4a": {
            "output": "14×14×512",
            "parameters": ("364K", _OTHERWISE),
            "multiply-adds": ("73M", "rounded down"),
        },
        "inception4b": {"output": "14×14×512", "parameters": ("437K", _OTHERWISE), "multiply-adds": "88M"},
        "inception4c": {"output": "14×14×512", "parameters": ("463K", _OTHERWISE), "multiply-adds": "100M"},
        "inception4d": {"output": "14×14×528", "parameters": ("580K", _OTHERWISE), "multiply-adds": "119M"},
        "inception4e": {"output": "14×14×832", "parameters": ("840K", _OTHERWISE), "multiply-adds": "170M"},
        "maxpool4": {"output": "7×7×832"},
        "inception5a": {"output": "7×7×832", "parameters": ("1072K", _OTHERWISE), "multiply-adds": ("54M", _OTHERWISE)},
        "inception5b": {"output": "7×7×1024", "parameters": ("1388K", _OTHERWISE), "multiply-adds": "71M"},
        "avgpool": {"output": "1×1×1024"},
        "fc": {"output": "1000", "weights": ("1000K", "its K is 1,024: 1024·1000 is 1,024,000"), "multiply-adds": "1M"},
        "": {"depth": "22"},
    },
)


class Variant(NamedTuple):
    """What torchvision's network has otherwise than the paper's."""

    batch_norm: bool
    largest: int  # size of the filters that the paper calls 5×5
    last_pool: int  # size of the pooling before 5a
    dropout: float


VARIANTS = {
    "torchvision": Variant(batch_norm=True, largest=3, last_pool=2, dropout=0.2),
    "paper": Variant(batch_norm=False, largest=5, last_pool=3, dropout=0.4),
}


def unit(variant: Variant, channels: int, width: int, size: int, stride: int = 1) -> Sequential:
    """A convolution of odd size that keeps the image's size (over the stride), and a ReLU."""
    conv = Conv2d(channels, width, size, stride, padding=size // 2, bias=not variant.batch_norm)
    if variant.batch_norm:
        return Sequential({"conv": conv, "bn": BatchNorm2d(width, eps=0.001, activation="relu")})
    return Sequential({"conv": conv, "relu": ReLU()})


class Inception(nn.Module):
    """Filters 1×1, 3×3 and 5×5 and a pooling side by side, all behind 1×1 filters that reduce the channels (fig. 2b).

    Shapes: x (N, channels, H, W) → (N, out, H, W), out the sum of the four branches' filters.
    """

    def __init__(self, variant: Variant, channels: int, filters: tuple[int, ...]) -> None:
        one, three_reduce, three, five_reduce, five, pool = filters
        self.branch1 = unit(variant, channels, one, 1)
        self.branch2 = Sequential(unit(variant, channels, three_reduce, 1), unit(variant, three_reduce, three, 3))
        self.branch3 = Sequential(
            unit(variant, channels, five_reduce, 1), unit(variant, five_reduce, five, variant.largest)
        )
        self.branch4 = Sequential(MaxPool2d(3, 1, padding=1), unit(variant, channels, pool, 1))
        self.out = one + three + five + pool

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' maps, one after the other along the channels."""
        branches = [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]
        return autograd.concatenate(branches, axis=1)


def auxiliary(variant: Variant, channels: int, num_classes: int) -> Sequential:
    """A classifier on a middle layer, 14×14, whose loss (times 0.3) strengthens the gradient there (sec. 5)."""
    return Sequential(
        {
            "pool": AdaptiveAvgPool2d(4) if variant.batch_norm else AvgPool2d(5, 3),
            "conv": unit(variant, channels, 128, 1),
            "flatten": Flatten(),
            "fc1": Linear(128 * 4 * 4, 1024), "relu": ReLU(), "dropout": Dropout(0.7),
            "fc2": Linear(1024, num_classes),
        }
    )  # fmt: skip


class GoogLeNetOutputs(NamedTuple):
    """What the network returns in training: the scores, and those of the auxiliary classifiers after 4d and 4a."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class GoogLeNet(Network):
    """A chain of layers; auxiliary classifiers stand where they branch off, and run in training only."""

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """Return the scores; in training, with auxiliary classifiers, `GoogLeNetOutputs`."""
        heads: list[Tensor] = []
        for name, layer in self.named_children():
            if not name.startswith("aux"):
                x = layer(x)
            elif self.training:
                heads.append(layer(x))
        return GoogLeNetOutputs(x, *reversed(heads)) if heads else x


def googlenet(
    variant: str = "torchvision", num_classes: int = 1000, aux_logits: bool = True, dropout: float | None = None
) -> GoogLeNet:
    """GoogLeNet: nine inception modules, 22 weight layers deep; 6.67 % top-5 error as an ensemble (ILSVRC 2014).

    Shapes: x (N, 3, H, W) → (N, num_classes); the paper's H = W = 224 pixels. With `aux_logits` it returns
    `GoogLeNetOutputs` in training, whose auxiliary scores enter the loss with the weight 0.3.
    `variant`: "paper" with local response normalisation, "torchvision" with batch normalisation, its names and start.

    Raises:
        DomainError: for another variant.

    >>> scores = googlenet(num_classes=10)(autograd.zeros((2, 3, 64, 64)))
    >>> scores.logits.shape, scores.aux_logits1.shape
    ((2, 10), (2, 10))
    """
    chosen = choose("googlenet: variant", variant, VARIANTS)
    layers: dict[str, nn.Module] = {
        "conv1": unit(chosen, 3, 64, 7, stride=2),
        "maxpool1": MaxPool2d(3, 2, ceil_mode=True),
        "norm1": nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
        "conv2": unit(chosen, 64, 64, 1),
        "conv3": unit(chosen, 64, 192, 3),
        "norm2": nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
        "maxpool2": MaxPool2d(3, 2, ceil_mode=True),
    }
    if chosen.batch_norm:
        del layers["norm1"], layers["norm2"]
    channels = 192
    for name, filters in INCEPTIONS.items():
        layers[f"inception{name}"] = module = Inception(chosen, channels, filters)
        channels = module.out
        if name == "3b":
            layers["maxpool3"] = MaxPool2d(3, 2, ceil_mode=True)
        elif name == "4e":
            layers["maxpool4"] = MaxPool2d(chosen.last_pool, 2, ceil_mode=True)
        elif name in ("4a", "4d") and aux_logits:
            layers["aux1" if name == "4a" else "aux2"] = auxiliary(chosen, channels, num_classes)
    layers |= {
        "avgpool": AdaptiveAvgPool2d(1),  # 7×7 at 224 pixels
        "flatten": Flatten(),
        "dropout": Dropout(chosen.dropout if dropout is None else dropout),
        "fc": Linear(channels, num_classes),
    }
    network = GoogLeNet(layers, None if chosen.batch_norm else PUBLISHED)
    for kind in (Conv2d, Linear):
        if chosen.batch_norm:
            start(network, kind, lambda w: nn.init.normal_(w, std=0.01), biases=None)
        else:
            start(network, kind, nn.init.xavier_uniform_, biases=0.2)
    return network
