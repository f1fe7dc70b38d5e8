"""Gradient clipping, in place, between `backward()` and `step()`."""

from __future__ import annotations

import math
from collections.abc import Iterable

import autograd
from autograd import Tensor
from autograd.errors import DomainError
from nn.optim.optimizer import require


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients in place so that their joint norm is at most `max_norm`; returns the norm before.

    g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)), where ‖g‖ is the `norm_type`-norm (`math.inf` allowed) over all gradients.

    Raises: `DomainError` for `max_norm` < 0, `norm_type` ≤ 0, or a norm that is not finite with `error_if_nonfinite`.
    Source: Pascanu, Mikolov & Bengio 2013, algorithm 1.

    >>> import autograd
    >>> p = autograd.tensor([0.0, 0.0], requires_grad=True); p.grad = autograd.tensor([3.0, 4.0])
    >>> round(clip_grad_norm_([p], 1.0).item(), 4), [round(g, 4) for g in p.grad.numpy().tolist()]
    (5.0, [0.6, 0.8])
    """
    require("clip_grad_norm_", "max_norm", max_norm, max_norm >= 0, "≥ 0")
    require("clip_grad_norm_", "norm_type", norm_type, norm_type > 0, "> 0")
    gradients = _gradients(parameters)
    if not gradients:
        return autograd.tensor(0.0)
    with autograd.no_grad():
        if math.isinf(norm_type):
            total = autograd.stack([abs(g).max() for g in gradients]).max()
        elif norm_type == 2:
            total = autograd.sqrt(sum((g * g).sum() for g in gradients))
        else:
            total = sum((abs(g) ** norm_type).sum() for g in gradients) ** (1 / norm_type)
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise DomainError(
                f"clip_grad_norm_: the norm of the gradients is {total.item()}, expected a finite number → lower lr"
            )
        # One multiplication by a tensor, without a branch: reading the norm would make a GPU wait.
        scale = autograd.minimum(max_norm / (total + 1e-6), 1.0)
        for g in gradients:
            g *= scale
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every entry of every gradient in place: g ← min(max(g, −clip_value), clip_value).

    Raises: `DomainError` for `clip_value` < 0. Source: Graves 2013, section 2.1.
    """
    require("clip_grad_value_", "clip_value", clip_value, clip_value >= 0, "≥ 0")
    with autograd.no_grad():
        for g in _gradients(parameters):
            g[...] = autograd.clip(g, -clip_value, clip_value)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in parameters if p.grad is not None]
