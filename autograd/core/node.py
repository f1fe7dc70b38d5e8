"""One recorded operation. The tape is nothing but these, each pointing upstream only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .scope import ROOT, Scope, next_seq

if TYPE_CHECKING:
    from .primitive import Primitive
    from .tensor import Tensor


class Node:
    """What the tape knows of one value: how it was made, from what, where and when.

    ``op`` is None for a leaf, which instead keeps its gradient in ``grad``. ``parents`` are the nodes of the inputs
    (None for a constant), ``saved`` the arrays that the rules name, ``params`` the parameters in the declared order. An
    operation with several outputs has tuples in ``shape`` and ``dtype``. After its graph was freed, ``parents`` is
    None.
    """

    __slots__ = ("dtype", "grad", "op", "params", "parents", "saved", "scope", "seq", "shape")

    op: Primitive | None
    parents: tuple[Node | None, ...] | None
    saved: tuple[Any, ...]
    params: tuple[Any, ...]
    shape: Any
    dtype: Any
    scope: Scope
    seq: float
    grad: Tensor | None

    def __repr__(self) -> str:
        where = self.scope.path
        return f"<{self.op.name if self.op else 'leaf'}{' in ' + where if where else ''} {self.shape}>"


def leaf(shape: tuple[int, ...], dtype: Any) -> Node:
    """Return the node of a value that gradients are wanted for and that no operation made."""
    node = Node()
    node.op, node.parents, node.saved, node.params = None, (), (), ()
    node.shape, node.dtype, node.scope, node.seq, node.grad = shape, dtype, ROOT, next_seq(), None
    return node
