"""Ways from a unit back to the pixels: each against differences, against loops, or against its formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from tests.vision.see.loops import networks, project
from vision import see


def value(network, image, unit):
    with autograd.no_grad():
        return float(network(autograd.tensor(image[None]))[0][unit].sum().item())


@given(networks(), st.integers(0, 1))
@settings(max_examples=15)
def test_saliency_is_the_slope_of_differences(drawn, unit):
    network, image = drawn
    found = see.saliency(network, image, unit)
    slopes = np.zeros_like(image)
    for place in np.ndindex(*image.shape):
        near = np.zeros_like(image)
        near[place] = 1e-6
        slopes[place] = (value(network, image + near, unit) - value(network, image - near, unit)) / 2e-6
    np.testing.assert_allclose(found.values, slopes, atol=1e-7)
    assert found.score == pytest.approx(value(network, image, unit))
    np.testing.assert_array_equal(found.heat, np.abs(found.values).max(axis=0))


@pytest.mark.parametrize("method", ["saliency", "guided", "deconvnet"])
@given(drawn=networks(), unit=st.integers(0, 1))
@settings(max_examples=40)
def test_every_way_back_equals_its_loop(method, drawn, unit):
    network, image = drawn
    found = getattr(see, method)(network, image, unit)
    expected = project(network, image, unit, method, activation=method == "deconvnet")
    np.testing.assert_allclose(found.values, expected, atol=1e-9 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("method", ["guided", "deconvnet"])
@given(data=st.data(), drawn=networks(head=False))
@settings(max_examples=30)
def test_units_and_maps_inside_go_back_too(method, data, drawn):
    network, image = drawn
    place = data.draw(st.integers(0, len(network) - 1))
    part = network[: place + 1]
    shape = see.maps(network, image, [str(place)])[str(place)].shape
    unit = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    for index in (unit, unit[:1]):
        found = getattr(see, method)(network, image, index, layer=str(place))
        expected = project(part, image, index, method, activation=method == "deconvnet")
        np.testing.assert_allclose(found.values, expected, atol=1e-9 * max(1, np.abs(expected).max()))


def test_a_rectifier_is_one_wherever_it_is_called():
    class Functional(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Linear(8, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.second(autograd.relu(self.first(x.reshape(len(x), -1))))

    functional = Functional().double()
    modules = nn.Sequential(nn.Flatten(), functional.first, nn.ReLU(), functional.second)
    image = np.random.default_rng(0).normal(size=(2, 2, 2))
    for method in (see.saliency, see.guided, see.deconvnet):
        np.testing.assert_array_equal(method(functional, image, 1).values, method(modules, image, 1).values)


@given(networks(), st.integers(0, 1), st.integers(1, 4), st.integers(1, 3), st.booleans())
@settings(max_examples=15)
def test_occlusion_equals_a_loop(drawn, unit, size, stride, plain):
    network, image = drawn
    fill = 0.5 if plain else None
    found = see.occlusion(network, image, unit, size=size, stride=stride, fill=fill, batch_size=7)
    fall, count = np.zeros(image.shape[1:]), np.zeros(image.shape[1:])
    for i, top in enumerate(found.rows):
        for j, left in enumerate(found.columns):
            covered = image.copy()
            for c, channel in enumerate(covered):
                channel[top : top + size, left : left + size] = image[c].mean() if fill is None else fill
            score = value(network, covered, unit)
            assert found.scores[i, j] == pytest.approx(score, abs=1e-9)
            fall[top : top + size, left : left + size] += value(network, image, unit) - score
            count[top : top + size, left : left + size] += 1
    covered = count > 0
    assert covered.all() or stride > size
    np.testing.assert_allclose(found.heat[covered], (fall / np.maximum(count, 1))[covered], atol=1e-8)
    assert (found.heat[~covered] == 0).all()


@given(networks(head=False), st.integers(0, 2**16), st.integers(0, 2))
@settings(max_examples=20)
def test_grad_cam_equals_its_formula(drawn, seed, unit):
    network, image = drawn
    maps = see.maps(network, image, [""])[""]
    autograd.manual_seed(seed)
    head = nn.Sequential(nn.Tanh(), nn.Flatten(), nn.Linear(maps.size, 3)).double()
    found = see.grad_cam(nn.Sequential(network, head), image, unit, layer="0")
    weights = np.zeros(len(maps))
    for place in np.ndindex(*maps.shape):
        near = np.zeros_like(maps)
        near[place] = 1e-5
        slope = (value(head, maps + near, unit) - value(head, maps - near, unit)) / 2e-5
        weights[place[0]] += slope / maps[0].size
    np.testing.assert_allclose(found.weights, weights, atol=1e-8)
    warmth = sum(weight * one for weight, one in zip(weights, maps, strict=True))
    np.testing.assert_allclose(found.values, np.where(warmth > 0, warmth, 0), atol=1e-7)


def test_grad_cam_begins_at_the_last_convolution():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    assert see.grad_cam(network, np.ones((1, 6, 6), np.float32)).layer == "2"


@given(networks(head=False), st.integers(0, 2**16))
@settings(max_examples=20)
def test_features_are_those_of_single_images(drawn, seed):
    network, image = drawn
    images = np.random.default_rng(seed).normal(size=(5, *image.shape))
    last = str(len(network) - 1)
    found = see.features(network, images, last, most=3, batch_size=2)
    single = np.stack([see.maps(network, one, [last])[last] for one in images])
    for k, channel in enumerate(found.channels):
        best = single[:, channel].reshape(len(images), -1).max(axis=1)
        np.testing.assert_allclose(found.scores[k], np.sort(best)[::-1][:3])
        for m, n in enumerate(found.images[k]):
            unit = (channel, *found.units[k, m].tolist())
            assert single[(n, *unit)] == pytest.approx(found.scores[k, m])
            whole = see.deconvnet(network, images[n], unit, layer=last).values
            rows, columns = see.receptive_field(network, images[n], unit, layer=last).box
            part = found.projections[k, m]
            assert part.shape == found.patches[k, m].shape
            assert np.abs(part).sum() == pytest.approx(np.abs(whole[:, rows, columns]).sum(), abs=1e-9)


def test_the_image_climbs_as_the_formula_says():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    w = network[1].weight[1].detach().numpy().reshape(3, 2, 2)
    start = np.random.default_rng(0).normal(size=(3, 2, 2))
    once = see.maximise(network, start, 1, steps=1, rate=0.3, decay=0.1)
    np.testing.assert_allclose(once.image, 0.9 * start + 0.3 * w / np.sqrt((w * w).mean()))
    assert once.scores.tolist() == pytest.approx([value(network, start, 1), value(network, once.image, 1)])
    many = see.maximise(network, start, 1, steps=20, bounds=(-0.5, 0.25))
    assert many.image.min() >= -0.5 and many.image.max() <= 0.25


@given(networks(), st.integers(0, 2**16))
@settings(max_examples=10)
def test_the_same_seed_climbs_to_the_same_image(drawn, seed):
    network, image = drawn
    how = {"unit": 0, "steps": 6, "jitter": 2, "blur": 0.7, "decay": 0.01, "seed": seed}
    one, two = (see.maximise(network, image, **how) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)
    assert np.isfinite(one.image).all() and len(one.scores) == 7


def test_blur_is_a_weighted_mean():
    from vision.see.maximise import _smoothed

    image = autograd.tensor(np.random.default_rng(0).normal(size=(1, 2, 9, 11)))
    smooth = _smoothed(image, 0.8).numpy()
    assert smooth.shape == image.shape and smooth.std() < image.numpy().std()
    np.testing.assert_allclose(_smoothed(autograd.ones((1, 2, 9, 11), dtype="float64"), 0.8).numpy(), 1)
    spot = np.zeros((1, 1, 15, 15))
    spot[0, 0, 7, 7] = 1
    spread = _smoothed(autograd.tensor(spot), 1.0).numpy()[0, 0]
    assert spread.sum() == pytest.approx(1) and spread[7, 8] / spread[7, 7] == pytest.approx(np.exp(-0.5))
    np.testing.assert_allclose(spread, spread.T)


def test_a_rectifier_inside_another_layer_is_found_too():
    one = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, activation="relu"), nn.Conv2d(4, 3, 3))
    norm = nn.BatchNorm2d(4)
    for buffer in (one[1].running_mean, one[1].running_var, one[1].weight):
        nn.init.uniform_(buffer, 0.5, 1.5)
    norm.load_state_dict(one[1].state_dict())
    two = nn.Sequential(one[0], norm, nn.ReLU(), one[2])
    image = np.random.default_rng(0).normal(size=(2, 40, 40)).astype(np.float32)
    for method in (see.guided, see.deconvnet, see.receptive_field):
        found, expected = (method(network, image, (1, 20, 20)) for network in (one, two))
        for name in ("values", "reach"):
            if hasattr(found, name):
                np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)
