"""Train any of the published networks for colours on a folder of pictures, `FOLDER/class/picture.jpg`.

    python -m vision.datasets emoji --folder pictures                          real pictures to begin with
    python examples/train_imagefolder.py pictures --size 64 --epochs 30
    python examples/train_imagefolder.py pictures --size 64 --epochs 30 --resume          after Ctrl-C

FOLDER may hold ``train`` and ``valid``, or the classes themselves: then every tenth picture is kept for validation.
Pictures are decoded, cropped, mirrored, coloured and mixed by background workers. Writes to ``--out``: checkpoints, the
learning curve, the confusion matrix, and the worst mistakes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from program import count, fit, options, run, save_pictures

import autograd
import nn
from autograd import Tensor
from autograd.errors import DataError, ShapeError
from vision import models, see, transforms
from vision.datasets import ImageFolder

NETWORKS = sorted({*models.__all__} - {"lenet5", "neocognitron", "resnet"})  # two see no colours; `resnet18`, ...
MIX = {"none": None, "mixup": transforms.Mixup, "cutmix": transforms.CutMix}
IMAGENET = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
AUXILIARY = 0.3  # weight of GoogLeNet's auxiliary classifiers (Szegedy et al. 2015, sec. 5)


class Loss(nn.CrossEntropyLoss):
    """Cross-entropy of the scores, and of auxiliary scores where a network in training returns them too."""

    def forward(self, scores: Any, target: Tensor) -> Tensor:
        if isinstance(scores, Tensor):
            return super().forward(scores, target)
        main, *others = scores
        return super().forward(main, target) + sum(AUXILIARY * super(Loss, self).forward(s, target) for s in others)


def of_scores(metric: nn.metrics.Metric) -> nn.metrics.Metric:
    """The metric of the network's scores, without the auxiliary ones."""
    return lambda scores, target: metric(scores if isinstance(scores, Tensor) else scores[0].detach(), target)


def folders(root: Path, size: int, **options: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """The pictures to train with, a little larger than needed, those to validate with, and the classes."""
    larger = round(size * 8 / 7)
    if (root / "train").is_dir():
        train, valid = (
            ImageFolder(root / part, (larger, larger), fit="crop", **options) for part in ("train", "valid")
        )
        if train.classes != valid.classes:
            raise DataError(f"{root}: train has classes {train.classes}, valid {valid.classes} → make them equal")
        return train, valid, train.classes
    every = ImageFolder(root, (larger, larger), fit="crop", **options)
    if len(every) < 10:
        raise DataError(
            f"{root}: {len(every)} pictures, expected ≥ 10 to keep a tenth → add some, or train/ and valid/"
        )
    kept = np.arange(len(every)) % 10 == 9
    return nn.data.Subset(every, np.flatnonzero(~kept)), nn.data.Subset(every, np.flatnonzero(kept)), every.classes


def arguments() -> argparse.Namespace:
    parser = options(__doc__, None, "of weights, order, augmentation and dropout")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", choices=NETWORKS, default="resnet18", metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--weights", type=Path, help="begin with the weights in this file, as far as they fit")
    parser.add_argument("--size", type=count, default=224, help="pixels that the network sees (default: 224)")
    parser.add_argument("--epochs", type=count, default=30)
    parser.add_argument("--batch-size", type=count, default=32)
    parser.add_argument("--lr", type=float, default=2e-3, help="the highest learning rate (default: 0.002)")
    parser.add_argument("--mix", choices=MIX, default="none", help="pictures of a batch mixed with each other")
    parser.add_argument("--workers", type=int, default=2, help="threads that prepare batches (default: 2)")
    parser.add_argument("--skip-errors", action="store_true", help="leave out what cannot be decoded, and count it")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    see.grid()  # if matplotlib is missing, say so before the training
    autograd.manual_seed(args.seed)
    train_set, valid_set, classes = folders(args.folder, args.size, skip_errors=args.skip_errors)
    augment = transforms.Compose(
        transforms.ToFloat(), transforms.RandomResizedCrop(args.size, scale=(0.35, 1)),
        transforms.RandomHorizontalFlip(), transforms.ColorJitter(0.3, 0.3, 0.3, 0.05), transforms.Lighting(), IMAGENET,
    )  # fmt: skip
    plain = transforms.Compose(transforms.ToFloat(), transforms.CenterCrop(args.size), IMAGENET)
    mix = MIX[args.mix] and MIX[args.mix](len(classes))
    shared = {"num_workers": args.workers, "seed": args.seed}
    train = nn.data.DataLoader(
        train_set, args.batch_size, shuffle=True, drop_last=len(train_set) > args.batch_size, transform=augment,
        batch_transform=mix, **shared,
    )  # fmt: skip
    valid = nn.data.DataLoader(valid_set, args.batch_size, transform=plain, **shared)

    model = getattr(models, args.model)(num_classes=len(classes))
    try:
        table = nn.summary(model, (1, 3, args.size, args.size))
    except ShapeError as error:
        raise ShapeError(f"{args.model} does not take pictures of --size {args.size}: {error}") from error
    print(f"{args.model}: {table.parameters:,} parameters, {table.multiply_adds:,} multiply-adds for a picture")
    if args.weights:
        print(begin_with(model, args.weights))
    model = model.to(args.device)
    optimizer = nn.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.05)
    schedule = nn.schedule.OneCycleLR(optimizer, max_lr=args.lr, total_steps=args.epochs * len(train), pct_start=0.2)
    metrics = {"top1": of_scores(nn.metrics.accuracy)}
    if len(classes) > 5:
        metrics["top5"] = of_scores(nn.metrics.top_k(5))
    trainer = nn.Trainer(
        model, Loss(label_smoothing=0.1), optimizer, schedule, metrics=metrics, out=args.out, clip_norm=5.0,
        monitor="valid_top1",
    )  # fmt: skip
    history = fit(trainer, args.resume, train, valid, epochs=args.epochs)

    images, scores, labels = judge(trainer, valid)
    last = {name: values[-1] for name, values in history.items() if name.startswith("valid_top")}
    rates = ", ".join(f"{name.removeprefix('valid_')} {100 * value:.1f} %" for name, value in last.items())
    print(f"{args.model}: {rates} of {len(labels):,} pictures right, {sum(history['seconds']):.0f} s")
    sources = {id(source): source for part in (train_set, valid_set) for source in (getattr(part, "dataset", part),)}
    for path, why in (item for source in sources.values() for item in source.skipped.items()):
        print(f"left out: {path}: {why}")

    figures = {
        "learning_curve": see.learning_curve(history),
        "confusion_matrix": see.confusion_matrix(
            see.confusion_counts(labels, scores.argmax(axis=1), len(classes)), classes
        ),
        "mistakes": see.mistakes(images, labels, scores, classes),
    }
    save_pictures(figures, args.out)


def begin_with(model: nn.Module, path: Path) -> str:
    """Give the model the weights of a file whose names and shapes are its own; say how many, and which are missing."""
    own, given = model.state_dict(), nn.load(path)
    given = given.get("model", given)  # of a checkpoint, or of a file of weights alone
    fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    if not fitting:
        raise DataError(f"--weights {path}: none of {len(given)} entries fits the model's {len(own)} → another --model")
    model.load_state_dict({**own, **fitting})
    missing = [name for name in own if name not in fitting]
    return f"{len(fitting)} of {len(own)} weights from {path}" + (
        f"; as drawn: {', '.join(missing)}" if missing else ""
    )


def judge(trainer: nn.Trainer, loader: nn.data.DataLoader) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pictures of a loader as they are looked at, `N H W 3` in 0..1, the scores of the network, the classes."""
    images, scores, labels = [], [], []
    for inputs, target in loader:
        images.append(inputs.numpy().transpose(0, 2, 3, 1) * IMAGENET.std + IMAGENET.mean)
        scores.append(trainer.predict([inputs]).numpy())
        labels.append(target.numpy())
    return np.concatenate(images).clip(0, 1), np.concatenate(scores), np.concatenate(labels)


if __name__ == "__main__":
    run(main)
