"""What may be chosen and shown: variants that there are, images of other sizes than the paper's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.errors import DomainError
from vision import models


@given(st.none() | st.text() | st.integers(0, 17) | st.lists(st.sampled_from(["paper", "torchvision"])))
def test_what_is_no_variant_is_refused(wanted):
    for build in (models.resnet, models.squeezenet, models.vgg, models.zfnet, models.lenet5, models.googlenet):
        with pytest.raises(DomainError, match="expected one of"):
            build(wanted if wanted not in ("a", "b", "A", "B", "C", "D", "E") else "x")


@given(st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_the_neocognitron_answers_alike_wherever_the_pattern_lies(shift):
    autograd.manual_seed(3)
    network = models.neocognitron(num_classes=3).to("float64")
    pattern = np.random.default_rng(0).random((8, 8))
    images = np.zeros((2, 1, 72, 72))
    for image, (row, column) in zip(images, ((2, 2), shift), strict=True):
        top, left = 16 + 4 * row, 16 + 4 * column  # the cells of the last layer lie four pixels apart
        image[0, top : top + 8, left : left + 8] = pattern
    scores = network(autograd.tensor(images)).detach().numpy()
    assert scores.shape == (2, 3) and scores.max() > 0
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5, atol=1e-9)
