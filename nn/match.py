"""Weights of others for a model of ours: their keys become ours, their layout becomes ours, and a table says how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autograd.errors import DataError, DomainError
from nn.conv import _Conv
from nn.linear import Linear
from nn.module import Module
from nn.recurrent.cells import RNNCellBase
from nn.recurrent.layers import RNNBase
from nn.state import LoadResult

Rename = Mapping[str, str | None] | Callable[[str], str | None]
LAYOUTS = ("OIHW", "HWIO")


@dataclass(frozen=True)
class Match:
    """What `match` found: printed, a table; loaded, all or nothing."""

    model: Module
    state: dict[str, Any]
    """Values under the model's keys and in its layout; what the model lacks stays, under its new key."""
    sources: dict[str, str]
    """Where each value came from, by its new key."""

    @property
    def missing(self) -> list[str]:
        """Keys of the model for which no value is there."""
        return [key for key in self.model.state_dict() if key not in self.state]

    @property
    def unexpected(self) -> list[str]:
        """Keys that the model lacks."""
        return [key for key in self.state if key not in self.model.state_dict()]

    @property
    def misshaped(self) -> list[str]:
        """Keys whose value has another shape than the model's."""
        own = self.model.state_dict()
        return [
            key for key, value in self.state.items() if key in own and getattr(value, "shape", None) != own[key].shape
        ]

    def load(self, strict: bool = True) -> LoadResult:
        """Copy the values into the model, or nothing at all.

        Raises: `DataError`, as `Module.load_state_dict` does, listing every key that is missing, unexpected (both only
        if `strict`) or of another shape.
        """
        return self.model.load_state_dict(self.state, strict)

    def __str__(self) -> str:
        own = self.model.state_dict()
        rows = [("key", "shape", "from", "")]
        for key in [*own, *self.unexpected]:
            shape = _shape(own[key]) if key in own else "–"
            verdict = "unexpected" if key not in own else "missing" if key not in self.state else ""
            if key in self.misshaped:
                verdict = f"has shape {_shape(self.state[key])}"
            rows.append((key, shape, self.sources.get(key, "–"), verdict))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0])).rstrip() for row in rows]
        return "\n".join(lines)


def match(model: Module, state: Any, rename: Rename | None = None, layout: str = "OIHW") -> Match:
    r"""Bring a foreign state to a model's keys and layout, without loading it yet.

    Nested dicts and lists are flattened first: `{"conv1": [kernel, bias]}` has the keys `conv1.0` and `conv1.1`.

    Args:
        model: whose keys and shapes are wanted.
        state: what `nn.load` gave, or any nest of arrays.
        rename: regular expressions that match whole keys and what to put in their place (`None` leaves the key out),
            the first that matches counts, other keys stay; or a function of a key.
        layout: `"OIHW"` as PyTorch has filters (out, in, height, width) and matrices (out, in); `"HWIO"` as Keras,
            TensorFlow and JAX have them (height, width, in, out) and (in, out), in any number of dimensions. Only
            the weights of convolutions (also depthwise), `Linear` and recurrent layers are turned round. A `Linear`
            behind `Flatten` still expects channels first in its columns.

    Raises:
        DataError: when two keys become one.
        DomainError: for another layout.

    >>> import numpy as np
    >>> from nn import Conv2d
    >>> theirs = {"conv1": {"kernel": np.zeros((3, 3, 1, 8)), "beta": np.zeros(8)}}
    >>> found = match(Conv2d(1, 8, 3), theirs, {r"conv1\.kernel": "weight", r"conv1\.beta": "bias"}, layout="HWIO")
    >>> print(found)
    key     shape    from
    weight  8×1×3×3  conv1.kernel
    bias    8        conv1.beta
    >>> found.load()
    <All keys matched successfully>
    """
    if layout not in LAYOUTS:
        raise DomainError(f"match: layout is {layout!r}, expected one of {', '.join(map(repr, LAYOUTS))}")
    modules = dict(model.named_modules())
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for theirs, value in _flat(state, ""):
        ours = _renamed(theirs, rename)
        if ours is None:
            continue
        if ours in sources:
            raise DataError(f"match: {sources[ours]} and {theirs} both become {ours} → change rename")
        owner = modules.get(ours.rpartition(".")[0])
        values[ours] = _turned(value, owner) if layout == "HWIO" else value
        sources[ours] = theirs
    return Match(model, values, sources)


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        yield key, value
        return
    for name, item in value.items():
        yield from _flat(item, f"{key}.{name}" if key else str(name))


def _renamed(key: str, rename: Rename | None) -> str | None:
    if callable(rename):
        return rename(key)
    for pattern, replacement in (rename or {}).items():
        if found := re.fullmatch(pattern, key):
            return None if replacement is None else found.expand(replacement)
    return key


def _turned(value: Any, owner: Module | None) -> Any:
    """A kernel's last two axes, in and out, put first, exchanged."""
    rank = getattr(value, "ndim", 0)
    if rank < 2 or not isinstance(owner, (_Conv, Linear, RNNBase, RNNCellBase)):
        return value
    space = tuple(range(rank - 2))
    if isinstance(owner, _Conv) and value.shape[-2] == owner.in_channels == owner.groups > 1:
        depthwise = value.transpose((rank - 2, rank - 1, *space))  # (H, W, C, multiplier): each channel's own filters
        return depthwise.reshape((-1, 1, *depthwise.shape[2:]))
    return value.transpose((rank - 1, rank - 2, *space))


def _shape(value: Any) -> str:
    return "×".join(map(str, value.shape)) or "1" if hasattr(value, "shape") else type(value).__name__
