"""A function with other gradient rules for some of its operations, for this function only."""

from __future__ import annotations

import copy
import difflib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core.dispatch import build_pull, names_of
from ..core.node import Node, Op
from ..core.primitive import Primitive, Rule, registry
from ..core.scope import Scope, next_seq, state
from ..core.sweep import reachable
from ..core.tensor import Tensor
from ..core.trace import Trace, tracing
from ..errors import DomainError


def with_rules(f: Callable[..., Any], rules: Mapping[str, Mapping[str, Rule]]) -> Callable[..., Any]:
    """Return a function that gives what ``f`` gives, but whose gradients go back by other rules.

    ``f``'s composites run as they are defined, so that no kernel hides an operation; other graphs keep their rules.

    Args:
        f: any function of tensors, a module for example; it returns a tensor, or tuples, lists or dicts of them.
        rules: by operation and input a rule, as ``primitive`` takes it: ``g`` is the output's gradient, the other names
            are among those of the rule that it stands for, and parameters.

    Raises:
        DomainError: for an operation, input or name that is not there.

    The derivative of a step is 0 everywhere; the straight-through estimator takes 1 (Bengio et al. 2013,
    arXiv:1308.3432, sec. 4):

    >>> import autograd
    >>> step = with_rules(autograd.round, {"round": {"x": lambda g: g}})
    >>> autograd.grad(autograd.round)(0.7), autograd.grad(step)(0.7)
    (0.0, 1.0)
    """
    replaced: dict[Op | None, Primitive] = {
        _declared(name): _replaced(_declared(name), own) for name, own in rules.items()
    }

    @functools.wraps(f, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        since = next_seq()
        with tracing(_Unnoted()):
            out = f(*args, **kwargs)
        for node in reachable(set(_nodes(out)), since):
            if node.seq > since:
                node.op = replaced.get(node.op, node.op)
        return out

    return call


class _Unnoted(Trace):
    """Makes composites run as they are defined, and remembers nothing of the run."""

    def call(self, op: Any, args: tuple[Any, ...], out: Any, line: str) -> Scope:  # type: ignore[override]
        return state.path

    def cut(self, array: Any, node: Node) -> None:
        pass


def _declared(name: str) -> Primitive:
    if name not in registry:
        near = difflib.get_close_matches(name, registry) or "an operation that is no composite"
        raise DomainError(f"with_rules: no primitive is called {name!r}, expected {near}")
    return registry[name]


def _replaced(op: Primitive, rules: Mapping[str, Rule]) -> Primitive:
    """The operation with other rules; what its nodes save stays the same."""
    names = {x: rule.names if hasattr(rule, "names") else names_of(rule, skip=1) for x, rule in rules.items()}
    for x, wanted in names.items():
        known = {*op.rule_names.get(x, ()), *op.params}
        if x not in op.rules or not known.issuperset(wanted):
            raise DomainError(
                f"with_rules: {op.name}'s rule for {x!r} takes {wanted}, but its inputs with rules are {list(op.rules)}"
                f" and for this one {sorted(known)} are kept → name these only"
            )
    other = copy.copy(op)
    other.rules, other.rule_names = op.rules | dict(rules), op.rule_names | names
    other.deriv = {x: deriv for x, deriv in op.deriv.items() if x not in rules}
    other.pull = build_pull(other)
    return other


def _nodes(values: Any) -> Iterator[Node]:
    if isinstance(values, Tensor):
        if values.node is not None:
            yield values.node
    elif isinstance(values, (tuple, list, Mapping)):
        for value in values.values() if isinstance(values, Mapping) else values:
            yield from _nodes(value)
