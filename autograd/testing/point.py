"""A function at a point: its values and its gradients by the library, as arrays that oracles can be held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..core.sweep import gradients, reachable
from ..core.tensor import Tensor
from .conduct import called, outputs, tensors
from .oracles import EPS

ALL = -1  # in place of an input's number: all of them moved at once
Moved = dict[int, np.ndarray]  # by the number of the input


def place(x: Any) -> Any:
    """Return a truth-worthy copy of an input: floating arrays become float64 on the host."""
    data = x.data if isinstance(x, Tensor) else x
    if not backend.is_array(type(data)):
        return data
    host = np.array(backend.of(data).to_host(data))
    return host.astype(np.float64) if host.dtype.kind == "f" else host


def largest(arrays: Iterable[np.ndarray]) -> float:
    """The largest absolute value in any of the arrays."""
    return max((float(np.max(np.abs(a), initial=0.0)) for a in arrays), default=0.0)


class Point:
    """A function, its inputs, and the random cotangents and directions that turn it into numbers.

    ``z`` is all inputs with gradients as one vector, ``values`` all floating results as one.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        inputs: Sequence[Any],
        rng: np.random.Generator,
        order: int = 1,
        count: int = 1,
    ) -> None:
        self.f, self.rng, self.order, self.count = f, rng, order, count
        self.dtype = ""  # the narrow type that is held against float64, if one is
        self.start = dict(rng.bit_generator.state)  # to draw the same again
        self.inputs = [place(x) for x in inputs]
        self.words = called(f, len(inputs))  # what messages call the inputs
        self.moving = [i for i, x in enumerate(self.inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
        self.z = np.concatenate([self.inputs[i].ravel() for i in self.moving]) if self.moving else np.zeros(0)
        self.size = self.z.size
        self.directions: list[Moved] = []

    def begin(self) -> None:
        """Call the function once to see what it returns, and the unit of rounding: of the narrowest type on its way."""
        found = outputs(self.f(*tensors(self.inputs, self.moving)))
        nodes = reachable({o.node for o in found if o.node is not None})
        types = {t for x in (*found, *nodes) for t in (x.dtype if isinstance(x.dtype, tuple) else (x.dtype,))}
        self.eps = max([EPS, *(float(np.finfo(t).eps) for t in types if t.kind == "f")])
        self.floating = [k for k, o in enumerate(found) if o.dtype.kind == "f"]
        self.shapes = [found[k].shape for k in self.floating]
        self.rows = sum(found[k].size for k in self.floating)

    def aim(self) -> None:
        """Draw cotangents; directions are drawn anew for every order."""
        self.cotangents = [self.rng.standard_normal(s) for s in self.shapes]
        self.directions = []
        self.magnitude = largest(self.cotangents) * largest(self.inputs[i] for i in self.moving)  # of the terms so far

    def turn(self, order: int) -> None:
        """Draw the directions up to ``order``."""
        while len(self.directions) < order:
            self.directions.append({i: self.rng.standard_normal(self.inputs[i].shape) for i in self.moving})

    def scale(self, i: int) -> float:
        """The length over which the function is taken to change with input ``i``."""
        return max(1.0, largest([self.inputs[i]]))

    def columns(self) -> Iterator[tuple[int, slice]]:
        """The inputs' numbers and their places in ``z``."""
        start = 0
        for i in self.moving:
            yield i, slice(start, start + self.inputs[i].size)
            start += self.inputs[i].size

    def split(self, z: np.ndarray) -> Moved:
        """The inputs in the vector ``z``."""
        return {i: z[columns].reshape(self.inputs[i].shape) for i, columns in self.columns()}

    def nudged(self) -> np.ndarray:
        """``z`` moved by a few roundings: how far results move shows what rounding does to them."""
        return self.z * (1 + EPS * self.rng.uniform(-4.0, 4.0, self.size))

    # --- values -------------------------------------------------------------------------------------------------------

    def results(self, moved: Moved) -> list[np.ndarray]:
        """The floating results where inputs are moved."""
        found = outputs(self.f(*tensors([moved.get(i, x) for i, x in enumerate(self.inputs)])))
        return [found[k].detach().numpy() for k in self.floating]

    def values(self, z: np.ndarray) -> np.ndarray:
        """All floating results as one vector; ``z`` may be complex."""
        found = self.results(self.split(z))
        return np.concatenate([o.ravel() for o in found]) if len(found) != 1 else found[0].ravel()

    def value(self, order: int, moved: Moved) -> tuple[float, float]:
        """⟨u, f⟩ differentiated ``order`` times along the directions, and the size of the terms that were summed."""
        if order == 0:
            products = [o * u for o, u in zip(self.results(moved), self.cotangents, strict=True)]
        else:
            dx = self.gradient(order - 1, moved)
            products = [dx[i] * v for i, v in self.directions[order - 1].items()]
        return float(sum(p.sum() for p in products)), float(sum(np.abs(p).sum() for p in products))

    # --- gradients by the library -------------------------------------------------------------------------------------

    def record(self, moved: Moved) -> tuple[dict[int, Tensor], list[Tensor]]:
        """The inputs as leaves of a graph, and the floating results."""
        given = tensors([moved.get(i, x) for i, x in enumerate(self.inputs)], self.moving)
        found = outputs(self.f(*given))
        return {i: given[i] for i in self.moving}, [found[k] for k in self.floating]

    def gradient(self, order: int, moved: Moved) -> Moved:
        """The gradient of the ``order``-th directional derivative of ⟨u, f⟩."""
        x, out = self.record(moved)
        parts = list(zip(out, self.cotangents, strict=True))
        for k in range(order + 1):
            parts = [(t, u) for t, u in parts if t.requires_grad]
            if not parts:
                break
            results, seeds = [t for t, _ in parts], [Tensor(u) for _, u in parts]
            dx = gradients(results, list(x.values()), seeds, create_graph=k < order, allow_unused=True)
            found = {i: g for i, g in zip(x, dx, strict=True) if g is not None}
            if k == order:
                return {i: found[i].detach().numpy() if i in found else np.zeros(x[i].shape) for i in x}
            parts = [(g, self.directions[k][i]) for i, g in found.items()]
        return {i: np.zeros(x[i].shape) for i in x}

    def jacobian(self, recorded: tuple[dict[int, Tensor], list[Tensor]] | None = None) -> np.ndarray:
        """All first derivatives, a backward pass for each element of the results: shape (rows, size)."""
        x, out = recorded or self.record({})
        xs, row = list(x.values()), 0
        matrix = np.zeros((self.rows, self.size))
        places = [columns for _, columns in self.columns()]
        for o in out:
            for element in range(o.size if o.requires_grad else 0):
                unit = np.zeros(o.size)
                unit[element] = 1.0
                seed = Tensor(unit.reshape(o.shape))
                dx = gradients([o], xs, [seed], retain_graph=True, allow_unused=True)
                for g, columns in zip(dx, places, strict=True):
                    if g is not None:
                        matrix[row + element, columns] = g.data.ravel()
            row += o.size
        return matrix

    def unreached(self) -> list[int]:
        """The inputs that no path of the graph leads to."""
        x, out = self.record({})
        live = [o for o in out if o.requires_grad]
        if not live:
            return list(x)
        seeds = [Tensor(u) for o, u in zip(out, self.cotangents, strict=True) if o.requires_grad]
        dx = gradients(live, list(x.values()), seeds, allow_unused=True)
        return [i for i, g in zip(x, dx, strict=True) if g is None]
