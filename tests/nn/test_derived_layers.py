"""Every layer and loss has every property that follows from what it is: one line of data for each, and no more.

A line gives the constructor's arguments and the inputs' shapes: letters (N is the batch), numbers for what the
arguments fix, and a domain where not every number will do. A public module without a line fails.
"""

from __future__ import annotations

import gc
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import autograd
import nn
from autograd import Tensor, backend
from autograd.core.contract import Contract
from autograd.errors import AutogradError
from autograd.testing import check_gradients, samples
from autograd.testing.properties.memory import quiet_collector
from nn.conv import PADDING_MODES

SIZES = {"N": 3, "T": 3, "L": 7, "H": 5, "W": 6, "D": 4, "E": 2}
TRIES = 5


@dataclass(frozen=True)
class Layer:
    """A module class, its arguments, and what it takes.

    ``batch`` is the axis of N in each output, None where members influence one another.
    """

    name: str
    args: tuple[Any, ...] = ()
    takes: str = "x: N E D"
    options: dict[str, Any] = field(default_factory=dict)
    domain: dict[str, Any] = field(default_factory=dict)
    batch: tuple[int, ...] | None = (0,)
    exact: bool = True  # its gradients are those of its function, and not by intention others

    def make(self) -> Any:
        return getattr(nn, self.name)(*self.args, **self.options)

    def __str__(self) -> str:
        return "-".join([self.name, *map(str, self.args), *[f"{n}={v}" for n, v in self.options.items()]])


IMAGE, SERIES, STATES = "x: N 4 H W", "x: N 4 L", "x: T N 4, hx: {} N 3"
PROBABILITY, CLASSES, POSITIVE = (0.0, 1.0), "index 4", (0.0, math.inf)


def losses(name: str, takes: str, domain: dict[str, Any] | None = None, **options: Any) -> list[Layer]:
    """A loss with every reduction; only without one do the members stay apart."""
    return [
        Layer(name, (), takes, {**options, "reduction": reduction}, domain or {}, (0,) if reduction == "none" else None)
        for reduction in ("none", "mean", "sum")
    ]


LAYERS = [
    *[
        Layer(name)
        for name in (
            "CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid",
            "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax", "Softplus",
            "Softsign", "Tanh", "Tanhshrink", "Dropout",
        )
    ],
    Layer("CELU", (0.3,)), Layer("ELU", (2.0,)), Layer("GELU", ("tanh",)), Layer("Hardtanh", (-0.3, 0.5)),
    Layer("LeakyReLU", (0.3,)), Layer("LogSoftmax", (1,)), Layer("PReLU", (4,), IMAGE), Layer("Softmax", (1,)),
    Layer("Softplus", (2.0,)), Layer("Dropout2d", (0.4,), IMAGE),
    Layer("Linear", (4, 3), "x: N D"), Layer("Linear", (4, 3), "x: N T D", {"bias": False}),
    Layer("Flatten", (), IMAGE), Layer("Unflatten", (1, (2, 2)), SERIES),
    Layer("Embedding", (5, 3), "x: N T", {}, {"x": "index 5"}),
    Layer("Embedding", (5, 3, 2), "x: N T", {}, {"x": "index 5"}, exact=False),  # the padding vector gets none
    Layer("Conv1d", (4, 6, 3), SERIES, {"stride": 2, "padding": 1, "groups": 2}),
    Layer("Conv2d", (4, 2, (3, 2), 2, (1, 0), (1, 2), 2), IMAGE, {"bias": False}),
    Layer("Conv2d", (4, 2, 3), IMAGE, {"padding": "same", "dilation": 2}),
    *[Layer("Conv2d", (4, 2, 3), IMAGE, {"padding": 2, "padding_mode": m}) for m in PADDING_MODES],
    Layer("Conv3d", (2, 2, 3, 2, 1), "x: N 2 D H 3"),
    Layer("ConvTranspose1d", (4, 6, 3, 3, 1, 2), SERIES, {"groups": 2}),
    Layer("ConvTranspose2d", (4, 2, (3, 2), 2, (1, 0), (1, 0), 2, True, (2, 1)), IMAGE),
    Layer("MaxPool1d", (3, 2, 1), SERIES, {"ceil_mode": True}), Layer("MaxPool2d", (2,), IMAGE, {"dilation": 2}),
    Layer("AvgPool1d", (3, 2, 1, True, False), SERIES), Layer("AvgPool2d", (3, 2, 1, True), IMAGE),
    Layer("AdaptiveAvgPool1d", (3,), SERIES), Layer("AdaptiveAvgPool2d", ((3, None),), IMAGE),
    Layer("AdaptiveMaxPool1d", (3,), SERIES), Layer("AdaptiveMaxPool2d", (4,), IMAGE),
    Layer("BatchNorm1d", (4,), "x: N 4"), Layer("BatchNorm1d", (4,), SERIES, {"affine": False}),
    Layer("BatchNorm2d", (4, 1e-3, None), IMAGE),
    Layer("BatchNorm2d", (4,), IMAGE, {"track_running_stats": False}, {}, None),
    Layer("LayerNorm", ((5, 6),), IMAGE), Layer("LayerNorm", (6,), IMAGE, {"bias": False}),
    Layer("GroupNorm", (2, 4), IMAGE), Layer("LocalResponseNorm", (3, 0.5), IMAGE),
    Layer("RNNCell", (4, 3), "x: N 4, hx: N 3"), Layer("RNNCell", (4, 3), "x: N 4", {"nonlinearity": "relu"}),
    Layer("GRUCell", (4, 3), "x: N 4, hx: N 3"), Layer("LSTMCell", (4, 3), "x: N 4, h: N 3, c: N 3", {}, {}, (0, 0)),
    Layer("RNN", (4, 3), STATES.format(1), {}, {}, (1, 1)),
    Layer("RNN", (4, 3, 2), STATES.format(4), {"bidirectional": True, "nonlinearity": "relu"}, {}, (1, 1)),
    Layer("GRU", (4, 3), "x: N T 4", {"batch_first": True, "bias": False}, {}, (0, 1)),
    Layer("GRU", (4, 2, 2), "x: T N 4", {"dropout": 0.3}, {}, (1, 1)),
    Layer("LSTM", (4, 3), "x: T N 4, h: 1 N 3, c: 1 N 3", {}, {}, (1, 1, 1)),
    Layer("LSTM", (4, 2), "x: T N 4", {"bidirectional": True}, {}, (1, 1, 1)),
    Layer("DotProductAttention", (4, 3), "query: N 4, keys: T N 3", {}, {}, (0, 0)),
    Layer("DotProductAttention", (4, 3), "query: L N 4, keys: T N 3", {}, {}, (1, 1)),
    Layer("AdditiveAttention", (4, 3, 5), "query: N 4, keys: T N 3", {}, {}, (0, 0)),
    *losses("MSELoss", "x: N D, y: N D"), *losses("L1Loss", "x: N D, y: N D"),
    *losses("HuberLoss", "x: N D, y: N D", delta=0.7), *losses("SmoothL1Loss", "x: N D, y: N D", beta=0.6),
    *losses("BCELoss", "x: N D, y: N D", {"x": PROBABILITY, "y": PROBABILITY}),
    *losses("BCEWithLogitsLoss", "x: N D, y: N D", {"y": PROBABILITY}),
    *losses("KLDivLoss", "x: N D, y: N D", {"y": POSITIVE}), *losses("KLDivLoss", "x: N D, y: N D", log_target=True),
    *losses("CrossEntropyLoss", "x: N 4, y: N", {"y": CLASSES}, label_smoothing=0.1),
    *losses("CrossEntropyLoss", "x: N 4 L, y: N L", {"y": CLASSES}, weight=[0.5, 1.0, 2.0, 0.7]),
    *losses("NLLLoss", "x: N 4, y: N", {"y": CLASSES}),
    Layer("KLDivLoss", ("batchmean",), "x: N D, y: N D", {}, {"y": POSITIVE}, None),
    Layer("BCEWithLogitsLoss", (), "x: N 4, y: N 4", {"pos_weight": autograd.ones(4) / 2}, {"y": PROBABILITY}, None),
]  # fmt: skip
HOLDERS = {"Module", "ModuleDict", "ModuleList", "Sequential"}  # what they compute is what their children do
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=str)


def test_every_public_module_has_a_line():
    classes = {n for n in nn.__all__ if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), nn.Module)}
    assert classes - HOLDERS == {layer.name for layer in LAYERS}


class Built:
    """A layer with drawn parameters, at drawn inputs, as a function of both."""

    def __init__(self, layer: Layer, training: bool = True, dtype: str = "float64", seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.layer, self.module = layer, layer.make().to(dtype=dtype).train(training)
        self.names = [n for n, _ in self.module.named_parameters()]
        for p in self.module.parameters():
            p.data[...] = rng.uniform(-1.0, 1.0, p.shape)
        self.operands = Contract.parse(layer.takes).inputs
        self.inputs = [self.draw(o, rng).astype(dtype) if self.floats(o) else self.draw(o, rng) for o in self.operands]
        self.points = [*self.inputs, *[p.data.copy() for p in self.module.parameters()]]

    def floats(self, operand: Any) -> bool:
        return not isinstance(self.layer.domain.get(operand.name), str)

    def draw(self, operand: Any, rng: np.random.Generator) -> np.ndarray:
        shape = tuple(int(d) if d.isdigit() else SIZES[d] for d in operand.dims)
        domain = self.layer.domain.get(operand.name)
        if isinstance(domain, str):
            return rng.integers(0, int(domain.split()[1]), shape)
        return samples.numbers(shape, domain, (), rng)

    def call(self, *points: Any) -> list[Tensor]:
        """The outputs for inputs and parameters, with the same random numbers and statistics every time."""
        autograd.manual_seed(0)
        count = len(self.inputs)
        inputs, parameters = points[:count], points[count:]
        module = self.module
        buffers = {n: b.data.copy() for n, b in module.named_buffers()}
        kept = {}
        for name, value in zip(self.names, parameters, strict=True):
            path, _, last = name.rpartition(".")
            owner = dict(module.named_modules())[path] if path else module
            kept[owner, last] = owner.__dict__[last]
            owner.__dict__[last] = value
        try:
            two_states = len(inputs) == 3
            return flat(module(inputs[0], tuple(inputs[1:])) if two_states else module(*inputs))
        finally:
            for (owner, last), value in kept.items():
                owner.__dict__[last] = value
            for name, b in module.named_buffers():
                b.data[...] = buffers[name]

    def leaves(self) -> list[Tensor]:
        return [Tensor(x.copy(), requires_grad=x.dtype.kind == "f") for x in self.points]

    def gradients(self, leaves: list[Tensor] | None = None) -> tuple[list[Tensor], list[Any]]:
        """The outputs, and the gradients of their weighted sum for all floating inputs and parameters."""
        xs = self.leaves() if leaves is None else leaves
        out = self.call(*xs)
        moving = [x for x in xs if x.requires_grad]
        return out, autograd.gradients(out, moving, weights(out), allow_unused=True, retain_graph=True)


def flat(out: Any) -> list[Tensor]:
    return [t for o in out for t in flat(o)] if isinstance(out, tuple) else [out]


def weights(out: list[Tensor], seed: int = 0) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(o.shape).astype(o.dtype) for o in out]
    return [Tensor(backend.of(o.data).from_host(a, o.device)) for o, a in zip(out, arrays, strict=True)]


def close(found: Any, expected: Any, tolerance: float = 1e-11) -> None:
    size = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * size)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer.exact], ids=str)
def test_gradients_of_two_orders_in_inputs_and_parameters(layer, training):
    for seed in range(TRIES):
        built = Built(layer, training, seed=seed)
        report = check_gradients(built.call, *built.points, order=2)
        assert report.ok, str(report)
        if report.conclusive:
            return
    raise AssertionError(f"none of {TRIES} points could be judged: {report}")


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer.batch is not None], ids=str)
def test_a_batch_is_its_members(layer):
    built = Built(layer, training=False)
    whole = built.call(*built.leaves())
    axes = [o.dims.index("N") for o in built.operands]
    parts = []
    for i in range(SIZES["N"]):
        alone = [Tensor(x.take([i], axis)) for x, axis in zip(built.inputs, axes, strict=True)]
        parts.append(built.call(*alone, *map(Tensor, built.points[len(built.inputs) :])))
    for out, part, axis in zip(whole, zip(*parts, strict=True), layer.batch, strict=True):
        close(np.concatenate([p.detach().numpy() for p in part], axis), out.detach().numpy())


@every_layer
def test_float32_stays_float32(layer):
    built = Built(layer, dtype="float32")
    out, found = built.gradients()
    assert {t.dtype.name for t in [*out, *found] if t is not None} == {"float32"}


@every_layer
def test_a_saved_state_gives_the_same_outputs(layer):
    first, second = Built(layer, training=False), Built(layer, training=False, seed=1)
    for b in [b for _, b in first.module.named_buffers() if b.dtype.kind == "f"]:
        b.data[...] = np.random.default_rng(2).uniform(0.5, 1.5, b.shape)
    second.module.load_state_dict(first.module.state_dict())
    for built in (first, second):
        built.points = [*first.inputs, *[p.data for p in built.module.parameters()]]
    for a, b in zip(first.call(*map(Tensor, first.points)), second.call(*map(Tensor, second.points)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@every_layer
def test_devices_agree(layer, device):
    here, there = Built(layer), Built(layer)
    there.module.to(device=device)
    home = backend.by_name(device)
    moved = [Tensor(home.from_host(x, device), requires_grad=x.dtype.kind == "f") for x in there.points]
    (out, found), (expected, wanted) = there.gradients(moved), here.gradients()
    assert {o.device for o in out} == {device}
    for a, b in zip([*out, *found], [*expected, *wanted], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            close(home.to_host(a.data), b.detach().numpy())


@every_layer
def test_twice_the_same_and_no_gradient_is_a_view(layer):
    built = Built(layer)
    (out, first), (again, second) = built.gradients(), built.gradients()
    for a, b in zip([*out, *first], [*again, *second], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    xs = built.leaves()
    out = built.call(*xs)
    for o, u in zip(out, weights(out), strict=True):
        o.backward(u, retain_graph=True)
    found = [x.grad.data for x in xs if x.grad is not None]
    for i, g in enumerate(found):
        watched = [*[x.data for x in xs], *[o.data for o in out], *found[:i], *found[i + 1 :]]
        before = [x.copy() for x in watched]
        g[...] = 0.5 - g
        assert all(np.array_equal(x, b) for x, b in zip(watched, before, strict=True)), "a gradient is a view"


@every_layer
def test_graphs_leave_no_cycles(layer):
    built = Built(layer)
    xs = built.leaves()
    moving = [x for x in xs if x.requires_grad]
    with quiet_collector():
        out = built.call(*xs)
        dx = autograd.gradients(out, moving, weights(out), create_graph=True, allow_unused=True)
        slopes = [g for g in dx if g is not None and g.requires_grad]
        if slopes:
            autograd.gradients(slopes, moving, weights(slopes), allow_unused=True)
        del out, dx, slopes
        assert gc.collect() == 0


# --- each of these properties can fail --------------------------------------------------------------------------------


class OnePart(nn.Linear):
    """Its bias gets no gradient."""

    def forward(self, x):
        return x @ self.weight.T + self.bias.detach()


class Mixed(nn.Linear):
    """It centres over the batch."""

    def forward(self, x):
        return super().forward(x - x.mean(axis=0))


class Widened(nn.Linear):
    """It computes in float64."""

    def forward(self, x):
        return super().forward(x) * autograd.tensor(np.ones(1))


class Forgotten(nn.Linear):
    """It has a state that no dictionary holds."""

    def __init__(self, *args):
        super().__init__(*args)
        self.hidden = np.random.default_rng().random()

    def forward(self, x):
        return super().forward(x) * self.hidden


class AtHome(nn.Linear):
    """It knows one device."""

    def forward(self, x):
        return super().forward(x) + autograd.ones((1, 3), dtype=x.dtype)


class Unsteady(nn.Linear):
    """It counts its calls."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class Knotted(nn.Linear):
    """It leaves a cycle."""

    def forward(self, x):
        knot = [x]
        knot.append(knot)
        return super().forward(x)


@pytest.mark.parametrize(
    ("module", "check", "arguments"),
    [
        (OnePart, test_gradients_of_two_orders_in_inputs_and_parameters, (True,)),
        (Mixed, test_a_batch_is_its_members, ()),
        (Widened, test_float32_stays_float32, ()), (Forgotten, test_a_saved_state_gives_the_same_outputs, ()),
        (AtHome, test_devices_agree, ("strict",)), (Unsteady, test_twice_the_same_and_no_gradient_is_a_view, ()),
        (Knotted, test_graphs_leave_no_cycles, ()),
    ],
)  # fmt: skip
def test_a_wrong_layer_is_noticed(monkeypatch, module, check, arguments):
    monkeypatch.setattr(nn, "Wrong", module, raising=False)
    with pytest.raises((AssertionError, AutogradError)):
        check(Layer("Wrong", (4, 3), "x: N D"), *arguments)
    monkeypatch.setattr(nn, "Wrong", nn.Linear)
    check(Layer("Wrong", (4, 3), "x: N D"), *arguments)
