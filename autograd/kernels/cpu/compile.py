"""Compiled functions: Numba's, kept on disk, with word given when the first call has to wait for the compiler."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..registry import UnavailableError

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract"},  # sums may be taken in any order; NaN and infinities stay what they are
}
PATIENCE = 1.0  # seconds before the user is told what takes so long

_waiting = threading.Lock()

if numba.config.DISABLE_JIT:
    raise UnavailableError("autograd.kernels.cpu", "NUMBA_DISABLE_JIT is set, and kernels run compiled only")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` at its first call with arguments of new types; the result is kept on disk.

    Raises:
        UnavailableError: when called, if the compiler fails; who planned the kernel then takes another.
    """
    made = nested(function)
    made._compile_for_args = functools.partial(_compile, made)  # what Numba calls when it knows no code for some types
    return made  # type: ignore[no-any-return]


def nested(function: Callable[..., Any]) -> Any:
    """Compile a function for other compiled ones; the result is kept in our folder, or not if there can be none."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = before or str(_folder())
    try:
        made = numba.njit(**OPTIONS)(function)
    except RuntimeError:
        return numba.njit(**{**OPTIONS, "cache": False})(function)
    finally:
        numba.config.CACHE_DIR = before
    keep = made._cache.save_overload

    def save(*compiled: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk: what is not kept still runs
            keep(*compiled)

    made._cache.save_overload = save
    return made


@functools.cache
def _folder() -> Path:
    """Where compiled code is kept: named after this room's source, for Numba looks at a function's own file only."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "unfoldgrad" / "kernels" / digest.hexdigest()[:16]


def _compile(function: Any, *args: Any) -> Any:
    """Return the code for arguments of the types of ``args``; say so if that takes long."""
    name = function.py_func.__name__
    notice = threading.Timer(
        PATIENCE, lambda: print(f"autograd: compiling {name} for this machine, once …", file=sys.stderr, flush=True)
    )
    notice.daemon = True
    with _waiting:
        notice.start()
        try:
            return function.compile(tuple(numba.typeof(a) for a in args))
        except Exception as error:
            raise UnavailableError(name, f"Numba failed: {type(error).__name__}: {str(error)[:200]}") from error
        finally:
            notice.cancel()


def behaved(x: np.ndarray) -> np.ndarray:
    """Return x as compiled code wants it: contiguous, aligned, writable; a copy only if it is not."""
    return x if x.flags.carray else np.require(x, None, ["C", "A", "W"])


@intrinsic
def _product(
    typing: Any, address: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, alpha: Any, a: Any, lda: Any, b: Any, ldb: Any,
    beta: Any, c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """Call Fortran's gemm at ``address``; every letter and number goes to it by its own address."""
    signature = types.void(address, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        given = []
        for position, value in enumerate(args[1:]):
            if position in (6, 8, 11):  # a, b and c are addresses already
                given.append(builder.inttoptr(value, pointer))
            else:
                given.append(builder.bitcast(cgutils.alloca_once_value(builder, value), pointer))
        kind = ir.FunctionType(ir.VoidType(), [pointer] * len(given))
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)
        return context.get_dummy_value()

    return signature, generate


@nested
def gemm(
    address: int, ta: bool, tb: bool, m: int, n: int, k: int, alpha: float, a: int, lda: int, b: int, ldb: int,
    beta: float, c: int, ldc: int,
) -> None:  # fmt: skip
    """C = alpha·op(A)·op(B) + beta·C in row-major order: A is m×k, B k×n, C m×n; ``ta``, ``tb`` say "transposed".

    ``a``, ``b`` and ``c`` are addresses of first elements (``x.ctypes.data`` plus bytes), ``lda`` … elements from row
    to row. ``address`` is ``blas.gemm_address(dtype)``; alpha and beta are of that type.
    """
    yes, no = np.int8(84), np.int8(78)  # Fortran's letters T and N
    # Fortran counts columns first, so it is given the transposed problem: Cᵀ = op(B)ᵀ·op(A)ᵀ.
    _product(
        address, yes if tb else no, yes if ta else no, np.int64(n), np.int64(m), np.int64(k), alpha,
        b, np.int64(ldb), a, np.int64(lda), beta, c, np.int64(ldc),
    )  # fmt: skip


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a small function for other compiled functions only."""
    return numba.njit(**{**OPTIONS, "cache": False})(function)  # type: ignore[no-any-return]
