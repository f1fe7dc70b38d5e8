"""Elementwise arithmetic, powers, exponentials and comparisons."""

from __future__ import annotations

from ..core.primitive import elementwise

add = elementwise("add", "x, y", forward="add", deriv={"x": 1, "y": 1}, label="+", doc="Sum: x + y.")
multiply = elementwise("multiply", "x, y", forward="multiply", deriv={"x": lambda y: y, "y": lambda x: x}, label="×", doc="x·y")
tanh = elementwise("tanh", "x", forward="tanh", deriv={"x": lambda out: 1 - out * out})
