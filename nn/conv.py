"""Convolutions and transposed convolutions as layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import autograd
from autograd import Tensor
from autograd.errors import DomainError
from nn import init
from nn.module import Module, Parameter
from nn.shape import check_image, count, sizes

Size = int | Sequence[int]
PADDING_MODES: dict[str, Callable[[int, int], int]] = {  # which of n pixels stands at place i beyond the edges
    "reflect": lambda i, n: n - 1 - abs(n - 1 - i % max(1, 2 * n - 2)),
    "replicate": lambda i, n: min(max(i, 0), n - 1),
    "circular": lambda i, n: i % n,
}


class _Conv(Module):
    """What convolutions have in common: sizes, weight, bias and their words."""

    dims: ClassVar[int]
    operation: ClassVar[Callable[..., Any]]

    def _set(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size, dilation: Size, groups: int
    ) -> None:
        self.in_channels, self.out_channels = (
            count(self, "in_channels", in_channels),
            count(self, "out_channels", out_channels),
        )
        self.kernel_size = sizes(self, "kernel_size", kernel_size, self.dims)
        self.stride, self.dilation = (
            sizes(self, "stride", stride, self.dims),
            sizes(self, "dilation", dilation, self.dims),
        )
        self.groups = count(self, "groups", groups)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise DomainError(f"{type(self).__name__}: {name}={channels} is not divisible by groups={groups}")

    def _create(self, first: int, second: int, bias: bool, device: str, dtype: Any) -> None:
        self.weight = Parameter(autograd.empty((first, second, *self.kernel_size), dtype=dtype, device=device))
        self.bias = Parameter(autograd.empty((self.out_channels,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform in ±1/√fan_in as PyTorch does."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.bias_uniform_(self.bias, self.weight)

    def _words(self, padding: str | tuple[int, ...]) -> list[str]:
        words = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if isinstance(padding, str) or any(padding):
            words.append(f"padding={padding}")
        if any(step != 1 for step in self.dilation):
            words.append(f"dilation={self.dilation}")
        if self.groups != 1:
            words.append(f"groups={self.groups}")
        if self.bias is None:
            words.append("bias=False")
        return words


class Tail(NamedTuple):
    """What is done to a convolution's sums: times `scale` plus `shift` of each channel, plus `residual`, activated."""

    scale: Tensor | None = None
    shift: Tensor | None = None
    residual: Tensor | None = None
    activation: str | None = None


class Convolution(_Conv):
    """The convolutions of `dims` dimensions: arguments, padding and the call."""

    tailed: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str = "cpu",
        dtype: Any = None,
    ) -> None:
        self._set(in_channels, out_channels, kernel_size, stride, dilation, groups)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise DomainError(f"{type(self).__name__}: padding is {padding!r}, expected integers, 'same' or 'valid'")
        if padding == "same" and any(step != 1 for step in self.stride):
            raise DomainError(f"{type(self).__name__}: padding='same' needs stride 1, stride is {self.stride}")
        if padding_mode not in ("zeros", *PADDING_MODES):
            raise DomainError(
                f"{type(self).__name__}: padding_mode is {padding_mode!r}, expected one of {['zeros', *PADDING_MODES]}"
            )
        self.padding = padding if isinstance(padding, str) else sizes(self, "padding", padding, self.dims, 0)
        self.padding_mode = padding_mode
        self._create(out_channels, in_channels // groups, bias, device, dtype)

    @property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """How many pixels are added before and after each spatial axis; "same" puts the odd one after."""
        if self.padding == "valid":
            return ((0, 0),) * self.dims
        if isinstance(self.padding, str):
            spans = [dilation * (size - 1) for size, dilation in zip(self.kernel_size, self.dilation, strict=True)]
            return tuple((span // 2, span - span // 2) for span in spans)
        return tuple((pad, pad) for pad in self.padding)

    def forward(self, x: Tensor, tail: Tail | None = None) -> Tensor:
        """Return the convolution of x with the weight, plus the bias; or with what else is done to it."""
        lone = check_image(self, x, self.dims, self.in_channels)
        x = x[None] if lone else x
        padding = self.margins
        if self.padding_mode != "zeros":
            x, padding = self._padded(x), ((0, 0),) * self.dims
        options = self.stride, padding, self.dilation, self.groups
        out: Tensor
        if tail is None:
            out = self.operation(x, self.weight, self.bias, *options)
        else:
            out = self.tailed(x, self.weight, tail.scale, tail.shift, tail.residual, *options, tail.activation)
        return out[0] if lone else out

    def _padded(self, x: Tensor) -> Tensor:
        source = PADDING_MODES[self.padding_mode]
        for axis, (before, after) in enumerate(self.margins, start=2):
            size = x.shape[axis]
            places = [source(i, size) for i in range(-before, size + after)]
            x = autograd.take(x, autograd.tensor(places, device=x.device), axis=axis)
        return x

    def extra_repr(self) -> str:
        mode = [] if self.padding_mode == "zeros" else [f"padding_mode={self.padding_mode}"]
        return ", ".join(self._words(self.padding) + mode)


class Conv1d(Convolution):
    """Slide a bank of filters along sequences.

    out[n, k, p] = b[k] + Σ_c,r w[k, c, r] · x[n, c, p·stride + r·dilation − padding]

    Shapes: x (N, C, L) or (C, L) → (N, K, P), P = ⌊(L + 2·padding − dilation·(R−1) − 1) / stride⌋ + 1;
    weight (K, C/groups, R), bias (K). Sizes in steps of the sequence.

    Raises:
        ShapeError: when x has another rank or number of channels.

    >>> Conv1d(2, 4, 3, padding="same")(autograd.zeros((1, 2, 9))).shape
    (1, 4, 9)
    """

    dims = 1
    operation = staticmethod(autograd.biased_conv1d)
    tailed = staticmethod(autograd.affine_conv1d)


class Conv2d(Convolution):
    """Slide a bank of filters over images, with a dot product at every place (LeCun et al. 1998, sec. II).

    out[n, k, p, q] = b[k] + Σ_c,r,s w[k, c, r, s] · x[n, c, p·stride + r·dilation − padding, q·stride + s·dilation − …]

    Shapes: x (N, C, H, W) or (C, H, W) → (N, K, P, Q), P = ⌊(H + 2·padding − dilation·(R−1) − 1) / stride⌋ + 1;
    weight (K, C/groups, R, S), bias (K). Sizes in pixels; padding is a number, one per axis, "same" or "valid".

    Raises:
        ShapeError: when x has another rank or number of channels, or is NHWC.
        DomainError: when groups does not divide the channels, or padding="same" meets a stride.

    >>> Conv2d(3, 6, 5)(autograd.zeros((1, 3, 32, 32))).shape
    (1, 6, 28, 28)
    """

    dims = 2
    operation = staticmethod(autograd.biased_conv2d)
    tailed = staticmethod(autograd.affine_conv2d)


class Conv3d(Convolution):
    """Slide a bank of filters through volumes or videos; see `Conv2d`.

    Shapes: x (N, C, D, H, W) or (C, D, H, W) → (N, K, O, P, Q); weight (K, C/groups, T, R, S), bias (K).

    Raises:
        ShapeError: when x has another rank or number of channels.

    >>> Conv3d(1, 2, 3)(autograd.zeros((1, 1, 5, 6, 7))).shape
    (1, 2, 3, 4, 5)
    """

    dims = 3
    operation = staticmethod(autograd.biased_conv3d)
    tailed = staticmethod(autograd.affine_conv3d)


class TransposedConvolution(_Conv):
    """The transposed convolutions of `dims` dimensions: arguments, output sizes and the call."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: str = "cpu",
        dtype: Any = None,
    ) -> None:
        self._set(in_channels, out_channels, kernel_size, stride, dilation, groups)
        if padding_mode != "zeros":
            raise DomainError(f"{type(self).__name__}: padding_mode is {padding_mode!r}, expected 'zeros'")
        self.padding = sizes(self, "padding", padding, self.dims, 0)
        self.output_padding = sizes(self, "output_padding", output_padding, self.dims, 0)
        self._create(in_channels, out_channels // groups, bias, device, dtype)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Return the transposed convolution; `output_size` (spatial) chooses among the sizes a stride leaves open."""
        lone = check_image(self, x, self.dims, self.in_channels)
        x = x[None] if lone else x
        extra = self.output_padding if output_size is None else self._extra(tuple(x.shape[2:]), tuple(output_size))
        out: Tensor = self.operation(x, self.weight, self.stride, self.padding, extra, self.groups, self.dilation)
        if self.bias is not None:
            out = out + self.bias.reshape(-1, *(1,) * self.dims)
        return out[0] if lone else out

    def _extra(self, spatial: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
        wanted = wanted[-self.dims :]
        least = tuple(
            (size - 1) * stride - 2 * pad + dilation * (kernel - 1) + 1
            for size, stride, pad, dilation, kernel in zip(
                spatial, self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )
        most = tuple(low + stride - 1 for low, stride in zip(least, self.stride, strict=True))
        if len(wanted) != self.dims or not all(a <= b <= c for a, b, c in zip(least, wanted, most, strict=True)):
            raise self.shape_error(
                f"output_size is {wanted}, but from {spatial} the sizes {least} to {most} are possible"
            )
        return tuple(want - low for want, low in zip(wanted, least, strict=True))

    def extra_repr(self) -> str:
        extra = [f"output_padding={self.output_padding}"] if any(self.output_padding) else []
        return ", ".join(self._words(self.padding) + extra)


class ConvTranspose1d(TransposedConvolution):
    """The gradient of `Conv1d` with respect to its input, as a layer that upsamples sequences by the stride.

    Shapes: x (N, C, L) → (N, K, P), P = (L−1)·stride − 2·padding + dilation·(R−1) + output_padding + 1;
    weight (C, K/groups, R), bias (K).

    Raises:
        ShapeError: when x has another rank or number of channels.

    >>> ConvTranspose1d(4, 2, 2, stride=2)(autograd.zeros((1, 4, 5))).shape
    (1, 2, 10)
    """

    dims = 1
    operation = staticmethod(autograd.conv_transpose1d)


class ConvTranspose2d(TransposedConvolution):
    """The gradient of `Conv2d` with respect to its input, as a layer that upsamples by the stride (Zeiler et al. 2010).

    Shapes: x (N, C, H, W) → (N, K, P, Q), P = (H−1)·stride − 2·padding + dilation·(R−1) + output_padding + 1;
    weight (C, K/groups, R, S), bias (K).

    Raises:
        ShapeError: when x has another rank or number of channels, or `output_size` is not reachable.

    >>> ConvTranspose2d(4, 2, 2, stride=2)(autograd.zeros((1, 4, 5, 6))).shape
    (1, 2, 10, 12)
    """

    dims = 2
    operation = staticmethod(autograd.conv_transpose2d)
