"""The lecture's words: symbols for values and weights, and formulas such as ``h₂ = tanh(W_hh h₁ + W_xh x₂)``.

Formulas are derived from the recorded operations. Rows of a batch are drawn as the column vectors of the slides: what
the program computes as ``x @ W.T`` is written ``W x``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from .graph import Box, Edge, Graph
from .loops import offsets

LONGEST = 56  # characters of a formula that still fits into a box
MOST = 24  # operations that a formula may be made of

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SUBSCRIPTS = str.maketrans("0123456789t+−", "₀₁₂₃₄₅₆₇₈₉ₜ₊₋")
INFIX = {"add": ("+", 0), "subtract": ("−", 0), "multiply": ("∘", 1), "divide": ("/", 1)}
FUNCTIONS = {"sigmoid": "σ", "negative": "−", "sqrt": "√", "square": "square"}
PLACES = ("transpose", "reshape", "expand_dims", "squeeze", "unstack", "getitem", "identity", "astype")
"""Operations that only look at a value in another way."""

Formula = Callable[[Graph, str], str]


def subscript(time: str) -> str:
    """Return a time as a subscript.

    >>> subscript("12"), subscript("t−1")
    ('₁₂', 'ₜ₋₁')
    """
    return time.translate(SUBSCRIPTS)


def value(box: Box, lag: int = 0) -> str:
    """Return how a value is written: its symbol, or label, at its time.

    >>> value(Box("rnn.h", "state", "tanh", symbol="h", time="t"), lag=1)
    'hₜ₋₁'
    """
    time = box.time
    if lag and time == "t":
        time = f"t{'−' if lag > 0 else '+'}{abs(lag)}"
    return (box.symbol or box.label) + subscript(time)


def name_values(graph: Graph) -> Graph:
    """Give values their symbols: states, their initial values, outputs, and weights by what they map.

    A weight from x to h is ``W_xh`` as in the lecture; one between values without symbols is called after its module.
    Rows must be known, see ``steps.name_rows``. Returns the graph without what initial values make superfluous.
    """
    for box in graph.boxes.values():
        if box.step is not None:
            box.time = str(box.step)
    _name_states(graph)
    _number_layers(graph)
    graph = _name_initial_states(graph)
    _name_outputs(graph)
    _name_cuts(graph)
    _name_weights(graph)
    return graph


def steps_between(graph: Graph, edge: Edge) -> int:
    """How many time steps an edge inside one loop crosses."""
    tail, head = graph.boxes[edge.tail], graph.boxes[edge.head]
    if tail.step is None or head.step is None or tail.loop != head.loop:
        return 0
    return head.step - tail.step


def _name_states(graph: Graph) -> None:
    """What one step hands to the next is a state. One without a name is h, or y if it is an output beside a state."""
    results = {
        (t.loop, t.row) for e in graph.edges if graph.boxes[e.head].kind == "output" and (t := graph.boxes[e.tail]).row
    }
    rows: dict[str | None, dict[str, Box]] = {}
    for edge in graph.edges:
        if edge.kind == "data" and steps_between(graph, edge):
            edge.kind, box = "state", graph.boxes[edge.tail]
            rows.setdefault(box.loop, {}).setdefault(box.row, box)
    names: dict[tuple[str | None, str], str] = {}
    for loop, states in rows.items():
        unnamed = [row for row, box in states.items() if not box.symbol]
        fed_back = [row for row in unnamed if (loop, row) in results] if len(states) > 1 else []
        hidden = [row for row in unnamed if row not in fed_back]
        names |= {(loop, row): "y" for row in fed_back}
        names |= {(loop, row): "h" + "′" * n for n, row in enumerate(hidden)}
    for box in graph.boxes.values():
        box.symbol = box.symbol or names.get((box.loop, box.row), "")


def _number_layers(graph: Graph) -> None:
    """Layers that run beside one another number their values: h⁽¹⁾, h⁽²⁾; those of a loop from the right end get ′."""
    shifts = offsets(graph)
    lags: dict[str | None, int] = {}
    for edge in graph.edges:
        if edge.kind == "state":
            lags.setdefault(graph.boxes[edge.tail].loop, steps_between(graph, edge))
    for shift in sorted(set(shifts.values())):
        beside = [loop for loop in shifts if shifts[loop] == shift and loop in lags]
        forward = [loop for loop in beside if lags[loop] > 0]
        layers = max(1, len(forward), len(beside) - len(forward))
        count = {True: 0, False: 0}
        for loop in beside:
            count[lags[loop] > 0] += 1
            number = f"⁽{str(count[lags[loop] > 0]).translate(SUPERSCRIPTS)}⁾" if layers > 1 else ""
            mark = number + "′" * (lags[loop] < 0 and bool(forward))
            for box in graph.boxes.values():
                if box.loop == loop and box.symbol and box.group is not None and box.kind == "operation":
                    box.symbol += mark


def _name_initial_states(graph: Graph) -> Graph:
    """What feeds a state's place in the first step is the state before it: h₀."""
    expected: dict[tuple[str | None, str, int], tuple[str, int]] = {}
    for edge in graph.edges:
        if edge.kind == "state":
            head, tail = graph.boxes[edge.head], graph.boxes[edge.tail]
            expected[head.loop, head.row, edge.slot] = tail.symbol, steps_between(graph, edge)
    inputs = graph.inputs()
    for edge in graph.edges:  # where there is one step only, weights such as W_hh tell
        head = graph.boxes[edge.head]
        if head.op == "matmul" and head.step is not None:
            expected.setdefault((head.loop, head.row, edge.slot), (_kept_by(graph, inputs, edge), 1))
    dropped: set[str] = set()
    for edge in graph.edges:
        head, tail = graph.boxes[edge.head], graph.boxes[edge.tail]
        known = expected.get((head.loop, head.row, edge.slot))
        if known is None or not known[0] or tail.kind in ("parameter", "cut"):
            continue
        if tail.kind == "state" or (tail.step is not None and tail.loop != head.loop):  # such as an encoder's last
            edge.kind = "state"
        if tail.step is not None:
            continue
        leaf, seen = tail, []
        while leaf.op in PLACES and len(inputs[leaf.id]) == 1:
            seen.append(leaf.id)
            leaf = graph.boxes[inputs[leaf.id][0].tail]
        symbol, lag = known
        if symbol == "y":  # what is read first is an input, unless the program has made it up
            if tail.kind == "constant":
                tail.symbol, tail.time = symbol, str((head.step or 0) - lag)
        elif leaf.kind in ("data", "constant"):
            tail.op, tail.params, tail.group = leaf.kind, "", None
            tail.kind = edge.kind = "state"
            tail.symbol, tail.time = symbol, str((head.step or 0) - lag)
            dropped.update(seen)
    return graph.without(edges=[e for e in graph.edges if e.head in dropped])


def _kept_by(graph: Graph, inputs: dict[str, list[Edge]], edge: Edge) -> str:
    """The state that a product's weight maps to itself, ``h`` if it is ``W_hh``; nothing for other weights."""
    for other in inputs[edge.head]:
        box = graph.boxes[other.tail]
        while box.op in PLACES and len(inputs[box.id]) == 1:
            box = graph.boxes[inputs[box.id][0].tail]
        if other.slot != edge.slot and box.kind == "parameter" and (found := re.match(r"W_(.)\1", box.symbol)):
            return found[1]
    return ""


def _name_outputs(graph: Graph) -> None:
    """The model's output is y, its loss L; what computes them is called so too if it has no name."""
    for edge in graph.edges:
        head, tail = graph.boxes[edge.head], graph.boxes[edge.tail]
        if head.kind in ("output", "loss"):
            head.symbol = tail.symbol or head.symbol or {"output": "y", "loss": "L"}[head.kind]
            tail.symbol = tail.symbol or head.symbol


def _name_cuts(graph: Graph) -> None:
    """A value behind a cut is the same value."""
    for edge in graph.edges:
        head, tail = graph.boxes[edge.head], graph.boxes[edge.tail]
        if head.kind == "cut":
            head.symbol, head.time = tail.symbol, tail.time


def _name_weights(graph: Graph) -> None:
    """Call ``weight`` and ``bias`` of a layer by the values between which they stand, or else by the layer."""
    plain = {b.id: b for b in graph.boxes.values() if b.kind == "parameter" and b.symbol in ("W", "b")}
    inputs, outputs = graph.inputs(), graph.outputs()
    ends: dict[str, set[str]] = {id: set() for id in plain}
    for id, box in plain.items():
        for use in _uses(graph, outputs, id):
            operation = graph.boxes[use.head]
            to = _first_symbol(graph, outputs, operation)
            source = ""
            if box.symbol == "W":
                source = next((graph.boxes[e.tail].symbol for e in inputs[operation.id] if e.slot != use.slot), "")
            short = len(to) == 1 and (box.symbol == "b" or len(source) == 1)
            ends[id].add(f"{box.symbol}_{source}{to}" if short else "")
    wanted = {id: names.copy().pop() if len(names) == 1 else "" for id, names in ends.items()}
    count = Counter(wanted.values())
    for id, box in plain.items():
        layer = box.name.rpartition(".")[0].rpartition(".")[2]
        unique = wanted[id] if wanted[id] and count[wanted[id]] == 1 else ""
        box.symbol = unique or (f"{box.symbol}_{layer}" if layer else box.symbol)
    _tell_apart([b for b in graph.boxes.values() if b.kind == "parameter"])


def _tell_apart(parameters: list[Box]) -> None:
    """Weights of one name, such as an encoder's and a decoder's ``W_hh``, say whose they are."""
    count = Counter(box.symbol for box in parameters)
    for box in parameters:
        if count[box.symbol] > 1:
            box.params = box.name.rpartition(".")[0]


def _uses(graph: Graph, outputs: dict[str, list[Edge]], id: str) -> list[Edge]:
    """The edges by which operations use a parameter, seen through transposes and reshapes."""
    found: list[Edge] = []
    waiting = list(outputs[id])
    while waiting:
        edge = waiting.pop()
        if graph.boxes[edge.head].op in PLACES:
            waiting += outputs[edge.head]
        else:
            found.append(edge)
    return found


def _first_symbol(graph: Graph, outputs: dict[str, list[Edge]], box: Box) -> str:
    """The symbol of the value that an operation's result becomes, as long as only one thing is made of it."""
    for _ in range(6):
        if box.symbol or len(outputs[box.id]) != 1:
            return box.symbol
        box = graph.boxes[outputs[box.id][0].head]
    return ""


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
            (id, e.index)
            for id in members
            for e in outputs[id]
            if e.head not in members or graph.boxes[e.head].kind == "output"
        }
        leaving |= {(id, None) for id in members if not outputs[id]}
        leaving = {(inputs[id][0].tail, None) if graph.boxes[id].kind == "cut" else (id, i) for id, i in leaving}
        found = {(id, i) for id, i in leaving if graph.boxes[id].kind not in ("output", "parameter")}
        if len(found) != 1:
            return ""
        box = graph.boxes[found.pop()[0]]
        if not box.symbol or not inputs[box.id]:
            return ""
        text = f"{value(box)} = {_Writer(graph, inputs, members).expression(box)[0]}"
        return text if len(text) <= LONGEST else ""

    return formula


class _Writer:
    """Writes the expression that a box computes, in terms of what lies outside ``members`` or has a symbol."""

    def __init__(self, graph: Graph, inputs: dict[str, list[Edge]], members: set[str]) -> None:
        self.graph, self.inputs, self.members = graph, inputs, members

    def operand(self, edge: Edge) -> tuple[str, int]:
        """The text of an input, and how tightly it binds: 0 a sum, 1 a product, 2 an application."""
        box = self.graph.boxes[edge.tail]
        if not box.symbol and self.inputs[box.id] and (box.id in self.members or box.op == "concatenate"):
            return self.expression(box)
        return value(box, edge.lag), 2

    def expression(self, box: Box) -> tuple[str, int]:
        """The text of what ``box`` computes, and how tightly it binds."""
        edges = self.inputs[box.id]
        if box.op == "matmul" and len(edges) == 2:
            left, right = edges
            other = self.graph.boxes[right.tail]
            if other.op == "transpose" and other.id in self.members and other.id in self.inputs:
                return f"{self._tight(self.inputs[other.id][0])} {self._tight(left)}", 2
            return f"{self._tight(left)} {self._tight(right)}", 2
        if box.op in INFIX:
            sign, binding = INFIX[box.op]
            by_slot = {e.slot: e for e in edges}
            (a, a_binds), (b, b_binds) = (
                self.operand(by_slot[slot]) if slot in by_slot else (f"{box.given.get(name, '…')}", 2)
                for slot, name in enumerate("xy")
            )
            a = f"({a})" if a_binds < binding else a
            strict = sign in "−/"
            return f"{a} {sign} {f'({b})' if b_binds < binding or (strict and b_binds == binding) else b}", binding
        if box.op == "transpose":
            return f"{self._tight(edges[0])}ᵀ", 2
        if box.op in PLACES or box.kind == "cut":
            return self.operand(edges[0])
        if box.op == "concatenate":
            return f"[{'; '.join(self.operand(e)[0] for e in edges)}]", 2
        name = FUNCTIONS.get(box.op, box.op)
        arguments = ", ".join(self.operand(e)[0] for e in edges)
        if box.params and len(edges) == 1:
            arguments = ", ".join(filter(None, (arguments, box.params)))
        return f"{name}({arguments})", 2

    def _tight(self, edge: Edge) -> str:
        text, binds = self.operand(edge)
        return text if binds == 2 else f"({text})"
