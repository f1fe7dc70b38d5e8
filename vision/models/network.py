"""What the models share: a chain that knows what was published about it, a start for weights, a choice of variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import nn
from autograd.errors import DomainError
from nn.published import Published

Key = TypeVar("Key", int, str)
Value = TypeVar("Value")
Start = Callable[[nn.Parameter], object]


class Network(nn.Sequential):
    """Named layers one after the other; `nn.summary` shows them beside what was published about them."""

    def __init__(self, layers: Mapping[str, nn.Module], published: Published | None = None) -> None:
        super().__init__(layers)
        self.published = published


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
    if wanted not in list(choices):  # a list has no hash
        raise DomainError(f"{name} is {wanted!r}, expected one of {', '.join(map(repr, choices))}")
    return choices[wanted]
