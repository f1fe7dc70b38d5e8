"""The training loop: epochs of steps, validation, early stopping, checkpoints, and exact continuation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import autograd
from autograd import Tensor
from autograd.errors import AnomalyError, DataError, DomainError
from nn.loss import CrossEntropyLoss, NLLLoss
from nn.metrics import Averages, History, Metric, accuracy, named
from nn.module import Module
from nn.optim import Optimizer, clip_grad_norm_, clip_grad_value_
from nn.progress import Progress
from nn.schedule import LRScheduler, OneCycleLR, ReduceLROnPlateau
from nn.serialize import StrPath, load, save
from nn.session import evaluating, interruptible, quiet_collector

Check = Callable[[], None]


class Trainer:
    """Trains a model on batches `(inputs, target)`, and can be stopped and continued anywhere.

    `loss(output, target)` gives a scalar. `metrics`: functions of `(output, target)`, or a dict of them by name; the
    default is the accuracy for class losses. `schedule` is stepped after every epoch, after every batch for
    `OneCycleLR` or with `schedule_per="step"`.
    `clip_norm`, `clip_value`: bounds for the gradients. `patience`: stop after that many epochs in which `monitor`
    (default: the validation loss) did not improve; names that end in "loss" should fall, others rise.
    `out`: the folder for `last.safetensors` (after every epoch, and every `checkpoint_every` steps) and
    `best.safetensors`; None for no files. `unit`: what a sample is called in the progress display.

    `trainer.history` has a list per measured quantity: epoch, loss, metrics, the same with `valid_` in front, lr,
    seconds.

    Raises: `AnomalyError` when the loss is not finite, naming the step.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Tensor],
        optimizer: Optimizer,
        schedule: LRScheduler | None = None,
        *,
        metrics: Mapping[str, Metric] | Sequence[Metric] | None = None,
        out: StrPath | None = "out",
        clip_norm: float | None = None,
        clip_value: float | None = None,
        patience: int | None = None,
        monitor: str | None = None,
        checkpoint_every: int | None = None,
        schedule_per: Literal["epoch", "step"] | None = None,
        progress: bool = True,
        unit: str = "images",
    ) -> None:
        for name, value in (("patience", patience), ("checkpoint_every", checkpoint_every)):
            if value is not None and value < 1:
                raise DomainError(f"Trainer: {name} is {value}, expected ≥ 1 or None")
        if schedule_per not in ("epoch", "step", None):
            raise DomainError(f"Trainer: schedule_per is {schedule_per!r}, expected 'epoch' or 'step'")
        learned = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(p) in learned for p in model.parameters()):
            raise DomainError(
                "Trainer: the optimiser has no parameter of this model → build it over model.parameters()"
            )
        if metrics is None:
            metrics = [accuracy] if isinstance(loss, (CrossEntropyLoss, NLLLoss)) else []
        self.model, self.loss, self.optimizer, self.schedule = model, loss, optimizer, schedule
        self.metrics, self.out = named(metrics), None if out is None else Path(out)
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self.patience, self.monitor, self.checkpoint_every = patience, monitor, checkpoint_every
        self.schedule_per = schedule_per or ("step" if isinstance(schedule, OneCycleLR) else "epoch")
        self.progress, self.unit = progress, unit
        self.history = History()
        self.epoch = self.batch = self.step = 0
        """Epochs finished, batches done in the present epoch, steps made in all."""
        self.best: float | None = None
        self.stale = 0
        """Epochs since the monitored value was best."""
        self.stopped: str | None = None
        """Why `fit` ended before its last epoch: `"patience"`, `"interrupt"` or None."""
        self._averages, self._seconds = Averages(), 0.0
        self._loaders: list[Any] = []
        self._streams: list[autograd.Generator] = []
        self._place: dict[str, Any] = {}
        self._resumed = False
        self._updating = False

    # ---------------------------------------------------------------- what happens to a batch

    def predict_batch(self, inputs: Any) -> Any:
        """The model's output for the inputs of a batch; override it for models that are called otherwise."""
        return self.model(*inputs) if type(inputs) is tuple else self.model(inputs)

    def _measure(self, batch: Any) -> tuple[Tensor, int, dict[str, float]]:
        """The loss of a batch, its number of samples, and what is measured on it."""
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            found = f"{len(batch)} entries" if isinstance(batch, (tuple, list)) else f"a {type(batch).__name__}"
            raise DomainError(f"Trainer: a batch is {found}, expected (inputs, target) → give a loader of such pairs")
        inputs, target = self._to_device(batch)
        output = self.predict_batch(inputs)
        loss = self.loss(output, target)
        values = {"loss": float(loss.item())}
        with autograd.no_grad():
            for name, metric in self.metrics.items():
                values[name] = float(metric(output.detach() if isinstance(output, Tensor) else output, target))
        return loss, len(target), values

    def _to_device(self, batch: Any) -> Any:
        if hasattr(batch, "to"):  # a tensor, or a packed batch, which is a tuple too
            return batch.to(self._device)
        return tuple(self._to_device(item) for item in batch) if isinstance(batch, (tuple, list)) else batch

    @property
    def _device(self) -> str:
        return next((p.device for p in self.model.parameters()), "cpu")

    def _train_step(self, batch: Any) -> int:
        self.optimizer.zero_grad()
        loss, samples, values = self._measure(batch)
        if not math.isfinite(values["loss"]):
            raise AnomalyError(self._not_finite(values["loss"]))
        loss.backward()
        if self.clip_value is not None:
            clip_grad_value_(self._learned(), self.clip_value)
        if self.clip_norm is not None:
            clip_grad_norm_(self._learned(), self.clip_norm)
        self._updating = True
        self.optimizer.step()
        if self.schedule is not None and self.schedule_per == "step":
            self.schedule.step()
        self._averages.add(samples, values)
        self.batch, self.step = self.batch + 1, self.step + 1
        self._mark()
        self._updating = False
        return samples

    def _learned(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _not_finite(self, value: float) -> str:
        rates = ", ".join(f"{group['lr']:g}" for group in self.optimizer.param_groups)
        last = self._path("last")
        saved = f"; the last checkpoint is {last}" if last is not None and last.exists() else ""
        return (
            f"Trainer.fit: the loss is {value} in step {self.step + 1} (epoch {self.epoch + 1}, batch {self.batch + 1})"
            f", lr {rates}{saved} → lower lr, set clip_norm, or find the operation in autograd's anomaly mode"
        )

    # ---------------------------------------------------------------- training

    def fit(self, train_loader: Iterable[Any], valid_loader: Iterable[Any] | None = None, epochs: int = 1) -> History:
        """Train until `epochs` epochs are finished in all, those before a `resume` or an earlier `fit` included.

        Ctrl-C finishes the step, writes a checkpoint, says where, and returns; a second Ctrl-C stops at once.
        """
        self._loaders, self._streams = [train_loader, valid_loader], self._generators()
        if self._resumed or self.batch:
            self._return_to_place()
        self._resumed, self.stopped = False, None
        self._mark()
        with Progress(self.unit, self.progress) as progress, quiet_collector(), interruptible() as check:
            try:
                while self.epoch < epochs:
                    if self.patience is not None and self.stale >= self.patience:
                        self.stopped = "patience"
                        progress.note(
                            f"stopped: no better {self._monitored()} in {self.stale} epochs, best {self.best}"
                        )
                        break
                    progress.epoch(self.epoch + 1, epochs, _length(train_loader), self.batch)
                    self._train_epoch(train_loader, progress, check)
                    self._finish_epoch(valid_loader, progress, check)
            except KeyboardInterrupt:
                self.stopped = "interrupt"
                progress.note(self._save_interrupted())
        return self.history

    def _train_epoch(self, loader: Iterable[Any], progress: Progress, check: Check) -> None:
        # Only the library's loader knows its own place; of anything else, skip what was done.
        skip = 0 if hasattr(loader, "load_state_dict") else self.batch
        self.model.train()
        with self._timed():
            for batch in islice(loader, skip, None):
                samples = self._train_step(batch)
                progress.batch(samples, self._averages.values())
                if self.checkpoint_every and self.step % self.checkpoint_every == 0:
                    self._save("last")
                check()
        if not self._averages.samples:
            raise _no_batches("fit")

    def _finish_epoch(self, valid_loader: Iterable[Any] | None, progress: Progress, check: Check) -> None:
        with self._timed():
            valid = {} if valid_loader is None else self._evaluate(valid_loader, check)
        row = {"epoch": self.epoch + 1, **self._averages.values()}
        row |= {f"valid_{name}": value for name, value in valid.items()}
        row |= {"lr": self.optimizer.param_groups[0]["lr"], "seconds": self._seconds}
        self.history.append(row)
        value = self._value_of(row)
        improved = self.best is None or (value < self.best if self._monitored().endswith("loss") else value > self.best)
        self.best, self.stale = (value, 0) if improved else (self.best, self.stale + 1)
        if self.schedule is not None and self.schedule_per == "epoch":
            self.schedule.step(*[value] if isinstance(self.schedule, ReduceLROnPlateau) else [])
        self.epoch, self.batch, self._seconds, self._averages = self.epoch + 1, 0, 0.0, Averages()
        self._mark()
        self._save("last")
        if improved:
            self._save("best")
        progress.row({name: value for name, value in row.items() if name not in ("epoch", "seconds")})

    def _monitored(self) -> str:
        return self.monitor or ("loss" if self._loaders[1] is None else "valid_loss")

    def _value_of(self, row: Mapping[str, float]) -> float:
        name = self._monitored()
        if name not in row:
            raise DomainError(f"Trainer: monitor is {name!r}, expected one of {', '.join(row)}")
        return row[name]

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds += time.perf_counter() - started

    # ---------------------------------------------------------------- using the model

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The loss and the metrics over all samples of a loader, in evaluation mode."""
        return self._evaluate(loader, lambda: None)

    def _evaluate(self, loader: Iterable[Any], check: Check) -> dict[str, float]:
        averages = Averages()
        with evaluating(self.model):
            for batch in loader:
                _, samples, values = self._measure(batch)
                averages.add(samples, values)
                check()
        if not averages.samples:
            raise _no_batches("evaluate")
        return averages.values()

    def predict(self, loader: Iterable[Any]) -> Tensor:
        """The model's outputs for all samples of a loader, `N …`, on the CPU; targets, if any, are not looked at."""
        with evaluating(self.model):
            outputs = []
            for batch in loader:
                inputs = batch[0] if type(batch) in (tuple, list) else batch
                outputs.append(self.predict_batch(self._to_device(inputs)).cpu())
            if not outputs:
                raise _no_batches("predict")
            return autograd.concatenate(outputs)

    # ---------------------------------------------------------------- checkpoints

    def resume(self, path: StrPath | None = None) -> None:
        """Continue from a checkpoint, `last.safetensors` in `out` by default; the next `fit` gives what it would have.

        Build model, optimiser, schedule and loaders as for the first run.

        Raises: `FileNotFoundError`; `DataError` for a file that is no checkpoint of a Trainer; errors of
        `load_state_dict` for one of another model, optimiser or schedule. Nothing is changed then.
        """
        path = self._path("last") if path is None else path
        if path is None:
            raise DomainError("Trainer.resume: no path given and out is None → pass the checkpoint's path")
        state = load(path)
        if not isinstance(state, dict) or state.get("format") != "unfold-trainer-1":
            found = f"keys {list(state)[:5]}" if isinstance(state, dict) else f"a {type(state).__name__}"
            raise DataError(f"Trainer.resume: {path} holds {found}, expected a checkpoint written by Trainer.fit")
        if (self.schedule is None) != (state["schedule"] is None):
            saved, present = ("none" if one is None else "one" for one in (state["schedule"], self.schedule))
            raise DomainError(f"Trainer.resume: the run of {path} had {saved} for a schedule, this one has {present}")
        self._adopt({name: state[name] for name in ("model", "optimizer", "schedule")})
        self._place, self._resumed, self._averages = state["place"], True, Averages()
        self._averages.load_state_dict(self._place["averages"])
        self.history = History(state["history"])
        for name in ("epoch", "batch", "step", "best", "stale"):
            setattr(self, name, state[name])
        self._seconds = state["seconds"]

    def _adopt(self, states: Mapping[str, Any]) -> None:
        """Load model, optimiser and schedule: all of them or, after an error, none."""
        parts = {name: part for name in states if (part := getattr(self, name)) is not None}
        before = {name: deepcopy(part.state_dict()) for name, part in parts.items()}
        try:
            for name, part in parts.items():
                part.load_state_dict(states[name])
        except Exception:
            for name, part in parts.items():
                part.load_state_dict(before[name])
            raise

    def restore_best(self) -> None:
        """Give the model the weights of `best.safetensors`."""
        path = self._path("best")
        if path is None:
            raise DomainError("Trainer.restore_best: out is None, so no checkpoint was kept → give a folder")
        self.model.load_state_dict(load(path)["model"])

    def _path(self, name: str) -> Path | None:
        return None if self.out is None else self.out / f"{name}.safetensors"

    def _mark(self) -> None:
        """Note what moves with every batch and is not a weight, so that a checkpoint tells the state of one moment."""
        self._place = {
            "generators": [stream.get_state() for stream in self._streams],
            "loaders": [loader.state_dict() if hasattr(loader, "state_dict") else None for loader in self._loaders],
            "averages": self._averages.state_dict(),
        }

    def _return_to_place(self) -> None:
        """Put loaders and generators back to where they were, whatever was drawn since, by a new loader for example."""
        for loader, saved in zip(self._loaders, self._place["loaders"]):
            if loader is not None and saved is not None:
                loader.load_state_dict(saved)
        for stream, saved in zip(self._streams, self._place["generators"], strict=True):
            stream.set_state(saved)

    def _generators(self) -> list[autograd.Generator]:
        """The default generator, and those of the model's own layers."""
        owned = {id(g): g for module in self.model.modules() if (g := getattr(module, "generator", None)) is not None}
        return [autograd.default_generator(), *owned.values()]

    def _save(self, name: str) -> None:
        path = self._path(name)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        save(
            {
                "format": "unfold-trainer-1",
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": None if self.schedule is None else self.schedule.state_dict(),
                "place": self._place,
                "history": dict(self.history),
                "seconds": self._seconds,
                **{name: getattr(self, name) for name in ("epoch", "batch", "step", "best", "stale")},
            },
            path,
        )

    def _save_interrupted(self) -> str:
        where, path = f"interrupted in epoch {self.epoch + 1} after step {self.step}", self._path("last")
        if path is None:
            return f"{where}; no checkpoint, because out is None"
        if self._updating:  # the weights are neither the old nor the new ones: keep the file there is
            return f"{where}, in the middle of an update; the last checkpoint, if any, is {path}"
        self._save("last")
        return f"{where}; checkpoint: {path} → continue with trainer.resume({str(path)!r}) and the same fit(...)"


def _length(loader: Iterable[Any]) -> int | None:
    return len(loader) if isinstance(loader, Sized) else None


def _no_batches(method: str) -> DomainError:
    return DomainError(f"Trainer.{method}: the loader gave 0 batches, expected ≥ 1 → look at batch_size and drop_last")
