"""Pictures and what is said of them, in parts: to learn from, to validate with, and held out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import nn
from corpora.scenes import PARTS, WORDS, Scenes
from vision.datasets import Emoji


@dataclass(frozen=True)
class Captioned:
    """Pictures uint8 `N H W 3`, or what gives them when it is indexed, and the words of each."""

    name: str
    pictures: Any
    captions: list[list[str]]


def scenes(count: int, tested: int, seed: int) -> tuple[list[Captioned], nn.Vocabulary]:
    """`count` scenes to learn from, `tested` to validate with, and as many of either held-out kind."""
    drawn = [Scenes(n, part, seed) for n, part in zip((count, tested, tested, tested), PARTS, strict=True)]
    parts = [Captioned(one.part, one, [caption.split() for caption in one.captions]) for one in drawn]
    return parts, nn.Vocabulary(WORDS)


def emoji(count: int, tested: int, seed: int) -> tuple[list[Captioned], nn.Vocabulary]:
    """Up to `count` emoji to learn from, a tenth of the training set to validate with, and those held out."""
    training, testing = Emoji(), Emoji(train=False)
    validating = np.random.default_rng(seed).permutation(len(training)) % 10 == 0
    parts = [
        Captioned(part, source.images[rows], [words(source.names[i]) for i in rows])
        for part, source, rows in (
            ("train", training, np.flatnonzero(~validating)[:count]),
            ("valid", training, np.flatnonzero(validating)[:tested]),
            ("emoji", testing, np.arange(len(testing))[:tested]),
        )
    ]
    return parts, nn.Vocabulary.build(parts[0].captions)


def words(name: str) -> list[str]:
    """The words of a name, without punctuation.

    >>> words("family: man, woman, boy")
    ['family', 'man', 'woman', 'boy']
    """
    return re.findall(r"[^\s:,.“”()]+", name)


SETS: dict[str, Callable[[int, int, int], tuple[list[Captioned], nn.Vocabulary]]] = {"scenes": scenes, "emoji": emoji}
