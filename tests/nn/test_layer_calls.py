import numpy as np
import pytest

import autograd
import nn
from autograd.errors import AutogradError, DomainError, DTypeError, ShapeError
from tests.nn import oracles

# ---------------------------------------------------------------------------------------------------- no batch, dtypes


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(3, 2, 2), nn.Conv2d(3, 2, 2), nn.Conv3d(3, 2, 2), nn.ConvTranspose1d(3, 2, 2),
     nn.ConvTranspose2d(3, 2, 2), nn.MaxPool1d(2), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(2),
     nn.AdaptiveMaxPool1d(2)],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_an_input_without_a_batch_axis(layer):
    x = autograd.normal((3, *[4] * layer.dims))
    np.testing.assert_allclose(layer(x).detach().numpy(), layer(x[None]).detach().numpy()[0], rtol=1e-6)


LAYERS = [
    (nn.Linear(4, 2), (3, 4)), (nn.Conv1d(4, 2, 2), (3, 4, 5)), (nn.Conv2d(4, 2, 2, padding="same"), (3, 4, 5, 5)),
    (nn.Conv2d(4, 2, 2, padding=1, padding_mode="reflect"), (3, 4, 5, 5)), (nn.Conv3d(4, 2, 2), (3, 4, 3, 3, 3)),
    (nn.ConvTranspose1d(4, 2, 2), (3, 4, 5)), (nn.ConvTranspose2d(4, 2, 2, 2), (3, 4, 5, 5)),
    (nn.MaxPool1d(2), (3, 4, 5)), (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (3, 4, 5, 5)), (nn.AvgPool1d(2), (3, 4, 5)),
    (nn.AvgPool2d(2, 1, 1), (3, 4, 5, 5)), (nn.AdaptiveAvgPool1d(2), (3, 4, 5)), (nn.AdaptiveMaxPool1d(2), (3, 4, 5)),
    (nn.AdaptiveAvgPool2d(2), (3, 4, 5, 5)), (nn.AdaptiveMaxPool2d(2), (3, 4, 5, 5)),
    (nn.BatchNorm1d(4), (3, 4)), (nn.BatchNorm2d(4, momentum=None), (3, 4, 2, 2)),
    (nn.BatchNorm2d(4, affine=False).eval(), (3, 4, 2, 2)), (nn.LayerNorm(4), (3, 4)), (nn.GroupNorm(2, 4), (3, 4, 2)),
    (nn.LocalResponseNorm(3), (3, 4, 2, 2)), (nn.Dropout(0.5), (3, 4)), (nn.Dropout2d(0.5), (3, 4, 2, 2)),
    (nn.PReLU(4), (3, 4)), (nn.Flatten(), (3, 4, 2)), (nn.Unflatten(1, (2, 2)), (3, 4)), (nn.Identity(), (3, 4)),
    *((getattr(nn, name)(), (3, 4)) for name in oracles.ACTIVATIONS),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: type(value).__name__)
def test_every_layer_stays_on_its_device(layer, shape, device):
    """The strict device refuses, like CuPy's, to mix with host arrays or to turn into them unasked."""
    layer.to(device)
    x = autograd.uniform(shape, device=device).requires_grad_()
    out = layer(x)
    out.sum().backward()
    assert {out.device, x.grad.device, *(p.grad.device for p in layer.parameters())} == {device}
    assert {p.dtype.name for p in [out, x.grad, *layer.parameters()]} == {"float32"}
    assert {b.device for b in layer.buffers()} <= {device}


def test_layers_are_float32_and_take_a_dtype():
    assert nn.Linear(2, 2).weight.dtype.name == "float32"
    assert nn.BatchNorm1d(2, dtype="float64").running_mean.dtype.name == "float64"
    assert nn.Conv2d(1, 1, 1)(autograd.zeros((1, 1, 2, 2), dtype="float32")).dtype.name == "float32"


# ---------------------------------------------------------------------------------------------------- wrong calls


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (
            nn.Linear(784, 10),
            (8, 1, 28, 28),
            "last axis is 28 but in_features=784; flatten it first: x.reshape(len(x), -1)",
        ),
        (
            nn.Linear(784, 10),
            (8, 783),
            "axis is 783 but in_features=784; build the layer with in_features=783",
        ),
        (nn.Linear(2, 2), (), "no axis but in_features=2"),
        (
            nn.Conv2d(3, 6, 5),
            (8, 28, 28, 3),
            "C=28 but in_channels=3; the last axis is 3 — is x NHWC? use x.transpose(0",
        ),
        (nn.Conv2d(3, 6, 5), (28, 28, 3), "the last axis is 3 — is x HWC? use x.transpose(2, 0, 1)"),
        (nn.Conv2d(3, 6, 5), (8, 4, 28, 28), "C=4 but in_channels=3; build the layer with in_channels=4"),
        (nn.Conv2d(1, 6, 5), (8, 28, 28), "C=8 but in_channels=1; the channel axis is missing? use x[:, None]"),
        (nn.Conv2d(1, 6, 5), (8, 784), "2 axes, expected 4 (N C H W) or 3 (without N)"),
        (nn.Conv1d(3, 6, 5), (8, 28, 3), "is x NLC? use x.transpose(0, 2, 1)"),
        (nn.ConvTranspose2d(3, 6, 5), (8, 28, 28, 3), "is x NHWC?"),
        (nn.MaxPool2d(2), (8, 8), "2 axes, expected 4 (N C H W)"),
        (nn.BatchNorm2d(3), (8, 4, 4, 3), "C=4 but num_features=3; the last axis is 3 — is x NHWC?"),
        (nn.BatchNorm2d(3), (8, 3), "2 axes, expected 4 (N C H W)"),
        (nn.BatchNorm1d(3), (1, 3), "1 value per channel has no variance, expected at least 2"),
        (
            nn.LayerNorm((2, 3)),
            (4, 3, 2),
            "does not end in normalized_shape=(2, 3); build the layer with",
        ),
        (nn.GroupNorm(2, 4), (3, 5, 2), "num_channels=4; expected (N, 4, ...)"),
        (nn.PReLU(3), (2, 4), "num_parameters=3; expected (N, 3, ...)"),
        (nn.Dropout2d(0.5), (2, 4), "2 axes, expected 4 (N C H W)"),
        (nn.Flatten(), (4,), "1 axes, but start_dim=1, end_dim=-1"),
        (nn.Unflatten(1, (3, 5)), (2, 16), "axis 1 does not split into (3, 5)"),
    ],
)
def test_wrong_shapes(layer, shape, words):
    with pytest.raises(ShapeError) as error:
        layer(autograd.zeros(shape))
    assert f"{type(layer).__name__}: x has shape {shape}" in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels=3 is not divisible by groups=2"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "out_channels=3 is not divisible by groups=2"),
        (lambda: nn.Conv2d(4, 3, (3, 3, 3)), "kernel_size is (3, 3, 3): 3 values, expected 2"),
        (lambda: nn.Conv2d(4, 3, 0), "kernel_size is 0, expected integers of at least 1"),
        (lambda: nn.Conv2d(4, 3, 3, stride=1.5), "stride is 1.5"),
        (lambda: nn.Conv2d(4, 3, 3, padding=-1), "padding is -1, expected integers of at least 0"),
        (lambda: nn.Conv2d(4, 3, 3, padding="full"), "padding is 'full', expected integers, 'same' or 'valid'"),
        (lambda: nn.Conv2d(4, 3, 3, 2, "same"), "padding='same' needs stride 1, stride is (2, 2)"),
        (lambda: nn.Conv2d(4, 3, 3, padding_mode="mirror"), "padding_mode is 'mirror'"),
        (lambda: nn.MaxPool2d(2, padding=2), "padding=(2, 2) is more than half of kernel_size=(2, 2)"),
        (lambda: nn.AdaptiveAvgPool2d((3, 0)), "output_size"),
        (lambda: nn.Linear(0, 3), "in_features is 0"),
        (lambda: nn.Dropout(1.5), "p=1.5, expected a probability"),
        (lambda: nn.GroupNorm(3, 4), "num_channels=4 is not divisible by num_groups=3"),
    ],
)
def test_wrong_settings(build, words):
    with pytest.raises(DomainError) as error:
        build()
    assert words in str(error.value)


def test_wrong_indices():
    with pytest.raises(DTypeError, match=r"Embedding: x has dtype float32, expected integers; use x.to\('int64'\)"):
        nn.Embedding(3, 2)(autograd.zeros((2,)))
    with pytest.raises(ShapeError, match="padding_idx=3, but num_embeddings=3"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(ShapeError, match="padding_idx='0'"):
        nn.Embedding(3, 2, padding_idx="0")
    with pytest.raises(DTypeError, match="embeddings is a list, expected a tensor"):
        nn.Embedding.from_pretrained([[1.0]])
    with pytest.raises(AutogradError):
        nn.Embedding(3, 2)(autograd.tensor([3]))


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_integer_images_are_refused_by_convolutions(layer, dtype):
    with pytest.raises(DTypeError, match=r"x is .*expected floating numbers .* divided by 255"):
        layer(autograd.tensor(np.ones((1, 3, 5, 5), dtype)))


@pytest.mark.parametrize("bias", [True, False])
def test_a_filter_larger_than_the_image_is_explained_with_a_bias_too(bias):
    with pytest.raises(ShapeError, match="w"):
        nn.Conv2d(3, 8, 11, 4, bias=bias)(autograd.ones((1, 3, 8, 8)))
