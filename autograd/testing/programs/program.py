"""A program as data: statements over named values, which can be run, printed, checked and rearranged.

A statement names what it reads and what it gives. How it is carried out is the business of a ``Machine``: on tensors of
the library, or on NumPy arrays by functions of NumPy, the oracle for values.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.sweep import gradients
from ...core.tensor import Tensor
from ...random import Generator
from .machines import Arrays, Machine, Tensors, find

Env = dict[Any, Any]
Argument = str | float | None  # the name of a value, a number, or an input left out


class Statement:
    """One line or block of a program. ``reads``, ``gives`` and ``changes`` hold the names of values."""

    reads: tuple[str, ...]
    gives: tuple[str, ...]
    changes: tuple[str, ...] = ()

    def run(self, env: Env, machine: Machine) -> None:
        """Carry it out on the values in ``env``."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """Return it as Python source."""
        raise NotImplementedError


@dataclass(frozen=True)
class Call(Statement):
    """``results = op(args, params)``: a declared operation, or ``detach``."""

    op: str
    args: tuple[Argument, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The values among the arguments."""
        return tuple(a for a in self.args if isinstance(a, str))

    @property
    def gives(self) -> tuple[str, ...]:  # type: ignore[override]
        """The results."""
        return self.results

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters; an operation that draws random numbers draws the same ones whenever it is called."""
        is_random = "generator" in getattr(find(self.op), "params", ())
        return {**self.params, **({"generator": Generator(0)} if is_random else {})}

    def of(self, args: Sequence[Any], machine: Machine, step: int | None = None) -> tuple[Any, ...]:
        """Return its results for these arguments, always as a tuple."""
        out = machine.detach(args[0], (*self.results, step)) if self.op == "detach" else machine.call(self, args)
        return tuple(out) if isinstance(out, (tuple, list)) else (out,)

    def run(self, env: Env, machine: Machine) -> None:
        """Call the operation."""
        args = [env[a] if isinstance(a, str) else a for a in self.args]
        for name, value in zip(self.results, self.of(args, machine, env.get("t")), strict=False):
            env[name] = machine.define(name, value)

    def lines(self) -> list[str]:
        """Return ``a, b = autograd.op(x, y, parameter=value)``."""
        if self.op == "detach":
            return [f"{self.results[0]} = {self.args[0]}.detach()"]
        op = find(self.op)
        args = ", ".join(str(a) for a in self.args)
        args = f"[{args}]" if op.contract.variadic else args
        params = [f"{n}={written(v)}" for n, v in self.settings.items()]
        results = ", ".join(self.results) + ("," if len(self.results) == 1 and op.contract.several_outputs else "")
        return [f"{results} = {called(self.op)}({', '.join([args, *params])})"]


@dataclass(frozen=True)
class Write(Statement):
    """``target[index] = value``, by the library's own semantics: the name stands for a new, recorded value."""

    target: str
    index: Any
    value: str | float

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The target and the value."""
        return (self.target, self.value) if isinstance(self.value, str) else (self.target,)

    gives = ()

    @property
    def changes(self) -> tuple[str, ...]:  # type: ignore[override]
        """The target."""
        return (self.target,)

    def run(self, env: Env, machine: Machine) -> None:
        """Write."""
        value = env[self.value] if isinstance(self.value, str) else self.value
        env[self.target] = machine.write(env[self.target], self.index, value)

    def lines(self) -> list[str]:
        """Return the assignment."""
        return [f"{self.target}[{written(self.index, inside=True)}] = {self.value}"]


@dataclass(frozen=True)
class Block(Statement):
    """Statements whose names are their own, but for ``results``."""

    body: tuple[Statement, ...]
    results: tuple[str, ...]

    @property
    def own(self) -> set[str]:
        """The names that its statements give."""
        return {n for s in self.body for n in s.gives}

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """What its statements read from outside."""
        return tuple(dict.fromkeys(n for s in self.body for n in s.reads if n not in self.own))

    @property
    def gives(self) -> tuple[str, ...]:  # type: ignore[override]
        """The results."""
        return self.results

    @property
    def changes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What its statements change outside."""
        return tuple(dict.fromkeys(n for s in self.body for n in s.changes if n not in self.own))


class NoGrad(Block):
    """``with no_grad():`` its results are constants."""

    def run(self, env: Env, machine: Machine) -> None:
        """Run the body without recording."""
        local = dict(env)
        with machine.no_grad():
            execute(self.body, local, machine)
        for name in self.results:
            env[name] = machine.constant(local[name], (name, env.get("t")))

    def lines(self) -> list[str]:
        """Return the block."""
        return ["with autograd.no_grad():", *indented(self.body)]


@dataclass(frozen=True)
class Checkpoint(Block):
    """``results = checkpoint(part, *args)``; what else the body reads it takes from around it."""

    args: tuple[str, ...] = ()

    def run(self, env: Env, machine: Machine) -> None:
        """Run the body in a checkpoint."""
        outer = dict(env)

        def part(*args: Any) -> Any:
            local = {**outer, **dict(zip(self.args, args, strict=True))}
            execute(self.body, local, machine)
            return tuple(local[n] for n in self.results)

        out = machine.checkpoint(part, *[env[a] for a in self.args])
        env.update({n: machine.define(n, o) for n, o in zip(self.results, out, strict=True)})

    def lines(self) -> list[str]:
        """Return the part as a function, and its call."""
        results = "".join(f"{n}, " for n in self.results).rstrip()
        part = f"part_{self.results[0]}"
        return [
            f"def {part}({', '.join(self.args)}):",
            *indented(self.body),
            f"    return {results}",
            f"{results} = autograd.checkpoint({', '.join([part, *self.args])})",
        ]


@dataclass(frozen=True)
class Loop(Block):
    """``state`` begins as ``begin`` and becomes ``next`` in every time step; ``element`` runs along ``sequence``."""

    state: str = ""
    begin: str = ""
    next: str = ""
    steps: int = 1
    element: str = ""
    sequence: str = ""

    @property
    def own(self) -> set[str]:
        """The names of its statements, its state and its element."""
        return super().own | {self.state, self.element}

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """What it begins with, its sequence, and what its statements read from outside."""
        return tuple(dict.fromkeys(n for n in (self.begin, self.sequence, *super().reads) if n))

    def run(self, env: Env, machine: Machine) -> None:
        """Run the body for every time step."""
        state = env[self.begin]
        elements = machine.unstack(env[self.sequence]) if self.sequence else [None] * self.steps
        for t, element in enumerate(elements, 1):
            local = {**env, self.state: state, self.element: element, "t": t}
            with machine.step(t):
                execute(self.body, local, machine)
            state = local[self.next]
        env[self.state] = machine.define(self.state, state)

    def lines(self) -> list[str]:
        """Return the loop."""
        over = f"enumerate(autograd.unstack({self.sequence}), 1)" if self.sequence else f"range(1, {self.steps + 1})"
        return [
            f"{self.state} = {self.begin}",
            f"for t{', ' + self.element if self.element else ''} in {over}:",
            "    with autograd.time_step(t):",
            *[f"    {line}" for line in indented(self.body)],
            f"        {self.state} = {self.next}",
        ]


def execute(statements: Sequence[Statement], env: Env, machine: Machine) -> None:
    """Carry out statements one after the other."""
    for statement in statements:
        statement.run(env, machine)


def indented(statements: Sequence[Statement]) -> list[str]:
    """The lines of a block's body."""
    return [f"    {line}" for s in statements for line in s.lines()]


def called(op: str) -> str:
    """How source calls an operation: by its public name, or through the table of all."""
    import autograd

    declared = find(op)
    if getattr(autograd, op, None) is declared.call:
        return f"autograd.{op}"
    return f"autograd.{'registry' if op in autograd.registry else 'composites'}[{op!r}].call"


def written(value: Any, inside: bool = False) -> str:
    """A parameter as source; ``inside`` brackets, slices are written with colons."""
    if isinstance(value, tuple):
        parts = [written(v, inside) for v in value]
        return ", ".join(parts) + "," * (len(parts) == 1) if inside else f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if isinstance(value, slice) and inside:
        start, stop, step = ("" if n is None else str(n) for n in (value.start, value.stop, value.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if isinstance(value, Generator):
        return "autograd.Generator(0)"
    return "..." if value is ... else f"{value!r}"


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
    (tensor([2.7182818284590451, 7.3890560989306504], dtype=float64),)
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
        found = gradients(
            self.run(xs), moving, [Tensor(u) for u in self.cotangents()], allow_unused=True, **options
        )
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


def depends(later: Statement, earlier: Statement) -> bool:
    """Whether two statements must keep their order."""
    gives, changes = {*earlier.gives, *later.gives}, {*earlier.changes, *later.changes}
    mine, its = {*later.reads, *later.gives, *later.changes}, {*earlier.reads, *earlier.gives, *earlier.changes}
    return bool((mine & its) & (gives | changes))
