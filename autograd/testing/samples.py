"""Inputs for any declared operation, drawn from its declaration: contract letters, cases, domains and kinks.

Sizes come from the contract's letters (1 to 4) unless a case says otherwise; axes that ``...`` stands for broadcast.
Values are signed, lie inside the domain, and keep away from declared kinks and, where ties are kinks, from each other.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.primitive import REQUIRED
from ..errors import AutogradError

Shape = tuple[int, ...]
MARGIN = 0.06  # how far values keep from kinks and from each other's
LARGEST = 4
MULTIPLES = "multiples of "
WORDS = ("bool", "index", "symmetric", "spd", "nonsingular", "full rank")


@dataclass(frozen=True)
class Sample:
    """Arguments for one call: arrays in the contract's order, parameters by name."""

    op: Any
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    symmetric: tuple[int, ...] = ()

    @property
    def differentiable(self) -> list[int]:
        """The numbers of the inputs that gradients can be taken of."""
        return [i for i, x in enumerate(self.inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]

    def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` of the inputs alone, the parameters filled in and sequences packed.

        A symmetric input is replaced by (x + xᵀ) / 2, so that it stays symmetric in whatever direction it is moved.
        """

        def call(*inputs: Any) -> Any:
            given = [(x + x.mT) / 2 if i in self.symmetric else x for i, x in enumerate(inputs)]
            return (
                function(tuple(given), **self.params) if self.op.contract.variadic else function(*given, **self.params)
            )

        return call


def draw(
    op: Any,
    rng: np.random.Generator,
    case: Mapping[str, Any] | None = None,
    dtype: Any = "float64",
    integer: Callable[[int, int], int] | None = None,
    axes: int | None = None,
) -> Sample:
    """Draw arguments for a primitive or composite.

    Args:
        op: the declaration.
        rng: where values come from.
        case: one of the declared cases; drawn from them if None.
        dtype: the floating type.
        integer: draws a size from low … high; ``rng`` if None.
        axes: how many axes ``...`` stands for, and one less than an input of any shape has; drawn if None.

    Raises:
        AutogradError: if the declaration does not say enough.

    >>> import numpy
    >>> from autograd import exp
    >>> sample = draw(exp.op, numpy.random.default_rng(0))
    >>> exp(*sample.inputs, **sample.params).shape == sample.inputs[0].shape
    True
    """
    pick = integer or (lambda low, high: int(rng.integers(low, high + 1)))
    case = dict(op.cases[pick(0, len(op.cases) - 1)] if case is None else case)
    params = _parameters(op, case)
    shapes = _shapes(op, case, params, pick, axes)
    names = (
        [o.name for o in op.contract.inputs] if not op.contract.variadic else [op.contract.inputs[0].name] * len(shapes)
    )
    kinks = getattr(op, "kinks", {})
    apart = [n for n in names if ties(kinks.get(n))]
    distinct = any("=" in str(kinks[n]) for n in apart)  # such as x = y: all inputs keep apart from each other
    count = sum(math.prod(s or ()) for n, s in zip(names, shapes, strict=True) if distinct or n in apart)
    rungs = iter(ladder(count, rng))
    inputs: list[Any] = []
    for name, shape in zip(names, shapes, strict=True):
        if shape is None:
            inputs.append(None)
            continue
        domain = op.domain.get(name)
        if isinstance(domain, str):
            x = _words(op, name, domain, shape, params, shapes, rng)
        elif distinct or name in apart:
            x = np.array([next(rungs) for _ in range(math.prod(shape))]).reshape(shape)
        else:
            x = numbers(shape, domain, kink_values(op, name, kinks.get(name), params), rng)
        inputs.append(x.astype(dtype) if x.dtype.kind == "f" else x)
    symmetric = tuple(i for i, n in enumerate(names) if op.domain.get(n) in ("spd", "symmetric"))
    return Sample(op, tuple(inputs), params, symmetric)


def strategy(op: Any, dtype: Any = "float64") -> Any:
    """Return a Hypothesis strategy for the arguments of a primitive or composite: cases and sizes shrink."""
    from hypothesis import strategies as st

    @st.composite
    def samples(choose: Any) -> Sample:
        seed = choose(st.integers(0, 2**32 - 1))
        return draw(op, np.random.default_rng(seed), None, dtype, lambda low, high: choose(st.integers(low, high)))

    return samples()


def on_kinks(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with most values put exactly on declared kinks: at their points, or equal to each other.

    >>> from autograd import relu
    >>> sample = draw(relu.op, np.random.default_rng(0), {"x": (100,)})
    >>> bool(50 < (on_kinks(sample, np.random.default_rng(0)).inputs[0] == 0).sum() < 100)
    True
    """
    op, inputs = sample.op, list(sample.inputs)
    names = [o.name for o in op.contract.inputs]
    params = {**op.params, **sample.params}
    for name, kink in op.kinks.items():
        k = names.index(name)
        x = inputs[k]
        if ties(kink):
            tied = range(len(inputs)) if "=" in str(kink) else [k]
            for i in tied:
                inputs[i] = rng.integers(-1, 2, np.shape(inputs[i])).astype(x.dtype)
        elif str(kink).startswith(MULTIPLES):
            other = names.index(str(kink).removeprefix(MULTIPLES).strip())
            unit = np.ravel(inputs[other])[0]
            inputs[other] = np.full_like(inputs[other], unit)
            inputs[k] = unit * rng.integers(1, 3, x.shape)
        elif kink == "zeros":
            inputs[k] = np.zeros_like(x)
        else:
            points = kink_values(op, name, kink, params)
            if points:
                inputs[k] = np.where(rng.random(x.shape) < 0.7, rng.choice(points, x.shape), x)
    return replace(sample, inputs=tuple(inputs))


# --- sizes ------------------------------------------------------------------------------------------------------------


def _parameters(op: Any, case: Mapping[str, Any]) -> dict[str, Any]:
    """The case's parameters; those without a default must be among them."""
    params = {n: case[n] for n in op.params if n in case}
    missing = [n for n, d in op.params.items() if n not in params and (d is REQUIRED or d is inspect.Parameter.empty)]
    if missing:
        raise AutogradError(f"{op.name}: no case gives {missing} and there is no default → add it to each of the cases")
    known = {*op.params, *(o.name for o in op.contract.inputs), *_letters(op)}
    unknown = set(case) - known
    if unknown:
        raise AutogradError(
            f"{op.name}: a case names {sorted(unknown)} → use parameters, inputs or letters of {op.contract.text!r}"
        )
    return params


def _letters(op: Any) -> set[str]:
    return {
        n
        for o in (*op.contract.inputs, *op.contract.outputs)
        for d in o.dims or ()
        for n in re.findall(r"[A-Za-z]\w*", d)
    }


def _shapes(
    op: Any, case: Mapping[str, Any], params: Mapping[str, Any], pick: Callable[[int, int], int], axes: int | None
) -> list[Shape | None]:
    """A shape for each input, None where a case leaves an input out."""
    known = {n: d for n, d in op.params.items() if isinstance(d, int)} | {
        n: p for n, p in params.items() if isinstance(p, int)
    }
    sizes = {n: case[n] for n in _letters(op) if n in case}
    for operand in op.contract.inputs:  # C/groups: C must be a multiple
        for dim in operand.dims or ():
            left, sign, right = dim.partition("/")
            if sign and left not in sizes:
                sizes[left] = known.get(right, 1) * pick(1, 2)
    count = pick(0, 2) if axes is None else axes
    loose = tuple(pick(1, LARGEST) for _ in range(count + 1))  # an input without dimensions takes any shape
    batch = tuple(pick(1, 3) for _ in range(count))
    trailing = any(o.dims and "..." in o.dims[1:] for o in op.contract.inputs)

    def size(dim: str) -> int:
        if dim.isdigit():
            return int(dim)
        left, sign, right = re.fullmatch(r"(\w+)(?:([/*])(\w+))?", dim).groups()  # type: ignore[union-attr]
        if left not in sizes and left not in known:
            sizes[left] = pick(1, LARGEST)
        a, b = (sizes[n] if n in sizes else int(known.get(n, n if n and n.isdigit() else 1)) for n in (left, right))
        return a // b if sign == "/" else a * b if sign == "*" else a

    with_dots = [o.name for o in op.contract.inputs if "..." in (o.dims or ())]
    full = with_dots[pick(0, len(with_dots) - 1)] if with_dots else ""  # one input has all of the axes

    def shape(operand: Any) -> Shape:
        if operand.dims is None:
            return loose
        found: list[int] = []
        for dim in operand.dims:
            if dim != "...":
                found.append(size(dim))
            elif trailing or operand.name == full:
                found += batch
            else:  # a part of the axes, some of them 1: it broadcasts
                own = batch[pick(0, len(batch)) :]
                found += [1 if pick(0, 3) == 3 else n for n in own]
        return tuple(found)

    first = op.contract.inputs[0]
    if op.contract.variadic:
        return list(case[first.name]) if first.name in case else [shape(first)] * 2
    return [case[o.name] if o.name in case else shape(o) for o in op.contract.inputs]


# --- values -----------------------------------------------------------------------------------------------------------


def ties(kink: Any) -> bool:
    """Whether the kink lies where values are equal."""
    return isinstance(kink, str) and ("=" in kink or "ties" in kink)


def ladder(count: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers between −2 and 2 (wider if there are many) in random order, none close to another."""
    half = max(2.0, MARGIN * count)
    rungs = np.linspace(-half, half, max(count, 2))[:count]
    step = 2 * half / max(count - 1, 1)
    return rng.permutation(rungs + rng.uniform(-0.2, 0.2, count) * step)


def kink_values(op: Any, name: str, kink: Any, params: Mapping[str, Any]) -> list[float]:
    """The points that values keep away from."""
    if kink is None or ties(kink):
        return []
    if isinstance(kink, str):
        points: list[float] = []
        for word in (w.strip() for w in kink.split(",")):
            if word in op.params:
                value = params.get(word, op.params[word])
                points += [value] if isinstance(value, (int, float)) else []
            elif word == "integers":
                points += range(-3, 4)
            elif word == "zeros":
                pass  # all elements at once: no drawn values are near
            elif word == "half-integers":
                points += [k + 0.5 for k in range(-4, 4)]
            elif name not in op.domain:
                raise AutogradError(
                    f"{op.name}: the kink {kink!r} of {name} is not understood → give numbers, or a domain without it"
                )
        return points
    return [float(k) for k in kink] if isinstance(kink, Sequence) else [float(kink)]


def numbers(shape: Shape, domain: Any, kinks: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Values spread over the domain, one in each part of it, or, half of them, next to a kink, but never on one."""
    count = math.prod(shape)
    u = (rng.permutation(count) + rng.random(count)) / max(count, 1)
    x = placed(u.reshape(shape), domain, kinks)
    if kinks and domain is None:
        beside = rng.choice(kinks, shape) + rng.uniform(-1.0, 1.0, shape)
        x = _off(np.where(rng.random(shape) < 0.5, beside, x), kinks)
    return x


def placed(u: np.ndarray, domain: Any, kinks: Sequence[float]) -> np.ndarray:
    """Values at the fractions ``u`` of the interval ``domain``, or of −3 to 3, further if there are kinks beyond."""
    low, high = (-math.inf, math.inf) if domain is None else map(float, domain)
    if math.isfinite(low) and math.isfinite(high):
        x = low + (high - low) * (0.1 + 0.8 * u)
    elif math.isfinite(low):
        x = low + 0.2 + 2.3 * u
    elif math.isfinite(high):
        x = high - 0.2 - 2.3 * u
    else:
        x = (2 * u - 1) * max([3.0, *[1.5 * abs(kink) for kink in kinks]])
    return _off(np.asarray(x), kinks)


def _off(x: np.ndarray, kinks: Sequence[float]) -> np.ndarray:
    """The values, those close to a kink moved away from it."""
    for kink in sorted(kinks):
        near = np.abs(x - kink) < MARGIN
        x = np.where(near, kink + np.where(x < kink, -2, 2) * MARGIN, x)
    return x


def worded(word: str, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Values of a domain that is a word: truth values, or matrices that are not close to singular."""
    if word == "bool":
        count = math.prod(shape)
        return (rng.permutation(count) % 2 == rng.integers(2)).reshape(shape)  # as many of one as of the other
    rows, columns = shape[-2:]
    n = min(rows, columns)
    left, right = (np.linalg.qr(rng.standard_normal((*shape[:-2], m, m)))[0] for m in (rows, columns))
    if word in ("spd", "symmetric"):
        right = left
    step = 1.8 / max(n - 1, 1)
    values = np.linspace(0.6, 2.4, n) + rng.uniform(-0.15, 0.15, (*shape[:-2], n)) * step  # all different
    if word == "symmetric":
        values = values * rng.choice([-1.0, 1.0], values.shape)
    return (left[..., :, :n] * values[..., None, :]) @ right[..., :, :n].swapaxes(-1, -2)


def _words(
    op: Any,
    name: str,
    word: str,
    shape: Shape,
    params: Mapping[str, Any],
    shapes: Sequence[Shape | None],
    rng: np.random.Generator,
) -> np.ndarray:
    word, _, letter = word.partition(" ") if word.startswith("index") else (word, "", "")
    if word == "index":
        return np.asarray(rng.integers(0, _bound(op, letter, params, shapes), shape))
    if word not in WORDS:
        raise AutogradError(
            f"{op.name}: the domain {word!r} of {name} is not understood → use an interval or one of {WORDS}"
        )
    return worded(word, shape, rng)


def _bound(op: Any, letter: str, params: Mapping[str, Any], shapes: Sequence[Shape | None]) -> int:
    """How many places an index names: a parameter, a letter's size, or ``axis`` (0) of ``shape`` or of the array."""
    if letter in params:
        return int(params[letter])
    arrays = [
        (operand, shape)
        for operand, shape in zip(op.contract.inputs, shapes, strict=True)
        if shape is not None and not str(op.domain.get(operand.name)).startswith("index")
    ]
    for operand, shape in arrays:
        if letter and letter in operand.core:
            at = operand.dims.index(letter)
            return int(shape[at if "..." not in operand.dims[:at] else at - len(operand.dims)])
    target = params.get("shape") or (arrays[0][1] if arrays else None)
    if not target:
        raise AutogradError(f"{op.name}: nothing says what its index runs over → give a shape or another input")
    return int(target[params.get("axis") or 0])
