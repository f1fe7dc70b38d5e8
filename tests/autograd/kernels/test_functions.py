"""exp, sigmoid and tanh for compiled code: near the exact value at every magnitude, and what is special stays so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from autograd.kernels.cpu import functions  # noqa: E402
from autograd.kernels.cpu.compile import OPTIONS  # noqa: E402

EXACT: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "sigmoid": lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x))),
    "tanh": np.tanh,
}


def over(name: str) -> Callable[[np.ndarray], np.ndarray]:
    f = getattr(functions, name)

    @numba.njit(**{**OPTIONS, "cache": False})
    def run(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = f(x[i])

    def call(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        run(x, out)
        return out

    return call


@pytest.mark.parametrize("name", EXACT)
def test_float32_is_within_two_units_in_the_last_place(name: str) -> None:
    x = np.concatenate(
        [np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32),  # of every kind, NaN too
         np.linspace(-110, 95, 200_001, dtype=np.float32), np.array([0.0, -0.0, np.inf, -np.inf], np.float32)]
    )  # fmt: skip
    with np.errstate(all="ignore"):
        exact, found = EXACT[name](x.astype(np.float64)), over(name)(x)
        rounded = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(x))
    finite = np.isfinite(found) & np.isfinite(rounded)
    np.testing.assert_array_equal(found[~finite], rounded[~finite])
    np.testing.assert_array_equal(np.signbit(found[finite]), np.signbit(rounded[finite]))
    error = np.abs(found[finite] - exact[finite]) / np.spacing(np.abs(rounded[finite])).astype(np.float64)
    assert error.max() <= 2


@pytest.mark.parametrize("name", EXACT)
def test_float64_is_the_c_librarys(name: str) -> None:
    x = np.concatenate([np.linspace(-800, 700, 10_001), [np.nan, np.inf, -np.inf, -0.0, 5e-324]])
    np.testing.assert_allclose(over(name)(x), EXACT[name](x), rtol=1e-14, atol=5e-324)


def test_python_is_told_that_they_are_for_compiled_code() -> None:
    with pytest.raises(NotImplementedError, match="for compiled code only"):
        functions.exp(1.0)
