"""Tracing: one run of a program remembered so well that everything about it can be drawn.

While a run is traced, every call of an operation is a place of its own, which knows what went in and what came out;
the node that is recorded has it as its scope. So the tape alone tells values, constants, source lines, repeated calls
of one module and where ``detach()`` cut the gradient's way. What no node remembers is freed at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..config import count_traced
from .inplace import memory
from .node import Node, Op
from .scope import Scope, state


class Call(Scope):
    """The place of one call: the arrays that went in and came out.

    By slot, ``cuts`` has the nodes whose detached values went in, ``made`` the operations that made other inputs.
    """

    __slots__ = ("cuts", "inputs", "made", "op", "out")

    def __init__(self, parent: Scope, line: str, op: Op, inputs: tuple[Any, ...], out: Any) -> None:
        super().__init__(parent, "", line=line)
        self.op, self.inputs, self.out = op, inputs, out
        self.cuts: dict[int, Node] = {}
        self.made: dict[int, Op] = {}

    def child(
        self, name: str, step: int | None = None, line: str | None = None, kind: str = "", call: int = 1
    ) -> Scope:
        """Return a place inside this one; it is not interned, so that no cycle keeps the call alive."""
        return Scope(self, name, step, line, kind, call)


class Trace:
    """What the thread that is traced tells about its run."""

    def __init__(self) -> None:
        self._entered: Counter[Any] = Counter()
        self._cuts: dict[int, tuple[Any, Node]] = {}  # by the array's identity; it is held so that this stays unique
        self._made: dict[int, tuple[Any, Op]] = {}

    def enter(self, parent: Scope, name: str, step: int | None, line: str | None, kind: str) -> Scope:
        """Return the scope of a block that is entered: of the second call in one place another than of the first."""
        self._entered[parent, name, step, kind] += 1
        return parent.child(name, step, line, kind, self._entered[parent, name, step, kind])

    def cut(self, array: Any, node: Node) -> None:
        """Remember that ``array`` goes on as a constant though ``node`` computed it."""
        self._cuts[id(memory(array))] = self._cuts[id(array)] = array, node

    def call(self, op: Any, args: tuple[Any, ...], out: Any, line: str) -> Call:
        """Return the place of a call that was just made."""
        inputs = tuple(args[0]) if op.contract.variadic else args[: len(op.contract.inputs)]
        place = Call(state.path, line, op, inputs, out)
        for slot, array in enumerate(inputs):
            cut = self._cuts.get(id(array)) or self._cuts.get(id(memory(array)))
            made = self._made.get(id(array))
            if cut is not None:
                place.cuts[slot] = cut[1]
            elif made is not None:
                place.made[slot] = made[1]
        if not isinstance(out, tuple):
            self._made[id(out)] = out, op
        return place


@contextmanager
def tracing(trace: Trace | None = None) -> Iterator[Any]:
    """Trace what this thread runs in the block: composites run as they are defined, and nodes know their calls.

    ``trace`` is what takes notes, a ``Trace`` if None.

    >>> import autograd
    >>> x = autograd.tensor([2.0], requires_grad=True)
    >>> with tracing():
    ...     y = x * 3
    >>> y.node.scope.inputs, y.node.scope.out
    ((array([2.], dtype=float32), 3), array([6.], dtype=float32))
    """
    before, state.trace = state.trace, Trace() if trace is None else trace
    count_traced(1)
    try:
        yield state.trace
    finally:
        state.trace = before
        count_traced(-1)


def call_of(node: Node) -> Call | None:
    """Return the call that made ``node``, if it was traced."""
    scope = node.scope
    while scope.kind == "value" and scope.parent is not None:
        scope = scope.parent
    return scope if isinstance(scope, Call) and scope.op is node.op else None
