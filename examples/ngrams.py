"""A text's n-grams, counted and smoothed: what a network that writes must do better than.

The probability of a sign given the signs before it, by interpolated Kneser–Ney smoothing with three discounts
(Kneser & Ney 1995; Chen & Goodman 1998, sec. 3): what is discounted from the counts of n-grams goes to the (n−1)-grams,
which are counted by how many different signs they follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from autograd.errors import DomainError

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """All k-grams of a text, as sorted numbers, with their counts less the discount, and their contexts.

    A context has what its k-grams' counts add up to, and what was discounted from them.
    """

    grams: Numbers
    counts: NDArray[np.float64]
    contexts: Numbers
    totals: NDArray[np.float64]
    discounted: NDArray[np.float64]


class NGrams:
    """P(sign | the order − 1 signs before it), learned from a text of numbers below `signs`.

    Raises:
        DomainError: when 63 bits cannot tell apart n-grams of that order and so many signs, or the text is shorter.

    >>> model = NGrams(np.array([0, 1, 0, 1, 0, 1, 1]), signs=2, order=2)
    >>> model.bits(np.array([0, 1, 0])).round(2)
    array([0.92, 0.76, 0.82])
    """

    def __init__(self, text: Numbers, signs: int, order: int) -> None:
        if order < 1 or signs**order >= 2**63 or len(text) < order:
            raise DomainError(
                f"NGrams: order is {order} for {signs} signs and a text of {len(text)}, expected 1 ≤ order ≤ "
                f"{min(len(text), int(63 / np.log2(max(signs, 2))))} → choose a smaller order"
            )
        self.signs, self.order = signs, order
        grams, counts = np.unique(self._numbers(sliding_window_view(text, order)), return_counts=True)
        self.levels = [_level(grams, counts, signs)]
        for k in range(order - 1, 0, -1):
            grams, counts = np.unique(grams % signs**k, return_counts=True)  # how many signs each one follows
            self.levels.insert(0, _level(grams, counts, signs))

    def _numbers(self, grams: Numbers) -> Numbers:
        """Rows of signs as numbers in base `signs`."""
        numbers = np.zeros(len(grams), np.int64)
        for column in grams.T:
            numbers = numbers * self.signs + column
        return numbers

    def probabilities(self, grams: Numbers) -> NDArray[np.float64]:
        """Of the last sign of each row, given the others. Shapes: N K, 1 ≤ K → N."""
        p = np.full(len(grams), 1 / self.signs)
        for k, level in enumerate(self.levels[: grams.shape[1]], 1):
            numbers = self._numbers(grams[:, -k:])
            place, known = _find(level.contexts, numbers // self.signs)
            total, rest = level.totals[place], level.discounted[place]
            place, seen = _find(level.grams, numbers)
            p = np.where(known, (level.counts[place] * seen + rest * p) / total, p)
        return p

    def bits(self, text: Numbers) -> NDArray[np.float64]:
        """−log₂ P of every sign of a text given those before it."""
        first = [self.probabilities(text[None, : i + 1]) for i in range(min(self.order - 1, len(text)))]
        others = self.probabilities(sliding_window_view(text, self.order)) if len(text) >= self.order else []
        return -np.log2(np.concatenate([*first, others]))


def _level(grams: Numbers, counts: Numbers, signs: int) -> Level:
    n = np.bincount(np.minimum(counts, 5), minlength=6)[1:5] + 1.0  # so many were seen once … four times
    twice = np.arange(2.0, 5.0)
    discounts = np.arange(1.0, 4.0) - twice * n[0] / (n[0] + 2 * n[1]) * n[1:] / n[:-1]
    taken = np.clip(discounts, 0.1, [1.0, 2.0, 3.0])[np.minimum(counts, 3) - 1]
    contexts, begin = np.unique(grams // signs, return_index=True)
    return Level(grams, counts - taken, contexts, np.add.reduceat(counts, begin), np.add.reduceat(taken, begin))


def _find(table: Numbers, wanted: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """The places of numbers in a sorted table, and which of them are there."""
    place = np.searchsorted(table, wanted).clip(max=len(table) - 1)
    return place, table[place] == wanted
