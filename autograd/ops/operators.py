"""The operators and methods of ``Tensor``, installed from the declared operations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from ..core.tensor import Tensor, element_type
from ..errors import DTypeError
from . import arithmetic as a
from . import device, exponential, index, reduce, shape
from .matmul import dot, matmul, mT
from .normalize import log_softmax, softmax


def _swapped(op: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: op(other, self)


def _power(self: Tensor, exponent: Any) -> Any:
    """Small whole powers and roots have faster operations of their own."""
    if type(exponent) is int or type(exponent) is float:
        if exponent == 2:
            return a.square(self)
        if exponent == 0.5:
            return a.sqrt(self)
    return a.power(self, exponent)


def _in_place(op: Callable[[Any, Any], Any], recorded: Callable[..., Any]) -> Callable[[Tensor, Any], Tensor]:
    def update(self: Tensor, other: Any) -> Tensor:
        return self._update(op, recorded, other)

    return update


OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": a.add, "__radd__": _swapped(a.add), "__sub__": a.subtract, "__rsub__": _swapped(a.subtract),
    "__mul__": a.multiply, "__rmul__": _swapped(a.multiply),
    "__truediv__": a.divide, "__rtruediv__": _swapped(a.divide),
    "__floordiv__": a.floor_divide, "__rfloordiv__": _swapped(a.floor_divide),
    "__mod__": a.remainder, "__rmod__": _swapped(a.remainder),
    "__pow__": _power, "__rpow__": _swapped(a.power), "__matmul__": matmul, "__rmatmul__": _swapped(matmul),
    "__neg__": a.negative, "__pos__": a.positive, "__abs__": a.absolute,
    "__round__": lambda self, n=0: a.round_(self, n or 0),
    "__eq__": a.equal, "__ne__": a.not_equal,
    "__lt__": a.less, "__le__": a.less_equal, "__gt__": a.greater, "__ge__": a.greater_equal,
    "__and__": a.bitwise_and, "__rand__": _swapped(a.bitwise_and),
    "__or__": a.bitwise_or, "__ror__": _swapped(a.bitwise_or),
    "__xor__": a.bitwise_xor, "__rxor__": _swapped(a.bitwise_xor), "__invert__": a.invert,
    "__iadd__": _in_place(operator.iadd, a.add), "__isub__": _in_place(operator.isub, a.subtract),
    "__imul__": _in_place(operator.imul, a.multiply), "__itruediv__": _in_place(operator.itruediv, a.divide),
    "__ifloordiv__": _in_place(operator.ifloordiv, a.floor_divide), "__imod__": _in_place(operator.imod, a.remainder),
    "__ipow__": _in_place(operator.ipow, a.power), "__iand__": _in_place(operator.iand, a.bitwise_and),
    "__ior__": _in_place(operator.ior, a.bitwise_or), "__ixor__": _in_place(operator.ixor, a.bitwise_xor),
    "__getitem__": index.getitem, "__iter__": lambda self: iter(shape.unstack(self)),
}  # fmt: skip


def _reshape(self: Tensor, *sizes: Any) -> Any:
    """The same elements in another shape: ``reshape(2, 3)`` or ``reshape((2, 3))``; one size may be −1."""
    return shape.reshape(self, shape._shape_argument(sizes))


def _transpose(self: Tensor, *axes: Any) -> Any:
    """The axes in another order: ``transpose(1, 0)``, ``transpose((1, 0))``, or reversed if none are given."""
    return shape.transpose(self, shape._shape_argument(axes) if axes and axes[0] is not None else None)


def _to(self: Tensor, target: Any) -> Any:
    """The tensor on another device or in another element type: ``to("cuda")``, ``to("float64")``."""
    name = target if isinstance(target, str) else None
    if name is not None and name.partition(":")[0] in ("cpu", "cuda", "strict"):
        return self if name == self.device else device.to_device(self, name)
    try:
        wanted = element_type("to", target)
    except DTypeError as error:
        raise DTypeError(
            f"to: target is {target!r} → give a device such as 'cuda' or a type such as 'float64'"
        ) from error
    return self if wanted == self.dtype else shape.astype(self, wanted)


METHODS: dict[str, Callable[..., Any]] = {
    "sum": reduce.sum_, "mean": reduce.mean, "prod": reduce.prod, "var": reduce.var, "std": reduce.std,
    "max": reduce.max_, "min": reduce.min_, "argmax": reduce.argmax, "argmin": reduce.argmin,
    "argsort": reduce.argsort, "sort": reduce.sort, "any": reduce.any_, "all": reduce.all_,
    "cumsum": reduce.cumsum, "cumprod": reduce.cumprod, "logsumexp": reduce.logsumexp,
    "reshape": _reshape, "view": _reshape, "transpose": _transpose, "permute": _transpose, "swapaxes": shape.swapaxes,
    "squeeze": shape.squeeze, "unsqueeze": shape.expand_dims, "flatten": shape.flatten,
    "ravel": lambda self: shape.reshape(self, (-1,)),
    "repeat": shape.repeat, "astype": shape.astype, "copy": shape.copy, "clone": shape.copy, "diagonal": shape.diagonal,
    "take": index.take, "gather": index.gather, "dot": dot, "matmul": matmul,
    "exp": exponential.exp, "log": exponential.log, "sqrt": a.sqrt, "square": a.square, "abs": a.absolute,
    "tanh": exponential.tanh, "sin": exponential.sin, "cos": exponential.cos, "clip": a.clip, "round": a.round_,
    "pow": _power, "softmax": softmax, "log_softmax": log_softmax,
    "unstack": shape.unstack, "split": shape.split, "flip": shape.flip,
    "to": _to, "cpu": lambda self: _to(self, "cpu"), "cuda": lambda self: _to(self, "cuda"),
    "float": lambda self: _to(self, "float32"), "double": lambda self: _to(self, "float64"),
    "half": lambda self: _to(self, "float16"), "long": lambda self: _to(self, "int64"),
}  # fmt: skip


def install() -> None:
    """Give ``Tensor`` its operators and methods."""
    for name, function in {**OPERATORS, **METHODS}.items():
        setattr(Tensor, name, function)
    for name, view in {"T": shape.transpose, "mT": mT}.items():
        setattr(Tensor, name, property(view, doc=view.__doc__))


install()
