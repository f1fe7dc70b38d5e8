"""Where a derivative is wrong: the elements of input and result, looked for along directions if the input is large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import oracles
from ..oracles import EPS, SAFETY
from ..point import ALL, Point
from .hypotheses import Evidence

if TYPE_CHECKING:
    from ..checks import Comparison

Place = tuple[int, ...]
ENOUGH = 6  # random directions along which a mistake shows that is the same everywhere


def of(point: Point, c: Comparison, k: int) -> tuple[Place | None, Place | None]:
    """Return the element of the input and the element of the result that entry ``k`` of a Jacobian belongs to."""
    if np.ndim(c.analytic) < 2:
        return None, None
    row, column = divmod(k, c.analytic.shape[1])
    return _element(column, point.inputs[c.input].shape), of_row(point, row)


def of_row(point: Point, row: int) -> Place | None:
    """Return the element of the result in a row of the Jacobian, of several results their number before it."""
    for number, shape in enumerate(point.shapes):
        size = int(np.prod(shape))
        if row < size:
            return _element(row, shape) if len(point.shapes) == 1 else (number, *_element(row, shape))
        row -= size
    return None


def _element(k: int, shape: Place) -> Place:
    return tuple(int(n) for n in np.unravel_index(k, shape))


class Along:
    """⟨u, f⟩ differentiated ``order − 1`` times along the check's directions, and then along any direction in z."""

    def __init__(self, point: Point, order: int) -> None:
        point.turn(order)
        self.point, self.order = point, order - 1

    def analytic(self) -> np.ndarray:
        """The gradient by the library, in z."""
        dx = self.point.gradient(self.order, {})
        return np.concatenate([dx[i].ravel() for i in self.point.moving])

    def numeric(self, v: np.ndarray) -> oracles.Estimate:
        """The derivative along ``v`` by differences."""

        def moved(t: np.ndarray) -> float:
            return self.point.value(self.order, self.point.split(self.point.z + t * v))[0]

        return oracles.directional_derivative(moved, np.zeros(()), np.ones(()))


def search(point: Point, worst: Comparison) -> tuple[int, Place, Place | None, float, float, float, float] | None:
    """Find an element whose derivative is wrong, by halving a direction.

    Return the number of the input, its element and the result's, the values by both ways, the error, and the size of
    derivatives there.
    """
    along, rng = Along(point, worst.order), np.random.default_rng(0)
    dx, v = along.analytic(), rng.standard_normal(point.size)
    names = np.concatenate([np.full(point.inputs[i].size, i) for i in point.moving])
    here = np.flatnonzero(np.isin(names, point.moving if worst.input == ALL else [worst.input]))
    while len(here) > 1:
        halves = np.array_split(here, 2)
        here = halves[
            int(np.argmax([_badness(along, dx, np.where(np.isin(np.arange(len(v)), h), v, 0)) for h in halves]))
        ]
    unit = np.zeros(point.size)
    unit[here] = 1.0
    numeric, error = along.numeric(unit)
    if not len(here) or _badness(along, dx, unit) <= 1:
        return None
    number = int(names[here[0]])
    at = _element(int(here[0] - np.flatnonzero(names == number)[0]), point.inputs[number].shape)
    size = float(np.max(np.abs(dx), where=np.isfinite(dx), initial=0.0))
    if worst.order > 1:
        return number, at, None, float(dx[here[0]]), float(numeric), float(error), size
    numbers, errors = oracles.directional_derivative(point.values, point.z, unit)
    rows = np.arange(point.rows)
    while len(rows) > 1:
        halves = np.array_split(rows, 2)
        rows = halves[int(np.argmax([_row_badness(point, h, here[0], numbers, errors, rng) for h in halves]))]
    found = _row(point, rows, here[0], np.ones(1))
    return number, at, of_row(point, int(rows[0])), found, float(numbers[rows[0]]), float(errors[rows[0]]), size


def _badness(along: Along, dx: np.ndarray, v: np.ndarray) -> float:
    numeric, error = along.numeric(v)
    with np.errstate(all="ignore"):
        bad = abs(float(dx @ v) - numeric) / (SAFETY * (error + 16 * EPS * float(np.abs(dx * v).sum())) + 1e-300)
    return float(np.nan_to_num(bad, nan=np.inf))


def _row(point: Point, rows: np.ndarray, column: int, u: np.ndarray) -> float:
    """⟨u, J⟩ of some rows in one column, by the library."""
    cotangent, ends = np.zeros(point.rows), np.cumsum([int(np.prod(s)) for s in point.shapes])[:-1]
    cotangent[rows] = u
    kept = point.cotangents
    point.cotangents = [c.reshape(s) for c, s in zip(np.split(cotangent, ends), point.shapes, strict=True)]
    dx = point.gradient(0, {})
    point.cotangents = kept
    return float(np.concatenate([dx[i].ravel() for i in point.moving])[column])


def _row_badness(
    point: Point, rows: np.ndarray, column: int, right: Any, error: Any, rng: np.random.Generator
) -> float:
    u = rng.standard_normal(len(rows))
    bad = abs(_row(point, rows, column, u) - float(u @ right[rows])) / (float(np.abs(u) @ error[rows]) + EPS)
    return float(np.nan_to_num(bad, nan=np.inf))


def along_directions(point: Point, worst: Comparison) -> Evidence:
    """Return derivatives along a few random directions as a Jacobian of one row."""
    along, rng = Along(point, worst.order), np.random.default_rng(0)
    mine = np.concatenate([np.full(point.inputs[i].size, worst.input in (i, ALL)) for i in point.moving])
    directions = [np.where(mine, rng.standard_normal(point.size), 0.0) for _ in range(ENOUGH)]
    dx = along.analytic()
    numbers, errors = (np.array(part)[None] for part in zip(*[along.numeric(v) for v in directions], strict=True))
    wrong = np.array([[float(dx @ v) for v in directions]])
    return Evidence(0, {0: wrong}, {0: numbers}, {0: errors}, {0: (ENOUGH,)}, [()])


def slopes(point: Point, c: Comparison, k: int) -> tuple[oracles.Estimate, oracles.Estimate, int]:
    """Return the slopes to both sides in the direction of entry ``k``, of the result where they differ most."""
    x = point.inputs[c.input]
    if np.ndim(c.analytic) < 2:
        point.turn(c.order)
        inputs = point.moving if c.input == ALL else [c.input]
        v = point.directions[c.order - 1]

        def along(t: np.ndarray) -> Any:
            return point.value(c.order - 1, {i: point.inputs[i] + t * v[i] for i in inputs})[0]

        return *oracles.one_sided(along, np.zeros(()), np.ones(())), 0
    unit = np.zeros(x.size)
    unit[k % c.analytic.shape[1]] = 1.0
    sides = oracles.one_sided(
        lambda at: np.concatenate([o.ravel() for o in point.results({c.input: at})]), x, unit.reshape(x.shape)
    )
    row = int(np.argmax(np.nan_to_num(np.abs(sides[1].value - sides[0].value), nan=-1.0, posinf=-1.0)))
    left, right = (oracles.Estimate(side.value[row], side.error[row]) for side in sides)
    return left, right, row
