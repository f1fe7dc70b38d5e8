"""What layers ask of their arguments: sizes that are numbers or tuples, and inputs of the right rank and channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from operator import index
from typing import Any

from autograd import Tensor
from autograd.errors import DomainError, DTypeError
from nn.module import Module

AXES = {1: "N C L", 2: "N C H W", 3: "N C D H W"}


def sizes(module: Module, name: str, value: int | Sequence[int], dims: int, least: int = 1) -> tuple[int, ...]:
    """Return `value` as one integer per dimension, each at least `least`.

    Raises:
        DomainError: if the length, the type or a value does not fit; it names the module's type.

    >>> sizes(Module(), "kernel_size", 3, 2)
    (3, 3)
    """
    values = tuple(value) if isinstance(value, Sequence) else (value,) * dims
    found = f"{type(module).__name__}: {name} is {value!r}"
    if len(values) != dims:
        raise DomainError(f"{found}: {len(values)} values, expected {dims}, one per axis, or one integer")
    if not all(hasattr(one, "__index__") and one >= least for one in values):
        raise DomainError(f"{found}, expected integers of at least {least}")
    return tuple(map(index, values))


def count(module: Module, name: str, value: int, least: int = 1) -> int:
    """Return `value` if it is an integer of at least `least`, else raise a DomainError."""
    if not hasattr(value, "__index__") or value < least:
        raise DomainError(f"{type(module).__name__}: {name} is {value!r}, expected an integer of at least {least}")
    return index(value)


def probability(module: Module, name: str, value: Any) -> Any:
    """Return `value` if it is a number from 0 to 1, else raise a DomainError."""
    if not isinstance(value, Real) or not 0.0 <= float(value) <= 1.0:
        raise DomainError(f"{type(module).__name__}: {name}={value!r}, expected a probability between 0 and 1")
    return value


def shape_of(module: Module, x: Tensor, name: str = "x") -> tuple[int, ...]:
    """Return the shape of an input.

    Raises:
        DTypeError: if it is no tensor or array, but a list for example.
    """
    if not hasattr(x, "shape"):
        raise DTypeError(
            f"{type(module).__name__}: {name} is a {type(x).__name__}, expected a tensor; use autograd.tensor(...)"
        )
    return tuple(x.shape)


def check_image(module: Module, x: Tensor, dims: int, channels: int | None = None, letter: str = "in_channels") -> bool:
    """Check that `x` is (N, C, *spatial) or (C, *spatial), with C = `channels` if given; return whether N is absent.

    Raises:
        ShapeError: naming the layer, its path and both values; it asks about NHWC where the last axis would fit.
        DTypeError: for integers where the layer computes with channels.
    """
    shape = shape_of(module, x)
    lone = len(shape) == dims + 1
    if not lone and len(shape) != dims + 2:
        raise module.shape_error(
            f"x has shape {shape}: {len(shape)} axes, expected {dims + 2} ({AXES[dims]}) or {dims + 1} (without N); "
            "use x.reshape(...)"
        )
    if channels is not None and x.dtype.kind not in "fc":
        raise DTypeError(
            f"{type(module).__name__}: x is {x.dtype}, expected floating numbers "
            "→ use x.to('float32'), for bytes divided by 255"
        )
    found = shape[0] if lone else shape[1]
    if channels is None or found == channels:
        return lone
    message = f"x has shape {shape}: C={found} but {letter}={channels}; "
    if shape[-1] == channels:
        order = ", ".join(map(str, (dims, *range(dims)) if lone else (0, dims + 1, *range(1, dims + 1))))
        letters = AXES[dims].replace(" ", "")[lone:]
        hint = f"the last axis is {channels} — is x {letters.replace('C', '')}C? use x.transpose({order})"
    elif lone and channels == 1:
        hint = "the channel axis is missing? use x[:, None]"
    else:
        hint = f"build the layer with {letter}={found}, or give an x with C={channels}"
    raise module.shape_error(message + hint)


def check_last(module: Module, x: Tensor, features: int, letter: str = "in_features") -> None:
    """Check that the last axis of `x` has `features` entries.

    Raises:
        ShapeError: it proposes to flatten where the axes after the first multiply to `features`.
    """
    shape = shape_of(module, x)
    if shape and shape[-1] == features:
        return
    found = f"the last axis is {shape[-1]}" if shape else "no axis"
    if math.prod(shape[1:]) == features:
        hint = "flatten it first: x.reshape(len(x), -1) or nn.Flatten()"
    elif math.prod(shape) == features:
        hint = "flatten it first: x.reshape(-1)"
    else:
        hint = (
            f"build the layer with {letter}={shape[-1] if shape else '...'}, or give an x whose last axis is {features}"
        )
    raise module.shape_error(f"x has shape {shape}: {found} but {letter}={features}; {hint}")
