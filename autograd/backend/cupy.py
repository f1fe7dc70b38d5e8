"""NVIDIA GPUs: CuPy arrays. Imported when an array or a device first asks for it."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from ..errors import DeviceError
from .base import Backend, register


class CupyBackend(Backend):
    """CuPy on one or more GPUs; an array stays on the device it was made on."""

    name = "cuda"
    xp = cupy
    array_type = cupy.ndarray

    def device_of(self, array: Any) -> str:
        """Return ``"cuda"`` for the first GPU and ``"cuda:1"`` … for the others."""
        number = array.device.id
        return f"cuda:{number}" if number else "cuda"

    def from_host(self, array: np.ndarray, device: str) -> Any:
        """Copy a NumPy array to the GPU that ``device`` names."""
        number = device.partition(":")[2] or "0"
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise DeviceError(f"device: {device!r} cannot be used: {error} → install a driver, or use 'cpu'") from error
        if not number.isdigit() or int(number) >= count:
            raise DeviceError(
                f"device: {device!r} but this machine has {count} GPUs → use 'cuda:0' to 'cuda:{count - 1}'"
            )
        with cupy.cuda.Device(int(number)):
            return cupy.asarray(array)

    def to_host(self, array: Any) -> np.ndarray:
        """Copy a CuPy array to NumPy; waits until it is computed."""
        return cupy.asnumpy(array)


backend = register(CupyBackend(), "cuda")
