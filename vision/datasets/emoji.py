"""Emoji: small pictures with a name and a category each."""

import json
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from autograd.errors import DataError
from vision.datasets.base import LabelledImages
from vision.datasets.fetch import Mirror, NpmPackage, RemoteFile, fetch
from vision.datasets.folder import decode

FILES = (
    RemoteFile("emoji.json", 1313457, "sha256:1d602e65be88772bf8cc368ce16b855d719eeddbafe128d471b80203f494d29f"),
    RemoteFile(
        "64.png",
        11283284,
        "sha256:daa7711b29897de6bd811a4cfeae911d8d8baa7f7e25c97d9b64354ae425ff5c",
        folder="img/twitter/sheets/",
    ),
)
SOURCES = (
    Mirror("https://cdn.jsdelivr.net/npm/emoji-datasource-twitter@16.0.0/"),
    NpmPackage("emoji-datasource-twitter@16.0.0", "package/", megabytes=62),
)
SIDE = 64
BORDER = 1  # pixels around every picture of the sheet


class Emoji(LabelledImages):
    """1,906 emoji as Twitter draws them, on white, in the nine categories of Unicode; a fifth of them to test with.

    Which ones are for testing is decided by a checksum of the name, so it never changes. `names` has their names in
    small letters ("grinning face with smiling eyes").

    Shapes: `images` uint8 `N 64 64 3`, `labels` int64 `N`.

    Raises `DataError` when no source can be reached, or a file is damaged; `ImportError` when Pillow is missing.

    Source: the package emoji-datasource-twitter 16.0.0; graphics by Twitter and contributors, CC-BY 4.0.

    >>> len(Emoji(train=False))                                                     # doctest: +SKIP
    403
    """

    classes = (
        "Activities", "Animals & Nature", "Flags", "Food & Drink", "Objects", "People & Body", "Smileys & Emotion",
        "Symbols", "Travel & Places",
    )  # fmt: skip
    mean: ClassVar[tuple[float, ...]] = (0.787, 0.737, 0.692)
    std: ClassVar[tuple[float, ...]] = (0.301, 0.288, 0.329)

    def __init__(self, train: bool = True) -> None:
        paths = fetch("Emoji", FILES, SOURCES, "emoji")
        entries = [e for e in _entries(paths["emoji.json"]) if (_draw(e["name"]) >= 0.2) == train]
        sheet = decode("Emoji", paths["64.png"], "RGB")
        step = SIDE + 2 * BORDER
        places = [(e["sheet_y"] * step + BORDER, e["sheet_x"] * step + BORDER) for e in entries]
        images = np.stack([sheet[y : y + SIDE, x : x + SIDE] for y, x in places])
        super().__init__(images, np.array([self.classes.index(e["category"]) for e in entries], np.int64))
        self.names = [e["name"].lower() for e in entries]
        self.train = train


def _entries(path: Path) -> list[dict[str, Any]]:
    """What the package says of each picture that has a category of its own, in Unicode's order."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        known = [e for e in entries if e["has_img_twitter"] and e["category"] in Emoji.classes]
        return sorted(known, key=lambda e: e["sort_order"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"Emoji: {path} is not the package's list of emoji ({error!r}) → remove it") from error


def _draw(name: str) -> float:
    """A number in 0..1 that depends on the name alone."""
    return zlib.crc32(name.encode()) / 2**32
