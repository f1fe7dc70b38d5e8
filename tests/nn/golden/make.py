"""Writes the golden files of this folder: `python tests/nn/golden/make.py`, with PyTorch installed (here 2.13)."""

from collections import OrderedDict
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def nest(torch):
    """What `expected()` of test_torch_files.py says in NumPy."""
    numbers = torch.arange(24.0)
    state = OrderedDict()
    state["weight"] = numbers.reshape(4, 6)
    state["transposed"] = numbers.reshape(4, 6).T
    state["shared"] = numbers[6:18:2]
    state["parameter"] = torch.nn.Parameter(torch.tensor([0.5, -0.25]))
    state["count"] = torch.tensor(7)
    state["empty"] = torch.empty(0, 3)
    for name in ("bfloat16", "float16", "float64", "int8", "uint8", "int16", "int32", "bool", "complex64", "uint16"):
        state[name] = torch.tensor([0, 1, 2, 3]).to(getattr(torch, name))
    state["conjugate"] = torch.tensor([1 + 2j]).conj()
    state._metadata = OrderedDict(version=2)
    return {
        "state_dict": state,
        "epoch": 3,
        "lr": 0.1,
        "best": np.float64(0.75),
        "name": "é",
        "betas": (0.9, 0.999),
        "history": [1, None, True, {2: torch.tensor([2.0])}],
        "array": np.arange(6, dtype=np.int32).reshape(2, 3),
        "size": torch.Size([1, 2]),
        "big": 2**70,
    }


if __name__ == "__main__":
    import torch

    torch.save(nest(torch), HERE / "zip.pth")
    torch.save(nest(torch), HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(nest(torch), HERE / "protocol4.pth", pickle_protocol=4)
