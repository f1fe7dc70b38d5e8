"""Anomaly mode: stop where the first NaN or Inf appears, and say which operation, module and source line made it.

Calls are watched by a wrapper around implementations; a trace uses the same to see what goes in and comes out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from ..config import switches
from ..errors import AnomalyError
from .scope import state
from .tensor import Tensor

_PACKAGES = (str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "nn"))


def source_line() -> str:
    """Return ``file:line`` of the innermost frame outside the library."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith((*_PACKAGES, "<")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _bad(value: Any) -> int:
    """The number of non-finite elements."""
    if isinstance(value, (tuple, list)):
        return sum(_bad(v) for v in value)
    if isinstance(value, Tensor):
        value = value.data
    if getattr(getattr(value, "dtype", None), "kind", "") not in ("f", "c"):
        return 0
    xp = backend.of(value).xp
    return int(value.size - xp.count_nonzero(xp.isfinite(value)))


def watched(op: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an implementation: leave the source line, or the traced call, for the node that is recorded next, and in
    anomaly mode refuse a non-finite result of finite inputs.
    """

    def run_and_look(*args: Any) -> Any:
        trace = state.trace
        if trace is None and not switches.anomaly:  # another thread's run is traced
            return run(*args)
        line = source_line()
        if switches.anomaly:
            with np.errstate(all="ignore"):  # what follows says it better
                out = run(*args)
            _refuse_bad(op, args, out, line)
        else:
            out = run(*args)
        if state.scope is not None:
            state.scope = state.path.child("", line=line) if trace is None else trace.call(op, args, out, line)
        return out

    return run_and_look


def _refuse_bad(op: Any, args: Any, out: Any, line: str) -> None:
    count = _bad(out)
    if count and not _bad(args):
        size = sum(o.size for o in out) if isinstance(out, tuple) else out.size
        raise AnomalyError(
            f"{op.name}: the result has {count} non-finite value{'s' * (count > 1)} of {size} "
            f"though the inputs are finite{_place(state.path.path)}, called at {line} "
            "→ check the inputs' range there"
        )


def _forget_line() -> None:
    """What was watched is no place for the nodes that follow."""
    if state.scope is not None:
        state.scope = state.path


switches.listeners.append(_forget_line)


def watched_pull(node: Any) -> Callable[..., Any]:
    """Wrap the rules of a node: refuse a non-finite gradient that they make from a finite one."""

    def pull_and_check(g: Any, *rest: Any) -> Any:
        with np.errstate(all="ignore"):
            gradients = node.op.pull(g, *rest)
        count = _bad([gx for gx in gradients if gx is not None])
        if count and not _bad(g):
            line = node.scope.line or "a line unknown: switch anomaly mode on before the forward pass"
            raise AnomalyError(
                f"{node.op.name}: its gradient rule made {count} non-finite value{'s' * (count > 1)} from finite ones"
                f"{_place(node.scope.path)}, recorded at {line} → check the saved values there"
            )
        return gradients

    return pull_and_check


def _place(path: str) -> str:
    return f" in {path}" if path else ""
