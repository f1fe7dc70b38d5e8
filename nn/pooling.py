"""Pooling: the largest or the mean value of each window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import autograd
from autograd import Tensor
from autograd.errors import DomainError
from nn.module import Module
from nn.shape import check_image, sizes

Size = int | Sequence[int]


class _Pool(Module):
    """Windows of `kernel_size` every `stride` (default: the kernel size), over inputs with `padding` at every edge."""

    dims: ClassVar[int]
    operation: ClassVar[Callable[..., Any]]

    def _set(self, kernel_size: Size, stride: Size | None, padding: Size) -> None:
        self.kernel_size = sizes(self, "kernel_size", kernel_size, self.dims)
        self.stride = self.kernel_size if stride is None else sizes(self, "stride", stride, self.dims)
        self.padding = sizes(self, "padding", padding, self.dims, 0)
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel_size, strict=True)):
            raise DomainError(
                f"{type(self).__name__}: padding={self.padding} is more than half of kernel_size={self.kernel_size}; "
                "windows would lie outside the input"
            )

    def _run(self, x: Tensor, *arguments: Any) -> Tensor:
        lone = check_image(self, x, self.dims)
        out: Tensor = self.operation(x[None] if lone else x, *arguments)
        return out[0] if lone else out


class MaxPool(_Pool):
    """The maximum pooling of `dims` dimensions."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        self._set(kernel_size, stride, padding)
        self.dilation, self.ceil_mode = sizes(self, "dilation", dilation, self.dims), ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest value of each window."""
        return self._run(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        sizes = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{sizes}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(MaxPool):
    """The largest value of each window of a sequence; padding counts as −∞.

    Shapes: x (N, C, L) or (C, L) → (N, C, P), P = ⌊(L + 2·padding − dilation·(R−1) − 1) / stride⌋ + 1
    (⌈⌉ with ceil_mode, but no window starts in the padding at the end).

    Raises:
        DomainError: when the padding exceeds half the kernel.

    >>> MaxPool1d(2)(autograd.tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
    [[[3.0, 2.0]]]
    """

    dims = 1
    operation = staticmethod(autograd.max_pool1d)


class MaxPool2d(MaxPool):
    """The largest value of each window of an image; padding counts as −∞; of equal values the last gets the gradient.

    Shapes: x (N, C, H, W) or (C, H, W) → (N, C, P, Q), P = ⌊(H + 2·padding − dilation·(R−1) − 1) / stride⌋ + 1
    (⌈⌉ with ceil_mode, but no window starts in the padding at the end). Sizes in pixels.

    Raises:
        DomainError: when the padding exceeds half the kernel.

    >>> x = autograd.tensor([[[[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]]])
    >>> MaxPool2d(2, 2)(x).tolist()
    [[[[6.0, 8.0], [3.0, 4.0]]]]
    """

    dims = 2
    operation = staticmethod(autograd.max_pool2d)


class AvgPool(_Pool):
    """The mean pooling of `dims` dimensions."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self._set(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of each window."""
        return self._run(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(AvgPool):
    """The mean of each window of a sequence; zeros in the padding count unless count_include_pad=False.

    Shapes: x (N, C, L) or (C, L) → (N, C, P), P as for `MaxPool1d` without dilation.

    Raises:
        DomainError: when the padding exceeds half the kernel.

    >>> AvgPool1d(2)(autograd.tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
    [[[2.0, 1.0]]]
    """

    dims = 1
    operation = staticmethod(autograd.avg_pool1d)


class AvgPool2d(AvgPool):
    """The mean of each window of an image; zeros in the padding count unless count_include_pad=False.

    Shapes: x (N, C, H, W) or (C, H, W) → (N, C, P, Q), P as for `MaxPool2d` without dilation.

    Raises:
        DomainError: when the padding exceeds half the kernel.

    >>> AvgPool2d(2)(autograd.ones((1, 3, 5, 4))).shape
    (1, 3, 2, 2)
    """

    dims = 2
    operation = staticmethod(autograd.avg_pool2d)


class _AdaptivePool(_Pool):
    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        wanted = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * self.dims
        sizes(self, "output_size", tuple(1 if size is None else size for size in wanted), self.dims)
        self.output_size = wanted

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled x, of spatial size `output_size`."""
        spatial = tuple(x.shape)[-self.dims :]
        return self._run(
            x, tuple(have if want is None else want for want, have in zip(self.output_size, spatial, strict=False))
        )

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """Mean over windows chosen so that `output_size` values come out: window i covers ⌊i·L/P⌋ … ⌈(i+1)·L/P⌉ − 1.

    Shapes: x (N, C, L) or (C, L) → (N, C, P).

    >>> AdaptiveAvgPool1d(3)(autograd.ones((1, 2, 7))).shape
    (1, 2, 3)
    """

    dims = 1
    operation = staticmethod(autograd.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Mean over windows chosen so that `output_size` comes out; `None` keeps an axis. See `AdaptiveAvgPool1d`.

    Shapes: x (N, C, H, W) or (C, H, W) → (N, C, P, Q).

    >>> AdaptiveAvgPool2d((1, None))(autograd.ones((1, 2, 7, 5))).shape
    (1, 2, 1, 5)
    """

    dims = 2
    operation = staticmethod(autograd.adaptive_avg_pool2d)


class AdaptiveMaxPool1d(_AdaptivePool):
    """Largest value in windows chosen so that `output_size` values come out. See `AdaptiveAvgPool1d`.

    Shapes: x (N, C, L) or (C, L) → (N, C, P).

    >>> AdaptiveMaxPool1d(3)(autograd.ones((1, 2, 7))).shape
    (1, 2, 3)
    """

    dims = 1
    operation = staticmethod(autograd.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptivePool):
    """Largest value in windows chosen so that `output_size` comes out; `None` keeps an axis. See `AdaptiveAvgPool1d`.

    Shapes: x (N, C, H, W) or (C, H, W) → (N, C, P, Q).

    >>> AdaptiveMaxPool2d(2)(autograd.ones((1, 2, 7, 5))).shape
    (1, 2, 2, 2)
    """

    dims = 2
    operation = staticmethod(autograd.adaptive_max_pool2d)
