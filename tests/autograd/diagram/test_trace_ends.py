"""A traced run changes nothing else: training, exceptions, kernels, threads, memory, devices."""

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import autograd
import nn
from autograd import Tensor, kernels, scope, tensor
from autograd.backend import by_name
from autograd.core.scope import state
from autograd.core.trace import call_of
from autograd.diagram import tape, trace
from autograd.errors import AnomalyError, GraphError, ShapeError


def nothing_is_traced() -> bool:
    return state.trace is None and state.scope is state.path and autograd.exp.op.implement(np.ndarray) is np.exp  # type: ignore[attr-defined]


def test_training_afterwards_is_what_it_was() -> None:
    def train(draw: bool) -> list[float]:
        autograd.manual_seed(3)
        model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = (model(autograd.ones((3, 2))) ** 2).mean()
            loss.backward()
            if draw:
                grads = [p.grad for p in model.parameters()]
                out = trace.run(model, np.ones((3, 2), np.float32))
                tape.read(out, gradients=trace.gradients(out))
                assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))
            optimizer.step()
            losses.append(loss.item())
        return losses

    assert train(True) == train(False)
    assert nothing_is_traced()


def test_an_exception_inside_restores_everything() -> None:
    def f(x: Tensor) -> Tensor:
        with scope("inside"):
            return (x * 2) @ autograd.ones((3, 3))

    for _ in range(2):
        with pytest.raises(ShapeError):
            trace.run(f, np.ones((2, 2)))
        assert nothing_is_traced()


def test_a_kernel_does_not_stand_in_while_a_run_is_traced() -> None:
    class Kernel:
        def forward(self, x: Any, *rest: Any) -> Any:
            raise AssertionError("the kernel ran")

    kernels.register("gelu", by_name("cpu").array_type, lambda spec: Kernel(), name="refusing")
    try:
        graph = tape.read(trace.run(lambda x: autograd.gelu(x) * 1, np.ones(2)))
    finally:
        kernels.unregister("gelu", by_name("cpu").array_type, "refusing")
    assert "gelu.erf" in graph.boxes


def test_another_thread_is_not_traced() -> None:
    seen = []

    def other() -> None:
        x = tensor([1.0], requires_grad=True)
        with scope("a"):
            y = x * 2
        with scope("a"):
            y = y * 2
        seen.extend([y.node.scope.path, call_of(y.node), y.node.scope.line])  # type: ignore[union-attr]
        with pytest.raises(GraphError, match="numpy"):
            y.numpy()

    def f(x: Tensor) -> Tensor:
        y = x * 3
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return y * 4

    out = trace.run(f, np.ones(1))
    assert seen == ["a", None, None]
    assert [b.label for b in tape.read(out).boxes.values() if b.op] == ["× 3", "× 4"]


def test_two_threads_trace_side_by_side() -> None:
    meet, found = threading.Barrier(2), {}

    def work(k: int) -> None:
        def f(x: Tensor) -> Tensor:
            for _ in range(50):
                x = x * k
                if _ == 10:
                    meet.wait()
            return x

        graph = tape.read(trace.run(f, np.ones(1)), values=True)
        found[k] = {b.label for b in graph.boxes.values() if b.op}

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1: {"× 1"}, 2: {"× 2"}}
    assert nothing_is_traced()


def test_anomalies_are_found_in_a_traced_run_and_calls_are_remembered() -> None:
    with autograd.detect_anomaly(), pytest.raises(AnomalyError, match="log: the result has 1 non-finite"):
        trace.run(lambda x: autograd.log(x - 1), np.ones(1))
    with autograd.detect_anomaly():
        out = trace.run(lambda x: x * 2, np.ones(1))
    assert call_of(out.node) is not None and nothing_is_traced()


def test_what_was_traced_is_freed_by_reference_counts() -> None:
    gc.collect()
    gc.disable()
    try:
        out = trace.run(lambda x: autograd.named("h", autograd.tanh(x.detach() * x)) * 2, np.ones(3))
        freed = weakref.ref(call_of(out.node).inputs[0])  # type: ignore[union-attr]
        del out
        assert freed() is None
    finally:
        gc.enable()


def test_a_checkpointed_part_is_drawn_open() -> None:
    out = trace.run(lambda x: autograd.checkpoint(lambda y: autograd.tanh(y) * 2, x), np.ones(1))
    assert [b.op for b in tape.read(out).boxes.values() if b.op] == ["tanh", "multiply"]


def test_traced_on_another_device(device: str) -> None:
    layer = nn.Linear(2, 3).to(device)
    x = tensor(np.ones((1, 2), np.float32), device=device)
    out = trace.run(lambda x: autograd.softmax(layer(x) * layer(x).detach()), x)
    graph = tape.read(out, values=True, gradients=trace.gradients(out))
    assert all(b.value is not None for b in graph.boxes.values())
    assert [b.kind for b in graph.boxes.values()].count("cut") == 1
