"""The data sets: indexing, the real files where they are, and what a damaged one says."""

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd.errors import DataError, DomainError, ShapeError
from vision.datasets import (
    CIFAR10,
    MNIST,
    Emoji,
    FashionMNIST,
    ImageFolder,
    LabelledImages,
    cache_dir,
    write_folder,
    write_idx,
)  # fmt: skip
from vision.datasets.cifar import decode_records

PIL = pytest.importorskip("PIL.Image", reason="pillow is not installed")

needs_mnist = pytest.mark.skipif(
    not all((cache_dir() / "mnist" / file.name).exists() for pair in MNIST.files.values() for file in pair),
    reason=f"MNIST is not in {cache_dir()}; `make data` fetches it",
)


def test_indexing() -> None:
    images, labels = np.arange(24, dtype=np.uint8).reshape(6, 2, 2), np.arange(6)
    ds = LabelledImages(images, labels, ("a", "b"))
    for index in (slice(1, 5, 2), [3, 0, 3], np.array([True] * 3 + [False] * 3), np.array([], int)):
        x, y = ds[index]
        np.testing.assert_array_equal(x, images[index])
        np.testing.assert_array_equal(y, labels[index])
    assert ds[-1][1] == 5
    assert np.shares_memory(ds[1:3][0], images)
    assert [int(label) for _, label in ds] == [0, 1, 2, 3, 4, 5]
    assert repr(ds) == "LabelledImages(6 images of 2×2, 2 classes)"
    with pytest.raises(ShapeError, match="images hold 6 samples but labels 5"):
        LabelledImages(images, labels[:5])


@needs_mnist
@pytest.mark.parametrize(
    ("train", "count", "first"), [(True, 60_000, [5, 0, 4, 1, 9]), (False, 10_000, [7, 2, 1, 0, 4])]
)
def test_mnist_itself(train: bool, count: int, first: list[int]) -> None:
    ds = MNIST(train=train)
    assert ds.images.shape == (count, 28, 28)
    assert ds.images.dtype == np.uint8
    assert ds.labels[:5].tolist() == first
    assert np.bincount(ds.labels).min() > count * 0.08
    if train:
        assert ds.images.mean() / 255 == pytest.approx(MNIST.mean[0], abs=5e-5)
        assert ds.images.std() / 255 == pytest.approx(MNIST.std[0], abs=5e-5)


def test_idx_data_set_of_another_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "images", np.zeros((2, 9, 9), np.uint8))
    write_idx(tmp_path / "labels", np.zeros(2, np.uint8))
    paths = {f.name: tmp_path / kind for pair in MNIST.files.values() for f, kind in zip(pair, ("images", "labels"))}
    monkeypatch.setattr(importlib.import_module("vision.datasets.mnist"), "fetch", lambda *args: paths)
    with pytest.raises(DataError, match=r"uint8 \(2, 9, 9\).*expected uint8 \(N, 28, 28\)"):
        MNIST()


@pytest.mark.parametrize("dataset", [FashionMNIST, CIFAR10])
def test_unreachable_data_sets_say_that_no_package_is_known(
    dataset: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNFOLDGRAD_DATA", str(tmp_path))
    monkeypatch.setattr(dataset, "sources", ())
    with pytest.raises(DataError, match=f"{dataset.__name__}: .*(?s:.)*No package is known"):
        dataset()


def test_cifar_records() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
    labels = np.array([0, 9, 3, 3])
    data = b"".join(bytes([k]) + x.transpose(2, 0, 1).tobytes() for x, k in zip(images, labels))
    got, named = decode_records(data, "batch")
    np.testing.assert_array_equal(got, images)
    np.testing.assert_array_equal(named, labels)
    with pytest.raises(DataError, match="batch holds 12,291 bytes, not a multiple of 3,073"):
        decode_records(data[:-1], "batch")
    with pytest.raises(DataError, match=r"label 10, expected 0\.\.9"):
        decode_records(bytes([10]) + data[1:], "batch")


def test_the_command_explains_itself() -> None:
    done = subprocess.run([sys.executable, "-m", "vision.datasets", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "'mnist', 'fashion-mnist', 'cifar10'" in done.stderr


# ------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(2):
            PIL.fromarray(np.full((4, 6, 3), 100 * label + i, np.uint8)).save(tmp_path / name / f"{i}.png")
        PIL.fromarray(np.full((4, 6), 100 * label + 2, np.uint8)).save(tmp_path / name / "more" / "2.PNG")
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def test_folder_decodes_on_demand(folder: Path) -> None:
    ds = ImageFolder(folder)
    assert ds.classes == ("cat", "dog")
    assert len(ds) == 6
    image, label = ds[4]
    assert (image.shape, image.dtype, image[0, 0].tolist(), label) == ((4, 6, 3), np.uint8, [101] * 3, 1)
    images, labels = ds[np.array([5, 0, 2])]
    assert images[:, 0, 0, 0].tolist() == [102, 0, 2]
    assert labels.tolist() == [1, 0, 0]
    assert ImageFolder(folder, mode="L")[:][0].shape == (6, 4, 6)
    assert ImageFolder(folder, size=(8, 3))[:2][0].shape == (2, 8, 3, 3)
    assert ds[:0][1].shape == (0,)


def test_folder_of_mixed_sizes(folder: Path) -> None:
    PIL.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "cat" / "1.png")
    with pytest.raises(ShapeError, match=r"\(4, 6, 3\), \(9, 9, 3\).*size=\(height, width\)"):
        ImageFolder(folder)[:3]


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)), st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from(["stretch", "crop"]),
)  # fmt: skip
def test_pictures_are_fitted(before: tuple[int, int], size: tuple[int, int], fit: Any) -> None:
    ramp = np.linspace(0, 255, before[0])[:, None] + np.zeros(before)  # brighter downwards
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "class").mkdir()
        PIL.fromarray(ramp.astype(np.uint8)).save(root / "class" / "a.png")
        image = ImageFolder(root, size=size, mode="L", fit=fit)[0][0]
    assert image.shape == size
    np.testing.assert_array_equal(image, np.repeat(image[:, :1], size[1], axis=1))
    taken = min(1.0, (before[1] * size[0] / size[1]) / before[0]) if fit == "crop" else 1.0  # of the height
    middles = before[0] * (0.5 + taken * ((np.arange(size[0]) + 0.5) / size[0] - 0.5))  # of the rows, in rows
    at = np.clip(middles - 0.5, 0, before[0] - 1)
    step = 255 / max(1, before[0] - 1)
    assert np.abs(image[:, 0] - at * step).max() <= max(1.0, taken * before[0] / size[0]) * step / 2 + 2


def test_what_is_transparent_lies_on_white(folder: Path) -> None:
    for mode, kind in ((PIL.new("RGBA", (2, 2), (9, 9, 9, 0)), "RGB"), (PIL.new("LA", (2, 2), (9, 0)), "L")):
        mode.save(folder / "cat" / "1.png")
        assert ImageFolder(folder, mode=kind)[1][0].min() == 255


@pytest.mark.parametrize("content", [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", None])
def test_folder_with_damaged_pictures(folder: Path, content: bytes | None) -> None:
    bad = folder / "cat" / "1.png"
    bad.write_bytes(bad.read_bytes()[:50] if content is None else content)
    with pytest.raises(DataError, match=r"1\.png cannot be decoded.*skip_errors"):
        ImageFolder(folder)[:3]
    ds = ImageFolder(folder, skip_errors=True)
    for _ in range(2):
        images, labels = ds[:4]
        assert (len(images), labels.tolist()) == (3, [0, 0, 1])
    assert list(ds.skipped) == [bad]
    with pytest.raises(DataError, match="cannot be decoded"):
        ds[1]
    with pytest.raises(DataError, match="none of the 1 pictures"):
        ds[1:2]


@given(st.lists(st.integers(0, 2), min_size=3, max_size=9), st.integers(0, 2**32), st.booleans())
def test_a_written_folder_reads_as_it_was(labels: list[int], seed: int, colour: bool) -> None:
    labels = sorted([*labels, 0, 1, 2])
    shape = (len(labels), 5, 4, *([3] if colour else []))
    images = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    with tempfile.TemporaryDirectory() as root:
        write_folder(images, labels, ("a", "b/c", "d"), root)
        read = ImageFolder(root, mode="RGB" if colour else "L")
        assert read.classes == ("a", "b-c", "d")
        np.testing.assert_array_equal(read[:][0], images)
        np.testing.assert_array_equal(read[:][1], labels)
        with pytest.raises(DataError, match="is not empty"):
            write_folder(images, labels, ("a", "b/c", "d"), root)


def test_a_folder_needs_a_label_for_each_picture(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="2 images but 1 labels"):
        write_folder(np.zeros((2, 3, 3), np.uint8), [0], ("a",), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(
    not (cache_dir() / "emoji" / "64.png").exists(), reason="`python -m vision.datasets emoji` fetches it"
)
def test_emoji() -> None:
    train, test = Emoji(), Emoji(train=False)
    assert (train.images.shape, test.images.shape) == ((1503, 64, 64, 3), (403, 64, 64, 3))
    assert not set(train.names) & set(test.names)
    assert set(train.labels) == set(test.labels) == set(range(9))
    fire = train if "fire" in train.names else test
    image, label = fire[fire.names.index("fire")]
    assert Emoji.classes[label] == "Travel & Places"
    assert image[40:60, 25:40, 0].mean() > image[40:60, 25:40, 2].mean() + 80  # red, and no blue
    assert image[0, :20].min() == 255  # on white
    pixels = train.images / 255
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), Emoji.mean, atol=5e-4)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2)), Emoji.std, atol=5e-4)


def test_a_list_of_emoji_that_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in ("[]]", '[{"name": "x"}]', "3"):
        (tmp_path / "emoji.json").write_text(content)
        paths = {"emoji.json": tmp_path / "emoji.json", "64.png": tmp_path / "64.png"}
        monkeypatch.setattr("vision.datasets.emoji.fetch", lambda *args, paths=paths: paths)
        with pytest.raises(DataError, match="is not the package's list of emoji"):
            Emoji()


def test_the_command_writes_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    command = importlib.import_module("vision.datasets.__main__")

    def small(train: bool) -> LabelledImages:
        return LabelledImages(np.zeros((4, 3, 3), np.uint8), np.array([0, 1, 1, 0]), ("a", "b"))

    monkeypatch.setitem(command.KNOWN, "mnist", small)
    assert command.main(["mnist", "--folder", str(tmp_path / "out")]) == 0
    assert "4 training and 4 test images" in capsys.readouterr().out
    assert len(list(tmp_path.glob("out/*/*/*.png"))) == 8
    assert command.main(["mnist", "--folder", str(tmp_path / "out")]) == 1
    assert "is not empty" in capsys.readouterr().err
    for wrong in (["mnist", "emoji", "--folder", "x"], [], ["nist"]):
        with pytest.raises(SystemExit):
            command.main(wrong)


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="fit is 'squeeze'"):
        ImageFolder(tmp_path, fit="squeeze")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="is not a folder"):
        ImageFolder(tmp_path / "missing")
    with pytest.raises(DataError, match="no folders"):
        ImageFolder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty"):
        ImageFolder(tmp_path)


def test_without_pillow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"unfoldgrad\[vision\]"):
        ImageFolder(folder)[0]
