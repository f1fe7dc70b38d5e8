"""The networks that are compared: what each is, what it sees, and a training step, for either library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.libraries import Library

LR = 1e-4  # small: after a large step float32 networks differ by more than their libraries do
SAMPLE = 1000  # elements of a gradient that are compared


@dataclass(frozen=True)
class Network:
    """A network, the shape of its input, and the ratio of PyTorch's time to ours that is aimed at."""

    title: str
    build: Callable[[Library], Any]
    shape: tuple[int, ...]
    classes: int
    goal: float

    @property
    def images(self) -> bool:
        """Whether the order of channels in memory makes a difference."""
        return len(self.shape) == 4

    def task(self, library: Library) -> Task:
        """Everything that one training step needs; the same for both libraries, numbers included."""
        return Training(library, self)


class Training:
    """A network with data, loss and optimiser."""

    def __init__(self, library: Library, network: Network) -> None:
        self.framework = library
        rng = np.random.default_rng(1)
        batch = network.shape[0] if network.images else network.shape[1]
        self.x = library.tensor(rng.standard_normal(network.shape, np.float32))
        self.y = library.tensor(rng.integers(0, network.classes, batch))
        self.model = library.prepared(network.build(library))
        self.loss = library.nn.CrossEntropyLoss()
        self.optimizer = library.optim.SGD(self.model.parameters(), lr=LR, momentum=0.9)

    def train(self) -> float:
        self.model.train()
        return self.step()

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def infer(self) -> None:
        self.model.eval()
        with self.framework.no_grad():
            self.model(self.x)

    def results(self) -> dict[str, Any]:
        """Without dropout: the losses of two steps, and the loss of what is inferred afterwards."""
        layers = [m for m in self.model.modules() if type(m).__name__ == "Dropout"]
        before = [m.p for m in layers]
        for layer in layers:
            layer.p = 0.0
        found = {f"the loss of training step {i}": self.train() for i in (1, 2)}
        for layer, p in zip(layers, before, strict=True):
            layer.p = p
        self.model.eval()
        with self.framework.no_grad():
            found["the loss in inference"] = float(self.loss(self.model(self.x), self.y).item())
        return found

    def gradients(self) -> dict[str, Any]:
        """A part of every gradient that the last step left."""
        left = {name: np.array(p.grad.numpy()).reshape(-1) for name, p in self.model.named_parameters()}
        return {f"the gradient of {name}": g[:: 1 + g.size // SAMPLE] for name, g in left.items()}


@dataclass(frozen=True)
class Chain:
    """A chain of small operations, where an engine's own cost is all there is."""

    title: str
    operations: int
    goal: float
    images = False

    def task(self, library: Library) -> Task:
        """The chain with its inputs."""
        return ChainTask(library, self.operations)


class ChainTask:
    """h ← tanh(h·y + x), again and again, on 4×4 arrays."""

    def __init__(self, library: Library, operations: int) -> None:
        self.framework, self.operations = library, operations
        ones = np.ones((4, 4), np.float32)
        self.x, self.y = (library.tensor(ones * k, requires_grad=True) for k in (1, 2))
        self.g = library.tensor(ones)

    def _forward(self) -> Any:
        h, x, y, tanh = self.x, self.x, self.y, self.framework.tanh
        for _ in range(self.operations // 3):
            h = tanh(h * y + x)
        return h

    def train(self) -> None:
        self.x.grad = self.y.grad = None
        self._forward().backward(self.g)

    def infer(self) -> None:
        with self.framework.no_grad():
            self._forward()

    def results(self) -> dict[str, Any]:
        """The last value."""
        self.train()
        return {"the value": np.array(self._forward().detach().numpy())}

    def gradients(self) -> dict[str, Any]:
        """Those of the inputs."""
        return {"dx": np.array(self.x.grad.numpy()), "dy": np.array(self.y.grad.numpy())}


Task = Training | ChainTask


# --- the networks -----------------------------------------------------------------------------------------------------


def lenet5(library: Library) -> Any:
    nn = library.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def mnist_cnn(library: Library) -> Any:
    nn = library.nn

    def block(channels_in: int, channels: int, padding: int = 0) -> list[Any]:
        pool = nn.MaxPool2d(2, padding=padding)
        return [nn.Conv2d(channels_in, channels, 3, padding=1), nn.ReLU(), pool, nn.Dropout(0.3)]

    return nn.Sequential(
        *block(1, 32), *block(32, 64), *block(64, 128, padding=1),
        nn.Flatten(), nn.Linear(128 * 4 * 4, 625), nn.ReLU(), nn.Dropout(0.5), nn.Linear(625, 10),
    )  # fmt: skip


def recurrent(kind: str, features: int, hidden: int) -> Callable[[Library], Any]:
    def build(library: Library) -> Any:
        nn = library.nn

        class LastStep(nn.Module):
            """A class from the last state of a recurrent layer."""

            def __init__(self) -> None:
                super().__init__()
                self.recurrent = getattr(nn, kind)(features, hidden)
                self.scores = nn.Linear(hidden, 10)

            def forward(self, x: Any) -> Any:
                output, _ = self.recurrent(x)
                return self.scores(output[-1])

        return LastStep()

    return build


def published(name: str, batch: int, goal: float, **options: Any) -> Network:
    """A network under its name in torchvision, at 224 pixels."""
    title = {"alexnet": "AlexNet", "googlenet": "GoogLeNet"}.get(name)
    title = title or name.replace("vgg", "VGG-").replace("resnet", "ResNet-")
    build = lambda library: getattr(library.models, name)(**options)  # noqa: E731
    return Network(f"{title} [{batch}]", build, (batch, 3, 224, 224), 1000, goal)


SEQUENCES = {"32x25": (32, 25, 64, 128), "32x100": (32, 100, 64, 128), "64x50": (64, 50, 128, 512)}

NETWORKS: dict[str, Network | Chain] = {
    "lenet5": Network("LeNet-5 [64]", lenet5, (64, 1, 28, 28), 10, 1.5),
    "mnist-cnn": Network("deep MNIST CNN [100]", mnist_cnn, (100, 1, 28, 28), 10, 1.3),
    "alexnet": published("alexnet", 16, 1.2),
    "vgg11": published("vgg11", 4, 1.3),
    "vgg16": published("vgg16", 4, 1.3),
    "googlenet": published("googlenet", 8, 1.1, aux_logits=False),
    "resnet18": published("resnet18", 8, 1.2),
    "resnet50": published("resnet50", 4, 1.2),
    **{
        f"{kind.lower()}-{size}": Network(
            f"{kind} {batch}×{steps}, {d}→{h}",
            recurrent(kind, d, h),
            (steps, batch, d),
            10,
            1.3 if kind == "RNN" else 1.0,
        )
        for kind in ("RNN", "LSTM", "GRU")
        for size, (batch, steps, d, h) in SEQUENCES.items()
    },
    "small-operations": Chain("300 small operations", 300, 1.25),
}
