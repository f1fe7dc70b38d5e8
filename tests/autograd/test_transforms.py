"""Functions of functions among what is around them: other gradients, captured tensors, ``no_grad``, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd
from autograd import Tensor
from autograd.errors import DomainError


def leaf(*values: float) -> Tensor:
    return autograd.tensor(np.array(values), requires_grad=True)


def cubic(x: Any) -> Any:
    return (x**3).sum()


X, V = np.array([0.5, -2.0]), np.array([1.0, 3.0])
DERIVATIVES: dict[str, Callable[..., Any]] = {
    "grad": lambda f, x=X: autograd.grad(f)(x),
    "value_and_grad": lambda f, x=X: autograd.value_and_grad(f)(x)[1],
    "vjp": lambda f, x=X: autograd.vjp(f, x)[1](1.0)[0],
    "jvp": lambda f, x=X: autograd.jvp(f, (x,), (V,))[1],
    "jacobian": lambda f, x=X: autograd.jacobian(f)(x),
    "hessian": lambda f, x=X: autograd.hessian(f)(x),
    "hvp": lambda f, x=X: autograd.hvp(f)(x, V),
}
every_derivative = pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)


@every_derivative
def test_no_grad_around_a_derivative_does_not_change_it(derivative: Any) -> None:
    with autograd.no_grad():
        inside = derivative(cubic)
    np.testing.assert_array_equal(inside, derivative(cubic))
    assert isinstance(inside, (np.ndarray, float)) and np.any(inside)


@every_derivative
def test_of_a_tensor_a_derivative_depends_on_captured_tensors_and_of_an_array_it_is_an_array(derivative: Any) -> None:
    """The derivatives of w·f are linear in w: what ``backward`` says of their sum is the sum of those of f."""
    w = leaf(2.0)

    def f(x: Tensor) -> Tensor:
        return (w * x**3).sum()

    found = derivative(f, Tensor(X))
    assert isinstance(found, Tensor)
    found.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), [np.sum(derivative(cubic))])
    assert isinstance(derivative(f), (np.ndarray, float))
    with autograd.no_grad():
        assert not derivative(f, Tensor(X)).requires_grad


@every_derivative
def test_derivatives_nest_over_what_they_capture(derivative: Any) -> None:
    outer = autograd.grad(lambda w: autograd.sum(derivative(lambda x: (w * w * x**3).sum())))
    np.testing.assert_allclose(outer(2.0), 4 * np.sum(derivative(cubic)))


def test_keywords_are_captured_too() -> None:
    w = leaf(2.0)
    autograd.grad(lambda x, w: (w * x * x).sum())(Tensor(X), w=w).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), [2 * X.sum()])


def test_an_argument_that_was_not_given_is_named() -> None:
    with pytest.raises(DomainError, match=r"grad: argnums names argument 1 but 1 were given"):
        autograd.grad(cubic, argnums=1)(X)


def through_checkpoint(x: Tensor, w: Tensor) -> Tensor:
    h = autograd.exp(w)  # used inside together with what it was computed from
    y = autograd.checkpoint(lambda x: x * h * w, x) * h
    return autograd.checkpoint(lambda a: autograd.sin(a) * y + w, y)  # the argument is captured too


def plain(x: Tensor, w: Tensor) -> Tensor:
    y = x * autograd.exp(w) * w * autograd.exp(w)
    return autograd.sin(y) * y + w


@pytest.mark.parametrize("order", [1, 2, 3])
def test_checkpoint_counts_captured_tensors_once(order: int) -> None:
    found = []
    for f in (through_checkpoint, plain):
        x, w = leaf(2.0, 3.0), leaf(0.5, 0.25)
        total = f(x, w).sum()
        for _ in range(order - 1):
            total = autograd.gradients(total, w, create_graph=True).sum()
        found.append([g.numpy() for g in autograd.gradients(total, [x, w])])
    np.testing.assert_allclose(found[0], found[1])


def test_checkpoint_of_arrays_gives_arrays() -> None:
    np.testing.assert_array_equal(autograd.checkpoint(autograd.exp, X), np.exp(X))
    assert isinstance(autograd.checkpoint(autograd.exp, X), np.ndarray)
