"""Linear, Identity, Flatten, Unflatten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import autograd
from autograd import Tensor
from nn import init
from nn.module import Module, Parameter
from nn.shape import check_last, count, shape_of


class Linear(Module):
    """Affine map of the last axis: y = x Wᵀ + b.

    Shapes: x (..., in_features) → (..., out_features); weight (out_features, in_features), bias (out_features).
    Weights start uniform in ±1/√in_features, as PyTorch's do (`init.kaiming_uniform_` with a = √5), biases likewise.

    Raises:
        ShapeError: when called with an x whose last axis is not in_features.

    >>> Linear(3, 2)(autograd.zeros((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: str = "cpu", dtype: Any = None
    ) -> None:
        self.in_features, self.out_features = (
            count(self, "in_features", in_features),
            count(self, "out_features", out_features),
        )
        self.weight = Parameter(autograd.empty((out_features, in_features), dtype=dtype, device=device))
        self.bias = Parameter(autograd.empty((out_features,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.bias_uniform_(self.bias, self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return x Wᵀ + b."""
        check_last(self, x, self.in_features)
        out: Tensor = autograd.linear(x, self.weight, self.bias)
        return out

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """Returns its input; takes and ignores any arguments, so that it can stand in for any layer.

    >>> Identity(54)(autograd.ones((2,))).shape
    (2,)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept whatever the replaced layer took."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x."""
        return x


class Flatten(Module):
    """Join the axes start_dim … end_dim into one.

    Shapes: x (N, C, H, W) → (N, C·H·W) with the defaults.

    Raises:
        ShapeError: when x has too few axes.

    >>> Flatten()(autograd.zeros((2, 3, 4, 5))).shape
    (2, 60)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """Return x with the axes joined."""
        shape = shape_of(self, x)
        start, end = (axis % x.ndim if -x.ndim <= axis < x.ndim else -1 for axis in (self.start_dim, self.end_dim))
        if start < 0 or end < start:
            raise self.shape_error(
                f"x has shape {shape}: {x.ndim} axes, but start_dim={self.start_dim}, end_dim={self.end_dim}; "
                "give an x with a batch axis, or other axes to join"
            )
        out: Tensor = x.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
        return out

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split the axis `dim` into the axes `unflattened_size`, of which one may be -1.

    Raises:
        ShapeError: when the sizes do not multiply to the axis.

    >>> Unflatten(1, (3, -1))(autograd.zeros((2, 60))).shape
    (2, 3, 20)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with the axis split."""
        shape = shape_of(self, x)
        axis = self.dim % x.ndim if -x.ndim <= self.dim < x.ndim else None
        known = math.prod(size for size in self.unflattened_size if size != -1)
        fits = axis is not None and (
            shape[axis] % known == 0 if -1 in self.unflattened_size and known else shape[axis] == known
        )
        if axis is None or not fits:
            raise self.shape_error(
                f"x has shape {shape}: axis {self.dim} does not split into {self.unflattened_size}; "
                "give sizes that multiply to it"
            )
        out: Tensor = x.reshape(*shape[:axis], *self.unflattened_size, *shape[axis + 1 :])
        return out

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
