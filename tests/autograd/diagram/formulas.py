"""Computes what a drawing says, its formulas and its edges, so that tests can hold it against what the program did."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from autograd import registry
from autograd.diagram.drawing import Drawing
from autograd.diagram.graph import Box, Graph
from autograd.diagram.words import subscript, value

FUNCTIONS = {
    "tanh": np.tanh, "relu": lambda v: np.maximum(v, 0), "σ": lambda v: 1 / (1 + np.exp(-v)), "√": np.sqrt,
    "−": np.negative,
}  # fmt: skip
OPERATIONS = {"+": np.add, "−": np.subtract, "∘": np.multiply, "/": np.divide}
Known = dict[str, list[np.ndarray]]  # for every name the values that go by it


def known(drawing: Drawing) -> Known:
    """All values of a drawing with values, and its weights, by their names."""
    found: Known = {}
    for box in drawing.full.boxes.values():
        if box.symbol and box.value is not None and not isinstance(box.value, (tuple, list)):
            values, new = found.setdefault(value(box), []), np.asarray(box.value)
            values += [] if any(np.array_equal(new, v) for v in values) else [new]
    return found


def said(text: str, names: Known) -> Iterator[np.ndarray]:
    """What a formula may mean: everything that its right side can be, where names are not the only ones of their kind.

    Raises: ``ValueError`` for a name that nothing goes by.
    """
    reader = _Reader(text, names)
    yield from reader.sum()
    if reader.rest:
        raise ValueError(f"{reader.rest!r} is left of {text!r}")


def is_true(formula: str, results: list[np.ndarray], names: Known) -> bool:
    """Whether one of the results is what the formula says."""
    wanted = [r.ravel() for r in results]
    return any(
        got.size == w.size and np.allclose(got.ravel(), w, rtol=1e-4, atol=1e-5)
        for got in said(formula.partition(" = ")[2], names)
        for w in wanted
    )


def results(drawing: Drawing, box: Box, name: str) -> list[np.ndarray]:
    """The values called ``name`` that a closed box computes."""
    full = drawing.full
    inside = (b for b in full.boxes.values() if box.id in (b.id, *[g.id for g in full.path(b.group)]))
    return [np.asarray(b.value) for b in inside if value(b) == name and b.value is not None]


def at(text: str, t: int) -> str:
    """A folded view's formula at one time step."""
    for word, lag in (("t−1", 1), ("t+1", -1), ("t", 0)):
        text = text.replace(subscript(word), subscript(str(t - lag)))
    return text


class _Reader:
    """Sums of products of applications, from left to right; ``W x`` applies a matrix to the rows of a batch."""

    def __init__(self, text: str, names: Known) -> None:
        self.rest, self.names = text, names

    def take(self, pattern: str) -> str:
        found = re.match(pattern, self.rest)
        self.rest = self.rest[found.end() :] if found else self.rest
        return found[0] if found else ""

    def chain(self, operand: Any, signs: str) -> list[np.ndarray]:
        values = operand()
        while sign := self.take(rf" [{signs}] ").strip():
            values = [OPERATIONS[sign](a, b) for a, b in itertools.product(values, operand()) if fit(a, b)]
        return values

    def sum(self) -> list[np.ndarray]:
        return self.chain(self.product, "+−")

    def product(self) -> list[np.ndarray]:
        return self.chain(self.application, "∘/")

    def application(self) -> list[np.ndarray]:
        factors = [self.factor()]
        while re.match(r" [^+−∘/ ]", self.rest):
            self.rest = self.rest[1:]
            factors.append(self.factor())
        values = factors.pop()
        while factors:
            values = [p for a, b in itertools.product(factors.pop(), values) for p in products(a, b)]
        return values

    def list(self, end: str, separator: str) -> list[tuple[np.ndarray, ...]]:
        parts = [self.sum()]
        while self.take(separator):
            parts.append(self.sum())
        if not self.take(end):
            raise ValueError(f"{self.rest!r} does not end its list")
        return list(itertools.product(*parts))

    def factor(self) -> list[np.ndarray]:
        if number := self.take(r"[0-9][0-9.e−]*"):
            return [np.array(float(number.replace("−", "-")))]
        if self.take(r"\("):
            return [v for (v,) in self.list(r"\)", ", ")]
        if self.take(r"\["):
            return [np.concatenate(parts, -1) for parts in self.list(r"\]", "; ")]
        if function := self.take(r"[^\W\d_]+(?=\()|[√−](?=\()"):
            self.take(r"\(")
            return [FUNCTIONS[function](*parts) for parts in self.list(r"\)", ", ")]
        name = max((n for n in self.names if self.rest.startswith(n)), key=len, default="")
        if not name:
            raise ValueError(f"nothing is called as {self.rest!r} begins")
        self.rest = self.rest[len(name) :]
        return self.names[name]


def fit(a: np.ndarray, b: np.ndarray) -> bool:
    try:
        return bool(np.broadcast_shapes(a.shape, b.shape) or True)
    except ValueError:
        return False


def products(a: np.ndarray, b: np.ndarray) -> Iterator[np.ndarray]:
    """A matrix applied to a batch's rows; or a product as the program wrote it."""
    for left, right in ((b, np.swapaxes(a, -1, -2) if a.ndim > 1 else a), (a, b)):
        if left.ndim and right.ndim and left.shape[-1] == right.shape[-2 if right.ndim > 1 else 0]:
            yield left @ right


def assert_computed(graph: Graph) -> None:
    """Check that every operation of a graph with values makes its value of those along its edges."""
    inputs = graph.inputs()
    for box in graph.boxes.values():
        if box.kind != "operation" or isinstance(box.value, tuple):
            continue
        values = {e.slot: graph.boxes[e.tail].value for e in inputs[box.id]}
        values |= {e.slot: values[e.slot][e.index] for e in inputs[box.id] if e.index is not None}
        op = registry[box.op]
        params = {name: value for name, value in box.given.items() if name in op.params}
        if op.contract.variadic:
            found = op.call(list(values.values()), **params)
        else:
            names = [operand.name for operand in op.contract.inputs]
            found = op.call(*[values.get(slot, box.given.get(n)) for slot, n in enumerate(names)], **params)
        assert found.shape == box.shape == box.value.shape, box
        np.testing.assert_allclose(found, box.value, rtol=1e-5, atol=1e-6, err_msg=box.id)
