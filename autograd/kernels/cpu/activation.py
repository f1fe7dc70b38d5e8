"""Activation functions and their derivatives, float32, in one pass over memory each.

A row of ``FORMULAS`` gives f(x) and f′ of one number in scalar code without branches or calls, which the compiler turns
into vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic, overload

from ..registry import Spec
from . import threads
from .compile import compiled
from .elementwise import in_order_of
from .functions import INLINED, ONE, TWO, ZERO, exp, sigmoid, tanh

PART = 1 << 18  # numbers that are worth a thread's while

HALF, THREE, SIX, SIXTH = (np.float32(c) for c in (0.5, 3, 6, 1 / 6))
SELU_ALPHA, SELU_SCALE = np.float32(1.6732632423543772), np.float32(1.0507009873554805)
DENSITY = np.float32(1 / np.sqrt(2 * np.pi))
N1, N2, N3, N4, N5 = (  # of half the error function's complement: Abramowitz & Stegun 1964, 7.1.26
    np.float32(c / 2) for c in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
)
N_STEP = np.float32(0.3275911 / np.sqrt(2))
G1, G3 = np.float32(2 * np.sqrt(2 / np.pi)), np.float32(0.044715)  # of gelu's approximation by tanh

_inlined = numba.njit(**INLINED)


# --- what several formulas have in common -----------------------------------------------------------------------------


@_inlined
def _limited(x: Any, low: Any, high: Any) -> Any:
    x = low if x < low else x  # written so that NaN stays
    return high if x > high else x


@_inlined
def _inside(x: Any, low: Any, high: Any) -> Any:
    return ONE if (x > low) & (x < high) else ZERO


@_inlined
def _expm1(x: Any) -> Any:
    """eˣ − 1 of x ≤ 0, accurate near 0."""
    t = tanh(HALF * x)
    return TWO * t / (ONE - t)


@_inlined
def _normal(x: Any, bell: Any) -> Any:
    """The share of the standard normal distribution below x, where ``bell`` is e^(−x²/2)."""
    t = ONE / (ONE + N_STEP * abs(x))
    rest = ((((N5 * t + N4) * t + N3) * t + N2) * t + N1) * t * bell
    return rest if x < ZERO else ONE - rest


@_inlined
def _gelu_slope(x: Any) -> Any:
    bell = exp(-HALF * x * x)
    return _normal(x, bell) + x * bell * DENSITY


@_inlined
def _gelu_tanh_slope(x: Any) -> Any:
    s = sigmoid(G1 * (x + G3 * x * x * x))
    return s + x * s * (ONE - s) * G1 * (ONE + THREE * G3 * x * x)


@_inlined
def _silu_slope(x: Any) -> Any:
    s = sigmoid(x)
    return s * (ONE + x * (ONE - s))


# --- the table --------------------------------------------------------------------------------------------------------


class Formula(NamedTuple):
    """f(x, a, b), None where NumPy's own is as fast, and f′ of x or of the result; a and b are its parameters."""

    value: Callable[..., Any] | None
    slope: Callable[..., Any]


FORMULAS = {
    "tanh": Formula(None, lambda y, a, b: ONE - y * y),
    "sigmoid": Formula(lambda x, a, b: sigmoid(x), lambda y, a, b: y * (ONE - y)),
    "silu": Formula(lambda x, a, b: x * sigmoid(x), lambda x, a, b: _silu_slope(x)),
    "relu6": Formula(lambda x, a, b: _limited(x, ZERO, SIX), lambda x, a, b: _inside(x, ZERO, SIX)),
    "leaky_relu": Formula(lambda x, a, b: x if x > ZERO else x * a, lambda x, a, b: ONE if x > ZERO else a),
    "elu": Formula(lambda x, a, b: x if x > ZERO else a * _expm1(x), lambda x, a, b: ONE if x > ZERO else a * exp(x)),
    "celu": Formula(
        lambda x, a, b: x if x > ZERO else a * _expm1(x / a), lambda x, a, b: ONE if x > ZERO else exp(x / a)
    ),
}
COMPOSITES = {
    "selu": Formula(
        lambda x, a, b: SELU_SCALE * (x if x > ZERO else SELU_ALPHA * _expm1(x)),
        lambda x, a, b: SELU_SCALE * (ONE if x > ZERO else SELU_ALPHA * exp(x)),
    ),
    "gelu": Formula(lambda x, a, b: x * _normal(x, exp(-HALF * x * x)), lambda x, a, b: _gelu_slope(x)),
    "gelu_tanh": Formula(lambda x, a, b: x * sigmoid(G1 * (x + G3 * x * x * x)), lambda x, a, b: _gelu_tanh_slope(x)),
    "hardtanh": Formula(lambda x, a, b: _limited(x, a, b), lambda x, a, b: _inside(x, a, b)),
    "hardsigmoid": Formula(
        lambda x, a, b: _limited(x + THREE, ZERO, SIX) * SIXTH, lambda x, a, b: _inside(x, -THREE, THREE) * SIXTH
    ),
    "hardswish": Formula(
        lambda x, a, b: x * _limited(x + THREE, ZERO, SIX) * SIXTH,
        lambda x, a, b: (_limited(x + THREE, ZERO, SIX) + x * _inside(x, -THREE, THREE)) * SIXTH,
    ),
    "softsign": Formula(lambda x, a, b: x / (ONE + abs(x)), lambda x, a, b: ONE / ((ONE + abs(x)) * (ONE + abs(x)))),
    "tanhshrink": Formula(lambda x, a, b: x - tanh(x), lambda x, a, b: tanh(x) * tanh(x)),
}
_functions = [f and _inlined(f) for row in (FORMULAS | COMPOSITES).values() for f in row]


# --- loops over memory ------------------------------------------------------------------------------------------------


def _chosen(number: int, x: Any, a: Any, b: Any) -> Any:
    """The function of that number, for compiled code, which knows the number beforehand."""
    raise NotImplementedError


@overload(_chosen, prefer_literal=True, jit_options=INLINED)
def _by_number(number: Any, x: Any, a: Any, b: Any) -> Any:
    function: Any = _functions[number.literal_value]

    def function_of(number: Any, x: Any, a: Any, b: Any) -> Any:
        return function(x, a, b)

    return function_of


@intrinsic
def _numbers(typing: Any, address: Any, like: Any) -> Any:
    """Numbers like ``like`` at an address, to be read and written by index."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(like).as_pointer())

    pointer: Any = types.CPointer  # type: ignore[attr-defined]  # Numba has it, its stubs do not
    return pointer(like)(address, like), generate


def _value(number: int) -> Callable[..., None]:
    @compiled
    def value(x: int, out: int, first: int, last: int, a: Any, b: Any) -> None:
        xs, outs = _numbers(x, a), _numbers(out, a)
        for i in range(first, last):
            outs[i] = _chosen(number, xs[i], a, b)

    return value


def _slope(number: int) -> Callable[..., None]:
    @compiled
    def slope(g: int, v: int, out: int, first: int, last: int, a: Any, b: Any) -> None:
        gs, vs, outs = _numbers(g, a), _numbers(v, a), _numbers(out, a)
        for i in range(first, last):
            outs[i] = gs[i] * _chosen(number, vs[i], a, b)

    return slope


def _pass(loop: Callable[..., None], numbers: tuple[Any, ...], *inputs: np.ndarray) -> np.ndarray:
    """Run ``loop`` over inputs of one shape; the result lies in memory as the last of them does."""
    out = np.empty_like(inputs[-1])
    kept = [*[in_order_of(out, x) for x in inputs], out]
    addresses = [x.__array_interface__["data"][0] for x in kept]
    threads.over(out.size, out.size // PART, lambda first, last: loop(*addresses, first, last, *numbers))
    return out


class Composite:
    """A formula as a composite's kernel."""

    def __init__(self, value: Callable[..., None], slope: Callable[..., None], numbers: tuple[Any, ...]) -> None:
        self.value, self.slope, self.numbers = value, slope, numbers

    def forward(self, x: np.ndarray, *params: Any) -> tuple[np.ndarray, None]:
        return _pass(self.value, self.numbers, x), None

    def backward(self, g: Any, wanted: Sequence[bool], inputs: Any, residuals: None, *params: Any) -> list[Any]:
        return [_pass(self.slope, self.numbers, g, inputs[0])]


_loops: dict[str, tuple[Any, Any]] = {
    name: (row.value and _value(2 * i), _slope(2 * i + 1))
    for i, (name, row) in enumerate((FORMULAS | COMPOSITES).items())
}


def _numbers_of(spec: Spec) -> tuple[Any, ...] | None:
    """The parameters as two numbers, 0 for those that there are not; None if the case is not served."""
    given = [p for p in spec.params.values() if not isinstance(p, str)]
    alike = len({*spec.shapes}) == 1 and {np.dtype(d) for d in spec.dtypes} == {np.dtype(np.float32)}
    numeric = all(isinstance(p, (int, float)) for p in given)
    return tuple(map(np.float32, (*given, 0, 0)[:2])) if alike and numeric else None


def _plan(loop: Callable[..., None], spec: Spec) -> Callable[..., Any] | None:
    numbers, count = _numbers_of(spec), len(spec.shapes)
    return None if numbers is None else lambda *args: _pass(loop, numbers, *args[:count])


def _composite(name: str, spec: Spec) -> Composite | None:
    numbers = _numbers_of(spec)
    loops = _loops[f"{name}_tanh" if spec.params.get("approximate") == "tanh" else name]
    return None if numbers is None else Composite(*loops, numbers)


plans: dict[str, Callable[[Spec], Any]] = {
    **{name: partial(_plan, _loops[name][0]) for name, row in FORMULAS.items() if row.value},
    **{f"{name}_dx": partial(_plan, _loops[name][1]) for name in FORMULAS},
    **{name: partial(_composite, name) for name in COMPOSITES if name != "gelu_tanh"},
}
