from collections.abc import Iterator

import numpy as np
import pytest

import autograd
import nn


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """Weights are zeros from the system that nobody writes to: 144 million are there at once and take no memory."""

    def zeros(shape: tuple[int, ...], dtype: object = None, device: str = "cpu") -> autograd.Tensor:
        return autograd.Tensor(np.zeros(shape, dtype or autograd.default_dtype()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autograd, "empty", zeros)
        for draw in ("uniform_", "normal_"):
            patch.setattr(nn.init, draw, lambda tensor, *args, **kwargs: tensor)
        yield
