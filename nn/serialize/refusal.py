"""How a file is refused: always a `DataError` that names the file, what was expected, what was found, what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograd.errors import DataError

REMEDY = "the file is truncated, corrupted or of another format; fetch or save it again"


class RefusedError(Exception):
    """What a reader found instead of what it can read, and the remedy; `reading` adds the file's name."""

    def __init__(self, found: str, remedy: str = REMEDY) -> None:
        super().__init__(found)
        self.remedy = remedy


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Around a parser of files of unknown origin: whatever it stumbles over means that the file is bad.

    Raises: `DataError`; `OSError` where the disk failed, not the format.
    """
    try:
        yield
    except RefusedError as error:
        raise _refusal(path, expected, str(error), error.remedy) from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # EINVAL: the file says to look where no file is
            raise
        raise _refusal(path, expected, str(error)) from error
    except DataError:
        raise
    except Exception as error:
        raise _refusal(path, expected, f"{type(error).__name__}: {error}") from error


def _refusal(path: Path, expected: str, found: str, remedy: str = REMEDY) -> DataError:
    return DataError(f"load: {path}: expected {expected}, found {found[:500]} → {remedy}")
