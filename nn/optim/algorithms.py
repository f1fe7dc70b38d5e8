"""The optimisers: each is a short update rule, whose signature holds the hyperparameters, and a class named after it.

In all formulas p is the parameter, g its gradient, lr the learning rate, λ the weight decay, μ the momentum and t the
step, counted from 1. A rule gets p and g as arrays, keeps what it needs between steps in `state`, and returns what is
to be subtracted from p; g it leaves as it is. Rules, defaults and the names in `state` are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import autograd
from autograd.errors import DomainError
from nn.optim.optimizer import Array, Optimizer, State, zeros_like


@autograd.update_rule
def sgd(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> Array:
    """One step of `SGD`."""
    if weight_decay:
        g = g + weight_decay * p
    if momentum:
        if "momentum_buffer" in state:
            v = state["momentum_buffer"]
            v *= momentum
            v += (1 - dampening) * g if dampening else g
        else:
            v = state["momentum_buffer"] = zeros_like(p)
            v += g
        g = g + momentum * v if nesterov else v
    return lr * g


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


@autograd.update_rule
def adam(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> Array:
    """One step of `Adam`."""
    if weight_decay:
        g = g + weight_decay * p
    if not state:
        state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
        if amsgrad:
            state["max_exp_avg_sq"] = zeros_like(p)
    (beta1, beta2), m, v = betas, state["exp_avg"], state["exp_avg_sq"]
    t = state["step"] = state["step"] + 1
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    if amsgrad:
        highest = state["max_exp_avg_sq"]
        highest[...] = v = autograd.maximum(highest, v)
    # In place where it can be, and numbers before arrays: m̂ / (√v̂ + ε) without the arrays that m̂ and v̂ would be.
    denominator = autograd.sqrt(v)
    denominator /= math.sqrt(1 - beta2**t)
    denominator += eps
    step = m / denominator
    step *= lr / (1 - beta1**t)
    return step


class Adam(Optimizer):
    """Adaptive moments; weight decay is added to the gradient (`AdamW` decouples it).

    g ← g + λ p;  m ← β₁ m + (1−β₁) g;  v ← β₂ v + (1−β₂) g²;  p ← p − lr m̂ / (√v̂ + ε)
    with m̂ = m / (1−β₁ᵗ) and v̂ = v / (1−β₂ᵗ); `amsgrad` puts the largest v so far in place of v.

    Sources: Kingma & Ba 2015, algorithm 1; Reddi et al. 2018, algorithm 2 (AMSGrad).
    """

    rule = staticmethod(adam)


@autograd.update_rule
def adamw(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
) -> Array:
    """One step of `AdamW`: the decay does not pass through the moments."""
    p *= 1 - lr * weight_decay
    return adam(p, g, state, lr, betas, eps, 0.0, amsgrad)


class AdamW(Optimizer):
    """Adam with decoupled weight decay: p ← (1 − lr λ) p, then a step of Adam without decay.

    Source: Loshchilov & Hutter 2019, algorithm 2, with lr in the decay as in PyTorch.
    """

    rule = staticmethod(adamw)


@autograd.update_rule
def rmsprop(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> Array:
    """One step of `RMSprop`."""
    if weight_decay:
        g = g + weight_decay * p
    if not state:
        state["square_avg"] = zeros_like(p)
        if centered:
            state["grad_avg"] = zeros_like(p)
        if momentum:
            state["momentum_buffer"] = zeros_like(p)
    v = state["square_avg"]
    v *= alpha
    v += (1 - alpha) * g * g
    if centered:
        mean = state["grad_avg"]
        mean *= alpha
        mean += (1 - alpha) * g
        v = autograd.maximum(v - mean * mean, 0.0)  # a variance; rounding must not make it negative
    denominator = autograd.sqrt(v)
    denominator += eps
    step = g / denominator
    if momentum:
        velocity = state["momentum_buffer"]
        velocity *= momentum
        velocity += step
        return lr * velocity
    step *= lr
    return step


class RMSprop(Optimizer):
    """Gradients divided by their running root mean square; `centered` divides by the standard deviation.

    g ← g + λ p;  v ← α v + (1−α) g²;  p ← p − lr b  with b = g / (√v + ε), or b ← μ b + g / (√v + ε) with momentum;
    centred: v − ḡ² in place of v, with ḡ ← α ḡ + (1−α) g.

    Sources: Tieleman & Hinton 2012, lecture 6.5; Graves 2013, eq. 38-45 (centred).
    """

    rule = staticmethod(rmsprop)


def adagrad(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> Array:
    """One step of `Adagrad`."""
    if weight_decay:
        g = g + weight_decay * p
    if not state:
        state.update(step=0, sum=zeros_like(p))
        state["sum"] += initial_accumulator_value
    t = state["step"] = state["step"] + 1
    s = state["sum"]
    s += g * g
    denominator = autograd.sqrt(s)
    denominator += eps
    step = g / denominator
    step *= lr / (1 + (t - 1) * lr_decay)
    return step


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares so far.

    g ← g + λ p;  s ← s + g²;  p ← p − lr / (1 + (t−1) lr_decay) · g / (√s + ε).

    Source: Duchi, Hazan & Singer 2011, figure 1 (diagonal).
    """

    rule = staticmethod(adagrad)
