"""Schedules that are one formula of the number of steps, and one schedule after the other."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from autograd.errors import DomainError
from nn.optim import Optimizer

from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler, positive


class LambdaLR(LRScheduler):
    """lr(t) = lr₀ · f(t), with one function f for all groups or a list of one per group.

    >>> import autograd
    >>> from nn.optim import SGD
    >>> optimizer = SGD([autograd.tensor([1.0], requires_grad=True)], lr=0.5)
    >>> schedule = LambdaLR(optimizer, lambda t: 1 / (1 + t))
    >>> schedule.step(); schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        groups = len(optimizer.param_groups)
        self._lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self._lambdas) != groups:
            raise DomainError(
                f"LambdaLR: {len(self._lambdas)} functions for {groups} parameter groups → give one for each"
            )
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float) -> float:
        return base * self._lambdas[0](t)

    def _apply(self) -> None:
        for group, base, factor in zip(self.optimizer.param_groups, self.base_lrs, self._lambdas, strict=True):
            group["lr"] = base * factor(self.last_epoch)


class StepLR(LRScheduler):
    """lr(t) = lr₀ · γ^⌊t / step_size⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = positive("StepLR", "step_size", step_size), gamma
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float) -> float:
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """lr(t) = lr₀ · γ^(number of milestones ≤ t)."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float) -> float:
        return base * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(LRScheduler):
    """lr(t) = lr₀ · γᵗ."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float) -> float:
        return base * self.gamma**t


class CosineAnnealingLR(LRScheduler):
    """lr(t) = η + (lr₀ − η)(1 + cos(π t / T_max)) / 2, with η = `eta_min`; it rises again after T_max.

    Source: Loshchilov & Hutter 2017, eq. 5 (without restarts).
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = positive("CosineAnnealingLR", "T_max", T_max), eta_min
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearLR(LRScheduler):
    """Warm-up along a line: lr(t) = lr₀ · (a + (b − a) min(t, n) / n).

    From a = `start_factor` to b = `end_factor` in n = `total_iters` steps.

    Source: Goyal et al. 2017, section 2.2 (gradual warm-up).
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise DomainError(
                f"LinearLR: start_factor={start_factor}, end_factor={end_factor}, expected 0 < start_factor ≤ 1 and "
                "0 ≤ end_factor ≤ 1 → scale the optimiser's lr instead"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = positive("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class SequentialLR(LRScheduler):
    """One schedule after another, for example warm-up, then cosine; each begins at its own t = 0 at its milestone.

    lr(t) = lrᵢ(t − mᵢ), where mᵢ is the last milestone ≤ t.

    Raises: `DomainError` unless there is one schedule more than milestones, milestones increase, and all schedules
    share the optimiser.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        if len(schedulers) != len(milestones) + 1:
            raise DomainError(
                f"SequentialLR: {len(schedulers)} schedulers and {len(milestones)} milestones"
                " → give one milestone fewer than schedulers"
            )
        if list(milestones) != sorted(set(milestones)):
            raise DomainError(f"SequentialLR: milestones are {list(milestones)} → give increasing ones")
        for i, scheduler in enumerate(schedulers):
            if isinstance(scheduler, ReduceLROnPlateau) or scheduler.optimizer is not optimizer:
                raise DomainError(
                    f"SequentialLR: schedulers[{i}] has no formula in t, or another optimizer → replace it"
                )
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer)

    def _apply(self) -> None:
        stage = bisect_right(self.milestones, self.last_epoch)
        current = self.schedulers[stage]
        current.last_epoch = self.last_epoch - (self.milestones[stage - 1] if stage else 0)
        current._apply()
