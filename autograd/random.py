"""Reproducible random numbers: generators with a seed and a state that can be saved."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import backend
from .config import switches
from .core.tensor import Tensor, element_type
from .errors import DataError


class Generator:
    """A stream of random numbers; the same seed gives the same numbers.

    Numbers are drawn on the host (PCG64) and moved, so that every device sees the same stream.

    >>> a, b = Generator(1), Generator(1)
    >>> bool((uniform((3,), generator=a) == uniform((3,), generator=b)).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self.numpy = np.random.default_rng(seed)

    def get_state(self) -> dict[str, Any]:
        """Return the state as plain numbers and strings."""
        return dict(self.numpy.bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that ``get_state`` returned.

        Raises:
            DataError: if ``state`` is not one.
        """
        try:
            self.numpy.bit_generator.state = state
        except (TypeError, ValueError, KeyError) as error:
            raise DataError(f"Generator.set_state: {error} → give what get_state() returned") from error

    def spawn(self) -> Generator:
        """Return a new generator whose stream is independent of this one's."""
        child = Generator(0)
        child.numpy = self.numpy.spawn(1)[0]
        return child


_default = Generator()


def default_generator() -> Generator:
    """Return the generator that is used where none is given."""
    return _default


def manual_seed(seed: int) -> Generator:
    """Begin the default generator's stream anew at ``seed``; return the generator."""
    _default.numpy = np.random.default_rng(seed)
    return _default


def _place(array: np.ndarray, dtype: Any, device: str) -> Tensor:
    return Tensor(
        backend.by_name(device).from_host(
            array.astype(element_type("random", dtype or switches.default_dtype), copy=False), device
        )
    )


def uniform(
    shape: tuple[int, ...],
    low: float = 0.0,
    high: float = 1.0,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str = "cpu",
) -> Tensor:
    """Numbers drawn evenly from [low, high).

    >>> uniform((2, 3), generator=Generator(0)).shape
    (2, 3)
    """
    return _place((generator or _default).numpy.uniform(low, high, shape), dtype, device)


def normal(
    shape: tuple[int, ...],
    mean: float = 0.0,
    std: float = 1.0,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str = "cpu",
) -> Tensor:
    """Numbers drawn from the normal distribution.

    >>> normal((2, 3), generator=Generator(0)).shape
    (2, 3)
    """
    return _place((generator or _default).numpy.normal(mean, std, shape), dtype, device)


def integers(
    shape: tuple[int, ...], low: int, high: int, *, generator: Generator | None = None, device: str = "cpu"
) -> Tensor:
    """Integers drawn evenly from low … high − 1."""
    return _place((generator or _default).numpy.integers(low, high, shape), "int64", device)


def permutation(n: int, *, generator: Generator | None = None, device: str = "cpu") -> Tensor:
    """The numbers 0 … n − 1 in random order."""
    return _place((generator or _default).numpy.permutation(n), "int64", device)


def bernoulli(p: float, shape: tuple[int, ...], like: Any, generator: Generator | None = None) -> Any:
    """An array of the type of ``like`` that is 1/p with probability p and 0 otherwise."""
    draws = (generator or _default).numpy.random(shape, dtype=np.float32)
    scale = 1 / p if p else 0.0
    mask = np.multiply(draws < p, scale, dtype=like.dtype.newbyteorder("="))
    home = backend.of(like)
    return home.from_host(mask, home.device_of(like))
