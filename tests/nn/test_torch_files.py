"""PyTorch's files, written by PyTorch (golden) and by an independent writer, come back without PyTorch."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograd import Tensor
from autograd.errors import DataError
from nn import Linear
from nn.serialize import load, save
from nn.serialize.elements import ELEMENTS
from tests.nn.torch_files import KINDS, LAYOUTS, Stored, View, called, legacy_file, number, pickled, text, zip_file

GOLDEN = Path(__file__).parent / "golden"
FILES = ["zip.pth", "legacy.pth", "protocol4.pth"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def same(found, expected):
    if isinstance(expected, (View, np.ndarray)):
        expected = expected.array() if isinstance(expected, View) else expected
        found = found.numpy() if isinstance(found, Tensor) else found
        return found.dtype == expected.dtype and found.shape == expected.shape and found.tobytes() == expected.tobytes()
    if isinstance(expected, (list, tuple)):
        return type(found) is type(expected) and len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    return type(found) is type(expected) and found == expected


# --- files that PyTorch wrote ---


def expected():
    """What golden/make.py saves."""
    numbers = np.arange(24, dtype=np.float32)
    state = {
        "weight": numbers.reshape(4, 6),
        "transposed": numbers.reshape(4, 6).T,
        "shared": numbers[6:18:2],
        "parameter": np.array([0.5, -0.25], np.float32),
        "count": np.array(7),
        "empty": np.empty((0, 3), np.float32),
        "bfloat16": np.arange(4, dtype=np.float32),
    }
    for name in ("float16", "float64", "int8", "uint8", "int16", "int32", "bool", "complex64", "uint16"):
        state[name] = np.arange(4).astype(name)
    return {
        "state_dict": {**state, "conjugate": np.array([1 - 2j], np.complex64)},
        "epoch": 3,
        "lr": 0.1,
        "best": 0.75,
        "name": "é",
        "betas": (0.9, 0.999),
        "history": [1, None, True, {2: np.array([2.0], np.float32)}],
        "array": np.arange(6, dtype=np.int32).reshape(2, 3),
        "size": (1, 2),
        "big": 2**70,
    }


@pytest.mark.parametrize("name", FILES)
def test_what_pytorch_wrote(name):
    assert same(load(GOLDEN / name), expected())


@pytest.mark.parametrize("name", FILES)
def test_tensors_share_what_they_shared(name):
    nest = load(GOLDEN / name)
    state = nest["state_dict"]
    state["shared"].data[0] = 100
    assert state["weight"].numpy()[1, 0] == state["transposed"].numpy()[0, 1] == 100
    assert all(isinstance(value, Tensor) and not value.requires_grad for value in state.values())
    assert isinstance(nest["array"], np.ndarray)


@pytest.mark.parametrize("name", FILES)
def test_what_was_read_can_be_saved(name, tmp_path):
    save(load(GOLDEN / name), tmp_path / "copy")
    assert same(load(tmp_path / "copy"), expected())


# --- files of an independent writer ---


@st.composite
def storages(draw, key):
    kind = draw(st.sampled_from(sorted(KINDS)))
    elements = {"elements": st.integers(0, 0x7F7F)} if kind == "BFloat16" else {}
    return Stored(key, kind, draw(hnp.arrays(KINDS[kind], draw(st.integers(0, 12)), **elements)))


@st.composite
def views(draw, stored):
    size = stored.numbers.size
    shape, strides, room = [], [], size - 1
    for _ in range(draw(st.integers(0, 3))):
        step = draw(st.integers(0, 4))
        most = room // step + 1 if step and room >= 0 else 3
        length = draw(st.integers(0, max(0, most) if size else 0))
        shape.append(length)
        strides.append(step)
        room -= max(0, length - 1) * step
    if size == 0 and 0 not in shape:
        shape, strides = [0], [1]
    offset = draw(st.integers(0, max(room, 0)))
    parameter = stored.kind in ("Half", "Float", "Double") and draw(st.booleans())
    return View(stored, offset, tuple(shape), tuple(strides), parameter)


@st.composite
def nests(draw):
    pool = [draw(storages(str(i))) for i in range(draw(st.integers(1, 3)))]
    leaf = st.sampled_from(pool).flatmap(views) | st.integers(-(2**63), 2**63) | st.none() | st.booleans()
    leaf |= st.text(max_size=5) | st.floats(allow_nan=False)
    keys = st.text(max_size=4) | st.integers(0, 9)
    return draw(
        st.recursive(
            leaf,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.lists(inner, max_size=3).map(tuple)
                | st.dictionaries(keys, inner, max_size=3)
            ),
            max_leaves=8,
        )
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@given(nest=nests())
def test_what_another_writer_wrote(folder, layout, nest):
    path = folder / layout
    path.write_bytes(LAYOUTS[layout](nest))
    assert same(load(path), nest)


@given(nest=nests())
def test_the_order_of_bytes_does_not_matter(folder, nest):
    (folder / "big").write_bytes(zip_file(nest, order="big"))
    assert same(load(folder / "big"), nest)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_tensor_of_a_storage_sees_the_same_memory(folder, layout):
    stored = Stored("0", "Float", np.arange(6, dtype=np.float32))
    (folder / "shared").write_bytes(LAYOUTS[layout]([View(stored, 0, (6,), (1,)), View(stored, 1, (2, 2), (2, 1))]))
    whole, part = load(folder / "shared")
    part.data[...] = -1
    assert whole.numpy().tolist() == [0, -1, -1, -1, -1, 5]


def test_a_state_dict_goes_straight_into_a_model(folder):
    w = Stored("0", "Float", np.arange(6, dtype=np.float32))
    b = Stored("1", "Double", np.arange(2, dtype=np.float64))
    state = {"weight": View(w, 0, (2, 3), (1, 2)), "bias": View(b, 0, (2,), (1,), parameter=True)}
    (folder / "linear").write_bytes(zip_file(state))
    layer = Linear(3, 2)
    layer.load_state_dict(load(folder / "linear"))
    assert layer.weight.detach().numpy().tolist() == [[0, 2, 4], [1, 3, 5]]


@given(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3), st.lists(st.integers(0, 9), max_size=3))
def test_a_tensor_beyond_its_storage_is_refused(folder, offset, shape, strides):
    stored = Stored("0", "Int", np.arange(5, dtype=np.int32))
    (folder / "beyond").write_bytes(zip_file(View(stored, offset, tuple(shape), tuple(strides))))
    reach = offset + sum((size - 1) * step for size, step in zip(shape, strides))
    if len(shape) == len(strides) and (0 in shape or reach < 5):
        assert same(load(folder / "beyond"), View(stored, offset, tuple(shape), tuple(strides)))
    else:
        with pytest.raises(DataError, match=r"ends at element|with strides"):
            load(folder / "beyond")


# --- damaged files ---

_STORED = Stored("0", "Float", np.arange(4, dtype=np.float32))
SMALL = {"w": View(_STORED, 0, (2, 2), (2, 1)), "b": View(_STORED, 1, (2,), (2,), True), "n": [1, "x", (0.5, None)]}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_truncated_anywhere_is_refused(layout, tmp_path):
    data, path = LAYOUTS[layout](SMALL), tmp_path / "cut"
    lengths = [n for n in range(len(data)) if layout != "tar" or data[n]]  # a tar archive is mostly zeros
    for length in lengths:
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"load: .*cut: expected .*found .*→"):
            load(path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_flipped_bit_gives_a_named_error_or_a_plain_nest(layout, tmp_path):
    data, path = bytearray(LAYOUTS[layout](SMALL)), tmp_path / "flipped"
    places = [i for i, byte in enumerate(data) if byte or layout != "tar"]
    for position in places:
        bit = 1 << position * 5 % 8
        data[position] ^= bit
        path.write_bytes(data)
        try:
            load(path)
        except DataError as error:
            assert "flipped" in str(error)
        data[position] ^= bit


@given(st.sampled_from(FILES), st.data())
def test_damage_anywhere_in_what_pytorch_wrote(folder, name, data):
    content, path = bytearray((GOLDEN / name).read_bytes()), folder / "damaged"
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        load(path)
    except DataError as error:
        assert "damaged" in str(error)


# --- element types that NumPy lacks ---


def minifloat(bits, exponent, mantissa, ieee):
    """The value of an 8-bit number by its definition, digit by digit."""
    bias = 2 ** (exponent - 1) - 1
    sign = -1.0 if bits >> 7 else 1.0
    e, m = bits >> mantissa & 2**exponent - 1, bits & 2**mantissa - 1
    if e == 2**exponent - 1 and (ieee or m == 2**mantissa - 1):
        return sign * np.inf if ieee and m == 0 else np.nan
    return sign * (m / 2**mantissa * 2 ** (1 - bias) if e == 0 else (1 + m / 2**mantissa) * 2.0 ** (e - bias))


@pytest.mark.parametrize(("name", "layout"), [("float8_e5m2", (5, 2, True)), ("float8_e4m3fn", (4, 3, False))])
def test_float8_is_what_its_definition_says(name, layout):
    found = ELEMENTS[name].decode(np.arange(256, dtype=np.uint8))
    np.testing.assert_array_equal(found, [minifloat(bits, *layout) for bits in range(256)])


@pytest.mark.parametrize("code", ["BF16", "F8_E5M2", "F8_E4M3"])
def test_safetensors_with_types_that_numpy_lacks(tmp_path, code):
    raw = np.arange(8, dtype=np.uint8)
    count = 8 // (2 if code == "BF16" else 1)
    header = f'{{"x":{{"dtype":"{code}","shape":[{count}],"data_offsets":[0,8]}}}}'.encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + raw.tobytes())
    names = {"BF16": "bfloat16", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn"}
    np.testing.assert_array_equal(load(tmp_path / "x")["x"].numpy(), ELEMENTS[names[code]].decode(raw))


def test_bare_pickles_of_numpy_arrays(tmp_path):
    import pickle

    nest = {"a": [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))], "b": np.float32(0.5)}
    nest["big"] = np.arange(3, dtype=">i2")
    for protocol in range(6):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(nest, protocol))
        back = load(tmp_path / "x.pkl")
        assert back["b"] == 0.5 and all((x == y).all() for x, y in zip(back["a"], nest["a"]))
        assert back["big"].tolist() == [0, 1, 2] and back["a"][1].flags.writeable


def test_a_plain_nest_without_tensors(tmp_path):
    (tmp_path / "x").write_bytes(pickled({"a": [1, 2.5, "b", None, (True,)]}))
    assert load(tmp_path / "x") == {"a": [1, 2.5, "b", None, (True,)]}


# --- what writers may write differently ---

ROW = np.arange(6, dtype=np.float32)
STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(6)


def with_row(program):
    """A file of the layout before 1.6 whose one storage, if it is asked for, is ROW."""
    start = legacy_file([]).removesuffix(pickled([]) * 2) + b"\x80\x02" + program + b"."
    return start + (
        pickled(["0"]) + struct.pack("<q", 6) + ROW.tobytes() if b"FloatStorage" in program else pickled([])
    )


def tensor(function, size, rest=b""):
    numbers = number(1) + b"(" + number(size) + b"t(" + number(1) + b"t"
    return called(function, b"(" + STORAGE + b"NtQ" + numbers + rest + b"t")


SPELLINGS = {
    "_rebuild_tensor": (tensor("torch._utils._rebuild_tensor", 3), ROW[1:4]),
    "a view of a storage": (
        tensor("torch._utils._rebuild_tensor", 2).replace(b"NtQ", b"(" + text("v") + number(2) + number(3) + b"ttQ"),
        ROW[3:5],
    ),
    "_rebuild_from_type_v2": (
        called(
            "torch._tensor._rebuild_from_type_v2",
            b"(ctorch._utils\n_rebuild_tensor\nctorch\nTensor\n"
            + tensor("torch._utils._rebuild_tensor", 3).removesuffix(b"R").partition(b"_rebuild_tensor\n")[2]
            + b"Nt",
        ),
        ROW[1:4],
    ),
    "a tensor with a negative bit": (
        tensor("torch._utils._rebuild_tensor_v2", 3, b"\x89}}(" + text("neg") + b"\x88u"),
        -ROW[1:4],
    ),
    "an OrderedDict of pairs": (called("collections.OrderedDict", b"(]](" + text("a") + number(1) + b"eat"), {"a": 1}),
    "an instance": (b"(icollections\nOrderedDict\n", {}),
    "an object": (b"(ccollections\nOrderedDict\no", {}),
    "a new object": (b"ccollections\nOrderedDict\n)\x81", {}),
    "a name off the stack": (text("collections") + text("OrderedDict") + b"\x93)R", {}),
    "a dict in one go": (b"(" + text("a") + number(1) + b"d", {"a": 1}),
    "a list in one go": (b"(" + number(1) + b"l", [1]),
    "an old string": (b"S'abc'\n", "abc"),
    "an old number": (b"I7\n", 7),
    "duplicated and dropped": (number(1) + b"20(N1", 1),
    "a dtype's name": (b"ctorch\nfloat32\n", "torch.float32"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_other_spellings(folder, name):
    program, expected = SPELLINGS[name]
    (folder / "spelling").write_bytes(with_row(program))
    assert same(load(folder / "spelling"), expected)
