"""One recorded operation. The tape is nothing but these, each pointing upstream only."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from .scope import ROOT, Scope, next_seq

if TYPE_CHECKING:
    from .contract import Contract
    from .tensor import Tensor


class Op:
    """What made a node, as far as sweeps, messages and diagrams ask.

    Primitives, composites with a kernel, checkpoints and the picking of one output are such. ``pull(g, parents, saved,
    params)`` gives the gradients of the inputs; ``saved_names`` says what a node saves, ``params`` which parameters it
    keeps.
    """

    name: str
    label: str
    contract: Contract
    params: Collection[str]
    saved_names: tuple[str, ...]
    pull: Callable[..., Any]

    def lift(self, node: Node, wrap: Callable[[Any, Any], Any]) -> tuple[Any, ...]:
        """Return what ``node`` saved, every array made a tensor by ``wrap(array, its node)``."""
        return node.saved


class Node:
    """What the tape knows of one value: how it was made, from what, where and when.

    ``op`` is None for a leaf, which instead keeps its gradient in ``grad``. ``parents`` are the nodes of the inputs
    (None for a constant), ``saved`` the arrays that the rules name, ``params`` the parameters in the declared order. An
    operation with several outputs has tuples in ``shape`` and ``dtype``. After its graph was freed, ``parents`` is
    None.
    """

    __slots__ = ("dtype", "grad", "op", "params", "parents", "saved", "scope", "seq", "shape")

    op: Op | None
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


def recorded(op: Op, parents: Any, saved: Any, params: Any, out: Any, scope: Scope, seq: float | None = None) -> Node:
    """Return the node of a result, an array or a tuple of them. Dispatchers have these lines written out."""
    node = Node()
    node.op, node.parents, node.saved, node.params = op, parents, saved, params
    several = isinstance(out, tuple)
    node.shape = tuple([o.shape for o in out]) if several else out.shape
    node.dtype = tuple([o.dtype for o in out]) if several else out.dtype
    node.scope, node.seq = scope, next_seq() if seq is None else seq
    return node


class Pick(Op):
    """The pseudo-operation that takes one output of an operation with several; the sweep gathers its gradients."""

    name, label = "pick", ""
    params, saved_names = ("index",), ()


PICK = Pick()


def picked(several: Node, index: int, out: Any, seq: float | None = None) -> Node | None:
    """Return the node of one output of an operation with several, or None if it has no gradient."""
    return recorded(PICK, (several,), (), (index,), out, several.scope, seq) if out.dtype.kind == "f" else None


def leaf(shape: tuple[int, ...], dtype: Any) -> Node:
    """Return the node of a value that gradients are wanted for and that no operation made."""
    node = Node()
    node.op, node.parents, node.saved, node.params = None, (), (), ()
    node.shape, node.dtype, node.scope, node.seq, node.grad = shape, dtype, ROOT, next_seq(), None
    return node
