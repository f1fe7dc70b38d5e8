"""What operations compute, by NumPy: the oracle for a program's values.

An operation is NumPy's function of its name, called with its parameters under NumPy's names, unless the table below
says otherwise. What NumPy does not have and nobody wrote down here (convolutions, recurrent layers, the operations of a
user) is computed by the declaration on arrays, without a tape; ``is_independent`` tells which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ... import backend
from ...core.primitive import Primitive
from ...core.tensor import Tensor

erf = np.vectorize(math.erf, otypes=[float])


def _softmax(x: Any, axis: int) -> Any:
    e = np.exp(x)
    return e / e.sum(axis, keepdims=True)


def _standard(x: Any, axes: Any, eps: float) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _channels(v: Any, x: Any) -> Any:
    return v.reshape((-1,) + (1,) * (x.ndim - 2))


def _batch_norm(x: Any, w: Any, b: Any, mean: Any, var: Any, residual: Any, eps: float, activation: Any) -> Any:
    out = (x - _channels(mean, x)) / np.sqrt(_channels(var, x) + eps) * _channels(w, x) + _channels(b, x)
    out = out if residual is None else out + residual
    return out * (out > 0) if activation else out


def _batch_norm_training(x: Any, w: Any, b: Any, residual: Any, eps: float, activation: Any) -> Any:
    axes = (0, *range(2, x.ndim))
    mean, var = x.mean(axes), x.var(axes)
    return _batch_norm(x, w, b, mean, var, residual, eps, activation), mean, var


def _group_norm(x: Any, w: Any, b: Any, groups: int, eps: float) -> Any:
    apart = _standard(x.reshape(x.shape[0], groups, -1), -1, eps).reshape(x.shape)
    return apart * _channels(w, x) + _channels(b, x)


def _scatter_add(x: Any, index: Any, shape: Any, axis: int) -> Any:
    out = np.zeros(shape)
    for at in np.ndindex(index.shape):
        place = list(at)
        place[axis] = index[at]
        out[tuple(place)] += x[at]
    return out


def _scatter(x: Any, index: Any, shape: Any) -> Any:
    out = np.zeros(shape)
    np.add.at(out, index, x)
    return out


def _set_item(x: Any, value: Any, index: Any) -> Any:
    out = x.copy()
    out[index] = value
    return out


def _last_tied(x: Any, out: Any, axis: Any) -> Any:
    if axis is None:
        return _last_tied(x.ravel(), out, 0).reshape(x.shape)
    tied = x == np.expand_dims(out, axis)
    return tied & (np.flip(np.flip(tied, axis).cumsum(axis), axis) == 1)


def _flatten(x: Any, start_axis: int, end_axis: int) -> Any:
    end = end_axis % max(x.ndim, 1) + 1
    return x.reshape(*x.shape[:start_axis], -1, *x.shape[end:])


def _linear_tail(slope: Callable[..., Any]) -> Callable[..., Any]:
    """x where it is positive, otherwise what ``slope`` makes of it."""
    return lambda x, *params: np.where(x > 0, x, slope(x, *params))


def _elu(x: Any, alpha: float) -> Any:
    return alpha * (np.exp(np.minimum(x, 0)) - 1)


TABLE: dict[str, Callable[..., Any]] = {
    "cast": lambda x, dtype: x.astype(dtype),
    "celu": _linear_tail(lambda x, alpha: alpha * (np.exp(np.minimum(x, 0) / alpha) - 1)),
    "constant_max": lambda x, axis: np.max(x, axis, keepdims=True),
    "cholesky": np.linalg.cholesky,
    "clip": lambda x, low, high: np.clip(x, low, high),
    "diagonal": np.diagonal,
    "einsum": lambda *xs: np.einsum(xs[-1], *xs[:-1]),
    "elu": _linear_tail(_elu),
    "embedding": lambda indices, w: w[indices],
    "embedding_dw": lambda y, indices, rows: (indices == np.arange(rows)[:, None]).astype(y.dtype) @ y,
    "erf": erf,
    "erfc": lambda x: 1 - erf(x),
    "eye_like": lambda x: np.identity(x.shape[-1]) == 1,
    "flatten": _flatten,
    "gather": lambda x, index, axis: np.take_along_axis(x, index, axis),
    "gelu": lambda x, approximate: 0.5 * x * (
        1 + (erf(x / np.sqrt(2)) if approximate == "none" else np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    ),
    "getitem": lambda x, index: x[index],
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
    "batch_norm_training": _batch_norm_training,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardtanh": lambda x, low, high: np.clip(x, low, high),
    "identity": lambda x: x,
    "inner": lambda x, y: (x * y).sum(-1),
    "last_tied": _last_tied,
    "layer_norm": lambda x, w, b, axes, eps: _standard(x, tuple(range(-axes, 0)), eps) * w + b,
    "leaky_relu": _linear_tail(lambda x, slope: slope * x),
    "linear": lambda x, w, b: x @ w.T + (0 if b is None else b),
    "log_sigmoid": lambda x: -np.log(1 + np.exp(-x)),
    "log_softmax": lambda x, axis: np.log(_softmax(x, axis)),
    "logsumexp": lambda x, axis, keepdims: np.log(np.exp(x).sum(axis, keepdims=keepdims)),
    "masked": np.multiply,
    "mish": lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    "norm": lambda x, axis, keepdims: np.sqrt((x * x).sum(axis, keepdims=keepdims)),
    "pad": lambda x, width, value: np.pad(x, width, constant_values=value),
    "prelu": lambda x, w: np.where(x > 0, x, w * x),
    "relu": lambda x: x * (x > 0),
    "relu_dx": lambda y, x: np.where(x > 0, y, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "repeat": np.repeat,
    "round": np.round,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, _elu(x, 1.6732632423543772)),
    "set_item": _set_item,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softmax": _softmax,
    "softplus": lambda x, beta: np.log(1 + np.exp(beta * x)) / beta,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "split": lambda x, sections, axis: tuple(np.split(x, sections, axis)),
    "squeeze": np.squeeze,
    "svd": lambda x: tuple(np.linalg.svd(x, full_matrices=False)),
    "tanhshrink": lambda x: x - np.tanh(x),
    "trace": lambda x, offset: np.trace(x, offset, -2, -1),
    "unstack": lambda x, axis: tuple(np.moveaxis(x, axis, 0)),
    "upper_like": lambda x: np.triu(np.ones((x.shape[-1],) * 2)) == 1,
    "var": lambda x, axis, keepdims, ddof: np.var(x, axis, keepdims=keepdims, ddof=ddof),
    "std": lambda x, axis, keepdims, ddof: np.std(x, axis, keepdims=keepdims, ddof=ddof),
}  # fmt: skip
BY_NAME = {"axis", "keepdims", "axes", "axis1", "axis2", "shape", "k", "n", "reps", "shift", "source", "destination"}


def function_of(op: Any) -> Callable[..., Any] | None:
    """Return NumPy's function of the arrays and all parameters, by position; None if there is none."""
    if op.name in TABLE:
        return TABLE[op.name]
    found = getattr(np, op.name, None) or getattr(np.linalg, op.name, None)
    names = list(op.params)
    if found is None or not BY_NAME.issuperset(names):
        return None
    count = len(names)

    def call(*args: Any) -> Any:
        arrays, params = args[: len(args) - count], dict(zip(names, args[len(args) - count :], strict=True))
        return found(arrays if op.contract.variadic else arrays[0], *arrays[1:] * (not op.contract.variadic), **params)

    return call


def is_independent(op: Any) -> bool:
    """Whether NumPy computes the operation without the library."""
    return op is None or function_of(op) is not None


def evaluate(op: Any, args: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """Return what the operation makes of NumPy arrays."""
    values = {**op.params, **params}
    function = function_of(op)
    if function is not None:
        return function(*args, *values.values())
    if isinstance(op, Primitive):
        return op.call(tuple(args), **params) if op.contract.variadic else op.call(*args, **params)
    out = op.call(*[Tensor(a) if backend.is_array(type(a)) else a for a in args], **params)
    return tuple(o.data for o in out) if isinstance(out, tuple) else out.data
