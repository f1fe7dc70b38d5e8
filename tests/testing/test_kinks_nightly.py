"""No false alarm at kinks: a sample here, a million points with the nightly profile or ``benchmarks/kinks.py``."""

import numpy as np
import pytest

import autograd
from autograd.testing.profiles import examples
from benchmarks import kinks

DRAWS = max(48_000, examples(nightly=10**6))
SINGLY = max(144, examples(nightly=20_000))


@pytest.fixture(scope="module")
def counts() -> kinks.Counts:
    return kinks.many(DRAWS)


def test_no_right_gradient_is_called_wrong(counts: kinks.Counts) -> None:
    assert sum(c.draws for c in counts.values()) == DRAWS
    assert not [key for key, c in counts.items() if c.alarms]


def test_far_from_kinks_every_point_is_judged(counts: kinks.Counts) -> None:
    assert not [key for key, c in counts.items() if key[1] == "far from" and c.judged < 0.999 * c.draws]


def test_a_gradient_a_thousandth_too_large_is_caught_wherever_it_can_be_judged(counts: kinks.Counts) -> None:
    for (name, place), c in counts.items():
        assert c.caught == c.controls, f"{name} {place} kinks"
        if place == "far from":
            assert c.controls > 0.5 * c.draws, f"{name}: the oracle judges too little"


def test_the_harness_notices_false_alarms() -> None:
    """A rule that is wrong next to its kink only is an alarm that the counts show."""
    late = autograd.elementwise(
        "late_relu_example", "x", forward=lambda xp, x: xp.maximum(x, 0), deriv={"x": lambda x: x > 0.2}
    )
    found = kinks.many(6000, operations={"late": (late, kinks.values(0.0), 4)})
    assert found["late", "far from"].alarms > 100


@pytest.mark.parametrize("name", kinks.OPERATIONS)
def test_no_right_gradient_is_called_wrong_by_whole_jacobians(name: str) -> None:
    found = kinks.singly(SINGLY // len(kinks.OPERATIONS), operations={name: kinks.OPERATIONS[name]})
    assert not [place for place, c in found.items() if c.alarms]
    assert all(c.judged == c.draws for (_, place), c in found.items() if place == "far from")


@pytest.mark.parametrize("place", kinks.PLACES)
@pytest.mark.parametrize("name", kinks.OPERATIONS)
def test_points_lie_where_they_say(name: str, place: str) -> None:
    """Next to a kink the slope changes within 0.03, far from it it does not, and on it values tie or are zero."""
    _, draw, size = kinks.OPERATIONS[name]
    x = draw(np.random.default_rng(0), 500, size, place)
    assert x.shape == (500, size) and np.isfinite(x).all()
    if draw is kinks.ties:
        gaps = np.diff(np.sort(x, axis=1), axis=1).min(axis=1)
    elif draw is kinks.origin:
        gaps = np.linalg.norm(x, axis=1)
    else:
        bounds = np.array([0.0] if name != "clip" else [-0.5, 1.0])
        gaps = np.abs(x[..., None] - bounds).min(axis=(1, 2))
    low, high = {"at": (0.0, 0.0), "next to": (0.0, 0.031), "far from": (0.09, np.inf)}[place]
    assert (gaps >= low).all() and (gaps <= high).all()
