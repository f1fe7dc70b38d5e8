"""Graphs made by hand for the tests of what prints them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from autograd.diagram.graph import Box, Edge, Graph, Group, Sample

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def below(number: int) -> str:
    return str(number).translate(SUBSCRIPTS)


def textbook(steps: int = 3) -> Graph:
    """The unfolded recurrent network of every textbook: 13 boxes for three steps."""
    boxes = [
        Box("W_xh", "parameter", "W_xh", shape=(8, 4), weights=32),
        Box("W_hh", "parameter", "W_hh", shape=(8, 8), weights=64),
        Box("W_hy", "parameter", "W_hy", shape=(4, 8), weights=32),
        Box("h_0", "constant", "h₀", shape=(1, 8)),
    ]
    edges = []
    for t in range(1, steps + 1):
        n, before = below(t), below(t - 1)
        boxes += [
            Box(f"x_{t}", "data", f"x{n}", shape=(1, 4), column=t, row="x"),
            Box(f"h_{t}", "state", f"h{n}", shape=(1, 8), column=t, row="h"),
            Box(f"y_{t}", "output", f"y{n}", shape=(1, 4), column=t, row="y"),
        ]
        boxes[-2].formula = f"h{n} = tanh(W_hh h{before} + W_xh x{n})"
        boxes[-1].formula = f"y{n} = W_hy h{n}"
        edges += [
            Edge("W_hh", f"h_{t}", 0, "parameter"),
            Edge(f"h_{t - 1}", f"h_{t}", 1, "state"),
            Edge("W_xh", f"h_{t}", 2, "parameter"),
            Edge(f"x_{t}", f"h_{t}", 3),
            Edge("W_hy", f"y_{t}", 0, "parameter"),
            Edge(f"h_{t}", f"y_{t}", 1),
        ]
    columns = {t: f"t = {t}" for t in range(1, steps + 1)}
    return Graph({b.id: b for b in boxes}, edges, columns=columns, title="Recurrent network: many to many")


def convolutional() -> Graph:
    """A small network in nested groups, with a picture in a box, a repeated group, a cut, gradients and a loss."""
    ramp = tuple(tuple(i * j / 9 for i in range(4)) for j in range(4))
    boxes = [
        Box("x", "data", "x", shape=(1, 1, 8, 8)),
        Box("conv", "module", "conv1", "features", op="Conv2d", params="1 → 6, 5×5", weights=150, biases=6),
        Box("relu", "operation", "relu", "features.block", multiply_adds=2_000_000),
        Box("loss", "loss", "cross entropy", shape=()),
        Box("cut", "cut", "detach"),
    ]
    boxes[1].value = Sample(0.0, 1.0, 0.25, 0.5, 3.0, ramp)
    boxes[1].gradient = Sample(-1.0, 1.0, 0.0, 0.5, 3.0, ramp, bad=2)
    edges = [
        Edge("x", "conv", shape=(1, 1, 8, 8), norm=0.0),
        Edge("conv", "relu", shape=(1, 6, 4, 4), norm=1e-3),
        Edge("relu", "loss", shape=(1, 6, 4, 4), norm=1.0),
        Edge("conv", "cut", kind="cut", shape=(1, 6, 4, 4)),
    ]
    groups = [Group("features", "features", kind="Sequential"), Group("features.block", "block", "features", times=3)]
    return Graph({b.id: b for b in boxes}, edges, {g.id: g for g in groups}, title="LeNet", notes=["by hand"])


@st.composite
def unfolded(draw: Any) -> Graph:
    """Columns with some rows missing, nested groups, states forwards and backwards, boxes on both sides."""
    steps, height = draw(st.integers(1, 12)), draw(st.integers(1, 10))
    graph = Graph(columns={t: f"t = {t}" for t in range(1, steps + 1)})
    grouped = draw(st.integers(0, height))  # the rows below it lie in a group
    split = draw(st.integers(1, steps))  # from here on the rows are another segment's: encoder, decoder
    graph.groups["rnn"] = Group("rnn", "rnn", kind="RNN")
    for t in range(1, steps + 1):
        graph.groups[f"t{t}"] = Group(f"t{t}", "t", "rnn", step=t, column=t)
        graph.groups[f"cell{t}"] = Group(f"cell{t}", "cell", f"t{t}", column=t)
        present = draw(st.sets(st.integers(0, height - 1), min_size=1))
        for r in sorted(present):
            group = None if r >= grouped else f"cell{t}" if r % 2 else f"t{t}"
            row = f"row{r}" if t <= split else f"decoder{r}"
            box = Box(f"b{t}.{r}", draw(st.sampled_from(["data", "state", "operation", "output"])), f"b_{t}", group)
            box.column, box.row, box.shape = t, row, (2, 8)
            graph.boxes[box.id] = box
    inside = list(graph.boxes)
    for n in range(draw(st.integers(0, 4))):
        graph.boxes[f"W{n}"] = Box(f"W{n}", draw(st.sampled_from(["parameter", "constant"])), f"W_{n}")
        uses = draw(st.lists(st.sampled_from(inside), unique=True, max_size=len(inside)))
        graph.edges += [Edge(f"W{n}", id, 9, "parameter") for id in uses]
    pairs = st.tuples(st.sampled_from(inside), st.sampled_from(inside))
    for tail, head in draw(st.lists(pairs, max_size=3 * steps, unique=True)):
        a, b = graph.boxes[tail], graph.boxes[head]
        if (a.column, a.row) != (b.column, b.row) and (a.column != b.column or int(tail[-1]) < int(head[-1])):
            kind = "data" if a.column == b.column else "state"
            norm, label = draw(st.sampled_from([None, 0.0, 0.5, 1.0])), draw(st.sampled_from(["", "", "h"]))
            graph.edges.append(Edge(tail, head, 0, kind, label=label, norm=norm))
    if draw(st.booleans()):
        graph.boxes["loss"] = Box("loss", "loss", "loss")
        graph.edges += [Edge(id, "loss") for id in inside if graph.boxes[id].kind == "output"]
    return graph


def boxes_in(drawn: bytes) -> dict[str, tuple[float, float, float, float]]:
    """Each node's left, bottom, right and top in points, from Graphviz's JSON."""
    found = {}
    for item in json.loads(drawn)["objects"]:
        if "pos" in item:
            x, y = map(float, item["pos"].split(","))
            w, h = 36 * float(item["width"]), 36 * float(item["height"])
            found[item["name"]] = (x - w, y - h, x + w, y + h)
    return found
