"""Follows, along the tape, what the values of a network have seen and through how many layers they came."""

from __future__ import annotations

from typing import Any, NamedTuple

from autograd import Tensor
from nn.measure import Field, receptive_field
from nn.module import Module


class Seen(NamedTuple):
    """What a value sees (None if unknown), and the longest way to it, in layers with weights."""

    field: Field | None
    depth: int


class Flow:
    """Begins at the inputs; modules tell what they add, and operations between them are followed on the tape."""

    def __init__(self, inputs: list[Any]) -> None:
        self.known: dict[Any, Seen | None] = {}  # by node; None for parameters
        for x in inputs:
            if isinstance(x, Tensor) and x.node is not None:
                ones = (1,) * (x.ndim - 2)
                self.known[x.node] = Seen(Field(ones, ones, (0,) * len(ones)) if ones else None, 0)

    def through(self, module: Module, x: Tensor, out: Tensor, leaf: bool, weighs: bool) -> Seen:
        """Note and return what a module's output has seen; `weighs` says whether the module has weights of its own."""
        if out.node not in self.known:  # a container's output is its last layer's
            before, seen = self.seen(x).field, self.seen(out)
            fits = leaf and before is not None and x.ndim == len(before.size) + 2
            field = receptive_field(module, before) if fits and before is not None else None
            self.known[out.node] = Seen(field or seen.field, seen.depth + weighs)
        return self.seen(out)

    def seen(self, x: Tensor) -> Seen:
        """What a tensor has seen: known, or followed up to what is known."""
        ahead = [x.node] if x.node is not None else []
        while ahead:
            node = ahead[-1]
            waiting = [p for p in node.parents or () if p is not None and p not in self.known]
            if node in self.known:
                ahead.pop()
            elif waiting:
                ahead += waiting
            else:
                self.known[node] = self._after(node)
        return self.known.get(x.node) or Seen(None, 0)

    def _after(self, node: Any) -> Seen | None:
        """What the output of an operation has seen, if its inputs are known; None if it depends on no input."""
        sources = [(p, seen) for p in node.parents or () if p is not None and (seen := self.known[p])]
        if node.op is None or not sources:
            return None
        field = sources[0][1].field if _works_place_by_place(node) else None
        for parent, seen in sources:
            same_places = node.shape[2:] == parent.shape[2:]
            field = field.union(seen.field) if field and seen.field and same_places else None
        return Seen(field, max(seen.depth for _, seen in sources))


def _works_place_by_place(node: Any) -> bool:
    """Whether an operation is elementwise, or mixes or picks channels only."""
    params = dict(zip(node.op.params, node.params))
    if "index" in params:
        return isinstance(params["index"], tuple) and len(params["index"]) <= 2
    if "axis" in params:
        return bool(params["axis"] == 1)
    return bool(node.op.contract.text.endswith("-> ..."))
