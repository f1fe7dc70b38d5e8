"""Zip archives of unknown origin, read within bounds; nothing is ever unpacked to disk, so names lead nowhere."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from nn.serialize.elements import Array
from nn.serialize.refusal import RefusedError

_CHUNK = 1 << 20
SMALL = 1 << 20
"""Bytes that a file of any size may take in memory."""


class Archive(zipfile.ZipFile):
    """An archive whose entries declare no more than `growth` times its own size in bytes.

    Raises: `RefusedError` for one that declares more (a zip bomb), names an entry twice, or is encrypted.
    """

    def __init__(self, path: Path, growth: int) -> None:
        super().__init__(path)
        size, entries = path.stat().st_size, self.infolist()
        names = [entry.filename for entry in entries]
        declared, most = sum(entry.file_size for entry in entries), max(growth * size, SMALL)
        if declared > most:
            raise RefusedError(
                f"{declared:,} bytes declared in an archive of {size:,}, expected at most {most:,}",
                "it may be a zip bomb; if it is yours, save it uncompressed",
            )
        if twice := [name for name in set(names) if names.count(name) > 1]:
            raise RefusedError(f"the entry {min(twice)!r} twice")
        if locked := [entry.filename for entry in entries if entry.flag_bits & 1]:
            raise RefusedError(f"the encrypted entry {locked[0]!r}", "decrypt it first")

    def bytes_of(self, name: str) -> Array:
        """An entry's content as bytes that can be written to; its checksum is verified."""
        content, at = np.empty(self.getinfo(name).file_size, np.uint8), 0
        with self.open(name) as stream:
            while chunk := stream.read(_CHUNK):
                content[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
                at += len(chunk)
        if at != content.size:
            raise RefusedError(f"{at:,} bytes in the entry {name!r}, expected {content.size:,}")
        return content
