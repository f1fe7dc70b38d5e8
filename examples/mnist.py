"""The lecture's four networks for handwritten digits, trained on 60,000 real images and tested on 10,000 others.

    python examples/mnist.py softmax      softmax regression: one fully connected layer
    python examples/mnist.py mlp          a deep fully connected network
    python examples/mnist.py cnn          two blocks of convolution and pooling
    python examples/mnist.py deep-cnn     more convolutions, dropout, and digits that are shifted and turned

Writes to ``out``: checkpoints, the learning curve, the confusion matrix, the worst mistakes, filters, activation maps,
and the network at work on one image as a diagram (.html, and .svg where Graphviz is installed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from program import count, fit, options, run, save, save_pictures, write_result

import autograd
import nn
from vision import see
from vision.datasets import MNIST, LabelledImages
from vision.transforms import Compose, Normalize, RandomAffine, ToFloat


def softmax() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(784, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.4),
        nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.4),
        nn.Linear(512, 10),
    )  # fmt: skip


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 7 * 7, 10),
    )  # fmt: skip


def block(channels_in: int, channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]


def deep_cnn() -> nn.Module:
    return nn.Sequential(
        *block(1, 32), *block(32, 32), nn.MaxPool2d(2), nn.Dropout(0.2),
        *block(32, 64), *block(64, 64), nn.MaxPool2d(2), nn.Dropout(0.2),
        *block(64, 128), nn.MaxPool2d(2), nn.Dropout(0.3),
        nn.Flatten(), nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Dropout(0.4), nn.Linear(256, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Program:
    """A network and how it is trained."""

    build: Callable[[], nn.Module]
    epochs: int
    lr: float
    weight_decay: float
    augment: bool = False


PROGRAMS = {
    "softmax": Program(softmax, epochs=15, lr=2e-3, weight_decay=1e-3),
    "mlp": Program(mlp, epochs=25, lr=2e-3, weight_decay=2e-2),
    "cnn": Program(cnn, epochs=5, lr=4e-3, weight_decay=1e-2),
    "deep-cnn": Program(deep_cnn, epochs=12, lr=4e-3, weight_decay=1e-2, augment=True),
}


def main() -> None:
    parser = options(__doc__, None, "of weights, order, augmentation and dropout")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--epochs", type=count, help="passes over the training images")
    parser.add_argument(
        "--limit", type=count, help="use the first LIMIT training and test images only, for a quick look"
    )
    parser.add_argument("--batch-size", type=count, default=100, help="images per step (default: 100)")
    args = parser.parse_args()
    program = PROGRAMS[args.program]
    epochs = args.epochs or program.epochs

    see.grid()  # if matplotlib is missing, say so before the training
    autograd.manual_seed(args.seed)
    train_set, test_set = (LabelledImages(*MNIST(train)[: args.limit], MNIST.classes) for train in (True, False))
    normal = Normalize(MNIST.mean, MNIST.std)
    moved = [RandomAffine(degrees=10, translate=(0.08, 0.08), scale=(0.9, 1.1))] if program.augment else []
    train = nn.data.DataLoader(
        train_set,
        args.batch_size,
        shuffle=True,
        seed=args.seed,
        transform=Compose(ToFloat(), *moved, normal),
        num_workers=1,
    )
    test = nn.data.DataLoader(test_set, 500, transform=Compose(ToFloat(), normal))

    model = program.build().to(args.device)
    print(nn.summary(model, (1, 1, 28, 28)))
    optimizer = nn.optim.AdamW(model.parameters(), lr=program.lr, weight_decay=program.weight_decay)
    schedule = nn.schedule.OneCycleLR(optimizer, max_lr=program.lr, total_steps=epochs * len(train), pct_start=0.2)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, schedule, out=args.out)
    history = fit(trainer, args.resume, train, test, epochs=epochs)

    seconds = sum(history["seconds"])  # of all epochs, also those before a --resume
    scores = trainer.predict(test).numpy()
    right = int((scores.argmax(axis=1) == test_set.labels).sum())
    print(
        f"{args.program}: {100 * right / len(test_set):.2f} % of {len(test_set):,} test images right, "
        f"{epochs} epochs in {seconds:.0f} s"
    )
    result = {
        "program": args.program,
        "accuracy": right / len(test_set),
        "epochs": epochs,
        "seconds": seconds,
        "seed": args.seed,
    }
    write_result(args.out, result)
    draw(model, history, test_set, scores, normal, args.out)


def draw(
    model: nn.Module, history: dict, test_set: LabelledImages, scores: np.ndarray, normal: Normalize, out: Path
) -> None:
    figures = {
        "learning_curve": see.learning_curve(history),
        "confusion_matrix": see.confusion_matrix(
            see.confusion_counts(test_set.labels, scores.argmax(axis=1), 10), test_set.classes
        ),
        "mistakes": see.mistakes(test_set.images, test_set.labels, scores, test_set.classes),
    }
    weight = next(model.parameters())
    image = autograd.tensor(normal(ToFloat()(test_set.images[:1])), device=weight.device)
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is not None:
        figures["filters"] = see.filters(first.weight)
        figures |= {f"activations_{path}": figure for path, figure in see.activations(model, image).items()}
    save_pictures(figures, out)

    diagram = nn.draw(model, image, values=True, title="the first test image on its way through the network")
    save(diagram, out, "model")


if __name__ == "__main__":
    run(main)
