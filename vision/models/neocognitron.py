"""Neocognitron: S cells that learn features, C cells that pool them (Fukushima 1980, Biol. Cybernetics 36, 193-202)."""

from __future__ import annotations

import autograd
import nn
from autograd import Tensor
from nn import AdaptiveMaxPool2d, Conv2d, Flatten, Parameter
from nn.published import Published
from vision.models.network import Network

DECAY = 0.9  # how fixed synapses weaken with each pixel of distance; the paper says only that they do

PUBLISHED = Published(
    "Fukushima 1980, sec. 4",
    (1, 16, 16),
    {
        "S1": {"output": "16×16×24"},
        "S1.a": {"receptive field": "5"},
        "C1": {"output": "10×10×24"},
        "S2": {"output": "8×8×24"},
        "C2": {"output": "6×6×24"},
        "S3": {"output": "2×2×24"},
        "C3": {"output": "1×1×24"},
    },
)


class SCells(nn.Module):
    """Simple cells: planes of cells with modifiable synapses, each plane looking for one feature everywhere.

    out = r · relu((1 + Σ a·x) / (1 + 2r/(1+r) · b·v) − 1), v = √(Σ c·x²): a cell answers if its feature (a) outweighs
    the mean activity v of what it sees (eq. 1 to 3). The larger r, the more selective.
    Shapes: x (N, inputs, H, W) → (N, planes, P, Q).
    """

    def __init__(self, inputs: int, planes: int, size: int, padding: int, r: float) -> None:
        self.a = Conv2d(inputs, planes, size, padding=padding, bias=False)
        self.b = Parameter(autograd.zeros((planes, 1, 1)))  # no inhibition before there is anything to inhibit
        self.c = _fixed(Conv2d(inputs, 1, size, padding=padding, bias=False))
        self.r = r
        nn.init.uniform_(self.a.weight, 0.0, 2.0 / nn.init.fans(self.a.weight)[0])  # small and positive (sec. 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the cells' outputs, from 0 on."""
        v = autograd.sqrt(self.c(x * x) + 1e-12)  # where all is dark the root would have no slope
        return self.r * autograd.relu((1.0 + self.a(x)) / (1.0 + 2.0 * self.r / (1.0 + self.r) * self.b * v) - 1.0)


class CCells(nn.Module):
    """Complex cells: each pools what one plane of S cells found in a neighbourhood, so that small shifts do not matter.

    out = ψ((1 + s) / (1 + mean of s over the planes) − 1), s = Σ d·x, ψ(x) = relu(x) / (½ + relu(x)) (eq. 4 to 6).
    Shapes: x (N, planes, H, W) → (N, planes, P, Q).
    """

    def __init__(self, planes: int, size: int, stride: int, padding: int) -> None:
        self.d = _fixed(Conv2d(planes, planes, size, stride, padding, groups=planes, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return the cells' outputs, from 0 to 1."""
        s = self.d(x)
        x = autograd.relu((1.0 + s) / (1.0 + s.mean(axis=1, keepdims=True)) - 1.0)
        return x / (0.5 + x)


def _fixed(conv: Conv2d) -> Conv2d:
    """Synapses that are not modified, weaken with the distance from the middle, and add up to 1 for each cell."""
    size = conv.kernel_size[0]
    middle = (size - 1) / 2
    rows = [[DECAY ** (((i - middle) ** 2 + (j - middle) ** 2) ** 0.5) for j in range(size)] for i in range(size)]
    share = 1.0 / (sum(map(sum, rows)) * conv.weight.shape[1])
    conv.register_buffer("weight", share * autograd.tensor(rows) * autograd.ones(conv.weight.shape))
    return conv


def neocognitron(num_classes: int = 24, planes: int = 24) -> Network:
    """Neocognitron: S, C, S, C, S, C; the cells of the last layer stand for the patterns.

    Shapes: x (N, 1, H, W), bright on 0 → (N, num_classes); the paper's H = W = 16 pixels, in larger images the cell
    that answers most counts. Sizes, r and the
    connections are the paper's; the strides and margins between them are those that give its sizes. It learns without
    a teacher, by reinforcing the cells that answer most; here the modifiable synapses are parameters like all others.

    >>> neocognitron()(autograd.ones((2, 1, 16, 16))).shape
    (2, 24)
    """
    return Network(
        {
            "S1": SCells(1, planes, 5, padding=2, r=4.0),
            "C1": CCells(planes, 5, stride=2, padding=4),
            "S2": SCells(planes, planes, 5, padding=1, r=1.5),
            "C2": CCells(planes, 5, stride=2, padding=4),
            "S3": SCells(planes, num_classes, 5, padding=0, r=1.5),
            "C3": CCells(num_classes, 2, stride=1, padding=0),
            "anywhere": AdaptiveMaxPool2d(1),  # changes nothing at 16 pixels
            "flatten": Flatten(),
        },
        PUBLISHED,
    )
