"""Files that are either old or new, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from typing import TypeAlias

StrPath: TypeAlias = str | os.PathLike[str]


def write_atomically(path: StrPath, data: bytes) -> None:
    """Put `data` (bytes) at `path` so that a crash at any moment leaves the old file or the new one, never a mixture.

    Writes aside in the same directory, flushes to disk, renames over `path`, flushes the directory.

    Raises: `OSError` of the original kind, saying that the old file is intact; the file written aside is removed.
    A folder or a device (`/dev/null`) is refused, not replaced.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/note.txt"
    >>> write_atomically(path, b"kept")
    >>> Path(path).read_text()
    'kept'
    """
    # A symbolic link keeps pointing where it does: the file behind it is replaced, not the link.
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OSError(errno.EEXIST, f"save: {target} is a folder or a device, expected a file → choose another path")
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(aside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
        _sync_directory(target.parent)
    except OSError as error:
        state = "the previous file is intact" if target.exists() else "nothing was written"
        reason = f"save: could not write {len(data):,} bytes to {target}: {error.strerror}; {state}"
        raise OSError(error.errno, f"{reason} → free disk space or choose another path") from error
    finally:
        aside.unlink(missing_ok=True)


def _sync_directory(folder: Path) -> None:
    """Make the rename itself durable (POSIX; Windows has no such call and needs none)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
