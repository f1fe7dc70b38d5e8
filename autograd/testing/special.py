"""What makes an array special: how it lies in memory, and numbers at the ends of what a type can hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy, integers, sampled_from

from ..errors import AutogradError

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

# --- values -----------------------------------------------------------------------------------------------------------


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
