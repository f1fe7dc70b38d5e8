"""Which array library holds the numbers: looked up by array type, once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DeviceError


class Backend:
    """An array library: its namespace ``xp``, its array types, and the ways to and from the host.

    A subclass gives ``name``, ``xp`` and ``array_type`` and the methods; ``register`` makes it known.
    """

    name: str
    xp: Any
    array_type: type

    def device_of(self, array: Any) -> str:
        """Return the device that holds ``array``, such as ``"cpu"`` or ``"cuda:1"``."""
        return self.name

    def from_host(self, array: np.ndarray, device: str) -> Any:
        """Copy a NumPy array to ``device`` (no copy where the device is the host)."""
        return array

    def to_host(self, array: Any) -> np.ndarray:
        """Copy an array of this library to NumPy (no copy where the device is the host)."""
        return np.asarray(array)


_by_type: dict[type, Backend] = {}
_by_device: dict[str, Backend] = {}
_lazy: dict[str, Callable[[], Backend]] = {}


def register(backend: Backend, device: str, *types: type) -> Backend:
    """Make ``backend`` the one for ``device`` and for arrays of ``types``."""
    _by_device[device] = backend
    for kind in (backend.array_type, *types):
        _by_type[kind] = backend
    return backend


def register_lazily(device: str, load: Callable[[], Backend]) -> None:
    """Name the function that imports and registers the backend of ``device`` when it is first wanted."""
    _lazy[device] = load


def is_array(kind: type) -> bool:
    """Return whether values of type ``kind`` are arrays of a known library."""
    return _find(kind) is not None


def _find(kind: type) -> Backend | None:
    found = _by_type.get(kind)
    if found is None and kind.__module__.partition(".")[0] == "cupy" and "cuda" not in _by_device:
        by_name("cuda")
        found = _by_type.get(kind)
    if found is None:
        for known, backend in tuple(_by_type.items()):
            if issubclass(kind, known):
                found = _by_type[kind] = backend
                break
    return found


def of_type(kind: type) -> Backend:
    """Return the backend of arrays of type ``kind``; Python numbers and lists belong to the host."""
    return _find(kind) or _by_device["cpu"]


def of(array: Any) -> Backend:
    """Return the backend that holds ``array``."""
    return of_type(type(array))


def by_name(device: str) -> Backend:
    """Return the backend of a device name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"strict"``.

    Raises:
        DeviceError: if there is no such device, or its library is not installed.
    """
    kind, colon, _ = device.partition(":") if isinstance(device, str) else (str(device), "", "")
    if colon and kind != "cuda":
        raise DeviceError(f"device: {device!r} has a number, but only 'cuda' devices are numbered → use {kind!r}")
    if kind not in _by_device:
        if kind not in _lazy:
            raise DeviceError(f"device: {device!r} is not known → use one of {sorted({*_by_device, *_lazy})}")
        if kind == "cuda" and importlib.util.find_spec("cupy") is None:
            raise DeviceError(
                f"device: {device!r} needs CuPy, which is not installed → pip install 'unfoldgrad[cuda13]'"
            )
        _lazy[kind]()
    return _by_device[kind]
