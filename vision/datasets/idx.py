"""IDX, the file format of MNIST: two zero bytes, element type, rank, the sizes, then the elements, all big-endian."""

import gzip
import os
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from autograd.errors import DataError, DTypeError

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one IDX file, plain or gzipped, into an array of the machine's own byte order.

    Layout: `0 0 dtype rank | rank × uint32 sizes | elements`; dtype 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32,
    14 float64.

    Raises `DataError`, with the file's name and the expected and actual numbers of bytes, when the file is not IDX, is
    cut short, goes on after the last element, or fails to decompress.

    Source: LeCun, Cortes, Burges, *The MNIST database of handwritten digits*, "FILE FORMATS".

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(f"{folder}/a", np.arange(6, dtype=np.int16).reshape(2, 3))
    ...     read_idx(f"{folder}/a")
    array([[0, 1, 2],
           [3, 4, 5]], dtype=int16)
    """
    path = Path(path)
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            return _parse(gzip.GzipFile(fileobj=file) if packed else file, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"read_idx: {path} does not decompress ({error}) → remove the file and fetch it again"
            ) from error


def _parse(stream: IO[bytes] | gzip.GzipFile, path: Path) -> NDArray[Any]:
    head = stream.read(4)
    if len(head) < 4:
        raise DataError(f"read_idx: {path} has {len(head)} bytes, expected a header of at least 4 → fetch it again")
    if head[:2] != b"\0\0" or head[2] not in DTYPES:
        codes = ", ".join(f"{code:02x}" for code in DTYPES)
        raise DataError(
            f"read_idx: {path} starts with {head.hex(' ')}, expected 00 00, a type code of {codes}, and the rank "
            "→ this is not an IDX file"
        )
    rank = head[3]
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(
            f"read_idx: {path} has {4 + len(sizes)} bytes, expected {4 + 4 * rank} for the header of rank {rank}"
        )
    dtype = np.dtype(DTYPES[head[2]])
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * rank, 4))
    count = dtype.itemsize
    for size in shape:
        count *= size

    body = bytearray()  # grows with the file, not with what its header claims
    while len(body) <= count and (chunk := stream.read(min(_CHUNK, count + 1 - len(body)))):
        body += chunk
    if len(body) != count:
        start = 4 + 4 * rank
        actual = f"{start + len(body):,}" if len(body) < count else f"more than {start + count:,}"
        raise DataError(
            f"read_idx: {path} has {actual} bytes, expected {start + count:,} for {dtype.name} of shape {shape} "
            "→ the file is truncated or corrupted; remove it and fetch it again"
        )
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def write_idx(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write an array as an IDX file; a name that ends in `.gz` is compressed.

    Raises `DTypeError` when IDX has no code for the element type.
    """
    big = array.dtype.newbyteorder(">")
    codes = [code for code, dtype in DTYPES.items() if np.dtype(dtype) == big]
    if not codes:
        known = ", ".join(np.dtype(dtype).name for dtype in DTYPES.values())
        raise DTypeError(
            f"write_idx: array has dtype {array.dtype}, IDX knows {known} → convert with array.astype(...)"
        )
    head = bytes([0, 0, codes[0], array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    with gzip.open(path, "wb") if str(path).endswith(".gz") else open(path, "wb") as file:
        file.write(head + array.astype(big).tobytes())
