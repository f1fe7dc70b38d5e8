"""Formulas in the lecture's words, such as ``h₂ = tanh(W_hh h₁ + W_xh x₂)``, derived from the recorded operations.

Rows of a batch are drawn as the column vectors of the slides: what the program computes as ``x @ W.T`` is written
``W x``. A formula speaks of values that have a symbol; where it would need another one there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .graph import Box, Edge, Graph

LONGEST = 56  # characters of a formula that still fits into a box
MOST = 24  # operations that a formula may be made of

SUBSCRIPTS = str.maketrans("0123456789t+−-", "₀₁₂₃₄₅₆₇₈₉ₜ₊₋₋")
INFIX = {"add": ("+", 0), "subtract": ("−", 0), "multiply": ("∘", 1), "divide": ("/", 1)}
FUNCTIONS = {"sigmoid": "σ", "negative": "−", "sqrt": "√"}
VIEWS = ("transpose", "reshape", "expand_dims", "squeeze", "getitem", "identity", "astype")
"""Operations that may be only another look at a value."""

Formula = Callable[[Graph, str], str]


def subscript(time: str) -> str:
    """Return a time as a subscript.

    >>> subscript("12"), subscript("t−1")
    ('₁₂', 'ₜ₋₁')
    """
    return time.translate(SUBSCRIPTS)


def value(box: Box, lag: int = 0, now: str = "t") -> str:
    """Return how a value is written: its symbol, or label, at its time, or ``lag`` steps before ``now``.

    >>> h = Box("rnn.h", "state", "tanh", symbol="h", time="t")
    >>> value(h), value(h, lag=1), value(h, now="3")
    ('hₜ', 'hₜ₋₁', 'h₃')
    """
    time = box.time
    if time.startswith("t"):
        before = f"{'−' if lag > 0 else '+'}{abs(lag)}" if lag else ""
        time = f"{now}{before}{time[1:]}"
    return (box.symbol or box.label) + subscript(time)


def is_view(box: Box, source: Box) -> bool:
    """Return whether a box holds all that ``source`` does, only in another shape."""
    known = None not in (box.shape, source.shape) and not (source.shape and isinstance(source.shape[0], tuple))
    return box.op in VIEWS and known and math.prod(box.shape) == math.prod(source.shape)


def seen_through(graph: Graph, inputs: dict[str, list[Edge]], box: Box) -> Box:
    """Return the box that a view without a symbol looks at, or the box itself."""
    while not box.symbol and len(inputs[box.id]) == 1 and is_view(box, graph.boxes[inputs[box.id][0].tail]):
        box = graph.boxes[inputs[box.id][0].tail]
    return box


def formulas(graph: Graph) -> Formula:
    """Return a function that gives a group's formula, or nothing if there is no short one.

    A group has a formula if one value leaves it, that value has a symbol, and it is made of few operations.
    """
    inputs, outputs = graph.inputs(), graph.outputs()
    inside: dict[str, set[str]] = {}
    for box in graph.boxes.values():
        for group in graph.path(box.group):
            inside.setdefault(group.id, set()).add(box.id)

    def formula(_: Graph, group: str) -> str:
        members = inside.get(group, set())
        if len(members) > MOST:
            return ""
        leaving = {
            id
            for id in members
            if not outputs[id]
            or any(e.head not in members or graph.boxes[e.head].kind == "output" for e in outputs[id])
        }
        leaving = {inputs[id][0].tail if graph.boxes[id].kind == "cut" else id for id in leaving}
        made = [graph.boxes[id] for id in leaving if graph.boxes[id].kind not in ("output", "parameter")]
        results = {seen_through(graph, inputs, box).id for box in made}
        if len(results) != 1:
            return ""
        box = graph.boxes[results.pop()]
        if box.id not in members or not inputs[box.id] or not box.symbol or box.symbol == graph.groups[group].name:
            return ""
        try:
            text = f"{value(box)} = {_Writer(graph, inputs, members, box).expression(box)[0]}"
        except _NoWordsError:
            return ""
        return text if len(text) <= LONGEST else ""

    return formula


class _NoWordsError(Exception):
    """A value has no name."""


class _Writer:
    """Writes the expression that a box computes, in terms of what lies outside ``members`` or has a symbol.

    What is called as the result itself is written out.
    """

    def __init__(self, graph: Graph, inputs: dict[str, list[Edge]], members: set[str], result: Box) -> None:
        self.graph, self.inputs, self.members = graph, inputs, members
        self.result, self.time = value(result), result.time.partition(",")[0] or "t"

    def operand(self, edge: Edge) -> tuple[str, int]:
        """The text of an input, and how tightly it binds: 0 a sum, 1 a product, 2 an application."""
        box = self.graph.boxes[edge.tail]
        if edge.index is not None or (box.kind == "more" and edge.label):  # one of several outputs or hidden values
            if not edge.label or edge.label.startswith("["):
                raise _NoWordsError
            return edge.label, 2
        if box.id not in self.members:
            box = seen_through(self.graph, self.inputs, box)
        own = box.id in self.members and not edge.lag and (not box.symbol or value(box) == self.result)
        if self.inputs[box.id] and (own or (not box.symbol and box.op == "concatenate")):
            return self.expression(box)
        if not box.symbol:
            raise _NoWordsError
        return value(box, edge.lag, self.time), 2

    def expression(self, box: Box) -> tuple[str, int]:
        """The text of what ``box`` computes, and how tightly it binds."""
        edges = self.inputs[box.id]
        if box.op == "matmul" and len(edges) == 2:
            left, right = edges
            other = self.graph.boxes[right.tail]
            if other.op == "transpose" and other.id in self.members and not other.symbol:
                return f"{self._tight(self.inputs[other.id][0])} {self._tight(left)}", 2
            return f"{self._tight(left)} {self._tight(right)}", 2
        if box.op in INFIX:
            sign, binding = INFIX[box.op]
            by_slot = {e.slot: e for e in edges}
            (a, a_binds), (b, b_binds) = (
                self.operand(by_slot[slot]) if slot in by_slot else (self._number(box, name), 2)
                for slot, name in enumerate("xy")
            )
            a = f"({a})" if a_binds < binding else a
            strict = sign in "−/"
            return f"{a} {sign} {f'({b})' if b_binds < binding or (strict and b_binds == binding) else b}", binding
        if box.op == "transpose" and len(box.shape) == 2:
            return f"{self._tight(edges[0])}ᵀ", 2
        if box.kind == "cut" or is_view(box, self.graph.boxes[edges[0].tail]):
            return self.operand(edges[0])
        if box.op in (*VIEWS, "stack"):  # only a part of a value, or no more than a list of values
            raise _NoWordsError
        if box.op == "concatenate":
            return f"[{'; '.join(self.operand(e)[0] for e in edges)}]", 2
        name = FUNCTIONS.get(box.op, box.op)
        arguments = ", ".join([*(self.operand(e)[0] for e in edges), *([box.params] if box.params else [])])
        return f"{name}({arguments})", 2

    def _number(self, box: Box, name: str) -> str:
        if name not in box.given:
            raise _NoWordsError
        return f"{box.given[name]:.4g}"

    def _tight(self, edge: Edge) -> str:
        text, binds = self.operand(edge)
        return text if binds == 2 else f"({text})"
