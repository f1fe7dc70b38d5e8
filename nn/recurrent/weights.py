"""The parameters of one recurrent step, under PyTorch's names and the lecture's symbols."""

from __future__ import annotations

import math
from typing import Any

import autograd
from autograd import Tensor
from autograd.errors import DomainError
from nn import init
from nn.module import Module, Parameter

NAMES = {"weight_ih": "W_xh", "weight_hh": "W_hh", "bias_ih": "b_xh", "bias_hh": "b_hh"}
NONLINEARITIES = ("tanh", "relu")


def add_weights(
    module: Module, suffix: str, inputs: int, hidden: int, gates: int, bias: bool, device: str, dtype: Any
) -> None:
    """Give a module weight_ih (gates·H, D), weight_hh (gates·H, H), bias_ih and bias_hh (gates·H), names + `suffix`."""
    shapes = ((gates * hidden, inputs), (gates * hidden, hidden), (gates * hidden,), (gates * hidden,))
    for name, shape in zip(NAMES, shapes, strict=True):
        if bias or name.startswith("weight"):
            setattr(module, name + suffix, Parameter(autograd.empty(shape, dtype=dtype, device=device)))


def weights_of(module: Module, suffix: str) -> list[Tensor | None]:
    """Return the four in the order in which `autograd.rnn` takes them, None for a bias that there is not."""
    return [getattr(module, name + suffix, None) for name in NAMES]


def draw_weights(module: Module, hidden: int) -> None:
    """Fill all parameters evenly from ±1/√H."""
    bound = 1.0 / math.sqrt(hidden)
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


def check_nonlinearity(module: Module, nonlinearity: str) -> str:
    """Return the name of a nonlinearity if there is one of that name, else raise a DomainError."""
    if nonlinearity not in NONLINEARITIES:
        raise DomainError(
            f"{type(module).__name__}: nonlinearity is {nonlinearity!r}, expected one of {', '.join(NONLINEARITIES)}"
        )
    return nonlinearity
