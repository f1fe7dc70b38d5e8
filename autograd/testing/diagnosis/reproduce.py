"""The line that shows a failure again, as it is pasted into a program after ``import numpy as np``."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..point import Point

WRITTEN = 32  # elements of an array up to which its values stand in the line; a larger one is saved to a file


def call(point: Point) -> str:
    """Return the call that finds the same again, or what the function itself says: ``f.reproduce()``."""
    if own := getattr(point.f, "reproduce", None):
        return str(own())
    given = [expression(point.f), *map(literal, point.inputs)]
    given += [f"dtype={point.dtype!r}"] * bool(point.dtype)
    given += [f"order={point.order}"] * (point.order != 1) + [f"directions={point.count}"] * (point.count != 1)
    if (seed := _seed(point)) != 0:
        given.append(f"rng=np.random.default_rng({seed})")
    return f"{'check_precision' if point.dtype else 'check_gradients'}({', '.join(given)})"


def expression(f: Any) -> str:
    """Return how a function is called in a program: its name, or ``f`` if it has none; ``f.expression`` if it says."""
    name = getattr(f, "expression", getattr(f, "__name__", "f"))
    return "f" if name == "<lambda>" else str(name)


def literal(x: Any, written: int = WRITTEN) -> str:
    """Return a value as it stands in a program.

    >>> literal(np.array([0.5, 2.0], "float32")), literal(np.zeros((0, 3))), literal(None)
    ("np.array([0.5, 2.0], 'float32')", 'np.zeros((0, 3))', 'None')
    """
    if not isinstance(x, (np.ndarray, np.generic)):
        return repr(x)
    kind = "" if x.dtype in ("float64", "int64", "bool") else f", {x.dtype.name!r}"
    if not x.size:
        return f"np.zeros({x.shape}{kind})"
    if x.size <= written and np.isfinite(x).all():
        return f"np.array({x.tolist()!r}{kind})"
    path = Path(tempfile.gettempdir()) / f"unfold-{zlib.crc32(np.ascontiguousarray(x).tobytes()):08x}.npy"
    np.save(path, x)
    return f"np.load({str(path)!r})"


def _seed(point: Point) -> Any:
    """The seed of the generator as it was when the check began; any finds the same mistake if there is none."""
    entropy = getattr(point.rng.bit_generator.seed_seq, "entropy", None)
    fresh = entropy is not None and np.random.default_rng(entropy).bit_generator.state == point.start
    return entropy if fresh else 0
