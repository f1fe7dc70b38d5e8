"""How drawings look: one table that the DOT writer, its legend and the page read.

The colours are Okabe and Ito's, which colour-blind readers tell apart; fills are light tints of them, so that black
text reads; and every kind has a shape or outline of its own, so that a black-and-white print says the same.
Source: M. Okabe, K. Ito, Color Universal Design, 2008.
"""

from __future__ import annotations

from dataclasses import dataclass

# The two have the same widths, and one of them is on nearly every machine: text fits wherever a file is opened.
FONT = "DejaVu Sans,Verdana,sans-serif"

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
TEXT, FAINT, PALE = "#222222", "#666666", "#F5F5F5"


def mixed(colour: str, other: str, share: float) -> str:
    """The colour with ``share`` (0 to 1) of the other mixed in.

    >>> mixed("#000000", "#ffffff", 0.5)
    '#808080'
    """
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def ramp(colours: tuple[str, ...], place: float) -> str:
    """The colour at ``place`` (0 to 1) of a scale that runs through ``colours``.

    >>> ramp(("#000000", "#ffffff"), 1.0)
    '#ffffff'
    """
    at = min(max(place, 0.0), 1.0) * (len(colours) - 1)
    low = min(int(at), len(colours) - 2)
    return mixed(colours[low], colours[low + 1], at - low)


@dataclass(frozen=True, slots=True)
class Look:
    """How boxes of one kind look, in Graphviz's words, and what the legend calls them."""

    word: str
    shape: str
    fill: str
    line: str
    style: str = "filled"
    width: float = 1.0
    outlines: int = 1


@dataclass(frozen=True, slots=True)
class Stroke:
    """How edges of one kind look, in Graphviz's words, and what the legend calls them."""

    word: str
    colour: str
    style: str = "solid"
    width: float = 1.0
    arrow: str = "normal"


BOXES = {
    "data": Look("data", "ellipse", mixed("#ffffff", SKY, 0.30), BLUE),
    "parameter": Look("weights, biases", "cylinder", mixed("#ffffff", GREEN, 0.22), "#00664B"),
    "constant": Look("constant", "note", "#EEEEEE", FAINT),
    "operation": Look("operation", "box", mixed("#ffffff", YELLOW, 0.30), "#7A7200", "filled,rounded"),
    "module": Look("module", "box3d", mixed("#ffffff", PURPLE, 0.28), "#8A3A66"),
    "state": Look("state", "box", mixed("#ffffff", ORANGE, 0.35), "#A66F00", "filled,rounded", 2.2),
    "output": Look("output", "ellipse", mixed("#ffffff", BLUE, 0.22), BLUE, outlines=2),
    "loss": Look("loss", "octagon", mixed("#ffffff", VERMILLION, 0.28), VERMILLION, width=1.6),
    "cut": Look("gradients stop here", "box", "#ffffff", BLACK, "filled,dashed"),
    "more": Look("left out", "plain", "#ffffff", FAINT, "dotted"),
}

EDGES = {
    "data": Stroke("value", "#444444"),
    "parameter": Stroke("a weight's use", "#00664B", "dashed", 0.8, "vee"),
    "state": Stroke("state, to the next step", "#A66F00", width=2.2),
    "cut": Stroke("value without a gradient", BLACK, "dotted", 1.4, "normalteetee"),
}
GRADIENT = VERMILLION

# Dark is low: scales from low to high that grow steadily lighter, and one around zero.
VALUES = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
SIGNED = (BLUE, "#ffffff", VERMILLION)
MISSING = PURPLE  # not a number


def look(kind: str) -> Look:
    """How boxes of this kind look; those of a kind unknown here look like operations."""
    return BOXES.get(kind, BOXES["operation"])


def stroke(kind: str) -> Stroke:
    """How edges of this kind look; those of a kind unknown here look like data."""
    return EDGES.get(kind, EDGES["data"])
