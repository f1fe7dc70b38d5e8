"""What does not fit is refused in words, and a network that was looked into is as it was."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import AutogradError, DomainError, DTypeError, IndexingError, ShapeError
from vision import see

IMAGE = np.random.default_rng(0).random((3, 8, 8), np.float32)
WAYS = {
    "saliency": see.saliency, "guided": see.guided, "deconvnet": see.deconvnet, "occlusion": see.occlusion,
    "grad_cam": see.grad_cam, "maximise": see.maximise, "receptive_field": see.receptive_field,
    "show_the_work": see.show_the_work, "maps": see.maps, "activations": see.activations, "depth": see.depth,
}  # fmt: skip


def network():
    return nn.Sequential(
        {
            "conv1": nn.Conv2d(3, 4, 3), "bn": nn.BatchNorm2d(4), "relu": nn.ReLU(), "drop": nn.Dropout(),
            "flatten": nn.Flatten(), "fc": nn.Linear(144, 5),
        }
    )  # fmt: skip


BAD = {
    "list": ([[1.0]], DTypeError, "is a list, expected an array or tensor"),
    "bytes": ((IMAGE * 255).astype(np.uint8), DTypeError, "is uint8, expected floating numbers .*ToFloat"),
    "grey": (IMAGE[:1], ShapeError, "does not take images of 1×8×8.*C=1 but in_channels=3"),
    "small": (IMAGE[:, :4], ShapeError, "does not take images of 3×4×8.*in_features=144"),
    "flat": (IMAGE[0], ShapeError, r"has shape \(8, 8\), expected C H W.*image\[None\]"),
    "two": (np.stack([IMAGE, IMAGE]), ShapeError, r"has shape \(2, 3, 8, 8\), expected C H W or 1 C H W.*one by one"),
    "empty": (IMAGE[:, :0], ShapeError, r"has shape \(3, 0, 8\), expected"),
    "nan": (np.where(IMAGE > 0.9, np.nan, IMAGE), DomainError, r"has \d+ NaN or infinite of 192 values"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", BAD)
def test_images_that_do_not_fit(way, kind):
    image, error, words = BAD[kind]
    with pytest.raises(error, match=words) as caught:
        WAYS[way](network(), image)
    assert str(caught.value).startswith(f"{way}: ") and isinstance(caught.value, AutogradError)


def test_a_layer_that_is_not_there_is_told_its_neighbours():
    for way in (see.saliency, see.occlusion, see.maximise, see.receptive_field, see.grad_cam, see.show_the_work):
        with pytest.raises(DomainError, match=r"layer is 'conv', which the network has not.*'conv1'"):
            way(network(), IMAGE, layer="conv")
    with pytest.raises(DomainError, match="such as 'conv1', 'bn', 'relu'"):
        see.maps(network(), IMAGE, ["xyzzy"])


@pytest.mark.parametrize("unit", [(4, 0, 0), (0, 6, 0), (0, 0, -7), (0, 0, 0, 0), (), 4, (0.5,), "a"])
def test_a_unit_outside_of_its_layer(unit):
    for way in (see.saliency, see.deconvnet, see.occlusion, see.maximise, see.receptive_field):
        with pytest.raises(IndexingError, match=f"unit is {re.escape(repr(unit))} but layer 'relu' answers with 4×6×6"):
            way(network(), IMAGE, unit, layer="relu")


def test_other_arguments_that_make_no_sense():
    net = network()
    cases = [
        (lambda: see.occlusion(net, IMAGE, size=9), "size is 9×9 but the image 8×8"),
        (lambda: see.occlusion(net, IMAGE, size=0), "size is 0, expected pixels"),
        (lambda: see.occlusion(net, IMAGE, stride=(1, 2, 3)), r"stride is \(1, 2, 3\)"),
        (lambda: see.occlusion(net, IMAGE, fill=[0.0, 0.0]), "fill has 2 numbers but the image C=3"),
        (lambda: see.grad_cam(net, IMAGE, layer="fc"), r"layer 'fc' answers with \(5,\), expected maps"),
        (lambda: see.grad_cam(net[4:], IMAGE), "no Conv2d"),
        (lambda: see.occlusion(net, IMAGE, fill=np.nan), "fill is nan, expected finite numbers"),
        (lambda: see.maximise(net, IMAGE, bounds=(1, 0)), r"bounds is \(1, 0\), expected two numbers"),
        (lambda: see.maximise(net, IMAGE, bounds=5), "bounds is 5, expected two numbers"),
        (lambda: see.depth(net, IMAGE, []), r"depth: layers is \[\], which is none of this network"),
        (lambda: see.show_the_work(net, IMAGE, "relu"), "is a ReLU, expected a Conv2d → one of 'conv1'"),
        (lambda: see.features(net, IMAGE[None], "relu", most=2), "most=2 but 1 images"),
        (lambda: see.features(net, IMAGE[None], "fc", most=1), r"answers with shape \(5,\), expected maps"),
        (lambda: see.depth(net, IMAGE, ["fc"]), r"answers with shape \(5,\), expected maps"),
        (lambda: see.activations(net, IMAGE, layers=["fc"]), r"answers with shape \(5,\), expected maps"),
    ]
    for call, words in cases:
        with pytest.raises(DomainError, match=words):
            call()
    with pytest.raises(IndexingError, match=r"channels is \[1, 4\] but layer 'relu' has 4 maps"):
        see.features(net, IMAGE[None], "relu", channels=[1, 4], most=1)
    with pytest.raises(IndexingError, match="expected filter, row and column"):
        see.show_the_work(net, IMAGE, unit=2)
    with pytest.raises(ShapeError, match="expected C H W"):
        see.picture(IMAGE[0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", [None, "net", lambda x: x])
def test_what_is_no_network(way, model):
    with pytest.raises(DTypeError, match=f"^{way}: model is a .*expected an nn.Module"):
        WAYS[way](model, IMAGE)


NO_NUMBER = st.none() | st.text() | st.just(np.nan) | st.just(np.inf) | st.floats(max_value=0, exclude_max=True)
WHOLE = [
    (see.maximise, "steps"), (see.maximise, "jitter"), (see.maximise, "seed"), (see.occlusion, "batch_size"),
    (see.depth, "most"), (see.activations, "most"), (see.features, "most"), (see.features, "batch_size"),
]  # fmt: skip


@given(st.sampled_from(WHOLE), NO_NUMBER | st.floats(0.1, 0.9) | st.integers(max_value=-1))
def test_numbers_that_must_be_whole(argument, value):
    way, name = argument
    given = {"layer": "relu"} if way is see.features else {}
    images = IMAGE[None] if way is see.features else IMAGE
    with pytest.raises(DomainError, match=f"{name} is .*expected an integer"):
        way(network(), images, **given, **{name: value})


@given(st.sampled_from(["rate", "decay", "blur"]), NO_NUMBER)
def test_numbers_that_must_be_finite(name, value):
    with pytest.raises(DomainError, match=f"maximise: {name} is .*expected a number from 0"):
        see.maximise(network(), IMAGE, **{name: value})


@given(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5)))
def test_a_unit_may_be_an_array(unit):
    net = network()
    expected = see.saliency(net, IMAGE, unit, layer="relu")
    found = see.saliency(net, IMAGE, np.array(unit), layer="relu")
    assert found.unit == expected.unit == unit
    np.testing.assert_array_equal(found.values, expected.values)


def test_layers_that_do_not_run_or_answer_with_several_things():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class Odd(nn.Module):
        def __init__(self):
            self.unused, self.pair = nn.Linear(1, 1), Pair()

        def forward(self, x):
            return self.pair(x)[0].reshape(len(x), -1)

    with pytest.raises(DomainError, match="layer 'unused' did not run"):
        see.saliency(Odd(), IMAGE, layer="unused")
    with pytest.raises(DTypeError, match="layer 'pair' answers with a tuple, expected a tensor"):
        see.saliency(Odd(), IMAGE, layer="pair")


def test_the_network_stays_as_it_was():
    net = network()
    net.bn.eval()
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    for way in WAYS.values():
        way(net, IMAGE)
    assert [layer.training for layer in net] == [True, False, True, True, True, True] and net.training
    assert all(p.grad is None for p in net.parameters())
    assert not any(layer._forward_hooks for layer in net.modules())
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_images_may_be_tensors_of_other_types():
    net = network()
    wide = autograd.tensor(IMAGE[None].astype(np.float64), requires_grad=True)
    np.testing.assert_array_equal(see.saliency(net, wide, 1).values, see.saliency(net, IMAGE, 1).values)
    assert wide.grad is None


def test_it_works_where_nothing_is_recorded_and_on_other_devices(device):
    net = network()
    with autograd.no_grad():
        expected = see.guided(net, IMAGE, 1).values
        field = see.receptive_field(net, IMAGE, (1, 2, 3), layer="relu").reach
    net.to(device)
    np.testing.assert_allclose(see.guided(net, IMAGE, 1).values, expected, atol=1e-6)
    np.testing.assert_array_equal(see.receptive_field(net, IMAGE, (1, 2, 3), layer="relu").reach, field)
    assert np.isfinite(see.maximise(net, IMAGE, 1, steps=4, blur=0.5, jitter=1).image).all()
