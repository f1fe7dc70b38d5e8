"""Optimisers, schedules and losses hold equal to PyTorch's, over drawn parameters. Needs torch; skipped without."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from nn import loss as losses
from nn import optim, schedule

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")

unit, rate, decay = st.floats(0, 0.99), st.floats(1e-4, 1.0), st.sampled_from([0.0, 0.01, 0.5])
OPTIONS = {
    "SGD": {"momentum": unit, "dampening": unit, "maximize": st.booleans()},
    "Adam": {"betas": st.tuples(unit, unit), "amsgrad": st.booleans(), "maximize": st.booleans()},
    "AdamW": {"betas": st.tuples(unit, unit), "amsgrad": st.booleans()},
    "RMSprop": {"alpha": st.floats(0.1, 0.99), "momentum": unit, "centered": st.booleans()},
    "Adagrad": {"lr_decay": unit, "initial_accumulator_value": unit},
}


@pytest.mark.parametrize("name", OPTIONS)
@given(data=st.data())
def test_optimisers(name, data):
    options = data.draw(st.fixed_dictionaries({}, optional={"lr": rate, "weight_decay": decay, **OPTIONS[name]}))
    if name == "SGD" and data.draw(st.booleans()):
        options = {**options, "momentum": 0.9, "dampening": 0.0, "nesterov": True}
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 2))
    ours, theirs = autograd.tensor(start.copy(), requires_grad=True), torch.tensor(start, requires_grad=True)
    one, other = getattr(optim, name)([ours], **options), getattr(torch.optim, name)([theirs], **options)
    for _ in range(6):
        g = rng.normal(size=(3, 2))
        ours.grad, theirs.grad = autograd.tensor(g), torch.tensor(g)
        one.step(), other.step()
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-7, atol=1e-8)
    state, expected = one.state_dict(), other.state_dict()
    kept = {name for name, value in expected["state"].get(0, {}).items() if value is not None}
    assert {*state["state"].get(0, {}), "step"} == {*kept, "step"}
    shared = expected["param_groups"][0].keys() & state["param_groups"][0].keys()
    assert all(state["param_groups"][0][key] == expected["param_groups"][0][key] for key in shared)


@given(norm_type=st.sampled_from([1.0, 2.0, 2.5, math.inf]), max_norm=st.floats(0.01, 5))
def test_clipping(norm_type, max_norm):
    g = np.random.default_rng(0).normal(size=(4, 3))
    ours, theirs = autograd.tensor(g, requires_grad=True), torch.tensor(g, requires_grad=True)
    ours.grad, theirs.grad = autograd.tensor(g), torch.tensor(g)
    a = optim.clip_grad_norm_([ours], max_norm, norm_type)
    b = torch.nn.utils.clip_grad_norm_([theirs], max_norm, norm_type)
    np.testing.assert_allclose(a.item(), b.item(), rtol=1e-9)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9)


SCHEDULES = {
    "StepLR": lambda lib, o: lib.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda lib, o: lib.MultiStepLR(o, [7, 2, 5], 0.3),
    "ExponentialLR": lambda lib, o: lib.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda lib, o: lib.CosineAnnealingLR(o, 8, 0.01),
    "LinearLR": lambda lib, o: lib.LinearLR(o, 0.2, 0.9, 6),
    "LambdaLR": lambda lib, o: lib.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1 / (1 + t)]),
    "SequentialLR": lambda lib, o: lib.SequentialLR(
        o, [lib.LinearLR(o, 0.1, 1.0, 4), lib.CosineAnnealingLR(o, 6), lib.ExponentialLR(o, 0.5)], [4, 10]
    ),
    "OneCycleLR": lambda lib, o: lib.OneCycleLR(o, 0.5, total_steps=18),
    "OneCycleLR linear": lambda lib, o: lib.OneCycleLR(
        o, [0.5, 0.2], epochs=6, steps_per_epoch=3, anneal_strategy="linear"
    ),
    "OneCycleLR three phases": lambda lib, o: lib.OneCycleLR(o, 0.5, total_steps=18, three_phase=True, pct_start=0.25),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_schedules(name, optimizer):
    options = {"lr": 0.3, **({"momentum": 0.9} if optimizer == "SGD" else {})}

    def groups(tensor):
        return [
            {"params": [tensor([1.0], requires_grad=True)]},
            {"params": [tensor([2.0], requires_grad=True)], "lr": 0.1},
        ]

    one, other = (
        getattr(optim, optimizer)(groups(autograd.tensor), **options),
        getattr(torch.optim, optimizer)(groups(torch.tensor), **options),
    )
    ours, theirs = SCHEDULES[name](schedule, one), SCHEDULES[name](torch.optim.lr_scheduler, other)
    for _ in range(18):
        other.step()
        for a, b in zip(one.param_groups, other.param_groups, strict=True):
            for key in {"lr", "momentum", "betas"} & a.keys():
                np.testing.assert_allclose(a[key], b[key], rtol=1e-9, atol=1e-12)
        ours.step(), theirs.step()


@given(
    metrics=st.lists(st.floats(0.1, 10), min_size=5, max_size=40), mode=st.sampled_from(["min", "max"]),
    threshold_mode=st.sampled_from(["rel", "abs"]), patience=st.integers(0, 4), cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.01]),
)  # fmt: skip
def test_plateau(metrics, **options):
    one = optim.SGD([autograd.tensor([1.0], requires_grad=True)], lr=0.3)
    other = torch.optim.SGD([torch.tensor([1.0], requires_grad=True)], lr=0.3)
    ours = schedule.ReduceLROnPlateau(one, threshold=0.05, **options)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(other, threshold=0.05, **options)
    for metric in metrics:
        ours.step(metric), theirs.step(metric)
        assert ours.get_last_lr() == theirs.get_last_lr()


# --- losses ---

reductions = st.sampled_from(["none", "mean", "sum"])


def compare(ours, theirs, *inputs, atol=1e-10):
    """Value and gradients with respect to the floating inputs agree."""
    mine = [autograd.tensor(a.copy(), requires_grad=a.dtype.kind == "f") for a in inputs]
    yours = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in inputs]
    a, b = ours(*mine), theirs(*yours)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=atol)
    g = np.random.default_rng(9).normal(size=a.shape)
    a.backward(autograd.tensor(g)), b.backward(torch.tensor(g))
    for m, y in zip(mine, yours, strict=True):
        if m.requires_grad:
            expected = np.zeros(m.shape) if y.grad is None else y.grad.numpy()
            np.testing.assert_allclose(m.grad.numpy(), expected, rtol=1e-8, atol=atol)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MSELoss", {}), ("L1Loss", {}), ("SmoothL1Loss", {"beta": 0.5}), ("SmoothL1Loss", {"beta": 0.0}),
        ("HuberLoss", {"delta": 0.7}), ("BCEWithLogitsLoss", {}),
    ],
)  # fmt: skip
@given(reduction=reductions, shape=st.sampled_from([(), (4,), (3, 2), (2, 3, 4)]), seed=st.integers(0, 99))
def test_elementwise_losses(name, options, reduction, shape, seed):
    rng = np.random.default_rng(seed)
    make = {"reduction": reduction, **options}
    x, y = rng.normal(size=shape), rng.normal(size=shape)
    compare(getattr(losses, name)(**make), getattr(torch.nn, name)(**make), np.asarray(x), np.asarray(y))


@given(reduction=reductions, seed=st.integers(0, 99), weighted=st.booleans())
def test_binary_cross_entropy(reduction, seed, weighted):
    rng = np.random.default_rng(seed)
    x, y, weight, pos = rng.random((3, 4)), rng.random((3, 4)), rng.random(4), rng.random(4) + 0.5

    def make(lib, tensor):
        w = tensor(weight) if weighted else None
        p = tensor(pos) if weighted else None
        logits = lib.BCEWithLogitsLoss(weight=w, reduction=reduction, pos_weight=p)
        return lib.BCELoss(weight=w, reduction=reduction), logits

    (ours, ours_logits), (theirs, theirs_logits) = make(losses, autograd.tensor), make(torch.nn, torch.tensor)
    fixed = autograd.tensor(y), torch.tensor(y)
    compare(lambda a: ours(a, fixed[0]), lambda a: theirs(a, fixed[1]), x)
    compare(ours_logits, theirs_logits, 40 * (x - 0.5), y)


@given(
    reduction=st.sampled_from(["none", "mean", "sum", "batchmean"]), log_target=st.booleans(), seed=st.integers(0, 99)
)
def test_kl_divergence(reduction, log_target, seed):
    rng = np.random.default_rng(seed)
    x, y = np.log(rng.dirichlet(np.ones(5), 3)), rng.dirichlet(np.ones(5), 3)
    y = np.log(y) if log_target else np.where(rng.random(y.shape) < 0.2, 0.0, y)
    make = {"reduction": reduction, "log_target": log_target}
    ours, theirs = losses.KLDivLoss(**make), torch.nn.KLDivLoss(**make)
    fixed = autograd.tensor(y), torch.tensor(y)
    compare(lambda a: ours(a, fixed[0]), lambda a: theirs(a, fixed[1]), x)


@given(
    reduction=reductions, weighted=st.booleans(), smoothing=st.sampled_from([0.0, 0.1, 1.0]), ignore=st.booleans(),
    shape=st.sampled_from([(), (4,), (4, 3), (2, 3, 2)]), seed=st.integers(0, 99),
)  # fmt: skip
def test_cross_entropy_of_classes(reduction, weighted, smoothing, ignore, shape, seed):
    rng = np.random.default_rng(seed)
    classes, weight = 5, rng.random(5) + 0.1
    x = rng.normal(size=(*shape[:1], classes, *shape[1:]) if shape else (classes,))
    y = np.asarray(rng.integers(0, classes, shape))
    if ignore and shape:
        y[(0,) * y.ndim] = 3
        y[(-1,) * y.ndim] = 1

    def make(lib, tensor):
        options = {"weight": tensor(weight) if weighted else None, "reduction": reduction}
        options |= {"ignore_index": 3} if ignore and shape else {}
        return lib.CrossEntropyLoss(**options, label_smoothing=smoothing), lib.NLLLoss(**options)

    for ours, theirs in zip(make(losses, autograd.tensor), make(torch.nn, torch.tensor), strict=True):
        compare(ours, theirs, x, y)


@given(
    reduction=reductions, weighted=st.booleans(), smoothing=st.sampled_from([0.0, 0.1]),
    shape=st.sampled_from([(5,), (4, 5), (4, 5, 3)]), seed=st.integers(0, 99),
)  # fmt: skip
def test_cross_entropy_of_probabilities(reduction, weighted, smoothing, shape, seed):
    rng = np.random.default_rng(seed)
    x, y, weight = rng.normal(size=shape), rng.random(shape), rng.random(5) + 0.1

    def make(lib, tensor):
        return lib.CrossEntropyLoss(
            weight=tensor(weight) if weighted else None, reduction=reduction, label_smoothing=smoothing
        )

    compare(make(losses, autograd.tensor), make(torch.nn, torch.tensor), x, y)
