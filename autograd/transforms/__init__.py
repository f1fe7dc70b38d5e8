"""Functions of functions: gradients, products with Jacobians, second derivatives, checkpoints, norms over time."""

from .checkpoint import checkpoint
from .forward import jvp
from .norms import gradient_norms
from .reverse import grad, hessian, hvp, jacobian, value_and_grad, vjp
from .rules import with_rules

__all__ = [
    "checkpoint",
    "grad",
    "gradient_norms",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "value_and_grad",
    "vjp",
    "with_rules",
]
