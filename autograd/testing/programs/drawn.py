"""Programs drawn by Hypothesis, from what operations declare about themselves.

A statement takes an operation, one of its cases, and for every input a value of the program or a new input. Letters of
the contract take the sizes of the values; a value of another shape is made to fit by a view or by indexing, one outside
the domain by a function into it. Values are known while a program is drawn: where an operation would not be smooth
around them, its inputs are new ones, which ``samples`` draws away from kinks. Values stay below a size, so that nothing
overflows however long the program. Draws shrink towards few statements on inputs of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.composite import composites
from ...core.primitive import Primitive, registry
from ...core.tensor import Tensor
from ...errors import AutogradError
from .. import samples
from .machines import Tensors, find
from .program import Argument, Call, Checkpoint, Loop, NoGrad, Program, Statement, Write

LARGEST = 10.0  # larger values are scaled down
MOST = 600  # elements of a value that is used again
STEP = 1e-3  # how far around a value an operation must be smooth
SHARPEST = 0.1  # how much a slope may change over that distance
GAP = 0.1  # how far the eigenvalues or singular values of a matrix keep from 0 and from each other
MACHINE = Tensors()


class Refused(Exception):  # noqa: N818 - no error: the statement is drawn otherwise
    """A statement that cannot be made of these values."""


def operations() -> dict[str, list[str]]:
    """Return the names of the operations that programs are drawn from, by the module that declares them.

    Examples, and what moves between devices, are left out.
    """
    found: dict[str, list[str]] = {}
    for name, op in sorted({**registry, **composites}.items()):
        if not name.endswith("_example") and "device" not in op.params:
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
        drawing.pick = lambda options: choose(st.sampled_from(list(options)))
        kind = drawing.pick(kinds)
        if kind != "end":
            drawing.statement(kind)
        return kind  # type: ignore[no-any-return]

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


class Drawing:
    """A program while it is drawn: its inputs and statements so far, and what every value is."""

    pick: Callable[[Sequence[Any]], Any]  # one of several, the first if it does not matter

    def __init__(self, families: dict[str, list[str]], seed: int) -> None:
        self.families, self.seed = families, seed
        self.inputs: dict[str, np.ndarray] = {}
        self.statements: list[Statement] = []
        self.env: dict[Any, Any] = {}
        self.made = 0
        self.hidden: set[str] = set()  # scaled, written down elsewhere, or too large: not used again

    # --- values -------------------------------------------------------------------------------------------------------

    def pool(self, kind: str = "f") -> list[str]:
        """The values that statements may use, the youngest first."""
        names = [n for n, v in self.env.items() if n not in self.hidden and v.dtype.kind in kind and 0 < v.size <= MOST]
        return names[::-1]

    def fresh(self, letter: str) -> str:
        self.made += 1
        return f"{letter}{self.made}"

    def input(self, x: np.ndarray) -> str:
        name = self.fresh("x")
        self.inputs[name] = x
        self.env[name] = Tensor(x.copy(), requires_grad=x.dtype.kind == "f")
        return name

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A block after which, if it is refused, nothing has happened."""
        before = dict(self.inputs), dict(self.env), set(self.hidden), self.made
        statements, kept = self.statements, list(self.statements)
        try:
            with np.errstate(all="ignore"):
                yield
        except (Refused, AutogradError, np.linalg.LinAlgError) as error:
            self.inputs, self.env, self.hidden, self.made = before
            self.statements, statements[:] = statements, kept
            raise Refused(str(error)) from error

    @contextmanager
    def body(self) -> Iterator[list[Statement]]:
        """A block whose statements and names are its own; the statements are in the list that it gives."""
        statements, env, hidden = self.statements, dict(self.env), set(self.hidden)
        self.statements = own = []
        yield own
        self.statements, self.hidden = statements, hidden
        self.env = {**env, **{n: self.env[n] for n in self.inputs}}

    def emit(self, op: str, *args: Argument, **params: Any) -> str:
        """Add a call; return its first result, or what is used instead of it."""
        call = Call(op, args, params)
        found = call.of([self.env[a] if isinstance(a, str) else a for a in args], MACHINE)
        if not all(np.isfinite(v.data).all() for v in found):
            raise Refused(f"{op} is not finite")
        call = replace(call, results=tuple(self.fresh("v") for _ in found))
        self.statements.append(call)
        self.env.update(zip(call.results, found, strict=True))
        return [self.tamed(n) for n in call.results][0]

    def tamed(self, name: str) -> str:
        """The value itself, or scaled down if it is large."""
        x = self.env[name].data
        size = float(np.max(np.abs(x), initial=0.0)) if x.dtype.kind == "f" else 0.0
        if size <= LARGEST:
            return name
        self.hidden.add(name)
        return self.emit("multiply", name, 10.0 ** -math.floor(math.log10(size)))

    def fitted(self, name: str, shape: tuple[int, ...]) -> str:
        """The elements of a value in another shape: reshaped, broadcast, cut short or repeated."""
        x = self.env[name]
        if x.shape == shape:
            return name
        size = math.prod(shape)
        if x.size == size:
            return self.emit("reshape", name, shape=shape)
        try:
            if np.broadcast_shapes(x.shape, shape) == shape:
                return self.emit("broadcast_to", name, shape=shape)
        except ValueError:
            pass
        flat = name if x.ndim == 1 else self.emit("reshape", name, shape=(-1,))
        index = slice(0, size) if size < x.size else [i % x.size for i in range(size)]
        part = self.emit("getitem", flat, index=index)
        return part if shape == (size,) else self.emit("reshape", part, shape=shape)

    def inside(self, name: str, domain: Any, sample: np.ndarray) -> str:
        """The value brought into a domain, of which ``sample`` shows what words mean."""
        x = self.env[name].data
        if isinstance(domain, str):
            if not _suits(domain, x, sample):
                raise Refused(f"{name} is not {domain}")
            return name
        low, high = (-math.inf, math.inf) if domain is None else map(float, domain)
        if low + 0.05 < x.min() <= x.max() < high - 0.05:
            return name
        if math.isfinite(high):
            half = (high - low) / 2 if math.isfinite(low) else 1.0
            return self.emit("add", self.emit("multiply", self.emit("tanh", name), 0.8 * half), high - half)
        return self.emit("add", self.emit("softplus", name), low + 0.2)

    # --- statements ---------------------------------------------------------------------------------------------------

    def statement(self, kind: str) -> None:
        """Draw a statement of this kind; where its values do not allow one, an operation on new inputs."""
        try:
            with self.attempt():
                getattr(self, kind)()
        except Refused:
            pass

    def call(self, op: Any = None) -> None:
        """An operation, of values of the program where they suit it, otherwise of new inputs."""
        op = op or find(self.pick(self.families[self.pick(self.families)]))
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
                name = self.emit("multiply", self.emit("add", name, self.emit("swapaxes", name, axis1=-1, axis2=-2)), 0.5)
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
                found[operand.name] = tuple(
                    n for d in operand.dims for n in (batch if d == "..." else (size(d),))
                )
        op.contract.check(op.name, [{**case, **found}.get(o.name) for o in operands], {**op.params, **case})
        return found

    def require_smooth(self, call: Call) -> None:
        """Refuse a call that has a kink, a jump or a sharp bend around its arguments."""
        rng = np.random.default_rng(self.seed)
        here = [self.env[a].data if isinstance(a, str) else a for a in call.args]
        moves = [
            rng.choice([-STEP, STEP], x.shape) if getattr(x, "dtype", None) is not None and x.dtype.kind == "f" else 0
            for x in here
        ]
        results = []
        for sign in (-1, 0, 1):
            moved = [x if isinstance(m, int) else x + sign * m for x, m in zip(here, moves, strict=True)]
            results.append(call.of([Tensor(x) if hasattr(x, "dtype") else x for x in moved], MACHINE))
        for before, middle, after in zip(*results, strict=True):
            if middle.dtype.kind != "f":
                smooth = bool((before.data == middle.data).all() and (after.data == middle.data).all())
            else:
                bend = np.abs(before.data - 2 * middle.data + after.data)
                smooth = bool((bend <= SHARPEST * STEP * np.maximum(1, np.abs(middle.data))).all())
            if not smooth:
                raise Refused(f"{call.op} is not smooth here")

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
            found = self.results(body)
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


def _suits(word: str, x: np.ndarray, sample: np.ndarray) -> bool:
    """Whether an array is what a domain's word says: an index in range, a matrix that is far from degenerate."""
    if word.startswith("index"):
        return bool(0 <= x.min() <= x.max() <= sample.max())
    if word == "bool":
        return True
    symmetric = word in ("symmetric", "spd")
    values = np.linalg.eigvalsh((x + x.swapaxes(-1, -2)) / 2) if symmetric else np.linalg.svd(x, compute_uv=False)
    gaps = np.diff(np.sort(values, -1), axis=-1)
    smallest = float((np.abs(values) if word != "spd" else values).min())
    return smallest > GAP and float(gaps.min(initial=1.0)) > GAP
