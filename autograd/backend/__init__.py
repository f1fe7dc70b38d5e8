"""Which array library holds the numbers: NumPy, CuPy, or the strict stand-in for tests."""

import importlib

from . import base
from .base import Backend, by_name, is_array, of, of_type, register, register_lazily

importlib.import_module(".numpy", __name__)  # the host registers itself; the others when they are first wanted
for _device, _module in (("cuda", ".cupy"), ("strict", ".strict")):
    register_lazily(_device, lambda module=_module: importlib.import_module(module, __name__).backend)

__all__ = ["Backend", "base", "by_name", "is_array", "of", "of_type", "register", "register_lazily"]
