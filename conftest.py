"""Doctests are collected from every module but those that import a library which is not installed."""

from importlib.util import find_spec

OPTIONAL = {"cupy": ["autograd/backend/cupy.py", "autograd/kernels/cuda"], "numba": ["autograd/kernels/cpu"]}

collect_ignore = [path for library, paths in OPTIONAL.items() if find_spec(library) is None for path in paths]
