"""Kernels for NumPy arrays: compiled with Numba, threaded, channels last in memory.

``KERNELS`` says which modules of this room serve an operation, best first. A module is imported, and with it Numba,
when the first call of such an operation is planned; it has a ``plans`` table from operations to plans. Each plan is a
function of the ``Spec``, and each kernel equals the readable reference or definition, which the tests hold it to.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..registry import Spec, UnavailableError, register
from . import memory
from .threads import get_num_threads, set_num_threads

ACTIVATIONS = (
    "celu", "celu_dx", "elu", "elu_dx", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "leaky_relu_dx",
    "relu6", "relu6_dx", "selu", "sigmoid", "sigmoid_dx", "silu", "silu_dx", "softsign", "tanh_dx", "tanhshrink",
)  # fmt: skip
KERNELS: dict[str, tuple[str, ...]] = {
    "gru": ("recurrent",),
    "lstm": ("recurrent",),
    "rnn": ("recurrent",),
    **{
        name.format(n): ("conv",)
        for name in ("affine_conv{}d", "biased_conv{}d", "conv{}d", "conv{}d_dx", "conv{}d_dw", "conv_transpose{}d")
        for n in (1, 2, 3)
    },
    "linear": ("matmul",),
    "matmul": ("matmul",),
    "batch_norm": ("norm",),
    "batch_norm_training": ("norm",),
    "class_cross_entropy": ("cross_entropy",),
    "sgd": ("optim",),
    "adam": ("optim",),
    "adamw": ("optim",),
    "rmsprop": ("optim",),
    "adaptive_avg_pool2d": ("pooling",),
    "adaptive_avg_pool2d_dx": ("pooling",),
    "avg_pool2d": ("pooling",),
    "avg_pool2d_dx": ("pooling",),
    "embedding_dw": ("index",),
    "local_response_norm": ("lrn",),
    "max_pool2d": ("pooling",),
    "max_pool2d_at": ("pooling",),
    "max_pool2d_dx": ("pooling",),
    "softmax": ("rows",),
    "log_softmax": ("rows",),
    "layer_norm": ("rows",),
    "relu": ("elementwise",),
    "relu_dx": ("elementwise",),
    **dict.fromkeys(ACTIVATIONS, ("activation",)),
}
LEAST = {  # numbers from which a kernel beats NumPy's functions
    **dict.fromkeys(ACTIVATIONS, 1 << 13),
    **dict.fromkeys(("tanh_dx", "sigmoid_dx", "relu6", "relu"), 1 << 16),
    "relu_dx": 1 << 17,
}

Plan = Callable[[Spec], Callable[..., Any] | None]


@functools.cache
def _module(name: str) -> Any:
    memory.keep_freed_memory()
    try:
        return importlib.import_module(f".{name}", __name__)
    except Exception as error:  # a Numba that does not fit this Python or NumPy fails in its own ways
        raise UnavailableError(f"autograd.kernels.cpu.{name}", f"{type(error).__name__}: {error}") from error


def _plan(op: str, module: str, spec: Spec) -> Callable[..., Any] | None:
    ordinary = all([d is None or d.isnative for d in spec.dtypes]) and all(
        [s is None or 0 not in s for s in spec.shapes]
    )
    return _module(module).plans[op](spec) if ordinary else None


def install() -> None:
    """Offer the kernels, if Numba is there."""
    if find_spec("numba") is None:
        return
    for op, modules in KERNELS.items():
        for rank, module in enumerate(modules):
            plan = functools.partial(_plan, op, module)
            register(op, np.ndarray, plan, name=f"cpu.{module}", priority=100 - rank, least=LEAST.get(op, 0))


__all__ = ["KERNELS", "get_num_threads", "install", "set_num_threads"]
