"""How the networks are built and started, and what they refuse."""

import numpy as np
import pytest

import autograd
import nn
from autograd.diagram.detail import closed_boxes
from autograd.errors import DomainError
from vision import models
from vision.models.resnet import BasicBlock


def std(weight):
    return float(weight.detach().numpy().std())


@pytest.mark.parametrize(
    ("build", "remedy"),
    [
        (lambda: models.alexnet("papper"), "expected one of 'torchvision', 'paper', 'lecture'"),
        (lambda: models.lenet5("classic"), "'modern', 'paper'"),
        (lambda: models.lenet5("paper", num_classes=11), "pictures of 10 digits"),
        (lambda: models.googlenet("v2"), "'torchvision', 'paper'"),
        (lambda: models.resnet(19), "18, 34, 50, 101, 152"),
        (lambda: models.resnet18("v1"), "'torchvision', 'paper'"),
        (lambda: models.squeezenet("2.0"), "'1.0', '1.1'"),
        (lambda: models.vgg("F"), "'A', 'A-LRN', 'B', 'C', 'D', 'E'"),
        (lambda: models.vgg("A", variant="xavier"), "'torchvision', 'paper'"),
        (lambda: models.zfnet("c"), "'a', 'b'"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(build, remedy):
    with pytest.raises(DomainError, match=remedy):
        build()


def test_alexnet_and_zfnet_start_as_published(monkeypatch):
    deviations = {}
    monkeypatch.setattr(nn.init, "uniform_", lambda tensor, *args, **kwargs: tensor)  # 57 million numbers, not drawn
    monkeypatch.setattr(nn.init, "normal_", lambda tensor, mean=0.0, std=1.0: deviations.update({id(tensor): std}))
    for network, ones in (
        (models.alexnet("paper", num_classes=10), {"conv2", "conv4", "conv5", "fc6", "fc7"}),
        (models.zfnet("a", num_classes=10), set()),
    ):
        for name, layer in network.named_children():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                assert deviations[id(layer.weight)] == 0.01, name
                assert set(layer.bias.detach().numpy()) == {float(name in ones)}, name


def test_starts_as_published():
    autograd.random.manual_seed(1)
    resnet = models.resnet18()
    for path, layer in resnet.named_modules():
        if isinstance(layer, nn.Conv2d):  # He et al.: the variance of what flows back stays
            fan_out = layer.out_channels * layer.kernel_size[0] ** 2
            assert std(layer.weight) == pytest.approx((2 / fan_out) ** 0.5, rel=0.05), path

    lenet = models.lenet5("paper")
    for path, inputs in (("C1", 25), ("C3.0", 75), ("C3.15", 150), ("S2", 4), ("C5", 400), ("F6", 120)):
        layer, bound = lenet.get_submodule(path), 2.4 / inputs
        values = np.concatenate([p.detach().numpy().ravel() for p in layer.parameters()])
        assert np.abs(values).max() <= bound and np.abs(values).max() > 0.6 * bound, path

    squeezenet = models.squeezenet1_1(num_classes=10)
    assert std(squeezenet.get_submodule("classifier.1").weight) == pytest.approx(0.01, rel=0.05)
    assert std(squeezenet.get_submodule("features.3.squeeze").weight) == pytest.approx((2 / 64) ** 0.5, rel=0.05)

    googlenet = models.googlenet("paper", num_classes=10)
    assert {float(b) for b in googlenet.get_submodule("conv1.conv").bias.detach().numpy()} == {np.float32(0.2)}


def test_googlenet_returns_its_auxiliary_scores_in_training_only():
    network = models.googlenet("paper", num_classes=7)
    x = autograd.normal((1, 3, 224, 224))
    out = network(x)
    assert [scores.shape for scores in out] == [(1, 7)] * 3 and out.aux_logits1 is out[2]
    assert network.eval()(x).shape == (1, 7)
    assert models.googlenet(num_classes=7, aux_logits=False)(x[:, :, :64, :64]).shape == (1, 7)


def test_the_sparse_convolution_is_a_convolution_with_zeros():
    layer = models.lenet5("paper").get_submodule("C3")
    x = autograd.normal((2, 6, 14, 14))
    dense = np.zeros((16, 6, 5, 5), np.float32)
    for row, conv, seen in zip(dense, layer, layer.inputs):
        row[list(seen)] = conv.weight.detach().numpy()[0]
    biases = np.array([conv.bias.item() for conv in layer], np.float32)
    expected = autograd.conv2d(x, autograd.tensor(dense)).numpy() + biases[:, None, None]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_digit_drawn_as_its_picture_is_that_digit():
    output = models.lenet5("paper").get_submodule("output")
    scores = output(output.pictures).numpy()
    assert scores.argmax(axis=1).tolist() == list(range(10)) and (np.diag(scores) == 0).all()
    different = (output.pictures.numpy()[:, None] != output.pictures.numpy()[None]).sum(axis=2)
    np.testing.assert_array_equal(scores, -4.0 * different)


def test_subsampling_adds_four_pixels():
    layer = models.lenet5("paper").get_submodule("S2")
    x = np.random.default_rng(0).standard_normal((2, 6, 8, 8)).astype(np.float32)
    sums = x.reshape(2, 6, 4, 2, 4, 2).sum(axis=(3, 5))
    expected = sums * layer.weight.detach().numpy() + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(autograd.tensor(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def s_cell(x, a, b, c, r):
    """One S cell that sees x, by the formula."""
    inhibited = 1 + 2 * r / (1 + r) * b * np.sqrt((c * x**2).sum())
    return r * max((1 + (a * x).sum()) / inhibited - 1, 0)


def test_cells_of_the_neocognitron_by_their_formulas():
    generator = np.random.default_rng(0)
    network = models.neocognitron()
    simple, complex_ = network.get_submodule("S2"), network.get_submodule("C2")
    with autograd.no_grad():
        simple.b[...] = autograd.tensor(generator.random((24, 1, 1)).astype(np.float32))
    x = generator.random((1, 24, 10, 10)).astype(np.float32)
    out = simple(autograd.tensor(x)).detach().numpy()
    a, b, c = (p.detach().numpy() for p in (simple.a.weight, simple.b, simple.c.weight))
    assert c.sum() == pytest.approx(1.0) and c[0, 0].max() == c[0, 0, 2, 2]
    for k in (0, 13):
        assert out[0, k, 3, 4] == pytest.approx(s_cell(x[0, :, 2:7, 3:8], a[k], b[k, 0, 0], c[0], 1.5), abs=1e-5)

    u = generator.random((1, 24, 8, 8)).astype(np.float32)
    out = complex_(autograd.tensor(u)).detach().numpy()
    s = (complex_.d.weight.detach().numpy()[:, 0] * u[0, :, 2:7, 0:5]).sum(axis=(1, 2))  # stride 2, margin 4: at (3, 2)
    excess = np.maximum((1 + s) / (1 + s.mean()) - 1, 0)
    np.testing.assert_allclose(out[0, :, 3, 2], excess / (0.5 + excess), atol=1e-5)


def test_the_neocognitrons_gradient_is_finite_where_all_is_dark():
    network = models.neocognitron(num_classes=3)
    x = autograd.zeros((2, 1, 16, 16), requires_grad=True)
    nn.CrossEntropyLoss()(network(x), autograd.tensor([0, 1])).backward()
    for name, parameter in network.named_parameters():
        assert np.isfinite(parameter.grad.numpy()).all(), name
    assert np.isfinite(x.grad.numpy()).all()


def test_lenet_as_published_learns_sixteen_images():
    autograd.random.manual_seed(0)
    generator = np.random.default_rng(0)
    images, labels = autograd.tensor(generator.random((16, 1, 32, 32)).astype(np.float32)), np.arange(16) % 10
    network = models.lenet5("paper")
    optimiser, loss = nn.optim.SGD(network.parameters(), lr=0.003, momentum=0.9), nn.CrossEntropyLoss()
    for _ in range(150):
        optimiser.zero_grad()
        loss(network(images), autograd.tensor(labels)).backward()
        optimiser.step()
    assert (network(images).detach().numpy().argmax(axis=1) == labels).all()


@pytest.mark.parametrize("training", [True, False])
def test_a_residual_block_is_drawn_with_what_its_normalisations_do(training):
    block = BasicBlock(4, 4).train(training)
    boxes = nn.draw(block, autograd.ones((1, 4, 6, 6))).graph.boxes
    assert boxes["bn1"].params == "relu" and boxes["bn2"].params == "+ residual, relu"
    around = closed_boxes(nn.draw(nn.Sequential(block, nn.ReLU()), autograd.ones((1, 4, 6, 6))).graph)["0"]
    assert not around.params  # said where it happens, not around it
