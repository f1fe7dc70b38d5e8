"""What the models share: a start for the weights, a choice among variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import nn
from autograd.errors import DomainError

Key = TypeVar("Key", int, str)
Value = TypeVar("Value")
Start = Callable[[nn.Parameter], object]


def start(
    network: nn.Module, kind: type[nn.Conv2d] | type[nn.Linear], weights: Start, biases: float | None = 0.0
) -> None:
    """Draw the weights of all layers of a kind anew, and set their biases, unless that is None."""
    for layer in network.modules():
        if isinstance(layer, kind):
            weights(layer.weight)
            if biases is not None and layer.bias is not None:
                nn.init.constant_(layer.bias, biases)


def choose(name: str, wanted: Key, choices: Mapping[Key, Value]) -> Value:
    """Return the choice wanted.

    Raises:
        DomainError: listing what there is.

    >>> choose("alexnet: variant", "papper", {"paper": 1, "torchvision": 2})
    Traceback (most recent call last):
    autograd.errors.DomainError: alexnet: variant is 'papper', expected one of 'paper', 'torchvision'
    """
    if wanted not in choices:
        raise DomainError(f"{name} is {wanted!r}, expected one of {', '.join(map(repr, choices))}")
    return choices[wanted]
