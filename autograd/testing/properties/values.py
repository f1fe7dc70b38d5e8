"""What holds for the result of every operation: shapes, types, batches, kernels, devices, wrong arguments."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.primitive import Primitive
from ...core.sweep import gradients
from ...core.tensor import Tensor
from ...errors import DTypeError, ShapeError
from .declared import Example, holds, noise, outputs, words_of


@holds()
def declaration_is_enough(e: Example) -> None:
    """There are words for a reader, valid arguments, and a test for every gradient rule."""
    op = e.op
    assert words_of(op).strip() and op.label, "it has no doc or no label → give doc="
    written = op.call.__doc__ or ""
    assert op.contract.text in written and op.source in written, "help() says less than the declaration"
    try:
        found = outputs(e.f(*[Tensor(x) for x in e.points]))
    except Exception as error:
        raise AssertionError(
            f"it refuses what its declaration allows, {error} → name a domain or sizes in cases"
        ) from error
    for out in found:
        assert isinstance(out, Tensor), f"it returns a {type(out).__name__}, not a tensor"
        assert not out.requires_grad, "the result of constants requires a gradient"
    if isinstance(op, Primitive) and not op.contract.variadic:
        ruleless = set(op.linear_in) - set(op.rules)
        assert not ruleless, f"it is linear in {sorted(ruleless)}, but has no rule for it"
        left_out = set(op.rules) - {op.contract.inputs[i].name for i in e.moving}
        assert not left_out, f"the rules of {sorted(left_out)} are never tested: no floating numbers are drawn for them"


@holds()
def result_follows_the_contract(e: Example) -> None:
    """The result has the declared shape, and float32 stays float32."""
    for dtype in ("float64", "float32"):
        narrow = e.cast(dtype)
        found = outputs(narrow.f(*[Tensor(x) for x in narrow.points]))
        for out, operand in zip(found, e.op.contract.outputs, strict=False):
            expected = expected_shape(e, operand)
            assert fits(out.shape, expected), f"the result has shape {out.shape} where the contract says {expected}"


def expected_shape(e: Example, operand: Any) -> list[Any] | None:
    """The output's axes; None for a size that the inputs do not fix, None at all if the contract says nothing."""
    contract, params = e.op.contract, {**e.op.params, **e.sample.params}
    if operand.dims is None or contract.variadic:
        return None
    sizes = {**params, **contract.check(e.op.name, e.shapes, params)}
    batches = [o.free_axes(s) for o, s in zip(contract.inputs, e.shapes, strict=True) if s and "..." in (o.dims or ())]
    expected: list[Any] = []
    for dim in operand.dims:
        factors: list[Any] = [int(n) if n.isdigit() else sizes.get(n) for n in re.split(r"[*/]", dim)]
        whole = all(isinstance(n, int) for n in factors)
        if dim == "...":
            expected += np.broadcast_shapes(*batches)
        else:
            expected.append(None if not whole else factors[0] // factors[1] if "/" in dim else math.prod(factors))
    return expected


def fits(shape: tuple[int, ...], expected: list[Any] | None) -> bool:
    """Whether a shape is the expected one, where anything is expected."""
    return expected is None or (
        len(shape) == len(expected) and all(e in (None, n) for n, e in zip(shape, expected, strict=True))
    )


NARROW = ("float32", "float16")


@holds(lambda e: "dtype" not in e.op.params, "no parameter dtype")
def floating_type_is_kept(e: Example) -> None:
    """float32 and float16 stay what they are, in results and in what the rules return, or are refused in words."""
    for dtype in NARROW:
        narrow = e.cast(dtype)
        with np.errstate(all="ignore"):  # float16 ends at 65504
            try:
                results = outputs(narrow.f(*[Tensor(x) for x in narrow.points]))
                xs, out = narrow.run()
                found = gradients(out, xs, list(map(Tensor, noise(out))), retain_graph=True) if out else []
            except DTypeError:
                continue
            types = {"results": [o.dtype.name for o in results], "gradients": [g.dtype.name for g in found]}
            types["rules"] = rule_types(out)
        for what, names in types.items():
            wide = {t for t in names if t.startswith("float")} - {dtype}
            assert not wide, f"{what} of {dtype} are {', '.join(wide)} → let Python numbers take the arrays' type"


@holds(lambda e: "dtype" not in e.op.params, "no parameter dtype", draws=2)
def narrow_types_are_accurate(e: Example) -> None:
    """Results and gradients in float32 and float16 are those of float64 but for what rounding the inputs does."""
    for dtype in NARROW:
        narrow = e.cast(dtype)
        wide = narrow.cast("float64")
        try:
            found = _numbers(narrow)
        except DTypeError:
            continue
        type_, rng, results = np.finfo(dtype), np.random.default_rng(0), len(e.op.contract.outputs) or 1
        eps, expected = float(type_.eps), _numbers(wide)
        if max([float(np.max(np.abs(b), initial=0.0)) for b in expected], default=0.0) > float(type_.max) / 8:
            continue  # it may overflow
        nudged = [_numbers(_nudge(wide, 4 * eps, rng)) for _ in range(3)]
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            moved = max(float(np.max(np.abs(n[k] - b), initial=0.0)) for n in nudged)
            largest = float(np.max(np.abs(b), initial=0.0 if k < results else 1.0))  # gradients may cancel
            allowed = 8 * moved + 16 * eps * max([1, *map(np.size, e.points)]) * largest
            off = float(np.max(np.abs(a - b), initial=0.0))
            assert off <= allowed, f"{dtype} is off by {off:.2g} where rounding explains {allowed:.2g}"


def _numbers(e: Example) -> list[np.ndarray]:
    """The floating results and gradients at an example, in float64."""
    with np.errstate(all="ignore"):
        found = [o.numpy() for o in outputs(e.f(*[Tensor(x) for x in e.points])) if o.dtype.kind == "f"]
        out = e.run()[1] if e.moving else []
        us = [np.round(8 * u) / 8 for u in noise([np.empty(o.shape) for o in out])]  # the same numbers in every type
        found += e.pull([u.astype(o.dtype) for u, o in zip(us, out, strict=True)])
    return [np.asarray(x, np.float64) for x in found]


def _nudge(e: Example, by: float, rng: np.random.Generator) -> Example:
    """The example with every floating number changed a little, as rounding does."""
    near = [None if x is None else x * (1 + by * rng.uniform(-1, 1, x.shape)) for x in e.sample.inputs]
    return e.change(n if i in e.sample.differentiable else x for i, (x, n) in enumerate(zip(e.sample.inputs, near)))


def rule_types(out: list[Tensor]) -> list[str]:
    """What the rules of the operation return before the sweep converts it to the input's type."""
    node = out[0].node if out else None
    if node is None or not isinstance(node.op, Primitive) or len(out) > 1:
        return []
    g = Tensor(noise(out)[0]).data
    return [x.dtype.name for x in node.op.pull(g, node.parents, node.saved, node.params) if x is not None]


@holds(lambda e: isinstance(e.op, Primitive), "a primitive: a composite may ask for tensors")
def arrays_give_arrays(e: Example) -> None:
    """Of arrays the operation returns the same numbers as arrays."""
    raw = outputs(e.of(list(e.sample.inputs))(*e.points))
    for found, tensor in zip(raw, outputs(e.f(*[Tensor(x) for x in e.points])), strict=True):
        assert isinstance(found, (np.ndarray, np.generic)), f"arrays give a {type(found).__name__}"
        np.testing.assert_array_equal(found, tensor.numpy(), "arrays give other numbers than tensors")


@holds()
def wrong_shapes_are_explained(e: Example) -> None:
    """A shape that breaks the contract raises its error, which begins with the operation's name."""
    plain = replace(e.sample, symmetric=())  # what makes an input symmetric would stumble first
    for i, shape in wrong_shapes(e):
        inputs = [None if x is None else Tensor(x) for x in e.sample.inputs]
        inputs[i] = Tensor(np.ones(shape, inputs[i].dtype))  # type: ignore[union-attr]
        said = ""
        try:
            plain.bind(e.op.call)(*inputs)
        except ShapeError as error:
            said = str(error)
        name = e.op.contract.inputs[i].name
        assert said.startswith(f"{e.op.name}: "), f"{name} of shape {shape} is not refused with a ShapeError: {said!r}"


def wrong_shapes(e: Example) -> Iterator[tuple[int, tuple[int, ...]]]:
    """One input's shape at a time, bent so that it breaks the contract: an axis missing, a letter of two sizes."""
    contract = e.op.contract
    if contract.variadic:
        return
    given = [(i, o, s) for i, (o, s) in enumerate(zip(contract.inputs, e.shapes, strict=True)) if s is not None]
    letters = [d for _, o, _ in given for d in o.core]
    for i, o, shape in given:
        if o.rank_is_fixed:
            yield i, (*shape, 2)
        if o.core:
            yield i, shape[: len(o.core) - 1]
        for k, dim in enumerate(o.core):
            if dim.isdigit() or letters.count(dim) > 1:
                at = k if k < o.before or o.rank_is_fixed else len(shape) - len(o.core) + k
                yield i, (*shape[:at], shape[at] + 1, *shape[at + 1 :])
    leading = [(i, o.free_axes(s), o.named_axes(s)) for i, o, s in given if o.dims and o.dims[0] == "..."]
    for (i, _, core), (_, batch, _) in itertools.permutations(leading, 2):
        if batch and batch[-1] > 1:
            yield i, (batch[-1] + 1, *core)
