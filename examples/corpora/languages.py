"""Texts of two languages as arrays of numbers, and back.

>>> both = Languages([("ein Haus", "a house"), ("ein Baum", "a tree")], merges=9)
>>> numbers = both.source.encode("ein Saum")
>>> both.source.decode(numbers), both.source.unknown("ein Saum?")
('ein saum', ['?'])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from dictionary import model_1
from numpy.typing import NDArray

import nn
from corpora.pairs import Pair
from corpora.pieces import Pieces

Numbers: TypeAlias = NDArray[np.int64]
Batch: TypeAlias = tuple[tuple[Numbers, Numbers], Numbers]


class Side:
    """One of the two languages: its pieces and their numbers; a character that was never there becomes `unk`.

    `lower`: in small letters, which make fewer words.
    """

    def __init__(self, texts: Sequence[str], merges: int, lower: bool) -> None:
        self.lower = lower
        self.pieces = Pieces.learn(map(self._cased, texts), merges)
        characters = sorted({c for text in texts for c in self._cased(text)} | {" "})
        self.vocabulary = nn.Vocabulary(dict.fromkeys([*characters, *map("".join, self.pieces.ranks)]))

    def _cased(self, text: str) -> str:
        return text.lower() if self.lower else text

    def split(self, text: str) -> list[str]:
        return self.pieces.split(self._cased(text))

    def encode(self, text: str) -> list[int]:
        return self.vocabulary.encode(self.split(text))

    def decode(self, numbers: Iterable[int]) -> str:
        return self.pieces.join(self.vocabulary.decode(numbers))

    def unknown(self, text: str) -> list[str]:
        """The pieces of a text that are not in the vocabulary."""
        return [piece for piece in self.split(text) if piece not in self.vocabulary]


class Languages:
    """Source and target: texts as batches of numbers. The source is read in small letters."""

    def __init__(self, learned: Sequence[Pair], merges: int) -> None:
        sources, targets = map(list, zip(*learned, strict=True))
        self.source, self.target = Side(sources, merges, lower=True), Side(targets, merges, lower=False)

    def read(self, texts: Iterable[str]) -> Numbers:
        """Texts as a batch T N, each with its end; an empty one is the end alone."""
        return padded([[*self.source.encode(text), self.source.vocabulary.eos] for text in texts])

    def counts(self, learned: Sequence[Pair]) -> NDArray[np.float32]:
        """How often a target piece stood for a source piece by IBM's first model, a row for each source piece."""
        ends = [self.source.vocabulary.eos], [self.target.vocabulary.eos]
        rows = [(self.source.encode(x) + ends[0], self.target.encode(y) + ends[1]) for x, y in learned]
        out = np.zeros((len(self.source.vocabulary), len(self.target.vocabulary)), np.float32)
        source, target, count = model_1(rows)
        out[source, target] = count
        return out

    def batch(self, chosen: Sequence[Pair]) -> Batch:
        """(Source T N, the piece before each of the target's L N), and the target N L."""
        bos, eos = self.target.vocabulary.bos, self.target.vocabulary.eos
        targets = [[bos, *self.target.encode(target), eos] for _, target in chosen]
        before, after = padded([t[:-1] for t in targets]), padded([t[1:] for t in targets])
        return (self.read(source for source, _ in chosen), before), after.T

    def batches(self, chosen: Sequence[Pair], size: int) -> list[Batch]:
        """Batches of up to `size` target pieces; its pairs are about equally long, so that there is little padding."""
        lengths = {pair: (len(self.target.encode(pair[1])) + 1, len(self.source.encode(pair[0]))) for pair in chosen}
        groups: list[list[Pair]] = []
        for pair in sorted(chosen, key=lengths.__getitem__):
            if not groups or (len(groups[-1]) + 1) * lengths[pair][0] > size:
                groups.append([])
            groups[-1].append(pair)
        return [self.batch(group) for group in groups]


def padded(rows: Sequence[Sequence[int]]) -> Numbers:
    """Rows of numbers as T N, with zeros, the number of "<pad>", behind the shorter ones.

    >>> padded([[5, 6, 7], [8]]).tolist()
    [[5, 8], [6, 0], [7, 0]]
    """
    out = np.zeros((max(map(len, rows)), len(rows)), np.int64)
    for n, row in enumerate(rows):
        out[: len(row), n] = row
    return out
