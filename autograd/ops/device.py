"""Moving between devices."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..core.primitive import REQUIRED, primitive


def _move(x: Any, device: str, source: str) -> Any:
    target = backend.by_name(device)
    same = device == source or (device, source) == ("cuda:0", "cuda")
    return x if same else target.from_host(backend.of(x).to_host(x), device)


to_device = primitive(
    "to_device", "x", forward=_move, params={"device": REQUIRED, "source": None}, linear_in=("x",), label="→",
    prepare=lambda x, device, source: (device, backend.of(x).device_of(x)),
    vjp={"x": lambda g, source: to_device(g, source)}, cases=({"device": "cpu", "x": (2, 3)},),
    doc="The same values on another device; gradients travel back.",
)  # fmt: skip
