"""German and English: sentences, phrases and words of the dictionary *ding*, which Frank Richter keeps (TU Chemnitz).

A line of the dictionary has German and English on either side of `::`, forms and examples between `|`, which
correspond, alternatives between `;`, and notes in brackets:

>>> line = "Boden {m}; Grund {m} | Böden {pl} | Er fiel zu Boden. :: ground | grounds | He fell to the ground."
>>> for pair in parse([line], Counter()):
...     print(pair)
('Boden', 'ground')
('Grund', 'ground')
('Böden', 'grounds')
('Er fiel zu Boden.', 'He fell to the ground.')
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from corpora.pairs import Pair, Parts, normal, split
from vision.datasets.apt import AptPackage
from vision.datasets.fetch import RemoteFile, fetch

FILE = RemoteFile("de-en", 25611714, "sha256:34052c6021d09eadfee7a893a789204265954df70fe9c36d38fa00058d79d326")
SOURCES = (AptPackage("trans-de-en", "./usr/share/trans/", megabytes=6.3),)
HINT = "Debian's package trans-de-en 1.9-6 has it: https://packages.debian.org/trans-de-en (GPL, version 2 or later)."

NOTE = re.compile(r"\s*(\{[^}]*\}|\[[^\]]*\]|\([^)]*\)|<[^>]*>)")
WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")


def load(longest: int = 20, phrase: int = 4) -> Parts:
    """The dictionary's sentences of up to `longest` words and marks a side; `extra`: phrases and words, up to `phrase`.

    A phrase is there if the English side of some training sentence has all its words, which leaves out what only
    specialists say.

    Raises `DataError` when the dictionary cannot be fetched.
    """
    path = fetch("german", [FILE], SOURCES, "german", HINT)[FILE.name]
    left_out: Counter[str] = Counter()
    with path.open(encoding="utf-8") as lines:
        known = list(parse(lines, left_out))
    short = [pair for pair in known if not is_sentence(pair) or size(pair) <= longest]
    left_out[f"sentences of more than {longest} words"] = len(known) - len(short)
    parts = split(pair for pair in short if is_sentence(pair))
    parts.left_out += left_out
    used = {word.lower() for _, english in parts.train for word in WORD.findall(english)}
    phrases = (pair for pair in short if not is_sentence(pair) and size(pair) <= phrase)
    parts.extra = [pair for pair in phrases if used.issuperset(word.lower() for word in WORD.findall(pair[1]))]
    parts.extra = list(dict(reversed(parts.extra)).items())  # one translation for each: the first
    held_out = {text.lower() for pair in parts.valid + parts.test for text in pair}
    parts.extra = [pair for pair in parts.extra if held_out.isdisjoint(text.lower() for text in pair)]
    return parts


def size(pair: Pair) -> int:
    """Words and marks on the longer side."""
    return max(len(WORD.findall(text)) for text in pair)


def is_sentence(pair: Pair) -> bool:
    """Whether both sides begin as sentences do, and end so."""
    return all(text[-1] in ".?!" and text[0].isupper() and " " in text and text[-3:] != "..." for text in pair)


def parse(lines: Iterable[str], left_out: Counter[str]) -> Iterator[Pair]:
    """The pairs of the dictionary's lines; lines and pairs that say nothing clear are counted by the reason."""
    for line in lines:
        if line.startswith("#") or not line.strip():
            continue
        forms = [side.split("|") for side in line.split("::")]
        if len(forms) != 2 or len(forms[0]) != len(forms[1]):
            left_out["lines whose sides do not correspond"] += 1
            continue
        for several, one in zip(*forms, strict=True):
            target = clean(one.split(";")[0])
            for source in map(clean, several.split(";")):
                if "/" in source or "/" in target:
                    left_out["phrases with alternatives inside"] += 1
                elif source and target:
                    yield source, target


def clean(text: str) -> str:
    """Without the notes in brackets."""
    return normal(NOTE.sub("", text))
