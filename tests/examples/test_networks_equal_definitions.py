"""The networks of all programs on sequences: with fused kernels they compute what their definitions say."""

import sys
from pathlib import Path

import numpy as np
import pytest

import autograd
import nn
from autograd.core.composite import Composite
from autograd.diagram.tape import walk

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))  # where the programs find what lies beside them
pytest.importorskip("numba", reason="without Numba there are no fused kernels")
pytest.importorskip("matplotlib", reason="matplotlib is not installed: the examples draw")
import caption
import forecast
import sentiment
import translate
import write

V, T, N = 7, 6, 3  # tokens, steps, members of the batch


def numbers(steps=T, seed=0):
    """Sequences of different lengths as T N, with the number 0 behind the shorter ones."""
    drawn = np.random.default_rng(seed).integers(2, V, (steps, N))
    return np.where(np.arange(steps)[:, None] < [steps, steps - 2, 1], drawn, 0)


def normal(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(autograd.default_dtype())


def counts():
    return np.random.default_rng(2).integers(0, 4, (V, V)).astype(np.float32)


# What builds each network, what it reads, its loss of what it says, and the composites whose kernels must stand in.
NETWORKS = {
    "sentiment": (
        lambda: sentiment.Reader(V),
        lambda: (numbers(), np.array([T, T - 2, 1])),
        lambda out: nn.BCEWithLogitsLoss()(out, autograd.tensor(normal(N) > 0).astype(out.dtype)),
        {"gru", "linear"},
    ),
    "translate": (
        lambda: translate.Translator(counts(), 16, 0.3),
        lambda: (numbers(), numbers(4, 3)),
        lambda out: translate.Loss()(out, autograd.tensor(numbers(4, 4).T)),
        {"gru", "linear", "class_cross_entropy"},
    ),
    "write": (
        lambda: write.Writer(V, 16, 2, N),
        lambda: (numbers(), True),
        lambda out: write.Bits()(out, autograd.tensor(numbers(T, 5).reshape(-1))),
        {"lstm", "linear", "class_cross_entropy"},
    ),
    **{
        f"forecast, {name}": (
            lambda name=name: forecast.NETWORKS[name](forecast.TASKS["sunspots"]),
            lambda: (normal(N, T, 1),),
            lambda out: nn.MSELoss()(out, autograd.tensor(normal(N, T, 1)[:, ::-1])),
            composites,
        )
        for name, composites in {
            "gru": {"gru", "linear"},
            "lstm": {"lstm", "linear"},
            "feed-forward": {"linear"},
        }.items()
    },
    "caption": (
        lambda: caption.Captioner(V, 16, 0.3, hidden=16, depth=8),
        lambda: (normal(N, 3, 16, 16), numbers().T),
        lambda out: nn.CrossEntropyLoss(ignore_index=0)(out, autograd.tensor(numbers(T, 5).T)),
        {"linear", "class_cross_entropy"},
    ),
}


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    with autograd.default_dtype(request.param):
        yield request.param


def learned(name, kernels, training):
    """What a network says, its loss and the gradients, by name; and the composites that ran as one node."""
    build, read, loss, _ = NETWORKS[name]
    autograd.manual_seed(1)
    model = build().train(training)
    inputs = [autograd.tensor(x) if isinstance(x, np.ndarray) else x for x in read()]
    with autograd.use_kernels(kernels):
        out = model(*inputs)
        value = loss(out)
        fused = {node.op.name for node in walk([value.node]) if isinstance(node.op, Composite)}
        value.backward()
    found = {"out": out.detach().numpy(), "loss": value.detach().numpy()}
    return found | {path: p.grad.numpy() for path, p in model.named_parameters()}, fused


@pytest.mark.parametrize("training", [False, True], ids=["evaluating", "training"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_equal_their_definitions(name, training, dtype):
    found, fused = learned(name, True, training)
    expected, plain = learned(name, False, training)
    assert fused >= NETWORKS[name][-1] and not plain
    tolerance = {"float32": 1e-4, "float64": 1e-10}[dtype]
    for path, value in expected.items():
        assert path in ("out", "loss") or value.dtype == found[path].dtype == dtype
        assert np.any(value) and np.isfinite(value).all(), f"{path}: nothing to compare"
        np.testing.assert_allclose(found[path], value, rtol=tolerance, atol=tolerance * abs(value).max(), err_msg=path)
