"""Files out of Debian packages: stand-ins for the two clients fetch and unpack what they are told."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from autograd.errors import DataError
from vision.datasets import apt as module
from vision.datasets.apt import AptPackage
from vision.datasets.fetch import RemoteFile, SourceError, fetch

CONTENT = b"Boden :: ground\n"
FILE = RemoteFile("words", len(CONTENT), "sha256:" + hashlib.sha256(CONTENT).hexdigest())
PACKAGE = AptPackage("sample", "./usr/share/sample/", 0.1)


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let apt-get leave so many archives, and dpkg-deb unpack these files; records the commands."""
    monkeypatch.setenv("UNFOLDGRAD_DATA", str(tmp_path))
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/bin/{name}")
    commands: list[list[str]] = []

    def install(files: dict[str, bytes | str], archives: int = 1) -> list[list[str]]:
        def run(command: list[str], folder: str) -> None:
            commands.append(command)
            if command[0] == "/bin/apt-get":
                for number in range(archives):
                    Path(folder, f"sample_{number}_all.deb").touch()
            else:
                for name, content in files.items():
                    path = Path(command[-1], name)
                    path.parent.mkdir(parents=True)
                    path.write_bytes(content) if isinstance(content, bytes) else path.symlink_to(content)

        monkeypatch.setattr(module, "run_client", run)
        return commands

    return install


def test_a_file_of_a_package(clients: Any) -> None:
    commands = clients({"usr/share/sample/words": CONTENT})
    assert fetch("Sample", [FILE], [PACKAGE], "sample")["words"].read_bytes() == CONTENT
    assert [command[1] for command in commands] == ["download", "--extract"] and commands[0][-1] == "sample"
    assert fetch("Sample", [FILE], [PACKAGE], "sample")["words"].is_file() and len(commands) == 2


@pytest.mark.parametrize(
    ("files", "archives", "why"),
    [
        ({}, 0, "left 0 archives, expected 1"),
        ({}, 1, "holds no file ./usr/share/sample/words"),
        ({"usr/share/sample/words": "/etc/hostname"}, 1, "holds no file"),
        ({"usr/share/sample/words": b"short"}, 1, "words has 5 bytes, expected 16"),
        ({"usr/share/sample/words": CONTENT[::-1]}, 1, "words has sha256"),
    ],
)
def test_what_a_package_does_not_hold(clients: Any, tmp_path: Path, files: Any, archives: int, why: str) -> None:
    clients(files, archives)
    with pytest.raises(DataError, match=why):
        fetch("Sample", [FILE], [PACKAGE], "sample")
    assert not (tmp_path / "sample" / "words").exists()


def test_without_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(SourceError, match="part of Debian"):
        list(PACKAGE.deliver([FILE]))
