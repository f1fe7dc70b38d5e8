"""Schedules: their formulas, their ends, saving and continuing, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.errors import DomainError, DTypeError
from nn.optim import SGD, Adam
from nn.schedule import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)


def sgd(lr=0.4, **options):
    return SGD([autograd.tensor([1.0], requires_grad=True)], lr=lr, **options)


def rates(schedule, steps=12):
    seen = []
    for _ in range(steps):
        seen.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.step()
    return seen


FORMULAS = {
    "StepLR": (lambda o: StepLR(o, 3, 0.5), lambda t: 0.4 * 0.5 ** (t // 3)),
    "MultiStepLR": (lambda o: MultiStepLR(o, [5, 2], 0.1), lambda t: 0.4 * 0.1 ** ((t >= 2) + (t >= 5))),
    "ExponentialLR": (lambda o: ExponentialLR(o, 0.9), lambda t: 0.4 * 0.9**t),
    "CosineAnnealingLR": (
        lambda o: CosineAnnealingLR(o, 10, 0.1),
        lambda t: 0.1 + 0.3 * (1 + math.cos(math.pi * t / 10)) / 2,
    ),
    "LinearLR": (lambda o: LinearLR(o, 0.25, 1.0, 4), lambda t: 0.4 * min(1.0, 0.25 + 0.75 * t / 4)),
    "LambdaLR": (lambda o: LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 0.4 / (1 + t)),
    "SequentialLR": (
        lambda o: SequentialLR(o, [LinearLR(o, 0.5, 1.0, 4), ExponentialLR(o, 0.5)], [4]),
        lambda t: 0.4 * (0.5 + t / 8) if t < 4 else 0.4 * 0.5 ** (t - 4),
    ),
}
OTHERS = {
    "OneCycleLR": lambda o: OneCycleLR(o, 1.0, total_steps=20),
    "OneCycleLR three phases": lambda o: OneCycleLR(o, 1.0, total_steps=20, three_phase=True),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_each_schedule_is_its_formula(name):
    make, formula = FORMULAS[name]
    assert rates(make(sgd())) == pytest.approx([formula(t) for t in range(12)], rel=1e-12)


@pytest.mark.parametrize("name", [*FORMULAS, *OTHERS])
@given(stop=st.integers(0, 10))
def test_continuing_is_exact(name, stop):
    make = FORMULAS[name][0] if name in FORMULAS else OTHERS[name]
    whole, broken, resumed = (make(sgd(momentum=0.9)) for _ in range(3))
    expected = rates(whole, 18)
    begun = rates(broken, stop)
    resumed.load_state_dict(broken.state_dict())
    assert begun + rates(resumed, 18 - stop) == expected
    assert resumed.optimizer.param_groups[0]["momentum"] == whole.optimizer.param_groups[0]["momentum"]


def test_one_cycle_rises_to_its_peak_and_ends_low():
    schedule = OneCycleLR(sgd(momentum=0.9), 1.0, total_steps=100)
    seen = rates(schedule, 100)
    assert seen[0] == pytest.approx(1 / 25) and max(seen) == seen[29] == 1.0 and seen[99] == pytest.approx(1 / 25e4)
    with pytest.raises(DomainError, match="step 101 of 100"):
        schedule.step()


@pytest.mark.parametrize("make", [lambda p: SGD([p], momentum=0.5), lambda p: Adam([p])])
def test_one_cycle_moves_the_momentum_the_other_way(make):
    optimizer = make(autograd.tensor([1.0], requires_grad=True))
    schedule = OneCycleLR(optimizer, 1.0, total_steps=100)
    momenta = []
    for _ in range(100):
        group = optimizer.param_groups[0]
        momenta.append(group["betas"][0] if "betas" in group else group["momentum"])
        schedule.step()
    assert momenta[0] == pytest.approx(0.95) and min(momenta) == momenta[29] == pytest.approx(0.85)
    assert momenta[99] == pytest.approx(0.95)


def test_plateau_cuts_after_patience_and_rests():
    schedule = ReduceLROnPlateau(sgd(1.0), factor=0.5, patience=2, cooldown=1, min_lr=0.3)
    seen = []
    for metric in [5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 1.0]:
        schedule.step(metric)
        seen.append(schedule.get_last_lr()[0])
    assert seen == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.3, 0.3]


def test_plateau_continues():
    metrics = [3.0, 2.0, 2.0, 2.0, 2.0, 1.5, 2.0, 2.0, 2.0, 2.0]
    whole, broken, resumed = (ReduceLROnPlateau(sgd(), patience=1) for _ in range(3))
    for metric in metrics[:5]:
        whole.step(metric), broken.step(metric)
    resumed.load_state_dict(broken.state_dict())
    resumed.optimizer.load_state_dict(broken.optimizer.state_dict())
    for metric in metrics[5:]:
        whole.step(metric), resumed.step(metric)
        assert whole.get_last_lr() == resumed.get_last_lr()


def test_groups_keep_their_own_base_rates():
    p, q = (autograd.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = SGD([{"params": [p]}, {"params": [q], "lr": 0.1}], lr=0.4)
    schedule = LambdaLR(optimizer, [lambda t: 0.5**t, lambda t: 1.0])
    schedule.step()
    assert schedule.get_last_lr() == [0.2, 0.1]


def test_a_new_schedule_is_a_formula():
    class InverseRoot(LRScheduler):
        def lr_at(self, t, base):
            return base / math.sqrt(1 + t)

    assert rates(InverseRoot(sgd(1.0)), 4)[3] == 0.5


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda o: StepLR(o, 0), DomainError),
        (lambda o: CosineAnnealingLR(o, 0), DomainError),
        (lambda o: LinearLR(o, 0.0), DomainError),
        (lambda o: LambdaLR(o, [abs, abs]), DomainError),
        (lambda o: SequentialLR(o, [StepLR(o, 1)], [1]), DomainError),
        (lambda o: SequentialLR(o, [StepLR(o, 1)] * 3, [2, 2]), DomainError),
        (lambda o: SequentialLR(o, [StepLR(o, 1), ReduceLROnPlateau(o)], [2]), DomainError),
        (lambda o: SequentialLR(o, [StepLR(o, 1), StepLR(sgd(), 1)], [2]), DomainError),
        (lambda o: OneCycleLR(o, 1.0), DomainError),
        (lambda o: OneCycleLR(o, 1.0, total_steps=10), DomainError),  # no momentum to cycle
        (lambda o: OneCycleLR(o, [1.0, 2.0], total_steps=10, cycle_momentum=False), DomainError),
        (lambda o: OneCycleLR(o, 1.0, 10, pct_start=2.0, cycle_momentum=False), DomainError),
        (lambda o: OneCycleLR(o, 1.0, 10, anneal_strategy="cubic", cycle_momentum=False), DomainError),
        (lambda o: ReduceLROnPlateau(o, factor=1.0), DomainError),
        (lambda o: ReduceLROnPlateau(o, mode="low"), DomainError),
        (lambda o: ReduceLROnPlateau(o).step(), DomainError),
        (lambda o: StepLR([o], 1), DTypeError),
        (lambda o: StepLR(o, 1).load_state_dict({"last_epoch": 1, "base_lrs": [1.0, 2.0]}), DomainError),
    ],
)
def test_what_is_refused(make, error):
    with pytest.raises(error, match=r"LR|Plateau"):
        make(sgd())


def test_a_cycle_is_not_continued_with_another_length():
    optimizer = Adam([autograd.tensor([1.0], requires_grad=True)])
    state = OneCycleLR(optimizer, 0.1, total_steps=10).state_dict()
    with pytest.raises(DomainError, match="a cycle of 10 steps, this one has 20"):
        OneCycleLR(optimizer, 0.1, total_steps=20).load_state_dict(state)
