"""The revolution of depth: deeper networks, fewer mistakes, and what that costs.

Depth, parameters and multiply-adds are measured on the networks as `vision.models` builds them; the errors on ImageNet
(top 5: the right class is not among the first five) are those that the papers state.

    python examples/revolution_of_depth.py --out out
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nn
from autograd.errors import AutogradError
from vision import models, see
from vision.see.figures import ACCENT, INK

PLATE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}  # so that words are read across bars


@dataclass(frozen=True)
class Entry:
    """A network, its year, the error that was published (%), and where."""

    name: str
    year: int
    build: Callable[[], nn.Module]
    pixels: int
    error: float
    source: str


COMPETITION = (  # several networks asked together, as they took part
    Entry("AlexNet", 2012, lambda: models.alexnet("paper"), 227, 15.3, "Krizhevsky et al. 2012, table 2"),
    Entry("ZFNet", 2013, models.zfnet, 224, 14.8, "Zeiler & Fergus 2013, table 2"),
    Entry("VGG", 2014, lambda: models.vgg("E"), 224, 7.3, "Simonyan & Zisserman 2014, table 7"),
    Entry("GoogLeNet", 2014, lambda: models.googlenet("paper"), 224, 6.67, "Szegedy et al. 2014, table 2"),
    Entry("ResNet", 2015, lambda: models.resnet(152, "paper"), 224, 3.57, "He et al. 2015, table 5"),
)
ALONE = (  # one network, ten crops of each image
    Entry("VGG-16", 2014, lambda: models.vgg("D"), 224, 9.33, "He et al. 2015, table 3"),
    Entry("GoogLeNet", 2014, lambda: models.googlenet("paper"), 224, 9.15, "He et al. 2015, table 3"),
    Entry("ResNet-34", 2015, lambda: models.resnet34(), 224, 7.46, "He et al. 2015, table 3 (B)"),
    Entry("ResNet-50", 2015, lambda: models.resnet(50, "paper"), 224, 6.71, "He et al. 2015, table 3"),
    Entry("ResNet-101", 2015, lambda: models.resnet(101, "paper"), 224, 6.05, "He et al. 2015, table 3"),
    Entry("ResNet-152", 2015, lambda: models.resnet(152, "paper"), 224, 5.71, "He et al. 2015, table 3"),
)


def measured(entry: Entry) -> nn.Summary:
    return nn.summary(entry.build(), (1, 3, entry.pixels, entry.pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture (default: out)")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    figure, axes = see.grid(1, 2, 11.0, 4.4)

    bars, line = axes[0, 0], axes[0, 0].twinx()
    depths = []
    for place, entry in enumerate(COMPETITION):
        table = measured(entry)
        depths.append(table.depth)
        print(report(entry, table))
        bars.bar(place, entry.error, color=ACCENT, alpha=0.4, width=0.6)
        bars.text(place, entry.error + 0.3, f"{entry.error:g} %", ha="center", fontsize=9)
        line.annotate(f"{table.depth} layers", (place, table.depth), (0, 7), textcoords="offset points", ha="center",
                      fontsize=9, weight="bold", bbox=PLATE)  # fmt: skip
    line.plot(range(len(depths)), depths, color=INK, marker="o", markersize=4)
    bars.set_xticks(range(len(depths)), [f"{entry.name}\n{entry.year}" for entry in COMPETITION])
    bars.set(ylabel="top-5 error on ImageNet (bars)", ylim=(0, 20), title="the competition's networks")
    line.set(ylabel="layers with weights (line)", ylim=(0, 172))

    ax = axes[0, 1]
    for entry in ALONE:
        table = measured(entry)
        print(report(entry, table))
        ax.scatter(table.multiply_adds / 1e9, entry.error, s=4 * table.parameters / 1e6, color=ACCENT, alpha=0.6)
        ax.annotate(f"{entry.name}\n{table.depth} layers, {table.parameters / 1e6:.0f} M", (table.multiply_adds / 1e9,
                    entry.error), (0, 14), textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    ax.set(xlabel="multiply-adds for one image, billions", ylabel="top-5 error of one network, %",
           title="what it costs; a disc's area: parameters", xlim=(0, 18), ylim=(5, 10.3))  # fmt: skip
    ax.grid(alpha=0.3)
    figure.savefig(out / "revolution_of_depth.png", dpi=110)
    print(f"picture: {out / 'revolution_of_depth.png'}")


def report(entry: Entry, table: nn.Summary) -> str:
    size = f"{table.parameters / 1e6:6.1f} M parameters, {table.multiply_adds / 1e9:5.2f} G multiply-adds"
    return f"{entry.name:<10} {entry.year}  {table.depth:>3} layers, {size}, {entry.error:5.2f} % ({entry.source})"


if __name__ == "__main__":
    try:
        main()
    except (AutogradError, OSError) as error:
        raise SystemExit(f"revolution_of_depth.py: {error}") from None
