"""Repeated blocks are found however they are named, counted as often as they are, and nothing else is taken for one."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.diagram import detail, tape
from autograd.diagram.graph import Box, Edge, Graph, Group
from autograd.diagram.repeats import fold_repeats
from tests.autograd.diagram.drawn_graphs import graphs, recorded, totals


@given(graphs())
def test_counts_are_kept_and_ids_stay_unique(graph: Graph) -> None:
    folded = fold_repeats(graph)
    assert totals(folded) == totals(graph)
    assert all(id == box.id and graph.boxes[id].kind == box.kind for id, box in folded.boxes.items())
    assert folded.groups.keys() <= graph.groups.keys()
    assert {end for e in folded.edges for end in (e.tail, e.head)} <= folded.boxes.keys()
    assert {b.group for b in folded.boxes.values()} <= {None, *folded.groups}
    assert all(folded.boxes[id] == box for id, box in graph.boxes.items() if box.kind in ("data", "output"))


def repeated(block: Graph, count: int, own: Callable[[int, Box], Box] = lambda _, box: box) -> Graph:
    """A chain of ``count`` blocks between an input and an output: each one's ``x`` is what the one before put out."""
    graph = Graph({"x": Box("x", "data", "x", shape=(2,))})
    last: tuple[str, int | None] = "x", None
    out = next(e for e in block.edges if block.boxes[e.head].kind == "output")
    for n in range(count):
        outer = f"block{n}"
        graph.groups[outer] = Group(outer, str(n), kind="Block")
        for group in block.groups.values():
            id = outer + group.id
            graph.groups[id] = replace(group, id=id, name=f"{group.name}.{n}", parent=outer + (group.parent or ""))
        for box in block.boxes.values():
            if box.kind not in ("data", "output"):
                new = replace(box, id=outer + box.id, group=outer + (box.group or ""), seq=len(graph.boxes))
                graph.boxes[new.id] = own(n, new)
        for edge in block.edges:
            if block.boxes[edge.head].kind != "output":
                tail, index = last if edge.tail == "x" else (outer + edge.tail, edge.index)
                graph.edges.append(replace(edge, tail=tail, head=outer + edge.head, index=index, norm=None))
        last = outer + out.tail, out.index
    graph.boxes["output"] = Box("output", "output", "y")
    graph.edges.append(Edge(last[0], "output", index=last[1]))
    return graph


def single(block: Graph) -> bool:
    """Whether a block takes its input and puts one value out."""
    return any(e.tail == "x" for e in block.edges) and sum(b.kind == "output" for b in block.boxes.values()) == 1


@given(graphs(12).filter(single), st.integers(2, 5))
def test_a_chain_of_equal_blocks_is_one(block: Graph, count: int) -> None:
    block = block.changed(groups={id: replace(g, step=None) for id, g in block.groups.items()})
    graph = repeated(block, count)
    one = fold_repeats(repeated(block, 1))
    folded = fold_repeats(graph)
    assert len(folded.boxes) == len(one.boxes) and len(folded.edges) == len(one.edges)
    assert folded.groups["block0"].times == count and folded.groups["block0"].name == f"0…{count - 1}"
    assert totals(folded) == totals(graph)
    assert max(b.seq for b in folded.boxes.values()) == max(b.seq for b in graph.boxes.values())
    closed = detail.close(folded, {"block0"})
    assert closed.boxes["block0"].times == count and len(closed.edges) == 2


@given(graphs(12).filter(single), st.integers(2, 5), st.data())
def test_a_block_of_another_size_is_not_taken_for_one(block: Graph, count: int, data: st.DataObject) -> None:
    odd = data.draw(st.integers(0, count - 1))
    inner = data.draw(st.sampled_from([b.id for b in block.boxes.values() if b.kind == "operation"]))

    def own(n: int, box: Box) -> Box:
        return replace(box, multiply_adds=1000) if n == odd and box.id == f"block{n}{inner}" else box

    folded = fold_repeats(repeated(block, count, own))
    kept = [id for id, g in folded.groups.items() if g.parent is None]
    assert f"block{odd}" in kept
    assert [folded.groups[id].times for id in kept] == [n for n in (odd, 1, count - odd - 1) if n]


@given(graphs(12).filter(single), st.integers(3, 5), st.data())
def test_a_value_taken_from_the_middle_of_a_chain_ends_it(block: Graph, count: int, data: st.DataObject) -> None:
    graph = repeated(block, count)
    middle = data.draw(st.integers(0, count - 2))
    inner = data.draw(st.sampled_from([b.id for b in block.boxes.values() if b.kind == "operation"]))
    graph.boxes["tap"] = Box("tap", "output", "tap")
    graph.edges.append(Edge(f"block{middle}{inner}", "tap"))
    folded = fold_repeats(graph)
    assert all(g.times <= max(middle + 1, count - middle - 1) for g in folded.groups.values() if g.parent is None)
    tapped = next(e.tail for e in folded.edges if e.head == "tap")
    assert tapped in folded.boxes and totals(folded) == totals(graph)


def test_columns_are_never_folded() -> None:
    boxes = [Box("x", "data", "x"), Box(".op", "operation", "op"), Box("y", "output", "y")]
    graph = repeated(Graph({b.id: b for b in boxes}, [Edge("x", ".op"), Edge(".op", "y")]), 3)
    assert fold_repeats(graph).groups.keys() == {"block0"}
    unfolded = graph.changed(columns={1: "t = 1"})
    assert fold_repeats(unfolded) == unfolded


class Bottleneck(nn.Module):
    """He et al. 2016, figure 5, right."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride > 1 or inputs != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: autograd.Tensor) -> autograd.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """ResNet-152's shape in few channels."""

    def __init__(self, blocks: tuple[int, ...] = (3, 8, 36, 3), width: int = 2) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        inputs = width
        for i, count in enumerate(blocks):
            inner = width * 2**i
            rest = [Bottleneck(4 * inner, inner) for _ in range(count - 1)]
            setattr(self, f"layer{i + 1}", nn.Sequential(Bottleneck(inputs, inner, 1 + (i > 0)), *rest))
            inputs = 4 * inner
        self.avgpool, self.flatten, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 5)

    def forward(self, x: autograd.Tensor) -> autograd.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.flatten(self.avgpool(x)))


@pytest.fixture(scope="module")
def resnet() -> tuple[ResNet, Graph]:
    model = ResNet()
    return model, recorded(model.eval(), autograd.zeros((1, 3, 32, 32)))


def test_a_resnet_152_fits_with_its_repeated_blocks_as_one(resnet: tuple[ResNet, Graph]) -> None:
    model, graph = resnet
    shown = detail.fit(graph)
    assert len(shown.boxes) < 60 and totals(shown) == totals(graph)
    weights, biases, _ = totals(shown)
    assert weights + biases == sum(p.size for p in model.parameters())
    blocks = [(b.label, b.times) for b in shown.boxes.values() if b.op == "Bottleneck" and b.group == "layer3"]
    assert blocks == [("0", 1), ("1…35", 35)]
    first, rest = (b for b in shown.boxes.values() if b.op == "Bottleneck" and b.group == "layer3")
    assert rest.weights + rest.biases == sum(p.size for block in model.layer3[1:] for p in block.parameters())
    assert first.shape == rest.shape == (1, 32, 2, 2)
    assert not [b for b in shown.boxes.values() if b.kind in ("parameter", "constant")]


def test_an_opened_resnet_152_shows_the_layers_of_one_block_for_all(resnet: tuple[ResNet, Graph]) -> None:
    _, graph = resnet
    shown = detail.fit(graph, 150)
    assert shown.groups["layer3.1"].times == 35 and shown.groups["layer3.1"].name == "1…35"
    assert [b.op for b in shown.boxes.values() if b.group == "layer3.1"] == [
        "Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "add", "ReLU",
    ]  # fmt: skip
    assert totals(shown) == totals(graph)


def test_runs_lie_inside_runs() -> None:
    stages = [nn.Sequential(*[nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(4)]) for _ in range(5)]
    graph = recorded(nn.Sequential(*stages), autograd.zeros((1, 3)))
    folded = fold_repeats(graph)
    assert [(g.name, g.times) for g in folded.groups.values() if g.kind == "Sequential"] == [("0…4", 5), ("0…3", 4)]
    assert totals(folded) == totals(graph)
    assert sum(b.kind == "parameter" for b in folded.boxes.values()) == 2


def test_equal_layers_in_a_row_are_one_box() -> None:
    model = nn.Sequential(nn.Linear(3, 4), *[nn.Linear(4, 4) for _ in range(6)], nn.Linear(4, 2))
    shown = detail.fit(recorded(model, autograd.zeros((1, 3))))
    assert [(b.label, b.times, b.weights) for b in shown.boxes.values() if b.kind == "module"] == [
        ("0", 1, 12), ("1…6", 6, 96), ("7", 1, 8),
    ]  # fmt: skip
    closed = detail.close(recorded(model, autograd.zeros((1, 3))), {str(i) for i in range(8)})
    assert [(b.label, b.times, b.weights) for b in fold_repeats(closed).boxes.values() if b.kind == "module"] == [
        ("0", 1, 12), ("1…6", 6, 96), ("7", 1, 8),
    ]  # fmt: skip


def test_shared_weights_are_drawn_once_beside_the_blocks_that_share_them() -> None:
    layer = nn.Linear(3, 3)
    graph = recorded(nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh()), autograd.zeros((1, 3)))
    assert totals(fold_repeats(graph)) == totals(graph) == (9, 3, 36 // 2)


@given(st.integers(2, 30), st.integers(2, 30))
def test_operations_in_a_row_are_one(count: int, other: int) -> None:
    x = autograd.tensor([0.5], requires_grad=True)
    y = x
    for _ in range(count):
        y = autograd.tanh(y)
    for _ in range(other):
        y = autograd.sigmoid(y)

    folded = fold_repeats(tape.read(y))
    assert [b.times for b in folded.boxes.values()] == [1, count, other, 1]
    assert len(folded.edges) == 3


def test_a_hundred_thousand_boxes_are_folded_in_linear_time() -> None:
    block = Graph({"x": Box("x", "data", "x")})
    for i in range(9):
        group = f".g{i // 3}"
        block.groups.setdefault(group, Group(group, group))
        block.boxes[f".{i}"] = Box(f".{i}", "operation", str(i), group)
        block.edges.append(Edge(f".{i - 1}" if i else "x", f".{i}"))
    block.boxes["y"] = Box("y", "output", "y")
    block.edges.append(Edge(".8", "y"))
    seconds = []
    for count in (1_000, 10_000):
        graph = repeated(block, count)
        begin = time.process_time()
        folded = fold_repeats(graph)
        seconds.append(time.process_time() - begin)
        assert len(folded.boxes) == 11 and folded.groups["block0"].times == count
    assert seconds[1] < 40 * seconds[0] + 1  # quadratic would be 100
