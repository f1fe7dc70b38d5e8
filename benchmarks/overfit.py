"""Does every network learn? Each over-fits 16 real pictures from its own start, and takes a step at full size.

    python -m benchmarks.overfit                      all networks, each in a process of its own
    python -m benchmarks.overfit resnet50 vgg         those whose names begin so

Over-fitting: emoji of four classes (digits where the network wants grey), until the network without dropout gives all
16 their class, in inference too. The step: forward, backward and SGD with momentum, the seconds it takes, and the most
memory that the process ever held.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import autograd
import nn
from vision import models
from vision.datasets import MNIST, Emoji
from vision.transforms import Normalize, ToFloat
from vision.transforms.warp import warp

COUNT, CLASSES = 16, 4
EVERY = 5  # steps between two looks at the accuracy in inference


@dataclass(frozen=True)
class Trial:
    """A network, the pixels at which it over-fits, and the rate it learns with; at full size, pixels and images."""

    build: Callable[[int], nn.Module]
    size: int
    lr: float = 1e-3
    steps: int = 400
    full: tuple[int, int] = (224, 16)
    scale: float = 1.0  # of scores that lie in 0..1
    seed: int = 1


TRIALS = {
    "neocognitron": Trial(models.neocognitron, 16, full=(16, 16), scale=10.0),
    "lenet5 paper": Trial(lambda k: models.lenet5("paper", k), 32, full=(32, 64)),
    "lenet5 modern": Trial(lambda k: models.lenet5("modern", k), 28, full=(28, 64)),
    "alexnet paper": Trial(lambda k: models.alexnet("paper", k), 227, lr=1e-4, full=(227, 16)),
    "alexnet torchvision": Trial(lambda k: models.alexnet("torchvision", k), 224, lr=1e-4),
    "zfnet a": Trial(lambda k: models.zfnet("a", k), 224, lr=1e-4),
    "zfnet b": Trial(lambda k: models.zfnet("b", k), 224, lr=1e-4),
    **{
        f"vgg {name}{' paper' if variant == 'paper' else ''}{' bn' if norm else ''}": Trial(
            lambda k, name=name, norm=norm, variant=variant: models.vgg(name, norm, k, variant), 64, lr=1e-4
        )
        for name, norm, variant in (
            *((name, False, "paper") for name in ("A", "A-LRN", "B", "C", "D", "E")),
            ("D", False, "torchvision"), ("D", True, "torchvision"),
        )
    },
    "googlenet paper": Trial(lambda k: models.googlenet("paper", k), 224),
    "googlenet torchvision": Trial(lambda k: models.googlenet("torchvision", k), 64),
    **{
        f"resnet{depth} {variant}": Trial(lambda k, depth=depth, variant=variant: models.resnet(depth, variant, k), 64)
        for depth, variant in (
            (18, "paper"), (34, "paper"), (50, "paper"), (50, "torchvision"), (101, "paper"), (152, "paper"),
        )
    },
    "squeezenet 1.0": Trial(lambda k: models.squeezenet("1.0", k), 64, lr=1e-4, seed=2),
    "squeezenet 1.1": Trial(lambda k: models.squeezenet("1.1", k), 64, lr=1e-4),
}  # fmt: skip


def pictures(size: int, grey: bool, count: int = COUNT) -> tuple[Any, Any]:
    """Pictures of four classes in turn, enlarged or shrunk to size × size, and their classes."""
    chosen = MNIST(train=False) if grey else Emoji()
    of_class = [np.flatnonzero(chosen.labels == label) for label in range(CLASSES)]
    images, labels = chosen[[of_class[i % CLASSES][i // CLASSES] for i in range(count)]]
    images = ToFloat()(images)
    zoom = np.tile(np.eye(2) * size / images.shape[2], (count, 1, 1))
    images = warp(images, zoom, np.zeros((count, 2)), fill=None, size=(size, size))
    if not grey:
        images = Normalize(Emoji.mean, Emoji.std)(images)
    return autograd.tensor(images), autograd.tensor(labels)


def loss_of(scores: Any, target: Any, scale: float = 1.0) -> Any:
    """Cross-entropy; that of GoogLeNet's auxiliary scores counts 0.3."""
    loss, (main, *others) = nn.CrossEntropyLoss(), [scores] if isinstance(scores, autograd.Tensor) else scores
    return loss(scale * main, target) + sum(0.3 * loss(other, target) for other in others)


def overfit(trial: Trial) -> tuple[int, float, float, float]:
    """Train until all pictures are right in inference: steps, seconds, loss, and the fraction that is right."""
    autograd.manual_seed(trial.seed)
    model = trial.build(CLASSES)
    x, y = pictures(trial.size, grey(model))
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    optimizer = nn.optim.Adam(model.parameters(), lr=trial.lr)
    begun, right, value = time.perf_counter(), 0.0, np.nan
    for step in range(1, trial.steps + 1):
        model.train()
        optimizer.zero_grad()
        loss = loss_of(model(x), y, trial.scale)
        loss.backward()
        optimizer.step()
        value = float(loss.item())
        if step % EVERY == 0:
            model.eval()
            with autograd.no_grad():
                right = float(nn.metrics.accuracy(model(x), y).item())
            if right == 1:
                break
    return step, time.perf_counter() - begun, value, right


def grey(model: nn.Module) -> bool:
    """Whether the network's first filters are for one channel."""
    return next(p for p in model.parameters() if len(p.shape) == 4).shape[1] == 1


def full_step(trial: Trial) -> float:
    """Seconds of one training step at full size, with 1000 classes where there are photographs."""
    size, count = trial.full
    model = trial.build(CLASSES if size < 200 else 1000)
    x, y = pictures(size, grey(model), count)
    optimizer = nn.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    for _ in range(2):  # the first compiles
        begun = time.perf_counter()
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        seconds = time.perf_counter() - begun
    if not np.isfinite(loss.item()):
        raise ArithmeticError(f"the loss of a step at full size is {loss.item()}")
    return seconds


def row(name: str) -> str:
    """A line of the table; runs in a process of its own, whose memory is measured."""
    trial = TRIALS[name]
    step, seconds, value, right = overfit(trial)
    after = full_step(trial)
    size, count = trial.full
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"| {name:21} | {trial.size:3} px | {step:5} | {value:7.4f} | {100 * right:5.1f} % | {seconds:6.0f} s "
        f"| {count:2} × {size:3} px | {after:6.2f} s | {gigabytes:5.1f} GB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(TRIALS))
    args = parser.parse_args()
    chosen = [name for name in TRIALS if not args.names or name.startswith(tuple(args.names))]
    if not chosen:
        parser.error(f"no network's name begins with {' or '.join(args.names)}; there are {', '.join(TRIALS)}")
    print(
        "| network               | size   | steps | loss    | right   | time     | full size   | a step   | memory   |"
    )
    print(
        "|-----------------------|--------|-------|---------|---------|----------|-------------|----------|----------|"
    )
    context = multiprocessing.get_context("spawn")
    for name in chosen:
        with context.Pool(1) as pool:
            print(pool.apply(row, (name,)), flush=True)


if __name__ == "__main__":
    main()
