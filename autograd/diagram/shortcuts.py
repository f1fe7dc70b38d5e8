"""What programs do only to undo it: values joined and taken apart again, packed and unpacked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .axes import element, only_selects, selected
from .graph import Edge, Graph


def unpacked(graph: Graph) -> Graph:
    """Return the graph with packing and unpacking, by one mask, as what it comes to: 0 where the mask does not hold."""
    inputs = graph.inputs()
    boxes, edges = dict(graph.boxes), {id(e): e for e in graph.edges}
    for box in graph.boxes.values():
        packed = graph.boxes[inputs[box.id][0].tail] if box.op == "scatter" and inputs[box.id] else None
        if packed is None or packed.op != "getitem" or not inputs[packed.id]:
            continue
        mask, same = box.given["index"], packed.given["index"]
        source = inputs[packed.id][0]
        fits = graph.boxes[source.tail].shape == box.shape
        if fits and str(getattr(mask, "dtype", "")) == "bool" and np.array_equal(mask, same):
            held = np.reshape(mask, (*mask.shape, *[1] * (len(box.shape) - mask.ndim)))
            boxes[box.id] = replace(box, op="where", label="where", params="else 0", given={"condition": held, "y": 0})
            into = inputs[box.id][0]
            edges[id(into)] = replace(source, head=box.id, slot=1, norm=into.norm, back=None)
    unpacked = graph.changed(boxes=boxes, edges=list(edges.values()))
    left = {edge.tail for edge in edges.values()}
    return unpacked.without(boxes=[e.tail for e in graph.edges if e.tail not in left])


def taken_as_made(graph: Graph) -> Graph:
    """Return the graph with what is taken out of joined values, such as the last layer's state, as what it was before.

    >>> from autograd import ones, stack
    >>> from autograd.diagram import tape, trace
    >>> graph = tape.read(trace.run(lambda a, b: stack([a, b])[-1] * 2, ones(1), ones(1)))
    >>> [box.op or box.label for box in graph.boxes.values()]
    ['a', 'b', 'stack', 'getitem', 'multiply', 'y']
    >>> [box.op or box.label for box in taken_as_made(graph).boxes.values()]
    ['b', 'multiply', 'y']
    """
    inputs = graph.inputs()
    parts: dict[str, tuple[int, list[Edge]]] = {}  # of joined values the axis, and the edge of each
    made: dict[tuple[str, int | None], Edge] = {}  # for what is taken out the edge of what it was
    for id, box in graph.boxes.items():
        if box.op == "stack":
            parts[id] = box.given.get("axis", 0) % len(box.shape), inputs[id]
        elif box.op in ("unstack", "getitem") and inputs[id] and inputs[id][0].tail in parts and not box.symbol:
            axis, edges = parts[inputs[id][0].tail]
            shape = graph.boxes[inputs[id][0].tail].shape
            if box.op == "unstack":
                if box.given.get("axis", 0) % len(shape) == axis:
                    made |= {(id, i): edge for i, edge in enumerate(edges)}
            elif (place := element(box.given["index"], shape)) is not None and place[0] == axis:
                made[id, None] = edges[place[1]]
            elif only_selects(box, len(shape), axis):
                parts[id] = axis, [edges[i] for i in selected(box.given["index"], shape)[axis][1]]
    edges = []
    for edge in graph.edges:
        origin = edge
        while (origin.tail, origin.index) in made:
            origin = made[origin.tail, origin.index]
        edges.append(replace(edge, tail=origin.tail, index=origin.index, label=origin.label))
    used = {edge.tail for edge in edges}
    return graph.changed(edges=edges).without(boxes={e.tail for e in graph.edges} - used)
