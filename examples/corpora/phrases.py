"""Short phrases in many languages: what Unicode's CLDR calls every emoji and symbol, aligned by the symbol itself.

>>> align({"🐈": "cat", "🌵": "cactus"}, {"🐈": "고양이", "☕": "뜨거운 음료"})
[('cat', '고양이')]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from autograd.errors import DataError
from corpora.pairs import Pair, Parts, split
from vision.datasets.fetch import Mirror, NpmPackage, RemoteFile, fetch

VERSION = "48.2.0"
PACKAGES = {"annotations": "cldr-annotations-full", "annotationsDerived": "cldr-annotations-derived-full"}
FILES = {
    ("annotations", "en"): (438314, "f22083cb86dffb63a643d5bacb5d9899f82d2fa5d388ad4f3aed72184acef505"),
    ("annotations", "fr"): (468933, "33da052f74782791989e6226d60871c846799e077a5a7fb4e87ecfa7ca385733"),
    ("annotations", "ko"): (472803, "197be7720f3cc64126fee01bad5fdb668e51de5674ce5ce5ada0bd5028f3417e"),
    ("annotationsDerived", "en"): (782906, "15c9457afa703a32dcc78d54626418a91e820fe0ddd67b7d491c4c4d9f5846ab"),
    ("annotationsDerived", "fr"): (786930, "012bb08af81a2ea0686e8fe069388f02dbd025d62b02d7423067c452b37e8855"),
    ("annotationsDerived", "ko"): (835120, "69e006aaa9f0ea4568e061b0018a0f11898e19f77606e85b111b95555299f52f"),
}
LANGUAGES = {"fr": "French", "ko": "Korean"}


def load(language: str) -> Parts:
    """English phrases and what they are called in `language`, "fr" or "ko".

    Raises `DataError` when the packages cannot be fetched, or a file of them is damaged. Unicode Licence V3.
    """
    return split(align(names("en"), names(language)))


def align(one: Mapping[str, str], other: Mapping[str, str]) -> list[Pair]:
    """The names of the symbols that have one in both languages."""
    return [(name, other[symbol]) for symbol, name in one.items() if symbol in other]


def names(language: str) -> dict[str, str]:
    """Every symbol's name in a language."""
    found = {}
    for kind, package in PACKAGES.items():
        size, digest = FILES[kind, language]
        file = RemoteFile("annotations.json", size, f"sha256:{digest}", folder=f"{kind}/{language}/")
        sources = (
            Mirror(f"https://cdn.jsdelivr.net/npm/{package}@{VERSION}/"),
            NpmPackage(f"{package}@{VERSION}", "package/", megabytes=6),
        )
        path = fetch("phrases", [file], sources, f"phrases/{kind}/{language}")[file.name]
        found |= {symbol: entry["tts"][0] for symbol, entry in _entries(path, kind).items() if entry.get("tts")}
    return found


def _entries(path: Path, kind: str) -> dict[str, dict[str, list[str]]]:
    try:
        entries: dict[str, dict[str, list[str]]] = json.loads(path.read_text(encoding="utf-8"))[kind]["annotations"]
        return entries
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"phrases: {path} is not CLDR's list of names ({error!r}) → remove it") from error
