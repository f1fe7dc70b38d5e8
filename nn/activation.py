"""Activations: one line each says which operation, which parameters, and whose idea it was."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter as Argument
from inspect import Signature
from typing import Any, ClassVar

import autograd
from autograd import Tensor
from nn.module import Module, Parameter
from nn.shape import count


class Activation(Module):
    """An operation as a layer: its parameters, in order and with their defaults, are the class's keywords.

    `inplace` is accepted as in PyTorch and changes nothing: values that a graph may still need are never overwritten.

    Raises:
        TypeError: for a parameter that the activation does not have.

    >>> class Cube(Activation, operation=lambda x, scale: scale * x**3, scale=1.0):
    ...     "scale · x³."
    >>> Cube(scale=2.0)
    Cube(scale=2.0)
    """

    operation: ClassVar[Callable[..., Any]]
    defaults: ClassVar[dict[str, Any]]
    __signature__: ClassVar[Signature]

    def __init_subclass__(cls, operation: Callable[..., Any] | None = None, **defaults: Any) -> None:
        if operation is not None:
            cls.operation, cls.defaults = staticmethod(operation), defaults
            both = (defaults | {"inplace": False}).items()
            cls.__signature__ = Signature([Argument(n, Argument.POSITIONAL_OR_KEYWORD, default=v) for n, v in both])

    def __init__(self, *values: Any, **named: Any) -> None:
        try:
            given = self.__signature__.bind(*values, **named).arguments
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}{self.__signature__}: {error}") from None
        for name, default in self.defaults.items():
            setattr(self, name, given.get(name, default))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, elementwise unless it says otherwise."""
        out: Tensor = self.operation(x, **{name: getattr(self, name) for name in self.defaults})
        return out

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.defaults)


class ReLU(Activation, operation=autograd.relu):
    """max(x, 0) (Fukushima 1969; Nair & Hinton 2010)."""


class LeakyReLU(Activation, operation=autograd.leaky_relu, negative_slope=0.01):
    """max(x, 0) + negative_slope · min(x, 0) (Maas et al. 2013)."""


class ELU(Activation, operation=autograd.elu, alpha=1.0):
    """x where x > 0, else alpha · (eˣ − 1) (Clevert et al. 2015)."""


class SELU(Activation, operation=autograd.selu):
    """The ELU scaled to keep mean 0 and variance 1 (Klambauer et al. 2017, eq. 2)."""


class CELU(Activation, operation=autograd.celu, alpha=1.0):
    """max(x, 0) + min(0, alpha · (e^(x/alpha) − 1)) (Barron 2017)."""


class GELU(Activation, operation=autograd.gelu, approximate="none"):
    """x · Φ(x), Φ the normal distribution function, or approximate="tanh" (Hendrycks & Gimpel 2016)."""


class SiLU(Activation, operation=autograd.silu):
    """x · sigmoid(x) (Elfwing et al. 2017; "swish" of Ramachandran et al. 2017)."""


class Mish(Activation, operation=autograd.mish):
    """x · tanh(softplus(x)) (Misra 2019)."""


class Softplus(Activation, operation=lambda x, beta, threshold: autograd.softplus(x, beta), beta=1.0, threshold=20.0):
    """log(1 + e^(beta · x)) / beta, a smooth ReLU (Dugas et al. 2000); exact without `threshold`, which is ignored."""


class Sigmoid(Activation, operation=autograd.sigmoid):
    """1 / (1 + e⁻ˣ)."""


class LogSigmoid(Activation, operation=autograd.log_sigmoid):
    """log(1 / (1 + e⁻ˣ)) without overflow."""


class Tanh(Activation, operation=autograd.tanh):
    """Hyperbolic tangent."""


class Hardtanh(Activation, operation=autograd.hardtanh, min_val=-1.0, max_val=1.0):
    """x between min_val and max_val, else the nearer of the two (Collobert 2004)."""


class Hardsigmoid(Activation, operation=autograd.hardsigmoid):
    """min(max(x + 3, 0), 6) / 6 (Courbariaux et al. 2015; Howard et al. 2019)."""


class Hardswish(Activation, operation=autograd.hardswish):
    """x · hardsigmoid(x) (Howard et al. 2019)."""


class ReLU6(Activation, operation=autograd.relu6):
    """min(max(x, 0), 6) (Krizhevsky 2010)."""


class Softsign(Activation, operation=autograd.softsign):
    """x / (1 + |x|) (Bergstra et al. 2009)."""


class Tanhshrink(Activation, operation=autograd.tanhshrink):
    """x − tanh(x)."""


class Softmax(Activation, operation=lambda x, dim: autograd.softmax(x, axis=dim), dim=-1):
    """eˣ / Σ eˣ along the axis `dim` (Bridle 1990)."""


class LogSoftmax(Activation, operation=lambda x, dim: autograd.log_softmax(x, axis=dim), dim=-1):
    """x − log Σ eˣ along the axis `dim`, without overflow."""


class PReLU(Module):
    """max(x, 0) + weight · min(x, 0) with a learned slope, one for all or one per channel (He et al. 2015, eq. 1).

    Shapes: x (N, C, …) → the same; weight (num_parameters), 1 or C.

    Raises:
        ShapeError: when num_parameters is neither 1 nor the number of channels.

    >>> PReLU()(autograd.tensor([-4.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: str = "cpu", dtype: Any = None) -> None:
        self.num_parameters = count(self, "num_parameters", num_parameters)
        self.weight = Parameter(autograd.full((num_parameters,), init, dtype=dtype, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """Return x where it is positive, else weight · x."""
        weight: Tensor = self.weight
        if self.num_parameters > 1:
            if x.ndim < 2 or x.shape[1] != self.num_parameters:
                wanted = f"num_parameters={self.num_parameters}; expected (N, {self.num_parameters}, ...)"
                raise self.shape_error(f"x has shape {tuple(x.shape)}, but {wanted}")
            weight = weight.reshape(-1, *(1,) * (x.ndim - 2))
        out: Tensor = autograd.where(x > 0, x, weight * x)
        return out

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
