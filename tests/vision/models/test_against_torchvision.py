"""Every model of which torchvision has the variant, against torchvision's, where it is installed."""

import warnings

import numpy as np
import pytest

import autograd
import nn
from vision import models

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def import_torchvision():
    """A torchvision built for another PyTorch has no operators of its own: declare those that it asks for on import."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return library, pytest.importorskip("torchvision.models", reason="torchvision is not installed")


_library, theirs = import_torchvision()
NAMES = [
    "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "googlenet",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "squeezenet1_0", "squeezenet1_1",
]  # fmt: skip


def arguments(name, **more):
    return {"init_weights": False, **more} if name == "googlenet" else more


@pytest.mark.parametrize("name", NAMES)
def test_keys_shapes_and_types(name, undrawn):
    with torch.device("meta"):
        expected = getattr(theirs, name)(**arguments(name)).state_dict()
    ours = getattr(models, name)().state_dict()
    assert {key: (tuple(t.shape), t.dtype.name) for key, t in ours.items()} == {
        key: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for key, t in expected.items()
    }


def same_weights(name, dtype, part="", training=False):
    """Ours and theirs with what theirs drew, dropping nothing: what is dropped is drawn, and not alike."""
    torch.manual_seed(0)
    other = getattr(theirs, name)(**arguments(name, num_classes=10)).get_submodule(part).train(training)
    ours = getattr(models, name)(num_classes=10).get_submodule(part).train(training)
    for network, dropout in ((ours, nn.Dropout), (other, torch.nn.Dropout)):
        for layer in network.modules():
            if isinstance(layer, dropout):
                layer.p = 0.0
    ours.load_state_dict({key: t.numpy() for key, t in other.state_dict().items()})
    return ours.to(dtype), other.to(getattr(torch, dtype))


def assert_alike(ours, other, size, dtype):
    x = np.random.default_rng(1).standard_normal((2, 3, size, size)).astype(dtype)
    images, their_images = autograd.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    scores, their_scores = ours(images), other(their_images)
    if isinstance(their_scores, torch.Tensor):
        scores, their_scores = [scores], [their_scores]
    assert len(scores) == len(their_scores)
    for one, their_one in zip(scores, their_scores):
        np.testing.assert_allclose(one.detach().numpy(), their_one.detach().numpy(), rtol=1e-4, atol=1e-4)
    sum((one * one).sum() for one in scores).backward()
    sum((one * one).sum() for one in their_scores).backward()
    gradients = {"images": images.grad, **{key: p.grad for key, p in ours.named_parameters()}}
    expected = {"images": their_images.grad, **{key: p.grad for key, p in other.named_parameters()}}
    for key, gradient in expected.items():
        assert (gradients[key] is None) == (gradient is None), key
        if gradient is not None:
            error = np.linalg.norm(gradients[key].numpy() - gradient.numpy())
            assert error <= 1e-3 * np.linalg.norm(gradient.numpy()) + 1e-6, key


@pytest.mark.parametrize(  # of each family, on the smallest images that reach every layer
    ("name", "size"),
    [("alexnet", 63), ("vgg11", 32), ("googlenet", 64), ("resnet18", 33), ("resnet50", 40), ("squeezenet1_0", 63),
     ("squeezenet1_1", 47)],
)  # fmt: skip
def test_the_same_weights_give_the_same_scores_and_gradients(name, size, undrawn):
    assert_alike(*same_weights(name, "float32"), size, "float32")


@pytest.mark.parametrize(
    ("name", "part", "size"),
    [("vgg13_bn", "features", 64), ("googlenet", "", 64), ("resnet18", "", 40), ("resnet50", "", 48)],
)
def test_so_in_training_where_batch_statistics_amplify_what_float32_rounds(name, part, size, undrawn):
    ours, other = same_weights(name, "float64", part, training=True)
    assert_alike(ours, other, size, "float64")
    state = ours.state_dict()
    for key, tensor in other.state_dict().items():  # the running statistics moved alike
        np.testing.assert_allclose(state[key].numpy(), tensor.numpy(), rtol=1e-6, atol=1e-9)
