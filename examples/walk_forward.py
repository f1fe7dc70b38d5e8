"""Forecasts held against what came: a test that walks forward in time, and the baselines that a network must beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from corpora.series import Series
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A kind of series, and how it is looked at."""

    read: Callable[[], dict[str, Series]]
    step: str
    season: int  # steps
    level: Callable[[Array], Array]
    """Makes the changes about equally large everywhere: what is looked at and forecast."""
    value: Callable[[Array], Array]
    """The way back."""
    error: Callable[[Array, Array], Array]
    """Of forecasts, given the true values."""
    unit: str
    changes: bool  # whether changes are looked at, for series that go where they never were
    blocks: tuple[str, ...]  # where the blocks of the test begin
    epochs: int
    lookback: int = 12  # steps that the feed-forward network and the straight line see
    window: int = 64  # steps of a training sequence


class Prepared:
    """A series as it is looked at: x[t] is what step t adds to what is known, y[t] the change of the level after it.

    Means and scales are those of what lies before the time `end`, and so is all that is learned from.
    """

    def __init__(self, task: Task, times: tuple[str, ...], values: Array, end: str) -> None:
        self.task, self.times, self.values = task, np.array(times), values
        self.levels = task.level(values)
        known = self.levels[self.times < end]
        seen = np.diff(known) if task.changes else known
        self.mean, self.std, self.scale = seen.mean(), seen.std(), np.diff(known).std()
        self.steps = len(known) - 1  # those whose change is known
        self.x = self.look(self.levels)[:-1]
        self.y = np.diff(self.levels) / self.scale

    def look(self, levels: Array) -> Array:
        """The inputs that levels make."""
        seen = np.diff(levels, prepend=levels[0]) if self.task.changes else levels
        return (seen - self.mean) / self.std

    def forecasts(self, changes: Array) -> Array:
        """The values that follow, given the changes that are expected after each step."""
        return self.task.value(self.levels[:-1] + self.scale * changes)


Changes: TypeAlias = Callable[[Prepared], Array]
"""A way to forecast: the changes expected after each step of a series, T."""
Method: TypeAlias = Callable[[list[Prepared], str], Changes]
"""How a way to forecast is learned from series before a block; the second is the block's name."""


def season_ago(one: Prepared) -> Array:
    """The change to the level of one season before the next step; none where that is not known."""
    steps = np.arange(1, len(one.levels))
    ago = np.where(steps >= one.task.season, steps - one.task.season, steps - 1)
    return (one.levels[ago] - one.levels[:-1]) / one.scale


def straight_line(known: list[Prepared], block: str) -> Changes:
    """The straight line through the last steps, by least squares over all series."""
    lookback = known[0].task.lookback

    def last(x: Array) -> Array:
        before = np.concatenate([np.zeros(lookback - 1), x])
        return np.column_stack([np.lib.stride_tricks.sliding_window_view(before, lookback), np.ones(len(x))])

    rows = np.concatenate([last(one.x)[lookback : one.steps] for one in known])
    changes = np.concatenate([one.y[lookback : one.steps] for one in known])
    weights = np.linalg.lstsq(rows, changes, rcond=None)[0]
    return lambda one: last(one.x) @ weights


BASELINES: dict[str, Method] = {
    "persistence": lambda known, block: lambda one: np.zeros(len(one.y)),
    "season ago": lambda known, block: season_ago,
    "straight line": straight_line,
}


def walk_forward(task: Task, data: dict[str, Series], method: Method) -> dict[str, Array]:
    """The forecasts of each value that lies in the test, T − 1, NaN elsewhere: each block by what was known before."""
    found = {name: np.full(len(values) - 1, np.nan) for name, (_, values) in data.items()}
    for first, end in zip(task.blocks, (*task.blocks[1:], "~"), strict=True):
        known = {name: Prepared(task, *one, first) for name, one in data.items()}
        changes = method(list(known.values()), first)
        for name, one in known.items():
            inside = (one.times[1:] >= first) & (one.times[1:] < end)
            found[name][inside] = one.forecasts(changes(one))[inside]
    return found


def errors(task: Task, data: dict[str, Series], found: dict[str, Array]) -> Array:
    """The errors of all forecasts in the test."""
    every = np.concatenate([task.error(found[name], values[1:]) for name, (_, values) in data.items()])
    return every[np.isfinite(every)]


def rms(error: Array) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(error**2)))


def verdict(name: str, error: Array, baseline: str, other: Array) -> str:
    """Who wins, and whether by more than chance: the mean difference of the squares over its standard error."""
    gain = other**2 - error**2
    surely = gain.mean() / (gain.std(ddof=1) / np.sqrt(len(gain)))
    word = "beats" if surely > 2 else "does not beat" if surely < 0 else "is hardly better than"
    return f"{name} {word} {baseline}: {rms(error):.2f} against {rms(other):.2f} ({surely:+.1f} standard errors)"
