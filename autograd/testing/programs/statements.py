"""The statements of a program, as data: what each reads and gives, how it runs, and how it is written.

How a call or write is carried out is the business of a ``Machine``: on tensors of the library, or on NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...random import Generator
from .machines import Machine, find

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
        outer = {n: env[n] for n in (*self.reads, "t") if n in env}  # no more: what it keeps may be written to later

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
        return (
            ", ".join(parts) + "," * (len(parts) == 1) if inside else f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        )
    if isinstance(value, slice) and inside:
        start, stop, step = ("" if n is None else str(n) for n in (value.start, value.stop, value.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if isinstance(value, Generator):
        return "autograd.Generator(0)"
    return "..." if value is ... else f"{value!r}"


def depends(later: Statement, earlier: Statement) -> bool:
    """Whether two statements must keep their order."""
    gives, changes = {*earlier.gives, *later.gives}, {*earlier.changes, *later.changes}
    mine, its = {*later.reads, *later.gives, *later.changes}, {*earlier.reads, *earlier.gives, *earlier.changes}
    return bool((mine & its) & (gives | changes))
