"""Reverse mode as functions of functions: gradients, vector-Jacobian products, Jacobians, Hessians.

They take and return NumPy arrays, numbers or tensors alike, and nest to any order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import backend
from ..core.sweep import gradients
from ..core.tensor import Tensor, make
from ..errors import GraphError, ShapeError
from ..ops.shape import reshape, stack
from .trace import like, requires_grad, run

Arguments = int | tuple[int, ...]


def value_and_grad(f: Callable[..., Any], argnums: Arguments = 0) -> Callable[..., Any]:
    """Return a function that gives ``f`` of its arguments and the gradient with respect to one or several of them.

    Args:
        f: a function that returns one number as a tensor.
        argnums: which arguments; a tuple gives a tuple of gradients.

    Raises:
        GraphError: if ``f`` does not return a scalar.

    >>> import autograd
    >>> value_and_grad(lambda x: x**3)(2.0)
    (8.0, 12.0)
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(f)
    def both(*args: Any, **kwargs: Any) -> Any:
        out, inputs, graph = run(f, args, kwargs, numbers, "grad")
        if out.size != 1:
            raise GraphError(
                f"grad: the function returned shape {out.shape} but a scalar is needed → sum() it, or use jacobian"
            )
        found = _gradients(out, inputs, None, graph)
        results = tuple(like(args[i], g) for i, g in zip(numbers, found, strict=True))
        value = like(args[numbers[0]], out if graph else out.detach())
        return value, results[0] if isinstance(argnums, int) else results

    return both


def grad(f: Callable[..., Any], argnums: Arguments = 0) -> Callable[..., Any]:
    """Return the function that computes the gradient of ``f``, ∂f/∂x.

    Of a NumPy array it gives a NumPy array, of a tensor a tensor, of a number a number. Gradients of gradients are
    gradients: ``grad(grad(f))``. Where ``f`` also uses tensors that require gradients, the gradient of a tensor belongs
    to their graph (a gradient penalty), and inside another ``grad`` every gradient does; inside ``no_grad`` none does.

    Args:
        f: a function that returns one number as a tensor.
        argnums: with respect to which arguments; a tuple gives a tuple of gradients.

    Raises:
        GraphError: if ``f`` does not return a scalar.

    >>> import autograd
    >>> grad(autograd.sin)(0.0), grad(grad(lambda x: x**3))(2.0)
    (1.0, 12.0)
    >>> grad(lambda w: grad(lambda x: w * x * x)(3.0))(1.0)
    6.0
    """
    both = value_and_grad(f, argnums)

    @functools.wraps(f)
    def only_grad(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return only_grad


def _gradients(out: Tensor, inputs: list[Tensor], g: Any, graph: bool) -> list[Tensor]:
    """Gradients, zero where ``out`` does not depend on an input."""
    found: list[Any] = [None] * len(inputs)
    if out.node is not None:
        found = gradients(out, inputs, g, create_graph=graph, retain_graph=True, allow_unused=True)
    return [
        make(backend.of(x.data).xp.zeros_like(x.data)) if g is None else g for g, x in zip(found, inputs, strict=True)
    ]


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return ``f(*primals)`` and the function g ↦ gᵀ·J that pulls a gradient of the result back to all arguments.

    >>> import autograd
    >>> out, pull = vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> out, pull(1.0)
    (6.0, (3.0, 2.0))
    """
    out, inputs, graph = run(f, primals, {}, range(len(primals)), "vjp")

    def pull(g: Any) -> tuple[Any, ...]:
        seed = g if isinstance(g, Tensor) else Tensor(g).astype(out.dtype)
        found = _gradients(out, inputs, seed, graph or requires_grad(g))
        return tuple(like(x, gx) for x, gx in zip(primals, found, strict=True))

    return like(primals[0], out if graph else out.detach()), pull


def jacobian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes all partial derivatives, J[i, j] = ∂fᵢ/∂xⱼ, of shape ``f(x).shape + x.shape``.

    One reverse sweep for each element of the result.

    >>> import numpy as np
    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @functools.wraps(f)
    def rows_of(*args: Any, **kwargs: Any) -> Any:
        out, (x,), graph = run(f, args, kwargs, (argnums,), "jacobian")
        xp = backend.of(out.data).xp
        rows = []
        for i in range(out.size):
            unit = xp.zeros(out.size, out.dtype)
            unit[i] = 1
            rows.append(_gradients(out, [x], make(unit.reshape(out.shape)), graph)[0])
        if not rows:
            return like(args[argnums], make(xp.zeros(out.shape + x.shape, out.dtype)))
        return like(args[argnums], reshape(stack(rows), out.shape + x.shape))

    return rows_of


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes all second derivatives, H[i, j] = ∂²f/∂xᵢ∂xⱼ, of shape ``x.shape + x.shape``.

    >>> import numpy as np
    >>> hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Return the function (x, v) ↦ H·v, the Hessian of ``f`` at x times a vector, without the Hessian.

    Two sweeps, reverse over reverse (Pearlmutter 1994). Raises ``ShapeError`` unless v has the shape of x.

    >>> import numpy as np
    >>> hvp(lambda x: (x**3).sum())(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """

    def along(x: Any, v: Any) -> Any:
        if tuple(getattr(x, "shape", ())) != tuple(getattr(v, "shape", ())):
            raise ShapeError(
                f"hvp: v has shape {getattr(v, 'shape', ())} but x {getattr(x, 'shape', ())} → make them equal"
            )
        return grad(lambda y: (grad(f)(y) * v).sum())(x)

    return along
