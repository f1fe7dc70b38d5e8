"""The optimisers: each is a short update rule, whose signature holds the hyperparameters, and a class named after it.

In all formulas p is the parameter, g its gradient, lr the learning rate, λ the weight decay, μ the momentum and t the
step, counted from 1. A rule writes p in place and keeps what it needs between steps in `state`. Rules, defaults and
the names in `state` are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import autograd
from autograd import Tensor
from autograd.errors import DomainError
from nn.optim.optimizer import Optimizer, State


def sgd(
    p: Tensor,
    g: Tensor,
    state: State,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """One step of `SGD`."""
    if weight_decay:
        g = g + weight_decay * p
    if momentum:
        if "momentum_buffer" in state:
            v = state["momentum_buffer"]
            v *= momentum
            v += (1 - dampening) * g if dampening else g
        else:
            v = state["momentum_buffer"] = g.copy()
        g = g + momentum * v if nesterov else v
    p -= lr * g


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ and Nesterov's variant.

    g ← g + λ p;  v ← μ v + (1 − dampening) g, at first v = g;  p ← p − lr v, or p − lr (g + μ v) with `nesterov`.

    Raises: `DomainError` for hyperparameters out of range, and for `nesterov` without momentum or with dampening.
    Sources: Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013, with lr outside of the velocity as in PyTorch.

    >>> import autograd
    >>> p = autograd.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([p], lr=0.25)
    >>> (p * p).sum().backward(); optimizer.step(); p.detach().numpy().tolist()
    [0.5]
    """

    rule = staticmethod(sgd)

    def _check(self, values: Mapping[str, Any]) -> None:
        super()._check(values)
        if values["nesterov"] and (values["momentum"] <= 0 or values["dampening"] != 0):
            raise DomainError(
                f"SGD: nesterov=True with momentum={values['momentum']}, dampening={values['dampening']}"
                " → give momentum > 0 and dampening 0"
            )


def adam(
    p: Tensor,
    g: Tensor,
    state: State,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> None:
    """One step of `Adam`."""
    if weight_decay:
        g = g + weight_decay * p
    if not state:
        state.update(step=0, exp_avg=autograd.zeros_like(p), exp_avg_sq=autograd.zeros_like(p))
        if amsgrad:
            state["max_exp_avg_sq"] = autograd.zeros_like(p)
    (beta1, beta2), m, v = betas, state["exp_avg"], state["exp_avg_sq"]
    t = state["step"] = state["step"] + 1
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * (g * g)
    if amsgrad:
        highest = state["max_exp_avg_sq"]
        highest[...] = v = autograd.maximum(highest, v)
    # √v̂ + ε; dividing the root by a number saves the array that v̂ would be.
    denominator = autograd.sqrt(v)
    denominator /= math.sqrt(1 - beta2**t)
    denominator += eps
    p -= (lr / (1 - beta1**t)) * (m / denominator)


class Adam(Optimizer):
    """Adaptive moments; weight decay is added to the gradient (`AdamW` decouples it).

    g ← g + λ p;  m ← β₁ m + (1−β₁) g;  v ← β₂ v + (1−β₂) g²;  p ← p − lr m̂ / (√v̂ + ε)
    with m̂ = m / (1−β₁ᵗ) and v̂ = v / (1−β₂ᵗ); `amsgrad` puts the largest v so far in place of v.

    Sources: Kingma & Ba 2015, algorithm 1; Reddi et al. 2018, algorithm 2 (AMSGrad).
    """

    rule = staticmethod(adam)


def adamw(
    p: Tensor,
    g: Tensor,
    state: State,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
) -> None:
    """One step of `AdamW`: the decay does not pass through the moments."""
    p *= 1 - lr * weight_decay
    adam(p, g, state, lr, betas, eps, 0.0, amsgrad)


class AdamW(Optimizer):
    """Adam with decoupled weight decay: p ← (1 − lr λ) p, then a step of Adam without decay.

    Source: Loshchilov & Hutter 2019, algorithm 2, with lr in the decay as in PyTorch.
    """

    rule = staticmethod(adamw)


def rmsprop(
    p: Tensor,
    g: Tensor,
    state: State,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> None:
    """One step of `RMSprop`."""
    if weight_decay:
        g = g + weight_decay * p
    if not state:
        state["square_avg"] = autograd.zeros_like(p)
        if centered:
            state["grad_avg"] = autograd.zeros_like(p)
        if momentum:
            state["momentum_buffer"] = autograd.zeros_like(p)
    v = state["square_avg"]
    v *= alpha
    v += (1 - alpha) * (g * g)
    if centered:
        mean = state["grad_avg"]
        mean *= alpha
        mean += (1 - alpha) * g
        v = autograd.maximum(v - mean * mean, 0.0)  # a variance; rounding must not make it negative
    update = g / (autograd.sqrt(v) + eps)
    if momentum:
        velocity = state["momentum_buffer"]
        velocity *= momentum
        velocity += update
        update = velocity
    p -= lr * update


class RMSprop(Optimizer):
    """Gradients divided by their running root mean square; `centered` divides by the standard deviation.

    g ← g + λ p;  v ← α v + (1−α) g²;  p ← p − lr b  with b = g / (√v + ε), or b ← μ b + g / (√v + ε) with momentum;
    centred: v − ḡ² in place of v, with ḡ ← α ḡ + (1−α) g.

    Sources: Tieleman & Hinton 2012, lecture 6.5; Graves 2013, eq. 38-45 (centred).
    """

    rule = staticmethod(rmsprop)


def adagrad(
    p: Tensor,
    g: Tensor,
    state: State,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> None:
    """One step of `Adagrad`."""
    if weight_decay:
        g = g + weight_decay * p
    if not state:
        state.update(step=0, sum=autograd.full_like(p, initial_accumulator_value))
    t = state["step"] = state["step"] + 1
    s = state["sum"]
    s += g * g
    p -= (lr / (1 + (t - 1) * lr_decay)) * (g / (autograd.sqrt(s) + eps))


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares so far.

    g ← g + λ p;  s ← s + g²;  p ← p − lr / (1 + (t−1) lr_decay) · g / (√s + ε).

    Source: Duchi, Hazan & Singer 2011, figure 1 (diagonal).
    """

    rule = staticmethod(adagrad)
