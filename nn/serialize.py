"""Saving and loading: safetensors on disk, written atomically, and nothing is ever executed on loading.

A checkpoint is a nest of dicts, lists and tuples whose leaves are tensors, arrays, numbers, strings, bools or None.
The arrays become safetensors entries; the nest itself is JSON in the file's metadata, with a checksum over both. A file
that holds a flat `state_dict` is therefore an ordinary safetensors file that any other reader opens as well.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import autograd
from autograd import Tensor
from autograd.errors import DataError, DTypeError

Array: TypeAlias = NDArray[Any]
StrPath: TypeAlias = str | os.PathLike[str]

_STRUCTURE, _CHECKSUM = "unfold.structure", "unfold.crc32"
_ZIP, _ZIP_EMPTY = b"PK\x03\x04", b"PK\x05\x06"


def save(obj: Any, path: StrPath) -> None:
    """Write a `state_dict`, or a nest of dicts, lists, tuples, tensors and plain values, as one safetensors file.

    The write is atomic: at every moment `path` holds either the whole old file or the whole new one.

    Raises: `DTypeError` for a value that safetensors and JSON cannot hold (nothing is pickled); `OSError` when the
    disk is full or the folder is missing or read-only, with the old file intact.
    Source: the safetensors format, https://github.com/huggingface/safetensors.

    >>> import tempfile, autograd
    >>> path = tempfile.mkdtemp() + "/weights.safetensors"
    >>> save({"w": autograd.tensor([1.0, 2.0]), "epoch": 3}, path)
    >>> load(path)["epoch"], load(path)["w"].numpy().tolist()
    (3, [1.0, 2.0])
    """
    from safetensors.numpy import save as pack

    arrays: dict[str, Array] = {}
    structure = json.dumps(_describe(obj, "", arrays), separators=(",", ":"))
    metadata = {_STRUCTURE: structure, _CHECKSUM: _checksum(structure, arrays)}
    write_atomically(path, pack(arrays, metadata))


def load(path: StrPath, device: str = "cpu") -> Any:
    """Read what `save` wrote, any other safetensors file, or a NumPy `.npz` (the last two as flat dicts of tensors).

    `device`: where the tensors go, `"cpu"` or `"cuda"`. Loading never executes code from the file.

    Raises: `DataError` for a truncated, corrupted or foreign file, naming the path, what was expected and what was
    found; `FileNotFoundError` where there is none.
    Source: the safetensors format, https://github.com/huggingface/safetensors.
    """
    path = Path(path)
    with open(path, "rb") as file:
        magic = file.read(8)
    read = _read_npz if magic[:4] in (_ZIP, _ZIP_EMPTY) else _read_safetensors
    return read(path, magic, lambda array: autograd.tensor(array, device=device))


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


# --- the nest as JSON: a list stands for itself, what JSON lacks is an object with one key that names its kind ---


def _describe(value: Any, where: str, arrays: dict[str, Array]) -> Any:
    """`value` as plain JSON; its arrays are moved into `arrays` and referred to by name."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (np.bool_, np.number)) and value.dtype.itemsize <= 8:
        return _describe(value.item(), where, arrays)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, (Tensor, np.ndarray)):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        return {kind: _store(value, where, arrays)}
    if isinstance(value, (list, tuple)):
        items = [_describe(item, _join(where, i), arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        # Pairs, not a JSON object: keys may be integers, and their order is the order of definition.
        return {"dict": [[_key(k, where), _describe(v, _join(where, k), arrays)] for k, v in value.items()]}
    raise DTypeError(
        f"save: {where or 'the object'} is a {type(value).__name__}, expected tensors, arrays, numbers, strings, "
        "bools, None, or dicts, lists and tuples of them → save its state_dict() or convert it (nothing is pickled)"
    )


def _key(key: Any, where: str) -> str | int:
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise DTypeError(
            f"save: {where or 'the object'} has the key {key!r} of type {type(key).__name__}, expected str or int"
            " → rename the key"
        )
    return key


def _join(where: str, key: Any) -> str:
    return f"{where}.{key}" if where else str(key)


def _store(value: Tensor | Array, where: str, arrays: dict[str, Array]) -> str:
    array = np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value, order="C")
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 8:
        raise DTypeError(
            f"save: {where or 'the object'} has dtype {array.dtype}, expected bool, (u)int8-64, float16-64 or complex64"
            " → convert it first"
        )
    name = where or "tensor"
    while name in arrays:  # {"a": {"b": x}, "a.b": y} would share a name
        name += "'"
    arrays[name] = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return name


def _rebuild(node: Any, arrays: Mapping[str, Array], wrap: Callable[[Array], Tensor]) -> Any:
    """The inverse of `_describe`. Raises KeyError, TypeError or ValueError for anything that it never writes."""
    if isinstance(node, list):
        return [_rebuild(item, arrays, wrap) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    match kind:
        case "tensor":
            return wrap(arrays[content])
        case "array":
            return arrays[content].copy()
        case "float":
            return float(content)
        case "tuple":
            return tuple(_rebuild(item, arrays, wrap) for item in content)
        case "dict":
            return {key: _rebuild(item, arrays, wrap) for key, item in content}
    raise ValueError(f"unknown kind {kind!r}")


def _checksum(structure: str, arrays: Mapping[str, Array]) -> str:
    """CRC-32 over the structure and all arrays: safetensors itself does not notice a flipped bit."""
    crc = zlib.crc32(structure.encode())
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(f"{name}:{array.dtype.str}:{array.shape}".encode(), crc)
        crc = zlib.crc32(np.asarray(array, order="C").reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


# --- reading ---


def _read_safetensors(path: Path, magic: bytes, wrap: Callable[[Array], Tensor]) -> Any:
    size, header = path.stat().st_size, int.from_bytes(magic, "little")
    if len(magic) < 8 or not 2 <= header <= size - 8:
        looks = f"a header of {header:,} bytes announced" if len(magic) == 8 else f"only the bytes {magic!r}"
        raise _bad(path, f"a safetensors or .npz file, found {size:,} bytes with {looks}")
    arrays, metadata = _foreign(path, "a safetensors file", lambda: _unpack(path))
    structure, checksum = metadata.get(_STRUCTURE), metadata.get(_CHECKSUM)
    if structure is None and checksum is None:
        return {name: wrap(array) for name, array in arrays.items()}
    found = _checksum(structure or "", arrays)
    if found != checksum:
        raise _bad(path, f"contents with checksum {checksum}, found {found}")
    return _foreign(path, "the structure of a checkpoint", lambda: _rebuild(json.loads(structure or ""), arrays, wrap))


def _unpack(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in _names(file)}, file.metadata() or {}


def _names(file: Any) -> Iterable[str]:
    names: Iterable[str] = file.keys()
    return names


def _read_npz(path: Path, magic: bytes, wrap: Callable[[Array], Tensor]) -> dict[str, Tensor]:
    def read() -> dict[str, Any]:
        # Opened here: NumPy leaves a file open that turns out not to be a zip archive.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    arrays = _foreign(path, "an .npz file of plain arrays", read)
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufc":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise _bad(path, f"an .npz file of numeric arrays, found the entry {name!r} of type {kind}")
    return {name: wrap(array) for name, array in arrays.items()}


def _foreign(path: Path, expected: str, read: Callable[[], Any]) -> Any:
    """Run a parser on a file of unknown origin: whatever it stumbles over means that the file is bad."""
    try:
        return read()
    except OSError as error:
        if error.errno is not None:  # the disk failed, not the format
            raise
        raise _bad(path, f"{expected}, found {error}") from error
    except Exception as error:
        raise _bad(path, f"{expected}, found {type(error).__name__}: {error}") from error


def _bad(path: Path, what: str) -> DataError:
    return DataError(
        f"load: {path}: expected {what} → the file is truncated, corrupted or of another format; fetch or save it again"
    )
