"""Files inside Debian packages, fetched with `apt-get` and unpacked with `dpkg-deb`; nothing is installed or run."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from vision.datasets.fetch import RemoteFile, SourceError, run_client


@dataclass(frozen=True)
class AptPackage:
    """Files in a folder of a Debian package (`"./usr/share/dict/"`), of the version that the system's lists offer."""

    package: str
    folder: str
    megabytes: float

    def __str__(self) -> str:
        return f"apt-get download {self.package}"

    def deliver(self, files: Sequence[RemoteFile]) -> Iterator[tuple[RemoteFile, Iterable[bytes]]]:
        """Each file with its content; raises `SourceError` when it cannot be had."""
        clients = [shutil.which(name) for name in ("apt-get", "dpkg-deb")]
        if None in clients:
            raise SourceError("apt-get and dpkg-deb are not both on PATH (they are part of Debian and Ubuntu)")
        apt, dpkg = map(str, clients)
        with tempfile.TemporaryDirectory(prefix="unfoldgrad-") as scratch:
            with Console(stderr=True).status(f"{self} ({self.megabytes} MB)"):
                run_client([apt, "download", "--quiet=2", self.package], scratch)
            archives = list(Path(scratch).glob("*.deb"))
            if len(archives) != 1:
                raise SourceError(f"left {len(archives)} archives, expected 1")
            content = Path(scratch, "content")
            run_client([dpkg, "--extract", str(archives[0]), str(content)], scratch)
            for file in files:
                path = content / self.folder / file.path
                if path.is_symlink() or not path.is_file():
                    raise SourceError(f"{archives[0].name} holds no file {self.folder}{file.path}")
                yield file, [path.read_bytes()]
