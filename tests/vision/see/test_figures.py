"""Looking inside a network: the figures show what they were given, and the network stays as it was."""

import io

import numpy as np
import pytest

import autograd
import nn
from autograd.errors import DomainError, ShapeError
from vision import see

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def shown(figure):
    """The figure, after it has been drawn once, and its axes that show something."""
    figure.savefig(io.BytesIO(), format="png")
    return [ax for ax in figure.axes if ax.images or ax.lines]


def test_the_learning_curve_has_a_line_for_each_measure():
    history = {"epoch": [1.0, 2.0], "loss": [1.0, 0.5], "valid_loss": [0.9, 0.6], "accuracy": [0.1, 0.2]}
    loss, accuracy = shown(see.learning_curve(history))
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert loss.lines[1].get_ydata().tolist() == [0.9, 0.6] and len(accuracy.lines) == 1


def test_one_epoch_is_a_curve_too():
    (ax,) = shown(see.learning_curve({"epoch": [1.0], "loss": [1.0]}))
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_confusions_are_counted_by_row_and_column():
    counts = see.confusion_counts([0, 0, 1, 2], [0, 1, 1, 1], 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    (ax,) = shown(see.confusion_matrix(counts, ("a", "b", "c")))
    assert ax.get_title() == "50.00% of 4 right" and [text.get_text() for text in ax.texts][:3] == ["1", "1", "0"]


@pytest.mark.parametrize("shape", [(4, 5, 5), (4, 5, 5, 3)])
def test_mistakes_begin_with_the_surest(shape):
    scores = np.array([[9.0, 0.0], [0.0, 1.0], [0.0, 5.0], [3.0, 0.0]])  # the two in the middle are wrong
    figure = see.mistakes(np.zeros(shape, np.uint8), [0, 0, 0, 0], scores, ("a", "b"))
    assert [ax.get_title() for ax in shown(figure)] == ["b 99%\nis a", "b 73%\nis a"]


def test_no_mistakes_are_a_figure_too():
    assert shown(see.mistakes(np.zeros((1, 5, 5)), [0], np.array([[1.0, 0.0]]), ("a", "b"))) == []


def test_filters_share_a_scale():
    weight = nn.Conv2d(3, 70, 5).weight
    figure = see.filters(weight)
    axes = shown(figure)
    assert len(axes) == 64 and len({ax.images[0].get_clim() for ax in axes}) == 1
    assert "64 of 70 filters 5×5" in figure.get_suptitle()
    with pytest.raises(ShapeError, match=r"has shape \(2, 3\) but 4 axes"):
        see.filters(np.zeros((2, 3)))
    with pytest.raises(DomainError, match="weight has 1 NaN"):
        see.filters(np.where(np.arange(4).reshape(1, 1, 2, 2) == 2, np.nan, 0.0))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="4 images, 2 labels, 4 scores"):
        see.mistakes(np.zeros((4, 5, 5)), [0, 1], np.zeros((4, 3)), ("a", "b", "c"))
    with pytest.raises(DomainError, match=r"give trainer\.history"):
        see.learning_curve({})


def test_activations_of_every_convolution_by_path():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), nn.Dropout(), nn.Conv2d(4, 40, 3))
    figures = see.activations(model, autograd.ones((1, 1, 8, 8)))
    assert {path: len(shown(figure)) for path, figure in figures.items()} == {"0.0": 4, "2": 32}
    assert figures["2"].get_suptitle() == "layer 2: 32 of 40 maps 4×4"
    assert model.training and not model[2]._forward_hooks


def test_activations_of_any_layer_by_name():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    image = np.random.default_rng(0).random((1, 8, 8), np.float32)
    assert list(see.activations(model, image, layers=["2", "1"])) == ["2", "1"]
    found = see.maps(model, image, ["1", ""])
    np.testing.assert_array_equal(autograd.max_pool2d(found["1"][None], 2)[0], found[""])
    figure = see.depth(model, image, ["0", "2"], most=3)
    assert len(shown(figure)) == 6 and [t.get_text() for t in figure.axes[0].texts] == ["0\n4×6×6"]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_everything_that_is_found_can_be_drawn(channels):
    model = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    images = np.random.default_rng(0).random((4, channels, 8, 8), np.float32)
    image = images[0]
    drawn = {
        see.saliency(model, image).figure(): 3,
        see.guided(model, image, (1, 2, 2), "1").figure(): 3,
        see.occlusion(model, image).figure(): 2,
        see.grad_cam(model, image).figure(): 2,
        see.maximise(model, image, steps=2).figure(): 2,
        see.receptive_field(model, image, (0, 1, 1), "0").figure(): 1,
        see.receptive_field(model, image, 0).figure(): 1,
        see.show_the_work(model, image).figure(): 3 * channels,
        see.features(model, images, "1", [0, 2], most=3).figure(): 12,
        see.filters(model[0].weight): 4,
    }
    for figure, panels in drawn.items():
        assert len(shown(figure)) == panels


def test_a_picture_stretches_its_values():
    ramp = np.linspace(-3, 5, 1000).reshape(1, 20, 50)
    assert see.picture(ramp).min() == 0 and see.picture(ramp).max() == 1
    centred = see.picture(ramp, centred=True)
    assert centred[ramp[0] > 0].min() > 0.5 > centred[ramp[0] < 0].max()
    assert see.picture(np.zeros((3, 4, 5))).shape == (4, 5, 3) and see.picture(np.zeros((2, 4, 5))).shape == (4, 5)


def test_a_picture_shows_a_small_bright_spot_and_not_the_noise_around_it():
    noise = np.random.default_rng(0).normal(0, 1e-7, (1, 100, 100))
    noise[0, 50, 50:55] = [-1, 1, 0.2, -0.2, 0.1]
    for values in (noise, np.abs(noise)):
        centred = see.picture(values, centred=True)
        assert np.abs(centred - 0.5).max() == 0.5 and np.median(np.abs(centred - 0.5)) < 1e-5
    assert (see.picture(np.zeros((3, 4, 4)), centred=True) == 0.5).all() and (
        see.picture(np.ones((1, 4, 4))) == 0
    ).all()
