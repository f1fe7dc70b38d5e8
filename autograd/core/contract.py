"""Shape contracts: ``"x: N C H W, w: K C/groups R S -> N K P Q"``, checked and explained in the letters
they are written in.

A name without dimensions takes any shape. ``...`` stands for any axes, which broadcast among the inputs, a number for
itself, a letter for one size throughout, ``C/groups`` and ``C*groups`` for arithmetic on letters,
parameters and numbers (``H*4``). A name
with a star is a sequence of arrays. An input that is None is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import AutogradError, ShapeError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operand:
    """One input or output: its name and its dimensions, None where any shape will do."""

    name: str
    dims: tuple[str, ...] | None
    variadic: bool = False

    @property
    def core(self) -> tuple[str, ...]:
        """The dimensions without the ellipsis."""
        return () if self.dims is None else tuple(d for d in self.dims if d != "...")

    @property
    def before(self) -> int:
        """The number of dimensions before the ellipsis, or 0 if there is none."""
        return self.dims.index("...") if self.dims and "..." in self.dims else 0

    def named_axes(self, shape: Shape) -> Shape:
        """The sizes of the axes that have a name of their own, in the order of ``core``."""
        after = len(self.core) - self.before
        return shape[: self.before] + shape[len(shape) - after :]

    def free_axes(self, shape: Shape) -> Shape:
        """The sizes of the axes that the ellipsis stands for."""
        return shape[self.before : len(shape) - len(self.core) + self.before]

    @property
    def rank_is_fixed(self) -> bool:
        """Whether the number of axes is fixed."""
        return self.dims is not None and "..." not in self.dims

    def __str__(self) -> str:
        star = "*" if self.variadic else ""
        return f"{star}{self.name}" + ("" if self.dims is None else f": {' '.join(self.dims) or '()'}")


def _operands(text: str, default: str) -> tuple[Operand, ...]:
    parsed = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, colon, dims = part.partition(":")
        if not colon and not re.fullmatch(r"\*?[a-z]\w*", part):  # an output may give its dimensions only
            name, dims, colon = default, part, ":"
        tokens = tuple(t for t in dims.split() if t != "()")
        wrong = [t for t in tokens if not re.fullmatch(r"\.\.\.|\d+|[A-Za-z]\w*([/*]\w+)?", t)]
        if wrong or not re.fullmatch(r"\*?[A-Za-z_]\w*", name.strip()):
            raise AutogradError(
                f"contract: {part!r} is not understood → write a name, then dimensions such as 'x: ... M C/groups 3'"
            )
        parsed.append(Operand(name.strip().lstrip("*"), tokens if colon else None, name.strip().startswith("*")))
    return tuple(parsed)


@dataclass(frozen=True)
class Contract:
    """The inputs and outputs of an operation with their dimensions.

    >>> matmul = Contract.parse("x: ... M K, y: ... K N -> ... M N")
    >>> matmul.check("matmul", [(2, 3), (3, 4)], {})
    {'M': 2, 'K': 3, 'N': 4}
    >>> matmul.check("matmul", [(2, 3), (5, 4)], {})
    Traceback (most recent call last):
    ...
    autograd.errors.ShapeError: matmul: y has K=5 but x has K=3 → expected 3; got x (2, 3), y (5, 4)
    """

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    text: str

    @staticmethod
    def parse(text: str) -> Contract:
        """Read a contract from its text."""
        left, _, right = text.partition("->")
        return Contract(_operands(left, ""), _operands(right, "out"), " ".join(text.split()))

    @property
    def variadic(self) -> bool:
        """Whether the only input is a sequence of arrays."""
        return self.inputs[0].variadic

    @property
    def has_letters(self) -> bool:
        """Whether it demands anything of the shapes besides broadcasting."""
        return any(o.core for o in self.inputs)

    @property
    def several_outputs(self) -> bool:
        """Whether the operation returns a tuple."""
        return len(self.outputs) > 1 or any(o.variadic for o in self.outputs)

    def check(self, op: str, shapes: Sequence[Shape | None], params: Mapping[str, object]) -> dict[str, int]:
        """Return the size of every letter, or raise ``ShapeError`` in the words of the contract."""
        operands = [self.inputs[0]] * len(shapes) if self.variadic else list(self.inputs)
        sizes: dict[str, int] = {}
        owner: dict[str, str] = {}
        got = "; got " + ", ".join(f"{o.name} {s}" for o, s in zip(operands, shapes, strict=True))
        for operand, shape in zip(operands, shapes, strict=True):
            if operand.dims is None or shape is None:
                continue
            core = operand.core
            wrong_rank = len(shape) != len(core) if operand.rank_is_fixed else len(shape) < len(core)
            if wrong_rank:
                least = "" if operand.rank_is_fixed else "at least "
                raise ShapeError(
                    f"{op}: {operand.name} has shape {shape}, that is {len(shape)} axes, but {least}{len(core)} "
                    f"are needed ({' '.join(operand.dims)}) → reshape {operand.name}, or add an axis with "
                    f"{operand.name}[None]{got}"
                )
            for dim, size in zip(core, operand.named_axes(shape), strict=True):
                if dim.isalpha() and dim not in sizes:
                    sizes[dim], owner[dim] = size, operand.name
                    continue
                expected = self._value(op, dim, sizes, params)
                if expected is not None and expected != size:
                    raise ShapeError(self._mismatch(op, operand, dim, size, expected, sizes, owner, params) + got)
        self._check_batch(op, operands, shapes)
        return sizes

    @staticmethod
    def _value(op: str, dim: str, sizes: Mapping[str, int], params: Mapping[str, object]) -> int | None:
        """The size that a number, letter or quotient stands for; None if a letter in it is not known yet."""
        if dim.isdigit():
            return int(dim)
        left, sign, right = re.fullmatch(r"(\w+)(?:([/*])(\w+))?", dim).groups()  # type: ignore[union-attr]
        values = [int(n) if n.isdigit() else sizes.get(n, params.get(n)) for n in (left, right) if n]
        if not all(isinstance(v, int) for v in values):
            return None
        a, b = int(str(values[0])), int(str(values[-1]))
        if sign == "/":
            if b < 1 or a % b:
                raise ShapeError(
                    f"{op}: {left}={a} cannot be divided into {right}={b} equal parts → choose a divisor of {a}"
                )
            return a // b
        return a * b if sign == "*" else a

    @staticmethod
    def _mismatch(
        op: str, operand: Operand, dim: str, size: int, expected: int,
        sizes: Mapping[str, int], owner: Mapping[str, str], params: Mapping[str, object],
    ) -> str:  # fmt: skip
        known = []
        for name in re.findall(r"[A-Za-z_]\w*", dim):
            known.append(f"{owner[name]} has {name}={sizes[name]}" if name in sizes else f"{name}={params.get(name)}")
        return (
            f"{op}: {operand.name} has {dim}={size}"
            + (" but " + ", ".join(known) if known else "")
            + f" → expected {expected}"
        )

    @staticmethod
    def _check_batch(op: str, operands: Sequence[Operand], shapes: Sequence[Shape | None]) -> None:
        """The axes that ``...`` stands for must broadcast: equal, or 1, counted from the right."""
        batch: list[int] = []
        for operand, shape in zip(operands, shapes, strict=True):
            if operand.dims is None or shape is None or "..." not in operand.dims:
                continue
            for i, size in enumerate(reversed(operand.free_axes(shape))):
                if i == len(batch):
                    batch.append(size)
                elif batch[i] == 1:
                    batch[i] = size
                elif size not in (1, batch[i]):
                    listed = ", ".join(f"{o.name} {s}" for o, s in zip(operands, shapes, strict=True))
                    axis = -1 - i - len(operand.core) + operand.before
                    raise ShapeError(
                        f"{op}: shapes do not broadcast: {listed}; axis {axis} is {size} in {operand.name} "
                        f"but {batch[i]} before → make them equal or 1"
                    )
