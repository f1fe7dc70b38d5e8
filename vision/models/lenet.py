"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition")."""

from __future__ import annotations

from nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from vision.models.network import choose


def _modern(num_classes: int) -> Sequential:
    return Sequential(
        {
            "C1": Conv2d(1, 6, 5, padding=2), "relu1": ReLU(), "S2": MaxPool2d(2),
            "C3": Conv2d(6, 16, 5), "relu3": ReLU(), "S4": MaxPool2d(2),
            "flatten": Flatten(),
            "C5": Linear(16 * 5 * 5, 120), "relu5": ReLU(),
            "F6": Linear(120, 84), "relu6": ReLU(),
            "output": Linear(84, num_classes),
        }
    )  # fmt: skip


VARIANTS = {"modern": _modern}


def lenet5(variant: str = "modern", num_classes: int = 10) -> Sequential:
    """LeNet-5: two convolutions with subsampling, three fully connected layers.

    Shapes: x (N, 1, 28, 28) → (N, num_classes).
    """
    return choose("lenet5: variant", variant, VARIANTS)(num_classes)
