"""The examples are programs: each runs as a user runs it, in a process of its own, and finds the lecture's figures."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import autograd
import nn
from vision.datasets import MNIST, cache_dir

ROOT = Path(__file__).parents[2]
PNG = b"\x89PNG\r\n\x1a\n"

pytest.importorskip("matplotlib", reason="matplotlib is not installed: the examples draw")
needs_mnist = pytest.mark.skipif(
    not all((cache_dir() / "mnist" / file.name).is_file() for pair in MNIST.files.values() for file in pair),
    reason="MNIST is not in the cache: make data fetches it",
)


def run(example, *arguments, cwd, path=()):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT))), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error::RuntimeWarning", str(ROOT / "examples" / f"{example}.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
    )


def written(folder):
    """The files of a folder; every picture among them is one."""
    assert all(path.read_bytes().startswith(PNG) for path in folder.glob("*.png"))
    return {path.name for path in folder.iterdir()}


def test_donut_filter(tmp_path):
    done = run("donut_filter", "--out", "pictures", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "holds: [[3, 4]]",
        "most donutty pixel is row 6, column 1",
        "sum = 3.65",
        "from (8, 8) to (4, 4)",
        "two maps: (2, 8, 8)",
        "25 per filter, 50 + 50 here",
    ):
        assert words in done.stdout
    assert written(tmp_path / "pictures") == {"donut_filter.png"}


def test_the_donut_map_is_the_sum_over_every_place():
    donut = runpy.run_path(str(ROOT / "examples" / "donut_filter.py"))
    image, weights = donut["IMAGE"], donut["DONUT"]
    assert image.shape == (8, 8) and image[0, 0] == 0.73 and image[7, 7] == 0.01
    assert weights[2].tolist() == [-0.1, 1.0, -2.5, 1.0, -0.1] and abs(weights.sum() - 2.5) < 1e-12
    expected = np.zeros((8, 8))
    for row, column, i, j in np.ndindex(8, 8, 5, 5):
        y, x = row + i - 2, column + j - 2
        expected[row, column] += weights[i, j] * image[y, x] if 0 <= y < 8 and 0 <= x < 8 else 0.0
    np.testing.assert_allclose(donut["convolve"](image, weights[None])[0], expected, atol=1e-12)


def test_convolution_arithmetic(tmp_path):
    done = run("convolution_arithmetic", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("✓ ") for line in lines)
    assert [line.rpartition(": ")[2] for line in lines] == [
        "(0.0, 1.0)", "9", "(28, 28, 1)", "(28, 28, 6)", "450", "456", "352800", "14450688", "36", "881",
        "[[6.0, 8.0], [3.0, 4.0]]",
    ]  # fmt: skip


@needs_mnist
def test_mnist_writes_everything_and_says_what_does_not_fit(tmp_path):
    done = run("mnist", "cnn", "--limit", "400", "--epochs", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "% of 400 test images right, 2 epochs in" in done.stdout
    assert written(tmp_path / "out") == {
        "last.safetensors", "best.safetensors", "result.json", "learning_curve.png", "confusion_matrix.png",
        "mistakes.png", "filters.png", "activations_0.png", "activations_3.png", "model.html", "model.svg",
    }  # fmt: skip
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["program"] == "cnn" and result["seed"] == 1 and result["accuracy"] > 0.3

    other = run("mnist", "mlp", "--limit", "400", "--resume", cwd=tmp_path)
    assert other.returncode == 1 and "nothing was loaded; check that the model" in other.stderr
    absent = run("mnist", "mlp", "--limit", "400", "--resume", "--out", "elsewhere", cwd=tmp_path)
    assert absent.returncode == 1 and "elsewhere/last.safetensors" in absent.stderr
    assert "Traceback" not in other.stderr + absent.stderr


def test_mnist_arguments(tmp_path):
    for arguments in (["transformer"], ["cnn", "--epochs", "0"], ["cnn", "--limit", "many"]):
        done = run("mnist", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and "usage:" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("example", [("donut_filter",), ("mnist", "cnn")])
def test_a_missing_matplotlib_is_said_at_once(tmp_path, example):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    done = run(*example, cwd=tmp_path, path=[tmp_path])
    assert done.returncode == 1 and "pip install 'unfoldgrad[vision]'" in done.stderr
    assert "Traceback" not in done.stderr and "epoch" not in done.stdout


@pytest.fixture
def pictures(tmp_path):
    """Two classes, light and dark, in train and valid; two pictures that cannot be decoded."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("valid", 6)):
        for label, level in (("dark", 0), ("light", 155)):
            folder = tmp_path / "pictures" / part / label
            folder.mkdir(parents=True)
            for i in range(count):
                image.fromarray(rng.integers(level, level + 100, (40, 44, 3), np.uint8)).save(folder / f"{i}.png")
            (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:60])
    return tmp_path / "pictures"


def train_imagefolder(folder, *options, cwd):
    common = ("--size", "32", "--batch-size", "6", "--model", "squeezenet1_1", "--workers", "1")
    return run("train_imagefolder", str(folder), *common, *options, cwd=cwd)


def test_train_imagefolder_counts_what_it_leaves_out_and_continues(pictures, tmp_path):
    done = train_imagefolder(pictures, "--epochs", "1", "--mix", "cutmix", "--skip-errors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of 12 pictures right" in done.stdout  # 14, and two are left out
    assert done.stdout.count("left out: ") == 4
    files = {"learning_curve.png", "confusion_matrix.png", "mistakes.png", "best.safetensors", "last.safetensors"}
    assert written(tmp_path / "out") == files
    more = train_imagefolder(
        pictures, "--epochs", "2", "--mix", "cutmix", "--skip-errors", "--resume", "--lr", "1e-3", cwd=tmp_path
    )
    assert more.returncode != 0 and "OneCycleLR" in more.stderr  # two epochs are another schedule than one
    begun = train_imagefolder(
        pictures, "--epochs", "1", "--skip-errors", "--weights", "out/best.safetensors", "--out", "again", cwd=tmp_path
    )
    assert begun.returncode == 0, begun.stderr
    assert "52 of 52 weights from out/best.safetensors" in begun.stdout


def test_train_imagefolder_says_what_does_not_fit(pictures, tmp_path):
    stopped = train_imagefolder(pictures, cwd=tmp_path)
    assert stopped.returncode == 1 and "broken.png cannot be decoded" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    (pictures / "valid" / "light").rename(pictures / "valid" / "bright")
    other = train_imagefolder(pictures, "--skip-errors", cwd=tmp_path)
    assert other.returncode == 1 and "train has classes ('dark', 'light'), valid ('bright', 'dark')" in other.stderr
    small = train_imagefolder(pictures / "train", "--size", "8", "--skip-errors", cwd=tmp_path)
    assert small.returncode == 1 and "squeezenet1_1 does not take pictures of --size 8" in small.stderr
    nn.save({"w": autograd.zeros(1)}, tmp_path / "other.safetensors")
    strange = train_imagefolder(pictures / "train", "--skip-errors", "--weights", "other.safetensors", cwd=tmp_path)
    assert strange.returncode == 1 and "none of 1 entries fits the model's 52" in strange.stderr
    for path in (pictures / "train").rglob("1*.png"):
        path.rename(path.with_suffix(".txt"))
    for path in (pictures / "train").rglob("[4-9].png"):
        path.rename(path.with_suffix(".txt"))
    few = train_imagefolder(pictures / "train", cwd=tmp_path)
    assert few.returncode == 1 and "8 pictures, expected ≥ 10 to keep a tenth" in few.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    none = train_imagefolder(empty, cwd=tmp_path)
    assert none.returncode == 1 and "no pictures in" in none.stderr
