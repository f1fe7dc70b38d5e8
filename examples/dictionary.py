"""Translation word by word, as someone with a dictionary and no grammar would: the baseline.

The dictionary is learned from pairs of sentences: IBM's first model (Brown et al. 1993, sec. 4.1) says which word of
one language most often stands for which of the other.

>>> known = learn([("das Haus", "the house"), ("das Buch", "the book"), ("ein Buch", "a book")])
>>> translate("Ein Haus!", known)
'A house!'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from corpora.pairs import Pair
from numpy.typing import NDArray

Entries: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]

WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
BEFORE = re.compile(r" (?=[.,:;?!)])")  # where no space is written


def words(text: str) -> list[str]:
    """The words and marks of a text, in small letters."""
    return WORD.findall(text.lower())


def model_1(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], rounds: int = 8) -> Entries:
    """Which numbered words stand for which, by EM: sources, targets, and how often the one stood for the other."""
    targets = [target for _, target in pairs]
    of = np.concatenate([np.tile(source, len(target)) for source, target in pairs]).astype(np.int64)
    to = np.concatenate([np.repeat(target, len(source)) for source, target in pairs]).astype(np.int64)
    lengths = [np.full(len(target), len(source)) for source, target in pairs]
    where = np.repeat(np.arange(sum(map(len, targets))), np.concatenate(lengths))  # which target word each link is of
    size = max(map(max, filter(len, targets)), default=0) + 1
    entries, entry = np.unique(of * size + to, return_inverse=True)
    source, target = np.divmod(entries, size)
    t = np.ones(len(entries))
    for _ in range(rounds):
        share = t[entry] / np.bincount(where, t[entry])[where]
        count = np.bincount(entry, share)
        t = count / np.bincount(source, count)[source]
    return source, target, count


def learn(pairs: Iterable[Pair], rounds: int = 8) -> dict[str, str]:
    """The most probable translation of every word, in small letters."""
    sides = [[words(text) for text in texts] for texts in zip(*pairs, strict=True)]
    names = [sorted({word for words in side for word in words}) for side in sides]
    number = [{word: i for i, word in enumerate(known)} for known in names]
    numbered = [[[known[word] for word in words] for words in side] for known, side in zip(number, sides, strict=True)]
    source, target, count = model_1(list(zip(*numbered, strict=True)), rounds)
    order = np.lexsort((count, source))
    return {names[0][source[i]]: names[1][target[i]] for i in order}  # the last of each stays


def translate(text: str, known: dict[str, str]) -> str:
    """Word by word; one that is not in the dictionary stays as it is."""
    out = BEFORE.sub("", " ".join(known.get(word, word) for word in words(text)))
    return out[:1].upper() + out[1:] if text[:1].isupper() else out
