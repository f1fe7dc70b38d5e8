"""An independent writer of PyTorch's files: opcodes put down by hand, in the three layouts that PyTorch has had."""

import io
import struct
import tarfile
import zipfile
from dataclasses import dataclass

import numpy as np

KINDS = {
    "Bool": np.bool_, "Byte": np.uint8, "Char": np.int8, "Short": np.int16, "Int": np.int32, "Long": np.int64,
    "Half": np.float16, "Float": np.float32, "Double": np.float64, "ComplexFloat": np.complex64,
    "ComplexDouble": np.complex128, "BFloat16": np.uint16,
}  # fmt: skip


@dataclass(eq=False)
class Stored:
    """A storage: numbers in one row, bfloat16 as its bits."""

    key: str
    kind: str
    numbers: np.ndarray


@dataclass(eq=False)
class View:
    """A tensor of a storage."""

    storage: Stored
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    parameter: bool = False

    def array(self):
        """What it is in NumPy."""
        numbers = self.storage.numbers
        if self.storage.kind == "BFloat16":
            numbers = np.concatenate([np.zeros_like(numbers)[:, None], numbers[:, None]], 1).view(np.float32)[:, 0]
        steps = [step * numbers.itemsize for step in self.strides]
        start = self.offset if 0 not in self.shape else 0
        return np.lib.stride_tricks.as_strided(numbers[start:], self.shape, steps)


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return b"\x8a" + bytes([9]) + value.to_bytes(9, "little", signed=True)


def called(name, arguments):
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n".encode() + arguments + b"R"


def opcodes(value, reference):
    """The value as opcodes of protocol 2; `reference(view)` are those that leave a tensor on the stack."""

    def inner(item):
        return opcodes(item, reference)

    if isinstance(value, View):
        return reference(value)
    if isinstance(value, dict):
        return called("collections.OrderedDict", b")") + b"(" + b"".join(map(inner, sum(value.items(), ()))) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(inner, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(inner, value)) + b"t"
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    return text(value)


def rebuilt(view, storage):
    """The opcodes of a tensor of a storage that is on the stack."""
    shape, strides = (b"(" + b"".join(map(number, sizes)) + b"t" for sizes in (view.shape, view.strides))
    hooks = called("collections.OrderedDict", b")")
    tensor = called(
        "torch._utils._rebuild_tensor_v2",
        b"(" + storage + number(view.offset) + shape + strides + b"\x89" + hooks + b"t",
    )
    return (
        called("torch._utils._rebuild_parameter", b"(" + tensor + b"\x88" + hooks + b"t") if view.parameter else tensor
    )


def pickled(value, reference=None):
    return b"\x80\x02" + opcodes(value, reference) + b"."


def storages_of(value):
    if isinstance(value, View):
        return {value.storage.key: value.storage}
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    found = {}
    for item in items:
        found |= storages_of(item)
    return found


def _by_persistent_id(legacy):
    def reference(view):
        stored = view.storage
        kind = f"ctorch\n{stored.kind}Storage\n".encode()
        size = number(stored.numbers.size) + (b"N" if legacy else b"")
        return rebuilt(view, b"(" + text("storage") + kind + text(stored.key) + text("cpu") + size + b"tQ")

    return reference


def zip_file(nest, order="little", compression=zipfile.ZIP_STORED):
    """The layout since PyTorch 1.6."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr("some/data.pkl", pickled(nest, _by_persistent_id(False)))
        file.writestr("some/byteorder", order)
        for key, stored in storages_of(nest).items():
            numbers = stored.numbers
            file.writestr(f"some/data/{key}", numbers.astype(numbers.dtype.newbyteorder(order)).tobytes())
        file.writestr("some/version", "3\n")
    return out.getvalue()


def legacy_file(nest):
    """The layout before: pickles in a row, then the storages."""
    magic = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
    out = b"\x80\x02\x8a\x0a" + magic + b"." + pickled(1001) + pickled({"little_endian": True})
    found = storages_of(nest)
    out += pickled(nest, _by_persistent_id(True)) + pickled(sorted(found))
    for key in sorted(found):
        out += struct.pack("<q", found[key].numbers.size) + found[key].numbers.tobytes()
    return out


def tar_file(nest):
    """The layout before PyTorch 0.1.10: storages, tensors and the nest, each a member of a tar archive."""
    found, views = storages_of(nest), []

    def reference(view):
        views.append(view)
        return text(str(len(views))) + b"Q"

    program = pickled(nest, reference)
    storages, keys = pickled(len(found)), {key: number(1000 + i) for i, key in enumerate(found)}
    for key, stored in found.items():
        kind = f"ctorch\n{stored.kind}Storage\n".encode()
        storages += b"\x80\x02(" + keys[key] + text("cpu") + kind + b"t."
        storages += struct.pack("<q", stored.numbers.size) + stored.numbers.tobytes()
    storages += pickled([])
    tensors = pickled(len(views))
    for i, view in enumerate(views, 1):
        tensors += b"\x80\x02(" + number(i) + keys[view.storage.key] + b"ctorch\nFloatTensor\nt."
        tensors += struct.pack(f"<{2 + 2 * len(view.shape)}q", len(view.shape), *view.shape, *view.strides, view.offset)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, content in (("storages", storages), ("tensors", tensors), ("pickle", program)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return out.getvalue()


LAYOUTS = {"zip": zip_file, "legacy": legacy_file, "tar": tar_file}
