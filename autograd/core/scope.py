"""Where the program is: the module path and time step that every node remembers, and whether anything is recorded."""

from __future__ import annotations

import itertools
import threading
from contextlib import ContextDecorator
from types import TracebackType
from typing import TYPE_CHECKING

from ..errors import AutogradError

if TYPE_CHECKING:
    from .trace import Trace

next_seq = itertools.count(1).__next__  # creation numbers: parents always have smaller ones than their children


class Scope:
    """An interned place in the program, such as ``features.conv1`` or ``rnn`` at time step 2.

    Equal paths are the same object, so that remembering one costs a reference. ``kind`` says what the place is: a
    module's class name, ``"value"`` for a value that was given a name, nothing for other blocks. A time step has its
    number in ``step``, a line of the user's program its place in ``line``, a module's second call, while a run is
    traced, a 2 in ``call``.

    >>> ROOT.child("rnn").child("t", step=2).path
    'rnn.t2'
    """

    __slots__ = ("_children", "call", "kind", "line", "name", "parent", "step")

    def __init__(
        self,
        parent: Scope | None,
        name: str,
        step: int | None = None,
        line: str | None = None,
        kind: str = "",
        call: int = 1,
    ) -> None:
        self.parent, self.name, self.step, self.line, self.kind, self.call = parent, name, step, line, kind, call
        self._children: dict[tuple[str, int | None, str | None, str, int], Scope] = {}

    def child(
        self, name: str, step: int | None = None, line: str | None = None, kind: str = "", call: int = 1
    ) -> Scope:
        """Return the scope ``name`` inside this one, the same object each time."""
        key = (name, step, line, kind, call)
        found = self._children.get(key)
        return found if found is not None else self._children.setdefault(key, Scope(self, *key))

    @property
    def label(self) -> str:
        """The name; a time step's with its number, a repeated call's with which call it is."""
        return f"{self.name}{'' if self.step is None else self.step}{'' if self.call == 1 else f'#{self.call}'}"

    @property
    def path(self) -> str:
        """The labels from the outermost module inwards, joined by dots."""
        labels: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            if scope.label:
                labels.append(scope.label)
            scope = scope.parent
        return ".".join(reversed(labels))

    def __repr__(self) -> str:
        return f"Scope({self.path!r})"


ROOT = Scope(None, "")


class State(threading.local):
    """What this thread is doing. ``scope`` is where to record, or None while nothing is recorded.

    ``trace`` is there while this thread's run is traced.
    """

    scope: Scope | None = ROOT
    path: Scope = ROOT
    trace: Trace | None = None


state = State()


class scope:  # noqa: N801 - used as a function
    """Mark what runs in the block as the part ``name`` (a module, a composite) of the program.

    ``kind`` is a module's class name; ``step`` makes it a time step, see ``time_step``.

    >>> with scope("encoder", kind="GRU"), time_step(1):
    ...     current_scope().path
    'encoder.t1'
    """

    __slots__ = ("_key", "_path", "_recording")

    def __init__(self, name: str, step: int | None = None, kind: str = "") -> None:
        self._key = (name, step, None, kind)

    def __enter__(self) -> None:
        self._recording, self._path = state.scope, state.path
        trace = state.trace
        state.path = self._path.child(*self._key) if trace is None else trace.enter(self._path, *self._key)
        if self._recording is not None:
            state.scope = state.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(error, AutogradError) and not hasattr(error, "__notes__"):
            error.add_note(f"in {state.path.path}" + f" ({self._key[3]})" * bool(self._key[3]))
        state.scope, state.path = self._recording, self._path


def time_step(t: int) -> scope:
    """Mark what runs in the block as time step ``t`` (1, 2, 3 ...) of a loop; diagrams lay loops out by their steps.

    >>> import autograd
    >>> h = autograd.tensor([0.5], requires_grad=True)
    >>> for t in (1, 2):
    ...     with time_step(t):
    ...         h = autograd.tanh(h)
    >>> h.node
    <tanh in t2 (1,)>
    """
    return scope("t", t)


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
