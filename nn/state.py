"""Values into the tensors of the same keys, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import autograd
from autograd import Tensor
from autograd.errors import DataError, DTypeError


class LoadResult(NamedTuple):
    """What `load_state_dict` did not match: keys that the state lacks, and keys that the module lacks."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not (self.missing_keys or self.unexpected_keys):
            return "<All keys matched successfully>"
        return f"LoadResult(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def fill(own: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool, name: str) -> LoadResult:
    """Copy the values ``given`` into the tensors of the module ``name``; see `Module.load_state_dict`."""
    if not hasattr(given, "keys"):
        kind = type(given).__name__
        raise DataError(f"{name}.load_state_dict: got a {kind}, expected a dict; use nn.load(path)")
    result = LoadResult([key for key in own if key not in given], [key for key in given if key not in own])
    values = {key: _as_tensor(given[key]) for key in own if key in given}
    misfits = [message for key, value in values.items() if (message := _misfit(key, own[key], value, given[key]))]
    problems = [f"missing: {key}" for key in result.missing_keys] if strict else []
    problems += [f"unexpected: {key}" for key in result.unexpected_keys] if strict else []
    if problems := problems + misfits:
        remedy = "check that the model is built with the sizes of the saved one"
        if strict and not misfits:
            remedy += ", or pass strict=False to load the keys that match"
        listing = "\n  ".join(problems)
        raise DataError(f"{name}.load_state_dict: nothing was loaded; {remedy}\n  {listing}")
    ready = {key: value.to(own[key].device) for key, value in values.items() if value is not None}
    with autograd.no_grad():
        for key, value in ready.items():
            own[key][...] = value
    return result


def _as_tensor(value: Any) -> Tensor | None:
    """The value as a constant tensor, or None if it is no array of numbers."""
    if isinstance(value, Tensor):
        return value.detach()
    try:
        return autograd.tensor(value) if hasattr(value, "__array__") or hasattr(value, "shape") else None
    except DTypeError:
        return None


_FITS = {"b": "biufc", "i": "iufc", "u": "iufc", "f": "fc", "c": "c"}
"""Which kinds of numbers (NumPy's letters) may be stored as which."""


def _misfit(key: str, own: Tensor, value: Tensor | None, given: Any) -> str | None:
    if value is None:
        return f"not an array of numbers: {key} is {getattr(given, 'dtype', type(given).__name__)}"
    if value.shape != own.shape:
        return f"shape: {key} has shape {tuple(value.shape)}, the module's is {tuple(own.shape)}"
    if own.dtype.kind not in _FITS.get(value.dtype.kind, ""):
        return f"dtype: {key} is {value.dtype}, the module's is {own.dtype}"
    return None
