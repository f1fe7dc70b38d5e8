"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition")."""

from __future__ import annotations

import autograd
import nn
from autograd import Tensor
from autograd.errors import DomainError
from nn import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, Parameter, ReLU, Sequential
from nn.published import Published
from nn.summary import multiply_adds
from vision.models.network import Network, choose

C3_INPUTS = (  # the maps of S2 that each map of C3 sees (table I)
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip

DIGITS = """
..###.. ...#... .#####. .#####. .....#. ####### ..####. ####### .#####. .#####.
.#...#. ..##... #.....# #.....# ....##. #...... .#..... ......# #.....# #.....#
#.....# .#.#... ......# ......# ...#.#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# ......# .#...#. #.####. #.####. .....#. #.....# #.....#
#.....# ...#... .....#. ..####. #....#. ##....# ##....# ....#.. .#####. #.....#
#.....# ...#... ....#.. ......# #....#. ......# #.....# ....#.. #.....# #....##
#.....# ...#... ...#... ......# ####### ......# #.....# ...#... #.....# .####.#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ..#.... #.....# ......#
.#...#. ...#... #...... #.....# .....#. #.....# #.....# ..#.... #.....# .....#.
..###.. .#####. ####### .#####. .....#. .#####. .#####. ..#.... .#####. .####..
"""  # stylised, 7 wide and 12 high, as the output's units expect them (after fig. 3)

PUBLISHED = Published(
    "LeCun et al. 1998, sec. II.B",
    (1, 32, 32),
    {
        "C1": {"output": "28×28×6", "parameters": "156", "connections": "122,304"},
        "S2": {"output": "14×14×6", "parameters": "12", "connections": "5,880"},
        "C3": {"output": "10×10×16", "parameters": "1,516", "connections": "151,600"},
        "S4": {"output": "5×5×16", "parameters": "32", "connections": "2,000"},
        "C5": {"output": "1×1×120", "connections": "48,120"},
        "F6": {"output": "84", "parameters": "10,164"},
        "output": {"output": "10"},
        "": {"parameters": "60,000", "connections": "340,908", "depth": "7"},
    },
)


class ScaledTanh(nn.Module):
    """A tanh(S x) with A = 1.7159 and S = 2/3, so that f(±1) = ±1 (eq. 6 and appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return A tanh(S x)."""
        return 1.7159 * autograd.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The sum of every 2×2 pixels, times a coefficient, plus a bias, both learned, one of each per map (sec. II.B).

    Shapes: x (N, C, H, W) → (N, C, H/2, W/2); weight, bias (C, 1, 1).
    """

    def __init__(self, channels: int) -> None:
        self.weight, self.bias = (Parameter(autograd.zeros((channels, 1, 1))) for _ in range(2))
        self.pool = AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return weight · (sum of 2×2 pixels) + bias."""
        return 4.0 * self.pool(x) * self.weight + self.bias


class SparseConvolution(Sequential):
    """A convolution whose maps each see some of the input's maps only (table I).

    Shapes: x (N, C, H, W) → (N, len(inputs), H−4, W−4).
    """

    def __init__(self, inputs: tuple[tuple[int, ...], ...], size: int) -> None:
        super().__init__(*(Conv2d(len(seen), 1, size) for seen in inputs))
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps, each the convolution of those that it sees."""
        maps = [conv(autograd.take(x, seen, axis=1)) for conv, seen in zip(self, self.inputs)]
        return autograd.concatenate(maps, axis=1)


class RadialBasis(nn.Module):
    """How badly x fits the picture of each class: scores −Σ_j (x_j − w_ij)², w = ±1 and not learned (eq. 7).

    Trained with `nn.CrossEntropyLoss` this is eq. 9 without its rubbish class. Shapes: x (N, 84) → (N, classes).

    Raises:
        DomainError: for more classes than there are digits.
    """

    def __init__(self, classes: int) -> None:
        if not 1 <= classes <= 10:
            raise DomainError(f"lenet5: num_classes={classes}, but 'paper' has pictures of 10 digits; use 'modern'")
        rows = [line.split() for line in DIGITS.split("\n") if line]
        pictures = ["".join(row[digit] for row in rows) for digit in range(classes)]
        self.pictures: Tensor
        self.register_buffer("pictures", autograd.tensor([[1.0 if p == "#" else -1.0 for p in c] for c in pictures]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, of which the largest is the class."""
        return -((x[:, None, :] - self.pictures) ** 2).sum(axis=-1)


@multiply_adds.register
def _(module: Subsampling, x: tuple[int, ...], out: tuple[int, ...]) -> int:
    return 4 * out[0] * out[1] * out[2] * out[3]  # the paper counts four connections to each unit


@multiply_adds.register
def _(module: RadialBasis, x: tuple[int, ...], out: tuple[int, ...]) -> int:
    return x[0] * module.pictures.size


def _paper(num_classes: int) -> Network:
    network = Network(
        {
            "C1": Conv2d(1, 6, 5), "squash1": ScaledTanh(),
            "S2": Subsampling(6), "squash2": ScaledTanh(),
            "C3": SparseConvolution(C3_INPUTS, 5), "squash3": ScaledTanh(),
            "S4": Subsampling(16), "squash4": ScaledTanh(),
            "C5": Conv2d(16, 120, 5), "squash5": ScaledTanh(),
            "flatten": Flatten(),
            "F6": Linear(120, 84), "squash6": ScaledTanh(),
            "output": RadialBasis(num_classes),
        },
        PUBLISHED,
    )  # fmt: skip
    for layer in network.modules():  # uniform in ±2.4/F, F inputs to a unit (appendix A)
        if isinstance(layer, Conv2d | Linear | Subsampling):
            inputs = 4 if isinstance(layer, Subsampling) else nn.init.fans(layer.weight)[0]
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -2.4 / inputs, 2.4 / inputs)
    return network


def _modern(num_classes: int) -> Network:
    return Network(
        {
            "C1": Conv2d(1, 6, 5, padding=2), "relu1": ReLU(), "S2": MaxPool2d(2),
            "C3": Conv2d(6, 16, 5), "relu3": ReLU(), "S4": MaxPool2d(2),
            "flatten": Flatten(),
            "C5": Linear(16 * 5 * 5, 120), "relu5": ReLU(),
            "F6": Linear(120, 84), "relu6": ReLU(),
            "output": Linear(84, num_classes),
        }
    )  # fmt: skip


VARIANTS = {"modern": _modern, "paper": _paper}


def lenet5(variant: str = "modern", num_classes: int = 10) -> Network:
    """LeNet-5: convolution, pooling, convolution, pooling, three fully connected layers; 0.95 % errors on MNIST.

    Shapes: x (N, 1, 28, 28) → (N, num_classes), for "paper" x (N, 1, 32, 32), white −0.1 and black 1.175.
    `variant`: "paper" with learned subsampling, sparse C3 and radial basis output, or "modern": today's reading with
    max pooling, ReLU, every map seeing all, and a linear output.

    Raises:
        DomainError: for another variant, or more classes than "paper" has pictures.

    >>> sum(p.size for p in lenet5("paper").parameters())
    60000
    """
    return choose("lenet5: variant", variant, VARIANTS)(num_classes)
