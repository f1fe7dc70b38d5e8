"""Arguments that no operation takes: each is refused in the library's own words."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

import autograd
from autograd import Tensor, tensor
from autograd.core.composite import composites
from autograd.core.primitive import registry
from autograd.errors import AutogradError, DeviceError, DTypeError, IndexingError, ShapeError
from autograd.testing import samples

OPS = {n: op for n, op in {**registry, **composites}.items() if op.cases and not n.endswith(("_t", "_example"))}
NONSENSE = {"text": "abc", "dict": {}, "object": object(), "texts": ["a"], "None": None}


@pytest.mark.parametrize("what", NONSENSE)
@pytest.mark.parametrize("name", OPS)
def test_what_is_no_number_meets_no_other_error_than_the_librarys(name: str, what: str) -> None:
    op = OPS[name]
    sample = samples.draw(op, np.random.default_rng(0), op.cases[0])
    for i in range(1 if op.contract.variadic else len(sample.inputs)):
        inputs = [Tensor(x) if isinstance(x, np.ndarray) else x for x in sample.inputs]
        if inputs[i] is None or (what == "None" and op.name in composites):
            continue  # an input left out
        inputs[i] = NONSENSE[what]
        try:
            op.call(*((tuple(inputs),) if op.contract.variadic else inputs), **sample.params)
        except AutogradError as error:
            assert re.search(" → |; got ", str(error))


FUNCTIONS = {
    "matmul": autograd.matmul,
    "dot": autograd.dot,
    "kron": autograd.kron,
    "solve": autograd.solve,
    "einsum": lambda x, y: autograd.einsum("ij,jk->ik", x, y),
    "operator": lambda x, y: tensor(x) @ y,
    "tensordot": lambda x, y: autograd.tensordot(x, {} if y is None else y, 1),
    "norm": lambda x, y: autograd.norm(x) * autograd.norm(y),
    "take": lambda x, y: autograd.take(x, [0, 1]) + autograd.take(y, 0),
    "concatenate": lambda x, y: autograd.concatenate(v for v in (x, y)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_lists_and_refuse_what_is_no_number(name: str) -> None:
    f, x, y = FUNCTIONS[name], [[2.0, 1.0], [0.0, 4.0]], [[1.0, 3.0], [5.0, 7.0]]
    np.testing.assert_array_equal(f(x, y), f(np.array(x), np.array(y)))
    for wrong in NONSENSE.values():
        with pytest.raises(AutogradError):
            f(tensor(x), wrong)


def test_numpys_matmul_follows_the_tensor() -> None:
    x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0])
    for left, right in itertools.product((x, y), repeat=2):
        for found in (np.matmul(left, Tensor(right)), left @ Tensor(right), np.matmul(Tensor(left), right)):
            np.testing.assert_array_equal(found, left @ right)


WRITES: dict[str, tuple[Any, Any]] = {
    "out of range": (IndexingError, lambda x: x.__setitem__(7, 1.0)),
    "too long": (ShapeError, lambda x: x.__setitem__(slice(None), [1.0, 2.0, 3.0])),
    "not a number": (AutogradError, lambda x: x.__setitem__(0, "a")),
    "nothing": (DTypeError, lambda x: x.__iadd__(None)),
    "does not broadcast": (ShapeError, lambda x: x.__iadd__([1.0, 2.0, 3.0])),
    "grows": (ShapeError, lambda x: x.__imul__(np.ones((2, 2)))),
    "elsewhere": (DeviceError, lambda x: x.__iadd__(tensor([1.0, 2.0], device="strict"))),
    "one from elsewhere": (DeviceError, lambda x: x.__setitem__(0, tensor(1.0, device="strict"))),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("recorded", [False, True])
def test_a_write_that_does_not_fit_is_refused_and_changes_nothing(name: str, recorded: bool) -> None:
    kind, write = WRITES[name]
    x = tensor([1.0, 2.0], requires_grad=recorded) * 1
    with pytest.raises(kind):
        write(x)
    np.testing.assert_array_equal(x.detach().numpy(), [1.0, 2.0])


@pytest.mark.parametrize("recorded", [False, True])
def test_a_write_keeps_shape_type_and_name(recorded: bool) -> None:
    x = tensor([2.0, 3.0], dtype="float32", requires_grad=recorded) * 1
    same = x
    x += np.ones(2)
    x **= 2
    x %= 10.0
    x //= 2
    assert x is same and x.dtype == np.float32 and x.requires_grad == recorded
    np.testing.assert_array_equal(x.detach().numpy(), [4.0, 3.0])


def test_integers_take_no_value_that_requires_gradients() -> None:
    with pytest.raises(DTypeError, match="in place: value requires gradients but the tensor is int64"):
        tensor([1, 2])[0] = tensor(3.0, requires_grad=True)


@pytest.mark.parametrize("dtype", ["text", "U1", "object", None, 3])
def test_types_that_are_none_are_refused(dtype: Any) -> None:
    for convert in (tensor([1.0]).to, tensor([1.0]).astype):
        with pytest.raises(DTypeError, match=" → "):
            convert(dtype)
    if dtype is not None:
        for make in (lambda d: tensor([1.0], dtype=d), lambda d: autograd.zeros(2, dtype=d)):
            with pytest.raises(DTypeError, match=" → "):
                make(dtype)


AXES = {
    "take": lambda x, axis: autograd.take(x, [0], axis),
    "repeat": lambda x, axis: autograd.repeat(x, 2, axis),
    "moveaxis": lambda x, axis: autograd.moveaxis(x, axis, 0),
    "moveaxis to": lambda x, axis: autograd.moveaxis(x, 0, axis),
    "flatten": lambda x, axis: autograd.flatten(x, axis),
    "diagonal": lambda x, axis: autograd.diagonal(x, 0, axis, 0),
    "tensordot": lambda x, axis: autograd.tensordot(x, x, (axis, axis)),
    "sum": autograd.sum,
    "sort": autograd.sort,
    "concatenate": lambda x, axis: autograd.concatenate([x, x], axis),
    "split": lambda x, axis: autograd.split(x, 1, axis),
}


@pytest.mark.parametrize("axis", [2, -3, 7])
@pytest.mark.parametrize("name", AXES)
def test_an_axis_that_is_not_there_is_refused(name: str, axis: int) -> None:
    with pytest.raises(IndexingError):
        AXES[name](tensor(np.ones((2, 2))), axis)


def test_division_by_the_number_zero_has_the_gradient_of_division_by_an_array() -> None:
    for zero in (0, 0.0, -0.0, np.zeros(2)):
        x = tensor([1.0, 2.0], requires_grad=True)
        with np.errstate(divide="ignore"):
            (x / zero).sum().backward()
        assert np.isinf(x.grad.numpy()).all()


def test_a_name_is_declared_by_one_module() -> None:
    for _ in range(2):  # a notebook's cell that is run again
        autograd.primitive("declared_twice_t", "x", forward="exp")
    with pytest.raises(AutogradError, match="'exp' is declared already, in autograd"):
        autograd.primitive("exp", "x", forward="log")
    with pytest.raises(AutogradError, match="'softmax' is declared already"):

        @autograd.composite("x")
        def softmax(x: Any) -> Any:
            return x

    with pytest.raises(AutogradError, match="cannot be the name of a function"):
        autograd.primitive("two words", "x", forward="exp")
    with pytest.raises(AutogradError, match=r"contract: 'x: N\+1' is not understood"):
        autograd.primitive("misread_t", "x: N+1", forward="exp")


@pytest.mark.parametrize("name", OPS)
def test_every_operation_explains_itself(name: str) -> None:
    op = OPS[name]
    sample = samples.draw(op, np.random.default_rng(0), op.cases[0])
    inputs = (sample.inputs,) if op.contract.variadic else sample.inputs
    assert autograd.explain(op.call, *inputs, **sample.params).startswith(f"{name} on cpu (ndarray): ")


X = np.ones(2)
WRONG_DERIVATIVES: dict[str, Any] = {
    "a freed graph": lambda w: [autograd.gradients(y, w) for y in [(w * w).sum()] for _ in range(2)],
    "grad_outputs of another number": lambda w: autograd.gradients([w * 1, w * 2], w, [X]),
    "an input that is no tensor": lambda w: autograd.gradients(w * 1, [None], X),
    "an output that is no tensor": lambda w: autograd.gradients("ab", w),
    "a gradient elsewhere": lambda w: (w * 1).backward(tensor(X, device="strict")),
    "a gradient of another shape": lambda w: (w * 1).backward(np.ones(3)),
    "a gradient that is no number": lambda w: (w * 1).backward("a"),
    "no gradient of a vector": lambda w: (w * 1).backward(),
    "a .grad of another shape": lambda w: setattr(w, "grad", np.ones(3)),
    "no arguments": lambda w: autograd.vjp(lambda: w),
    "argnums of jacobian": lambda w: autograd.jacobian(lambda x, y: x * y, argnums=(0, 1))(X, X),  # type: ignore[arg-type]
    "tangents of another number": lambda w: autograd.jvp(lambda x: x, (X,), (X, X)),
    "tangents of another shape": lambda w: autograd.jvp(lambda x: x, (X,), (np.ones(3),)),
    "integers": lambda w: autograd.grad(autograd.sum)(np.array([1, 2])),
    "nothing returned": lambda w: autograd.grad(lambda x: None)(X),
}


@pytest.mark.parametrize("name", WRONG_DERIVATIVES)
def test_derivatives_of_what_has_none_are_refused(name: str) -> None:
    with pytest.raises(AutogradError, match=" → "):
        WRONG_DERIVATIVES[name](tensor(X, requires_grad=True))


def test_a_gradient_takes_the_type_of_its_tensor() -> None:
    x = tensor(X, dtype="float32", requires_grad=True)
    for given in (np.array([1, 2]), [1.0, 2.0], tensor([1.0, 2.0], dtype="float64")):
        x.grad = given  # type: ignore[assignment]
        assert x.grad.dtype == np.float32


def test_gradients_of_the_middle_leave_the_graph_before_it() -> None:
    x = tensor(X, requires_grad=True)
    h = x * x
    autograd.gradients((h * 3).sum(), h)
    h.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * X)


def test_explain_refuses_what_is_not_declared() -> None:
    assert autograd.explain(autograd.norm, tensor([1.0])).startswith("norm on cpu")
    with pytest.raises(DTypeError, match="explain: len is not a declared operation"):
        autograd.explain(len, [])
