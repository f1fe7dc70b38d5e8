"""Testing gradients: of the library's own operations, and of any function.

``check_gradients`` and ``assert_gradients`` compare gradients of any order with differences; ``oracles`` are the
numeric derivatives with their error estimates; ``samples`` draws inputs for an operation from its declaration, and
``check_operation`` holds all ``properties`` against one. With Hypothesis, ``strategies`` draws tensors,
``gradient_property`` makes a test out of a function, and ``programs`` draws whole graphs.
"""

import importlib
from typing import Any

from . import oracles, samples
from .checks import Comparison, Report, assert_gradients, check_gradients

__all__ = ["Comparison", "Report", "assert_gradients", "check_gradients", "oracles", "samples"]

LAZY = {  # imported when first wanted: some need Hypothesis
    "check_operation": "properties",
    "check_precision": "precision",
    "gradient_property": "property",
    "programs": "programs",
    "properties": "properties",
    "strategies": "strategies",
}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{LAZY[name]}", __name__)
    return module if name == LAZY[name] else getattr(module, name)
