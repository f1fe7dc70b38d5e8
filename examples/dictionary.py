"""Translation word by word, as someone with a dictionary and no grammar would: the baseline.

The dictionary is learned from pairs of sentences: IBM's first model (Brown et al. 1993, sec. 4.1) says which word of
one language most often stands for which of the other.

>>> known = learn([("das Haus", "the house"), ("das Buch", "the book"), ("ein Buch", "a book")])
>>> translate("Ein Haus!", known)
'A house!'
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from corpora.pairs import Pair

WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
BEFORE = re.compile(r" (?=[.,:;?!)])")  # where no space is written


def words(text: str) -> list[str]:
    """The words and marks of a text, in small letters."""
    return WORD.findall(text.lower())


def learn(pairs: Iterable[Pair], rounds: int = 8) -> dict[str, str]:
    """The most probable translation of every word, in small letters: t(target word | source word), by EM."""
    sides = [[words(text) for text in texts] for texts in zip(*pairs, strict=True)]
    names = [sorted({word for words in side for word in words}) for side in sides]
    number = [{word: i for i, word in enumerate(known)} for known in names]
    links = []  # (place of a target word, target word, source word) for all that may belong together
    place = 0
    for source, target in zip(*sides, strict=True):
        for word in target:
            links += [(place, number[1][word], number[0][other]) for other in source]
            place += 1
    where, to, of = np.array(links).reshape(-1, 3).T
    entries, entry = np.unique(of * len(names[1]) + to, return_inverse=True)
    word = entries // len(names[1])
    t = np.ones(len(entries))
    for _ in range(rounds):
        share = t[entry] / np.bincount(where, t[entry])[where]
        count = np.bincount(entry, share)
        t = count / np.bincount(word, count)[word]
    order = np.lexsort((t, word))
    return {names[0][word[i]]: names[1][entries[i] % len(names[1])] for i in order}  # the last of each stays


def translate(text: str, known: dict[str, str]) -> str:
    """Word by word; one that is not in the dictionary stays as it is."""
    out = BEFORE.sub("", " ".join(known.get(word, word) for word in words(text)))
    return out[:1].upper() + out[1:] if text[:1].isupper() else out
