"""From the tape to a graph: every recorded operation a box, every place of the program a group.

Everything is linear in the number of nodes and iterative. Names come from the program (``rnn.t2.tanh``), so that the
same program gives the same graph; a second box of one name in one place gets ``_2``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from ..core.node import PICK, Node
from ..core.tensor import Tensor
from ..core.trace import call_of
from ..errors import DTypeError, GraphError
from . import facts, nested
from .graph import Box, Edge, Graph
from .places import Path, Places, shared
from .sample import norm


def roots(outputs: Any) -> list[tuple[str, Tensor]]:
    """Return the tensors in ``outputs`` that have a graph, each once, with their names.

    Raises:
        DTypeError: if there is no tensor.
        GraphError: if none of them has a graph.
    """
    tensors = [(name, x) for name, x in nested.values(outputs, "y") if isinstance(x, Tensor)]
    if not tensors:
        raise DTypeError(f"draw: got {type(outputs).__name__} but a tensor is needed → give what was computed")
    found = {x.node: (name, x) for name, x in reversed(tensors) if x.node is not None}
    if not found:
        raise GraphError(
            f"draw: tensor of shape {tensors[0][1].shape} has no graph → compute it from a tensor with "
            "requires_grad=True, outside no_grad(), or draw the function and its inputs"
        )
    return list(found.values())[::-1]


def walk(nodes: Collection[Node]) -> list[Node]:
    """Return all nodes that these were computed from, also across cuts, the oldest first.

    Raises:
        GraphError: if the graph was freed.
    """
    seen = set(nodes)
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node.parents is None:
            raise GraphError(
                f"draw: the graph was freed by an earlier backward() at {node!r} "
                "→ draw before it, pass retain_graph=True there, or compute again"
            )
        call = call_of(node)
        for parent in (*node.parents, *call.cuts.values()) if call is not None and call.cuts else node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=lambda node: node.seq)


def read(
    outputs: Any,
    *,
    names: Mapping[Any, tuple[str, str]] | None = None,
    values: bool = False,
    gradients: Mapping[Node, Any] | None = None,
) -> Graph:
    """Return the full graph of what ``outputs`` were computed from: one box for each primitive operation.

    Operations with several outputs are one box; an edge says in ``index`` which output flows along it. What
    ``detach()`` cut off is there behind a box of kind ``cut`` if the run was traced, see ``trace.run``.

    Args:
        outputs: tensors, also inside lists, dictionaries, named tuples and data classes.
        names: for parameters their dotted name and symbol, by node.
        values: put the array that every box computed into its ``value``, if the run was traced.
        gradients: put these into the boxes' ``gradient``, and the norm of what flows back along it into every edge.

    Raises:
        DTypeError: if there is no tensor in ``outputs``.
        GraphError: if none of them has a graph, or the graph was freed.

    >>> import autograd
    >>> w = autograd.tensor([1.0, 2.0], requires_grad=True)
    >>> graph = read((w * w).sum(), names={w.node: ("w", "w")})
    >>> [(b.id, b.kind, b.label) for b in graph.boxes.values()]
    [('w', 'parameter', 'w'), ('multiply', 'operation', '×'), ('sum', 'operation', 'Σ'), ('loss', 'loss', 'loss')]
    """
    return _Reader(roots(outputs), names or {}, values, gradients or {}).run()


class _Constant:
    """An array that no node made: what it is, and which boxes it feeds."""

    __slots__ = ("box", "name", "path", "value")

    def __init__(self, value: Any, name: str) -> None:
        self.value, self.name = value, name
        self.path: Path | None = None
        self.box: Box | None = None

    @property
    def shape(self) -> Any:
        """Its shape, which may be all that is known."""
        return self.value if isinstance(self.value, tuple) else tuple(self.value.shape)


class _Reader:
    """Reads nodes into boxes and edges, the oldest first."""

    def __init__(
        self, outputs: list[tuple[str, Tensor]], names: Mapping[Any, Any], values: bool, gradients: Mapping[Node, Any]
    ) -> None:
        self.outputs, self.names, self.values, self.gradients = outputs, names, values, gradients
        self.nodes = walk([x.node for _, x in outputs if x.node is not None])
        made = [n for n in self.nodes if n.op is not None and n.op is not PICK]
        self.places = Places([n.scope for n in made])
        self.graph = Graph(groups=self.places.groups, name=self.places.model)
        self.box_of: dict[Node, Box] = {}
        self.users: dict[Node, Path] = {}  # of leaves: the places outside time steps that all users share
        self.constants: dict[Any, _Constant] = {}
        self.cuts: dict[Node, Box] = {}
        self.arrays: dict[Node, Any] = {x.node: x.data for _, x in outputs if x.node is not None}
        self.inputs = {node: self._look(node) for node in made}

    def run(self) -> Graph:
        for node in self.nodes:
            if node.op is None:
                self._leaf(node)
            elif node.op is not PICK:
                self._operation(node)
        for number, (name, tensor) in enumerate(self.outputs):
            self._output(number, name, tensor)
        for number, box in enumerate(self.graph.boxes.values()):
            box.seq = number
        return self.graph

    # --- what flows into an operation ---------------------------------------------------------------------------------

    def _look(self, node: Node) -> dict[int, Any]:
        """The constants of an operation by slot, numbers or boxes to be; on the way note who uses what."""
        assert node.parents is not None
        path = self.places.outside_time(node.scope)
        call = call_of(node)
        for parent in node.parents:
            if parent is not None and parent.op is None:
                self.users[parent] = shared(self.users.get(parent, path), path)
        if call is not None and self.values:
            self.arrays.setdefault(node, call.out)
            self.arrays.update((p, a) for p, a in zip(node.parents, call.inputs) if p is not None and p.op is None)
        if None not in node.parents:
            return {}
        found: dict[int, Any] = {}
        for slot, (parent, value) in enumerate(zip(node.parents, facts.input_values(node), strict=False)):
            if parent is not None or value is None or (call is not None and slot in call.cuts):
                continue
            if facts.is_number(value):
                found[slot] = value
            elif hasattr(value, "dtype") or isinstance(value, tuple):
                key = (node, slot) if isinstance(value, tuple) else id(value)
                constant = self.constants.get(key)
                if constant is None:
                    constant = self.constants[key] = _Constant(value, facts.constant_name(node, slot))
                constant.path = path if constant.path is None else shared(constant.path, path)
                found[slot] = constant
        return found

    # --- boxes --------------------------------------------------------------------------------------------------------

    def _add(self, box: Box, within: str, name: str) -> Box:
        """Take the box into the graph under a name of its own."""
        box.id = self.places.fresh(f"{within}.{name}" if within else name)
        self.graph.boxes[box.id] = box
        return box

    def _leaf(self, node: Node) -> None:
        symbol = self.places.symbol(node.scope)
        known = self.names.get(node)
        box = Box("", "data", symbol or "x", shape=node.shape, dtype=facts.type_name(node.dtype), symbol=symbol)
        if known is not None:
            self._make_parameter(box, known, self.users.get(node, ()))
        else:
            self._add(box, "", box.label)
        self._fill(box, node)
        self.box_of[node] = box

    def _make_parameter(self, box: Box, known: tuple[str, str], users: Path) -> None:
        box.kind, (box.name, symbol) = "parameter", known
        box.symbol = symbol or box.symbol
        box.label = box.symbol or box.name
        box.group = self.places.group(users)
        size = math.prod(box.shape)
        if box.name.rpartition(".")[2].startswith("bias"):
            box.biases = size
        else:
            box.weights = size
        self._add(box, "", box.name)

    def _constant(self, constant: _Constant) -> Box:
        if constant.box is not None:
            return constant.box
        value, path = constant.value, constant.path or ()
        box = constant.box = Box("", "constant", constant.name, shape=constant.shape)
        if hasattr(value, "dtype"):
            box.dtype = facts.type_name(value.dtype)
            box.value = value if self.values else None
        box.group = self.places.group(path)
        self._add(box, box.group or "", constant.name)
        return box

    def _operation(self, node: Node) -> None:
        op, parents = node.op, node.parents
        assert op is not None and parents is not None
        constants, call = self.inputs[node], call_of(node)
        numbers = {slot: c for slot, c in constants.items() if not isinstance(c, _Constant)}
        label, params, given = facts.describe(node, numbers)
        group, loop, step = self.places.of(node.scope)
        several = isinstance(node.dtype, tuple)
        box = Box(
            "", "operation", label, group, op=op.name, params=params, given=given, shape=node.shape,
            dtype=facts.type_name(node.dtype[0] if several else node.dtype), symbol=self.places.symbol(node.scope),
            loop=loop, step=step, line=self.places.line(node.scope),
        )  # fmt: skip
        sent = facts.flows(node, self.gradients[node]) if node in self.gradients else ()
        shapes: list[Any] = []
        ends: list[Edge] = []
        for slot, parent in enumerate(parents):
            constant = constants.get(slot)
            if parent is not None:
                edge = self._edge(parent, slot)
                if sent and sent[slot] is not None:
                    edge.norm, edge.back = norm(sent[slot]), sent[slot]
            elif call is not None and slot in call.cuts:
                source = call.cuts[slot]
                shape = tuple(call.inputs[slot].shape)  # a view of it may have another than the source
                edge = Edge(self._cut(source).id, "", slot, "cut", shape)
            elif isinstance(constant, _Constant):
                tail = self._constant(constant)
                edge = Edge(tail.id, "", slot, shape=tail.shape)
            else:
                shapes.append(() if constant is not None else None)
                continue
            shapes.append(edge.shape)
            ends.append(edge)
        box.multiply_adds = facts.multiply_adds(node, shapes)
        self._add(box, group or "", op.name)
        for edge in ends:
            edge.head = box.id
        self.graph.edges += ends
        self._fill(box, node)
        self.box_of[node] = box

    def _edge(self, parent: Node, slot: int) -> Edge:
        """The edge of a parent's value; of one output of several it begins at the operation that has them."""
        index, label = None, ""
        shape = parent.shape
        if parent.op is PICK:
            assert parent.parents is not None and parent.parents[0] is not None
            several, index, symbol = parent.parents[0], parent.params[0], self.places.symbol(parent.scope)
            outputs = several.op.contract.outputs  # type: ignore[union-attr]
            label = symbol or (outputs[index].name if len(outputs) > 1 else f"[{index}]")
            parent = several
        box = self.box_of[parent]
        return Edge(box.id, "", slot, "parameter" if box.kind == "parameter" else "data", shape, label, index=index)

    def _cut(self, source: Node) -> Box:
        """The box that marks where a value goes on as a constant: beside the one that made the value."""
        found = self.cuts.get(source)
        if found is None:
            edge = self._edge(source, 0)
            made = self.graph.boxes[edge.tail]
            found = self.cuts[source] = Box(
                "", "cut", "detach", made.group, op="detach", shape=source.shape, dtype=facts.type_name(source.dtype),
                loop=made.loop, step=made.step,
            )  # fmt: skip
            self._add(found, made.group or "", "detach")
            edge.head, edge.kind = found.id, "cut"
            self.graph.edges.append(edge)
            found.value = made.value if edge.index is None or made.value is None else made.value[edge.index]
        return found

    def _output(self, number: int, name: str, tensor: Tensor) -> None:
        node = tensor.node
        assert node is not None
        is_loss = len(self.outputs) == 1 and tensor.size == 1 and not tensor.shape
        symbol = self.places.symbol(node.scope)
        kind = "loss" if is_loss else "output"
        label = symbol or ("loss" if is_loss else name)
        box = Box("", kind, label, shape=node.shape, dtype=facts.type_name(node.dtype), symbol=symbol)
        edge = self._edge(node, 0)
        self._fill(box, node)
        self._add(box, "", f"{kind}.{number}" if number else kind)
        edge.head = box.id
        if box.gradient is not None:
            edge.norm = norm(box.gradient)
        self.graph.edges.append(edge)

    def _fill(self, box: Box, node: Node) -> None:
        """Give the box its array and gradient, if they are wanted; an operation with several outputs has several."""
        box.value = self.arrays.get(node) if self.values else None
        box.gradient = self.gradients.get(node)


__all__ = ["read", "roots", "walk"]
