"""Two libraries under the same names, so that every network, layer and step is written once and run by both.

Nothing is imported before a worker asks for it: the process of one library never loads the other.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import cached_property
from types import ModuleType
from typing import Any
from zlib import crc32

import numpy as np


class Library:
    """What a benchmark uses of a library.

    ``nn`` and ``optim`` have the same classes and arguments in both, ``models`` torchvision's functions.
    """

    nn: Any
    optim: Any
    models: Any
    tensor: Callable[..., Any]
    no_grad: Callable[[], Any]
    tanh: Callable[[Any], Any]

    def prepared(self, module: Any) -> Any:
        """A module with its weights drawn, the same in all libraries, in the order of memory that is to be used."""
        state = {key: drawn(key, value) for key, value in module.state_dict().items()}
        module.load_state_dict({key: self.tensor(value) for key, value in state.items()})
        return module

    def gradients(self, out: Any, inputs: list[Any], g: Any) -> list[Any]:
        """The gradients of ``out``, whose own gradient is ``g``, with the graph kept for another time."""
        raise NotImplementedError


class Unfold(Library):
    """Ours; ``kernels=False`` runs the definitions instead of the kernels."""

    def __init__(self, threads: int, kernels: bool = True) -> None:
        import autograd
        import nn

        if hasattr(autograd, "set_num_threads"):
            autograd.set_num_threads(threads)
        autograd.use_kernels(kernels)
        self.autograd, self.nn, self.optim = autograd, nn, nn.optim
        self.tensor, self.no_grad, self.tanh = autograd.tensor, autograd.no_grad, autograd.tanh

    @cached_property
    def models(self) -> ModuleType:
        from vision import models

        return models

    def gradients(self, out: Any, inputs: list[Any], g: Any) -> list[Any]:
        return self.autograd.gradients(out, inputs, g, retain_graph=True)


class PyTorch(Library):
    """PyTorch as it is, or with images and filters channels-last (NHWC in memory)."""

    def __init__(self, threads: int, channels_last: bool = False) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch, self.nn, self.optim, self.channels_last = torch, torch.nn, torch.optim, channels_last
        self.no_grad, self.tanh = torch.no_grad, torch.tanh

    def tensor(self, array: Any, requires_grad: bool = False) -> Any:
        tensor = self.torch.tensor(array)
        if self.channels_last and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=self.torch.channels_last)
        return tensor.requires_grad_(requires_grad)

    def prepared(self, module: Any) -> Any:
        module = super().prepared(module)
        return module.to(memory_format=self.torch.channels_last) if self.channels_last else module

    @cached_property
    def models(self) -> ModuleType:
        warnings.filterwarnings("ignore", message="The default weight initialization of GoogleNet")
        library = self.torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):  # torchvision built for another PyTorch lacks them, and only then cannot load
            try:
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            except RuntimeError:
                continue
        self._library = library  # what it defines lives as long as it does
        from torchvision import models

        return models

    def gradients(self, out: Any, inputs: list[Any], g: Any) -> list[Any]:
        return self.torch.autograd.grad(out, inputs, g, retain_graph=True)


def drawn(key: str, value: Any) -> np.ndarray:
    """A weight for the parameter ``key``: normal, of variance 1 / inputs; statistics and scales stay what they are."""
    array = np.array(value.detach().cpu().numpy())
    rng = np.random.default_rng(crc32(key.encode()))
    if array.ndim > 1:
        array = rng.standard_normal(array.shape, np.float32) / np.float32(np.sqrt(np.prod(array.shape[1:])))
    elif "bias" in key:
        array = rng.standard_normal(array.shape, np.float32) * np.float32(0.01)
    return array


def installed() -> bool:
    """Whether PyTorch is there to compare with."""
    return importlib.util.find_spec("torch") is not None
