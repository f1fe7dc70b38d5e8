"""Switches: the default element type, anomaly mode, kernels or definitions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .errors import DTypeError


class Setting:
    """A value that is set at once and, used with ``with``, set back at the end of the block."""

    def __init__(self, old: Any, assign: Callable[[Any], None]) -> None:
        self._old, self._assign = old, assign

    def __enter__(self) -> None:
        """Nothing to do: the value was set when the setting was made."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._assign(self._old)


class _Switches:
    """What holds for the whole process (recording is per thread and lives in ``core.scope``)."""

    def __init__(self) -> None:
        self.default_dtype = "float32"
        self.anomaly = False
        self.kernels = True
        self.traced = 0  # how many runs are being traced, in all threads
        self.listeners: list[Callable[[], None]] = []  # told when one of the last three changes

    @property
    def watching(self) -> bool:
        """Whether every call of an operation is looked at."""
        return self.anomaly or self.traced > 0


switches = _Switches()
_counting = threading.Lock()


def count_traced(change: int) -> None:
    """One run more that is being traced (1), or one less (−1)."""
    with _counting:
        _assign("traced", switches.traced + change)


def _assign(name: str, value: Any) -> None:
    setattr(switches, name, value)
    for listener in switches.listeners:
        listener()


def _set(name: str, value: Any) -> Setting:
    setting = Setting(getattr(switches, name), lambda old: _assign(name, old))
    _assign(name, value)
    return setting


def default_dtype(dtype: Any = None) -> Any:
    """Return the element type given to Python floats and new layers, or set it.

    ``default_dtype()`` returns its name; ``default_dtype("float64")`` sets it, for the block when used with ``with``.
    Arrays that have a type keep it.

    Raises:
        DTypeError: if ``dtype`` is not float16, float32 or float64.

    >>> with default_dtype("float64"):
    ...     default_dtype()
    'float64'
    >>> default_dtype()
    'float32'
    """
    if dtype is None:
        return switches.default_dtype
    name = str(getattr(dtype, "__name__", None) or getattr(dtype, "name", dtype))
    if name not in ("float16", "float32", "float64"):
        raise DTypeError(f"default_dtype: dtype is {dtype!r} → give 'float16', 'float32' or 'float64'")
    return _set("default_dtype", name)


def detect_anomaly(on: bool = True) -> Setting:
    """Stop at the first NaN or Inf that an operation or a gradient rule produces from finite values.

    The error names the operation, the module path and the source line that called it. Slow: every result is read again.

    >>> import autograd
    >>> with autograd.detect_anomaly():
    ...     autograd.log(autograd.tensor([0.0]))
    Traceback (most recent call last):
    ...
    autograd.errors.AnomalyError: log: the result has 1 non-finite value of 1 ...
    """
    return _set("anomaly", bool(on))


def use_kernels(on: bool = True) -> Setting:
    """Let fast kernels stand in for definitions (the default), or run every definition as it is written.

    >>> with use_kernels(False):
    ...     switches.kernels
    False
    """
    return _set("kernels", bool(on))
