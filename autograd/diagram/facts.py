"""What one node of the tape says about itself, in words and numbers: label, parameters, inputs, cost, gradient flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from .. import backend
from ..core.dispatch import REQUIRED
from ..core.node import Node, Op
from ..core.scope import no_grad
from ..core.sweep import unbroadcast
from ..core.trace import call_of

LONGEST = 24  # characters of one parameter's value
AS_THEY_ARE = ("index", "shape", "size", "axes", "axis", "pad_width")  # parameters in which (2, 2) is not a short 2


def has_gradient(node: Node) -> bool:
    """Return whether gradients flow to the node: it is no leaf of integers."""
    return isinstance(node.dtype, tuple) or bool(node.dtype.kind == "f")


@cache
def type_name(dtype: Any) -> str:
    """Return an element type in words."""
    return str(dtype)


def input_values(node: Node) -> Sequence[Any]:
    """Return what went into a node, as far as it is known: its call remembers it, or the rules' saved arrays do.

    An array of which only the shape is known stands there as its shape, what is not known at all as None.
    """
    assert node.op is not None and node.parents is not None
    call = call_of(node)
    if call is not None:
        return call.inputs
    saved = dict(zip(node.op.saved_names, node.saved, strict=True))
    names = [operand.name for operand in node.op.contract.inputs]
    if node.op.contract.variadic:
        known = saved.get(names[0], saved.get(f"{names[0]}_shape", ()))
        return [*known, *[None] * (len(node.parents) - len(known))]
    found = []
    for name in names:
        value = saved.get(name)
        found.append(saved.get(f"{name}_shape") if value is None else value)
    return found


def input_name(op: Op, slot: int) -> str:
    """Return what the contract calls an input."""
    inputs = op.contract.inputs
    return inputs[0].name if op.contract.variadic else inputs[slot].name


def constant_name(node: Node, slot: int) -> str:
    """Return what to call a constant input: the operation that made it, or what the contract calls it."""
    assert node.op is not None
    call = call_of(node)
    if call is not None and slot in call.made:
        return call.made[slot].name
    name = input_name(node.op, slot)
    return name if len(name) > 1 and not node.op.contract.variadic else "constant"


def is_number(value: Any) -> bool:
    """Return whether a constant is written as a number rather than drawn as a box."""
    return isinstance(value, (bool, int, float, complex, np.generic)) or (
        hasattr(value, "dtype") and value.shape == () and value.dtype.kind in "biuf"
    )


def describe(node: Node, numbers: dict[int, Any]) -> tuple[str, str, dict[str, Any]]:
    """Return an operation's label, its parameters in words, and by name; ``numbers`` are constant inputs by slot.

    >>> import autograd
    >>> x = autograd.tensor([1.0, 2.0], requires_grad=True)
    >>> describe((2 - x).node, {0: 2})
    ('2 −', '', {'x': 2})
    >>> describe(x.sum(axis=0).node, {})
    ('Σ', 'axis=0', {'axis': 0, 'keepdims': False})
    """
    assert node.op is not None
    label, given = node.op.label or node.op.name, dict(zip(node.op.params, node.params, strict=True))
    defaults = node.op.params if isinstance(node.op.params, dict) else {}
    said = []
    for name, value in given.items():
        default = defaults.get(name, REQUIRED)
        if name not in AS_THEY_ARE:
            value = _one_of_equal(value)
        if default is REQUIRED or not _same(value, default):
            said.append(f"{name}={words(value)}")
    given = {name: value for name, value in given.items() if not _holds_nodes(value)}
    for slot, value in numbers.items():
        name, text = input_name(node.op, slot), words(value)
        given[name] = value.item() if hasattr(value, "item") else value
        if any(c.isalnum() for c in label):
            said.append(f"{name}={text}")
        else:
            label = f"{text} {label}" if slot == 0 else f"{label} {text}"
    if node.op.name.startswith("conv"):
        said.insert(0, "kernel " + "×".join(map(str, _shape_of_input(node, 1)[2:])))
    if node.op.name == "getitem":
        label, said = f"[{words(given['index'], inside=True)}]", []
    return label, ", ".join(s for s in said if s), given


def _shape_of_input(node: Node, slot: int) -> tuple[int, ...]:
    """The shape of an input, or nothing if neither its node nor its array is known."""
    assert node.parents is not None
    parent = node.parents[slot]
    value = parent if parent is not None else input_values(node)[slot]
    return tuple(getattr(value, "shape", ()))


def _holds_nodes(value: Any) -> bool:
    return isinstance(value, tuple) and any(isinstance(v, Node) for v in value)


def _one_of_equal(value: Any) -> Any:
    """Of a tuple with equal entries one, at any depth."""
    while isinstance(value, tuple) and value and all(v == value[0] for v in value):
        value = value[0]
    return value


def _same(value: Any, default: Any) -> bool:
    return type(value) in (bool, int, float, str, type(None), tuple) and value == default


def words(value: Any, inside: bool = False) -> str:
    """Return a parameter's value, short.

    >>> words((slice(None), 0.125), inside=True), words((1,))
    (':, 0.125', '(1,)')
    """
    if isinstance(value, tuple):
        text = ", ".join(words(v) for v in value)
        text = text if inside else f"({text}{',' * (len(value) == 1)})"
    elif isinstance(value, slice):
        text = ":".join("" if part is None else str(part) for part in (value.start, value.stop, value.step))
        text = text if value.step is not None else text.rstrip(":") + ":" * (value.stop is None)
    elif value is Ellipsis:
        text = "…"
    elif isinstance(value, (float, np.floating)):
        text = f"{value:.4g}"
    elif hasattr(value, "dtype") and value.shape:
        text = f"{value.dtype.name} {'×'.join(map(str, value.shape))}"
    elif hasattr(value, "dtype"):
        text = f"{value.item():.4g}"
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def multiply_adds(node: Node, shapes: Sequence[Any]) -> int:
    """Return how many products an operation adds up that multiplies two inputs with each other: matmul, convolution.

    Every weight is used once at each place of the grid that slides or is mapped: for ``x: N C H W, w: K C/groups R S
    -> N K P Q`` that grid is N K P Q, which shares K, the weights' first letter.
    """
    op = node.op
    assert op is not None
    contract, linear = op.contract, getattr(op, "linear_in", ())
    if op.name == "einsum" and len(shapes) > 1 and None not in shapes:
        terms = str(dict(zip(op.params, node.params, strict=True))["subscripts"]).partition("->")[0].split(",")
        return math.prod({c: n for term, shape in zip(terms, shapes) for c, n in zip(term, shape)}.values())
    if len(linear) < 2 or getattr(op, "deriv", None) or contract.variadic or contract.several_outputs or None in shapes:
        return 0
    sides = [*zip(contract.inputs, shapes, strict=True), (contract.outputs[0], node.shape)]
    weights = next((s for s in sides if any("/" in d for d in s[0].core)), sides[1])
    grid = next((s for s in sides if s is not weights and set(weights[0].core[:1]) & set(s[0].core)), None)
    if grid is None:  # of a shape that nothing is known about
        return 0
    own = [
        size
        for letter, size in zip(weights[0].core, weights[0].named_axes(weights[1]), strict=True)
        if letter not in grid[0].core
    ]
    batch = contract.outputs[0].free_axes(node.shape) if "..." in (contract.outputs[0].dims or ()) else ()
    return math.prod(grid[0].named_axes(grid[1])) * math.prod(own) * math.prod(batch)


def flows(node: Node, g: Any) -> list[Any]:
    """Return what the gradient ``g`` of a node's result sends to each of its inputs, None where nothing flows."""
    assert node.op is not None and node.parents is not None
    parents = tuple([p if p is not None and has_gradient(p) else None for p in node.parents])
    if isinstance(g, list):  # of several outputs, None for those that were not used
        xp = backend.of(next(part for part in g if part is not None)).xp
        g = tuple(
            xp.zeros(s, d) if part is None else part for part, s, d in zip(g, node.shape, node.dtype, strict=True)
        )
    with no_grad():
        found = node.op.pull(g, parents, node.saved, node.params)
    return [
        None if p is None or gx is None else unbroadcast(gx, p.shape, node.op)
        for p, gx in zip(parents, found, strict=True)
    ]
