"""Show the work: how one output pixel of a convolution comes about, in numbers, as text, as a picture and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

import nn
from autograd import Tensor
from autograd.errors import DomainError, IndexingError
from nn.conv import PADDING_MODES
from nn.measure import Field, receptive_field
from vision.see.figures import INK, grid
from vision.see.layers import convolutions
from vision.see.run import answers, batch, layer_at, numbers, unit_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """body { font: 14px sans-serif; margin: 2em; color: #1b1b1b } td { text-align: center; padding: 3px 6px }
table { border-collapse: collapse; font: 12px monospace } .row { display: flex; align-items: center; gap: 1em }
h3 { margin: 1.2em 0 .4em } .outside { outline: 1px dashed #999; outline-offset: -3px } p { font: 15px monospace }"""


@dataclass(frozen=True)
class Work:
    """The numbers behind one output pixel: `patch`, `weights` and `products`, `C R S`, sum, bias, and what follows.

    `channels` are the input's maps that the filter reaches; `rows` and `columns` of it lie under the filter, those that
    are negative or too large beyond the edge. `then`: the layers that follow place by place, and their values.
    """

    layer: str
    unit: tuple[int, int, int]
    channels: range
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    outside: np.ndarray
    patch: np.ndarray
    weights: np.ndarray
    bias: float
    then: tuple[tuple[str, float], ...]

    @property
    def products(self) -> np.ndarray:
        """Each number of the patch times its weight."""
        return self.patch * self.weights

    @property
    def sum(self) -> float:
        """All products together."""
        return float(self.products.sum())

    @property
    def total(self) -> float:
        """The sum and the bias: what the convolution answers."""
        return self.sum + self.bias

    def text(self, most: int = 3) -> str:
        """The work as text, for the `most` maps that matter most, the others as one line."""
        lines = [self._title()]
        shown, others = self._shown(most)
        for c in shown:
            lines.append(f"map {self.channels[c]}:")
            for patch, weights in zip(self.patch[c], self.weights[c], strict=True):
                lines.append("    " + "  ".join(f"{p:z7.2f}·{w:+z6.3f}" for p, w in zip(patch, weights, strict=True)))
            lines.append(f"    together {self.products[c].sum():+.4f}")
        if others:
            lines.append(f"{len(others)} other maps together {self.products[others].sum():+.4f}")
        return "\n".join([*lines, *(f"{name:<8} {value:+.4f}" for name, value in self._steps())])

    def figure(self, most: int = 3) -> Figure:
        """The work as a picture: a row for each of the `most` maps that matter most: patch, filter, products."""
        shown, others = self._shown(most)
        count, height, width = len(shown), len(self.rows), len(self.columns)
        figure, axes = grid(count, 3, 3 * max(2.2, 0.5 * width), count * max(2.0, 0.5 * height) + 1.2)
        scales = [(self.patch, "the patch"), (self.weights, "× the filter"), (self.products, "= the products")]
        for row, c in zip(axes, shown, strict=True):
            for ax, (values, name) in zip(row, scales, strict=True):
                bound = np.abs(values).max(initial=1e-12)
                ax.imshow(values[c], cmap="RdBu_r", vmin=-bound, vmax=bound)
                for i, j in np.ndindex(height, width):
                    color = "white" if abs(values[c, i, j]) > 0.7 * bound else INK
                    ax.text(j, i, f"{values[c, i, j]:z.2f}", ha="center", va="center", fontsize=7, color=color)
                ax.set(xticks=range(width), yticks=range(height))
                ax.set_xticklabels(self.columns, fontsize=6)
                ax.set_yticklabels(self.rows, fontsize=6)
                ax.set_title(name if values is not self.patch else f"{name} of map {self.channels[c]}", fontsize=9)
        rest = f", {len(others)} other maps {self.products[others].sum():+.3f}" if others else ""
        steps = ", ".join(f"{name} {value:+.3f}" for name, value in self._steps())
        figure.suptitle(f"{self._title()}{rest}\n{steps}", fontsize=9)
        return figure

    def html(self, most: int = 8) -> str:
        """The work as a page of its own, for the `most` maps that matter most; dashed is what lies beyond the edge."""
        shown, others = self._shown(most)
        parts = [f"<h2>{escape(self._title())}</h2>"]
        for c in shown:
            together = f"= {self.products[c].sum():+.4f}"
            tables = [_table(values[c], np.abs(values).max(initial=1e-12)) for values in (self.weights, self.products)]
            patch = _table(self.patch[c], np.abs(self.patch).max(initial=1e-12), self.outside)
            row = f"{patch}<span>×</span>{tables[0]}<span>=</span>{tables[1]}<span>{together}</span>"
            parts.append(f'<h3>map {self.channels[c]}</h3><div class="row">{row}</div>')
        if others:
            parts.append(f"<p>{len(others)} other maps together {self.products[others].sum():+.4f}</p>")
        parts += [f"<p>{escape(name)} {value:+.4f}</p>" for name, value in self._steps()]
        title = escape(f"The work of {self.layer}")
        head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'

    def _title(self) -> str:
        k, p, q = self.unit
        over = f"rows {self.rows[0]} to {self.rows[-1]}, columns {self.columns[0]} to {self.columns[-1]}"
        maps = "1 map" if len(self.channels) == 1 else f"{len(self.channels)} maps"
        return f"{self.layer or 'convolution'}: filter {k} at ({p}, {q}), over {over} of {maps}"

    def _shown(self, most: int) -> tuple[list[int], list[int]]:
        """The maps whose products are largest, in their order, and the others."""
        strongest = np.argsort(-np.abs(self.products).sum((1, 2)), kind="stable")
        return sorted(strongest[:most].tolist()), sorted(strongest[most:].tolist())

    def _steps(self) -> list[tuple[str, float]]:
        return [("sum", self.sum), ("bias", self.bias), ("total", self.total), *self.then]


def show_the_work(model: nn.Module, image: Any, layer: str | None = None, unit: Sequence[int] | None = None) -> Work:
    """Take one output pixel of a convolution apart: out[k, p, q] = b[k] + Σ_crs w[k, c, r, s] · patch[c, r, s].

    Args:
        model: any network for images; it runs in evaluation mode and stays as it was.
        image: `C H W` or `1 C H W`, floating numbers, prepared as for training.
        layer: a Conv2d's path; the first one if None.
        unit: filter, row and column of the output pixel; the strongest if None.

    Raises: as `saliency`; `DomainError` for a layer that is no Conv2d.

    >>> conv = nn.Conv2d(1, 1, 2)
    >>> _ = nn.init.ones_(conv.weight), nn.init.zeros_(conv.bias)
    >>> print(show_the_work(conv, np.array([[[1.0, 2.0], [3.0, 4.0]]])).text())
    convolution: filter 0 at (0, 0), over rows 0 to 1, columns 0 to 1 of 1 map
    map 0:
           1.00·+1.000     2.00·+1.000
           3.00·+1.000     4.00·+1.000
        together +10.0000
    sum      +10.0000
    bias     +0.0000
    total    +10.0000
    """
    op = "show_the_work"
    x = batch(op, model, image)
    if layer is None:
        layer = next(iter(convolutions(model)), "")
    conv = layer_at(op, model, layer)
    if not isinstance(conv, nn.Conv2d):
        near = ", ".join(map(repr, convolutions(model)[:12])) or "none in this network"
        raise DomainError(f"{op}: layer {layer!r} is a {type(conv).__name__}, expected a Conv2d → one of {near}")
    calls: list[tuple[str, nn.Module, Any, Any]] = []
    handles = [
        module.register_forward_hook(lambda module, args, out, path=path: calls.append((path, module, args[0], out)))
        for path, module in model.named_modules()
        if next(module.children(), None) is None
    ]
    try:
        answers(op, model, x, [layer], record=False)
    finally:
        for handle in handles:
            handle.remove()
    place = max(i for i, call in enumerate(calls) if call[1] is conv)
    maps, out = calls[place][2:]
    maps, out = (value if value.ndim == 4 else value[None] for value in (maps, out))
    index = unit_at(op, layer, out, unit)
    if len(index) != 3:
        raise IndexingError(f"{op}: unit is {unit!r}, expected filter, row and column → (k, p, q)")
    return _work(conv, layer, numbers(maps)[0], index, tuple(_following(calls[place:], index)))


def _work(conv: nn.Conv2d, layer: str, maps: np.ndarray, index: tuple[int, ...], then: tuple[Any, ...]) -> Work:
    k, *place = index
    weights = numbers(conv.weight)[k]
    first = k // (conv.out_channels // conv.groups) * len(weights)
    channels = range(first, first + len(weights))
    geometry = zip(place, conv.stride, conv.dilation, conv.kernel_size, conv.margins, maps.shape[1:], strict=True)
    rows, columns = (
        (tuple(p * step + r * apart - before for r in range(size)), extent)
        for p, step, apart, size, (before, _), extent in geometry
    )
    beyond = [np.array([not 0 <= i < extent for i in under]) for under, extent in (rows, columns)]
    source = PADDING_MODES.get(conv.padding_mode, lambda i, n: min(max(i, 0), n - 1))
    inside = [[source(i, extent) for i in under] for under, extent in (rows, columns)]
    patch = maps[first : first + len(weights)][:, inside[0]][:, :, inside[1]]
    outside = beyond[0][:, None] | beyond[1]
    if conv.padding_mode == "zeros":
        patch = np.where(outside, 0, patch)
    bias = 0.0 if conv.bias is None else float(numbers(conv.bias)[k])
    k, p, q = index
    patch, weights = patch.astype(np.float64), weights.astype(np.float64)
    return Work(layer, (k, p, q), channels, rows[0], columns[0], outside, patch, weights, bias, then)


def _following(calls: Sequence[tuple[str, nn.Module, Any, Any]], index: tuple[int, ...]) -> list[tuple[str, float]]:
    """The layers after a convolution that take its answer on, each place for itself."""
    one = Field((1, 1), (1, 1), (0, 0))
    value, found = calls[0][3], []
    for path, module, x, out in calls[1:]:
        if x is not value or receptive_field(module, one) is not one:  # the same object: nothing was added to it
            continue
        value = out
        assert isinstance(out, Tensor)
        found.append(
            (f"{type(module).__name__} ({path})", float((out if out.ndim == 4 else out[None])[0][index].item()))
        )
    return found


def _table(values: np.ndarray, bound: float, outside: np.ndarray | None = None) -> str:
    """Numbers on a ground that is red above 0 and blue below."""
    rows = []
    for i, row in enumerate(values):
        cells = []
        for j, value in enumerate(row):
            colour = f"rgba({'214,96,77' if value > 0 else '67,147,195'},{abs(value) / bound:.2f})"
            dashed = ' class="outside"' if outside is not None and outside[i, j] else ""
            cells.append(f'<td{dashed} style="background:{colour}">{value:z.2f}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"
