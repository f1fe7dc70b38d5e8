"""Every kernel by itself: our kernel, our definition (the reference), and PyTorch.

    python -m benchmarks.layers                         all layers; writes benchmarks/results.json and results.md
    python -m benchmarks.layers --only conv-vgg lrn     layers whose names begin so; the others' figures are kept

``forward`` is the layer in training, ``dx`` the gradient of its input, ``dw`` those of its weights, each by itself from
a graph that is kept. An optimiser has one run, ``step``. float32, the same numbers on both sides.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import command, compare, libraries, report
from benchmarks.libraries import Library

RUNS = ("forward", "dx", "dw", "step")


@dataclass(frozen=True)
class Layer:
    """A layer and the shape of its input; ``classes``: numbers below it go in, as indices or as targets."""

    build: Callable[[Any], Any]
    shape: tuple[int, ...]
    classes: int = 0

    def runs(self, library: Library) -> compare.Runs:
        """Forward, dx and dw as far as there are such, and the results of all."""
        rng = np.random.default_rng(1)
        layer = library.prepared(self.build(library.nn))
        given = []
        if not isinstance(layer, library.nn.Embedding):
            given.append(library.tensor(rng.standard_normal(self.shape, np.float32), requires_grad=True))
        wanted = {name: list(w) for name, w in (("dx", given), ("dw", layer.parameters()))}
        wanted = {name: w for name, w in wanted.items() if w}
        if self.classes:
            given.append(library.tensor(rng.integers(0, self.classes, self.shape[:1] if given else self.shape)))

        def forward() -> Any:
            out = layer(*given)
            return out[0] if isinstance(out, tuple) else out

        def results() -> dict[str, Any]:
            """Without dropout, whose random numbers differ."""
            if p := getattr(layer, "p", None):
                layer.p = 0.0
            found = {"forward 0": (again := forward())}
            for name, w in wanted.items():
                found |= {f"{name} {i}": gx for i, gx in enumerate(library.gradients(again, w, g))}
            if p:
                layer.p = p
            return {name: np.array(value.detach().numpy()) for name, value in found.items()}

        out = forward()
        g = library.tensor(rng.standard_normal(tuple(out.shape), np.float32))
        runs = {name: silent(library.gradients, out, w, g) for name, w in wanted.items()}
        return {"results": results, "forward": silent(forward), **runs}


def silent(function: Callable[..., Any], *args: Any) -> Callable[[], None]:
    """The call, whose result is dropped at once."""

    def run() -> None:
        function(*args)

    return run


@dataclass(frozen=True)
class Step:
    """One step of an optimiser on parameters of several shapes."""

    build: Callable[[Any, Any], Any]
    shapes: tuple[tuple[int, ...], ...]

    def runs(self, library: Library) -> compare.Runs:
        """The step, and the parameters after three."""
        rng = np.random.default_rng(1)
        parameters = [library.tensor(rng.standard_normal(s, np.float32), requires_grad=True) for s in self.shapes]
        for p in parameters:
            p.grad = library.tensor(rng.standard_normal(tuple(p.shape), np.float32))
        optimizer = self.build(library.optim, parameters)

        def results() -> dict[str, Any]:
            for _ in range(3):
                optimizer.step()
            return {f"parameter {i}": np.array(p.detach().numpy()) for i, p in enumerate(parameters)}

        return {"results": results, "step": optimizer.step}


def conv_of(axes: int, shape: tuple[int, ...], k: int, r: int, *args: Any, name: str = "Conv", **options: Any) -> Layer:
    """A convolution along so many axes, or its transpose, of k filters of width r."""
    return Layer(lambda nn: getattr(nn, f"{name}{axes}d")(shape[1], k, r, *args, **options), shape)


def conv(n: int, c: int, h: int, k: int, r: int, stride: int = 1, padding: int | None = None, **options: Any) -> Layer:
    """A convolution of n×c×h×h with k filters of r×r."""
    padding = r // 2 if padding is None else padding
    return Layer(lambda nn: nn.Conv2d(c, k, r, stride, padding, **options), (n, c, h, h))


MANY_SMALL = ((64, 64, 3, 3),) * 60 + ((64,),) * 120  # as in a residual network
FEW_LARGE = ((4096, 4096), (4096,))

LAYERS: dict[str, Layer | Step] = {
    "conv-lenet-1": conv(64, 1, 28, 6, 5),
    "conv-lenet-2": conv(64, 6, 14, 16, 5, padding=0),
    "conv-mnist-1": conv(100, 1, 28, 32, 3),
    "conv-mnist-2": conv(100, 32, 14, 64, 3),
    "conv-mnist-3": conv(100, 64, 7, 128, 3),
    "conv-vgg-1": conv(4, 3, 224, 64, 3),
    "conv-vgg-2": conv(4, 64, 224, 64, 3),
    "conv-vgg-5": conv(4, 256, 56, 256, 3),
    "conv-vgg-8": conv(4, 512, 28, 512, 3),
    "conv-vgg-11": conv(4, 512, 14, 512, 3),
    "conv-resnet-7x7": conv(8, 3, 224, 64, 7, 2, bias=False),
    "conv-resnet-64": conv(16, 64, 56, 64, 3, bias=False),
    "conv-resnet-128": conv(16, 128, 28, 128, 3, bias=False),
    "conv-resnet-256": conv(16, 256, 14, 256, 3, bias=False),
    "conv-resnet-512": conv(8, 512, 7, 512, 3, bias=False),
    "conv-resnet-stride-2": conv(8, 64, 56, 128, 3, 2, bias=False),
    "conv-resnet-1x1": conv(4, 256, 56, 64, 1, bias=False),
    "conv-resnet-1x1-wide": conv(4, 512, 7, 2048, 1, bias=False),
    "conv-resnet-1x1-stride-2": conv(4, 256, 56, 512, 1, 2, bias=False),
    "conv-googlenet-1x1": conv(8, 192, 28, 64, 1, bias=False),
    "conv-googlenet-3x3": conv(8, 96, 28, 128, 3, bias=False),
    "conv-googlenet-small": conv(8, 16, 28, 32, 3, bias=False),
    "conv-alexnet-11x11": conv(16, 3, 224, 64, 11, 4, padding=2),
    "conv-alexnet-5x5": conv(16, 64, 27, 192, 5),
    "conv-alexnet-3x3": conv(16, 192, 13, 384, 3),
    "conv-grouped": conv(16, 96, 27, 256, 5, groups=2),
    "conv-depthwise": conv(8, 64, 56, 64, 3, groups=64),
    "conv-depthwise-large": conv(8, 32, 112, 32, 3, groups=32, bias=False),
    "conv-depthwise-small": conv(8, 512, 14, 512, 3, groups=512, bias=False),
    "conv-depthwise-stride-2": conv(8, 96, 112, 96, 3, 2, groups=96, bias=False),
    "conv-depthwise-5x5": conv(8, 240, 28, 240, 5, groups=240, bias=False),
    "conv-grouped-3x3": conv(16, 384, 13, 384, 3, groups=2),
    "conv-grouped-3x3-fewer": conv(16, 384, 13, 256, 3, groups=2),
    "conv-grouped-1x1": conv(8, 240, 28, 240, 1, groups=3, bias=False),
    "conv-grouped-16": conv(8, 128, 28, 128, 3, groups=8, bias=False),
    "conv-grouped-24-stride-2": conv(8, 144, 28, 144, 3, 2, groups=6, bias=False),
    "conv-grouped-64": conv(8, 256, 28, 256, 3, groups=4, bias=False),
    "conv-resnext": conv(8, 128, 56, 128, 3, groups=32, bias=False),
    "conv-resnext-8": conv(8, 256, 28, 256, 3, groups=32, bias=False),
    "conv-resnext-stride-2": conv(8, 256, 56, 256, 3, 2, groups=32, bias=False),
    "conv-1d-text": conv_of(1, (64, 128, 100), 128, 3, 1, 1),
    "conv-1d-wave-first": conv_of(1, (8, 1, 16_000), 64, 80, 4),
    "conv-1d-wave": conv_of(1, (8, 64, 4000), 64, 9, 1, 4),
    "conv-1d-dilated": conv_of(1, (8, 64, 2000), 64, 3, 1, 8, 8),
    "conv-1d-depthwise": conv_of(1, (16, 256, 400), 256, 15, 1, 7, groups=256),
    "conv-3d-first": conv_of(3, (2, 3, 16, 56, 56), 64, 3, 1, 1),
    "conv-3d": conv_of(3, (2, 64, 8, 28, 28), 64, 3, 1, 1),
    "conv-3d-small": conv_of(3, (4, 256, 4, 7, 7), 256, 3, 1, 1),
    "conv-3d-stride-2": conv_of(3, (2, 64, 8, 28, 28), 128, 3, 2, 1),
    "conv-3d-time": conv_of(3, (2, 64, 8, 28, 28), 64, (3, 1, 1), 1, (1, 0, 0)),
    "conv-transposed": conv_of(2, (16, 128, 14, 14), 64, 4, 2, 1, name="ConvTranspose"),
    "conv-transposed-1d": conv_of(1, (16, 128, 256), 64, 4, 2, 1, name="ConvTranspose"),
    "conv-transposed-grouped": conv_of(2, (16, 128, 14, 14), 64, 4, 2, 1, groups=4, name="ConvTranspose"),
    "max-pool-2x2": Layer(lambda nn: nn.MaxPool2d(2), (4, 64, 224, 224)),
    "max-pool-3x3": Layer(lambda nn: nn.MaxPool2d(3, 2, 1), (8, 64, 112, 112)),
    "max-pool-3x3-stride-1": Layer(lambda nn: nn.MaxPool2d(3, 1, 1), (8, 192, 28, 28)),
    "avg-pool-2x2": Layer(lambda nn: nn.AvgPool2d(2), (64, 6, 28, 28)),
    "avg-pool-global": Layer(lambda nn: nn.AdaptiveAvgPool2d(1), (8, 512, 7, 7)),
    "batch-norm": Layer(lambda nn: nn.BatchNorm2d(64), (8, 64, 112, 112)),
    "batch-norm-small": Layer(lambda nn: nn.BatchNorm2d(512), (8, 512, 7, 7)),
    "lrn": Layer(lambda nn: nn.LocalResponseNorm(5), (16, 64, 55, 55)),
    "layer-norm": Layer(lambda nn: nn.LayerNorm(512), (64, 50, 512)),
    "relu": Layer(lambda nn: nn.ReLU(), (4, 64, 224, 224)),
    "relu-small": Layer(lambda nn: nn.ReLU(), (64, 120)),
    "tanh": Layer(lambda nn: nn.Tanh(), (64, 6, 28, 28)),
    "sigmoid": Layer(lambda nn: nn.Sigmoid(), (64, 50, 512)),
    **{
        f"activation-{name.lower()}": Layer(lambda nn, name=name: getattr(nn, name)(), (8, 64, 56, 56))
        for name in ("ELU", "GELU", "Hardswish", "LeakyReLU", "ReLU6", "SiLU")
    },
    "softmax": Layer(lambda nn: nn.Softmax(-1), (2048, 512)),
    "log-softmax": Layer(lambda nn: nn.LogSoftmax(-1), (2048, 512)),
    "dropout": Layer(lambda nn: nn.Dropout(0.5), (64, 4096)),
    "cross-entropy": Layer(lambda nn: nn.CrossEntropyLoss(), (64, 1000), classes=1000),
    "cross-entropy-vocabulary": Layer(lambda nn: nn.CrossEntropyLoss(), (1024, 10_000), classes=10_000),
    "linear": Layer(lambda nn: nn.Linear(784, 625), (100, 784)),
    "linear-vgg": Layer(lambda nn: nn.Linear(25_088, 4096), (4, 25_088)),
    "embedding": Layer(lambda nn: nn.Embedding(10_000, 128), (32, 100), classes=10_000),
    **{
        f"{kind.lower()}-{size}": Layer(lambda nn, kind=kind, d=d, h=h: getattr(nn, kind)(d, h), shape)
        for kind in ("RNN", "LSTM", "GRU")
        for size, (shape, d, h) in {"32x25": ((25, 32, 64), 64, 128), "64x50": ((50, 64, 128), 128, 512)}.items()
    },
    **{
        f"{name}-{which}": Step(build, shapes)
        for which, shapes in {"large": FEW_LARGE, "small": MANY_SMALL}.items()
        for name, build in {
            "sgd": lambda optim, p: optim.SGD(p, lr=1e-4, momentum=0.9, weight_decay=1e-4),
            "adam": lambda optim, p: optim.Adam(p, lr=1e-4),
            "adamw": lambda optim, p: optim.AdamW(p, lr=1e-4),
            "rmsprop": lambda optim, p: optim.RMSprop(p, lr=1e-4),
        }.items()
    },
}


def unfold(name: str, kernels: bool = True, *, threads: int) -> compare.Runs:
    """Our side of a layer: the kernels, or the definition."""
    return LAYERS[name].runs(libraries.Unfold(threads, kernels))


def pytorch(name: str, channels_last: bool = False, *, threads: int) -> compare.Runs:
    """PyTorch's side of a layer."""
    return LAYERS[name].runs(libraries.PyTorch(threads, channels_last))


def measured(name: str, threads: int, effort: compare.Effort) -> dict[str, Any]:
    """Seconds and ratios of every run of one layer."""
    sides: dict[str, tuple[Any, ...]] = {"Unfold": (unfold, name), "reference": (unfold, name, False)}
    sides["PyTorch"] = (pytorch, name)
    layer = LAYERS[name]
    if isinstance(layer, Layer) and len(layer.shape) == 4:
        sides["channels-last"] = (pytorch, name, True)
    row: dict[str, Any] = {}
    with ExitStack() as stack:
        workers = compare.opened(stack, sides, threads)
        compare.agree({side: worker.ask("results")[1] for side, worker in workers.items()})
        for run in (run for run in workers["Unfold"].ask("names")[1] if run in RUNS):
            row[run] = compare.figures(compare.alternate(workers, run, effort), ours="Unfold", own=("reference",))
    return row


def tables(rows: Mapping[str, Any]) -> list[Any]:
    """Every run of every layer, and the geometric means."""
    lines, notes, ratios = [], [], []
    for name, row in ((name, rows[name]) for name in LAYERS if name in rows):
        if "failed" in row:
            notes.append(f"{name}: no result: {row['failed']}")
        for run in (run for run in RUNS if run in row):
            seconds = row[run]["seconds"]
            ratios.append(row[run]["ratio"]["median"])
            lines.append([
                name, run,
                *[report.milliseconds(seconds.get(s)) for s in ("Unfold", "reference", "PyTorch", "channels-last")],
                f"{seconds['reference'] / seconds['Unfold']:.2f}", report.times(row[run]["ratio"]), row["measured"],
            ])  # fmt: skip
    if ratios:
        mean = f"{statistics.geometric_mean(ratios):.2f}"
        lines.append(["geometric mean", "", "", "", "", "", "", mean, ""])
    columns = ["layer", "run", "Unfold ms", "reference ms", "PyTorch ms", "channels-last ms"]
    return [report.table("Layers", [*columns, "reference / Unfold", "ratio", "measured"], lines), *notes]


def main() -> None:
    given = command.parser(__doc__).parse_args()
    command.run("layers", LAYERS, measured, tables, given, compare.Effort(rounds=9, budget=5.0, turn=0.05))


if __name__ == "__main__":
    main()
