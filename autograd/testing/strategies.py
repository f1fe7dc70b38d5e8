"""Hypothesis strategies for tensors: by shape letters and domains, in any layout, with special values.

>>> from hypothesis import given
>>> from autograd.testing import strategies as st
>>> @given(st.together(x=st.tensors("N D"), w=st.tensors("D K"), groups=st.integers(1, 2)))
... def test(drawn):
...     assert (drawn["x"] @ drawn["w"]).shape == (drawn["x"].shape[0], drawn["w"].shape[1])
>>> test()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as hst
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import SearchStrategy, booleans, floats, integers, just, sampled_from

from ..core.tensor import Tensor, element_type
from ..errors import AutogradError, DTypeError
from . import letters, samples
from .drawn import LAYOUTS, MANY, Drawn, values

Shape = tuple[int, ...]
INTERVAL = "an interval (low, high), 'index V', or one of"
SYMMETRIC = ("spd", "symmetric")

# --- tensors ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """What ``tensors`` was asked for."""

    dims: Any  # tuple of dimensions, or a strategy of shapes
    dtype: Any
    domain: Any
    kinks: Any
    elements: Any
    layout: Any
    requires_grad: bool
    limits: tuple[int, int]

    @property
    def letters(self) -> tuple[str, ...]:
        """All dimensions in whose letters sizes are to be found, the range of an index among them."""
        dims = self.dims if isinstance(self.dims, tuple) else ()
        return (*dims, self.index) if self.index else dims

    @property
    def index(self) -> str:
        """The dimension that an index runs over, such as ``V`` of ``"index V"``; empty if it is none."""
        return self.domain.partition(" ")[2] if isinstance(self.domain, str) else ""

    def array(self, draw: Any, shape: Shape, sizes: dict[str, int]) -> np.ndarray:
        """Draw the numbers."""
        rng, dtype = Drawn(draw), draw(self.dtype)
        if self.elements is not None:
            fill = hst.nothing() if np.prod(shape) <= MANY else None
            x = draw(hnp.arrays("float64", shape, elements=self.elements, fill=fill))
        elif self.index:
            x = rng.integers(0, letters.evaluate(self.index, sizes), shape)
        elif isinstance(self.domain, str):
            x = samples.worded(self.domain, shape, rng)  # type: ignore[arg-type]
        elif samples.ties(self.kinks):
            x = samples.ladder(int(np.prod(shape, dtype=int)), rng).reshape(shape)  # type: ignore[arg-type]
        else:
            x = samples.placed(rng.random(shape), self.domain, self.kinks)
        if x.dtype.kind == "f":
            with np.errstate(over="ignore"):  # a huge float64 is an infinite float32
                x = x.round().astype(dtype) if np.dtype(dtype).kind in "iu" else x.astype(dtype)
        return LAYOUTS[draw(self.layout)](x)


def tensors(
    shape: Any = "...",
    *,
    dtype: Any = "float64",
    domain: Any = None,
    kinks: Any = (),
    elements: SearchStrategy[float] | None = None,
    layout: Any = "C",
    requires_grad: bool = False,
    min_side: int = 1,
    max_side: int = 4,
) -> SearchStrategy[Tensor]:
    """Return a strategy of tensors. Smaller sizes and simpler numbers come first when Hypothesis shrinks.

    Args:
        shape: dimensions as in contracts, ``"N C H W"``, ``"K C/groups 3 3"``, ``"T H*4"``, ``"... D"``, ``""`` for a
            number; or a tuple; or a strategy of tuples. Inside ``together`` and ``gradient_property`` a letter has one
            size.
        dtype: the element type, or several to choose from.
        domain: an open interval ``(low, high)``; ``"bool"``; ``"index V"`` for whole numbers below V;
            ``"symmetric"``, ``"spd"``, ``"nonsingular"``, ``"full rank"`` for matrices. Numbers between −3 and 3
            if None.
        kinks: points that values keep away from, or ``"ties"`` to keep them away from each other.
        elements: a strategy of single numbers, such as ``values("nan")``, instead of the domain.
        layout: ``"C"``, ``"Fortran"``, ``"reversed"``, ``"sliced"``, ``"read-only"``, several of them, or ``"any"``.
        requires_grad: whether the tensors do.
        min_side: the least size of a letter; 0 for empty tensors too.
        max_side: the largest size of a letter.

    Raises:
        AutogradError: if the shape, the domain or the layout is not understood.

    >>> from hypothesis import find
    >>> find(tensors("N 2", dtype="float32"), lambda x: x.sum() >= 1)
    tensor([[0. , 1.5]])
    """
    points = kinks if isinstance(kinks, (tuple, list)) or samples.ties(kinks) else (kinks,)
    if any(isinstance(k, str) for k in points) and not samples.ties(kinks):
        raise AutogradError(f"tensors: the kinks {kinks!r} are not understood → give numbers, or 'ties'")
    if isinstance(domain, str):
        word, _, over = domain.partition(" ") if domain.startswith("index") else (domain, "", "")
        if (word == "index") != bool(over) or (word != "index" and word not in samples.WORDS):
            words = ", ".join(repr(w) for w in samples.WORDS if w != "index")
            raise AutogradError(f"tensors: the domain {domain!r} is not understood → use {INTERVAL} {words}")
    dtypes = _one_of(dtype, lambda d: str(element_type("tensors", d)))
    layouts = _one_of(list(LAYOUTS) if layout == "any" else layout, _known_layout)
    sides = _sides(min_side, max_side)
    return _tagged(Spec(_dims(shape), dtypes, domain, points, elements, layouts, requires_grad, sides))


def _tagged(spec: Spec) -> Any:
    """A strategy that ``together`` recognises, and that works by itself."""

    @hst.composite
    def tensors(draw: Any) -> Tensor:
        return _drawn_together(draw, {"x": spec})["x"]

    strategy: Any = tensors()
    strategy.spec = spec
    return strategy


def _dims(shape: Any) -> Any:
    if isinstance(shape, SearchStrategy):
        return shape
    if isinstance(shape, (tuple, list)):
        shape = " ".join(map(str, shape))
    if not isinstance(shape, str):
        raise AutogradError(f"tensors: shape is {type(shape).__name__} → give letters, a tuple or a strategy of tuples")
    return letters.parse(shape)


def _one_of(choice: Any, check: Callable[[Any], str]) -> SearchStrategy[str]:
    if isinstance(choice, SearchStrategy):
        return choice
    return sampled_from([check(c) for c in (choice if isinstance(choice, (list, tuple)) else [choice])])


def _known_layout(layout: Any) -> str:
    if layout not in LAYOUTS:
        raise AutogradError(
            f"tensors: the layout {layout!r} is not known → use {', '.join(map(repr, LAYOUTS))} or 'any'"
        )
    return str(layout)


def _sides(low: int, high: int) -> tuple[int, int]:
    if not 0 <= low <= high:
        raise AutogradError(f"min_side={low} and max_side={high} leave no size → let 0 ≤ min_side ≤ max_side")
    return low, high


@dataclass(frozen=True)
class Alias:
    """What ``alias`` was asked for."""

    name: str


def alias(name: str) -> SearchStrategy[Any]:
    """Return a strategy for the very tensor that is drawn for the argument ``name``: the call is f(x, x).

    >>> from hypothesis import find
    >>> drawn = find(together(x=tensors("N"), y=alias("x")), lambda drawn: True)
    >>> drawn["x"] is drawn["y"]
    True
    """
    strategy: Any = hst.builds(Alias, just(name))
    strategy.spec = Alias(name)
    return strategy


def together(**arguments: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """Return a strategy for the arguments of one call, by name; a letter has the same size in all shapes.

    An argument drawn as a whole number, such as ``groups=integers(1, 2)``, is the size of the letter of its name.

    Raises:
        AutogradError: if an argument is no strategy, or names an argument that is not there.
        ShapeError: if the letters cannot be solved.

    >>> from hypothesis import find
    >>> arguments = together(x=tensors("N C"), w=tensors("K C/groups"), groups=integers(2, 3))
    >>> {n: x if n == "groups" else x.shape for n, x in find(arguments, lambda drawn: True).items()}
    {'x': (1, 2), 'w': (1, 1), 'groups': 2}
    """
    specs: dict[str, Any] = {}
    for name, strategy in arguments.items():
        if not isinstance(strategy, SearchStrategy):
            raise AutogradError(
                f"{name} is drawn from {type(strategy).__name__} {strategy!r}, which is no strategy "
                "→ give strategies.tensors(...) or another of Hypothesis"
            )
        specs[name] = getattr(strategy, "spec", strategy)
    for name, spec in specs.items():
        if isinstance(spec, Alias) and not isinstance(specs.get(spec.name), Spec):
            raise AutogradError(f"{name} is an alias of {spec.name!r}, which no tensor is drawn for → name another")
    dims = [d for s in specs.values() if isinstance(s, Spec) for d in s.letters]
    letters.solve(dims, {n: 1 for n, s in specs.items() if not isinstance(s, Spec)}, max, lambda letter: (1, 4))

    @hst.composite
    def draw_all(draw: Any) -> dict[str, Any]:
        return _drawn_together(draw, specs)

    return draw_all()


def _drawn_together(draw: Any, specs: dict[str, Any]) -> dict[str, Any]:
    pick = _pick(draw)

    def limits(letter: str) -> tuple[int, int]:
        inside = [s.limits for s in wanted.values() if letter in letters.names(s.letters)]
        return max(low for low, _ in inside), min(high for _, high in inside)

    wanted = {n: s for n, s in specs.items() if isinstance(s, Spec)}
    drawn = {n: draw(s) for n, s in specs.items() if isinstance(s, SearchStrategy)}
    known = {n: v for n, v in drawn.items() if isinstance(v, int)}
    sizes = known | letters.solve([d for s in wanted.values() for d in s.letters], known, pick, limits)
    free = letters.batch(pick) if any("..." in s.letters for s in wanted.values()) else ()
    for name, s in wanted.items():
        if isinstance(s.dims, tuple):
            shape = letters.shape_of(s.dims, sizes, letters.part(free, pick) if "..." in s.dims else ())
        else:
            shape = tuple(draw(s.dims))
        drawn[name] = Tensor(s.array(draw, shape, sizes), requires_grad=s.requires_grad)
    return {n: drawn[s.name if isinstance(s, Alias) else n] for n, s in specs.items()}


def _pick(draw: Any) -> letters.Pick:
    return lambda low, high: int(draw(integers(low, high)))


def shapes(dims: str = "...", *, min_side: int = 1, max_side: int = 4) -> SearchStrategy[Shape]:
    """Return a strategy of shapes, written as in contracts.

    >>> from hypothesis import find
    >>> find(shapes("N C N*2 3"), lambda shape: shape[0] > 1)
    (2, 1, 4, 3)
    """
    parsed, sides = letters.parse(dims), _sides(min_side, max_side)

    @hst.composite
    def draw_shape(draw: Any) -> Shape:
        pick = _pick(draw)
        free = letters.batch(pick) if "..." in parsed else ()
        return letters.shape_of(parsed, letters.solve(parsed, {}, pick, lambda letter: sides), free)

    return draw_shape()


def broadcastable(
    n: int, *, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> SearchStrategy[tuple[Shape, ...]]:
    """Return a strategy of ``n`` shapes that broadcast with each other.

    >>> from hypothesis import find
    >>> a, b = find(broadcastable(2), lambda shapes: shapes[0] != shapes[1])
    >>> np.broadcast_shapes(a, b)
    (1,)
    """
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=n, max_dims=max_dims, min_side=min_side, max_side=max_side)
    return drawn.map(lambda found: found.input_shapes)


# --- declared operations ----------------------------------------------------------------------------------------------


def arguments(operation: Any, *, dtype: str = "float64") -> SearchStrategy[samples.Sample]:
    """Return a strategy for the arguments of a declared operation, inside its domain and away from its kinks.

    >>> from hypothesis import find
    >>> import autograd
    >>> find(arguments(autograd.log), lambda sample: sample.inputs[0].ndim == 1).inputs
    (array([1.35]),)
    """
    op = _declared(operation)

    @hst.composite
    def drawn(draw: Any) -> samples.Sample:
        return samples.draw(op, Drawn(draw), None, dtype, _pick(draw))  # type: ignore[arg-type]

    return drawn()


def at_kinks(operation: Any, *, dtype: str = "float64") -> SearchStrategy[samples.Sample]:
    """Return a strategy for the arguments of a declared operation, some values exactly on its kinks.

    Raises:
        AutogradError: if it declares no kinks.

    >>> from hypothesis import find
    >>> import autograd
    >>> find(at_kinks(autograd.relu6), lambda sample: 6 in sample.inputs[0]).inputs
    (array(6.),)
    """
    op = _declared(operation)
    if not getattr(op, "kinks", {}):
        raise AutogradError(f"{op.name} declares no kinks → declare kinks={{'x': (0,)}}, or use arguments({op.name})")

    @hst.composite
    def drawn(draw: Any) -> samples.Sample:
        sample = draw(arguments(op, dtype=dtype))
        there = samples.on_kinks(sample, Drawn(draw))  # type: ignore[arg-type]
        assume(any(x is not y and not np.array_equal(x, y) for x, y in zip(sample.inputs, there.inputs)))
        return there

    return drawn()


def _declared(operation: Any) -> Any:
    op = getattr(operation, "op", operation)
    if not hasattr(op, "contract"):
        raise DTypeError(f"{operation!r} is no declared operation → give a function made by primitive or composite")
    return op


__all__ = [
    "LAYOUTS", "SearchStrategy", "alias", "arguments", "at_kinks", "booleans", "broadcastable", "floats", "integers",
    "just", "sampled_from", "shapes", "tensors", "together", "values",
]  # fmt: skip
