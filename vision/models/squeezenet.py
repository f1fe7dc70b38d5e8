"""SqueezeNet: AlexNet's accuracy with 50 times fewer parameters (Iandola et al. 2016, arXiv 1602.07360)."""

from __future__ import annotations

import autograd
import nn
from autograd import Tensor
from nn import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, MaxPool2d, ReLU, Sequential, chain
from nn.published import Published
from vision.models.network import Network, choose, start

VERSIONS = {  # channels and size of the first convolution; then poolings ("M") and the squeeze widths of fire modules
    "1.0": (96, 7, "M 16 16 32 M 32 48 48 64 M 64"),
    "1.1": (64, 3, "M 16 16 M 32 32 M 48 48 64 64"),
}

PUBLISHED = {
    "1.0": Published(
        "Iandola et al. 2016, table 1",
        (3, 227, 227),  # the paper says 224, which would give 109×109; its own training uses 227
        {
            "features.0": {"output": "111×111×96", "parameters": "14,208"},
            "features.2": {"output": "55×55×96"},
            "features.3": {"output": "55×55×128", "parameters": "11,920"},
            "features.4": {"output": "55×55×128", "parameters": "12,432"},
            "features.5": {"output": "55×55×256", "parameters": "45,344"},
            "features.6": {"output": "27×27×256"},
            "features.7": {"output": "27×27×256", "parameters": "49,440"},
            "features.8": {"output": "27×27×384", "parameters": "104,880"},
            "features.9": {"output": "27×27×384", "parameters": "111,024"},
            "features.10": {"output": "27×27×512", "parameters": "188,992"},
            "features.11": {"output": ("13×12×512", "a slip of the pen: the next line has 13×13")},
            "features.12": {"output": "13×13×512", "parameters": "197,184"},
            "classifier.1": {"output": "13×13×1000", "parameters": "513,000"},
            "classifier.3": {"output": "1×1×1000"},
            "": {"parameters": "1,248,424"},
        },
    ),
    "1.1": Published(
        "filters: the authors' README beside the weights; parameters: those that torchvision publishes",
        (3, 227, 227),
        {"features.0": {"weights": "64·3·3·3"}, "": {"parameters": "1,235,496"}},
    ),
}


class Fire(nn.Module):
    """Squeeze to few channels with 1×1 filters, expand with 1×1 and 3×3 filters side by side (sec. 3.2, fig. 1).

    Shapes: x (N, channels, H, W) → (N, 8 · squeeze, H, W).

    >>> Fire(96, 16)(autograd.zeros((1, 96, 5, 5))).shape
    (1, 128, 5, 5)
    """

    def __init__(self, channels: int, squeeze: int) -> None:
        self.squeeze = Conv2d(channels, squeeze, 1)
        self.squeeze_activation = ReLU()
        self.expand1x1 = Conv2d(squeeze, 4 * squeeze, 1)
        self.expand1x1_activation = ReLU()
        self.expand3x3 = Conv2d(squeeze, 4 * squeeze, 3, padding=1)
        self.expand3x3_activation = ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return both expansions, one after the other along the channels."""
        x = chain(x, self.squeeze, self.squeeze_activation)
        small = chain(x, self.expand1x1, self.expand1x1_activation)
        large = chain(x, self.expand3x3, self.expand3x3_activation)
        return autograd.concatenate([small, large], axis=1)


def squeezenet(version: str = "1.0", num_classes: int = 1000, dropout: float = 0.5) -> Network:
    """SqueezeNet: fire modules, no fully connected layer; the scores are the means of the last convolution's maps.

    Shapes: x (N, 3, H, W) → (N, num_classes); the paper's H = W = 227 pixels.

    Raises:
        DomainError: for another version.

    >>> squeezenet("1.1", num_classes=10).eval()(autograd.zeros((1, 3, 32, 32))).shape
    (1, 10)
    """
    channels, size, chain = choose("squeezenet: version", version, VERSIONS)
    features: list[nn.Module] = [Conv2d(3, channels, size, 2), ReLU()]
    for word in chain.split():
        if word == "M":
            features.append(MaxPool2d(3, 2, ceil_mode=True))
        else:
            features.append(Fire(channels, int(word)))
            channels = 8 * int(word)
    last = Conv2d(channels, num_classes, 1)
    network = Network(
        {
            "features": Sequential(*features),
            "classifier": Sequential(Dropout(dropout), last, ReLU(), AdaptiveAvgPool2d(1)),
            "flatten": Flatten(),
        },
        PUBLISHED[version],
    )
    start(network, Conv2d, nn.init.kaiming_uniform_)
    nn.init.normal_(last.weight, std=0.01)
    return network


def squeezenet1_0(num_classes: int = 1000) -> Network:
    """The paper's network, with torchvision's keys and start."""
    return squeezenet("1.0", num_classes)


def squeezenet1_1(num_classes: int = 1000) -> Network:
    """The authors' later version: as accurate, for less than half the multiply-adds."""
    return squeezenet("1.1", num_classes)
