"""Learning-rate schedules, under PyTorch's names and with its values.

Each schedule is a closed formula lr(t) of the number t of `step()` calls so far and the base rate lr₀ that the
optimiser was given, so it may be stopped, saved and continued anywhere without drift. Whether a step is an epoch or a
batch is the caller's choice.
"""

from .formulas import CosineAnnealingLR, ExponentialLR, LambdaLR, LinearLR, MultiStepLR, SequentialLR, StepLR
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
