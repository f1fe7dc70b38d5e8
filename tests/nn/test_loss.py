"""Losses: NumPy formulas in value and gradient, and shapes, types and targets that are refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.errors import DomainError, DTypeError, IndexingError, ShapeError
from nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def huber(d, delta):
    return np.where(abs(d) < delta, d**2 / 2, delta * (abs(d) - delta / 2))


# name: the loss, its formula per element, how inputs and targets are drawn
ELEMENTWISE = {
    "mse": (MSELoss, lambda x, y: (x - y) ** 2, "normal", "normal"),
    "l1": (L1Loss, lambda x, y: abs(x - y), "normal", "normal"),
    "huber": (lambda **k: HuberLoss(delta=0.7, **k), lambda x, y: huber(x - y, 0.7), "normal", "normal"),
    "smooth": (lambda **k: SmoothL1Loss(beta=0.5, **k), lambda x, y: huber(x - y, 0.5) / 0.5, "normal", "normal"),
    "smooth0": (lambda **k: SmoothL1Loss(beta=0.0, **k), lambda x, y: abs(x - y), "normal", "normal"),
    "bce": (BCELoss, lambda x, y: -(y * np.log(x) + (1 - y) * np.log(1 - x)), "uniform", "uniform"),
    "logits": (
        BCEWithLogitsLoss,
        lambda x, y: -(y * np.log(sigmoid(x)) + (1 - y) * np.log(1 - sigmoid(x))),
        "normal",
        "uniform",
    ),
    "kl": (KLDivLoss, lambda x, y: y * (np.log(y) - x), "normal", "uniform"),
    "kl log": (lambda **k: KLDivLoss(log_target=True, **k), lambda x, y: np.exp(y) * (y - x), "normal", "normal"),
}
shapes = st.sampled_from([(), (1,), (5,), (3, 4), (2, 3, 4)])


def draw(kind, shape, rng):
    return np.asarray(rng.normal(size=shape) if kind == "normal" else rng.uniform(0.05, 0.95, shape))


def slope(f, x, direction, step=1e-6):
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


def assert_gradient(loss, formula, x):
    """The gradient of a scalar loss agrees with the slope of its formula in a random direction."""
    leaf = autograd.tensor(x, requires_grad=True)
    value = loss(leaf)
    np.testing.assert_allclose(value.item(), formula(x), rtol=1e-9, atol=1e-12)
    value.backward()
    direction = np.random.default_rng(4).normal(size=x.shape)
    expected = slope(formula, x, direction)
    np.testing.assert_allclose((leaf.grad.numpy() * direction).sum(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(shape=shapes, seed=st.integers(0, 1000))
def test_elementwise_losses_are_their_formulas(name, shape, seed):
    make, formula, kind_x, kind_y = ELEMENTWISE[name]
    rng = np.random.default_rng(seed)
    x, y = draw(kind_x, shape, rng), draw(kind_y, shape, rng)
    tx, ty = autograd.tensor(x), autograd.tensor(y)
    np.testing.assert_allclose(make(reduction="none")(tx, ty).numpy(), formula(x, y), rtol=1e-9)
    np.testing.assert_allclose(make(reduction="sum")(tx, ty).item(), formula(x, y).sum(), rtol=1e-9)
    assert_gradient(lambda a: make()(a, ty), lambda a: formula(a, y).mean(), x)


@pytest.mark.parametrize(
    "loss", [MSELoss(), L1Loss(), HuberLoss(), SmoothL1Loss(), BCELoss(), BCEWithLogitsLoss(), KLDivLoss()]
)
@pytest.mark.parametrize(("a", "b"), [((4,), (4, 1)), ((4, 1), (4,)), ((3,), ()), ((2, 3), (3,))])
def test_shapes_that_would_broadcast_are_refused(loss, a, b):
    with pytest.raises(ShapeError, match=r"input has shape .* but target .* → reshape") as caught:
        loss(autograd.full(a, 0.5), autograd.full(b, 0.5))
    assert str(a) in str(caught.value) and str(b) in str(caught.value) and type(loss).__name__ in str(caught.value)


@pytest.mark.parametrize("loss", [MSELoss(), BCEWithLogitsLoss(), BCELoss()])
def test_integer_targets_do_not_widen_the_loss(loss):
    x = autograd.tensor([0.25, 0.75])
    assert loss(x, autograd.tensor([0, 1])).dtype == np.float32


def test_logits_of_any_size_give_finite_losses_and_gradients():
    x = autograd.tensor([-1e4, 1e4, -1e4, 1e4], requires_grad=True)
    loss = BCEWithLogitsLoss(reduction="sum")(x, autograd.tensor([0.0, 1.0, 1.0, 0.0]))
    loss.backward()
    assert loss.item() == 2e4 and x.grad.numpy().tolist() == [0.0, 0.0, -1.0, 1.0]


def test_certain_probabilities_cost_at_most_100():
    x = autograd.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = BCELoss(reduction="none")(x, autograd.tensor([1.0, 0.0, 0.0, 1.0]))
    assert losses.detach().numpy().tolist() == [100.0, 100.0, 0.0, 0.0]
    losses.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_weights_of_elements_and_of_positives():
    rng = np.random.default_rng(0)
    x, y, w, p = rng.normal(size=(3, 4)), rng.random((3, 4)), rng.random(4), rng.random(4) + 1
    loss = BCEWithLogitsLoss(weight=autograd.tensor(w), pos_weight=autograd.tensor(p))
    s = sigmoid(x)
    expected = -(w * (p * y * np.log(s) + (1 - y) * np.log(1 - s))).mean()
    np.testing.assert_allclose(loss(autograd.tensor(x), autograd.tensor(y)).item(), expected, rtol=1e-9)
    with pytest.raises(ShapeError, match="pos_weight has shape"):
        loss(autograd.tensor(x.T), autograd.tensor(y.T))


def test_divergence_of_zeros_is_zero_and_batchmean_divides_by_n():
    y = np.array([[0.0, 1.0], [0.5, 0.5]])
    x = np.log(np.array([[0.5, 0.5], [0.25, 0.75]]))
    loss = KLDivLoss(reduction="batchmean")(autograd.tensor(x), autograd.tensor(y))
    expected = (math.log(2) + 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)) / 2
    assert loss.item() == pytest.approx(expected)


# --- losses of classes ---


def log_softmax(x, axis):
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def class_losses(log_p, y, weight, smoothing, ignore):
    """The losses by a loop over the targets, and what the mean divides by."""
    classes = log_p.shape[1]
    weight = np.ones(classes) if weight is None else weight
    losses, total = np.zeros(y.shape), 0.0
    for place in np.ndindex(y.shape):
        target, row = y[place], log_p[(place[0], slice(None), *place[1:])]
        if target == ignore:
            continue
        losses[place] = -(1 - smoothing) * weight[target] * row[target] - smoothing / classes * (weight * row).sum()
        total += weight[target]
    return losses, total


@given(
    weighted=st.booleans(), smoothing=st.sampled_from([0.0, 0.1, 0.7]), ignore=st.sampled_from([-100, 2]),
    spatial=st.sampled_from([(), (3,), (2, 3)]), seed=st.integers(0, 1000),
)  # fmt: skip
def test_losses_of_class_indices(weighted, smoothing, ignore, spatial, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(4, 5, *spatial)), rng.integers(0, 5, (4, *spatial))
    y.flat[0] = 1  # at least one that counts
    weight = rng.random(5) + 0.1 if weighted else None
    options = {"weight": None if weight is None else autograd.tensor(weight), "ignore_index": ignore}
    target = autograd.tensor(y)

    def mean(log_p, smooth):
        losses, total = class_losses(log_p, y, weight, smooth, ignore)
        return losses.sum() / total

    cross, nll = CrossEntropyLoss(**options, label_smoothing=smoothing), NLLLoss(**options)
    assert_gradient(lambda a: cross(a, target), lambda a: mean(log_softmax(a, 1), smoothing), x)
    assert_gradient(lambda a: nll(a, target), lambda a: mean(a, 0.0), x)
    cross.reduction = "none"
    expected = class_losses(log_softmax(x, 1), y, weight, smoothing, ignore)[0]
    np.testing.assert_allclose(cross(autograd.tensor(x), target).numpy(), expected, rtol=1e-9, atol=1e-12)


@given(
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.2]),
    spatial=st.sampled_from([(), (3,)]),
    seed=st.integers(0, 99),
)
def test_losses_of_probabilities(weighted, smoothing, spatial, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(4, 5, *spatial)), rng.random((4, 5, *spatial))
    weight = rng.random(5) if weighted else np.ones(5)
    loss = CrossEntropyLoss(weight=autograd.tensor(weight) if weighted else None, label_smoothing=smoothing)
    soft = (1 - smoothing) * y + smoothing / 5
    factor = weight.reshape(1, 5, *[1] * len(spatial))
    assert_gradient(
        lambda a: loss(a, autograd.tensor(y)),
        lambda a: -(factor * soft * log_softmax(a, 1)).sum(axis=1).mean(),
        x,
    )


@pytest.mark.parametrize("loss", [CrossEntropyLoss, NLLLoss])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_of_classes_have_the_type_of_the_input(loss, reduction, dtype):
    x, y = autograd.zeros((2, 3), dtype=dtype), autograd.tensor([0, 2])
    for weight in (None, autograd.ones((3,), dtype="float32"), autograd.ones((3,), dtype="float64")):
        assert loss(weight=weight, reduction=reduction)(x, y).dtype == dtype


def test_one_hot_probabilities_are_class_indices():
    x, y = autograd.tensor(np.random.default_rng(0).normal(size=(4, 5))), autograd.tensor([0, 3, 4, 1])
    hot = autograd.tensor(np.eye(5)[y.numpy()])
    assert CrossEntropyLoss()(x, hot).item() == pytest.approx(CrossEntropyLoss()(x, y).item())


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), NLLLoss()])
@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (np.zeros((2, 3)), [0, 3], IndexingError, r"target lies in \[0, 3\] .* C=3 → give classes 0..2"),
        (np.zeros((2, 3)), [-1, 0], IndexingError, r"\[-1, 0\]"),
        (np.zeros((2, 3)), [0, 1, 2], ShapeError, r"\(2, 3\) but target \(3,\), expected \(2,\)"),
        (np.zeros((2, 3)), [[0], [1]], ShapeError, r"target.reshape\(\(2,\)\)"),
        (np.zeros((2, 3)), np.eye(3, dtype=int)[:2], ShapeError, "argmax"),
        (np.zeros((2, 3)), [True, False], DTypeError, "bool"),
        (np.zeros((2, 3, 4)), [0, 1], ShapeError, r"expected \(2, 4\)"),
        (np.zeros(()), 0, ShapeError, "N C"),
    ],
)
def test_targets_that_are_no_classes(loss, x, y, error, words):
    with pytest.raises(error, match=words):
        loss(autograd.tensor(x), autograd.tensor(np.asarray(y)))


def test_floats_where_classes_are_wanted():
    with pytest.raises(ShapeError, match=r"\(2, 3\) but the probabilities \(2,\).*integers"):
        CrossEntropyLoss()(autograd.zeros((2, 3)), autograd.tensor([0.0, 1.0]))
    with pytest.raises(DTypeError, match=r"float32.*astype"):
        NLLLoss()(autograd.zeros((2, 3)), autograd.tensor([0.0, 1.0]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: MSELoss(reduction="average"),
        lambda: HuberLoss(delta=0),
        lambda: SmoothL1Loss(beta=-1),
        lambda: CrossEntropyLoss(label_smoothing=1.5),
        lambda: BCELoss()(autograd.tensor([1.5]), autograd.tensor([1.0])),
    ],
)
def test_parameters_out_of_range(make):
    with pytest.raises(DomainError):
        make()


def test_a_weight_of_the_wrong_length():
    for cls in (CrossEntropyLoss, NLLLoss):
        with pytest.raises(ShapeError, match=r"C=3 classes → give a weight of shape \(3,\)"):
            cls(weight=[1.0, 2.0])(autograd.zeros((2, 3)), autograd.tensor([0, 1]))


@pytest.mark.parametrize("make", [MSELoss, L1Loss, HuberLoss, SmoothL1Loss, BCELoss, BCEWithLogitsLoss, KLDivLoss])
def test_elementwise_losses_on_the_strict_device(make):
    x = autograd.full((2, 3), 0.25, device="strict", requires_grad=True)
    make()(x, autograd.full((2, 3), 0.5, device="strict")).backward()
    assert x.grad.device == "strict"


@pytest.mark.parametrize("make", [CrossEntropyLoss, NLLLoss])
def test_class_losses_on_the_strict_device(make):
    x = autograd.zeros((2, 3), device="strict", requires_grad=True)
    loss = make(weight=[1.0, 2.0, 3.0]).to("strict")
    loss(x, autograd.tensor([0, 2], device="strict")).backward()
    assert x.grad.device == "strict"
