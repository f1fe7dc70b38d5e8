"""The data sets: indexing, the real files where they are, and what a damaged one says."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autograd.errors import DataError, ShapeError
from vision.datasets import CIFAR10, MNIST, FashionMNIST, ImageFolder, LabelledImages, cache_dir, write_idx
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
    assert "mnist,fashion-mnist,cifar10" in done.stderr


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


def test_folders_without_pictures(tmp_path: Path) -> None:
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
