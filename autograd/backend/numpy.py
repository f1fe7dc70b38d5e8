"""The host: NumPy arrays."""

from __future__ import annotations

import numpy as np

from .base import Backend, register


class NumpyBackend(Backend):
    """NumPy on the CPU: transfers are no copies."""

    name = "cpu"
    xp = np
    array_type = np.ndarray


backend = register(NumpyBackend(), "cpu", np.generic)
