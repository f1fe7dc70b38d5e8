"""Testing gradients: of the library's own operations, and of any function.

``check_gradients`` and ``assert_gradients`` compare gradients of any order with differences; ``oracles`` are the
numeric derivatives with their error estimates; ``samples`` draws inputs for an operation from its declaration. With
Hypothesis, ``strategies`` draws tensors, and ``gradient_property`` makes a test out of a function.
"""

import importlib
from typing import Any

from . import oracles, samples
from .checks import Comparison, Report, assert_gradients, check_gradients

__all__ = ["Comparison", "Report", "assert_gradients", "check_gradients", "oracles", "samples"]

LAZY = {"strategies": ".strategies", "gradient_property": ".property"}  # they import Hypothesis


def __getattr__(name: str) -> Any:
    """Import what needs Hypothesis when it is first wanted."""
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(LAZY[name], __name__)
    return module if name == "strategies" else getattr(module, name)
