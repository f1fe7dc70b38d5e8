"""A rate that falls when a measure no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autograd.errors import DomainError
from nn.optim import Optimizer

from .scheduler import LRScheduler


class ReduceLROnPlateau(LRScheduler):
    """A lower rate, lr ← max(factor · lr, min_lr), when a metric has not improved for more than `patience` steps.

    The metric is given to `step(metric)`. Better means below (`mode="min"`) or above (`"max"`) the best by `threshold`,
    relative (`"rel"`) or absolute (`"abs"`). After a cut, `cooldown` steps are not counted; changes below `eps` are not
    made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not factor < 1:
            raise DomainError(f"ReduceLROnPlateau: factor is {factor}, expected < 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise DomainError(
                f"ReduceLROnPlateau: mode={mode!r}, threshold_mode={threshold_mode!r}, expected min or max, rel or abs"
            )
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lr, self.eps = min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        super().__init__(optimizer)

    def _apply(self) -> None:
        """The rates follow the metric, not t."""

    def _improves(self, metric: float) -> bool:
        sign = -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            bar = self.best * (1 + sign * self.threshold)
        else:
            bar = self.best + sign * self.threshold
        return metric < bar if self.mode == "min" else metric > bar

    def step(self, metric: float | None = None) -> None:
        """Tell the schedule the latest value of the watched metric."""
        if metric is None:
            raise DomainError(
                "ReduceLROnPlateau.step: no metric given → call step(metric), for example the validation loss"
            )
        metric = float(metric)
        self.last_epoch += 1
        if self._improves(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                lower = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """Position, best metric and counters; the rates themselves are in the optimiser's state."""
        names = ("best", "num_bad_epochs", "cooldown_counter")
        return super().state_dict() | {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.best = float(state_dict["best"])
        self.num_bad_epochs = int(state_dict["num_bad_epochs"])
        self.cooldown_counter = int(state_dict["cooldown_counter"])
