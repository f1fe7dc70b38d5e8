"""The same numbers in every way that they can lie in memory."""

import numpy as np
from hypothesis import strategies as st


def _misaligned(x):
    memory = np.empty(x.nbytes + 1, np.uint8)
    moved = memory[1:].view(x.dtype).reshape(x.shape)
    moved[...] = x
    return moved


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "channels last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim > 1 else x,
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "read-only": _read_only,
    "misaligned": _misaligned,
}


def layouts(x):
    """Return a strategy of arrays equal to x that lie differently in memory."""
    return st.sampled_from(sorted(LAYOUTS)).map(lambda name: LAYOUTS[name](x))
