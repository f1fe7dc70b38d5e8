"""How a deep neural network sees: its filters, maps and features, and which pixels make it say what it says.

    python examples/see_inside.py digits                        the MNIST CNN, trained here for a moment
    python examples/see_inside.py digits --weights out/best.safetensors     as `make demo` trained it
    python examples/see_inside.py photograph                    SqueezeNet with its ImageNet weights, before an espresso
    python examples/see_inside.py photograph --image cat.jpg    before a picture of yours

Writes to ``out``: what the network has learned (filters, the patches that excite a map most and their projections,
images that a class would like to see), an image's way along the depth, every way from the answer back to the pixels,
what a unit sees, and the work behind one output pixel, in numbers (.png, .txt, .html).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mnist import cnn
from program import count, run

import autograd
import nn
from vision import see
from vision.datasets import MNIST, LabelledImages
from vision.datasets.folder import decode
from vision.datasets.photographs import PHOTOGRAPHS, photograph
from vision.pretrained import squeezenet1_1
from vision.transforms import Compose, Normalize, ToFloat


@dataclass(frozen=True)
class Subject:
    """A network to look into, images for it, the layers to look at from low to high, and the classes to ask about.

    `most` patches show a feature; `wish` says how to climb to images that a class would like.
    """

    network: nn.Module
    images: np.ndarray
    image: np.ndarray
    classes: Callable[[int], str]
    layers: tuple[str, ...]
    features: tuple[str, ...]
    most: int
    camera: str
    occluder: int
    wishes: tuple[int, ...]
    wish: dict[str, Any]


def digits(weights: Path | None, limit: int) -> Subject:
    """The MNIST CNN with `make demo`'s weights, or trained on a few images for a moment."""
    prepare = Compose(ToFloat(), Normalize(MNIST.mean, MNIST.std))
    test = MNIST(False)
    network = cnn()
    if weights is not None:
        found = nn.load(weights)
        network.load_state_dict(found.get("model", found))
    else:
        print(f"no --weights: training on {limit:,} images first")
        train = LabelledImages(*MNIST(True)[:limit], MNIST.classes)
        loader = nn.data.DataLoader(train, 100, shuffle=True, seed=1, transform=prepare)
        optimizer = nn.optim.Adam(network.parameters(), lr=2e-3)
        nn.Trainer(network, nn.CrossEntropyLoss(), optimizer, out=None).fit(loader, epochs=2)
    black, white = ((value - MNIST.mean[0]) / MNIST.std[0] for value in (0, 1))
    return Subject(
        network,
        images=prepare(test[:2000][0]),
        image=prepare(test[:1][0])[0],
        classes=str,
        layers=("1", "2", "4", "5"),
        features=("1", "4"),
        most=9,
        camera="4",
        occluder=6,
        wishes=tuple(range(10)),
        wish={"rate": 0.1, "steps": 80, "blur": 0.5, "decay": 0.02, "jitter": 1, "bounds": (black, white)},
    )


def photographs(image: str) -> Subject:
    """SqueezeNet with its ImageNet weights, before one photograph; pieces of all of them show its features."""
    seeing = squeezenet1_1()
    shown = photograph(image) if image in PHOTOGRAPHS else decode("see_inside", Path(image), "RGB")
    random, pieces = np.random.default_rng(1), []
    for name in PHOTOGRAPHS:
        whole = photograph(name)
        for _ in range(12):
            top, left = (int(random.integers(0, n - 226)) for n in whole.shape[:2])
            pieces.append(whole[top : top + 227, left : left + 227])
    prepared = seeing.prepare(shown).numpy()[0]
    for name, probability in seeing(shown):
        print(f"{probability:7.1%}  {name}")
    best = seeing.classes.index(seeing(shown, top=1)[0][0])
    low = -np.array(seeing.mean, np.float32).max()
    return Subject(
        seeing.network,
        images=seeing.prepare(np.stack(pieces)).numpy(),
        image=prepared,
        classes=seeing.classes.__getitem__,
        layers=("features.1", "features.3", "features.6", "features.9", "features.12"),
        features=("features.1", "features.4", "features.7", "features.10"),
        most=6,
        camera="features.12",
        occluder=32,
        wishes=(best, seeing.classes.index("strawberry")),
        wish={"rate": 4.0, "steps": 160, "blur": 0.6, "decay": 0.01, "jitter": 8, "bounds": (low, 255 + low)},
    )


def what_it_learned(subject: Subject) -> dict[str, Any]:
    network = subject.network
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    figures = {"filters": see.filters(first.weight)}
    for layer in subject.features:
        strongest = see.maps(network, subject.image, [layer])[layer].max((1, 2)).argsort()[::-1][:6]
        found = see.features(network, subject.images, layer, sorted(strongest.tolist()), subject.most)
        figures[f"features_{layer}"] = found.figure()
    noise = np.random.default_rng(1).normal(0, 0.1, subject.image.shape).astype(np.float32) * subject.image.std()
    wishes = [see.maximise(network, noise, unit, **subject.wish) for unit in subject.wishes]
    named = [(subject.classes(wish.unit[0]), see.picture(wish.image)) for wish in wishes]
    figures["wishes"] = see.panels(named, columns=5, title="what each class would like to see")
    return figures


def why_it_says_so(subject: Subject) -> dict[str, Any]:
    network, image = subject.network, subject.image
    ways = [way(network, image) for way in (see.saliency, see.guided, see.deconvnet)]
    covered = see.occlusion(network, image, size=subject.occluder, stride=subject.occluder // 4, fill=0.0)
    camera = see.grad_cam(network, image, layer=subject.camera)
    said = subject.classes(ways[0].unit[0])
    panels = [(f"the image: {said}", see.picture(image)), ("saliency", see.picture(ways[0].heat[None]))]
    panels += [(way.method, see.picture(way.values, centred=True)) for way in ways[1:]]
    panels += [
        ("occlusion", see.lit(image, covered.heat)),
        (f"Grad-CAM at {camera.layer}", see.lit(image, camera.values)),
    ]
    return {
        "ways": see.panels(panels, columns=3, title=f"which pixels make it say {said}"),
        "occlusion": covered.figure(),
        "grad_cam": camera.figure(),
    }


def single_units(subject: Subject, out: Path) -> dict[str, Any]:
    """The strongest unit of every layer: what it sees, and its projection; and the first convolution's in numbers."""
    network, image = subject.network, subject.image
    seen = [see.receptive_field(network, image, layer=layer) for layer in subject.layers]
    projected = [see.deconvnet(network, image, layer=layer) for layer in subject.layers]
    panels = [(f"{one.layer} {list(one.unit)}", one.picture) for one in seen]
    panels += [("its projection", see.picture(one.values, centred=True)) for one in projected]
    work = see.show_the_work(network, image)
    print(work.text())
    (out / "work.txt").write_text(work.text(most=len(work.channels)) + "\n", encoding="utf-8")
    (out / "work.html").write_text(work.html(), encoding="utf-8")
    title = "what the strongest unit of each layer sees, and what it makes of it"
    return {"units": see.panels(panels, columns=len(seen), title=title), "work": work.figure()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=("digits", "photograph"))
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
    parser.add_argument("--weights", type=Path, help="digits: a checkpoint of examples/mnist.py cnn")
    parser.add_argument("--limit", type=count, default=10_000, help="digits without --weights: images to train on")
    parser.add_argument(
        "--image", default="coffee", help=f"photograph: a file, or one of {', '.join(PHOTOGRAPHS)} (default: coffee)"
    )
    args = parser.parse_args()
    see.grid()  # if matplotlib is missing, say so before the work
    autograd.manual_seed(1)
    subject = digits(args.weights, args.limit) if args.subject == "digits" else photographs(args.image)
    args.out.mkdir(parents=True, exist_ok=True)
    figures = {"depth": see.depth(subject.network, subject.image, subject.layers)}
    for look in (what_it_learned, why_it_says_so):
        figures |= look(subject)
    figures |= single_units(subject, args.out)
    for name, figure in figures.items():
        figure.savefig(args.out / f"{name}.png", dpi=110)
    print(f"pictures: {', '.join(f'{name}.png' for name in figures)}, work.txt and work.html in {args.out}/")


if __name__ == "__main__":
    run(main)
