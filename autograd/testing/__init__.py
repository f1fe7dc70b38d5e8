"""Testing gradients: of the library's own operations, and of any function.

``check_gradients`` and ``assert_gradients`` compare gradients of any order with differences; ``oracles`` are the
numeric derivatives with their error estimates; ``samples`` draws inputs for an operation from its declaration.
"""

from . import oracles, samples
from .checks import Comparison, Report, assert_gradients, check_gradients

__all__ = ["Comparison", "Report", "assert_gradients", "check_gradients", "oracles", "samples"]
