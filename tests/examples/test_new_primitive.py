"""The page that shows how to test one's own operation runs as a program and as tests."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = [
    "snake is what it declares", "distances is what it declares", "distances", "layer", "one point by hand",
    "the mistake is caught",
]  # fmt: skip


def run(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_as_a_program(tmp_path):
    text = run(str(ROOT / "examples" / "new_primitive.py"), cwd=tmp_path)
    assert [line.removeprefix("✓ ") for line in text.splitlines() if line.startswith("✓")] == TESTS
    assert "wrong gradient of input 0" in text and "looks like: a constant factor" in text


def test_as_tests(tmp_path):
    example = ROOT / "examples" / "new_primitive.py"
    plugin = "unfold" if entry_points(group="pytest11", name="unfold") else "pytest_unfold"
    options = ["-q", "-p", "no:cacheprovider", "-p", plugin, "-c", os.devnull, "--rootdir", str(tmp_path)]
    text = run("-m", "pytest", *options, "--gradients", str(example), cwd=tmp_path)
    assert f"{len(TESTS)} passed" in text
    assert any(line.endswith("::test_distances") and " 2  " in line for line in text.splitlines()), text


def test_as_a_user_writes_it():
    """The README's two snippets."""
    pytest.importorskip("hypothesis")
    from autograd import conv2d, tanh, tensor
    from autograd.testing import assert_gradients, gradient_property
    from autograd.testing import strategies as st

    x, w = tensor([[[[0.5, -1.0, 2.0]] * 3]]), tensor([[[[1.0, -0.5, 0.25]] * 3]])

    def my_function(x, w):
        return tanh(conv2d(x, w, padding=1))

    my_layer = my_function

    assert_gradients(my_function, x, w, order=2)

    @gradient_property(x=st.tensors(shape="N C H W"), w=st.tensors(shape="K C 3 3"))
    def test_my_layer(x, w): return my_layer(x, w)  # fmt: skip

    test_my_layer()
