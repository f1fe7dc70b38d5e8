"""Normalisation: batch, layer, group, and local response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import autograd
from autograd import Tensor
from autograd.errors import DomainError
from nn.module import Module, Parameter
from nn.shape import count, shape_of


def _affine(shape: tuple[int, ...], wanted: bool, fill: float, device: str, dtype: Any) -> Parameter | None:
    return Parameter(autograd.full(shape, fill, dtype=dtype, device=device)) if wanted else None


def _or_constant(parameter: Parameter | None, fill: float, shape: tuple[int, ...], x: Tensor) -> Tensor:
    """The parameter, or in its place a constant that changes nothing."""
    return autograd.full(shape, fill, dtype=x.dtype, device=x.device) if parameter is None else parameter


class BatchNorm(Module):
    """Batch normalisation over every axis but the channels."""

    ranks: ClassVar[tuple[int, ...]]
    letters: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str = "cpu",
        dtype: Any = None,
        activation: str | None = None,
    ) -> None:
        self.num_features, self.eps, self.momentum = count(self, "num_features", num_features), eps, momentum
        if activation not in (None, "relu"):
            raise DomainError(f"{type(self).__name__}: activation is {activation!r}, expected None or 'relu'")
        self.activation = activation
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = _affine((num_features,), affine, 1.0, device, dtype)
        self.bias = _affine((num_features,), affine, 0.0, device, dtype)
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, None)
        if track_running_stats:
            self.running_mean = autograd.zeros((num_features,), dtype=dtype, device=device)
            self.running_var = autograd.ones((num_features,), dtype=dtype, device=device)
            self.num_batches_tracked = autograd.zeros((), dtype="int64", device=device)

    def reset_running_stats(self) -> None:
        """Forget what was seen: mean 0, variance 1, no batches."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean = autograd.zeros_like(self.running_mean)
            self.running_var = autograd.ones_like(self.running_var)
            self.num_batches_tracked = autograd.zeros_like(self.num_batches_tracked)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the normalised x, with the residual added and activated; in training also move the statistics."""
        self._check(x)
        w, b = self._affine(x)
        out: Tensor
        if not self.training and self.running_mean is not None and self.running_var is not None:
            out = autograd.batch_norm(x, w, b, self.running_mean, self.running_var, residual, self.eps, self.activation)
            return out
        samples = x.size // self.num_features
        if self.training and samples < 2:
            raise self.shape_error(
                f"x has shape {tuple(x.shape)}: {samples} value per channel has no variance, expected at least 2; "
                "give a larger batch, or call eval()"
            )
        out, mean, var = autograd.batch_norm_training(x, w, b, residual, self.eps, self.activation)
        if self.training and self.running_mean is not None:
            self._track(mean.detach(), var.detach() * (samples / (samples - 1)))
        return out

    def _affine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias, or constants in their place."""
        features = (self.num_features,)
        return _or_constant(self.weight, 1.0, features, x), _or_constant(self.bias, 0.0, features, x)

    def _track(self, mean: Tensor, var: Tensor) -> None:
        """Replace the running statistics, never overwrite them: a graph may have saved the old ones."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked = self.num_batches_tracked + 1
        rate = 1.0 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        dtype = self.running_mean.dtype
        self.running_mean = self.running_mean * (1.0 - rate) + mean.to(dtype) * rate
        self.running_var = self.running_var * (1.0 - rate) + var.to(dtype) * rate

    def _check(self, x: Tensor) -> None:
        shape = shape_of(self, x)
        if len(shape) not in self.ranks:
            raise self.shape_error(
                f"x has shape {shape}: {len(shape)} axes, expected {self.letters}; use x.reshape(...)"
            )
        if shape[1] != self.num_features:
            last = f"the last axis is {shape[-1]} — is x NHWC? use x.transpose(0, {len(shape) - 1}, ...)"
            hint = last if shape[-1] == self.num_features else f"build the layer with num_features={shape[1]}"
            raise self.shape_error(f"x has shape {shape}: C={shape[1]} but num_features={self.num_features}; {hint}")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
            + (f", activation={self.activation!r}" if self.activation else "")
        )


class BatchNorm1d(BatchNorm):
    """Batch normalisation of features or sequences (Ioffe & Szegedy 2015, alg. 1).

    y = w · (x − mean) / √(var + eps) + b, with the statistics of each channel: in training the batch's, afterwards
    running = (1 − momentum) · running + momentum · batch (variance unbiased; momentum None: the mean of all batches).
    A `residual` in the call is added to y (He et al. 2015, eq. 1), and with `activation` "relu" negative sums become 0.
    Shapes: x (N, C) or (N, C, L), residual as x → the same; weight, bias (C).

    Raises:
        ShapeError: for another rank or C, or in training when a channel has a single value.
        DomainError: for another activation.

    >>> BatchNorm1d(3)(autograd.ones((4, 3))).max().item()
    0.0
    """

    ranks, letters = (2, 3), "2 (N C) or 3 (N C L)"


class BatchNorm2d(BatchNorm):
    """Batch normalisation of images (Ioffe & Szegedy 2015, alg. 2): each channel over the batch and all places.

    Shapes: x (N, C, H, W), residual as x → the same; weight, bias (C). See `BatchNorm1d`.

    Raises:
        ShapeError: for another rank or C, or in training when a channel has a single value.

    >>> norm = BatchNorm2d(3, activation="relu").eval()
    >>> norm
    BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, activation='relu')
    >>> x = autograd.ones((4, 3, 2, 2))
    >>> norm(x, residual=x).max().round(2).item(), norm(x, residual=-2 * x).max().item()
    (2.0, 0.0)
    """

    ranks, letters = (4,), "4 (N C H W)"


class LayerNorm(Module):
    """Normalise each sample over its last axes (Ba et al. 2016): y = w · (x − mean) / √(var + eps) + b.

    Shapes: x (..., *normalized_shape) → the same; weight, bias normalized_shape.

    Raises:
        ShapeError: when x does not end in normalized_shape.

    >>> LayerNorm(4)(autograd.ones((2, 4))).shape
    (2, 4)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str = "cpu",
        dtype: Any = None,
    ) -> None:
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = _affine(self.normalized_shape, elementwise_affine, 1.0, device, dtype)
        self.bias = _affine(self.normalized_shape, elementwise_affine and bias, 0.0, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x."""
        axes, shape = len(self.normalized_shape), shape_of(self, x)
        if shape[-axes:] != self.normalized_shape:
            raise self.shape_error(
                f"x has shape {shape}, which does not end in normalized_shape={self.normalized_shape}; "
                f"build the layer with normalized_shape={shape[-axes:]}"
            )
        w = _or_constant(self.weight, 1.0, self.normalized_shape, x)
        b = _or_constant(self.bias, 0.0, self.normalized_shape, x)
        out: Tensor = autograd.layer_norm(x, w, b, axes, self.eps)
        return out

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise each sample over groups of channels and all places (Wu & He 2018).

    Shapes: x (N, C, …) → the same; weight, bias (C).

    Raises:
        DomainError: when num_groups does not divide num_channels.
        ShapeError: when x has another number of channels.

    >>> GroupNorm(2, 4)(autograd.ones((1, 4, 3, 3))).shape
    (1, 4, 3, 3)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str = "cpu",
        dtype: Any = None,
    ) -> None:
        self.num_groups, self.num_channels = (
            count(self, "num_groups", num_groups),
            count(self, "num_channels", num_channels),
        )
        if num_channels % num_groups:
            raise DomainError(f"GroupNorm: num_channels={num_channels} is not divisible by num_groups={num_groups}")
        self.eps, self.affine = eps, affine
        self.weight = _affine((num_channels,), affine, 1.0, device, dtype)
        self.bias = _affine((num_channels,), affine, 0.0, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x."""
        shape = shape_of(self, x)
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise self.shape_error(
                f"x has shape {shape}, but num_channels={self.num_channels}; expected (N, {self.num_channels}, ...)"
            )
        w = _or_constant(self.weight, 1.0, (self.num_channels,), x)
        b = _or_constant(self.bias, 0.0, (self.num_channels,), x)
        out: Tensor = autograd.group_norm(x, w, b, self.num_groups, self.eps)
        return out

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """Divide each value by the activity of its neighbouring channels (Krizhevsky et al. 2012, sec. 3.3).

    y_c = x_c / (k + alpha/size · Σ x_j²)^beta, j over the `size` channels around c; alpha/size is the paper's alpha.
    Shapes: x (N, C, …) → the same.

    >>> LocalResponseNorm(5)(autograd.zeros((1, 8, 2, 2))).shape
    (1, 8, 2, 2)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = count(self, "size", size), alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x."""
        out: Tensor = autograd.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
        return out

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
