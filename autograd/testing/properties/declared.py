"""A declared operation at a drawn point, the register of properties, and how one is checked."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from ... import random
from ...core.primitive import Primitive
from ...core.sweep import gradients
from ...core.tensor import Tensor
from ...errors import AutogradError
from .. import samples
from ..diagnosis.reproduce import literal

TRIES = 5  # draws until the oracle can judge: a point may lie at an undeclared kink of a composite


class InconclusiveError(AssertionError):
    """The oracle cannot judge at this point: another one may do."""


class BrokenError(AssertionError):
    """A property does not hold: where, and the error that shows it, which is put into words when it is printed."""

    def __str__(self) -> str:
        where, error = self.args
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        return f"{where}: {kind}{error}"


@dataclass(frozen=True)
class Example:
    """An operation at a point: ``f`` takes the inputs in which it declares a gradient, the others are filled in."""

    op: Any
    sample: samples.Sample
    moving: tuple[int, ...]

    @property
    def points(self) -> list[np.ndarray]:
        """The inputs in which the operation declares a gradient."""
        return [self.sample.inputs[i] for i in self.moving]

    @property
    def shapes(self) -> list[Any]:
        """The shapes of all inputs; None for one that is left out."""
        return [None if x is None else x.shape for x in self.sample.inputs]

    @property
    def f(self) -> Callable[..., Any]:
        """The operation as a function of the inputs in ``points``."""
        return self.of([None if x is None else Tensor(x) for x in self.sample.inputs])

    def of(self, rest: list[Any]) -> Callable[..., Any]:
        """Return the operation as a function of the inputs in ``points``, the others taken from ``rest``."""
        bound = self.sample.bind(self.op.call)

        def f(*xs: Any) -> Any:
            random.manual_seed(0)  # an operation that draws random numbers draws the same ones
            given = dict(zip(self.moving, xs, strict=True))
            return bound(*[given.get(i, x) for i, x in enumerate(rest)])

        f.expression = self.expression  # type: ignore[attr-defined]
        f.__signature__ = Signature([Parameter(self.names[i], Parameter.POSITIONAL_ONLY) for i in self.moving])  # type: ignore[attr-defined]
        return f

    @property
    def names(self) -> list[str]:
        """What the inputs are called; those of an operation of any number of inputs are numbered."""
        first, *_ = names = [o.name for o in self.op.contract.inputs]
        return [f"{first}{i}" for i in range(len(self.sample.inputs))] if self.op.contract.variadic else names

    @property
    def expression(self) -> str:
        """How ``f`` is written in a program: ``lambda x: sum(x, axis=0)``."""
        taken = [self.names[i] for i in self.moving]
        given = [n if i in self.moving else literal(x) for i, (n, x) in enumerate(zip(self.names, self.sample.inputs))]
        inputs = f"({', '.join(given)},)" if self.op.contract.variadic else ", ".join(given)
        params = "".join(f", {n}={literal(p)}" for n, p in self.sample.params.items())
        return f"lambda {', '.join(taken)}: {self.op.name}({inputs}{params})"

    def change(self, inputs: Any) -> Example:
        """Return the example with other inputs."""
        return replace(self, sample=replace(self.sample, inputs=tuple(inputs)))

    def cast(self, dtype: str) -> Example:
        """Return the example with floating inputs of another type."""
        return self.change(x if x is None or x.dtype.kind != "f" else x.astype(dtype) for x in self.sample.inputs)

    def run(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return fresh leaves at the points, and the outputs that depend on them."""
        xs = [Tensor(x.copy(), requires_grad=True) for x in self.points]
        return xs, [o for o in outputs(self.f(*xs)) if o.requires_grad]

    def pull(self, us: list[np.ndarray]) -> list[np.ndarray]:
        """Return the gradients of ⟨us, outputs⟩ with respect to the points."""
        xs, out = self.run()
        if not out:
            return [np.zeros_like(x) for x in self.points]
        found = gradients(out, xs, [Tensor(u) for u in us], allow_unused=True)
        return [np.zeros_like(x) if g is None else g.numpy() for x, g in zip(self.points, found, strict=True)]

    def __str__(self) -> str:
        given = [f"{n} {s}" for n, s in zip(self.names, self.shapes, strict=True)]
        return ", ".join(given + [f"{n}={p!r}" for n, p in self.sample.params.items()])


def of_sample(sample: samples.Sample) -> Example:
    """Return the example of drawn arguments."""
    op = sample.op
    names = [o.name for o in op.contract.inputs] * (len(sample.inputs) if op.contract.variadic else 1)
    rules = op.rules if isinstance(op, Primitive) else names
    return Example(op, sample, tuple(i for i in sample.differentiable if names[i] in rules))


def example(op: Any, case: Any, seed: int, dtype: str = "float64") -> Example:
    """Return the example that a number stands for: the same arguments each time."""
    rng = np.random.default_rng([zlib.crc32(op.name.encode()), seed])

    def rather_large(low: int, high: int) -> int:  # sizes of 1 show little
        return int(rng.integers(low, high + 1, 2).max())

    axes = (2, 1, 0)[seed // TRIES % 3]  # the draws of a property show different numbers of axes
    return of_sample(samples.draw(op, rng, case, dtype, rather_large, axes))


def outputs(out: Any) -> list[Any]:
    """Return one result or several as a list."""
    return list(out) if isinstance(out, (tuple, list)) else [out]


def noise(like: list[Any], seed: int = 0) -> list[np.ndarray]:
    """Return signed random arrays of the shapes and types of ``like``: cotangents, directions."""
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(x.shape), x.dtype) for x in like]


def words_of(op: Any) -> str:
    """Return the declared text."""
    return (op.doc if isinstance(op, Primitive) else op.definition.__doc__) or ""


# --- properties -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Property:
    """A statement about every declared operation, at any example of it.

    ``check`` raises ``AssertionError`` with a sentence where it does not hold; ``where`` says of which examples it
    speaks, ``needs`` the same in words; ``draws`` is how many examples of every case are drawn.
    """

    name: str
    check: Callable[[Example], None]
    where: Callable[[Example], Any]
    needs: str
    draws: int

    def hold(self, op: Any, seed: int = 0, draws: int | None = None) -> int:
        """Check it at drawn examples of every case, and return of how many it spoke.

        Raises:
            AssertionError: with the operation, the example and what is wrong with it.
        """
        return sum(self._at_one(op, case, start) for case, start in self._places(op, seed, draws or self.draws))

    def _places(self, op: Any, seed: int, draws: int) -> Iterator[tuple[Any, int]]:
        assert op.cases, f"{op.name} has no cases → declare at least cases=({{}},)"
        for draw in range(draws):
            for case in op.cases:
                yield case, seed + draw * TRIES

    def _at_one(self, op: Any, case: Any, start: int) -> bool:
        said: Exception | None = None
        for seed in range(start, start + TRIES):
            try:
                e = example(op, case, seed)
            except AutogradError as error:
                raise AssertionError(f"{op.name} declares too little to be tested: {error}") from error
            if not self.where(e):
                return False
            try:
                self.check(e)
            except InconclusiveError as unsure:
                said = unsure
            except Exception as error:
                raise BrokenError(f"{op.name}({e}), {self.name}", error) from error
            else:
                return True
        raise BrokenError(f"{op.name} {case}, {self.name}: none of {TRIES} points could be judged", said)


PROPERTIES: dict[str, Property] = {}


def always(e: Example) -> bool:
    """Of every example."""
    return True


def moves(e: Example) -> bool:
    """Of an example with an input that has a gradient."""
    return bool(e.moving)


def holds(
    where: Callable[[Example], Any] = always, needs: str = "", draws: int = 1
) -> Callable[[Callable[[Example], None]], Callable[[Example], None]]:
    """Register the function below as a property, under its name in words."""

    def register(check: Callable[[Example], None]) -> Callable[[Example], None]:
        name = check.__name__.replace("_", " ")
        PROPERTIES[name] = Property(name, check, where, needs, draws)
        return check

    return register
