"""Functions of functions: gradients, products with Jacobians, second derivatives, checkpoints."""

from .checkpoint import checkpoint
from .forward import jvp
from .reverse import grad, hessian, hvp, jacobian, value_and_grad, vjp

__all__ = ["checkpoint", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]
