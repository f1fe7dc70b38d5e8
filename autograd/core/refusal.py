"""What to say when the array library refuses a call: devices, types and shapes first, then its own words."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, errors


def refusal(op: Any, error: Exception, inputs: tuple[Any, ...], params: tuple[Any, ...]) -> Exception:
    """Say in the contract's words why the array library refused."""
    if isinstance(error, (MemoryError, RecursionError)):
        return error
    arrays = tuple(inputs[0]) if op.contract.variadic else inputs
    names = (
        [o.name for o in op.contract.inputs]
        if not op.contract.variadic
        else [f"{op.contract.inputs[0].name}[{i}]" for i in range(len(arrays))]
    )
    known = [(n, a) for n, a in zip(names, arrays, strict=True) if backend.is_array(type(a))]
    held = [(n, p) for n, v in zip(op.params, params, strict=True) for p in (v if isinstance(v, tuple) else (v,))]
    placed = known + [(n, p) for n, p in held if backend.is_array(type(p)) and not isinstance(p, np.generic)]
    devices = {backend.of(a).device_of(a) for _, a in placed}
    if len(devices) > 1:
        where = ", ".join(f"{n} on {backend.of(a).device_of(a)!r}" for n, a in placed)
        return errors.DeviceError(f"{op.name}: {where} → move them to one device with .to(device)")
    wrong = [(n, a) for n, a in zip(names, arrays, strict=True) if not _is_number(a)]
    if wrong:
        name, value = wrong[0]
        kind = getattr(value, "dtype", type(value).__name__)
        return errors.DTypeError(
            f"{op.name}: {name} is {kind} ({_short(value)}) but numbers are needed → convert it with tensor(...)"
        )
    try:
        op.contract.check(
            op.name,
            [np.shape(a) for a in arrays] if len(known) < len(arrays) else [a.shape for a in arrays],
            dict(zip(op.params, params, strict=True)),
        )
    except errors.ShapeError as shape_error:
        return shape_error
    got = ", ".join(
        f"{n} {getattr(a, 'dtype', type(a).__name__)}{np.shape(a) if not hasattr(a, 'shape') else a.shape}"
        for n, a in zip(names, arrays, strict=True)
    )
    given = "".join(f", {k}={v!r}" for k, v in zip(op.params, params, strict=True))
    kind = next(k for base, k in _KINDS if isinstance(error, base))
    return kind(f"{op.name}: {error}; got {got}{given}")  # the library's own words, with what it was given


_KINDS: tuple[tuple[type[Exception], type[errors.AutogradError]], ...] = (
    (np.linalg.LinAlgError, errors.DomainError), (IndexError, errors.IndexingError), (TypeError, errors.DTypeError),
    (ValueError, errors.ShapeError), (Exception, errors.AutogradError),
)  # fmt: skip


def _is_number(value: Any) -> bool:
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return kind in "biufc" if kind else isinstance(value, (bool, int, float, complex, list, tuple))


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
