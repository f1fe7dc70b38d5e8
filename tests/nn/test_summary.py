from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import DomainError, DTypeError, ShapeError
from nn.published import Published, _rounds_to
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


class Branches(nn.Module):
    """What both of two layers say, added or one beside the other; the second begins where the first does."""

    def __init__(self, first, second, beside):
        self.first, self.second, self.beside = first, second, beside

    def forward(self, x):
        one, two = self.first(x), self.second(x)
        return autograd.take(autograd.concatenate([one, two], axis=1), [0, 2], axis=1) if self.beside else one + two


def ones(inputs, outputs, size, stride, padding, dilation=1):
    """A convolution that lets everything through, so that gradients show what it sees."""
    layer = nn.Conv1d(inputs, outputs, size, stride, padding, dilation)
    nn.init.ones_(layer.weight)
    return layer


def built(kind, size, stride, dilation, padding):
    """A layer of two channels that keeps their number; kinds with branches have two of an equal stride."""
    if kind == "conv":
        return ones(2, 2, size, stride, padding, dilation)
    if kind == "pool":
        return nn.AvgPool1d(size, stride, min(padding, size // 2))
    if kind == "identity":
        return nn.Identity()
    wide, narrow = ones(2, 2, 2 * padding + 1, stride, padding), ones(2, 2, 1, stride, 0)
    return Branches(*((wide, narrow) if size > 1 else (narrow, wide)), beside=kind == "beside")


layers = st.lists(
    st.tuples(
        st.sampled_from(["conv", "pool", "identity", "added", "beside"]),
        st.integers(1, 3),
        st.integers(1, 2),
        st.integers(1, 2),
        st.integers(0, 2),
    ),
    max_size=4,
)


@given(layers)
@settings(max_examples=60, deadline=None)
def test_the_receptive_field_is_where_the_gradient_goes(drawn):
    net = nn.Sequential(nn.Identity(), *(built(*layer) for layer in drawn), nn.Identity())
    x = autograd.ones((1, 2, 160), requires_grad=True)
    field = rows(net, (1, 2, 160))[""].receptive_field
    middle = net(x).shape[2] // 2
    for place in (middle - 1, middle):
        x.grad = None
        net(x)[0, :, place].sum().backward()
        seen = np.flatnonzero(x.grad.numpy().any(axis=(0, 1)))
        first = field.start[0] + place * field.stride[0]
        assert (seen[0], seen[-1]) == (max(first, 0), min(first + field.size[0] - 1, 159))


def test_no_receptive_field_after_what_sees_everything_or_is_unknown():
    class Turned(nn.Module):
        def forward(self, x):
            return x.transpose(0, 1, 3, 2)

    for layer in (nn.AdaptiveAvgPool2d(1), nn.Flatten(), Turned()):
        table = rows(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), layer, nn.ReLU()), (1, 2, 4, 4))
        assert table["0"].receptive_field == Field((3, 3), (1, 1), (-1, -1))
        assert [table[path].receptive_field for path in ("1", "2", "")] == [None] * 3


def test_branches_that_drift_apart_have_no_receptive_field():
    net = Branches(nn.MaxPool1d(2, 2), nn.Conv1d(1, 1, 5), beside=False)
    assert rows(net, (1, 1, 8))[""].receptive_field is None


def test_depth_is_the_longest_way():
    block = Branches(nn.Sequential(nn.Conv1d(2, 2, 1), nn.ReLU(), nn.Conv1d(2, 2, 1)), nn.Conv1d(2, 2, 1), beside=False)
    table = nn.summary(nn.Sequential(block, nn.Flatten(), nn.Linear(8, 3)), (1, 2, 4))
    assert table.depth == 3
    assert [row.depth for row in table.rows if row.leaf] == [1, 1, 2, 1, 2, 3]


def stated(**figures):
    net = nn.Sequential({"conv": nn.Conv2d(3, 6, 5), "fc": nn.Sequential(nn.Flatten(), nn.Linear(96, 10))})
    net.published = Published("a paper", (3, 8, 8), figures)
    return nn.summary(net, (2, 3, 8, 8))


def test_published_figures_stand_beside_those_found():
    table = stated(
        conv={"output": "4×4×6", "weights": "6·5·5·3", "biases": "6", "multiply-adds": "7.2K", "connections": "7,296"},
        fc={"parameters": "970", "neurons": "10", "output": "10", "depth": "2"},
    )
    assert [figure.agrees for figure in table.published] == [True] * 9
    table = stated(conv={"receptive field": "5", "output": ("5×5×6", "a slip")}, fc={"parameters": "1K"})
    assert [(figure.agrees, figure.found, figure.why) for figure in table.published] == [
        (True, "5", ""), (False, "4×4×6", "a slip"), (True, "970", "")
    ]  # fmt: skip
    lines = str(table).splitlines()
    assert lines[0].endswith("published") and lines[2].endswith("receptive field 5, ≠ 5×5×6")


@given(st.integers(1, 10**9), st.integers(0, 2), st.sampled_from("KMG"))
def test_a_figure_agrees_if_it_is_the_number_rounded(found, decimals, unit):
    scale = {"K": 10**3, "M": 10**6, "G": 10**9}[unit]
    text = f"{found / scale:.{decimals}f}"
    assert _rounds_to(found, f"{text} {unit}")
    assert not _rounds_to(found, f"{float(text) + 2 * 10.0**-decimals:.{decimals}f}{unit}")


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"pool": {"output": "1"}}, r"\['pool'\], but no such module ran"),
        ({"conv": {"size": "1"}}, "'conv' have 'size', expected output"),
        ({"conv": {"weights": "many"}}, "'many' is no number"),
    ],
)
def test_figures_about_nothing_are_errors(figures, message):
    with pytest.raises(DomainError, match=message):
        stated(**figures)


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


@pytest.mark.parametrize(
    ("inputs", "kind", "named"),
    [((1, -1, 8, 8), ShapeError, "-1"), ("1, 1", DTypeError, "1, 1"), ((1, 1, 8.0, 8), DTypeError, "8"),
     (np.ones((1, 1, 8, 8)), DTypeError, "array of shape (1, 1, 8, 8)")],
)  # fmt: skip
def test_what_is_no_input_is_named(inputs, kind, named):
    with pytest.raises(kind, match="summary: inputs") as caught:
        nn.summary(nn.Conv2d(1, 2, 3), inputs)
    assert named in str(caught.value)
