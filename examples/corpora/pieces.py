"""Words in pieces, so that a small vocabulary spells every word: byte-pair encoding (Sennrich et al. 2016).

>>> pieces = Pieces.learn(["low lower lowest", "low new newer newest"], merges=6)
>>> pieces.split("lower west")
[' low', 'e', 'r', ' ', 'w', 'e', 's', 't']
>>> pieces.join(pieces.split("lower west"))
'lower west'
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TypeAlias

Pair: TypeAlias = tuple[str, str]

WORD = re.compile(r" ?\w+| ?[^\w ]+| +")


class Pieces:
    """Pairs of neighbouring pieces that are joined, the most frequent first; a piece keeps the space before it."""

    def __init__(self, merges: Iterable[Pair]) -> None:
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known: dict[str, list[str]] = {}

    @classmethod
    def learn(cls, texts: Iterable[str], merges: int) -> Pieces:
        """Join the most frequent neighbours, again and again; of equally frequent ones the first by alphabet."""
        counts = Counter(word for text in texts for word in WORD.findall(f" {text}"))
        words = [(list(word), n) for word, n in sorted(counts.items())]
        frequency: Counter[Pair] = Counter()
        where: defaultdict[Pair, set[int]] = defaultdict(set)

        def count(number: int, sign: int) -> set[Pair]:
            pieces, n = words[number]
            pairs = list(pairwise(pieces))
            for pair in pairs:
                frequency[pair] += sign * n
                where[pair].add(number)
            return set(pairs)

        for number in range(len(words)):
            count(number, 1)
        heap = [(-n, pair) for pair, n in frequency.items() if n > 1]
        heapify(heap)
        learned: list[Pair] = []
        while heap and len(learned) < merges:
            n, best = heappop(heap)
            if -n != frequency[best]:  # it has become rarer or more frequent, and is in the heap as such
                continue
            learned.append(best)
            changed: set[Pair] = set()
            for number in sorted(where[best]):
                changed |= count(number, -1)
                words[number][0][:] = _joined(words[number][0], best)
                changed |= count(number, 1)
            for pair in changed:
                if frequency[pair] > 1:
                    heappush(heap, (-frequency[pair], pair))
        return cls(learned)

    def split(self, text: str) -> list[str]:
        """The pieces of a text whose words have single spaces between them."""
        return [piece for word in WORD.findall(f" {text}" if text else "") for piece in self._word(word)]

    def _word(self, word: str) -> list[str]:
        if word not in self._known:
            pieces = list(word)
            while pairs := [pair for pair in pairwise(pieces) if pair in self.ranks]:
                pieces = _joined(pieces, min(pairs, key=self.ranks.__getitem__))
            self._known[word] = pieces
        return self._known[word]

    def join(self, pieces: Iterable[str]) -> str:
        """The text that has these pieces."""
        return "".join(pieces).strip()


def _joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """The pieces with every such pair as one."""
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out
