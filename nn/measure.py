"""What a layer costs and what its values see; both are generic functions that learn new types of layers."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import NamedTuple

from nn.activation import Activation, PReLU
from nn.conv import Convolution, TransposedConvolution
from nn.dropout import DropoutBase
from nn.linear import Identity, Linear
from nn.module import Module
from nn.norm import BatchNorm, LocalResponseNorm
from nn.pooling import AvgPool, MaxPool
from nn.recurrent import RNNBase, RNNCellBase

Shape = tuple[int, ...]


class Field(NamedTuple):
    """What the values of a feature map see, in pixels: the first sees `size` from `start` on, the next one `stride` on.

    A negative start lies in the padding.
    """

    size: Shape
    stride: Shape
    start: Shape

    def __str__(self) -> str:
        return f"{_times(self.size)} / {_times(self.stride)}"

    def union(self, other: Field) -> Field | None:
        """What values see that are computed from one of each map; None where the two drift apart.

        >>> print(Field((3,), (2,), (-1,)).union(Field((1,), (2,), (0,))))
        3 / 2
        """
        if self.stride != other.stride:
            return None
        start = tuple(map(min, self.start, other.start))
        ends = (max(a + m, b + n) for a, m, b, n in zip(self.start, self.size, other.start, other.size))
        return Field(tuple(end - first for end, first in zip(ends, start)), self.stride, start)


@singledispatch
def multiply_adds(module: Module, x: Shape, out: Shape) -> int:
    """Return how many multiply-adds a layer does from input to output shape; 0 where it has no products of weights.

    A generic function: `multiply_adds.register(MyLayer)` teaches it a new type.

    >>> from nn import Conv2d
    >>> multiply_adds(Conv2d(3, 6, 5), (1, 3, 32, 32), (1, 6, 28, 28))
    352800
    """
    return 0


@multiply_adds.register
def _(module: Linear, x: Shape, out: Shape) -> int:
    return math.prod(out) * module.in_features


@multiply_adds.register
def _(module: Convolution, x: Shape, out: Shape) -> int:
    return math.prod(out) * math.prod(module.weight.shape[1:])


@multiply_adds.register
def _(module: TransposedConvolution, x: Shape, out: Shape) -> int:
    return math.prod(x) * math.prod(module.weight.shape[1:])


@multiply_adds.register
def _(module: RNNBase | RNNCellBase, x: Shape, out: Shape) -> int:
    weights = sum(p.size for name, p in module.named_parameters() if name.startswith("weight"))
    return math.prod(x[:-1]) * weights  # every weight once for every step of every sequence


@singledispatch
def receptive_field(module: Module, before: Field) -> Field | None:
    """Return what one value of the layer's output sees, given what one of its input sees; None for an unknown layer.

    Layers that work place by place see what their input sees. A kernel of R pixels, `dilation` apart, adds
    dilation · (R − 1) input strides to the size and multiplies the stride (Araujo et al. 2019, eq. 2).

    >>> from nn import MaxPool2d
    >>> print(receptive_field(MaxPool2d(2), Field((5, 5), (1, 1), (0, 0))))
    6×6 / 2×2
    """
    return None


@receptive_field.register(Activation)
@receptive_field.register(PReLU)
@receptive_field.register(DropoutBase)
@receptive_field.register(Identity)
@receptive_field.register(BatchNorm)
@receptive_field.register(LocalResponseNorm)
def _(module: Module, before: Field) -> Field | None:
    return before


@receptive_field.register(Convolution)
@receptive_field.register(MaxPool)
@receptive_field.register(AvgPool)
def _(module: Convolution | MaxPool | AvgPool, before: Field) -> Field | None:
    if len(before.size) != module.dims:  # an image without its batch axis
        return None
    dilation = (1,) * module.dims if isinstance(module, AvgPool) else module.dilation
    margins = [m for m, _ in module.margins] if isinstance(module, Convolution) else module.padding
    spans = [d * (k - 1) for d, k in zip(dilation, module.kernel_size, strict=True)]
    return Field(
        tuple(size + span * step for size, span, step in zip(before.size, spans, before.stride, strict=True)),
        tuple(a * b for a, b in zip(before.stride, module.stride, strict=True)),
        tuple(first - margin * step for first, margin, step in zip(before.start, margins, before.stride, strict=True)),
    )


def _times(values: Shape) -> str:
    return "×".join(map(str, values))
