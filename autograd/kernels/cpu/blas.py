"""The BLAS that NumPy brought: its thread count, and its product for compiled code.

Nothing here is needed: where the library is not found, ``gemm_address`` is None and the kernels that want it make no
plan.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PREFIXES, SUFFIXES = ("scipy_", ""), ("64_", "_64_", "")


@cache
def library() -> ctypes.CDLL | None:
    """Return NumPy's own OpenBLAS, or None."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for file in sorted(folder.glob("*openblas*")):
            with contextlib.suppress(OSError):
                return ctypes.CDLL(str(file))
    return None


@cache
def _function(name: str, result: Any = None) -> Any:
    """Return a function of the library under any of its spellings, or None."""
    spellings = (f"{prefix}{name}{suffix}" for prefix in PREFIXES for suffix in SUFFIXES)
    for spelling in spellings:
        if library() is not None and hasattr(library(), spelling):
            function = getattr(library(), spelling)
            function.restype = result
            return function
    return None


@cache
def gemm_address(dtype: Any) -> int | None:
    """Return the address of the Fortran product for ``dtype``, float32 or float64, or None.

    Fortran's takes every argument by address, so that one way to call it fits 32- and 64-bit integers.
    """
    name = {"float32": "sgemm_", "float64": "dgemm_"}.get(np.dtype(dtype).name)
    function = name and _function(name)
    return ctypes.cast(function, ctypes.c_void_p).value if function else None


# --- threads ----------------------------------------------------------------------------------------------------------

_holding = threading.Lock()
_held = _before = 0


@cache
def _threads() -> tuple[Any, Any] | None:
    """The library's functions that return and set its number of threads."""
    get, put = _function("openblas_get_num_threads", ctypes.c_int), _function("openblas_set_num_threads")
    return None if get is None or put is None else (get, put)


def get_num_threads() -> int | None:
    """Return how many threads the BLAS uses now, or None if it does not say."""
    known = _threads()
    return known and known[0]()


class _Alone:
    """See ``alone``."""

    def __enter__(self) -> None:
        global _held, _before
        with _holding:
            _held += 1
            if _held == 1 and (known := _threads()):
                _before = known[0]()
                if _before > 1:
                    known[1](1)

    def __exit__(self, *_: object) -> None:
        global _held
        with _holding:
            _held -= 1
            if not _held and _before > 1 and (known := _threads()):
                known[1](_before)


def _after_fork() -> None:
    """In a child process nobody is in the block, whoever was in its parent."""
    global _holding, _held
    if _held and _before > 1 and (known := _threads()):
        known[1](_before)
    _holding, _held = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

_alone = _Alone()


def alone() -> _Alone:
    """Let the BLAS use one thread, in the whole process, until the block ends."""
    return _alone
