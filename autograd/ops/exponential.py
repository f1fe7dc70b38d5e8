"""Exponentials, logarithms, trigonometric and hyperbolic functions, the error function.

>>> import autograd
>>> autograd.exp(autograd.tensor([0.0, 1.0])).round(4), autograd.log(autograd.tensor([1.0, 10.0])).round(4)
(tensor([1.    , 2.7183]), tensor([0.    , 2.3026]))
>>> autograd.grad(autograd.sin)(0.0), autograd.grad(autograd.tanh)(0.0), float(autograd.erf(0.5))
(1.0, 1.0, 0.52049988)
"""

from __future__ import annotations

import math

from ..core.primitive import elementwise
from ..kernels.reference import special

INF = float("inf")
LN2, LN10, TWO_OVER_ROOT_PI = math.log(2), math.log(10), 2 / math.sqrt(math.pi)

exp = elementwise("exp", "x", forward="exp", deriv={"x": lambda out: out}, label="eˣ", doc="eˣ.")
exp2 = elementwise("exp2", "x", forward="exp2", deriv={"x": lambda out: LN2 * out}, label="2ˣ", doc="2ˣ.")
expm1 = elementwise("expm1", "x", forward="expm1", deriv={"x": lambda out: out + 1}, doc="eˣ − 1, accurate near 0.")
log = elementwise(
    "log", "x", forward="log", deriv={"x": lambda x: 1 / x}, domain={"x": (0, INF)}, doc="Natural logarithm, ln x."
)
log2 = elementwise(
    "log2", "x", forward="log2", deriv={"x": lambda x: 1 / (LN2 * x)}, domain={"x": (0, INF)}, doc="log₂ x."
)
log10 = elementwise(
    "log10", "x", forward="log10", deriv={"x": lambda x: 1 / (LN10 * x)}, domain={"x": (0, INF)}, doc="log₁₀ x."
)
log1p = elementwise(
    "log1p",
    "x",
    forward="log1p",
    deriv={"x": lambda x: 1 / (1 + x)},
    domain={"x": (-1, INF)},
    doc="ln(1 + x), accurate near 0.",
)
logaddexp = elementwise(
    "logaddexp", "x, y", forward="logaddexp",
    deriv={"x": lambda x, out: exp(x - out), "y": lambda y, out: exp(y - out)},
    doc="ln(eˣ + eʸ) without overflow.",
)  # fmt: skip

sin = elementwise("sin", "x", forward="sin", deriv={"x": lambda x: cos(x)}, doc="Sine of x in radians.")
cos = elementwise("cos", "x", forward="cos", deriv={"x": lambda x: -sin(x)}, doc="Cosine of x in radians.")
tan = elementwise(
    "tan",
    "x",
    forward="tan",
    deriv={"x": lambda out: 1 + out * out},
    domain={"x": (-1.4, 1.4)},
    doc="Tangent of x in radians.",
)
arcsin = elementwise(
    "arcsin",
    "x",
    forward="arcsin",
    deriv={"x": lambda x: (1 - x * x) ** -0.5},
    domain={"x": (-1, 1)},
    doc="Inverse sine, radians.",
)
arccos = elementwise(
    "arccos", "x", forward="arccos", deriv={"x": lambda x: -((1 - x * x) ** -0.5)}, domain={"x": (-1, 1)},
    doc="Inverse cosine, radians.",
)  # fmt: skip
arctan = elementwise(
    "arctan", "x", forward="arctan", deriv={"x": lambda x: 1 / (1 + x * x)}, doc="Inverse tangent, radians."
)
arctan2 = elementwise(
    "arctan2", "y, x", forward="arctan2",
    deriv={"y": lambda y, x: x / (x * x + y * y), "x": lambda y, x: -y / (x * x + y * y)},
    domain={"x": (0.3, INF)}, doc="The angle of the point (x, y), radians.",
)  # fmt: skip

sinh = elementwise("sinh", "x", forward="sinh", deriv={"x": lambda x: cosh(x)}, doc="(eˣ − e⁻ˣ) / 2.")
cosh = elementwise("cosh", "x", forward="cosh", deriv={"x": lambda x: sinh(x)}, doc="(eˣ + e⁻ˣ) / 2.")
tanh = elementwise("tanh", "x", forward="tanh", deriv={"x": lambda out: 1 - out * out}, doc="(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).")
arcsinh = elementwise(
    "arcsinh", "x", forward="arcsinh", deriv={"x": lambda x: (x * x + 1) ** -0.5}, doc="Inverse of sinh."
)
arccosh = elementwise(
    "arccosh",
    "x",
    forward="arccosh",
    deriv={"x": lambda x: (x * x - 1) ** -0.5},
    domain={"x": (1, INF)},
    doc="Inverse of cosh.",
)
arctanh = elementwise(
    "arctanh",
    "x",
    forward="arctanh",
    deriv={"x": lambda x: 1 / (1 - x * x)},
    domain={"x": (-1, 1)},
    doc="Inverse of tanh.",
)

erf = elementwise(
    "erf", "x", forward=special.erf, deriv={"x": lambda x: TWO_OVER_ROOT_PI * exp(-x * x)}, source=special.SOURCE,
    doc="Error function, 2/√π ∫₀ˣ e^(−t²) dt.",
)  # fmt: skip
erfc = elementwise(
    "erfc", "x", forward=special.erfc, deriv={"x": lambda x: -TWO_OVER_ROOT_PI * exp(-x * x)}, source=special.SOURCE,
    doc="Complement 1 − erf(x), accurate for large x.",
)  # fmt: skip
