"""Saving and loading: safetensors on disk, written atomically, and nothing is ever executed on loading.

A checkpoint is a nest of dicts, lists and tuples whose leaves are tensors, arrays, numbers, strings, bools or None.
The arrays become safetensors entries; the nest itself is JSON in the file's metadata, with a checksum over both. A file
that holds a flat `state_dict` is therefore an ordinary safetensors file that any other reader opens as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import autograd
from autograd import Tensor
from nn.serialize.archive import Archive
from nn.serialize.atomic import StrPath, write_atomically
from nn.serialize.elements import Array
from nn.serialize.nest import checksum, describe, rebuild
from nn.serialize.npz import GROWTH, read_npz
from nn.serialize.pytorch import Wrap, is_data, read_pickle, read_tar, read_zip
from nn.serialize.refusal import RefusedError, reading
from nn.serialize.tensors import read_safetensors

__all__ = ["StrPath", "load", "save", "write_atomically"]

_STRUCTURE, _CHECKSUM = "unfold.structure", "unfold.crc32"


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
    structure = json.dumps(describe(obj, "", arrays), separators=(",", ":"))
    metadata = {_STRUCTURE: structure, _CHECKSUM: checksum(structure, arrays)}
    write_atomically(path, pack(arrays, metadata))


def load(path: StrPath, device: str = "cpu") -> Any:
    """Read what `save` wrote, or weights of others: PyTorch's `.pth`, safetensors, NumPy's `.npz`, pickled arrays.

    The first bytes decide what the file is, not its name. PyTorch's and pickled files give the nest that they hold,
    the others a flat dict of tensors. bfloat16 becomes float32, float8 becomes float16: NumPy has neither.
    `device`: where the tensors go, `"cpu"` or `"cuda"`.

    Loading never executes code from the file and takes no more memory than a small multiple of its size
    (docs/weights.md says how).

    Raises: `DataError` for a truncated, corrupted or foreign file, and for a pickle of anything but tensors and plain
    containers, naming the path, what was expected and what was found; `FileNotFoundError` where there is none.
    """
    path = Path(path)
    with open(path, "rb") as file:
        start = file.read(512)

    def wrap(array: Array) -> Tensor:
        return Tensor(array) if device == "cpu" else autograd.tensor(array, device=device)

    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        with reading(path, "an archive: .npz, or PyTorch's .pth"), Archive(path, GROWTH) as archive:
            pytorch = any(map(is_data, archive.namelist()))
        return read_zip(path, wrap) if pytorch else _wrapped(read_npz(path), wrap)
    if start[257:262] == b"ustar":
        return read_tar(path, wrap)
    if start[8:9] == b"{" and (start[0] != 0x80 or start[5:8] == bytes(3)):  # a header's length, or a pickle's start
        return _read_checkpoint(path, wrap)
    with reading(path, "a file of PyTorch, safetensors or .npz"):
        if not start or start[0] not in b"\x80(]}lcd":  # how pickles begin, of every protocol
            raise RefusedError(f"{path.stat().st_size:,} bytes that begin with {start[:8]!r}")
    return read_pickle(path, wrap)


def _read_checkpoint(path: Path, wrap: Wrap) -> Any:
    """A safetensors file: the nest that `save` put into its metadata, or else a flat dict."""
    arrays, metadata = read_safetensors(path)
    structure, expected = metadata.get(_STRUCTURE), metadata.get(_CHECKSUM)
    if structure is None and expected is None:
        return _wrapped(arrays, wrap)
    with reading(path, "a checkpoint"):
        if (found := checksum(structure or "", arrays)) != expected:
            raise RefusedError(f"contents with checksum {found}, while it says {expected}")
        return rebuild(json.loads(structure or ""), arrays, wrap)


def _wrapped(arrays: dict[str, Array], wrap: Wrap) -> dict[str, Tensor]:
    return {name: wrap(array) for name, array in arrays.items()}
