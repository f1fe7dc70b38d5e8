"""Mutants of declared operations: every gradient rule corrupted in every way in which rules are known to go wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import autograd
from autograd import composites, primitive, registry
from autograd.core.dispatch import build_dispatcher, build_pull
from autograd.core.primitive import Primitive

from . import source

DECLARED = {**registry, **composites}.items()
OPS = {name: op for name, op in DECLARED if op.call.__module__.startswith("autograd.") and "_example" not in name}


@dataclass(frozen=True)
class Mutant:
    """One corruption: of which operation and input, in words; ``put`` makes it, and is undone afterwards."""

    op: str
    input: str
    words: str
    put: Callable[[Any], None] = field(repr=False)

    @property
    def kind(self) -> str:
        return self.words.partition(":")[0]

    def __str__(self) -> str:
        return f"{self.op}.{self.input} {self.words}"

    @contextmanager
    def installed(self) -> Iterator[Any]:
        """The operation with its mistake, everywhere where it is used."""
        op = OPS[self.op]
        kept = dict(vars(op))
        before = (op.call.__code__, dict(op.call.__globals__)) if isinstance(op, Primitive) else None
        op.__dict__.update({n: dict(kept[n]) for n in ("rules", "rule_names", "deriv") if n in kept})
        op.__dict__.pop("replay", None)
        try:
            self.put(op)
            yield op
        finally:
            op.__dict__.clear()
            op.__dict__.update(kept)
            if before is not None:
                op.call.__code__ = before[0]
                op.call.__globals__.update(before[1])


def mutants_of(name: str) -> Iterator[Mutant]:
    """All mutants of one operation."""
    op = OPS[name]
    if not isinstance(op, Primitive):
        for x, (words, change) in itertools.product(op.inputs, CORRUPTIONS.items()):
            if not isinstance(op.domain.get(x), str) or op.domain[x].split()[0] not in ("index", "bool"):
                yield Mutant(name, x, words, _at_input(op.inputs.index(x), change))
        return
    for x in op.rules:
        yield Mutant(name, x, "missing rule", _without(x))
        for words, change in CORRUPTIONS.items():
            yield Mutant(name, x, words, _of_result(x, change))
        if len(op.contract.inputs) > 1 and "..." in (_dims(op, x) or ()):
            yield Mutant(name, x, "missing un-broadcast", _unsummed(x))
        for words, names in other_names(op, x):
            yield Mutant(name, x, words, _reading(x, names))
        rule = op.deriv.get(x, op.rules[x])
        if callable(rule):
            for words, changed in source.mutants(rule):
                yield Mutant(name, x, words, _written(x, changed))


def _dims(op: Any, x: str) -> Any:
    return next(o.dims for o in op.contract.inputs if o.name == x)


# --- of what a rule returns -------------------------------------------------------------------------------------------


def _transposed(g: Any) -> Any:
    return g.swapaxes(-1, -2).reshape(g.shape) if len(g.shape) > 1 else g[::-1] if len(g.shape) == 1 else g * 3


def _rolled(g: Any) -> Any:
    return autograd.roll(g, 1) if g.size > 1 else g * 3


CORRUPTIONS: dict[str, Callable[[Any], Any]] = {
    "zero": lambda g: g * 0,
    "sign": lambda g: -g,
    "factor 2": lambda g: g * 2,
    "transposed": _transposed,
    "off by one: elements rolled by one": _rolled,
}


def _of_result(x: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Change what the rule of ``x`` returns, in the reverse mode and in the forward mode that is made of it."""

    def put(op: Any) -> None:
        pull = op.pull
        op.deriv.pop(x, None)
        op.linear_in = tuple(n for n in op.linear_in if n != x)
        at = [o.name for o in op.contract.inputs].index(x)

        def corrupted(g: Any, parents: Any, saved: Any, params: Any) -> Any:
            found = list(pull(g, parents, saved, params))
            places = range(len(found)) if op.contract.variadic else (at,)
            return tuple(change(gx) if i in places and gx is not None else gx for i, gx in enumerate(found))

        op.pull = corrupted

    return put


def _unsummed(x: str) -> Callable[[Any], None]:
    """Where the input was broadcast, take the first of the gradients instead of their sum."""

    def put(op: Any) -> None:
        pull, at = op.pull, [o.name for o in op.contract.inputs].index(x)

        def corrupted(g: Any, parents: Any, saved: Any, params: Any) -> Any:
            found = list(pull(g, parents, saved, params))
            gx, shape = found[at], parents[at].shape if parents[at] is not None else ()
            if gx is not None and gx.shape != shape:
                lead = len(gx.shape) - len(shape)
                axes = [slice(0, 1) if n == 1 else slice(None) for n in shape]
                found[at] = gx[(*[0] * lead, *axes)].reshape(shape)
            return tuple(found)

        op.pull = corrupted

    return put


# --- of what a rule reads ---------------------------------------------------------------------------------------------


def other_names(op: Any, x: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What the rule might have been given instead: two of its values exchanged, or another value in place of one."""
    names = op.rule_names[x]
    for i, (a, b) in enumerate(itertools.pairwise(names)):
        yield f"swapped saved names: {a} and {b}", (*names[:i], b, a, *names[i + 2 :])
    inputs = [o.name for o in op.contract.inputs]
    results = list(op.output_index) or ["out"]
    for i, name in enumerate(names):
        if name in op.params:
            continue
        if name.endswith("_shape"):
            others = [f"{n}_shape" for n in inputs]
        else:
            others = inputs + ([] if op.contract.variadic else results)
        for other in others:
            if other not in names:
                yield f"wrong saved value: {other} instead of {name}", (*names[:i], other, *names[i + 1 :])


def _reading(x: str, names: tuple[str, ...]) -> Callable[[Any], None]:
    def put(op: Any) -> None:
        op.rule_names[x] = names
        _rebuild(op)

    return put


def _written(x: str, rule: Callable[..., Any]) -> Callable[[Any], None]:
    def put(op: Any) -> None:
        (op.deriv if x in op.deriv else op.rules)[x] = rule
        op.served = {}  # kernels stand in for the rule as it was
        _rebuild(op)

    return put


def _without(x: str) -> Callable[[Any], None]:
    def put(op: Any) -> None:
        for table in (op.rules, op.rule_names, op.deriv):
            table.pop(x, None)
        _rebuild(op)

    return put


def _rebuild(op: Any) -> None:
    """Compile the dispatcher and the rules' caller anew; the function stays, as others have imported it."""
    op.saved_names = tuple(dict.fromkeys(n for names in op.rule_names.values() for n in names if n not in op.params))
    op.pull = build_pull(op)
    fresh = build_dispatcher(op)
    op.call.__code__ = fresh.__code__  # type: ignore[attr-defined]
    op.call.__globals__.update(fresh.__globals__)


# --- of composites ----------------------------------------------------------------------------------------------------


def _of_g(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda g: change(g)


_SPOILERS = {
    words: primitive(f"spoiler{i}_example", "x", forward=lambda x: x.copy(), doc="x itself.", vjp={"x": _of_g(change)})
    for i, (words, change) in enumerate(CORRUPTIONS.items())
}


def _at_input(i: int, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A composite has no rule: an input goes through an identity whose gradient is corrupted."""
    spoil = _SPOILERS[next(w for w, c in CORRUPTIONS.items() if c is change)]

    def put(op: Any) -> None:
        call = op.call

        def spoiled(*args: Any, **params: Any) -> Any:
            return call(*[spoil(a) if k == i and a is not None else a for k, a in enumerate(args)], **params)

        op.call = spoiled

    return put
