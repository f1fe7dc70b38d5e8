"""Nested graphs drawn by Hypothesis: groups in groups, time steps, shared weights, operations with several outputs."""

from typing import Any

from hypothesis import strategies as st

import nn
from autograd.diagram import tape, trace
from autograd.diagram.graph import Box, Edge, Graph, Group


def recorded(model: nn.Module, *inputs: Any) -> Graph:
    """The full graph of a model's run."""
    names = {p.node: (name, "b" if name.endswith("bias") else "W") for name, p in model.named_parameters()}
    return tape.read(trace.run(model, *inputs), names=names)


@st.composite
def graphs(draw: st.DrawFn, most: int = 30) -> Graph:
    """A graph as the tape gives one: parameters and inputs at first, then a nested program, then the outputs."""
    graph = Graph()
    integers = st.integers(0, 10**6)

    def add(box: Box) -> Box:
        box.seq = len(graph.boxes)
        return graph.boxes.setdefault(box.id, box)

    add(Box("x", "data", "x", shape=(2,)))
    values = [("x", None)]
    weights: list[str] = []
    path: list[Group] = []
    actions = st.sampled_from(["open", "open", "close", "box", "box", "box", "weight"])
    for count, action in enumerate(draw(st.lists(actions, max_size=most)), 1):
        group = path[-1].id if path else None
        if action == "open" and len(path) < 4:
            step = count if draw(st.integers(0, 5)) == 0 and not any(g.step for g in path) else None
            kind = draw(st.sampled_from(["", "Linear", "Block"])) if step is None else ""
            id = f"{group or ''}.g{count}"
            path.append(graph.groups.setdefault(id, Group(id, f"g{count}", group, kind, step)))
        elif action == "close" and path:
            path.pop()
        elif action == "weight":
            kind = draw(st.sampled_from(["parameter", "constant"]))
            size = draw(st.integers(1, 9)) if kind == "parameter" else 0
            box = add(Box(f"w{count}", kind, "w", group, shape=(3,), weights=size))
            weights.append(box.id)
        elif action == "box":
            step = next((g for g in path if g.step), None)
            several = draw(st.integers(0, 4)) == 0
            box = Box(
                f"{group or ''}.op{count}", "operation", "op", group, op="op", shape=(2,),
                multiply_adds=draw(st.integers(0, 99)), loop=step and step.parent, step=step and step.step,
            )  # fmt: skip
            for slot, number in enumerate(draw(st.lists(integers, min_size=1, max_size=3))):
                tail, index = values[-1 - number % min(len(values), 6)]
                other = graph.boxes[tail].step
                kind = "data" if other is None or box.step is None or other == box.step else "state"
                graph.edges.append(
                    Edge(tail, box.id, slot, kind, (2,), index=index, norm=draw(st.none() | st.just(3.0)))
                )
            if weights and draw(st.booleans()):
                tail = weights[draw(integers) % len(weights)]
                kind = "parameter" if graph.boxes[tail].kind == "parameter" else "data"
                graph.edges.append(Edge(tail, box.id, 3, kind, (3,)))
            add(box)
            values += [(box.id, 0), (box.id, 1)] if several else [(box.id, None)]
    used = {(e.tail, e.index) for e in graph.edges}
    for id in {*weights} - {tail for tail, _ in used}:
        del graph.boxes[id]
    for tail, index in values:
        if (tail, index) not in used and tail != "x":
            out = add(Box(f"output.{len(graph.boxes)}", "output", "y", shape=(2,)))
            graph.edges.append(Edge(tail, out.id, 0, shape=(2,), index=index))
    return graph


def totals(graph: Graph) -> tuple[int, int, int]:
    """How many weights, biases and multiply-adds there are."""
    boxes = graph.boxes.values()
    return sum(b.weights for b in boxes), sum(b.biases for b in boxes), sum(b.multiply_adds for b in boxes)
