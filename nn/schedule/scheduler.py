"""What every schedule is: a rate for every group of the optimiser, set after every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autograd.errors import DomainError, DTypeError
from nn.optim import Optimizer


class LRScheduler:
    """Sets the optimiser's rates to `lr_at(t, base)` at construction (t = 0) and after each `step()`.

    To add a schedule, write its formula as `lr_at`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(
                f"{type(self).__name__}: optimizer is a {type(optimizer).__name__} → pass an nn.optim.Optimizer"
            )
        self.optimizer = optimizer
        self.last_epoch = 0
        """Number of steps so far (PyTorch's name; the unit is the caller's)."""
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._apply()

    def lr_at(self, t: int, base: float) -> float:
        """The rate after `t` steps for a group whose base rate is `base`."""
        raise NotImplementedError(f"{type(self).__name__} must define lr_at(t, base)")

    def _apply(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.lr_at(self.last_epoch, base)

    def step(self) -> None:
        """Move on by one step, after the optimiser's."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The current rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The position and the base rates; the formula's own parameters are given again at construction."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where `state_dict()` was taken, and set the optimiser's rates accordingly.

        Raises: `DomainError` where the number of groups differs.
        """
        if len(state_dict["base_lrs"]) != len(self.base_lrs):
            raise DomainError(
                f"{type(self).__name__}.load_state_dict: the state has {len(state_dict['base_lrs'])} base rates, "
                f"the optimiser {len(self.base_lrs)} groups → build the optimiser with the same groups"
            )
        self.last_epoch, self.base_lrs = int(state_dict["last_epoch"]), list(state_dict["base_lrs"])
        self._apply()


def positive(schedule: str, name: str, value: int) -> int:
    """The number of steps, if it is one."""
    if not isinstance(value, int) or value < 1:
        raise DomainError(f"{schedule}: {name} is {value!r}, expected an integer ≥ 1 (steps)")
    return value
