"""Layers one after the other; where nobody can tell, a convolution does what the layers behind it would do.

In inference a norm is a factor and a summand for each channel (Ioffe & Szegedy 2015, alg. 2, line 11), and a residual
and a rectifier touch each value once. A kernel does all of that to the convolution's sums while they are in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd
from autograd import Tensor
from nn.activation import ReLU
from nn.conv import Conv1d, Conv2d, Conv3d, Tail
from nn.module import Module
from nn.norm import BatchNorm, BatchNorm1d, BatchNorm2d


def chain(x: Any, *layers: Module, residual: Tensor | None = None) -> Any:
    """Return x after all layers in turn; the last, a norm, also adds the residual.

    >>> from nn import BatchNorm2d, Conv2d
    >>> conv, norm, x = Conv2d(2, 2, 3, padding=1), BatchNorm2d(2, activation="relu"), autograd.ones((4, 2, 5, 5))
    >>> bool((chain(x, conv, norm, residual=x) == norm(conv(x), residual=x)).all())
    True
    """
    place = 0
    while place < len(layers):
        layer, tail, place = layers[place], None, place + 1
        if type(layer) in CONVOLUTIONS and _is_free(layer) and not autograd.is_grad_enabled():
            tail, place = _tail(x, layer, layers, place, residual)
        if tail is not None:
            x = layer(x, tail)
        elif residual is not None and place == len(layers):
            x = layer(x, residual=residual)
        else:
            x = layer(x)
    return x


CONVOLUTIONS = (Conv1d, Conv2d, Conv3d)


def _is_free(layer: Module) -> bool:
    """Whether nobody waits for what goes into the layer or comes out."""
    watched = layer._pre_hooks or layer._forward_hooks or layer._backward_hooks
    return not watched and "forward" not in vars(layer)


def _tail(x: Any, conv: Any, layers: tuple[Module, ...], place: int, residual: Tensor | None) -> tuple[Any, int]:
    """What the layers from a place on do that a convolution can do for them, and the place behind them."""
    before, tail = place, Tail(shift=conv.bias)
    if isinstance(x, Tensor) and x.ndim == conv.dims + 2:
        while place < len(layers):
            layer = layers[place]
            join = JOINS.get(type(layer)) if _is_free(layer) else None
            longer = join and join(layer, tail, conv, residual if place + 1 == len(layers) else None)
            if longer is None:
                break
            tail, place = longer, place + 1
    return tail if place > before else None, place


def _normalised(norm: BatchNorm, tail: Tail, conv: Any, residual: Tensor | None) -> Tail | None:
    """The tail of a convolution with this norm behind it, or None if it must go by itself."""
    mean, var = norm.running_mean, norm.running_var
    fits = norm.num_features == conv.out_channels and conv.dims + 2 in norm.ranks
    if norm.training or mean is None or var is None or not fits or tail.scale is not None or tail.activation:
        return None
    w, b = norm._affine(mean)
    scale = w / (var + norm.eps) ** 0.5
    shift = b - mean * scale
    return Tail(scale, shift if tail.shift is None else tail.shift * scale + shift, residual, norm.activation)


def _rectified(layer: ReLU, tail: Tail, conv: Any, residual: Tensor | None) -> Tail | None:
    return tail._replace(activation="relu") if residual is None else None


JOINS: dict[type[Module], Callable[..., Tail | None]] = {
    BatchNorm1d: _normalised,
    BatchNorm2d: _normalised,
    ReLU: _rectified,
}
