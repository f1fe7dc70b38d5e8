"""Which array library holds the numbers: NumPy, CuPy, or the strict stand-in for tests."""

import importlib

from . import base
from .base import Backend, by_name, is_array, of, of_type, register, register_lazily

importlib.import_module(".numpy", __name__)  # the host registers itself; the others when they are first wanted
register_lazily("cuda", lambda: importlib.import_module(".cupy", __name__).backend)
register_lazily("strict", lambda: importlib.import_module(".strict", __name__).backend)

__all__ = ["Backend", "base", "by_name", "is_array", "of", "of_type", "register", "register_lazily"]
