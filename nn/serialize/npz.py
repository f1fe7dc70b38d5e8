"""NumPy's `.npz`: a zip archive of `.npy` files, each a header with shape and type before the numbers."""

from __future__ import annotations

import math
from pathlib import Path

from numpy.lib import format as npy

from nn.serialize.archive import Archive
from nn.serialize.elements import Array
from nn.serialize.refusal import RefusedError, reading

GROWTH = 16
"""How many times its size a compressed file may declare: weights shrink little, zip bombs a thousandfold."""


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays by name.

    Raises: `DataError` for anything but numbers (nothing is unpickled), for headers that announce more than is there.
    Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
    """
    with reading(path, "an .npz file of numeric arrays"), Archive(path, GROWTH) as archive:
        return {name.removesuffix(".npy"): _array(archive, name) for name in archive.namelist()}


def _array(archive: Archive, name: str) -> Array:
    with archive.open(name) as stream:
        version = npy.read_magic(stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = header(stream)
        announced, there = math.prod(shape) * dtype.itemsize, archive.getinfo(name).file_size - stream.tell()
        if dtype.kind not in "biufc":
            raise RefusedError(f"the entry {name!r} of type {dtype}", "keep numeric arrays only: nothing is unpickled")
        if announced != there:
            raise RefusedError(f"the entry {name!r} with {there:,} bytes for {dtype} of shape {shape}")
        stream.seek(0)
        array: Array = npy.read_array(stream, allow_pickle=False)
    return array
