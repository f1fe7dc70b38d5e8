"""Up to a high rate and down again, once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autograd.errors import DomainError
from nn.optim import Optimizer

from .scheduler import LRScheduler, positive


class OneCycleLR(LRScheduler):
    """One rise to `max_lr` and one fall far below the start, stepped after every batch; momentum moves opposite.

    From max_lr / div_factor up to max_lr in the first `pct_start` of `total_steps`, then down to the
    start / final_div_factor, along cosines or lines (`anneal_strategy`, `"cos"` or `"linear"`). With `three_phase`,
    down to the start as fast as it rose, and then to the end. With `cycle_momentum`, `momentum` or the first of
    `betas` goes from `max_momentum` to `base_momentum` and back.

    Raises: `DomainError` after more than `total_steps` steps, or for parameters out of range.
    Source: Smith & Topin 2018, section 3.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise DomainError("OneCycleLR: the length is unknown → give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        self.total_steps = positive("OneCycleLR", "total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise DomainError(f"OneCycleLR: pct_start is {pct_start}, expected a fraction in [0, 1]")
        if anneal_strategy not in _ANNEAL:
            raise DomainError(f"OneCycleLR: anneal_strategy is {anneal_strategy!r}, expected one of {sorted(_ANNEAL)}")
        groups = optimizer.param_groups
        peaks = [max_lr] * len(groups) if isinstance(max_lr, (int, float)) else list(max_lr)
        if len(peaks) != len(groups):
            raise DomainError(
                f"OneCycleLR: {len(peaks)} values of max_lr for {len(groups)} parameter groups → give one for each"
            )
        if cycle_momentum and not all(group.get("momentum") or "betas" in group for group in groups):
            raise DomainError(
                "OneCycleLR: cycle_momentum=True, but the optimiser has no momentum → pass cycle_momentum=False"
            )
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        self.cycle_momentum, self._momenta = cycle_momentum, (max_momentum, base_momentum)
        self._anneal = _ANNEAL[anneal_strategy]
        self._ends = self._phase_ends(pct_start, three_phase)
        for group, peak in zip(groups, peaks, strict=True):
            group["initial_lr"] = peak / div_factor
        super().__init__(optimizer)

    def _phase_ends(self, pct_start: float, three_phase: bool) -> list[float]:
        rise, last = pct_start * self.total_steps - 1, float(self.total_steps - 1)
        return [rise, 2 * rise, last] if three_phase else [rise, last]

    def _interpolate(self, t: int, values: Sequence[float]) -> float:
        """The value at step t of a path through `values`, one more than there are phases."""
        begin = 0.0
        for phase, end in enumerate(self._ends):
            if t <= end or phase == len(self._ends) - 1:
                part = (t - begin) / (end - begin) if end != begin else 1.0
                return self._anneal(values[phase], values[phase + 1], part)
            begin = end
        raise AssertionError("the last phase returns")

    def lr_at(self, t: int, base: float) -> float:
        if t > self.total_steps:
            raise DomainError(
                f"OneCycleLR: step {t} of {self.total_steps} → give total_steps = epochs · batches per epoch"
            )
        peak, end = base * self.div_factor, base / self.final_div_factor
        return self._interpolate(t, [base, peak, base, end] if len(self._ends) == 3 else [base, peak, end])

    def _apply(self) -> None:
        super()._apply()
        if self.cycle_momentum:
            high, low = self._momenta
            momentum = self._interpolate(
                self.last_epoch, [high, low, high, high] if len(self._ends) == 3 else [high, low, high]
            )
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum

    def state_dict(self) -> dict[str, Any]:
        """Position and base rates, and the length of the cycle, which cannot change on the way."""
        return super().state_dict() | {"total_steps": self.total_steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if (steps := state_dict.get("total_steps", self.total_steps)) != self.total_steps:
            raise DomainError(
                f"OneCycleLR.load_state_dict: the state is of a cycle of {steps} steps, this one has {self.total_steps}"
                " → build it with the same number of epochs"
            )
        super().load_state_dict(state_dict)


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


def _line(start: float, end: float, part: float) -> float:
    return start + (end - start) * part


_ANNEAL: dict[str, Callable[[float, float, float], float]] = {"cos": _cosine, "linear": _line}
