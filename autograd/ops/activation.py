"""Activation functions.

>>> import autograd
>>> x = autograd.tensor([-1.0, 0.0, 2.0])
>>> autograd.relu(x), autograd.sigmoid(x).round(4)
(tensor([0., 0., 2.]), tensor([0.2689, 0.5   , 0.8808]))
>>> autograd.leaky_relu(x, 0.1), autograd.gelu(x).round(4)
(tensor([-0.1,  0. ,  2. ]), tensor([-0.1587,  0.    ,  1.9545]))
"""

from __future__ import annotations

import math
from typing import Any

from ..core.composite import composite
from ..core.primitive import elementwise, primitive
from ..errors import DomainError
from .arithmetic import clip, maximum, where
from .exponential import erf, exp, tanh

relu = primitive(
    "relu", "x: ... -> ...", forward=lambda xp, x: xp.maximum(x, 0), vjp={"x": lambda g, out: relu_dx(g, out)},
    kinks={"x": (0,)}, doc="Rectifier, max(x, 0); derivative 0 at 0, also against an infinite gradient.",
    source="Nair & Hinton, Rectified linear units, ICML 2010",
)  # fmt: skip
relu_dx = primitive(
    "relu_dx", "y: ..., x: ... -> ...", forward=lambda xp, y, x: xp.where(x > 0, y, 0), linear_in=("y",),
    vjp={"y": lambda g, x: relu_dx(g, x)}, doc="y where x > 0, elsewhere 0: the gradient of relu, for x or its result.",
)  # fmt: skip
relu6 = elementwise(
    "relu6", "x", forward=lambda xp, x: xp.clip(x, 0, 6), deriv={"x": lambda x: (x > 0) & (x < 6)}, kinks={"x": (0, 6)},
    doc="min(max(x, 0), 6); derivative 0 at 0 and 6.",
)  # fmt: skip
leaky_relu = primitive(
    "leaky_relu", "x: ... -> ...", forward=lambda xp, x, negative_slope: xp.where(x > 0, x, x * negative_slope),
    vjp={"x": lambda g, x, negative_slope: where(x > 0, g, g * negative_slope)},
    params={"negative_slope": 0.01}, kinks={"x": (0,)}, cases=({}, {"negative_slope": 0.3}, {"negative_slope": -0.5}),
    doc="x for x > 0, otherwise negative_slope·x.", source="Maas et al., Rectifier nonlinearities, ICML 2013",
)  # fmt: skip


def _sigmoid(xp: Any, x: Any) -> Any:
    z = xp.exp(-xp.abs(x))  # at most 1, so that nothing overflows
    return xp.maximum(z, x >= 0) / (1 + z)  # 1 or z above, without a branch


sigmoid = elementwise(
    "sigmoid", "x", forward=_sigmoid, deriv={"x": lambda out: out * (1 - out)}, label="σ", doc="1 / (1 + e⁻ˣ)."
)
log_sigmoid = elementwise(
    "log_sigmoid", "x", forward=lambda xp, x: -xp.logaddexp(-x, x * 0), deriv={"x": lambda x: sigmoid(-x)},
    doc="ln σ(x) = −ln(1 + e⁻ˣ) without overflow.",
)  # fmt: skip
softplus = elementwise(
    "softplus", "x", forward=lambda xp, x, beta: xp.logaddexp(beta * x, x * 0) / beta, params={"beta": 1.0},
    deriv={"x": lambda x, beta: sigmoid(beta * x)}, cases=({}, {"beta": 2.0}), doc="ln(1 + e^(beta·x)) / beta.",
)  # fmt: skip
silu = elementwise(
    "silu", "x", forward=lambda xp, x: x * _sigmoid(xp, x), deriv={"x": lambda x: _silu_slope(x, sigmoid(x))},
    doc="x·σ(x).", source="Elfwing et al., Neural Networks 107 (2018)",
)  # fmt: skip


def _silu_slope(x: Any, s: Any) -> Any:
    return s * (1 + x * (1 - s))


elu = elementwise(
    "elu", "x", forward=lambda xp, x, alpha: xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0))),
    deriv={"x": lambda x, alpha: where(x > 0, 1.0, alpha * exp(where(x > 0, 0.0, x)))}, params={"alpha": 1.0},
    kinks={"x": (0,)}, cases=({}, {"alpha": 0.5}), doc="x for x > 0, otherwise alpha·(eˣ − 1).",
    source="Clevert et al., ICLR 2016",
)  # fmt: skip
celu = elementwise(
    "celu", "x", forward=lambda xp, x, alpha: xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0) / alpha)),
    deriv={"x": lambda x, alpha: where(x > 0, 1.0, exp(where(x > 0, 0.0, x) / alpha))}, params={"alpha": 1.0},
    kinks={"x": (0,)}, cases=({}, {"alpha": 2.0}), doc="x for x > 0, otherwise alpha·(e^(x/alpha) − 1).",
    source="Barron 2017, arXiv:1704.07483",
)  # fmt: skip

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@composite("x: ...", source="Klambauer et al., Self-normalizing neural networks, NeurIPS 2017, eq. 2")
def selu(x: Any) -> Any:
    """Scaled exponential linear unit, 1.0507·elu(x, 1.6733): keeps mean 0 and variance 1 from layer to layer."""
    return elu(x, SELU_ALPHA) * SELU_SCALE


@composite("x: ...", source="Hendrycks & Gimpel 2016, arXiv:1606.08415", cases=({}, {"approximate": "tanh"}))
def gelu(x: Any, approximate: str = "none") -> Any:
    """Gaussian error linear unit, x·Φ(x); ``approximate="tanh"``: ½x(1 + tanh(√(2/π)(x + 0.044715x³)))."""
    if approximate not in ("none", "tanh"):
        raise DomainError(f"gelu: approximate is {approximate!r} → give 'none' or 'tanh'")
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@composite("x: ...", source="Misra, BMVC 2020")
def mish(x: Any) -> Any:
    """x·tanh(softplus(x))."""
    return x * tanh(softplus(x))


@composite("x: ...")
def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x limited to [min_val, max_val]; derivative 0 at the bounds."""
    return clip(x, min_val, max_val)


@composite("x: ...", source="Howard et al., Searching for MobileNetV3, ICCV 2019")
def hardsigmoid(x: Any) -> Any:
    """min(max(x + 3, 0), 6) / 6."""
    return relu6(x + 3) / 6


@composite("x: ...", source="Howard et al., Searching for MobileNetV3, ICCV 2019")
def hardswish(x: Any) -> Any:
    """x·hardsigmoid(x)."""
    return x * relu6(x + 3) / 6


@composite("x: ...")
def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return x / (1 + abs(x))


@composite("x: ...")
def tanhshrink(x: Any) -> Any:
    """x − tanh(x)."""
    return x - tanh(x)


@composite("x: ..., w: ...", source="He et al., Delving deep into rectifiers, ICCV 2015, eq. 1")
def prelu(x: Any, w: Any) -> Any:
    """x for x > 0, otherwise w·x with a learned slope w."""
    return maximum(x, 0) + w * clip(x, None, 0)
