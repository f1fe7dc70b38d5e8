from collections.abc import Iterator

import numpy as np
import pytest

import autograd
import nn


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Weights are zeros from the system that nobody writes to: 144 million are there at once and take no memory."""
    zeros = lambda shape, dtype=None, device="cpu": autograd.Tensor(np.zeros(shape, dtype or autograd.default_dtype()))  # noqa: E731
    monkeypatch.setattr(autograd, "empty", zeros)
    for draw in ("uniform_", "normal_"):
        monkeypatch.setattr(nn.init, draw, lambda tensor, *args, **kwargs: tensor)
    yield
