"""What a unit sees, by three ways that must agree, and what it computes, number by number."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from tests.vision.see.loops import networks
from vision import see


def seen_through_nan(network, image, unit, layer):
    """Which pixels a unit sees: those that make it NaN when they are; definitions let NaN through to what it meets."""
    seen = np.zeros(image.shape[1:], bool)
    with autograd.use_kernels(False):
        for c, *place in np.ndindex(*image.shape):
            spoilt = image.copy()
            spoilt[(c, *place)] = np.nan
            with autograd.no_grad():
                out = network[: int(layer) + 1](autograd.tensor(spoilt[None])).numpy()[0]
            seen[tuple(place)] |= bool(np.isnan(out[unit]).any())
    return seen


@given(st.data(), networks(head=False, size=8))
@settings(max_examples=25)
def test_a_unit_sees_the_pixels_that_can_spoil_it(data, drawn):
    network, image = drawn
    layer = str(len(network) - 1)
    shape = see.maps(network, image, [layer])[layer].shape
    unit = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    found = see.receptive_field(network, image, unit, layer=layer)
    np.testing.assert_array_equal(found.reach, seen_through_nan(network, image, unit, layer))


@given(st.data(), networks(head=False, size=40))
@settings(max_examples=40)
def test_what_a_unit_sees_is_what_the_arithmetic_says(data, drawn):
    network, image = drawn
    layer = str(len(network) - 1)
    channels, *places = see.maps(network, image, [layer])[layer].shape
    unit = (data.draw(st.integers(0, channels - 1)), *(data.draw(st.integers(0, n - 1)) for n in places))
    for index in (unit, (unit[0], *(n // 2 for n in places))):
        found = see.receptive_field(network, image, index, layer=layer)
        for box, expected, extent in zip(found.box, found.expected, (40, 40), strict=True):
            assert max(expected.start, 0) <= box.start and box.stop <= min(expected.stop, extent)
            if expected.start >= 0 and expected.stop <= extent:
                assert box == expected


def test_the_arithmetic_is_met_in_the_middle():
    network = nn.Sequential(nn.Conv2d(1, 2, 5, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(2, 2, 3, padding=1))
    found = see.receptive_field(network, np.zeros((1, 60, 60), np.float32), (1, 6, 7), layer="3")
    assert found.box == found.expected == (slice(20, 37), slice(24, 41))
    assert found.reach.sum() == 17 * 17


@given(st.integers(5, 9), st.integers(1, 4))
def test_every_kind_of_pooling_shows_all_that_its_windows_cover(size, windows):
    image = np.random.default_rng(0).normal(size=(2, size, size))
    for pool in (nn.MaxPool2d(3, 2, ceil_mode=True), nn.AdaptiveMaxPool2d(windows), nn.AdaptiveAvgPool2d(windows)):
        network = nn.Sequential(pool)
        p, q = (n - 1 for n in see.maps(network, image, ["0"])["0"].shape[1:])
        found = see.receptive_field(network, image, (1, p, q), layer="0")
        np.testing.assert_array_equal(found.reach, seen_through_nan(network, image, (1, p, q), "0"))


def test_scores_see_everything_and_branches_only_their_own():
    class Branches(nn.Module):
        def __init__(self):
            self.narrow, self.wide = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return autograd.concatenate([self.narrow(x), self.wide(x)], axis=1)

    network = nn.Sequential(Branches(), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(98, 2))
    image = np.zeros((1, 7, 7), np.float32)
    assert see.receptive_field(network, image, 0).reach.all()
    sizes = [see.receptive_field(network, image, (k, 3, 3), layer="0").reach.sum() for k in (0, 1)]
    assert sizes == [1, 9] and see.receptive_field(network, image, (1, 3, 3), layer="1").expected[0] == slice(2, 5)


MODES = st.sampled_from(["zeros", "reflect", "replicate", "circular"])


@given(st.data(), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2), st.booleans(), MODES)
@settings(max_examples=60)
def test_the_work_adds_up_to_what_the_network_answers(data, groups, stride, padding, bias, mode):
    autograd.manual_seed(data.draw(st.integers(0, 99)))
    first = nn.Conv2d(2, 4, (3, 2), stride, padding, (1, 2), groups, bias, mode)
    norm = nn.BatchNorm2d(4)
    nn.init.uniform_(norm.running_mean), nn.init.uniform_(norm.weight)
    network = nn.Sequential(first, norm, nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()).double()
    image = np.random.default_rng(1).normal(size=(2, 7, 8))
    answers = see.maps(network, image, ["0", "1", "2"])
    unit = tuple(data.draw(st.integers(0, n - 1)) for n in answers["0"].shape)
    work = see.show_the_work(network, image, unit=unit)
    assert work.total == pytest.approx(answers["0"][unit])
    assert work.sum == pytest.approx(math.fsum(p * w for p, w in zip(work.patch.ravel(), work.weights.ravel())))
    assert [name for name, _ in work.then] == ["BatchNorm2d (1)", "ReLU (2)"]
    assert [v for _, v in work.then] == pytest.approx([answers["1"][unit], answers["2"][unit]])
    for (r, row), (s, column) in ((a, b) for a in enumerate(work.rows) for b in enumerate(work.columns)):
        inside = 0 <= row < 7 and 0 <= column < 8
        assert work.outside[r, s] != inside
        if inside:
            for c, channel in enumerate(work.channels):
                assert work.patch[c, r, s] == image[channel, row, column]


def test_the_strongest_unit_is_taken_if_none_is_named():
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU())
    image = np.random.default_rng(0).normal(size=(1, 6, 6)).astype(np.float32)
    work = see.show_the_work(network, image)
    assert work.total == pytest.approx(see.maps(network, image)["0"].max(), rel=1e-5)


def test_the_work_in_words_and_as_a_page():
    network = nn.Sequential(nn.Conv2d(6, 2, 3, padding=1), nn.ReLU())
    image = np.random.default_rng(0).normal(size=(6, 5, 5)).astype(np.float32)
    work = see.show_the_work(network, image, unit=(1, 0, 4))
    text, page = work.text(most=2), work.html(most=2)
    assert "filter 1 at (0, 4), over rows -1 to 1, columns 3 to 5 of 6 maps" in text and "4 other maps" in text
    shown = [float(n) for n in re.findall(r"together ([+-][\d.]+)", text)]
    assert len(shown) == 3 and sum(shown) == pytest.approx(work.sum, abs=2e-4)
    assert page.count("<table>") == 6 and page.count('class="outside"') == 2 * 5 and "http" not in page
    assert f"total {work.total:+.4f}" in page and "ReLU (1)" in page
