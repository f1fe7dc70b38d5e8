"""The examples that look inside networks: each runs as a user runs it, and finds what is known."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vision.datasets import MNIST, cache_dir
from vision.datasets.photographs import PHOTOGRAPHS

ROOT = Path(__file__).parents[2]
PNG = b"\x89PNG\r\n\x1a\n"
COMMON = {
    "depth.png", "filters.png", "wishes.png", "ways.png", "occlusion.png", "grad_cam.png", "units.png", "work.png",
    "work.txt", "work.html",
}  # fmt: skip

pytest.importorskip("matplotlib", reason="matplotlib is not installed: the examples draw")
needs_mnist = pytest.mark.skipif(
    not all((cache_dir() / "mnist" / file.name).is_file() for pair in MNIST.files.values() for file in pair),
    reason="MNIST is not in the cache: make data fetches it",
)
photographs = [cache_dir() / "photographs" / file.name for file, _ in PHOTOGRAPHS.values()]
needs_squeezenet = pytest.mark.skipif(
    not all(path.is_file() for path in [*photographs, cache_dir() / "squeezenet1_1" / "squeezenet_weights.pkl"]),
    reason="SqueezeNet's weights are not in the cache: python -m vision.pretrained fetches them",
)


def run(example, *arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error::RuntimeWarning", str(ROOT / "examples" / f"{example}.py"), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8")
    written = {path.name for path in (cwd / "out").glob("*")}
    assert all((cwd / "out" / name).read_bytes().startswith(PNG) for name in written if name.endswith(".png"))
    return done, written


@needs_mnist
def test_inside_the_network_for_digits(tmp_path):
    done, written = run("see_inside", "digits", "--limit", "400", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert written == COMMON | {"features_1.png", "features_4.png"}
    text = (tmp_path / "out" / "work.txt").read_text(encoding="utf-8")
    assert text.startswith("0: filter") and text.splitlines()[-1].startswith("ReLU (1) +")


@needs_mnist
def test_weights_of_another_network_are_refused(tmp_path):
    import nn

    nn.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.safetensors")
    done, written = run("see_inside", "digits", "--weights", "other.safetensors", cwd=tmp_path)
    assert done.returncode == 1 and "missing: 0.weight" in done.stderr and "Traceback" not in done.stderr
    assert not written


@needs_squeezenet
def test_inside_squeezenet(tmp_path):
    done, written = run("see_inside", "photograph", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "99.9%  espresso" in done.stdout
    assert written == COMMON | {f"features_features.{i}.png" for i in (1, 4, 7, 10)}
    done, _ = run("see_inside", "photograph", "--image", "missing.jpg", cwd=tmp_path)
    assert done.returncode == 1 and "missing.jpg" in done.stderr and "Traceback" not in done.stderr


def test_the_revolution_of_depth(tmp_path):
    done, written = run("revolution_of_depth", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert written == {"revolution_of_depth.png"}
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[:5]}
    for name, depth, error in [
        ("AlexNet", 8, "15.30"),
        ("VGG", 19, "7.30"),
        ("GoogLeNet", 22, "6.67"),
        ("ResNet", 152, "3.57"),
    ]:
        assert f" {depth} layers" in lines[name] and f"{error} %" in lines[name]
    assert "60.2 M parameters, 11.28 G" in lines["ResNet"]
