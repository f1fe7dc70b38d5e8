"""Writes the tables of docs/models.md, what papers state and what is: `python docs/generate_models.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nn
from nn.published import Published
from nn.summary import Figure, Summary
from vision import models
from vision.models.network import Network

PAGE = Path(__file__).parent / "models.md"

NETWORKS: dict[str, Callable[[], Network]] = {
    "neocognitron()": models.neocognitron,
    'lenet5("paper")': lambda: models.lenet5("paper"),
    'alexnet("paper")': lambda: models.alexnet("paper"),
    'alexnet("lecture")': lambda: models.alexnet("lecture"),
    'zfnet("a")': lambda: models.zfnet("a"),
    'zfnet("b")': lambda: models.zfnet("b"),
    'vgg("A")': lambda: models.vgg("A"),
    'vgg("A-LRN")': lambda: models.vgg("A-LRN"),
    'vgg("B")': lambda: models.vgg("B"),
    'vgg("C")': lambda: models.vgg("C"),
    'vgg("D")': lambda: models.vgg("D"),
    'vgg("E")': lambda: models.vgg("E"),
    'googlenet("paper")': lambda: models.googlenet("paper"),
    'resnet18("paper")': lambda: models.resnet18("paper"),
    'resnet34("paper")': lambda: models.resnet34("paper"),
    'resnet50("paper")': lambda: models.resnet50("paper"),
    'resnet101("paper")': lambda: models.resnet101("paper"),
    'resnet152("paper")': lambda: models.resnet152("paper"),
    "resnet50()": models.resnet50,
    "squeezenet1_0()": models.squeezenet1_0,
    "squeezenet1_1()": models.squeezenet1_1,
}

MARK = "<!-- What follows is made by `python docs/generate_models.py`. -->"

TOTALS = """
## Sizes

Multiply-adds are those of one image, parameters those that run in evaluation; depth is the longest way through the
network, in layers with weights.

| network | input | parameters | multiply-adds | depth |
|---|---|---|---|---|"""

DIFFERENCES = """
## Where papers say otherwise

Each figure that the networks do not meet, and why; all others below are met.

| network | layer | figure | stated | found | why |
|---|---|---|---|---|---|"""


def measured() -> dict[str, tuple[Published, Summary]]:
    """What is stated about each network, and what it is."""
    tables = {}
    for call, build in NETWORKS.items():
        network = build()
        assert network.published is not None
        tables[call] = network.published, nn.summary(network, (1, *network.published.input))
    return tables


def cell(figure: Figure) -> str:
    return str(figure) if figure.agrees else f"{figure} (found {figure.found})"


def ledger(call: str, source: str, table: Summary) -> list[str]:
    """One network's figures, a line for each layer."""
    stated: dict[str, list[str]] = {}
    for figure in table.published:
        stated.setdefault(figure.path, []).append(cell(figure))
    kinds = {row.path: row.type for row in table.rows}
    lines = [f"## {call}", "", f"{source}.", "", "| layer | type | stated |", "|---|---|---|"]
    return [
        *lines,
        *(f"| {path or 'all'} | {kinds[path]} | {'; '.join(words)} |" for path, words in stated.items()),
        "",
    ]


def page(tables: dict[str, tuple[Published, Summary]]) -> str:
    """The page: what stands there by hand, and what follows from the networks."""
    totals, differences, ledgers = [TOTALS], [DIFFERENCES], [""]
    for call, (published, table) in tables.items():
        channels, height, width = published.input
        counts = f"{table.parameters:,} | {table.multiply_adds:,} | {table.depth}"
        totals.append(f"| `{call}` | {height}×{width}×{channels} | {counts} |")
        for figure in table.published:
            if not figure.agrees:
                cells = (f"`{call}`", figure.path or "all", figure.quantity, figure.stated, figure.found, figure.why)
                differences.append(f"| {' | '.join(cells)} |")
        ledgers += ledger(f"`{call}`", published.source, table)
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    return by_hand + MARK + "\n" + "\n".join([*totals, *differences, *ledgers])


if __name__ == "__main__":
    PAGE.write_text(page(measured()), encoding="utf-8")
    print(f"{PAGE}: {len(NETWORKS)} networks")
