from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from nn.summary import Field


def rows(model, shape):
    return {row.path: row for row in nn.summary(model, shape).rows}


def test_the_lectures_counts():
    assert nn.summary(nn.Conv2d(3, 6, 5), (1, 3, 32, 32)).multiply_adds == 352_800
    assert nn.summary(nn.Conv2d(3, 6, 5), (1, 3, 32, 32)).weights == 450
    assert nn.summary(nn.Conv2d(3, 6, 5), (1, 3, 32, 32)).biases == 6
    assert nn.summary(nn.Sequential(*(nn.Conv2d(1, 1, 3, bias=False) for _ in range(4))), (1, 1, 9, 9)).weights == 36
    sizes = [25, 16, 16, 9, 9]
    chain = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)))
    assert nn.summary(chain, (1, 25)).parameters == 881
    assert nn.summary(nn.Linear(32 * 32 * 3, 28 * 28 * 6, bias=False), (1, 3072)).weights == 14_450_688


def test_alexnets_feature_maps():
    net = nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.MaxPool2d(3, 2), nn.LocalResponseNorm(5),
        nn.Conv2d(96, 256, 5, padding=2), nn.MaxPool2d(3, 2), nn.Conv2d(256, 384, 3, padding=1),
    )  # fmt: skip
    table = rows(net, (1, 3, 227, 227))
    assert [table[str(i)].output_shape[1:] for i in (0, 2, 4, 5)] == [
        (96, 55, 55),
        (96, 27, 27),
        (256, 27, 27),
        (256, 13, 13),
    ]
    fields = [table[str(i)].receptive_field for i in range(7)]
    assert fields == [
        Field((n, n), (s, s), (first, first))
        for n, s, first in [(11, 4, 0), (11, 4, 0), (19, 8, 0), (19, 8, 0), (51, 8, -16), (67, 16, -16), (99, 16, -32)]
    ]
    assert table[""].receptive_field == fields[-1] and table[""].depth == 3


layers = st.lists(
    st.tuples(st.sampled_from(["conv", "pool", "identity"]), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
    max_size=4,
)


@given(layers)
@settings(max_examples=30, deadline=None)
def test_the_receptive_field_is_where_the_gradient_goes(drawn):
    chain = []
    for kind, size, stride, dilation in drawn:
        conv = nn.Conv1d(1, 1, size, stride, dilation=dilation)
        nn.init.ones_(conv.weight)
        chain.append({"conv": conv, "pool": nn.AvgPool1d(size, stride), "identity": nn.Identity()}[kind])
    net = nn.Sequential(*chain, nn.Identity())
    x = autograd.ones((1, 1, 120), requires_grad=True)
    field = rows(net, (1, 1, 120))[""].receptive_field
    starts = []
    for place in (0, 1):
        x.grad = None
        net(x)[0, 0, place].backward()
        seen = np.flatnonzero(x.grad.numpy())
        assert seen[-1] - seen[0] + 1 == field.size[0]
        starts.append(seen[0])
    assert starts[1] - starts[0] == field.stride[0]


def test_no_receptive_field_after_a_branch_a_linear_layer_or_one_unknown():
    class Residual(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x):
            return x + self.conv(x)

    table = rows(nn.Sequential(Residual(), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(32, 3)), (1, 2, 4, 4))
    assert table["0.conv"].receptive_field == Field((3, 3), (1, 1))
    assert [table[path].receptive_field for path in ("0", "1", "2", "3", "")] == [None] * 5
    assert list(table) == ["", "0", "0.conv", "1", "2", "3"]


def test_shared_parameters_count_once_and_frozen_ones_are_not_trainable():
    shared = nn.Linear(4, 4)
    net = nn.Sequential(shared, shared, nn.Linear(4, 2))
    net[2].requires_grad_(False)
    table = nn.summary(net, (5, 4))
    assert (table.weights, table.biases, table.trainable) == (24, 6, 20)
    assert table.multiply_adds == 5 * (16 + 16 + 8)
    assert sum(p.size for p in net.parameters()) == table.parameters


def test_transposed_convolution_costs_what_its_convolution_costs():
    down = nn.summary(nn.Conv2d(3, 5, 3, 2, padding=1), (2, 3, 9, 9)).multiply_adds
    up = nn.summary(nn.ConvTranspose2d(5, 3, 3, 2, padding=1), (2, 5, 5, 5)).multiply_adds
    assert up == down


def test_the_run_changes_nothing():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    net[2].eval()
    nn.summary(net, (4, 3))
    assert net.training and net[1].training and not net[2].training
    assert net[1].num_batches_tracked.item() == 0
    with pytest.raises(ValueError, match="in_features"):
        nn.summary(net, (4, 2))
    assert net.training and not any(module._forward_hooks for module in net.modules())


def test_several_inputs_and_outputs():
    class Pair(nn.Module):
        def forward(self, x, y):
            return x + y, (x,)

    table = nn.summary(Pair(), [autograd.zeros((2, 3)), (2, 3)])
    assert table.rows[0].output_shape == ((2, 3), ((2, 3),))
    assert nn.summary(nn.Embedding(7, 2), (3, 4), dtype="int64").rows[0].output_shape == (3, 4, 2)


def test_the_table_is_aligned():
    text = str(nn.summary(nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "pool": nn.MaxPool2d(2)}), (1, 1, 8, 8)))
    lines = text.splitlines()
    assert len({line.index("(1, 2") for line in lines[1:-1]}) == 1
    assert lines[0].split() == [
        "layer",
        "type",
        "output",
        "weights",
        "biases",
        "multiply-adds",
        "receptive",
        "field",
        "/",
        "stride",
    ]
    assert "20 parameters, 20 trainable" in lines[-1] and "4×4 / 2×2" in lines[-2]


def test_an_image_without_its_batch_axis_has_shapes_but_no_receptive_field():
    (_, row) = nn.summary(nn.Sequential(nn.Conv2d(1, 4, 3)), (1, 8, 8)).rows
    assert row.output_shape == (4, 6, 6) and row.multiply_adds == 4 * 36 * 9 and row.receptive_field is None
