"""Programs drawn by Hypothesis, from what operations declare about themselves.

A statement takes an operation, one of its cases, and for every input a value of the program or a new input. Letters of
the contract take the sizes of the values; a value of another shape is made to fit by a view or by indexing, one outside
the domain by a function into it. Values are known while a program is drawn: where an operation would not be smooth
around them, its inputs are new ones, which ``samples`` draws away from kinks. Values stay below a size, so that nothing
overflows however long the program. Draws shrink towards few statements on inputs of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.composite import composites
from ...core.primitive import Primitive, registry
from .. import samples
from .draft import MACHINE, Draft, Refused
from .machines import find
from .program import Program
from .statements import Call, Checkpoint, Loop, NoGrad, Statement, Write


def operations() -> dict[str, list[str]]:
    """Return the names of the operations that programs are drawn from, by the module that declares them.

    Examples, what says too little to be drawn, and what moves between devices, are left out.
    """
    found: dict[str, list[str]] = {}
    declared: dict[str, Any] = {**registry, **composites}
    for name, op in sorted(declared.items()):
        if not name.endswith("_example") and op.cases and "device" not in op.params:
            found.setdefault(getattr(op, "definition", op.call).__module__, []).append(name)
    return found


def programs(max_statements: int = 8, ops: Collection[str] | None = None, blocks: bool = True) -> Any:
    """Return a Hypothesis strategy for programs.

    Args:
        max_statements: how many statements are drawn; what makes values fit comes on top.
        ops: names of the operations to draw from; every declared one if None.
        blocks: draw loops over time steps, checkpoints, blocks without gradients and writes too.

    Raises:
        AutogradError: if one of ``ops`` is not declared.

    >>> from hypothesis import find
    >>> print(find(programs(ops=["exp"]), lambda p: len(p.statements) >= 2).source())
    import numpy
    import autograd
    <BLANKLINE>
    x1 = autograd.tensor(numpy.array(...), requires_grad=True)
    ...
    """
    from hypothesis import strategies as st

    families = operations() if ops is None else {"": sorted(ops)}
    for name in ops or ():
        find(name)
    kinds = ["call"] * 6 + ["loop", "checkpoint", "no_grad", "write", "detach"] * blocks

    @st.composite
    def statement(choose: Any, drawing: Drawing, kinds: list[str]) -> str:
        drawing.pick = lambda options: choose(st.sampled_from(options))
        kind = drawing.pick(kinds)
        if kind != "end":
            drawing.statement(kind)
        return kind

    @st.composite
    def drawn(choose: Any) -> Program:
        drawing = Drawing(families, choose(st.integers(0, 2**16)))
        kind = choose(statement(drawing, kinds))
        for _ in range(max_statements - 1):
            if kind == "end":
                break
            kind = choose(statement(drawing, ["end", *kinds]))
        return drawing.program()

    return drawn()


class Drawing(Draft):
    """A program while it is drawn: what comes next is chosen from all that its values allow."""

    pick: Callable[[Sequence[Any]], Any]  # one of several, the first if it does not matter

    def __init__(self, families: dict[str, list[str]], seed: int) -> None:
        super().__init__(seed)
        self.families = families

    def statement(self, kind: str) -> None:
        """Draw a statement of this kind; where its values do not allow one, an operation on new inputs."""
        try:
            with self.attempt():
                getattr(self, kind)()
        except Refused:
            pass

    def call(self, op: Any = None) -> None:
        """An operation, of values of the program where they suit it, otherwise of new inputs."""
        op = op or find(self.pick(self.families[self.pick(list(self.families))]))
        case = dict(self.pick(op.cases))
        operands = list(op.contract.inputs)
        if op.contract.variadic:
            operands *= len(case.get(operands[0].name, (0, 0)))
        chosen = []
        for operand in operands:
            word = str(op.domain.get(operand.name))
            kind = "b" if word == "bool" else "iu" if word.startswith("index") else "f"
            chosen.append(self.pick([None, *self.pool(kind)]))
        try:
            with self.attempt():
                self.build(op, case, operands, chosen)
        except Refused:
            self.build(op, case, operands, [None] * len(operands))

    def build(self, op: Any, case: dict[str, Any], operands: list[Any], chosen: list[str | None]) -> None:
        """Add a call of ``op`` on the chosen values, and what makes them fit."""
        if any(chosen) and not op.contract.variadic:
            case |= self.shapes(op, case, operands, chosen)
        rng = np.random.default_rng([self.seed, len(self.inputs)])
        sample = samples.draw(op, rng, case, integer=lambda low, high: self.pick(range(low, high + 1)))
        rules = op.rules if isinstance(op, Primitive) else None
        args: list[str | None] = []
        for i, (operand, source, x) in enumerate(zip(operands, chosen, sample.inputs, strict=True)):
            if x is None:
                args.append(None)
                continue
            name = self.input(x) if source is None else self.fitted(source, x.shape)
            if source is not None:
                name = self.inside(name, op.domain.get(operand.name), x)
            if i in sample.symmetric:
                name = self.emit(
                    "multiply", self.emit("add", name, self.emit("swapaxes", name, axis1=-1, axis2=-2)), 0.5
                )
            if rules is not None and operand.name not in rules and x.dtype.kind == "f":
                name = self.emit("detach", name)
            args.append(name)
        self.require_smooth(Call(op.name, tuple(args), sample.params))
        self.emit(op.name, *args, **sample.params)

    def shapes(self, op: Any, case: dict[str, Any], operands: list[Any], chosen: list[str | None]) -> dict[str, Any]:
        """Shapes of all inputs: a chosen value's own where the contract allows it, the others as the letters say."""
        sizes = {n: v for n, v in {**op.params, **case}.items() if isinstance(v, int)}
        batch: tuple[int, ...] = ()
        found: dict[str, Any] = {}
        for operand, source in zip(operands, chosen, strict=True):
            if operand.name in case or source is None:
                continue
            shape = self.env[source].shape
            if operand.dims is None:
                found[operand.name] = shape
                continue
            if len(shape) < len(operand.core) or (operand.rank_is_fixed and len(shape) != len(operand.core)):
                continue
            named = dict(zip(operand.core, operand.named_axes(shape), strict=True))
            try:
                wide = np.broadcast_shapes(batch, operand.free_axes(shape))
            except ValueError:
                continue
            if all(d.isalpha() and sizes.get(d, n) == n for d, n in named.items()):
                sizes |= named
                found[operand.name], batch = shape, wide

        def size(dim: str) -> int:
            left, sign, right = re.fullmatch(r"(\w+)(?:([/*])(\w+))?", dim).groups()  # type: ignore[union-attr]
            for n in (left, right):
                if n and n not in sizes:
                    sizes[n] = int(n) if n.isdigit() else self.pick(range(1, 4))
            a, b = sizes[left], sizes.get(right, 1)
            return a // b if sign == "/" else a * b

        for operand in operands:
            if operand.name not in case and operand.name not in found and operand.dims is not None:
                found[operand.name] = tuple(n for d in operand.dims for n in (batch if d == "..." else (size(d),)))
        op.contract.check(op.name, [{**case, **found}.get(o.name) for o in operands], {**op.params, **case})
        return found

    def detach(self) -> None:
        """A constant copy of a value."""
        self.emit("detach", self.pick(self.pool() or self.refuse("nothing to detach")))

    def write(self) -> None:
        """An in-place write to a recorded value."""
        in_parts = {n for s in self.statements if isinstance(s, Checkpoint) for n in s.reads}
        made = {n for s in self.statements if isinstance(s, Call) and s.op in registry for n in s.results}
        targets = [n for n in self.pool() if n in made - in_parts and self.env[n].requires_grad and self.env[n].ndim]
        target = self.pick(targets or self.refuse("nothing to write to"))
        index = self.pick([0, slice(0, 1), ..., slice(None, None, 2), (..., -1)])
        shape = self.env[target].data[index].shape
        source = self.pick([None, *(n for n in self.pool() if n != target)])
        statement = Write(target, index, 0.5 if source is None else self.fitted(source, shape))
        statement.run(self.env, MACHINE)
        self.statements.append(statement)

    def no_grad(self) -> None:
        """Some statements whose results are constants."""
        with self.body() as body:
            self.some_calls()
            found = self.results(body)
        self.add(NoGrad(tuple(body), found))

    def checkpoint(self) -> None:
        """Some statements that are computed again in the backward pass."""
        with self.body() as body:
            self.some_calls()
            found = tuple(n for n in self.results(body) if self.env[n].requires_grad) or self.refuse("all constants")
        part = Checkpoint(tuple(body), found)
        self.add(replace(part, args=part.reads[: self.pick(range(len(part.reads) + 1))]))

    def loop(self) -> None:
        """A recurrence h ← tanh(h + f(h, x)) over time steps, f drawn, with the same weights in every step."""
        begin = self.pick([None, *self.pool()])
        if begin is None:
            begin = self.input(np.random.default_rng([self.seed, len(self.inputs)]).uniform(-1, 1, (2,)))
        sequence = self.pick([None, *(n for n in self.pool() if self.env[n].ndim and self.env[n].shape[0] <= 4)])
        steps = self.pick(range(1, 4)) if sequence is None else self.env[sequence].shape[0]
        state, element = self.fresh("h"), "" if sequence is None else self.fresh("s")
        with self.body() as body:
            self.env[state] = self.env[begin]
            if sequence is not None:
                self.env[element] = self.env[sequence][0]
            self.some_calls()
            last = self.fitted(self.pool()[0], self.env[begin].shape)
            new = self.emit("tanh", self.emit("add", state, last))
        self.add(Loop(tuple(body), (state,), state, begin, new, steps, element, sequence or ""))

    def some_calls(self) -> None:
        for _ in range(self.pick(range(1, 4))):
            self.statement("call")

    def results(self, body: list[Statement]) -> tuple[str, ...]:
        """The floating values that a body made and others may use."""
        return tuple(n for n in self.pool()[::-1] if any(n in s.gives for s in body)) or self.refuse("no result")

    def add(self, statement: Statement) -> None:
        """Run a block as it is in the program, and take it in."""
        statement.run(self.env, MACHINE)
        if not all(np.isfinite(self.env[n].data).all() for n in statement.gives):
            raise Refused("not finite")
        self.statements.append(statement)

    @staticmethod
    def refuse(why: str) -> Any:
        raise Refused(why)

    def program(self) -> Program:
        """The program: what nothing else uses is its result."""
        used = {n for s in self.statements for n in s.reads}
        ends = [n for n, v in self.env.items() if v.requires_grad and n not in used and n not in self.inputs]
        if not ends:
            name = next((n for n in self.inputs if self.env[n].requires_grad), None) or self.input(np.array([0.5]))
            ends = [self.emit("square", name)]
        return Program(dict(self.inputs), tuple(self.statements), tuple(ends))
