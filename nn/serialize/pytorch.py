"""PyTorch's files, in the three layouts that it has had: zip archive, pickles in a row, tar archive; and bare pickles.

In each, a pickle describes the nest and refers to storages by key; the storages' bytes lie elsewhere in the file. So
the pickle is run first, within `pickles`' bounds, and says what to expect; then the bytes are read; then tensors are
made as views of them, so that tensors that shared a storage still do.

Source: torch/serialization.py of PyTorch 2 (`_save`, `_legacy_save`, `_load`, `_legacy_load`).
"""

from __future__ import annotations

import io
import mmap
import struct
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from nn.serialize.archive import SMALL, Archive
from nn.serialize.elements import Array, Order
from nn.serialize.pickles import SHARING, Described, Machine, finish
from nn.serialize.refusal import RefusedError, reading
from nn.serialize.vocabulary import VOCABULARY, NumPyArray, Storage, StridedTensor, storage_type, strided, whole_number

MAGIC = 0x1950A86A20F9469CFC6C
PLAIN_ONLY = "tensors, arrays and plain containers"

Wrap = Callable[[Array], Any]


def read_zip(path: Path, wrap: Wrap) -> Any:
    """The layout since PyTorch 1.6: `name/data.pkl`, `name/data/0`, … in a zip archive, not compressed."""
    with reading(path, f"a PyTorch archive whose data.pkl holds {PLAIN_ONLY}"), Archive(path, growth=1) as archive:
        names = set(archive.namelist())
        pickle = min(name for name in names if is_data(name))
        folder = pickle.removesuffix("data.pkl")
        order = bytes(archive.bytes_of(folder + "byteorder")) if folder + "byteorder" in names else b"little"
        storages: dict[Any, Storage] = {}

        def persistent(key: Any) -> Storage:
            storage = _storage(storages, key, ">" if order == b"big" else "<")
            if storage.nbytes != (there := archive.getinfo(f"{folder}data/{key[2]}").file_size):
                raise RefusedError(f"the storage {key[2]} of {storage.nbytes:,} bytes, of which {there:,} are there")
            return storage

        machine = _machine(path, io.BytesIO(archive.bytes_of(pickle).tobytes()), persistent)
        nest = machine.load()
        for key, storage in storages.items():
            storage.raw = archive.bytes_of(f"{folder}data/{key}")
        return _finish(nest, machine, wrap)


def is_data(name: str) -> bool:
    """Whether this entry of a zip archive makes it PyTorch's."""
    return name == "data.pkl" or name.endswith("/data.pkl")


def read_pickle(path: Path, wrap: Wrap) -> Any:
    """The layout before: pickles of a magic number, version, machine, the nest and the storages' keys; then the bytes.

    A file with one pickle that is not the magic number is the nest itself, with NumPy's arrays at most.
    """
    with reading(path, f"a PyTorch file or a pickle of {PLAIN_ONLY}"), _mapped(path) as stream:
        storages: dict[Any, Storage] = {}
        machine = _machine(path, stream, partial(_storage, storages))
        nest = machine.load()
        if nest == MAGIC:
            machine.load(), machine.load()  # the version, and the byte order of the machine, which the file never has
            nest = machine.load()
            _read_storages(stream, [storages[key] for key in machine.load()])
        if rest := len(stream.read(1)):
            raise RefusedError(f"{rest} byte more than announced")
        return _finish(nest, machine, wrap)


def read_tar(path: Path, wrap: Wrap) -> Any:
    """The layout before PyTorch 0.1.10: a tar archive with `storages`, `tensors` (shapes, strides) and `pickle`."""
    expected = f"a PyTorch tar archive of {PLAIN_ONLY}"
    with reading(path, expected), _mapped(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        storages: dict[Any, Storage] = {}
        machine = _machine(path, _member(archive, "storages"))
        for _ in range(machine.load()):
            key, _, kind = machine.load()
            storages[key] = Storage(storage_type(kind), _number(machine.stream))
            _fill(machine.stream, storages[key])
        for key, root, start, count in machine.load():
            storages[key] = _view(storages[root], start, count)
        tensors: dict[Any, StridedTensor] = {}
        machine = _machine(path, _member(archive, "tensors"))
        for _ in range(machine.load()):
            key, storage, _ = machine.load()
            axes = _number(machine.stream)
            shape, strides = ([_number(machine.stream) for _ in range(axes)] for _ in range(2))
            tensors[key] = strided(
                storages[storage], storages[storage].dtype, _number(machine.stream), tuple(shape), tuple(strides)
            )
        machine = _machine(path, _member(archive, "pickle"), lambda key: tensors[int(key)])
        return _finish(machine.load(), machine, wrap)


# --- what the layouts share ---


def _machine(path: Path, stream: IO[bytes], persistent: Callable[[Any], Any] | None = None) -> Machine:
    return Machine(stream, VOCABULARY, max(path.stat().st_size, SMALL), persistent)


def _storage(storages: dict[Any, Storage], key: Any, order: Order = "<") -> Storage:
    """The storage of a reference `("storage", class, key, device, count)`; the old layout adds a view's place."""
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage":
        raise RefusedError(f"a reference to a {key[0] if isinstance(key, tuple) and key else key!r}")
    _, kind, name, _, count, *view = key
    new = Storage(storage_type(kind), whole_number(count), order=order)
    root = storages.setdefault(name, new)
    if (root.dtype, root.count) != (new.dtype, new.count):
        raise RefusedError(f"the storage {name} with {new.count} × {new.dtype} and with {root.count} × {root.dtype}")
    if view and view[0] is not None:
        return _view(root, *view[0][1:])
    return root


def _view(root: Storage, start: Any, count: Any) -> Storage:
    return Storage(root.dtype, whole_number(count), root, whole_number(start))


def _read_storages(stream: IO[bytes], storages: list[Storage]) -> None:
    for storage in storages:
        if (count := _number(stream)) != storage.count:
            raise RefusedError(f"a storage of {count:,} elements, expected {storage.count:,}")
        _fill(stream, storage)


def _fill(stream: IO[bytes], storage: Storage) -> None:
    """Read a storage's bytes; a stream gives no more than it has, whatever is announced."""
    content = stream.read(storage.nbytes)
    if len(content) != storage.nbytes:
        raise RefusedError(f"a storage of {len(content):,} bytes, expected {storage.nbytes:,}")
    storage.raw = np.frombuffer(bytearray(content), np.uint8)


def _number(stream: IO[bytes]) -> int:
    (number,) = struct.unpack("<q", stream.read(8))
    return whole_number(number)


def _finish(nest: Any, machine: Machine, wrap: Wrap) -> Any:
    def make(described: Described) -> Any:
        if not isinstance(described, (StridedTensor, NumPyArray)):
            raise RefusedError(f"a {type(described).__name__} by itself")
        if described.nbytes > machine.limit:
            raise RefusedError(f"a tensor of {described.nbytes:,} bytes in a file that is smaller")
        if isinstance(described, StridedTensor) and not described.transform:
            return wrap(described.array())
        machine.spend(described.nbytes)  # a copy
        return described.array() if isinstance(described, NumPyArray) else wrap(described.array())

    return finish(nest, make, SHARING * machine.opcodes)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.getmember(name)
    stream = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if stream is None:
        raise RefusedError(f"{name} that is a link, a folder, or has holes")
    return io.BytesIO(stream.read())


@contextmanager
def _mapped(path: Path) -> Iterator[Any]:
    """The file as memory: reading gives what is there, never room for what is announced."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        yield stream
