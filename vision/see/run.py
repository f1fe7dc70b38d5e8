"""One run of a network that is looked into: images it can take, layers by name, units by index."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from numbers import Real
from operator import index
from typing import Any

import numpy as np

import autograd
import nn
from autograd import Tensor
from autograd.errors import DomainError, DTypeError, IndexingError, ShapeError
from nn.session import evaluating

Unit = int | Sequence[int] | np.ndarray | None
"""An index into what a layer answers to one image: `(k, p, q)` a unit, `k` a whole map or a class; None: the strongest
unit."""


def batch(op: str, model: nn.Module, images: Any, several: bool = False) -> Tensor:
    """Images `C H W` or `N C H W` as the network's type on its device, whose gradients are wanted: `N C H W`.

    Raises:
        DTypeError: for what is no array of floating numbers, or no module.
        ShapeError: for other axes, or several images where one is wanted.
        DomainError: for NaN and infinity.
    """
    what = "images" if several else "image"
    if not isinstance(model, nn.Module):
        raise DTypeError(f"{op}: model is a {type(model).__name__}, expected an nn.Module → give the network first")
    if not hasattr(images, "shape") or not hasattr(images, "dtype"):
        raise DTypeError(f"{op}: {what} is a {type(images).__name__}, expected an array or tensor → np.asarray(...)")
    if np.dtype(images.dtype).kind != "f":
        raise DTypeError(
            f"{op}: {what} is {images.dtype}, expected floating numbers as the network was trained on "
            "→ vision.transforms.ToFloat() and Normalize(...)"
        )
    shape = tuple(images.shape)
    wanted = "N C H W" if several else "C H W or 1 C H W"
    if len(shape) not in (3, 4) or 0 in shape or (not several and len(shape) == 4 and shape[0] != 1):
        remedy = "image[None]" if len(shape) == 2 else "give images one by one" if len(shape) == 4 else "reshape it"
        raise ShapeError(f"{op}: {what} has shape {shape}, expected {wanted} → {remedy}")
    parameter = next(model.parameters(), None)
    x = images.detach() if isinstance(images, Tensor) else autograd.tensor(images)
    if parameter is not None:
        x = x.to(parameter.device).to(parameter.dtype)
    bad = int((~autograd.isfinite(x)).sum().item())
    if bad:
        raise DomainError(f"{op}: {what} has {bad} NaN or infinite of {x.size} values, expected none → repair them")
    x = x.reshape((-1, *shape[-3:])).detach()
    x.requires_grad = True
    return x


def whole(op: str, name: str, value: Any, least: int = 1) -> int:
    """Return the value if it is an integer of at least `least`, else raise a `DomainError`."""
    if not hasattr(value, "__index__") or value < least:
        raise DomainError(f"{op}: {name} is {value!r}, expected an integer → give one of at least {least}")
    return index(value)


def within(op: str, name: str, value: Any, most: float | None = None) -> float:
    """Return the value if it is a finite number from 0 to `most`, else raise a `DomainError`."""
    if not isinstance(value, Real) or not isfinite(value) or not 0 <= float(value) <= (inf if most is None else most):
        to = "on" if most is None else f"to {most}"
        raise DomainError(f"{op}: {name} is {value!r}, expected a number from 0 {to} → choose another one")
    return float(value)


def layer_at(op: str, model: nn.Module, path: str) -> nn.Module:
    """Return the module at a path, as `named_modules()` has it; "" is the network.

    Raises:
        DomainError: with near names for one that the network has not.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if path not in modules:
        near = difflib.get_close_matches(str(path), modules, n=4, cutoff=0.5) or [name for name in modules if name][:12]
        raise DomainError(
            f"{op}: layer is {path!r}, which the network has not → expected one of its modules, such as "
            f"{', '.join(map(repr, near))}"
        )
    return modules[path]


def answers(
    op: str,
    model: nn.Module,
    x: Tensor,
    layers: Sequence[str],
    rules: Mapping[str, Any] | None = None,
    record: bool = True,
) -> dict[str, Tensor]:
    """Run the network on `x` in evaluation mode; what each layer answered, by path, and under "" the network.

    Of a layer that runs several times it is the last answer. `rules`: gradients go back by these, see
    `autograd.with_rules`; `record`: whether there will be gradients.

    Raises:
        ShapeError: for images that the network refuses, with its reason.
        DomainError: for layers that there are not, or that did not run.
        DTypeError: for layers that answer with something else than a tensor.
    """
    found: dict[str, Any] = {}
    handles = []
    for path in layers:
        note = lambda _module, _inputs, out, path=path: found.__setitem__(path, out)  # noqa: E731
        handles.append(layer_at(op, model, path).register_forward_hook(note))

    def run(x: Tensor) -> dict[str, Any]:
        found[""] = model(x)
        return found

    try:
        with evaluating(model), autograd.enable_grad() if record else autograd.no_grad():
            (run if rules is None else autograd.with_rules(run, rules))(x)
    except ShapeError as error:
        size = "×".join(map(str, x.shape[1:]))
        raise ShapeError(f"{op}: the network does not take images of {size} (C×H×W): {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    for path in layers:
        if path not in found:
            raise DomainError(f"{op}: layer {path!r} did not run on this image → choose one that does")
        if not isinstance(found[path], Tensor):
            kind = type(found[path]).__name__
            raise DTypeError(f"{op}: layer {path!r} answers with a {kind}, expected a tensor → choose one inside it")
    return found


def unit_at(op: str, layer: str, out: Tensor, unit: Unit, n: int = 0) -> tuple[int, ...]:
    """The index of a unit in the answer to image `n`; of the strongest if `unit` is None.

    Raises:
        IndexingError: for more indices than axes, or outside of them.
    """
    shape = tuple(out.shape[1:])
    if unit is None:
        return tuple(map(int, np.unravel_index(int(out[n].reshape(-1).argmax(0).item()), shape)))
    given = unit.tolist() if isinstance(unit, np.ndarray) else unit
    at = tuple(given) if isinstance(given, Sequence) else (given,)
    if not 0 < len(at) <= len(shape) or not all(hasattr(i, "__index__") and -m <= i < m for i, m in zip(at, shape)):
        where = f"layer {layer!r}" if layer else "the network"
        raise IndexingError(
            f"{op}: unit is {unit!r} but {where} answers with {'×'.join(map(str, shape))} "
            f"→ give up to {len(shape)} indices, each below its axis's size"
        )
    return tuple(index(i) % m for i, m in zip(at, shape))


def slopes(out: Tensor, to: Tensor, units: Sequence[tuple[int, ...]], activation: bool = False) -> Tensor | None:
    """The gradient with respect to `to` of one unit for each image; None if nothing leads there.

    It begins with 1, or with the unit's activation.
    """
    begin = np.zeros(out.shape, out.dtype)
    for n, unit in enumerate(units):
        begin[(n, *unit)] = numbers(out.detach()[n][unit]) if activation else 1
    found: Tensor | None = autograd.gradients(out, to, autograd.tensor(begin, device=out.device), allow_unused=True)
    return found


def value(out: Tensor, index: tuple[int, ...]) -> float:
    """The unit's own value, the sum of a map's."""
    return float(out.detach()[0][index].sum().item())


def numbers(x: Tensor) -> np.ndarray:
    """The values as a NumPy array of its own."""
    return np.array(x.detach().cpu().numpy())


def named(layer: str, unit: Sequence[int]) -> str:
    """A unit in words.

    >>> named("features.3", (5, 2, 2)), named("", (7,))
    ('features.3 [5, 2, 2]', 'output [7]')
    """
    return f"{layer or 'output'} [{', '.join(map(str, unit))}]"
