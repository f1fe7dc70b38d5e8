"""Attention: a weighted mean of many vectors, whose weights a query decides."""

from __future__ import annotations

import autograd
from autograd import Tensor
from autograd.errors import DTypeError
from nn.linear import Linear
from nn.module import Module
from nn.shape import check_last, count, shape_of


class Attention(Module):
    """Base of the kinds of attention, which differ in how `score(query, keys)` compares the two.

    weights = softmax_T(score), context = Σ_T weights·keys. Positions where the mask is False weigh nothing and get no
    gradient; where it is False everywhere, as for an empty sequence, all weights and the context are 0.
    """

    def __init__(self, query_size: int, key_size: int) -> None:
        self.query_size, self.key_size = count(self, "query_size", query_size), count(self, "key_size", key_size)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """How well each of the keys (N T K) answers each query (N L Q): N L T."""
        raise NotImplementedError(f"{type(self).__name__} must define score(query, keys)")

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the context N K and the weights N T; for queries L N Q those of each, L N K and L N T."""
        self._check(query, keys, mask)
        alone = query.ndim == 2
        q = query[:, None] if alone else query.swapaxes(0, 1)
        k = keys.swapaxes(0, 1)
        scores = self.score(q, k)
        if mask is None:
            weights = autograd.softmax(scores, axis=-1)
        else:
            valid = mask.T[:, None]
            kept = autograd.logical_or(valid, autograd.logical_not(valid.any(axis=-1)[..., None]))
            weights = autograd.softmax(autograd.where(kept, scores, -float("inf")), axis=-1)
            weights = autograd.where(valid, weights, 0.0)
        context = weights @ k
        return (context[:, 0], weights[:, 0]) if alone else (context.swapaxes(0, 1), weights.swapaxes(0, 1))

    def _check(self, query: Tensor, keys: Tensor, mask: Tensor | None) -> None:
        asked, given = shape_of(self, query, "query"), shape_of(self, keys, "keys")
        if len(asked) not in (2, 3):
            raise self.shape_error(f"query has shape {asked}: {len(asked)} axes, expected 2 (N Q) or 3 (L N Q)")
        if len(given) != 3:
            raise self.shape_error(f"keys has shape {given}: {len(given)} axes, expected 3 (T N K)")
        if not given[0]:
            raise self.shape_error(f"keys has shape {given}: T=0 positions, expected at least 1; mask what is empty")
        check_last(self, query, self.query_size, "query_size")
        check_last(self, keys, self.key_size, "key_size")
        if asked[-2] != given[1]:
            raise self.shape_error(f"query has N={asked[-2]} but keys has N={given[1]} → give keys of the same batch")
        if mask is not None:
            if shape_of(self, mask, "mask") != given[:2]:
                raise self.shape_error(f"mask has shape {tuple(mask.shape)}, expected {given[:2]} (T N), as keys has")
            if mask.dtype.kind != "b":
                raise DTypeError(
                    f"{type(self).__name__}: mask has dtype {mask.dtype}, expected bool, True where a position counts; "
                    "compare, for example tokens != pad"
                )

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.key_size}"


class AdditiveAttention(Attention):
    """Attention by a small network: score(q, k) = vᵀ tanh(W q + U k) (Bahdanau et al. 2015, sec. A.1.2).

    Shapes: query (N, query_size), keys (T, N, key_size), mask (T, N) of bool → context (N, key_size), weights (N, T).
    A query for each of L steps (L, N, query_size) → context (L, N, key_size), weights (L, N, T).
    Parameters: query.weight (hidden_size, query_size), key.weight (hidden_size, key_size),
    energy.weight (1, hidden_size).

    Raises:
        ShapeError: when query, keys or mask do not fit one another or the layer.
        DTypeError: when the mask is not bool.
        DomainError: for a size below 1.

    >>> context, weights = AdditiveAttention(3, 4, 8)(autograd.zeros((2, 3)), autograd.ones((5, 2, 4)))
    >>> context.shape, weights.shape
    ((2, 4), (2, 5))
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int) -> None:
        super().__init__(query_size, key_size)
        self.hidden_size = count(self, "hidden_size", hidden_size)
        self.query = Linear(query_size, hidden_size, bias=False)
        self.key = Linear(key_size, hidden_size, bias=False)
        self.energy = Linear(hidden_size, 1, bias=False)
        self.query.symbols, self.key.symbols, self.energy.symbols = {"weight": "W"}, {"weight": "U"}, {"weight": "v"}

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """vᵀ tanh(W q + U k)."""
        hidden = autograd.tanh(self.query(query)[:, :, None] + self.key(keys)[:, None])
        out: Tensor = self.energy(hidden)[..., 0]
        return out

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.hidden_size}"


class DotProductAttention(Attention):
    """Attention by a product: score(q, k) = kᵀ W q (Luong et al. 2015, eq. 8, "general").

    Shapes: query (N, query_size), keys (T, N, key_size), mask (T, N) of bool → context (N, key_size), weights (N, T).
    A query for each of L steps (L, N, query_size) → context (L, N, key_size), weights (L, N, T).
    Parameters: query.weight (key_size, query_size).

    Raises:
        ShapeError: when query, keys or mask do not fit one another or the layer.
        DTypeError: when the mask is not bool.
        DomainError: for a size below 1.

    >>> attend = DotProductAttention(3, 4)
    >>> context, weights = attend(autograd.zeros((2, 3)), autograd.ones((5, 2, 4)))
    >>> weights[0].tolist()  # nothing asked for: all the same
    [0.2, 0.2, 0.2, 0.2, 0.2]
    """

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__(query_size, key_size)
        self.query = Linear(query_size, key_size, bias=False)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """kᵀ W q."""
        out: Tensor = self.query(query) @ keys.mT
        return out
