"""What PyTorch saves is read as PyTorch reads it, and PyTorch reads what the tests' own writer writes."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn.serialize import load
from tests.nn.test_torch_files import nests, same
from tests.nn.torch_files import LAYOUTS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

WIDER = {torch.bfloat16: torch.float32, torch.float8_e4m3fn: torch.float16, torch.float8_e5m2: torch.float16}
DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32,
    torch.float64, torch.complex64, torch.complex128, torch.uint16, torch.uint32, torch.uint64, *WIDER,
]  # fmt: skip
WAYS = {
    "zip": {},
    "zip, protocol 4": {"pickle_protocol": 4},
    "legacy": {"_use_new_zipfile_serialization": False},
    "legacy, protocol 3": {"_use_new_zipfile_serialization": False, "pickle_protocol": 3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def in_numpy(value):
    """PyTorch's nest with NumPy's arrays; types that NumPy lacks made wider."""
    if isinstance(value, torch.Tensor):
        value = value.detach().resolve_conj().resolve_neg()
        return value.to(WIDER.get(value.dtype, value.dtype)).numpy()
    if isinstance(value, dict):
        return {key: in_numpy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return (tuple if isinstance(value, tuple) else list)(map(in_numpy, value))
    return value.item() if isinstance(value, np.generic) else value


@st.composite
def tensors(draw, base):
    """A view of a tensor: cut, stepped, turned, stretched, conjugated, or made a parameter."""
    x = base
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.sampled_from(["cut", "step", "turn", "stretch", "reshape", "first"])):
            case "cut" if x.ndim and x.shape[0]:
                x = x[draw(st.integers(0, x.shape[0] - 1)) :]
            case "step" if x.ndim:
                x = x[:: draw(st.integers(1, 3))]
            case "turn":
                x = x.permute(tuple(reversed(range(x.ndim))))
            case "stretch":
                x = x[None].expand(draw(st.integers(0, 3)), *x.shape)
            case "reshape" if x.numel() % 2 == 0 and x.numel() and x.is_contiguous():
                x = x.reshape(2, -1)
            case "first" if x.ndim and x.shape[0]:
                x = x[0]
    if x.is_complex() and draw(st.booleans()):
        x = x.conj()
    if x.dtype.is_floating_point and x.dtype not in WIDER and draw(st.booleans()):
        x = torch.nn.Parameter(x, requires_grad=draw(st.booleans()))
    return x


@st.composite
def torch_nests(draw):
    pool = []
    for dtype in draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=3)):
        values = draw(st.lists(st.integers(0, 100), max_size=8))
        pool.append(torch.tensor(values, dtype=torch.float64).to(dtype))
    leaf = st.sampled_from(pool).flatmap(tensors) | st.integers() | st.booleans() | st.none() | st.text(max_size=5)
    leaf |= st.floats(allow_nan=False) | st.builds(np.float32, st.integers(0, 9)) | st.just(torch.Size([1, 2]))
    leaf |= st.lists(st.integers(-9, 9), max_size=4).map(np.array)
    leaf |= st.binary(max_size=3) | st.complex_numbers(allow_nan=False)
    keys = st.text(max_size=4) | st.integers(0, 9)
    return draw(
        st.recursive(
            leaf,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.lists(inner, max_size=3).map(tuple)
                | st.dictionaries(keys, inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3).map(collections.OrderedDict)
            ),
            max_leaves=8,
        )
    )


@pytest.mark.parametrize("way", WAYS)
@given(nest=torch_nests())
def test_what_pytorch_saves_is_read_as_it_was(folder, way, nest):
    torch.save(nest, folder / "saved", **WAYS[way])
    assert same(load(folder / "saved"), in_numpy(nest))


@pytest.mark.parametrize("layout", LAYOUTS)
@given(nest=nests())
def test_pytorch_reads_what_the_tests_writer_writes(folder, layout, nest):
    (folder / "written").write_bytes(LAYOUTS[layout](nest))
    theirs = torch.load(folder / "written", weights_only=layout != "tar")  # our own file; PyTorch wants trust for tar
    assert same(load(folder / "written"), in_numpy(theirs)) and same(in_numpy(theirs), nest)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_real_training_checkpoint(folder, legacy):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten())
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    nest = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}
    torch.save(nest, folder / "checkpoint.pth", _use_new_zipfile_serialization=not legacy)
    assert same(load(folder / "checkpoint.pth"), in_numpy(nest))


def test_whole_modules_sparse_and_quantised_tensors_are_refused_by_name(folder):
    from autograd.errors import DataError

    for value, match in (
        (torch.nn.Linear(2, 2), r"the name torch\.nn\.modules\.linear\.Linear"),
        (torch.eye(2).to_sparse(), r"the name torch\._utils\._rebuild_sparse_tensor"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), r"the name torch\._utils\._rebuild_qtensor"),
        (torch.ones(2, dtype=torch.complex32), "ComplexHalfStorage|complex32"),
    ):
        torch.save(value, folder / "refused")
        with pytest.raises(DataError, match=match):
            load(folder / "refused")
