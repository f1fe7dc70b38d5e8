"""Dropout of values and of whole channels."""

from __future__ import annotations

import autograd
from autograd import Tensor
from autograd.random import Generator
from nn.module import Module
from nn.shape import probability, shape_of


class DropoutBase(Module):
    """What dropouts have in common; `inplace` is accepted as in PyTorch and changes nothing."""

    def __init__(self, p: float = 0.5, inplace: bool = False, generator: Generator | None = None) -> None:
        self.p, self.generator = probability(self, "p", p), generator

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(DropoutBase):
    """In training, zero each value with probability p and divide the rest by 1 − p (Srivastava et al. 2014).

    The random numbers come from `generator`, or from the global one, and are the same after the same seed.

    Raises:
        DomainError: when p is no probability.

    >>> Dropout(0.5).eval()(autograd.ones((3,))).tolist()
    [1.0, 1.0, 1.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x with values dropped in training, x itself otherwise."""
        return autograd.dropout(x, self.p, generator=self.generator) if self.training and self.p else x


class Dropout2d(DropoutBase):
    """In training, zero each image's channels with probability p and divide the rest by 1 − p (Tompson et al. 2015).

    Shapes: x (N, C, H, W) or (C, H, W) → the same.

    Raises:
        DomainError: when p is no probability.
        ShapeError: for an x of another rank.

    >>> Dropout2d(0.2)(autograd.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x with channels dropped in training, x itself otherwise."""
        shape = shape_of(self, x)
        if len(shape) not in (3, 4):
            raise self.shape_error(
                f"x has shape {shape}: {len(shape)} axes, expected 4 (N C H W) or 3 (C H W); use nn.Dropout"
            )
        if not (self.training and self.p):
            return x
        out: Tensor = autograd.dropout(x, self.p, generator=self.generator, axes=x.ndim - 2)
        return out
