"""Pictures and what is said of them: to learn from, to validate with, and held out; the nearest picture's caption."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def thumbnails(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures N H W 3, averaged over squares of 4 × 4 pixels, as rows."""
    n, height, width, _ = pictures.shape
    return pictures.reshape(n, height // 4, 4, width // 4, 4, 3).mean((2, 4), dtype=np.float32).reshape(n, -1)


def nearest(train: Captioned, pictures: NDArray[np.uint8]) -> list[list[str]]:
    """What is said of the most similar training picture, by the squared differences of thumbnails."""
    known = np.concatenate([thumbnails(train.pictures[i : i + 500]) for i in range(0, len(train.captions), 500)])
    distances = (known**2).sum(1) - 2 * thumbnails(pictures) @ known.T
    return [train.captions[i] for i in distances.argmin(axis=1)]


SETS: dict[str, Callable[[int, int, int], tuple[list[Captioned], nn.Vocabulary]]] = {"scenes": scenes, "emoji": emoji}
