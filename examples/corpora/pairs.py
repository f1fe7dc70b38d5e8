"""Pairs of a text and its translation, in three parts that have no text in common, and pairs from anybody's file.

>>> parts = split([("eins", "one"), ("zwei", "two"), ("ein", "one"), (" ", "three")])
>>> sum(map(len, (parts.train, parts.valid, parts.test))), dict(parts.left_out)
(2, {'a text twice': 1, 'empty': 1})
"""

from __future__ import annotations

import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from autograd.errors import DataError
from corpora import read_text

Pair: TypeAlias = tuple[str, str]

PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u201e«»–", '\'\'"""""-') | {ord("…"): "..."}


@dataclass
class Parts:
    """Pairs to learn from, `extra` ones beside them, to choose by and to test with; what was left out, and why."""

    train: list[Pair] = field(default_factory=list)
    valid: list[Pair] = field(default_factory=list)
    test: list[Pair] = field(default_factory=list)
    extra: list[Pair] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        kinds = {"to learn from": self.train, "more": self.extra, "to choose by": self.valid, "to test with": self.test}
        left_out = "; left out: " + ", ".join(f"{n:,} {why}" for why, n in self.left_out.items())
        return ", ".join(f"{len(p):,} pairs {kind}" for kind, p in kinds.items() if p) + left_out * any(self.left_out)


def normal(text: str) -> str:
    """One way of writing: composed characters, single spaces, three dots, straight quotation marks."""
    return " ".join(unicodedata.normalize("NFC", text).translate(PLAIN).split())


def draw(text: str) -> float:
    """A number in 0..1 that depends on the text alone."""
    return zlib.crc32(text.encode()) / 2**32


def split(pairs: Iterable[Pair], valid: float = 0.05, test: float = 0.1) -> Parts:
    """Deal pairs out by a checksum of their first text; of pairs that share a text, only the first counts."""
    parts = Parts()
    seen: tuple[set[str], set[str]] = set(), set()
    for pair in pairs:
        source, target = map(normal, pair)
        if not source or not target:
            parts.left_out["empty"] += 1
        elif source.lower() in seen[0] or target.lower() in seen[1]:
            parts.left_out["a text twice"] += 1
        else:
            seen[0].add(source.lower())
            seen[1].add(target.lower())
            place = draw(source.lower())
            part = parts.test if place < test else parts.valid if place < test + valid else parts.train
            part.append((source, target))
    return parts


def read(path: Path) -> Parts:
    """Pairs from a file of lines "text, tab, translation"; other lines are left out and counted.

    Raises `DataError` when the file is no UTF-8 text, or no line has a pair.
    """
    found = [tuple(line.split("\t")) for line in read_text(path).splitlines()]
    parts = split(pair for pair in found if len(pair) == 2)
    if wrong := sum(len(pair) != 2 for pair in found):
        parts.left_out["lines without exactly one tab"] = wrong
    if not parts.train:
        raise DataError(f"read: {path} has no pairs to learn from ({parts}) → give lines of text, tab, translation")
    return parts
