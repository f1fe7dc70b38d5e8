"""The IDX reader: a round trip for every type, and a clear error for every damage."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograd.errors import DataError, DTypeError
from vision.datasets import read_idx, write_idx

dtypes = st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8", ">i2", ">f8"])
arrays = dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx") / "sample-idx"


@given(array=arrays, suffix=st.sampled_from(["", ".gz"]))
def test_round_trip(path: Path, array: np.ndarray, suffix: str) -> None:
    path = path.with_suffix(suffix)
    write_idx(path, array)
    back = read_idx(path)
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.dtype.isnative
    assert back.flags.writeable
    np.testing.assert_array_equal(back, array)


def test_layout_is_the_published_one(path: Path) -> None:
    path.write_bytes(b"\0\0\x08\x03" + struct.pack(">3I", 2, 1, 2) + bytes([1, 2, 3, 4]))
    assert read_idx(path).tolist() == [[[1, 2]], [[3, 4]]]


@pytest.mark.parametrize("packed", [False, True])
def test_truncation_at_every_byte(path: Path, packed: bool) -> None:
    write_idx(path, np.arange(12, dtype=np.int16).reshape(3, 4))
    whole = path.read_bytes()
    content = gzip.compress(whole) if packed else whole
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        with pytest.raises(DataError, match="sample-idx"):
            read_idx(path)


def test_truncation_says_expected_and_actual_bytes(path: Path) -> None:
    write_idx(path, np.zeros((10, 28, 28), np.uint8))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"5,000 bytes, expected 7,856 for uint8 of shape \(10, 28, 28\)"):
        read_idx(path)


def test_bytes_after_the_end(path: Path) -> None:
    write_idx(path, np.zeros(3, np.uint8))
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(DataError, match="more than 11 bytes, expected 11"):
        read_idx(path)


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n", b"\0\0\x07\x01\0\0\0\0", b"<!DOCTYPE html>", b"\1\0\x08\x01\0\0\0\0"]
)
def test_other_formats(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match="not an IDX file"):
        read_idx(path)


def test_a_header_that_claims_exabytes_allocates_nothing(path: Path) -> None:
    path.write_bytes(b"\0\0\x0e\x04" + b"\xff" * 16 + b"12345")
    with pytest.raises(DataError, match="has 25 bytes, expected 2,722"):
        read_idx(path)


@given(position=st.integers(0, 200), value=st.integers(0, 255))
def test_a_damaged_gzip_file_is_never_read_as_something_else(path: Path, position: int, value: int) -> None:
    array = np.arange(200, dtype=np.uint8) ** 2
    write_idx(path.with_suffix(".gz"), array)
    content = bytearray(path.with_suffix(".gz").read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    try:
        np.testing.assert_array_equal(read_idx(path), array)  # a byte of the gzip header that means nothing here
    except DataError as error:
        assert "sample-idx" in str(error)


def test_unknown_dtype_on_writing(path: Path) -> None:
    with pytest.raises(DTypeError, match=r"complex128.*astype"):
        write_idx(path, np.zeros(3, complex))
