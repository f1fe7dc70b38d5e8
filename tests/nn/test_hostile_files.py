"""Files that mean harm: they run nothing, take no memory to speak of, and are refused by name."""

import io
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd.errors import DataError
from nn.serialize import load
from nn.serialize.pickles import _LITERALS, _STEPS
from tests.nn.torch_files import Stored, View, called, legacy_file, number, pickled, text, zip_file

MiB = 1 << 20


def bare(program):
    return program


def in_zip(program):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("x/data.pkl", program)
    return out.getvalue()


def in_legacy(program):
    start = legacy_file([])
    return start.replace(pickled([], None) * 2, program + pickled([]))


PACKINGS = [bare, in_zip, in_legacy]


@pytest.fixture
def refuse(tmp_path, monkeypatch):
    """Load the file: it is refused with these words, runs nothing, and takes less than `memory` bytes at any time."""
    monkeypatch.chdir(tmp_path)

    def refuse(data, match, memory=8 * MiB):
        path = tmp_path / "hostile"
        path.write_bytes(data)
        before = sorted(os.listdir(tmp_path))
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=match) as caught:
                load(path)
            assert tracemalloc.get_traced_memory()[1] < memory + 4 * len(data)
        finally:
            tracemalloc.stop()
        assert str(path) in str(caught.value) and "→" in str(caught.value)
        assert sorted(os.listdir(tmp_path)) == before

    return refuse


# --- programs that would run something ---

MARK, DIRECTORY = b"(", text("made")
RUNNING = {
    "GLOBAL and REDUCE": (b"cos\nmkdir\n(" + DIRECTORY + b"tR.", "the name os.mkdir"),
    "a name that only lies there": (b"](cos\nmkdir\ne.", "the name os.mkdir"),
    "STACK_GLOBAL": (text("os") + text("mkdir") + b"\x93(" + DIRECTORY + b"tR.", "the name os.mkdir"),
    "INST": (b"(" + DIRECTORY + b"ios\nmkdir\n.", "the name os.mkdir"),
    "OBJ": (b"(cos\nmkdir\n" + DIRECTORY + b"o.", "the name os.mkdir"),
    "NEWOBJ": (b"cos\nmkdir\n(" + DIRECTORY + b"t\x81.", "the name os.mkdir"),
    "NEWOBJ_EX": (b"ccollections\nOrderedDict\n)}\x92.", "the opcode NEWOBJ_EX"),
    "EXT1": (b"\x82\x01(" + DIRECTORY + b"tR.", "the opcode EXT1"),
    "EXT2": (b"\x83\x01\x00.", "the opcode EXT2"),
    "EXT4": (b"\x84\x01\x00\x00\x00.", "the opcode EXT4"),
    "builtins": (b"cbuiltins\neval\n(" + text("os.mkdir('made')") + b"tR.", "the name builtins.eval"),
    "old builtins": (b"c__builtin__\nexec\n)R.", "the name __builtin__.exec"),
    "a submodule of an allowed one": (b"ctorch.hub\nload\n)R.", "the name torch.hub.load"),
    "dots in a name": (b"ctorch\nserialization.os.mkdir\n(" + DIRECTORY + b"tR.", "the name torch.serialization.os"),
    "an allowed name that is only a word": (b"ctorch\nTensor\n)R.", "a call of torch.Tensor"),
    "a string instead of a name": (text("os.mkdir") + b"(" + DIRECTORY + b"tR.", "a call of os.mkdir"),
    "a number instead of a name": (number(1) + b")R.", "a call of a int"),
    "BUILD on a name": (b"ctorch\nSize\n}(" + text("__call__") + number(1) + b"ub.", "a state for torch.Size"),
    "BUILD on a list": (b"]}(" + text("append") + number(1) + b"ub.", "a state for a list"),
    "BUILD on a dtype": (called("numpy.dtype", b"(" + text("O") + b"t") + b"N" + b"b.", "BUILD"),
    "bytes to be set aside": (b"cbuiltins\nbytes\n(" + number(2**50) + b"tR.", "takes 0 positional arguments"),
    "an object elsewhere": (text("file:///etc/passwd") + b"Q.", "a reference to"),
    "PERSID": (b"Pfile\n.", "a reference to"),
    "a buffer elsewhere": (b"\x97.", "the opcode NEXT_BUFFER"),
    "a set": (b"\x8f.", "the opcode EMPTY_SET"),
    "a tensor rebuilt by another function": (
        called("torch._tensor._rebuild_from_type_v2", b"(" + text("os.mkdir") + text("torch.Tensor") + b")Nt") + b".",
        "a tensor of the class torch.Tensor rebuilt by os.mkdir",
    ),
    "a tensor rebuilt by what would copy uncounted": (
        called("torch._tensor._rebuild_from_type_v2", b"(" + text("_codecs.encode") + text("torch.Tensor") + b")Nt")
        + b".",
        "rebuilt by _codecs.encode",
    ),
    "bytes encoded by a codec": (
        called("_codecs.encode", b"(" + text("x") + text("zlib") + b"t") + b".", "bytes encoded as zlib"),
}  # fmt: skip


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", RUNNING)
def test_programs_are_refused_by_the_name_of_what_they_ask_for(refuse, packing, name):
    program, match = RUNNING[name]
    refuse(packing(b"\x80\x02" + program), match)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made",)


@pytest.mark.parametrize("protocol", range(6))
def test_what_pythons_own_pickler_makes_of_it(refuse, protocol):
    for nest in (Evil(), {"weight": [np.zeros(2), Evil()]}):
        refuse(pickle.dumps(nest, protocol), r"the name (posix|nt|os)\.mkdir at byte \d+ → nothing of it was run")


def test_whole_models_are_refused_with_the_remedy(refuse):
    program = b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81."
    refuse(in_zip(program), r"the name torchvision\.models\.resnet\.ResNet .*save only the state_dict\(\)")


def test_the_vocabulary_of_opcodes_is_closed():
    import pickletools

    refused = {code.name for code in pickletools.opcodes} - _LITERALS - set(_STEPS)
    assert refused == {
        "STOP", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX", "NEXT_BUFFER", "READONLY_BUFFER", "EMPTY_SET", "ADDITEMS",
        "FROZENSET",
    }  # fmt: skip


OPCODES = sorted(code for code in vars(pickle).values() if type(code) is bytes and len(code) == 1)


@given(st.lists(st.sampled_from(OPCODES) | st.binary(max_size=4), max_size=30))
def test_any_row_of_opcodes_is_a_nest_or_a_named_error(tmp_path_factory, codes):
    path = tmp_path_factory.getbasetemp() / "row"
    path.write_bytes(b"\x80\x02" + b"".join(codes) + b".")
    try:
        load(path)
    except DataError as error:
        assert path.name in str(error)


# --- programs that would fill the memory ---


def laughs(inner, levels=60):
    """Each level holds the one before ten times."""
    return inner + b"".join(b"q" + bytes([i]) + b"0(" + (b"h" + bytes([i])) * 10 + b"t" for i in range(levels))


def again(program, times):
    """A list of the results of a program run so many times."""
    return b"\x80\x02](" + program * times + b"e."


LONG = text("x" * MiB)
FILLING = {
    "a billion laughs": (b"\x80\x02" + laughs(number(1)) + b".", "more than .* (values|levels)"),
    "a billion empty laughs": (b"\x80\x02" + laughs(b")") + b".", "more than .* (values|levels)"),
    "a list that holds itself": (b"\x80\x02]q\x00h\x00a.", "more than .* (values|levels)"),
    "a dict that holds itself": (b"\x80\x02}q\x00" + text("x") + b"h\x00s.", "more than .* (values|levels)"),
    "a deep list": (b"\x80\x02" + b"](" * 50_000 + b"e" * 50_000 + b".", "more than 100 levels"),
    "a deep tuple": (b"\x80\x02)" + b"\x85" * 100_000 + b".", "more than 100 levels"),
    "a deep key": (b"\x80\x02}(" + b")" + b"\x85" * 100_000 + b"Nu.", "a key of type tuple"),
    "a far memo": (b"\x80\x02Nr\xff\xff\xff\xff.", None),
    "a string that is not there": (b"\x80\x02X\xff\xff\xff\xffabc.", "expected .* bytes in a"),
    "bytes that are not there": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.", "expected .* bytes in a"),
    "a long number that is not there": (b"\x80\x02\x8b\xff\xff\xff\x7f1.", "not enough data|bytes"),
    "text made bytes again and again": (
        b"\x80\x02" + LONG + b"q\x000](" + called("_codecs.encode", b"h\x00" + text("latin1") + b"\x86") * 200 + b"e.",
        "more data made from it",
    ),
    "a dict copied again and again": (
        b"\x80\x02](" + (text("a") + b"N\x86") * 10_000 + b"eq\x000](" + called("collections.OrderedDict", b"h\x00\x85")
        * 1000 + b"e.",
        "more data made from it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", FILLING)
def test_programs_that_fill_the_memory_are_refused(refuse, packing, name, tmp_path):
    program, match = FILLING[name]
    if match is None:  # harmless here: the memo is a dict
        (tmp_path / "x").write_bytes(packing(program))
        assert load(tmp_path / "x") is None
    else:
        refuse(packing(program), match, memory=40 * MiB)


def test_arrays_of_the_same_bytes_again_and_again(refuse):
    dtype = called("numpy.dtype", b"(" + text("f4") + number(0) + number(1) + b"t")
    data = b"\x80\x04\x8e" + struct.pack("<Q", MiB) + bytes(MiB) + b"\x94" + dtype + b"\x94](" + number(0)
    array = called("numpy._core.numeric._frombuffer", b"(h\x00h\x01(" + number(MiB // 4) + b"t" + text("C") + b"t")
    refuse(data + array * 100 + b"e.", "more data made from it", memory=16 * MiB)


def test_a_tensor_larger_than_its_file(refuse):
    one = Stored("0", "Float", np.zeros(1, np.float32))
    refuse(zip_file(View(one, 0, (10**9,), (0,))), "a tensor of 4,000,000,000 bytes in a file that is smaller")
    refuse(zip_file(View(one, 0, (10**9, 10**9), (0, 0))), "a tensor of .* bytes")
    refuse(zip_file(View(one, 2**70, (1,), (2**70,))), "a tensor that ends at element 1,180,591,620,717,411,303,424 of")
    refuse(zip_file(View(one, -1, (1,), (1,))), r"sizes or strides \(-1,\)")
    refuse(zip_file(View(one, 0, (1,) * 65, (1,) * 65)), "a tuple instead of at most 64 sizes or strides")


def test_storages_that_are_not_there(refuse):
    tensor = View(Stored("0", "Float", np.zeros(3, np.float32)), 0, (3,), (1,))
    announced = b"cpu" + number(3)
    many = legacy_file(tensor).replace(announced, b"cpu" + number(2**60))
    refuse(many, "a storage of 3 elements, expected 1,152,921,504,606,846,976")
    refuse(many.replace(struct.pack("<q", 3) + bytes(12), struct.pack("<q", 2**60) + bytes(12)), "storage of 12 bytes")
    other = zip_file(tensor).replace(b"some/data/0", b"some/data/1")
    refuse(other, "There is no item named 'some/data/0' in the archive")
    unread = legacy_file(tensor).replace(pickled(["0"]), pickled([]))
    refuse(unread[: unread.index(pickled([])) + len(pickled([]))], "a storage whose numbers the file lacks")


# --- archives ---


@pytest.mark.parametrize(
    ("name", "what"), [("x/data.pkl", "bytes declared in an archive"), ("w.npy", "bytes declared")]
)
def test_a_zip_bomb(refuse, name, what):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, pickled([]) if name.endswith("pkl") else b"")
        for i in range(4):
            file.writestr(f"x/data/{i}", bytes(16 * MiB))
    refuse(out.getvalue(), what + ".*zip bomb")


def test_a_compressed_archive_is_read_as_long_as_it_is_small(tmp_path):
    tensor = View(Stored("0", "Float", np.zeros(100, np.float32)), 0, (100,), (1,))
    (tmp_path / "x").write_bytes(zip_file(tensor, compression=zipfile.ZIP_DEFLATED))
    assert load(tmp_path / "x").shape == (100,)


def test_names_in_an_archive_lead_nowhere(tmp_path):
    stored = Stored("../../../../outside", "Float", np.zeros(2, np.float32))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "x").write_bytes(zip_file(View(stored, 0, (2,), (1,))))
    assert load(tmp_path / "inner" / "x").shape == (2,)
    assert [path.name for path in Path(tmp_path).rglob("*")] == ["inner", "x"]


def test_an_entry_that_is_there_twice(refuse):
    out = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(out, "w") as file:
        for _ in range(2):
            file.writestr("x/data.pkl", pickled([]))
    refuse(out.getvalue(), r"the entry 'x/data\.pkl' twice")


def test_a_tar_archive_with_holes(refuse):
    member = tarfile.TarInfo("storages")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % (8**10)  # a gigabyte of zeros, none of them in the file
    header[148:156] = b"%06o\0 " % sum(header[:148] + b" " * 8 + header[156:])
    refuse(bytes(header) + bytes(2048), "storages that is a link, a folder, or has holes")


def test_a_tar_member_that_is_not_there(refuse):
    member = tarfile.TarInfo("storages")
    member.size = 8**10
    refuse(member.tobuf(tarfile.PAX_FORMAT) + bytes(2048), "expected a PyTorch tar archive")
    member.size, member.type = 8**10, tarfile.XHDTYPE
    refuse(member.tobuf(tarfile.USTAR_FORMAT) + bytes(2048), "expected a PyTorch tar archive")


def test_an_encrypted_entry(refuse):
    data = bytearray(zip_file([]))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    refuse(bytes(data), "the encrypted entry 'some/data.pkl' → decrypt it first")


def test_an_npz_that_announces_more_than_it_has(refuse):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (117 - len(header)) + b"\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("w.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16))
    refuse(out.getvalue(), r"the entry 'w\.npy' with 16 bytes for float64 of shape \(1000000000000,\)")


@pytest.mark.parametrize("array", [np.array([object()]), np.array(["text"]), np.array(["2020"], "M8[D]")])
def test_arrays_of_anything_but_numbers(refuse, array):
    out = io.BytesIO()
    np.savez(out, a=array)
    refuse(out.getvalue(), r"the entry 'a\.npy' of type .*nothing is unpickled")
    refuse(pickle.dumps(array, 4), "the name builtins.object|a NumPy array of type|BUILD")
