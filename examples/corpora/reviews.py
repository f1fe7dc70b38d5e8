r"""Movie reviews: sentences from Rotten Tomatoes, each rated by at least twenty people from −4, bad, to 4, good.

>>> parts = parse("1\t3.2\tA film so good.\n2\t0.3\tLong.\n3\tNot a number\n\n")
>>> [review for part in (parts.train, parts.valid, parts.test) for review in part]
[Review(rating=3.2, text='A film so good.'), Review(rating=0.3, text='Long.')]
>>> dict(parts.left_out)
{'lines without a number, a rating from −4 to 4 and a text': 1, 'empty lines': 1}
>>> words("It isn't Casablanca's fault...")
['it', 'is', "n't", 'casablanca', "'s", 'fault', '...']
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from autograd.errors import DataError
from corpora import read_text
from vision.datasets.fetch import Mirror, RemoteFile, fetch, read_members
from vision.datasets.pip import SOURCES, PipPackage

FILE = RemoteFile(
    "hutto_ICWSM_2014.tar.gz", 2338514, "sha256:d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"
)
MEMBER, SIZE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", 1383098
PLACES = (
    Mirror(
        "https://raw.githubusercontent.com/cjhutto/vaderSentiment/"
        "18c86513ea60b02fce8f3b1b598da43042d91b08/additional_resources/"
    ),
    PipPackage(
        "vaderSentiment==3.3.2",
        "vaderSentiment-3.3.2/additional_resources/",
        2.5,
        "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        SOURCES,
    ),
)

CLEAR = 1.0  # the least rating, for or against, that counts as an opinion
WORD = re.compile(r"n't\b|\w+?(?=n't\b)|'\w+|\w+|\.\.\.|[^\w\s]")


class Review(NamedTuple):
    """What was written, and how good people found what it says of the film, from −4 to 4."""

    rating: float
    text: str


@dataclass
class Parts:
    """Reviews to learn from, to choose by and to test with; how many lines were left out, and why."""

    train: list[Review] = field(default_factory=list)
    valid: list[Review] = field(default_factory=list)
    test: list[Review] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        kinds = {"to learn from": self.train, "to choose by": self.valid, "to test with": self.test}
        left_out = "; left out: " + ", ".join(f"{n:,} {why}" for why, n in self.left_out.items())
        return ", ".join(f"{len(part):,} reviews {kind}" for kind, part in kinds.items()) + left_out * any(
            self.left_out
        )


def load() -> Parts:
    """The reviews of the package vaderSentiment, in three parts.

    Raises `DataError` when the package cannot be had, or a file is damaged.

    Source: Hutto & Gilbert 2014, sec. 3.2.2; the sentences: Pang & Lee 2005.

    >>> print(load())                                                               # doctest: +SKIP
    8,478 reviews to learn from, 1,030 reviews to choose by, 1,095 reviews to test with; left out: 2 a text twice
    """
    archive = fetch("reviews", [FILE], PLACES, "reviews")[FILE.name]
    return parse(read_members(archive, {MEMBER: SIZE})[MEMBER].decode("utf-8"))


def read(path: Path) -> Parts:
    """Reviews from a file of lines "number, tab, rating, tab, text", as UTF-8.

    Raises `DataError` when the file is no UTF-8 text, or has no reviews to learn from, to choose by or to test with.
    """
    parts = parse(read_text(path))
    if not (parts.train and parts.valid and parts.test):
        raise DataError(
            f"read: {path} has too few reviews: {parts} → give more lines of number, tab, rating, tab, text"
        )
    return parts


def parse(content: str) -> Parts:
    """Deal reviews out by a checksum of their text: 80 % to learn from, 10 % to choose by, 10 % to test with."""
    parts, seen = Parts(), set()
    for line in content.splitlines():
        _, rating, text = (*line.split("\t", 2), "", "")[:3]
        text = " ".join(text.split())
        if not line.strip():
            parts.left_out["empty lines"] += 1
        elif not text or not _is_rating(rating):
            parts.left_out["lines without a number, a rating from −4 to 4 and a text"] += 1
        elif text.lower() in seen:
            parts.left_out["a text twice"] += 1
        else:
            seen.add(text.lower())
            place = zlib.crc32(text.lower().encode()) % 10
            part = parts.test if place == 0 else parts.valid if place == 1 else parts.train
            part.append(Review(float(rating), text))
    return parts


def _is_rating(text: str) -> bool:
    try:
        return -4 <= float(text) <= 4
    except ValueError:
        return False


def clear(reviews: list[Review]) -> list[Review]:
    """The reviews that are for or against."""
    return [review for review in reviews if abs(review.rating) >= CLEAR]


def words(text: str) -> list[str]:
    """Words in small letters, endings such as n't and 's by themselves, and marks."""
    return WORD.findall(text.lower().replace("\u2019", "'"))
