"""Learning-rate schedules, under PyTorch's names and with its values.

Each schedule is a closed formula lr(t) of the number t of `step()` calls so far and the base rate lr₀ that the
optimiser was given, so it may be stopped, saved and continued anywhere without drift. Whether a step is an epoch or a
batch is the caller's choice.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        self.step_size, self.gamma = _positive("StepLR", "step_size", step_size), gamma
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
        self.T_max, self.eta_min = _positive("CosineAnnealingLR", "T_max", T_max), eta_min
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
        self.total_iters = _positive("LinearLR", "total_iters", total_iters)
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
        self.total_steps = _positive("OneCycleLR", "total_steps", total_steps)
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


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


def _line(start: float, end: float, part: float) -> float:
    return start + (end - start) * part


_ANNEAL: dict[str, Callable[[float, float, float], float]] = {"cos": _cosine, "linear": _line}


def _positive(schedule: str, name: str, value: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise DomainError(f"{schedule}: {name} is {value!r}, expected an integer ≥ 1 (steps)")
    return value
