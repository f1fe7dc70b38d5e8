"""The texts, series and pictures that the programs beside this package learn from."""

from pathlib import Path

from autograd.errors import DataError


def read_text(path: Path) -> str:
    """Anybody's file as text. Raises `DataError` when it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"read: {path} is not UTF-8 (byte {error.start:,} is {error.object[error.start]:#04x}) "
            f"→ convert it, for example: iconv -f latin1 -t utf-8 {path.name}"
        ) from error
