"""summary: what a network consists of, as a table: shapes, parameters, multiply-adds, receptive fields."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import autograd
from autograd import Tensor
from autograd.errors import DTypeError, ShapeError
from nn.flow import Flow, Seen
from nn.measure import Field, multiply_adds, receptive_field
from nn.module import Module
from nn.published import Figure, Published
from nn.session import evaluating
from nn.utils.rnn import PackedSequence

__all__ = ["Field", "Figure", "Published", "Row", "Summary", "multiply_adds", "receptive_field", "summary"]


@dataclass(frozen=True)
class Row:
    """One call of a module: where, what, what came out, what it learns, costs and sees (None if not defined).

    `depth` is the longest way from an input to its output, in layers with weights.
    """

    path: str
    type: str
    output_shape: Any
    weights: int
    biases: int
    multiply_adds: int
    receptive_field: Field | None
    depth: int
    leaf: bool


@dataclass(frozen=True)
class Summary:
    """The table: `rows` as data, totals, and `str()` as aligned text. Shared parameters count once.

    `published`: what was stated about the network, beside what was found (`nn.published`).
    """

    rows: list[Row]
    weights: int
    biases: int
    trainable: int
    multiply_adds: int
    published: list[Figure]

    @property
    def depth(self) -> int:
        """The longest way through the network, in layers with weights."""
        return self.rows[0].depth

    @property
    def parameters(self) -> int:
        """Weights and biases together."""
        return self.weights + self.biases

    def __str__(self) -> str:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="none")
        for title in ("layer", "type", "output"):
            table.add_column(title, no_wrap=True)
        for title in ("weights", "biases", "multiply-adds", "receptive field / stride"):
            table.add_column(title, justify="right", no_wrap=True)
        if self.published:
            table.add_column("published", no_wrap=True)
        for row in self.rows:
            numbers = [f"{n:,}" if n else "-" for n in (row.weights, row.biases, row.multiply_adds)]
            field = str(row.receptive_field) if row.receptive_field else "-"
            stated = ", ".join(str(figure) for figure in self.published if figure.path == row.path)
            table.add_row(row.path or "(root)", row.type, _words(row.output_shape), *numbers, field, stated)
        numbers = [f"{n:,}" for n in (self.weights, self.biases, self.multiply_adds)]
        table.add_row(
            "total", "", f"{self.parameters:,} parameters, {self.trainable:,} trainable", *numbers, "", end_section=True
        )
        console = Console(file=io.StringIO(), width=1000, color_system=None)
        console.print(table, markup=False)
        return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]

    __repr__ = __str__


def summary(model: Module, inputs: Any, dtype: Any = None) -> Summary:
    """Run the model once, without training it, and return a table of what happened in which module.

    Args:
        model: the network; its modes are left as they are, but the run is in evaluation mode.
        inputs: the shape of one input, N included (zeros are used), a tensor or packed batch, or a sequence of such.
        dtype: element type of inputs given by their shape.

    Raises:
        DTypeError: if `model` is no module, or an input neither a shape nor a tensor.
        ShapeError: if a size is negative, or the model does not take the shape.

    Biases are the parameters named `bias…`, weights the others. Multiply-adds are those of linear, convolutional
    and recurrent layers. Receptive fields (pixels) are followed from the input, across branches too; "-" behind what
    sees everything or is not known. What a network has `published` is a column, with "≠" where it is otherwise.

    >>> from nn import Conv2d, MaxPool2d, Sequential
    >>> print(summary(Sequential(Conv2d(3, 6, 5), MaxPool2d(2)), (1, 3, 32, 32)))
    layer   type        output                             weights  biases  multiply-adds  receptive field / stride
    (root)  Sequential  (1, 6, 14, 14)                           -       -              -               6×6 / 2×2
    0       Conv2d      (1, 6, 28, 28)                         450       6        352,800               5×5 / 1×1
    1       MaxPool2d   (1, 6, 14, 14)                           -       -              -               6×6 / 2×2
    total               456 parameters, 456 trainable          450       6        352,800
    """
    if not isinstance(model, Module):
        raise DTypeError(f"summary: model is a {type(model).__name__} → pass an nn.Module")
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else "cpu"
    dtype = dtype or (parameter.dtype if parameter is not None else None)
    one = _is_shape(inputs) or isinstance(inputs, PackedSequence) or not isinstance(inputs, (list, tuple))
    several = [inputs] if one else inputs
    for x in several:
        _check(x, inputs)
    given = [autograd.zeros(x, dtype=dtype, device=device) if _is_shape(x) else x for x in several]
    return _Recorder(model, given).run()


class _Recorder:
    """Watches one run by hooks on every module; the run is recorded, so that branches can be followed."""

    def __init__(self, model: Module, inputs: list[Any]) -> None:
        self.model = model
        self.inputs = [_leaf(x) if isinstance(x, Tensor) and x.dtype.kind == "f" else x for x in inputs]
        self.rows: list[Row] = []
        self.open: list[int] = []  # places in rows of the modules that are running: parents stand before children
        self.counted: set[int] = set()
        self.flow = Flow(self.inputs)

    def run(self) -> Summary:
        handles = []
        for path, module in self.model.named_modules():
            handles += [module.register_forward_pre_hook(self._enter), module.register_forward_hook(self._leave(path))]
        try:
            with evaluating(self.model), autograd.enable_grad():
                self.model(*self.inputs)
        finally:
            for handle in handles:
                handle.remove()
        trainable = sum(p.size for p in self.model.parameters() if p.requires_grad)
        weights, biases = (sum(getattr(row, name) for row in self.rows) for name in ("weights", "biases"))
        published = getattr(self.model, "published", None)
        figures = published.compare(self.rows) if published else []
        return Summary(self.rows, weights, biases, trainable, sum(row.multiply_adds for row in self.rows), figures)

    def _enter(self, module: Module, args: tuple[Any, ...]) -> None:
        self.open.append(len(self.rows))
        self.rows.append(Row("", "", None, 0, 0, 0, None, 0, True))

    def _leave(self, path: str) -> Any:
        def hook(module: Module, args: tuple[Any, ...], output: Any) -> None:
            self.rows[self.open.pop()] = self._row(path, module, args, output)

        return hook

    def _row(self, path: str, module: Module, args: tuple[Any, ...], output: Any) -> Row:
        own = [(name, p) for name, p in module.named_parameters(recurse=False) if id(p) not in self.counted]
        self.counted.update(id(p) for _, p in own)
        biases = sum(p.size for name, p in own if name.startswith("bias"))
        weights = sum(p.size for _, p in own) - biases
        cost, seen = 0, Seen(None, 0)
        x, out = _first(args), _first(output)
        leaf = next(module.children(), None) is None
        if x is not None and out is not None:
            cost = multiply_adds(module, tuple(x.shape), tuple(out.shape))
            seen = self.flow.through(module, x, out, leaf, cost > 0)
        return Row(path, type(module).__name__, _shapes(output), weights, biases, cost, seen.field, seen.depth, leaf)


def _leaf(x: Tensor) -> Tensor:
    """The same values at the beginning of a graph."""
    x = x.detach()
    x.requires_grad = True
    return x


def _is_shape(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and all(isinstance(size, int) for size in x)


def _check(x: Any, inputs: Any) -> None:
    if _is_shape(x):
        if min(x, default=0) < 0:
            raise ShapeError(f"summary: inputs has the shape {tuple(x)} → give sizes of 0 or more")
    elif isinstance(x, (list, tuple)) and not isinstance(x, PackedSequence):
        for part in x:  # as the states of an LSTM
            _check(part, inputs)
    elif not isinstance(x, (Tensor, PackedSequence)) and x is not None:
        what = f"an array of shape {inputs.shape}" if hasattr(inputs, "shape") else repr(inputs)
        raise DTypeError(
            f"summary: inputs is {what} → give a shape such as (1, 3, 32, 32), a tensor, or a list of such"
        )


def _first(values: Any) -> Tensor | None:
    """The tensor that a module's arguments or outputs begin with, however deep."""
    while isinstance(values, (tuple, list)) and values:
        values = values[0]
    return values if isinstance(values, Tensor) else None


def _shapes(output: Any) -> Any:
    if isinstance(output, (Tensor, PackedSequence)):
        return tuple(output.data.shape)
    return tuple(_shapes(part) for part in output) if isinstance(output, (tuple, list)) else None


def _words(shape: Any) -> str:
    return "-" if shape is None else str(shape)
