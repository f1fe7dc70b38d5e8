"""Where the program is: the module path and time step that every node remembers, and whether anything is recorded."""

from __future__ import annotations

import itertools
import threading
from contextlib import ContextDecorator
from types import TracebackType

next_seq = itertools.count(1).__next__  # creation numbers: parents always have smaller ones than their children


class Scope:
    """An interned place in the program, such as ``features.conv1`` or ``rnn`` at time step 2.

    Equal paths are the same object, so that remembering one costs a reference.

    >>> ROOT.child("rnn").child("cell", step=2).path
    'rnn.cell[2]'
    """

    __slots__ = ("_children", "line", "name", "parent", "step")

    def __init__(self, parent: Scope | None, name: str, step: int | None = None, line: str | None = None) -> None:
        self.parent, self.name, self.step, self.line = parent, name, step, line
        self._children: dict[tuple[str, int | None, str | None], Scope] = {}

    def child(self, name: str, step: int | None = None, line: str | None = None) -> Scope:
        """Return the scope ``name`` inside this one, the same object each time."""
        key = (name, step, line)
        found = self._children.get(key)
        return found if found is not None else self._children.setdefault(key, Scope(self, name, step, line))

    @property
    def path(self) -> str:
        """The names from the outermost module inwards, joined by dots; time steps in brackets."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            label = scope.name if scope.step is None else f"{scope.name}[{scope.step}]"
            if label:
                names.append(label)
            scope = scope.parent
        return ".".join(reversed(names))

    def __repr__(self) -> str:
        return f"Scope({self.path!r})"


ROOT = Scope(None, "")


class State(threading.local):
    """What this thread is doing. ``scope`` is where to record, or None while nothing is recorded."""

    scope: Scope | None = ROOT
    path: Scope = ROOT


state = State()


class scope:  # noqa: N801 - used as a function
    """Mark what runs in the block as the part ``name`` (a module, a composite, a time step) of the program.

    >>> with scope("encoder"), scope("cell", step=1):
    ...     current_scope().path
    'encoder.cell[1]'
    """

    __slots__ = ("_name", "_path", "_recording", "_step")

    def __init__(self, name: str, step: int | None = None) -> None:
        self._name, self._step = name, step

    def __enter__(self) -> None:
        self._recording, self._path = state.scope, state.path
        state.path = self._path.child(self._name, self._step)
        if self._recording is not None:
            state.scope = state.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        state.scope, state.path = self._recording, self._path


def current_scope() -> Scope:
    """Return the scope in which this thread is now."""
    return state.path


class _Recording(ContextDecorator):
    """Switches recording on or off in this thread for a block, or for every call of a function that it decorates."""

    __slots__ = ("_before", "_on")

    def __init__(self, on: bool) -> None:
        self._on = on
        self._before: list[Scope | None] = []  # a stack: one object may be entered again while it is open

    def __enter__(self) -> None:
        self._before.append(state.scope)
        state.scope = state.path if self._on else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        state.scope = self._before.pop()


def no_grad() -> _Recording:
    """Record nothing in the block: results are constants, and in-place writes are allowed.

    >>> import autograd
    >>> w = autograd.tensor([1.0, 2.0], requires_grad=True)
    >>> with autograd.no_grad():
    ...     (w * 2).requires_grad
    False
    """
    return _Recording(False)


def enable_grad() -> _Recording:
    """Record in the block even inside ``no_grad``."""
    return _Recording(True)


def is_grad_enabled() -> bool:
    """Return whether this thread records operations now."""
    return state.scope is not None
