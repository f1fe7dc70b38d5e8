"""Embedding: a table of learned vectors, looked up by index."""

from __future__ import annotations

from typing import Any

import autograd
from autograd import Tensor
from autograd.errors import DTypeError, ShapeError
from nn import init
from nn.module import Module, Parameter
from nn.shape import count, shape_of


class Embedding(Module):
    """Look up a learned vector for each index: out[...] = weight[x[...]] (Bengio et al. 2003).

    Shapes: x (...) of integers → (..., embedding_dim); weight (num_embeddings, embedding_dim), drawn from N(0, 1).
    The vector at `padding_idx` starts at zero and receives no gradient.

    Raises:
        DTypeError: when x has no integers.
        ShapeError: when padding_idx lies outside the table.

    >>> Embedding(10, 3, padding_idx=0)(autograd.tensor([[0, 4], [9, 1]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: str = "cpu",
        dtype: Any = None,
    ) -> None:
        weight = autograd.empty(
            (count(self, "num_embeddings", num_embeddings), count(self, "embedding_dim", embedding_dim)),
            dtype=dtype,
            device=device,
        )
        self._set(weight, padding_idx)
        self.reset_parameters()

    def _set(self, weight: Any, padding_idx: int | None) -> None:
        self.weight = Parameter(weight)
        self.num_embeddings, self.embedding_dim = self.weight.shape
        if padding_idx is not None:
            if not (hasattr(padding_idx, "__index__") and -self.num_embeddings <= padding_idx < self.num_embeddings):
                raise ShapeError(f"Embedding: padding_idx={padding_idx!r}, but num_embeddings={self.num_embeddings}")
            padding_idx %= self.num_embeddings
        self.padding_idx = padding_idx

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """Return an Embedding that holds the given (V, D) table, by default not learned.

        >>> Embedding.from_pretrained(autograd.ones((5, 2))).weight.requires_grad
        False
        """
        layer = cls.__new__(cls)
        shape = shape_of(layer, embeddings, "embeddings")
        if len(shape) != 2:
            raise ShapeError(f"Embedding.from_pretrained: embeddings has shape {shape}, expected (V, D)")
        layer._set(embeddings, padding_idx)
        layer.weight.requires_grad = not freeze
        return layer

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with autograd.no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors at the indices x."""
        shape_of(self, x)
        if x.dtype.kind not in "iu":
            raise DTypeError(f"Embedding: x has dtype {x.dtype}, expected integers; use x.to('int64')")
        out: Tensor = autograd.embedding(x, self.weight)
        if self.padding_idx is not None:
            learned = autograd.not_equal(x, self.padding_idx)[..., None]
            out = autograd.where(learned, out, out.detach())
        return out

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
