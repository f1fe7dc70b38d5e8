"""Steps of optimisers in one pass over parameter, gradient and what is remembered, all changed in place.

The rules stand in ``nn.optim.algorithms``; each kernel has its rule's arguments. Small parameters are left to SGD's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..registry import Spec
from . import threads
from .compile import behaved, compiled

PART = 1 << 17  # numbers that are worth a thread's while
FEW = 1 << 10  # up to so many numbers SGD's rule, a few calls of NumPy, is as fast

State = dict[str, Any]


# --- the passes -------------------------------------------------------------------------------------------------------


@compiled
def _sgd(p: Any, g: Any, lr: float, decay: float) -> None:
    kind = p.dtype.type
    lr_, decay_ = kind(lr), kind(decay)
    for i in range(p.size):
        d = g[i] + decay_ * p[i] if decay else g[i]
        p[i] -= lr_ * d


@compiled
def _sgd_with_momentum(
    p: Any, g: Any, v: Any, lr: float, decay: float, carry: float, share: float, ahead: float
) -> None:
    """v ← carry·v + share·g; p ← p − lr·v, or p − lr·(g + ahead·v)."""
    kind = p.dtype.type
    lr_, decay_, carry_, share_, ahead_ = kind(lr), kind(decay), kind(carry), kind(share), kind(ahead)
    for i in range(p.size):
        d = g[i] + decay_ * p[i] if decay else g[i]
        v[i] = carry_ * v[i] + share_ * d
        p[i] -= lr_ * (d + ahead_ * v[i] if ahead else v[i])


@compiled
def _adam(
    p: Any, g: Any, m: Any, v: Any, shrink: float, decay: float, beta1: float, beta2: float,
    rate: float, root: float, eps: float,
) -> None:  # fmt: skip
    """p ← shrink·p − rate·m / (√v / root + eps), with the moments m and v brought up to date."""
    kind = p.dtype.type
    shrink_, decay_, rate_, root_, eps_ = kind(shrink), kind(decay), kind(rate), kind(root), kind(eps)
    beta1_, rest1, beta2_, rest2 = kind(beta1), kind(1 - beta1), kind(beta2), kind(1 - beta2)
    for i in range(p.size):
        d = g[i] + decay_ * p[i] if decay else g[i]
        m[i] = beta1_ * m[i] + rest1 * d
        v[i] = beta2_ * v[i] + rest2 * d * d
        p[i] = shrink_ * p[i] - rate_ * m[i] / (np.sqrt(v[i]) / root_ + eps_)


@compiled
def _rmsprop(p: Any, g: Any, v: Any, lr: float, decay: float, alpha: float, eps: float) -> None:
    kind = p.dtype.type
    lr_, decay_, alpha_, rest, eps_ = kind(lr), kind(decay), kind(alpha), kind(1 - alpha), kind(eps)
    for i in range(p.size):
        d = g[i] + decay_ * p[i] if decay else g[i]
        v[i] = alpha_ * v[i] + rest * d * d
        p[i] -= lr_ * d / (np.sqrt(v[i]) + eps_)


def _step(task: Callable[..., None], arrays: tuple[np.ndarray, ...], *numbers: float) -> Any:
    """Call ``task`` for all numbers of the arrays; NotImplemented if they cannot be changed in place as flat arrays."""
    p, g, *remembered = arrays
    if not (p.flags.carray and all([v.flags.carray and v.shape == p.shape for v in remembered])):
        return NotImplemented
    flat = [a.reshape(-1) for a in (p, behaved(g), *remembered)]
    threads.over(p.size, p.size // PART, lambda first, last: task(*[a[first:last] for a in flat], *numbers))
    return None


# --- the kernels ------------------------------------------------------------------------------------------------------


def sgd(
    p: Any, g: Any, state: State, lr: float, momentum: float, dampening: float, weight_decay: float, nesterov: bool
) -> Any:
    """``nn.optim.algorithms.sgd``, subtracted."""
    lr, momentum, dampening, weight_decay = float(lr), float(momentum), float(dampening), float(weight_decay)
    if not momentum:
        return _step(_sgd, (p, g), lr, weight_decay)
    first = "momentum_buffer" not in state
    v = np.zeros_like(p, order="C") if first else state["momentum_buffer"]
    carry, share = (0.0, 1.0) if first else (momentum, 1 - dampening)
    ahead = momentum if nesterov else 0.0
    if _step(_sgd_with_momentum, (p, g, v), lr, weight_decay, carry, share, ahead) is NotImplemented:
        return NotImplemented
    state["momentum_buffer"] = v
    return None


def adam(
    p: Any, g: Any, state: State, lr: float, betas: tuple[float, float], eps: float, weight_decay: float, amsgrad: bool,
    shrink: float = 1.0,
) -> Any:  # fmt: skip
    """``nn.optim.algorithms.adam``, subtracted; ``shrink`` is a factor for p, as ``adamw`` has one."""
    (beta1, beta2), t = betas, state.get("step", 0) + 1
    m, v = (state[n] if n in state else np.zeros_like(p, order="C") for n in ("exp_avg", "exp_avg_sq"))
    rate, root = lr / (1 - beta1**t), math.sqrt(1 - beta2**t)
    numbers = map(float, (shrink, weight_decay, beta1, beta2, rate, root, eps))
    if _step(_adam, (p, g, m, v), *numbers) is NotImplemented:
        return NotImplemented
    state.update(step=t, exp_avg=m, exp_avg_sq=v)
    return None


def adamw(
    p: Any, g: Any, state: State, lr: float, betas: tuple[float, float], eps: float, weight_decay: float, amsgrad: bool
) -> Any:
    """``nn.optim.algorithms.adamw``, subtracted."""
    return adam(p, g, state, lr, betas, eps, 0.0, amsgrad, shrink=1 - lr * weight_decay)


def rmsprop(
    p: Any, g: Any, state: State, lr: float, alpha: float, eps: float, weight_decay: float, momentum: float,
    centered: bool,
) -> Any:  # fmt: skip
    """``nn.optim.algorithms.rmsprop``, subtracted; not with momentum."""
    if momentum:
        return NotImplemented
    v = state["square_avg"] if state else np.zeros_like(p, order="C")
    if _step(_rmsprop, (p, g, v), *map(float, (lr, weight_decay, alpha, eps))) is NotImplemented:
        return NotImplemented
    state["square_avg"] = v
    return None


def _offer(kernel: Callable[..., Any], few: int, *without: str) -> Callable[[Spec], Any]:
    """A plan that offers ``kernel`` for more than ``few`` numbers, unless one of the switches ``without`` is on."""

    def plan(spec: Spec) -> Any:
        shape, of_g = spec.shapes
        dtype, of_gradient = map(np.dtype, spec.dtypes)
        fits = shape == of_g and dtype == of_gradient and dtype.name in ("float32", "float64")
        many = math.prod(shape or ()) > few
        return kernel if fits and many and not any([spec.params[name] for name in without]) else None

    return plan


plans = {
    "sgd": _offer(sgd, FEW),
    "adam": _offer(adam, 0, "amsgrad"),
    "adamw": _offer(adamw, 0, "amsgrad"),
    "rmsprop": _offer(rmsprop, 0, "centered"),
}
