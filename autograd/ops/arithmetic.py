"""Elementwise arithmetic, powers, rounding, choices and comparisons.

One rule for ties in the whole library: where several values tie for a maximum or minimum, the last of them gets the
whole gradient. So relu(x), maximum(x, 0), clip(x, 0) and where(x > 0, x, 0) have derivative 0 at 0.

>>> import autograd
>>> x = autograd.tensor([-2.0, 0.0, 3.0], requires_grad=True)
>>> (2 * x**2 - 1) / 4
tensor([ 1.75, -0.25,  4.25], op=divide)
>>> autograd.where(x > 0, x, 0).sum().backward()
>>> x.grad, autograd.maximum(x, 1.0), autograd.clip(x, -1, 1)
(tensor([0., 0., 1.]), tensor([1., 1., 3.], op=maximum), tensor([-1.,  0.,  1.], op=clip))
>>> autograd.grad(autograd.power, argnums=(0, 1))(2.0, 3.0)
(12.0, 5.545177444479562)
"""

from __future__ import annotations

import math
from typing import Any

from ..core.primitive import elementwise, primitive
from .exponential import log

INF = float("inf")

add = elementwise("add", "x, y", forward="add", deriv={"x": 1, "y": 1}, label="+", doc="Sum, x + y.")
subtract = elementwise(
    "subtract", "x, y", forward="subtract", deriv={"x": 1, "y": -1}, label="−", doc="Difference, x − y."
)
multiply = elementwise(
    "multiply", "x, y", forward="multiply", deriv={"x": lambda y: y, "y": lambda x: x}, label="×",
    linear_in=("x", "y"), doc="Product, x·y.",
)  # fmt: skip


def _inverse(y: Any) -> Any:
    """1 / y, infinite where y = 0 also if y is a Python number."""
    return math.copysign(INF, y) if isinstance(y, (int, float)) and y == 0 else 1 / y


divide = elementwise(
    "divide", "x, y", forward="divide", deriv={"x": _inverse, "y": lambda out, y: -out / y}, label="÷",
    linear_in=("x",), domain={"y": (0.3, INF)}, doc="Quotient, x / y.",
)  # fmt: skip
negative = elementwise("negative", "x", forward="negative", deriv={"x": -1}, label="−", doc="Negation, −x.")
positive = elementwise("positive", "x", forward="positive", deriv={"x": 1}, doc="A copy with its own sign, +x.")
reciprocal = elementwise(
    "reciprocal", "x", forward="reciprocal", deriv={"x": lambda out: -out * out}, domain={"x": (0.3, INF)}, doc="1 / x."
)
square = elementwise("square", "x", forward="square", deriv={"x": lambda x: 2 * x}, label="x²", doc="x².")
sqrt = elementwise(
    "sqrt", "x", forward="sqrt", deriv={"x": lambda out: 0.5 / out}, label="√", domain={"x": (0, INF)}, doc="√x."
)
cbrt = elementwise(
    "cbrt",
    "x",
    forward="cbrt",
    deriv={"x": lambda out: 1 / (3 * out * out)},
    domain={"x": (0, INF)},
    doc="Cube root, ∛x.",
)


def _log_of_positive(x: Any) -> Any:
    """ln x where x > 0, else 0: 0⁰ is taken as constant."""
    if isinstance(x, (int, float)):
        return math.log(x) if x > 0 else 0.0
    return log(where(x > 0, x, 1))


power = elementwise(
    "power", "x, y", forward="power", label="xʸ", domain={"x": (0, INF)}, doc="x to the power y, xʸ.",
    deriv={
        "x": lambda x, y: y * power(x, y - 1 + (y == 0)),  # 0, not 0·∞, where y = 0
        "y": lambda x, out: out * _log_of_positive(x),
    },
)  # fmt: skip
hypot = elementwise(
    "hypot", "x, y", forward="hypot", domain={"x": (0.3, INF), "y": (0.3, INF)}, doc="√(x² + y²).",
    deriv={"x": lambda x, out: x / out, "y": lambda y, out: y / out},
)  # fmt: skip
remainder = elementwise(
    "remainder", "x, y", forward="remainder", deriv={"x": 1, "y": lambda x, y: -floor_divide(x, y)}, label="mod",
    domain={"x": (3, 4), "y": (2.1, 2.9)}, kinks={"x": "multiples of y"}, doc="x − y·⌊x / y⌋.",
)  # fmt: skip
floor_divide = elementwise(
    "floor_divide", "x, y", forward="floor_divide", deriv={"x": 0, "y": 0}, domain={"x": (3, 4), "y": (2.1, 2.9)},
    kinks={"x": "multiples of y"}, doc="⌊x / y⌋; its derivative is 0.",
)  # fmt: skip
absolute = elementwise(
    "absolute", "x", forward="absolute", deriv={"x": lambda x: sign(x)}, kinks={"x": (0,)}, label="|x|",
    doc="Absolute value, |x|; derivative 0 at 0.",
)  # fmt: skip

# Steps: the derivative is 0 wherever there is one.
sign = elementwise("sign", "x", forward="sign", deriv={"x": 0}, kinks={"x": (0,)}, doc="−1, 0 or 1, the sign of x.")
floor = elementwise(
    "floor", "x", forward="floor", deriv={"x": 0}, kinks={"x": "integers"}, domain={"x": (0.1, 0.9)}, doc="⌊x⌋."
)
ceil = elementwise(
    "ceil", "x", forward="ceil", deriv={"x": 0}, kinks={"x": "integers"}, domain={"x": (0.1, 0.9)}, doc="⌈x⌉."
)
trunc = elementwise(
    "trunc",
    "x",
    forward="trunc",
    deriv={"x": 0},
    kinks={"x": "integers"},
    domain={"x": (0.1, 0.9)},
    doc="x rounded towards 0.",
)
round_ = elementwise(
    "round", "x", forward="round", params={"decimals": 0}, deriv={"x": 0}, kinks={"x": "half-integers"},
    domain={"x": (0.6, 1.4)}, doc="x rounded to ``decimals`` places, halves to even.",
)  # fmt: skip

# Choices.
maximum = elementwise(
    "maximum", "x, y", forward="maximum", deriv={"x": lambda x, y: x > y, "y": lambda x, y: y >= x}, label="max",
    kinks={"x": "x = y"}, doc="The larger of x and y; at a tie y gets the gradient.",
)  # fmt: skip
minimum = elementwise(
    "minimum", "x, y", forward="minimum", deriv={"x": lambda x, y: x < y, "y": lambda x, y: y <= x}, label="min",
    kinks={"x": "x = y"}, doc="The smaller of x and y; at a tie y gets the gradient.",
)  # fmt: skip


def _inside(x: Any, min: Any, max: Any) -> Any:
    inside = x == x if min is None else x > min
    return inside if max is None else inside & (x < max)


clip = elementwise(
    "clip", "x", forward="clip", params={"min": None, "max": None}, deriv={"x": _inside}, kinks={"x": "min, max"},
    cases=({"min": -0.5, "max": 0.5}, {"min": 0.0}, {"max": 0.25}),
    doc="min(max(x, min), max); derivative 0 at the bounds.",
)  # fmt: skip
where = primitive(
    "where", "condition: ..., x: ..., y: ... -> ...", forward="where", domain={"condition": "bool"},
    vjp={"x": lambda g, condition: where(condition, g, 0), "y": lambda g, condition: where(condition, 0, g)},
    doc="x where the condition holds, y elsewhere; no gradient flows to the other.",
)  # fmt: skip

# Comparisons and logic have no gradient.
equal = elementwise("equal", "x, y", forward="equal", label="=", doc="x = y.")
not_equal = elementwise("not_equal", "x, y", forward="not_equal", label="≠", doc="x ≠ y.")
less = elementwise("less", "x, y", forward="less", label="<", doc="x < y.")
less_equal = elementwise("less_equal", "x, y", forward="less_equal", label="≤", doc="x ≤ y.")
greater = elementwise("greater", "x, y", forward="greater", label=">", doc="x > y.")
greater_equal = elementwise("greater_equal", "x, y", forward="greater_equal", label="≥", doc="x ≥ y.")
logical_and = elementwise(
    "logical_and", "x, y", forward="logical_and", domain={"x": "bool", "y": "bool"}, doc="x and y."
)
logical_or = elementwise("logical_or", "x, y", forward="logical_or", domain={"x": "bool", "y": "bool"}, doc="x or y.")
logical_xor = elementwise(
    "logical_xor", "x, y", forward="logical_xor", domain={"x": "bool", "y": "bool"}, doc="Either x or y."
)
logical_not = elementwise("logical_not", "x", forward="logical_not", domain={"x": "bool"}, doc="Not x.")
bitwise_and = elementwise("bitwise_and", "x, y", forward="bitwise_and", domain={"x": "bool", "y": "bool"}, doc="x & y.")
bitwise_or = elementwise("bitwise_or", "x, y", forward="bitwise_or", domain={"x": "bool", "y": "bool"}, doc="x | y.")
bitwise_xor = elementwise("bitwise_xor", "x, y", forward="bitwise_xor", domain={"x": "bool", "y": "bool"}, doc="x ^ y.")
invert = elementwise("invert", "x", forward="invert", domain={"x": "bool"}, doc="~x.")
isnan = elementwise("isnan", "x", forward="isnan", doc="Whether x is not a number.")
isinf = elementwise("isinf", "x", forward="isinf", doc="Whether x is infinite.")
isfinite = elementwise("isfinite", "x", forward="isfinite", doc="Whether x is a finite number.")
