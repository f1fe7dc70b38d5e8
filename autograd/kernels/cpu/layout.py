"""Channels last: the order in memory that the kernels compute in.

An image N C H W whose numbers lie in the order N H W C looks the same to its user, and to every operation; only its
strides differ. Compiled loops run over channels, which lie side by side, and a pixel's channels are one row of a
matrix product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import behaved


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return N C … as a contiguous array N … C: a view if its memory is in that order, otherwise a copy."""
    return behaved(np.moveaxis(x, 1, -1))


def channels_first(x: np.ndarray) -> np.ndarray:
    """Return a contiguous N … C as a view N C … of the same memory."""
    return np.moveaxis(x, -1, 1)


def is_channels_last(x: Any) -> bool:
    """Whether the memory of N C … is in the order N … C."""
    return bool(np.moveaxis(x, 1, -1).flags.c_contiguous)
