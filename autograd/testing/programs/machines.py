"""How statements are carried out: by the library on tensors, or by NumPy on arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.composite import composites
from ...core.primitive import registry
from ...core.scope import no_grad, time_step
from ...core.tensor import Tensor, named
from ...errors import AutogradError
from ...transforms import checkpoint
from . import numeric

if TYPE_CHECKING:
    from .statements import Call


def find(op: str) -> Any:
    """Return the declaration of an operation; None for ``detach``, which is no declared one.

    Raises:
        AutogradError: if there is none of this name.
    """
    found = registry.get(op) or composites.get(op)
    if found is None and op != "detach":
        raise AutogradError(f"programs: no operation is called {op!r} → declare it, or choose one of autograd.registry")
    return found


class Machine:
    """Carries out statements. ``kept`` has the constants of an earlier run, which stay what they were.

    ``instead`` has values, by name, that stand in for what the program computes.
    """

    def __init__(self, kept: dict[Any, np.ndarray] | None = None, instead: Mapping[str, Any] | None = None) -> None:
        self.kept = kept
        self.instead = instead or {}

    def call(self, call: Call, args: Sequence[Any]) -> Any:
        """Return the result of an operation."""
        raise NotImplementedError

    def write(self, target: Any, index: Any, value: Any) -> Any:
        """Return what the target is after the write."""
        raise NotImplementedError

    def detach(self, x: Any, key: Any) -> Any:
        """Return x as a constant."""
        return self.constant(x.detach(), key)

    def constant(self, x: Any, key: Any) -> Any:
        """Return x, which gradients do not pass, or what it was in the first run."""
        if self.kept is None:
            return x
        array = x.data if isinstance(x, Tensor) else x
        first = self.kept.setdefault(key, array.copy())
        return x if np.array_equal(first, array) else type(x)(first) if isinstance(x, Tensor) else first

    def define(self, name: str, value: Any) -> Any:
        """Return the value that the name stands for from now on."""
        return self.instead.get(name, value)

    def unstack(self, x: Any) -> Sequence[Any]:
        """Return the parts of x along its first axis."""
        raise NotImplementedError

    def no_grad(self) -> AbstractContextManager[Any]:
        """Return a block in which nothing is recorded."""
        return nullcontext()

    def step(self, t: int) -> AbstractContextManager[Any]:
        """Return a block that is time step ``t``."""
        return nullcontext()

    def checkpoint(self, f: Callable[..., Any], *args: Any) -> Any:
        """Return ``f(*args)``."""
        return f(*args)


class Tensors(Machine):
    """The library itself."""

    def call(self, call: Call, args: Sequence[Any]) -> Any:
        """Call the operation by its declaration."""
        op = find(call.op)
        return op.call(tuple(args), **call.settings) if op.contract.variadic else op.call(*args, **call.settings)

    def write(self, target: Any, index: Any, value: Any) -> Any:
        """Write in place."""
        target[index] = value
        return target

    def unstack(self, x: Any) -> Sequence[Any]:
        """Return the parts of x along its first axis."""
        return registry["unstack"].call(x)

    def no_grad(self) -> AbstractContextManager[Any]:
        """Return a block in which nothing is recorded."""
        return no_grad()

    def step(self, t: int) -> AbstractContextManager[Any]:
        """Return a block that is time step ``t``."""
        return time_step(t)

    def checkpoint(self, f: Callable[..., Any], *args: Any) -> Any:
        """Return ``f(*args)``, which runs again when its gradient is wanted."""
        return checkpoint(f, *args)


class Named(Tensors):
    """The library, every value called in drawings what the program calls it."""

    def define(self, name: str, value: Any) -> Any:
        """Return the value, named."""
        return named(name, super().define(name, value))


class Arrays(Machine):
    """NumPy: what the library computes is computed once more by other code."""

    def call(self, call: Call, args: Sequence[Any]) -> Any:
        """Call NumPy's function for the operation."""
        return numeric.evaluate(find(call.op), args, call.settings)

    def write(self, target: Any, index: Any, value: Any) -> Any:
        """Return a changed copy: other views of a recorded value keep it."""
        out = target.copy()
        out[index] = value
        return out

    def detach(self, x: Any, key: Any) -> Any:
        """Return x."""
        return self.constant(x, key)

    def unstack(self, x: Any) -> Sequence[Any]:
        """Return the rows."""
        return list(x)
