"""Saving and loading: round trips, atomicity, and files that are not what they should be."""

import errno
import os
import pickle
import resource
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autograd
from autograd import Tensor
from autograd.errors import DataError, DTypeError
from nn.serialize import load, save, write_atomically

DTYPES = [
    "float64",
    "float32",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "uint32",
    "uint64",
    "bool",
    "complex64",
]
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
plain = st.none() | st.booleans() | st.integers(-(2**130), 2**130) | st.floats() | st.text()
keys = st.text(st.characters(codec="utf-8"), max_size=5) | st.integers()
nests = st.recursive(
    plain | arrays,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=10,
)


def same(a, b):
    if isinstance(a, Tensor):
        a, b = a.numpy(), b.numpy()
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and (a == b or a != a)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@given(nest=nests)
def test_every_nest_comes_back(folder, nest):
    save(nest, folder / "nest")
    assert same(nest, load(folder / "nest"))


def test_tensors_come_back_as_tensors_and_arrays_as_arrays(tmp_path):
    save(
        {"t": autograd.tensor([1.0, 2.0], requires_grad=True), "a": np.arange(3), "s": np.float32(0.5)}, tmp_path / "x"
    )
    back = load(tmp_path / "x")
    assert isinstance(back["t"], Tensor) and not back["t"].requires_grad
    assert isinstance(back["a"], np.ndarray) and back["s"] == 0.5


def test_layouts_and_byte_orders_do_not_matter(tmp_path):
    a = np.arange(12.0).reshape(3, 4)
    save({"t": a.T, "s": a[::2, ::-1], "big": a.astype(">f4")}, tmp_path / "x")
    back = load(tmp_path / "x")
    assert (back["t"] == a.T).all() and (back["s"] == a[::2, ::-1]).all() and (back["big"] == a).all()


def test_names_that_would_collide_are_kept_apart(tmp_path):
    nest = {"a": {"b": np.zeros(1)}, "a.b": np.ones(1)}
    save(nest, tmp_path / "x")
    assert same(nest, load(tmp_path / "x"))


def test_a_state_dict_is_an_ordinary_safetensors_file(tmp_path):
    from safetensors.numpy import load_file, save_file

    save({"conv.weight": autograd.tensor([[1.0, 2.0]])}, tmp_path / "ours")
    assert load_file(tmp_path / "ours")["conv.weight"].tolist() == [[1.0, 2.0]]
    save_file({"w": np.ones(3, np.float32)}, tmp_path / "theirs", metadata={"format": "pt"})
    assert load(tmp_path / "theirs")["w"].numpy().tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "value", [object(), lambda: 0, {1.5: 2}, {True: 1}, b"bytes", {"a": [np.array(["text"])]}, np.longdouble(1)]
)
def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path, value):
    with pytest.raises(DTypeError, match=r"save: .* →"):
        save(value, tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_the_error_names_the_place(tmp_path):
    with pytest.raises(DTypeError, match=r"model\.layers\.1"):
        save({"model": {"layers": [1, object()]}}, tmp_path / "x")


# --- atomic writing ---


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "x.safetensors"
    save({"w": np.zeros(3)}, path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(
        OSError, match="No space left on device; the previous file is intact → free disk space"
    ) as caught:
        save({"w": np.ones(3)}, path)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x.safetensors"] and load(path)["w"].sum() == 0


def test_a_write_that_the_system_cuts_short(tmp_path):
    path = tmp_path / "x"
    save({"w": np.zeros(3)}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="the previous file is intact"):
            save({"w": np.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["x"] and load(path)["w"].shape == (3,)


def test_an_interrupt_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "x", b"data")
    assert os.listdir(tmp_path) == []


def test_folders_and_devices_are_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(OSError, match="is a folder or a device"):
            save({"a": 1}, path)
    assert pipe.is_fifo()


def test_a_missing_folder_says_that_nothing_was_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing was written"):
        save({}, tmp_path / "no" / "x")


def test_a_link_keeps_pointing_at_the_new_contents(tmp_path):
    write_atomically(tmp_path / "real", b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


# --- files that are not what they should be ---


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "good"
    save({"model": {"w": autograd.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": autograd.tensor([5.0])}, "epoch": 3}, path)
    return path.read_bytes()


def test_a_file_truncated_anywhere_is_refused(tmp_path, checkpoint):
    path = tmp_path / "cut"
    for length in range(len(checkpoint)):
        path.write_bytes(checkpoint[:length])
        with pytest.raises(DataError, match=r"load: .*cut: expected .*found .*→"):
            load(path)


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path, checkpoint):
    path, good = tmp_path / "flipped", load(tmp_path / "good")
    for position in range(len(checkpoint)):
        for bit in (0, 3, 7):
            data = bytearray(checkpoint)
            data[position] ^= 1 << bit
            path.write_bytes(data)
            try:
                assert same(load(path), good)  # a space in the header's padding, for example
            except DataError as error:
                assert "flipped" in str(error)


@given(data=st.binary(max_size=200))
def test_rubbish_is_refused(folder, data):
    path = folder / "rubbish"
    path.write_bytes(data)
    with pytest.raises(DataError, match="rubbish"):
        load(path)


def test_a_header_that_announces_too_much_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(DataError, match="1,152,921,504,606,846,976 bytes announced"):
        load(path)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("/tmp/unfold-was-executed",)


def test_loading_never_executes_anything(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError):
        load(path)
    np.savez(path.with_suffix(".npz"), a=np.array([Evil()], dtype=object))
    with pytest.raises(DataError, match="nothing is unpickled"):
        load(path.with_suffix(".npz"))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r"data\.pkl"):
        load(path)
    assert not os.path.exists("/tmp/unfold-was-executed")


def test_npz_files_are_read_and_checked(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, w=np.arange(6.0).reshape(2, 3), n=np.arange(2))
    back = load(path)
    assert back["w"].numpy().tolist() == [[0, 1, 2], [3, 4, 5]] and back["n"].dtype == np.int64
    data = path.read_bytes()
    for length in range(4, len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match="npz"):
            load(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
