"""A program as data: inputs, statements over named values, results; run, printed, checked and rearranged."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...core.sweep import gradients
from ...core.tensor import Tensor
from .machines import Arrays, Machine, Tensors
from .statements import Block, Call, Checkpoint, Env, Statement, depends, execute


@dataclass(frozen=True)
class Program:
    """Inputs, statements over them, and the names of the values that are its results.

    >>> from autograd.testing.programs import Call, Program
    >>> program = Program({"x": np.array([1.0, 2.0])}, (Call("exp", ("x",), results=("a",)),), ("a",))
    >>> print(program.source())
    import numpy
    import autograd
    <BLANKLINE>
    x = autograd.tensor(numpy.array([1.0, 2.0]), requires_grad=True)
    a = autograd.exp(x)
    outputs = (a,)
    >>> program.run()
    (tensor([2.71828183, 7.3890561 ], dtype=float64, op=exp),)
    """

    inputs: Mapping[str, np.ndarray]
    statements: tuple[Statement, ...]
    outputs: tuple[str, ...]

    def run(self, inputs: Sequence[Any] | None = None, machine: Machine | None = None) -> tuple[Any, ...]:
        """Return the outputs for these inputs, its own if None: of tensors tensors, of NumPy arrays NumPy's results."""
        env = self.values(inputs, machine)
        return tuple(env[n] for n in self.outputs)

    def values(self, inputs: Sequence[Any] | None = None, machine: Machine | None = None) -> Env:
        """Return every value of a run by name; of a tensor that was written to the last one."""
        given = self.tensors() if inputs is None else inputs
        if machine is None:
            machine = Tensors() if any(isinstance(x, Tensor) for x in given) else Arrays()
        env: Env = {n: machine.define(n, x) for n, x in zip(self.inputs, given, strict=True)}
        execute(self.statements, env, machine)
        return env

    def tensors(self) -> list[Tensor]:
        """Return the inputs as tensors; floating ones require gradients."""
        return [Tensor(x.copy(), requires_grad=x.dtype.kind == "f") for x in self.inputs.values()]

    @property
    def moving(self) -> list[int]:
        """The numbers of the inputs that are differentiated."""
        return [i for i, x in enumerate(self.inputs.values()) if x.dtype.kind == "f"]

    def function(self) -> Callable[..., tuple[Any, ...]]:
        """Return the program as a function of its floating inputs whose derivative is what gradients stand for.

        What ``detach`` or ``no_grad`` made a constant keeps the value that it has at the program's own inputs, wherever
        the function is evaluated: a difference sees no more of it than a gradient does.
        """
        kept: dict[Any, np.ndarray] = {}
        self.run(machine=Tensors(kept))

        def f(*moving: Any) -> tuple[Any, ...]:
            own = dict(zip(self.moving, moving, strict=True))
            xs = self.tensors()
            for i, x in own.items():  # leaves also where only values are wanted: a write is recorded, as in the program
                xs[i] = x if getattr(x, "requires_grad", False) else Tensor(getattr(x, "data", x), requires_grad=True)
            out = self.run(xs, Tensors(kept))
            recorded = any(getattr(x, "requires_grad", False) for x in moving)
            return out if recorded else tuple(o.detach() for o in out)

        return f

    def points(self) -> list[np.ndarray]:
        """Return the floating inputs."""
        return [x for x in self.inputs.values() if x.dtype.kind == "f"]

    def cotangents(self, seed: int = 0) -> list[np.ndarray]:
        """Return normally distributed gradients to begin with, one for each output."""
        rng = np.random.default_rng(seed)
        return [rng.standard_normal(o.shape) for o in self.run()]

    def gradients(self, **options: Any) -> list[np.ndarray]:
        """Return the gradients of the outputs, begun with ``cotangents()``, by the floating inputs."""
        xs = self.tensors()
        moving = [xs[i] for i in self.moving]
        found = gradients(self.run(xs), moving, [Tensor(u) for u in self.cotangents()], allow_unused=True, **options)
        return [np.zeros(x.shape) if g is None else g.numpy() for x, g in zip(moving, found, strict=True)]

    def source(self) -> str:
        """Return Python source that computes ``outputs`` from its inputs."""
        head = ["import numpy", "import autograd", ""]
        for n, x in self.inputs.items():
            data = f"numpy.array({x.tolist()!r}{'' if x.dtype.kind in 'bf' else ', dtype=' + repr(x.dtype.name)})"
            head.append(f"{n} = autograd.tensor({data}{', requires_grad=True' * (x.dtype.kind == 'f')})")
        body = [line for s in self.statements for line in s.lines()]
        return "\n".join([*head, *body, f"outputs = ({', '.join(self.outputs)}{',' * (len(self.outputs) == 1)})"])

    def __repr__(self) -> str:
        return self.source()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What Hypothesis prints of a failing example."""
        printer.text(f"\n{self.source()}\n")

    # --- the same program otherwise -----------------------------------------------------------------------------------

    def reordered(self, rng: random.Random) -> Program:
        """Return the program with its statements in another order that gives the same results."""
        waiting, order = list(self.statements), []
        while waiting:
            free = [s for i, s in enumerate(waiting) if not any(depends(s, before) for before in waiting[:i])]
            order.append(rng.choice(free))
            waiting.remove(order[-1])
        return replace(self, statements=tuple(order))

    def checkpointed(self, start: int, stop: int) -> Program:
        """Return the program with these statements in a checkpoint, where that is allowed."""
        body, rest = self.statements[start:stop], self.statements[stop:]
        own = {n for s in body for n in s.gives}
        used = {n for s in rest for n in s.reads} | set(self.outputs)
        outside = [n for s in body for n in s.changes if n not in own]
        late = {n for s in rest for n in s.changes} & {n for s in body for n in (*s.reads, *s.gives)}
        results = tuple(n for s in body for n in s.gives if n in used)
        if not results or late or outside:
            return self
        read = Block(body, ()).reads
        part = Checkpoint(body, results, read[: len(read) // 2 + 1])
        return replace(self, statements=(*self.statements[:start], part, *rest))

    def calls(self) -> Iterator[Call]:
        """Yield every call, those in blocks too."""
        waiting = list(self.statements[::-1])
        while waiting:
            s = waiting.pop()
            if isinstance(s, Call):
                yield s
            waiting += getattr(s, "body", ())[::-1]

    # --- judging ------------------------------------------------------------------------------------------------------

    def check(self, order: int = 1, directory: Any = None) -> None:
        """Compare the program's gradients up to ``order`` with differences.

        Raises:
            AssertionError: if they differ; it has the source, the first wrong statement, and the path of a picture with
                the gradient of every value by both ways, in ``directory`` (``.unfold/failures`` if None).

        >>> from autograd.testing.programs import Call, Program
        >>> Program({"x": np.array(0.5)}, (Call("tanh", ("x",), results=("a",)),), ("a",)).check(order=2)
        """
        from .. import checks
        from . import failures

        report = checks.check_gradients(self.function(), *self.points(), order=order)
        if not report.ok:
            raise AssertionError(failures.explain(self, str(report), directory))
