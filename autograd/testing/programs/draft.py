"""A program while it is written: values are known, and can be made to fit the next statement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.tensor import Tensor
from ...errors import AutogradError
from .machines import Tensors
from .statements import Argument, Call, Statement

LARGEST = 10.0  # larger values are scaled down
MOST = 600  # elements of a value that is used again
STEP = 1e-3  # how far around a value an operation must be smooth
SHARPEST = 0.1  # how much a slope may change over that distance
GAP = 0.1  # how far the eigenvalues or singular values of a matrix keep from 0 and from each other
MACHINE = Tensors()


class Refused(Exception):  # noqa: N818 - no error: the statement is drawn otherwise
    """A statement that cannot be made of these values."""


class Draft:
    """A program while it is written: its inputs and statements so far, and what every value is."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.inputs: dict[str, np.ndarray] = {}
        self.statements: list[Statement] = []
        self.env: dict[Any, Any] = {}
        self.made = 0
        self.hidden: set[str] = set()  # scaled, written down elsewhere, or too large: not used again

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
        own: list[Statement] = []
        self.statements = own
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
        used = [self.tamed(n) for n in call.results]
        return used[0]

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

    def require_smooth(self, call: Call) -> None:
        """Refuse a call that has a kink, a jump or a sharp bend around its arguments."""
        rng = np.random.default_rng(self.seed)
        here: list[Any] = [self.env[a].data if isinstance(a, str) else a for a in call.args]
        signs = (-STEP, STEP)
        moves = [  # of different lengths, so that what is equal does not stay so
            rng.choice(signs, x.shape) * rng.uniform(0.5, 1, x.shape) if getattr(x, "dtype", 0) == np.float64 else 0
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
