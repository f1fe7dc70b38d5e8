"""Unfold's engine: reverse-mode automatic differentiation that can be read.

>>> import autograd
>>> x = autograd.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

import importlib
from typing import Any

from . import backend, errors, kernels
from .config import default_dtype, detect_anomaly, use_kernels
from .core.composite import composite, composites, identity
from .core.primitive import REQUIRED, elementwise, primitive, registry
from .core.scope import current_scope, enable_grad, is_grad_enabled, no_grad, scope, time_step
from .core.sweep import gradients
from .core.tensor import Tensor, named
from .core.update import apply_update, update_rule
from .creation import arange, empty, eye, full, full_like, ones, ones_like, tensor, zeros, zeros_like
from .explain import explain
from .kernels.cpu import get_num_threads, set_num_threads
from .ops import *  # noqa: F403
from .random import Generator, default_generator, integers, manual_seed, normal, permutation, uniform
from .transforms import checkpoint, grad, gradient_norms, hessian, hvp, jacobian, jvp, value_and_grad, vjp, with_rules

__version__ = "0.1.0"
kernels.cpu.install()


def __getattr__(name: str) -> Any:
    """Import ``autograd.testing``, ``autograd.diagram`` and ``autograd.draw`` when they are first wanted."""
    if name in ("testing", "diagram"):
        return importlib.import_module(f".{name}", __name__)
    if name == "draw":
        return importlib.import_module(".diagram.draw", __name__).draw
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
