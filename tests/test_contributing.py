"""The declarations in CONTRIBUTING.md are real: they run, and their gradients are right."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd
from autograd.errors import ShapeError

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "contributing"}
    before = set(autograd.core.primitive.registry)
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    yield names
    for name in set(autograd.core.primitive.registry) - before:
        del autograd.core.primitive.registry[name]


def test_elementwise_example(declared: dict[str, Any]) -> None:
    x = np.linspace(-2, 2, 7)
    np.testing.assert_allclose(autograd.grad(lambda x: declared["gaussian"](x).sum())(x), -2 * x * np.exp(-x * x))
    slope = autograd.grad(lambda x: autograd.grad(lambda x: declared["gaussian"](x).sum())(x).sum())(x)
    np.testing.assert_allclose(slope, (4 * x * x - 2) * np.exp(-x * x))


def test_primitive_example(declared: dict[str, Any]) -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    np.testing.assert_array_equal(autograd.grad(lambda y: declared["rowdot"](x, y).sum())(y), x)
    said = re.search(r"A wrong shape now says `(.*)`", TEXT)
    assert said
    with pytest.raises(ShapeError, match=re.escape(said[1])):
        declared["rowdot"](np.ones((2, 4)), np.ones((2, 3)))
