"""Update rules: what an optimiser subtracts from a parameter. Written once, readably; a kernel may stand in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import kernels
from ..config import switches
from . import inplace
from .tensor import Tensor

Rule = Callable[..., Any]

_switches: dict[Rule, dict[str, bool]] = {}  # of every marked rule the hyperparameters that are True or False
_plans: dict[Any, Any] = {}


def update_rule(rule: Rule) -> Rule:
    """Let kernels that are registered under the name of ``rule`` stand in for it in ``apply_update``.

    The rule ``rule(p, g, state, **hyperparameters)`` gets a parameter and its gradient as arrays, keeps what it needs
    between steps in the dict ``state``, and returns what is to be subtracted. A kernel's plan sees the shapes and types
    of p and g and, of the hyperparameters, those that are switches. The kernel has the rule's arguments, subtracts in
    place, and returns NotImplemented, with nothing changed, where it does not serve.
    """
    declared = inspect.signature(rule).parameters.values()
    _switches[rule] = {p.name: p.default for p in declared if isinstance(p.default, bool)}
    return rule


def apply_update(p: Tensor, rule: Rule, g: Any, state: dict[str, Any], **hyperparameters: Any) -> None:
    """p ← p − rule(p, g, state, …), in place; p is not recorded: call it inside ``no_grad()``.

    >>> import autograd
    >>> p = autograd.tensor([1.0, 2.0])
    >>> apply_update(p, lambda p, g, state, lr: lr * g, autograd.ones(2).data, {}, lr=0.5); p
    tensor([0.5, 1.5])
    """
    kernel = _kernel_for(rule, p.data, g, hyperparameters) if rule in _switches and switches.kernels else None
    if kernel is not None:
        try:
            if kernel(p.data, g, state, **hyperparameters) is not NotImplemented:
                inplace.stamp(p.data)
                return
        except kernels.UnavailableError as error:
            kernels.forgo(error)
            _plans.update({key: None for key, planned in _plans.items() if planned is kernel})
    array = p.data
    array -= rule(array, g, state, **hyperparameters)
    inplace.stamp(array)


def _kernel_for(rule: Rule, p: Any, g: Any, hyperparameters: dict[str, Any]) -> Any:
    chosen = tuple([hyperparameters.get(name, default) for name, default in _switches[rule].items()])
    key = (rule, type(p), p.shape, p.dtype, g.shape, g.dtype, chosen)
    if key not in _plans:
        spec = kernels.Spec((p.shape, g.shape), (p.dtype, g.dtype), dict(zip(_switches[rule], chosen, strict=True)))
        _plans[key] = kernels.choose(kernels.offers(rule.__name__, type(p)), spec)[0]
    return _plans[key]


kernels.listeners.append(lambda _: _plans.clear())
