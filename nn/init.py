"""How parameters start: PyTorch's names, all in place, each returning its tensor; `generator=None` is the global one.

"fan in" is how many inputs one output sums over, "fan out" how many outputs one input reaches: for a weight of shape
(K, C, R, S) they are C·R·S and K·R·S.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import autograd
from autograd import Tensor
from autograd.errors import DomainError, DTypeError, ShapeError
from autograd.random import Generator

AnyTensor = TypeVar("AnyTensor", bound=Tensor)

GAINS = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "sigmoid": 1.0,
    "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 3.0 / 4.0,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which weights must grow to keep the variance through an activation.

    `param` is the negative slope of "leaky_relu" (default 0.01): √(2 / (1 + slope²)) (He et al. 2015, sec. 2.2).

    Raises:
        DomainError: for an unknown name.

    >>> round(calculate_gain("relu"), 4), calculate_gain("linear")
    (1.4142, 1.0)
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in GAINS:
        raise DomainError(f"calculate_gain: nonlinearity is {nonlinearity!r}, expected one of {[*GAINS, 'leaky_relu']}")
    return GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """Return (fan in, fan out) of a weight.

    Raises:
        ShapeError: for fewer than two axes.

    >>> fans(autograd.zeros((6, 3, 5, 5)))
    (75, 150)
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"init: a weight of shape {tuple(tensor.shape)} has no fan in; use uniform_ or normal_, or give 2 axes"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def uniform_(tensor: AnyTensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> AnyTensor:
    """Fill with values uniform in [a, b)."""
    return _fill(tensor, autograd.uniform(tensor.shape, a, b, **_like("uniform_", tensor), generator=generator))


def normal_(tensor: AnyTensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> AnyTensor:
    """Fill with values from the normal distribution N(mean, std²)."""
    return _fill(tensor, autograd.normal(tensor.shape, mean, std, **_like("normal_", tensor), generator=generator))


def constant_(tensor: AnyTensor, val: float) -> AnyTensor:
    """Fill with one value."""
    return _fill(tensor, val)


def zeros_(tensor: AnyTensor) -> AnyTensor:
    """Fill with zeros."""
    return _fill(tensor, 0.0)


def ones_(tensor: AnyTensor) -> AnyTensor:
    """Fill with ones."""
    return _fill(tensor, 1.0)


def trunc_normal_(
    tensor: AnyTensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> AnyTensor:
    """Fill with values from N(mean, std²) that lie in [a, b]; what falls outside is drawn again.

    Raises:
        DomainError: when [a, b] holds less than a hundredth of the distribution.

    >>> x = trunc_normal_(autograd.zeros((1000,)), std=5.0)
    >>> bool(abs(x.numpy()).max() <= 2.0)
    True
    """
    low, high = (0.5 * math.erf((edge - mean) / (std * math.sqrt(2.0))) for edge in (a, b))
    if not high - low > 0.01:
        raise DomainError(f"trunc_normal_: [a, b] = [{a}, {b}] holds {high - low:.2g} of N({mean}, {std}²); widen it")
    normal_(tensor, mean, std, generator)
    while bool((outside := (tensor.detach() < a) | (tensor.detach() > b)).any().item()):
        again = autograd.normal(tensor.shape, mean, std, dtype=tensor.dtype, device=tensor.device, generator=generator)
        _fill(tensor, autograd.where(outside, again, tensor.detach()))
    return tensor


def xavier_uniform_(tensor: AnyTensor, gain: float = 1.0, generator: Generator | None = None) -> AnyTensor:
    """Uniform in ± gain · √(6 / (fan in + fan out)) (Glorot & Bengio 2010, eq. 16)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: AnyTensor, gain: float = 1.0, generator: Generator | None = None) -> AnyTensor:
    """Normal with standard deviation gain · √(2 / (fan in + fan out)) (Glorot & Bengio 2010, eq. 12)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: AnyTensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> AnyTensor:
    """Uniform in ± gain · √(3 / fan); `a` is the negative slope of a leaky ReLU (He et al. 2015, eq. 10)."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: AnyTensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> AnyTensor:
    """Normal with deviation gain / √fan; `a` is the negative slope of a leaky ReLU (He et al. 2015, eq. 10)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def lecun_normal_(tensor: AnyTensor, generator: Generator | None = None) -> AnyTensor:
    """Normal with standard deviation 1 / √(fan in) (LeCun et al. 1998, Efficient BackProp, eq. 16)."""
    return normal_(tensor, 0.0, 1.0 / math.sqrt(fans(tensor)[0]), generator)


def orthogonal_(tensor: AnyTensor, gain: float = 1.0, generator: Generator | None = None) -> AnyTensor:
    """Fill with gain · Q, the rows or columns of Q orthonormal and random (Saxe et al. 2014); later axes are joined.

    Raises:
        ShapeError: for fewer than two axes.

    >>> w = orthogonal_(autograd.zeros((3, 5))).numpy()
    >>> (w @ w.T).round(4).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    fans(tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    flat = autograd.normal(
        (max(rows, columns), min(rows, columns)), dtype=tensor.dtype, device=tensor.device, generator=generator
    )
    q, r = autograd.qr(flat)
    q = q * autograd.sign(autograd.diagonal(r))  # else QR's own choice of signs would make the distribution uneven
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(*tensor.shape))


def eye_(tensor: AnyTensor) -> AnyTensor:
    """Fill a matrix with the identity.

    Raises:
        ShapeError: unless there are two axes.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: the tensor has shape {tuple(tensor.shape)}, expected 2 axes")
    rows, columns = tensor.shape
    return _fill(tensor, autograd.eye(rows, columns, dtype=tensor.dtype, device=tensor.device))


def bias_uniform_(bias: AnyTensor, weight: Tensor, generator: Generator | None = None) -> AnyTensor:
    """Uniform in ± 1 / √(fan in of `weight`): the start of PyTorch's biases."""
    bound = 1.0 / math.sqrt(fans(weight)[0])
    return uniform_(bias, -bound, bound, generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise DomainError(f"kaiming: mode is {mode!r}, expected 'fan_in' or 'fan_out'")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans(tensor)[mode == "fan_out"])


def _like(operation: str, tensor: Tensor) -> dict[str, Any]:
    """Type and device for random numbers, which have fractions."""
    if tensor.dtype.kind != "f":
        raise DTypeError(f"{operation}: the tensor has dtype {tensor.dtype}, expected a floating type → .to('float32')")
    return {"dtype": tensor.dtype, "device": tensor.device}


def _fill(tensor: AnyTensor, value: Tensor | float) -> AnyTensor:
    with autograd.no_grad():
        tensor[...] = value
    return tensor
