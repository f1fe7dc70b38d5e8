"""summary: what a network consists of, as a table: shapes, parameters, multiply-adds, receptive fields."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple

import autograd
from autograd import Tensor
from nn.activation import Activation, PReLU
from nn.conv import Convolution, TransposedConvolution
from nn.dropout import DropoutBase
from nn.linear import Identity, Linear
from nn.module import Module
from nn.norm import BatchNorm, LocalResponseNorm
from nn.pooling import AvgPool, MaxPool
from nn.recurrent import RNNBase, RNNCellBase
from nn.session import evaluating
from nn.utils.rnn import PackedSequence

Shape = tuple[int, ...]


class Field(NamedTuple):
    """What one value of a feature map sees: a patch of `size` input pixels, its neighbour `stride` pixels further."""

    size: Shape
    stride: Shape

    def __str__(self) -> str:
        return f"{_times(self.size)} / {_times(self.stride)}"


@dataclass(frozen=True)
class Row:
    """One call of a module: where, what, what came out, what it learns, costs and sees (None if not defined)."""

    path: str
    type: str
    output_shape: Any
    weights: int
    biases: int
    multiply_adds: int
    receptive_field: Field | None
    leaf: bool


@dataclass(frozen=True)
class Summary:
    """The table: `rows` as data, totals, and `str()` as aligned text. Shared parameters count once."""

    rows: list[Row]
    weights: int
    biases: int
    trainable: int
    multiply_adds: int

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
        for row in self.rows:
            numbers = [f"{n:,}" if n else "-" for n in (row.weights, row.biases, row.multiply_adds)]
            field = str(row.receptive_field) if row.receptive_field else "-"
            table.add_row(row.path or "(root)", row.type, _words(row.output_shape), *numbers, field)
        numbers = [f"{n:,}" for n in (self.weights, self.biases, self.multiply_adds)]
        table.add_row(
            "total", "", f"{self.parameters:,} parameters, {self.trainable:,} trainable", *numbers, "", end_section=True
        )
        console = Console(file=io.StringIO(), width=1000, color_system=None)
        console.print(table, markup=False)
        return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]

    __repr__ = __str__


@singledispatch
def multiply_adds(module: Module, x: Shape, out: Shape) -> int:
    """Return how many multiply-adds a layer does from input to output shape; 0 where it has no products of weights.

    A generic function: `multiply_adds.register(MyLayer)` teaches it a new type.

    >>> from nn import Conv2d
    >>> multiply_adds(Conv2d(3, 6, 5), (1, 3, 32, 32), (1, 6, 28, 28))
    352800
    """
    return 0


@multiply_adds.register
def _(module: Linear, x: Shape, out: Shape) -> int:
    return math.prod(out) * module.in_features


@multiply_adds.register
def _(module: Convolution, x: Shape, out: Shape) -> int:
    return math.prod(out) * math.prod(module.weight.shape[1:])


@multiply_adds.register
def _(module: TransposedConvolution, x: Shape, out: Shape) -> int:
    return math.prod(x) * math.prod(module.weight.shape[1:])


@multiply_adds.register
def _(module: RNNBase | RNNCellBase, x: Shape, out: Shape) -> int:
    weights = sum(p.size for name, p in module.named_parameters() if name.startswith("weight"))
    return math.prod(x[:-1]) * weights  # every weight once for every step of every sequence


@singledispatch
def receptive_field(module: Module, before: Field) -> Field | None:
    """Return what one value of the layer's output sees, given what one of its input sees; None for an unknown layer.

    Layers that work place by place see what their input sees. A kernel of R pixels, `dilation` apart, adds
    dilation · (R − 1) input strides to the size and multiplies the stride (Araujo et al. 2019, eq. 2).

    >>> from nn import MaxPool2d
    >>> print(receptive_field(MaxPool2d(2), Field((5, 5), (1, 1))))
    6×6 / 2×2
    """
    return None


@receptive_field.register(Activation)
@receptive_field.register(PReLU)
@receptive_field.register(DropoutBase)
@receptive_field.register(Identity)
@receptive_field.register(BatchNorm)
@receptive_field.register(LocalResponseNorm)
def _(module: Module, before: Field) -> Field | None:
    return before


@receptive_field.register(Convolution)
@receptive_field.register(MaxPool)
@receptive_field.register(AvgPool)
def _(module: Convolution | MaxPool | AvgPool, before: Field) -> Field | None:
    if len(before.size) != module.dims:  # an image without its batch axis
        return None
    dilation = (1,) * module.dims if isinstance(module, AvgPool) else module.dilation
    spans = [d * (k - 1) for d, k in zip(dilation, module.kernel_size, strict=True)]
    size = tuple(s + span * step for s, span, step in zip(before.size, spans, before.stride, strict=True))
    return Field(size, tuple(a * b for a, b in zip(before.stride, module.stride, strict=True)))


def summary(model: Module, inputs: Any, dtype: Any = None) -> Summary:
    """Run the model once, without training it, and return a table of what happened in which module.

    Args:
        model: the network; its modes are left as they are, but the run is in evaluation mode.
        inputs: the shape of one input, N included (zeros are used), a tensor or packed batch, or a sequence of such.
        dtype: element type of inputs given by their shape.

    Biases are the parameters named `bias…`, weights the others. Multiply-adds are those of linear, convolutional
    and recurrent layers. Receptive fields (pixels) follow chains of modules from the input; "-" after a branch.

    >>> from nn import Conv2d, MaxPool2d, Sequential
    >>> print(summary(Sequential(Conv2d(3, 6, 5), MaxPool2d(2)), (1, 3, 32, 32)))
    layer   type        output                             weights  biases  multiply-adds  receptive field / stride
    (root)  Sequential  (1, 6, 14, 14)                           -       -              -               6×6 / 2×2
    0       Conv2d      (1, 6, 28, 28)                         450       6        352,800               5×5 / 1×1
    1       MaxPool2d   (1, 6, 14, 14)                           -       -              -               6×6 / 2×2
    total               456 parameters, 456 trainable          450       6        352,800
    """
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else "cpu"
    dtype = dtype or (parameter.dtype if parameter is not None else None)
    several = [inputs] if _is_shape(inputs) or isinstance(inputs, (Tensor, PackedSequence)) else list(inputs)
    given = [autograd.zeros(x, dtype=dtype, device=device) if _is_shape(x) else x for x in several]
    return _Recorder(model, given).run()


class _Recorder:
    """Watches one run by hooks on every module."""

    def __init__(self, model: Module, inputs: list[Any]) -> None:
        self.model, self.inputs = model, inputs
        self.rows: list[Row] = []
        self.open: list[int] = []  # places in rows of the modules that are running: parents stand before children
        self.counted: set[int] = set()
        self.fields: dict[
            int, tuple[Tensor, Field | None]
        ] = {}  # by identity; the tensor is held so that it stays unique
        for x in inputs:
            if isinstance(x, Tensor) and x.ndim > 2:
                ones = (1,) * (x.ndim - 2)
                self.fields[id(x)] = (x, Field(ones, ones))

    def run(self) -> Summary:
        handles = []
        for path, module in self.model.named_modules():
            handles += [module.register_forward_pre_hook(self._enter), module.register_forward_hook(self._leave(path))]
        try:
            with evaluating(self.model):
                self.model(*self.inputs)
        finally:
            for handle in handles:
                handle.remove()
        trainable = sum(p.size for p in self.model.parameters() if p.requires_grad)
        weights, biases = (sum(getattr(row, name) for row in self.rows) for name in ("weights", "biases"))
        return Summary(self.rows, weights, biases, trainable, sum(row.multiply_adds for row in self.rows))

    def _enter(self, module: Module, args: tuple[Any, ...]) -> None:
        self.open.append(len(self.rows))
        self.rows.append(Row("", "", None, 0, 0, 0, None, True))

    def _leave(self, path: str) -> Any:
        def hook(module: Module, args: tuple[Any, ...], output: Any) -> None:
            self.rows[self.open.pop()] = self._row(path, module, args, output)

        return hook

    def _row(self, path: str, module: Module, args: tuple[Any, ...], output: Any) -> Row:
        own = [(name, p) for name, p in module.named_parameters(recurse=False) if id(p) not in self.counted]
        self.counted.update(id(p) for _, p in own)
        biases = sum(p.size for name, p in own if name.startswith("bias"))
        cost, field = 0, None
        x, out = _first(args), _first(output)
        leaf = next(module.children(), None) is None
        if x is not None and out is not None:
            cost = multiply_adds(module, tuple(x.shape), tuple(out.shape))
            field = self._field(module, x, out, leaf)
        return Row(
            path,
            type(module).__name__,
            _shapes(output),
            sum(p.size for _, p in own) - biases,
            biases,
            cost,
            field,
            leaf,
        )

    def _field(self, module: Module, x: Tensor, output: Tensor, leaf: bool) -> Field | None:
        if id(output) in self.fields:  # a container's output is its last layer's
            return self.fields[id(output)][1]
        before = self.fields.get(id(x), (x, None))[1]
        known = leaf and before is not None and x.ndim == len(before.size) + 2
        field = receptive_field(module, before) if known and before is not None else None
        self.fields[id(output)] = (output, field)
        return field


def _is_shape(x: Any) -> bool:
    return isinstance(x, Sequence) and all(isinstance(size, int) for size in x)


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


def _times(values: Shape) -> str:
    return "×".join(map(str, values))
