"""Numbers and arrays for strategies: drawn by Hypothesis, special ones, and lying in memory in every way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy, binary, integers, sampled_from

from ..errors import AutogradError

# --- random numbers that Hypothesis draws and shrinks, for code that expects a numpy.random.Generator -----------------

MANY = 512  # more numbers than these come from one seed: Hypothesis keeps 8 KiB for an example


def _halved(bits: int) -> np.ndarray:
    """1/2, 1/4, 3/4, 1/8, 5/8 …: the fractions with few digits first (van der Corput 1935)."""
    counted = np.arange(1, 2**bits + 1)
    return sum((counted >> k & 1) * 2.0 ** -(k + 1) for k in range(bits + 1))  # type: ignore[return-value]


COARSE = _halved(8)


class Drawn:
    """The methods of ``numpy.random.Generator`` that samples are made with; simple numbers come of simple draws.

    A number is two bytes: the second counts through 1/2, 1/4, 3/4 …, the first adds a little and shrinks first. So a
    number between −2 and 2 turns from −1.2421 into −1.25, −1, 0, and passes over those that are merely close to 0.

    Args:
        draw: draws from a Hypothesis strategy, as the argument of a composite strategy does.
    """

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw

    def _pairs(self, size: Any) -> np.ndarray:
        shape = (size,) if isinstance(size, int) else tuple(size)
        count = int(np.prod(shape, dtype=int))
        if count > MANY:
            seed = self.draw(integers(0, 2**32 - 1))
            return np.random.default_rng(seed).integers(0, 256, (*shape, 2))
        drawn = self.draw(binary(min_size=2 * count, max_size=2 * count))
        return np.frombuffer(drawn, np.uint8).astype(int).reshape(*shape, 2)

    def random(self, size: Any = ()) -> np.ndarray:
        """Numbers in (0, 1), simplest 1/2."""
        pairs = self._pairs(size)
        return np.asarray(COARSE[pairs[..., 1]] + pairs[..., 0] * 2.0**-17)

    def uniform(self, low: float, high: float, size: Any = ()) -> np.ndarray:
        """Numbers in (low, high), simplest halfway."""
        return np.asarray(low + (high - low) * self.random(size))

    def integers(self, low: int, high: int | None = None, size: Any = ()) -> np.ndarray:
        """Whole numbers from ``low`` up to but not ``high``, or from 0 up to ``low``; simplest the least."""
        low, high = (low, high) if high is not None else (0, low)
        pairs = self._pairs(size)
        return np.asarray(low + (256 * pairs[..., 0] + pairs[..., 1]) % (high - low))

    def standard_normal(self, size: Any = ()) -> np.ndarray:
        """Numbers of both signs and about size 1: logistic, which is close enough to normal."""
        u = self.random(size)
        return np.asarray(0.55 * np.log(u / (1 - u)))

    def choice(self, values: Sequence[Any], size: Any = ()) -> np.ndarray:
        """Some of the values, simplest the first."""
        return np.asarray(values)[self.integers(0, len(values), size)]

    def permutation(self, x: Any) -> np.ndarray:
        """``x``, or the numbers below it, in another order, simplest its own."""
        x = np.arange(x) if isinstance(x, int) else np.asarray(x)
        return x[np.argsort(self.random(len(x)), kind="stable")]


# --- layouts: the same numbers, lying otherwise in memory -------------------------------------------------------------


def _sliced(x: np.ndarray) -> np.ndarray:
    wide = np.full([2 * n for n in x.shape], np.nan if x.dtype.kind == "f" else 1).astype(x.dtype)
    every_other: Any = (..., *(slice(None, None, 2),) * x.ndim)  # a view, of 0-d too
    view = wide[every_other]
    view[...] = x
    return view


def _read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": lambda x: np.array(x, order="C"),
    "Fortran": lambda x: np.array(x, order="F"),
    "reversed": lambda x: np.flip(np.array(np.flip(x), order="C")),  # negative strides
    "sliced": _sliced,  # every other element of a larger array
    "read-only": _read_only,
}

# --- special values ---------------------------------------------------------------------------------------------------


def _extremes(info: Any) -> dict[str, tuple[float, ...]]:
    return {
        "signed zeros": (0.0, -0.0),
        "huge": (float(info.max), -float(info.max), float(info.max) ** 0.5),
        "tiny": (float(info.tiny), -float(info.tiny), float(info.eps)),
        "subnormal": (float(info.smallest_subnormal), -float(info.tiny) / 2),
        "inf": (np.inf, -np.inf),
        "nan": (np.nan,),
    }


def values(*kinds: str, dtype: str = "float64") -> SearchStrategy[float]:
    """Return a strategy of single numbers with special ones among them, for ``tensors(elements=...)``.

    Args:
        kinds: ``"signed zeros"``, ``"huge"``, ``"tiny"``, ``"subnormal"``, ``"inf"``, ``"nan"``; and ``"ties"``, with
            which the other numbers are −1, 0 and 1 only.
        dtype: the type whose largest and smallest numbers are meant.

    Raises:
        AutogradError: if a kind is none of these.

    >>> from hypothesis import find
    >>> find(values("inf"), lambda x: x > 10)
    inf
    """
    table = _extremes(np.finfo(dtype))
    unknown = [k for k in kinds if k not in table and k != "ties"]
    if unknown:
        raise AutogradError(f"values: {unknown[0]!r} is not known → use {', '.join(map(repr, (*table, 'ties')))}")
    usual = sampled_from([0.0, 1.0, -1.0]) if "ties" in kinds else integers(-256, 256).map(lambda k: k / 128)
    special = [x for k in kinds if k != "ties" for x in table[k]]
    return usual | sampled_from(special) if special else usual
