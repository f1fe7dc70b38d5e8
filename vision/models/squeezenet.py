"""SqueezeNet: AlexNet's accuracy with 50 times fewer parameters (Iandola et al. 2016, arXiv 1602.07360)."""

from __future__ import annotations

import autograd
import nn
from autograd import Tensor
from nn import AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, MaxPool2d, ReLU, Sequential
from vision.models.network import choose, start

VERSIONS = {  # channels and size of the first convolution; then poolings ("M") and the squeeze widths of fire modules
    "1.0": (96, 7, "M 16 16 32 M 32 48 48 64 M 64"),
    "1.1": (64, 3, "M 16 16 M 32 32 M 48 48 64 64"),
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
        x = self.squeeze_activation(self.squeeze(x))
        small = self.expand1x1_activation(self.expand1x1(x))
        large = self.expand3x3_activation(self.expand3x3(x))
        return autograd.concatenate([small, large], axis=1)


def squeezenet(version: str = "1.0", num_classes: int = 1000, dropout: float = 0.5) -> Sequential:
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
    network = Sequential(
        {
            "features": Sequential(*features),
            "classifier": Sequential(Dropout(dropout), last, ReLU(), AdaptiveAvgPool2d(1)),
            "flatten": Flatten(),
        }
    )
    start(network, Conv2d, nn.init.kaiming_uniform_)
    nn.init.normal_(last.weight, std=0.01)
    return network


def squeezenet1_0(num_classes: int = 1000) -> Sequential:
    """The paper's network, with torchvision's keys and start."""
    return squeezenet("1.0", num_classes)


def squeezenet1_1(num_classes: int = 1000) -> Sequential:
    """The authors' later version: as accurate, 2.4 times cheaper."""
    return squeezenet("1.1", num_classes)
