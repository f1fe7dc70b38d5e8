"""How a network learned: its learning curve, its confusions, its worst mistakes, as figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import autograd
from autograd.errors import DomainError, ShapeError
from vision.see.figures import ACCENT, INK, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curve(history: Mapping[str, Sequence[float]]) -> Figure:
    """Loss and accuracy, in training and validation, against the epoch.

    `history`: lists by name as `nn.Trainer` keeps them, with `valid_` in front of what was measured in validation.
    """
    names = [n for n in ("loss", "accuracy") if n in history]
    if not names or "epoch" not in history:
        raise DomainError(f"learning_curve: history has {list(history)}, expected epoch, loss → give trainer.history")
    figure, axes = grid(1, len(names), 5 * len(names), 3.6)
    for ax, name in zip(axes[0], names, strict=True):
        epochs = history["epoch"]
        ax.plot(epochs, history[name], color=ACCENT, marker="o", markersize=3, label="training")
        if f"valid_{name}" in history:
            values = history[f"valid_{name}"]
            ax.plot(epochs, values, color=INK, linestyle="--", marker="s", markersize=3, label="validation")
        ax.set(xlabel="epoch", ylabel=name)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.grid(alpha=0.3)
        ax.legend(frameon=False)
    return figure


def confusion_counts(labels: Any, predicted: Any, classes: int) -> np.ndarray:
    """How often each class (row) was taken for each other (column): counts `classes classes`.

    >>> confusion_counts([0, 0, 1], [0, 1, 1], 2)
    array([[1, 1],
           [0, 1]])
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (np.asarray(labels), np.asarray(predicted)), 1)
    return counts


def confusion_matrix(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """The counts as a table; the shade of a mistake is its share of all mistakes, so that they are seen at all."""
    figure, axes = grid(1, 1, 6.2, 5.8)
    ax = axes[0, 0]
    mistakes = counts * (1 - np.eye(len(counts)))
    ax.imshow(mistakes, cmap="Oranges")
    for i, j in np.ndindex(counts.shape):
        dark = mistakes[i, j] > 0.6 * mistakes.max(initial=1)
        weight = "bold" if i == j else "normal"
        ax.text(j, i, counts[i, j], ha="center", va="center", fontsize=8, weight=weight, color="white" if dark else INK)
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    ax.set(xticks=range(len(classes)), yticks=range(len(classes)), xlabel="taken for", ylabel="is")
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, classes)) > 2 else {}
    ax.set_xticklabels(classes, **slanted)
    ax.set_yticklabels(classes)
    ax.set_title(f"{accuracy:.2%} of {counts.sum():,} right")
    return figure


def mistakes(images: np.ndarray, labels: Any, scores: np.ndarray, classes: Sequence[str], most: int = 24) -> Figure:
    """The images that the network is most wrongly sure of: what it says, how surely, and what is true.

    `images` are `N H W` or `N H W C`; `scores` the network's outputs `N classes`, before softmax.
    """
    labels = np.asarray(labels)
    if not len(images) == len(labels) == len(scores):
        raise ShapeError(
            f"mistakes: {len(images)} images, {len(labels)} labels, {len(scores)} scores → give as many of each"
        )
    probabilities = autograd.softmax(autograd.tensor(scores, dtype="float64"), axis=1).numpy()
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:most]
    columns = 8
    rows = max(math.ceil(len(worst) / columns), 1)
    wide = 1.25 + 0.05 * max(0, max(map(len, classes)) - 8)  # inches, for the words above
    figure, axes = grid(rows, columns, wide * columns, (wide + 0.35) * rows)
    for ax, i in zip(axes.flat, worst, strict=False):
        ax.imshow(images[i], cmap="gray_r")
        ax.set_title(
            f"{classes[predicted[i]]} {probabilities[i, predicted[i]]:.0%}\nis {classes[labels[i]]}", fontsize=8
        )
    for ax in axes.flat:
        ax.axis("off")
    figure.suptitle(f"{len(wrong)} mistakes in {len(labels):,}; the surest {len(worst)}", fontsize=10)
    return figure
