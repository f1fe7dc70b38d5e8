"""What a paper states about a network, held against the network."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autograd.errors import DomainError

if TYPE_CHECKING:
    from nn.summary import Row

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
NUMBER = re.compile(r"([\d,]+(?:\.(\d+))?) ?([KMG]?)")

Figures = Mapping[str, Mapping[str, str | tuple[str, str]]]


@dataclass(frozen=True)
class Figure:
    """One stated figure beside the one found; `why` explains a difference that is known."""

    path: str
    quantity: str
    stated: str
    found: str
    agrees: bool
    why: str

    def __str__(self) -> str:
        words = self.stated if self.quantity == "output" else f"{self.quantity} {self.stated}"
        return words if self.agrees else f"≠ {words}"


@dataclass(frozen=True)
class Published:
    """The figures of a publication, as printed there, about one sample of shape `input` (C H W).

    `figures`: by module path ("" is the network) and quantity: "output" (as 55×55×96), "neurons", "parameters",
    "weights", "biases", "multiply-adds", "connections" (multiply-adds and additions of biases), "receptive field"
    (pixels), "depth" (layers with weights). "11.3 G" is right if the number rounds to it, "1,516" or "96·11·11·3" if
    it is equal.
    A figure that is known to be otherwise is a pair: the figure, and why.
    """

    source: str
    input: tuple[int, ...]
    figures: Figures

    def compare(self, rows: Sequence[Row]) -> list[Figure]:
        """Return the figures of all modules that ran, in the order of the table.

        Raises:
            DomainError: for a path or quantity that does not exist.
        """
        missing = [path for path in self.figures if not any(row.path == path for row in rows)]
        if missing:
            raise DomainError(
                f"summary: figures were published for {missing}, but no such module ran; correct the path"
            )
        return [
            _figure(path, quantity, stated, rows)
            for path, figures in self.figures.items()
            for quantity, stated in figures.items()
        ]


def _figure(path: str, quantity: str, stated: str | tuple[str, str], rows: Sequence[Row]) -> Figure:
    text, why = (stated, "") if isinstance(stated, str) else stated
    found = _found(quantity, path, rows)
    if isinstance(found, str):
        return Figure(path, quantity, text, found, found == text, why)
    return Figure(path, quantity, text, f"{found:,}", _rounds_to(found, text), why)


def _rounds_to(found: int, text: str) -> bool:
    """Whether a number, rounded as the text is, is the text's.

    >>> _rounds_to(60_192_808, "60.2 M"), _rounds_to(60_965_224, "60 M"), _rounds_to(1200, "16·3·5·5")
    (True, False, True)
    """
    if "·" in text:
        return found == math.prod(map(int, text.split("·")))
    match = NUMBER.fullmatch(text)
    if match is None:
        raise DomainError(
            f'summary: the published figure {text!r} is no number; write it as "1,516", "60K" or "11.3 G"'
        )
    number, decimals, unit = match.groups()
    step = UNITS[unit] / 10 ** len(decimals or "")
    return abs(found - float(number.replace(",", "")) * UNITS[unit]) <= (step / 2 if unit else 0)


def _found(quantity: str, path: str, rows: Sequence[Row]) -> int | str:
    """The quantity of the module at a path, with all modules inside it."""
    row = next(row for row in rows if row.path == path)
    inside = [row for row in rows if row.path == path or not path or row.path.startswith(f"{path}.")]
    samples, *shape = row.output_shape
    if quantity == "output":
        return "×".join(map(str, [*shape[1:], shape[0]]))
    if quantity == "receptive field":
        return int(row.receptive_field.size[0]) if row.receptive_field else "unknown"
    weights, biases = sum(row.weights for row in inside), sum(row.biases for row in inside)
    products = sum(row.multiply_adds for row in inside) // samples
    quantities = {
        "neurons": math.prod(shape),
        "parameters": weights + biases,
        "weights": weights,
        "biases": biases,
        "multiply-adds": products,
        "connections": products + sum(math.prod(row.output_shape[1:]) for row in inside if row.biases),
        "depth": row.depth,
    }
    if quantity not in quantities:
        raise DomainError(
            f"summary: figures of {path!r} have {quantity!r}, expected output, receptive field, {', '.join(quantities)}"
        )
    return int(quantities[quantity])
