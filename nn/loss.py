"""Losses, as modules, under PyTorch's names and with its meanings.

Each computes the loss of every element or sample and reduces it: `reduction="none"` keeps them, `"sum"` adds them up,
`"mean"` divides by their number (by the sum of the class weights where there are any). x is the input, y the target.
Shapes must be equal: a loss never broadcasts one against the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import autograd
from autograd import Tensor
from autograd.errors import DomainError, DTypeError, IndexingError, ShapeError
from nn.module import Module
from nn.shape import shape_of


class Loss(Module):
    """Base of the losses: what is computed per element is reduced in the way `reduction` says.

    To add an elementwise loss, define `elementwise(x, y)`.

    Raises: `ShapeError` unless input and target have the same shape, `DomainError` for an unknown reduction.
    """

    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum")

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in self.reductions:
            raise DomainError(f"{self._kind}: reduction is {reduction!r}, expected one of {', '.join(self.reductions)}")
        self.reduction = reduction

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def elementwise(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss of each element."""
        raise NotImplementedError(f"{self._kind} must define elementwise(x, y)")

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self._reduce(self.elementwise(x, self._like(x, y)))

    def _like(self, x: Tensor, y: Tensor) -> Tensor:
        """The target, which must have the input's shape; integers become the input's type."""
        if shape_of(self, x, "input") != shape_of(self, y, "target"):
            raise ShapeError(
                f"{self._kind}: input has shape {x.shape} but target {y.shape}"
                f" → reshape one of them, for example target.reshape({x.shape}); losses do not broadcast"
            )
        return y if y.dtype.kind == "f" else y.astype(x.dtype)

    def _reduce(self, losses: Tensor, count: Tensor | int | None = None) -> Tensor:
        if self.reduction == "none":
            return losses
        total = losses.sum()
        if self.reduction == "sum":
            return total
        return total / (losses.size if count is None else count)

    def extra_repr(self) -> str:
        """What the summary and `repr` show in the parentheses."""
        return f"reduction={self.reduction!r}"


class MSELoss(Loss):
    """Mean squared error: (x − y)².

    >>> MSELoss()(autograd.tensor([1.0, 2.0]), autograd.tensor([1.0, 4.0])).item()
    2.0
    """

    def elementwise(self, x: Tensor, y: Tensor) -> Tensor:
        squares: Tensor = autograd.square(x - y)
        return squares


class L1Loss(Loss):
    """Mean absolute error: |x − y|."""

    def elementwise(self, x: Tensor, y: Tensor) -> Tensor:
        return abs(x - y)


class HuberLoss(Loss):
    """Quadratic near zero, linear beyond δ: d²/2 where |d| < δ, else δ (|d| − δ/2), with d = x − y.

    Raises: `DomainError` for `delta` ≤ 0. Source: Huber 1964.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise DomainError(f"HuberLoss: delta is {delta}, expected > 0 → use L1Loss for the limit")
        self.delta = delta

    def elementwise(self, x: Tensor, y: Tensor) -> Tensor:
        d = abs(x - y)
        return autograd.where(d < self.delta, 0.5 * d * d, self.delta * (d - 0.5 * self.delta))


class SmoothL1Loss(Loss):
    """Huber's loss divided by β: d²/(2β) where |d| < β, else |d| − β/2, with d = x − y; β = 0 is the absolute error.

    Raises: `DomainError` for `beta` < 0. Source: Girshick 2015, eq. 3.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not beta >= 0:
            raise DomainError(f"SmoothL1Loss: beta is {beta}, expected ≥ 0")
        self.beta = beta

    def elementwise(self, x: Tensor, y: Tensor) -> Tensor:
        d = abs(x - y)
        if self.beta == 0:
            return d
        return autograd.where(d < self.beta, (0.5 / self.beta) * d * d, d - 0.5 * self.beta)


class BCELoss(Loss):
    """Binary cross-entropy of probabilities: −w (y log x + (1−y) log(1−x)), each logarithm kept ≥ −100.

    Where a logarithm is cut off, its gradient is zero; `BCEWithLogitsLoss` needs no cut. `weight` scales the elements.

    Raises: `DomainError` where the input lies outside of [0, 1], `ShapeError` as all losses.
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _constant(weight))

    def elementwise(self, x: Tensor, y: Tensor) -> Tensor:
        values = x.detach()
        if ((values < 0) | (values > 1)).any():
            low, high = values.min().item(), values.max().item()
            raise DomainError(
                f"BCELoss: input lies in [{low:g}, {high:g}], expected probabilities in [0, 1]"
                " → apply a sigmoid, or use BCEWithLogitsLoss"
            )
        loss = -(y * _log_at_least(x) + (1 - y) * _log_at_least(1 - x))
        return loss if self.weight is None else _scaled(self._kind, "weight", self.weight, loss)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of logits: w ((1−y) x + (1 + (p−1) y) log(1 + e⁻ˣ)), finite for every x.

    `pos_weight` p scales the positive term (p > 1 favours recall), `weight` w the elements; both may broadcast to the
    input, for example one value per class.
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _constant(weight))
        self.register_buffer("pos_weight", _constant(pos_weight))

    def elementwise(self, x: Tensor, y: Tensor) -> Tensor:
        log_term = autograd.softplus(-x)
        if self.pos_weight is not None:
            log_term = log_term * (1 + _scaled(self._kind, "pos_weight", self.pos_weight - 1, y))
        loss = (1 - y) * x + log_term
        return loss if self.weight is None else _scaled(self._kind, "weight", self.weight, loss)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of log-probabilities x from the target y: y (log y − x), and 0 where y = 0.

    `log_target`: y holds log-probabilities, eʸ (y − x). `"mean"` divides by the number of elements; the divergence
    per sample is `"batchmean"`, which divides by N.

    Source: Kullback & Leibler 1951.
    """

    reductions = ("none", "mean", "sum", "batchmean")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def elementwise(self, x: Tensor, y: Tensor) -> Tensor:
        # log 1 in place of log 0: the factor y makes the term 0, in the value and in the gradient.
        log_y = y if self.log_target else autograd.log(autograd.where(y > 0, y, 1.0))
        losses: Tensor = (autograd.exp(y) if self.log_target else y) * (log_y - x)
        return losses

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        losses = self.elementwise(x, self._like(x, y))
        return self._reduce(losses, x.shape[0] if self.reduction == "batchmean" else None)


class CrossEntropyLoss(Loss):
    """Softmax and negative log-likelihood in one: −w_y log softmax(x)_y.

    Shapes: input `N C`, `N C d1 …` or `C` (logits); target class indices `N`, `N d1 …` or `()`, or class probabilities
    in the input's shape: −Σ_c w_c y_c log softmax(x)_c.
    `weight`: one factor per class, `C`; the mean then divides by the sum of the weights of the targets (not for
    probabilities). `ignore_index`: a target that counts for nothing; the mean of nothing is NaN.
    `label_smoothing` ε: the target becomes (1−ε) y + ε/C.

    Raises: `ShapeError`, `DTypeError` for a target of another shape or type, `IndexingError` for a class outside
    of 0..C−1. Source: Bridle 1990; Szegedy et al. 2016, section 7 (smoothing).

    >>> loss = CrossEntropyLoss()
    >>> round(loss(autograd.tensor([[0.0, 0.0, 0.0, 0.0]]), autograd.tensor([2])).item(), 4)  # log 4
    1.3863
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise DomainError(f"CrossEntropyLoss: label_smoothing is {label_smoothing}, expected in [0, 1]")
        self.register_buffer("weight", _constant(weight))
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        shape_of(self, x, "input"), shape_of(self, y, "target")
        axis, weight = _by_class(self._kind, x, self.weight)
        if y.dtype.kind == "f":
            if x.shape != y.shape:
                raise ShapeError(
                    f"CrossEntropyLoss: input has shape {x.shape} but the probabilities {y.shape}"
                    " → give one per class, or class indices as integers"
                )
            count = None
        else:
            kept = _check_classes(self._kind, x, y, axis, self.ignore_index)
            count = _count(x, y, kept, weight)
        if x.ndim == 1:
            x, y = x.reshape((1, -1)), y.reshape((1, *y.shape))
        losses = autograd.cross_entropy(x, y, weight, self.label_smoothing, self.ignore_index)
        return self._reduce(losses if axis else losses.reshape(()), count)


class NLLLoss(Loss):
    """Negative log-likelihood of log-probabilities: −w_y x_y.

    Shapes, `weight`, `ignore_index` and errors as for `CrossEntropyLoss`, of which this is the part after
    `log_softmax`; targets are class indices.
    """

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | Sequence[float] | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _constant(weight))
        self.ignore_index = ignore_index

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        shape_of(self, x, "input"), shape_of(self, y, "target")
        axis, weight = _by_class(self._kind, x, self.weight)
        kept = _check_classes(self._kind, x, y, axis, self.ignore_index)
        chosen = y if kept is None else autograd.where(kept, y, 0)  # any class will do where the loss is not counted
        losses = -autograd.gather(x, autograd.expand_dims(chosen, axis), axis).reshape(y.shape)
        if weight is not None:
            losses = losses * weight[chosen]
        losses = losses if kept is None else autograd.where(kept, losses, 0.0)
        return self._reduce(losses, _count(x, y, kept, weight))


# --- what the losses share ---


def _constant(weight: Any) -> Tensor | None:
    return None if weight is None else autograd.tensor(weight).detach()


def _scaled(loss: str, name: str, weight: Tensor, values: Tensor) -> Tensor:
    """`weight * values`, where the weight may broadcast but must not enlarge the values."""
    fits = len(weight.shape) <= len(values.shape) and all(
        w in (1, v) for w, v in zip(reversed(weight.shape), reversed(values.shape), strict=False)
    )
    if not fits:
        raise ShapeError(f"{loss}: {name} has shape {weight.shape} but the input {values.shape} → make it broadcast")
    return weight.to(values.dtype) * values


def _log_at_least(x: Tensor) -> Tensor:
    """max(log x, −100), whose gradient is zero, not NaN, at x = 0."""
    positive = x > math.exp(-100)
    return autograd.where(positive, autograd.log(autograd.where(positive, x, 1.0)), -100.0)


def _by_class(loss: str, x: Tensor, weight: Tensor | None) -> tuple[int, Tensor | None]:
    """The axis along which the input's classes lie, and the weight of each class in the input's type."""
    if x.ndim == 0 or x.dtype.kind != "f":
        raise ShapeError(f"{loss}: input has shape {x.shape}, dtype {x.dtype}, expected floating N C … or C")
    axis = 0 if x.ndim == 1 else 1
    if weight is not None and weight.shape != (x.shape[axis],):
        raise ShapeError(
            f"{loss}: weight has shape {weight.shape} but the input {x.shape} has C={x.shape[axis]} classes"
            f" → give a weight of shape ({x.shape[axis]},)"
        )
    return axis, None if weight is None else weight.astype(x.dtype)


def _check_classes(loss: str, x: Tensor, y: Tensor, axis: int, ignore_index: int) -> Tensor | None:
    """Refuse targets that are no class indices for this input; return where they count, None for everywhere."""
    expected, classes = x.shape[:axis] + x.shape[axis + 1 :], x.shape[axis]
    if y.dtype.kind not in "iu":
        raise DTypeError(f"{loss}: target has dtype {y.dtype}, expected integer class indices → target.astype('int64')")
    if y.shape != expected:
        hint = "target.argmax(1) for one-hot targets" if y.shape == x.shape else f"target.reshape({expected})"
        raise ShapeError(f"{loss}: input has shape {x.shape} but target {y.shape}, expected {expected} → {hint}")
    low, high = (int(y.data.min()), int(y.data.max())) if y.size else (0, -1)
    if low >= 0 and high < classes and not low <= ignore_index <= high:
        return None
    kept = y != ignore_index
    if (kept & ((y < 0) | (y >= classes))).any():
        raise IndexingError(
            f"{loss}: target lies in [{low}, {high}] but the input {x.shape} has C={classes}"
            f" → give classes 0..{classes - 1}, or ignore_index={ignore_index}"
        )
    return kept


def _count(x: Tensor, y: Tensor, kept: Tensor | None, weight: Tensor | None) -> Tensor | int:
    """What the mean over class targets divides by: how many count, or the sum of their weights."""
    if kept is None:
        return y.size if weight is None else weight[y].sum()
    if weight is None:
        return kept.astype(x.dtype).sum()  # an integer count would widen the loss to float64
    return autograd.where(kept, weight[autograd.where(kept, y, 0)], 0.0).sum()
