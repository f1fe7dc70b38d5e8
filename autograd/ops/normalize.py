"""Softmax, normalisations, classification loss, dropout: composites, written as their papers write them.

>>> import autograd
>>> x = autograd.tensor([[0.0, 1.0, 2.0]])
>>> autograd.softmax(x).round(4)
tensor([[0.09  , 0.2447, 0.6652]])
>>> autograd.layer_norm(x, autograd.ones(3), autograd.zeros(3)).round(3)
tensor([[-1.225,  0.   ,  1.225]])
>>> kept = autograd.dropout(autograd.ones(1000), p=0.25, generator=autograd.Generator(0))
>>> sorted({round(v, 4) for v in kept.tolist()})
[0.0, 1.3333]
"""

from __future__ import annotations

from typing import Any

from .. import backend
from ..core.composite import composite
from ..core.primitive import elementwise
from ..core.tensor import Tensor, operand
from ..errors import DomainError, ShapeError
from ..random import Generator, bernoulli
from .activation import relu
from .arithmetic import square, where
from .exponential import exp
from .index import check_indices, gather
from .reduce import constant_max, logsumexp, mean, sum_, var
from .shape import expand_dims, getitem, pad, reshape

INF = float("inf")


@composite("x", cases=({"x": (2, 3)}, {"axis": 0, "x": (3, 2)}), source="Bridle 1990, eq. 5")
def softmax(x: Any, axis: int = -1) -> Any:
    """Positive numbers that add up to 1 along an axis, eˣ / Σ eˣ."""
    e = exp(x - constant_max(x, axis))
    return e / sum_(e, axis, True)


@composite("x", cases=({"x": (2, 3)}, {"axis": 0, "x": (3, 2)}))
def log_softmax(x: Any, axis: int = -1) -> Any:
    """ln softmax(x) = x − ln Σ eˣ, without overflow."""
    return x - logsumexp(x, axis, True)


@composite(
    "x: N C ..., w: C, b: C, mean: C, var: C, residual: N C ...",
    cases=({"residual": None}, {}),
    domain={"var": (0.1, INF)},
    source="Ioffe & Szegedy, Batch normalization, ICML 2015, algorithm 1",
)
def batch_norm(
    x: Any, w: Any, b: Any, mean: Any, var: Any, residual: Any = None, eps: float = 1e-5, activation: str | None = None
) -> Any:
    """Every channel shifted and scaled by given statistics, (x − mean) / √(var + eps)·w + b.

    A ``residual`` is added to that (He et al. 2015, eq. 1), and the ``activation`` "relu" taken of the sum.
    """
    column = (-1,) + (1,) * (len(x.shape) - 2)
    scale = w / (var + eps) ** 0.5
    out = x * scale.reshape(column) + (b - mean * scale).reshape(column)
    if residual is not None:
        out = out + residual
    if activation not in (None, "relu"):
        raise DomainError(f"batch_norm: activation is {activation!r} → choose None or 'relu'")
    return relu(out) if activation else out


@composite(
    "x: N C ..., w: C, b: C, residual: N C ... -> out: N C ..., mean: C, var: C",
    cases=({"N": 3, "residual": None}, {"N": 2, "eps": 0.1}),
    source="Ioffe & Szegedy, Batch normalization, ICML 2015, algorithm 1",
)
def batch_norm_training(
    x: Any, w: Any, b: Any, residual: Any = None, eps: float = 1e-5, activation: str | None = None
) -> Any:
    """``batch_norm`` by the statistics of the batch itself, over all axes but the channels'; returns these as well.

    Returns:
        The result, and each channel's mean and (biased) variance of x, Σ (x − mean)² / n.
    """
    axes = (0, *range(2, len(x.shape)))
    m, v = mean(x, axes), var(x, axes)
    return batch_norm(x, w, b, m, v, residual, eps, activation), m, v


@composite(
    "x, w, b",
    cases=({"x": (2, 3), "w": (3,), "b": (3,)}, {"axes": 2, "x": (2, 3, 2), "w": (3, 2), "b": (3, 2)}),
    source="Ba, Kiros & Hinton, Layer normalization 2016, arXiv:1607.06450",
)
def layer_norm(x: Any, w: Any, b: Any, axes: int = 1, eps: float = 1e-5) -> Any:
    """The last ``axes`` axes brought to mean 0 and variance 1, then ·w + b; w and b have the shape of those axes."""
    return _standard(x, tuple(range(-axes, 0)), eps) * w + b


@composite("x: N C ..., w: C, b: C", cases=({"groups": 2, "C": 4},), source="Wu & He, Group normalization, ECCV 2018")
def group_norm(x: Any, w: Any, b: Any, groups: int = 1, eps: float = 1e-5) -> Any:
    """Every group of channels of every example brought to mean 0 and variance 1, then ·w + b per channel."""
    if groups < 1 or x.shape[1] % groups:
        raise ShapeError(
            f"group_norm: x has C={x.shape[1]} channels, which groups={groups} does not divide → choose a divisor"
        )
    apart = _standard(reshape(x, (x.shape[0], groups, -1)), (-1,), eps)
    column = (-1,) + (1,) * (len(x.shape) - 2)
    return reshape(apart, x.shape) * w.reshape(column) + b.reshape(column)


def _standard(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    centred = x - mean(x, axes, True)
    return centred / (mean(square(centred), axes, True) + eps) ** 0.5


@composite(
    "x: N C ...", cases=({"size": 3, "alpha": 0.5, "C": 4},),
    source="Krizhevsky et al. 2012, sec. 3.3; alpha is divided by size as in common practice",
)  # fmt: skip
def local_response_norm(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + alpha/size·Σ x²)^beta, the sum over ``size`` neighbouring channels."""
    rest = ((0, 0),) * (len(x.shape) - 2)
    squares = pad(square(x), ((0, 0), (size // 2, (size - 1) // 2), *rest))
    channels = x.shape[1]
    total = sum(
        (getitem(squares, (slice(None), slice(i, i + channels))) for i in range(1, size)),
        getitem(squares, (slice(None), slice(0, channels))),
    )
    return x / (k + alpha / size * total) ** beta


def cross_entropy(
    x: Any, target: Any, weight: Any = None, label_smoothing: float = 0.0, ignore_index: int = -100
) -> Any:
    """Cross-entropy of class scores, −Σ_c q_c ln softmax(x)_c, one value per example.

    Args:
        x: scores ``N C ...``.
        target: class numbers ``N ...``, or probabilities of the shape of x.
        weight: a factor per class ``C``.
        label_smoothing: the share of the target spread evenly over all classes (Szegedy et al. 2016).
        ignore_index: examples of this class number count 0.

    Returns:
        ``N ...``, the weighted loss of each example.

    Raises:
        ShapeError: if the shapes of x and target do not fit.
        DTypeError, IndexingError: if class numbers are no integers or not in 0 … C − 1.

    >>> import autograd
    >>> autograd.cross_entropy(autograd.tensor([[0.0, 0.0]]), autograd.tensor([1])).round(4)
    tensor([0.6931])
    """
    x, target = operand("cross_entropy", "x", x), target if isinstance(target, Tensor) else Tensor(target)
    if target.dtype.kind == "f":
        if target.shape != x.shape:
            raise ShapeError(
                f"cross_entropy: target of probabilities has shape {target.shape} but x {x.shape} → make them equal"
            )
        return soft_cross_entropy(x, target, weight, label_smoothing)
    if len(x.shape) < 2 or target.shape != (x.shape[0], *x.shape[2:]):
        raise ShapeError(
            f"cross_entropy: target has shape {target.shape} but x {tuple(x.shape)} "
            f"→ give a class number for each example, shape {(x.shape[0], *x.shape[2:]) if x.shape else ()}"
        )
    raw = target.data
    xp = backend.of(raw).xp
    ignored = raw == ignore_index
    classes = xp.where(ignored, 0, raw)
    check_indices("cross_entropy", classes, x.shape[1])
    return class_cross_entropy(x, Tensor(classes), Tensor(ignored), weight, label_smoothing)


@composite(
    "x: N C ..., target: N ..., ignored: N ..., weight: C",
    cases=({}, {"label_smoothing": 0.1}),
    domain={"target": "index C", "ignored": "bool", "weight": (0.1, INF)},
)
def class_cross_entropy(x: Any, target: Any, ignored: Any, weight: Any = None, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy against class numbers; ``ignored`` marks examples that count 0."""
    scores = log_softmax(x, 1)
    index = expand_dims(target, 1)
    loss = -getitem(gather(scores, index, 1), (slice(None), 0))
    if weight is not None:
        loss = loss * weight[target]
    if label_smoothing:
        column = (-1,) + (1,) * (len(x.shape) - 2)
        spread = -mean(scores if weight is None else scores * weight.reshape(column), 1)
        loss = (1 - label_smoothing) * loss + label_smoothing * spread
    return where(ignored, 0.0, loss)


@composite("x: N C ..., target: N C ..., weight: C", cases=({}, {"label_smoothing": 0.1}))
def soft_cross_entropy(x: Any, target: Any, weight: Any = None, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy against probabilities."""
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / x.shape[1]
    if weight is not None:
        target = target * weight.reshape((-1,) + (1,) * (len(x.shape) - 2))
    return -sum_(target * log_softmax(x, 1), 1)


masked = elementwise(
    "masked", "x, mask", forward="multiply", deriv={"x": lambda mask: mask}, linear_in=("x",),
    doc="x times a mask that is a constant.",
)  # fmt: skip


@composite("x", source="Srivastava et al., Dropout, JMLR 15 (2014)")
def dropout(x: Any, p: float = 0.5, generator: Generator | None = None, axes: int | None = None) -> Any:
    """Every element set to 0 with probability p and the others divided by 1 − p.

    ``axes``: draw once for the first ``axes`` axes (2: whole channels). The same generator state gives the same mask.
    """
    if not 0 <= p <= 1:
        raise DomainError(f"dropout: p is {p} but a probability is needed → choose 0 ≤ p ≤ 1")
    if p == 0:
        return x
    shape = x.shape if axes is None else (*x.shape[:axes], *(1,) * (len(x.shape) - axes))
    raw = x.data if isinstance(x, Tensor) else x
    return masked(x, bernoulli(1 - p, shape, raw, generator))
