"""Memory that is used again: work space that each thread keeps, and an allocator that keeps what was freed.

A large array that is freed goes back to the system, and the next one pays for every page of it again. Kernels keep
their work space; for arrays that live on, the C library is told to keep freed memory for the next request.
"""

from __future__ import annotations

import ctypes
import os
import threading
from math import prod
from typing import Any

import numpy as np

_spaces = threading.local()
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # names in glibc's malloc.h


def space(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array of this thread's own, with anything in it; the next call by the same name takes it back."""
    size = prod(shape) * np.dtype(dtype).itemsize
    kept = _spaces.__dict__.get(name)
    if kept is None or kept.size < size:
        given = np.empty(size + 64, np.uint8)
        start = -given.ctypes.data % 64
        kept = _spaces.__dict__[name] = given[start : start + size]
    return kept[:size].view(dtype).reshape(shape)  # type: ignore[no-any-return]


def keep_freed_memory() -> None:
    """Tell glibc to serve large requests from memory that it keeps; elsewhere, or with ``MALLOC_*`` set, do nothing."""
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
