"""draw: a network as a picture of what it computes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import autograd
from autograd.errors import DomainError, DTypeError
from nn.module import Module, Parameter
from nn.session import evaluating


def draw(model: Module, *inputs: Any, **how: Any) -> autograd.diagram.Drawing:
    """Run the model once, in evaluation mode and without training it, and draw what it computed.

    `draw(model, x)` shows in a notebook; `.save("rnn.svg")` writes a file: .svg, .png, .pdf, .dot, .html. A box is a
    layer, as far as that stays readable; `depth` opens less or more. Recurrent networks are unfolded in time.

    Args:
        model: the network.
        inputs: what it is called with: tensors or arrays.
        how: `time`, `depth`, `values`, `gradients`, `loss`, `most_steps`, `title`, as `autograd.draw` has them.

    Raises:
        DTypeError: if `model` is no module.
        DomainError: if the inputs are not those of `forward`, or for an argument that `autograd.draw` does not take.

    >>> import nn
    >>> rnn = nn.RNN(4, 8, bias=False)
    >>> drawing = draw(rnn, autograd.zeros((3, 1, 4)))
    >>> [box.formula for box in drawing.graph.boxes.values() if box.kind == "state"][2]
    'h₂ = tanh(W_hh h₁ + W_xh x₂)'
    """
    if not isinstance(model, Module):
        raise DTypeError(
            f"draw: model is a {type(model).__name__}, expected an nn.Module; autograd.draw draws functions and tensors"
        )
    try:
        inspect.signature(model.forward).bind(*inputs)
    except TypeError as error:
        raise DomainError(
            f"draw: {type(model).__name__}.forward: {error}; {len(inputs)} inputs are given, use draw(model, *inputs)"
        ) from error
    with evaluating(model), _all_recorded(model) as frozen:
        names: dict[Any, tuple[str, str]] = {}
        for path, module in model.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                names.setdefault(parameter.node, (f"{path}.{name}" if path else name, module.symbols.get(name, name)))
        still = {names[parameter.node][0] for parameter in frozen}
        drawing = autograd.draw(model, *inputs, names=names, **how)
    for box in (*drawing.graph.boxes.values(), *drawing.full.boxes.values()):
        if box.name in still:
            box.gradient = None  # nothing learns from it
    return drawing


@contextmanager
def _all_recorded(model: Module) -> Iterator[list[Parameter]]:
    """Record the use of frozen parameters too, so that they are known wherever they go; they stay what they are."""
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        yield frozen
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
