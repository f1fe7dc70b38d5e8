"""What is measured while training: metrics of a batch, their averages over an epoch, and the history of epochs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import autograd
from autograd import Tensor
from autograd.errors import DomainError, ShapeError
from nn.serialize import StrPath, write_atomically

Metric: TypeAlias = Callable[[Tensor, Tensor], Tensor | float]
"""`metric(output, target)`: the mean over the samples of a batch."""


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """The fraction of samples whose largest output is the target's class.

    Shapes: output `N C …` (logits or probabilities), target `N …` (classes) or `N C …` (probabilities).
    Raises: `ShapeError` where they do not fit.

    >>> accuracy(autograd.tensor([[0.1, 0.9], [0.8, 0.2]]), autograd.tensor([1, 1])).item()
    0.5
    """
    return (output.argmax(1) == _classes("accuracy", output, target)).mean()


def top_k(k: int) -> Metric:
    """The metric `top{k}`: the fraction of samples whose target is among the k largest outputs, ties in its favour.

    >>> top_k(2)(autograd.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), autograd.tensor([1, 2])).item()
    0.5
    """
    if k < 1:
        raise DomainError(f"top_k: k is {k}, expected ≥ 1")

    def metric(output: Tensor, target: Tensor) -> Tensor:
        # The target is among the k largest when fewer than k outputs exceed its own.
        classes = _classes(f"top{k}", output, target)
        chosen = autograd.gather(output, autograd.expand_dims(classes, 1), 1)
        return ((output > chosen).sum(axis=1) < k).mean()

    metric.__name__ = f"top{k}"
    return metric


def _classes(metric: str, output: Tensor, target: Tensor) -> Tensor:
    if output.ndim < 2 or target.shape not in (output.shape, output.shape[:1] + output.shape[2:]):
        raise ShapeError(
            f"{metric}: output has shape {output.shape}, target {target.shape}, expected N C … and N …"
            " → choose metrics that fit the model's output"
        )
    return target.argmax(1) if target.shape == output.shape else target


def named(metrics: Mapping[str, Metric] | Sequence[Metric]) -> dict[str, Metric]:
    """Metrics by name; functions given without a name are called after themselves."""
    return dict(metrics) if isinstance(metrics, Mapping) else {metric.__name__: metric for metric in metrics}


class Averages:
    """Averages over samples, fed with averages over batches.

    >>> averages = Averages()
    >>> averages.add(3, {"loss": 1.0}); averages.add(1, {"loss": 5.0})
    >>> averages.values()
    {'loss': 2.0}
    """

    def __init__(self) -> None:
        self.samples = 0
        self.sums: dict[str, float] = {}

    def add(self, samples: int, values: Mapping[str, float]) -> None:
        """Take in the averages over a batch of that many samples."""
        self.samples += samples
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + samples * value

    def values(self) -> dict[str, float]:
        """The averages so far, by name."""
        return {name: total / self.samples for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """The sums, as plain values."""
        return {"samples": self.samples, "sums": dict(self.sums)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.samples, self.sums = state_dict["samples"], dict(state_dict["sums"])


class History(dict[str, list[float]]):
    """One list per measured quantity, one entry per epoch.

    >>> history = History()
    >>> history.append({"epoch": 1, "loss": 0.5}); history.append({"epoch": 2, "loss": 0.25})
    >>> history["loss"]
    [0.5, 0.25]
    """

    def append(self, row: Mapping[str, float]) -> None:
        """Add an epoch; what was not measured in an epoch is NaN there."""
        epochs = self.epochs
        for name in {**self, **row}:
            self.setdefault(name, [float("nan")] * epochs).append(row.get(name, float("nan")))

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return max(map(len, self.values()), default=0)

    def rows(self) -> list[dict[str, float]]:
        """One dict per epoch."""
        return [{name: values[i] for name, values in self.items()} for i in range(self.epochs)]

    def to_json(self, path: StrPath) -> None:
        """Write `{"loss": [...], ...}`."""
        write_atomically(path, json.dumps(self, indent=1).encode())

    def to_csv(self, path: StrPath) -> None:
        """Write a header and a line per epoch."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self)
        writer.writerows(row.values() for row in self.rows())
        write_atomically(path, text.getvalue().encode())
