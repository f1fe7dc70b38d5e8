"""What must agree for every operation: a batch and its members, arrays and numbers, kernels, calls, devices."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ... import backend, kernels
from ...backend.strict import count_transfers
from ...config import use_kernels
from ...core.primitive import Primitive
from ...core.sweep import gradients
from ...core.tensor import Tensor
from ...errors import DeviceError
from .declared import Example, holds, noise, outputs


def batches(e: Example) -> Iterator[tuple[list[int | None], int]]:
    """The axes along which the contract makes members independent: one of each input or None, and one of the outputs.

    They are those that a leading ``...`` stands for in all inputs and outputs that have one, and N, the letter of the
    batch, where it stands first.
    """
    contract, shapes = e.op.contract, e.shapes
    declared = contract.outputs or contract.inputs[:1]  # nothing said: the result begins as the first input does
    if contract.variadic or any(o.dims is None for o in (*contract.inputs, *declared)):
        return
    given = list(zip(contract.inputs, shapes, strict=True))
    free = [() if s is None or "..." not in o.dims else o.free_axes(s) for o, s in given]
    spread = max(map(len, free))
    leading = all(o.dims[0] == "..." for o in contract.inputs if "..." in o.dims)
    for back in range(1, spread + 1) if leading and all(o.dims[:1] == ("...",) for o in declared) else ():
        size = max(axes[-back] for axes in free if len(axes) >= back)
        if size > 1:
            yield (
                [len(axes) - back if len(axes) >= back and axes[-back] == size else None for axes in free],
                spread - back,
            )
    places = {(o.core.index("N"), o.dims[0]) for o in (*contract.inputs, *declared) if "N" in _letters(o)}
    if places == {(0, "N")} and all("N" in o.dims for o in declared):
        yield [0 if "N" in o.dims else None for o in contract.inputs], 0


def _letters(operand: Any) -> set[str]:
    return set(re.findall(r"[A-Za-z]\w*", " ".join(operand.core)))


@holds(lambda e: any(batches(e)), "a leading ... or a leading N in the contract", draws=4)
def batch_equals_its_members(e: Example) -> None:
    """Every member of a batch alone gives its part of the result and of the gradients; shared inputs' add up."""
    for axes, end in batches(e):
        us = noise(e.run()[1])
        whole, total = outputs(e.f(*[Tensor(x) for x in e.points])), e.pull(us)
        count = next(s[a] for s, a in zip(e.shapes, axes, strict=True) if s is not None and a is not None)
        parts, shares = [], []
        for i in range(count):
            alone = e.change(_member(x, a, i) for x, a in zip(e.sample.inputs, axes, strict=True))
            parts.append(outputs(alone.f(*[Tensor(x) for x in alone.points])))
            shares.append(alone.pull([_member(u, end, i) for u in us]))
        hint = "members of a batch influence one another → name an axis that mixes otherwise than N or ..."
        for out, part in zip(whole, zip(*parts, strict=True), strict=True):
            close(np.concatenate([p.numpy() for p in part], end), out.numpy(), hint)
        for g, share, k in zip(total, zip(*shares, strict=True), e.moving, strict=True):
            at_x = axes[k]
            close(sum(share) if at_x is None else np.concatenate(share, at_x), g, hint)


def broadcasts(e: Example) -> list[int]:
    """The inputs with a gradient whose leading ``...`` broadcasts against that of other inputs."""
    given = [(k, o) for k, (o, x) in enumerate(zip(e.op.contract.inputs, e.sample.inputs)) if x is not None]
    dotted = [k for k, o in given if (o.dims or ())[:1] == ("...",)]
    return [k for k in dotted if k in e.moving] if len(dotted) > 1 and not e.op.contract.variadic else []


@holds(broadcasts, "several inputs with a leading ...", draws=2)
def broadcast_inputs_get_the_sum(e: Example) -> None:
    """The gradient of an input that is broadcast is the sum over what it would have been given one by one."""
    operands = e.op.contract.inputs
    dotted = [k for k, o in enumerate(operands) if (o.dims or ())[:1] == ("...",) and e.sample.inputs[k] is not None]
    batch = np.broadcast_shapes(*[operands[k].free_axes(e.shapes[k]) for k in dotted])
    full = list(e.sample.inputs)
    for k in dotted:
        full[k] = np.broadcast_to(full[k], (*batch, *operands[k].named_axes(full[k].shape))).copy()
    many = e.change(_copies(x) if k in dotted else x for k, x in enumerate(full))
    us = noise(many.run()[1])
    for k in broadcasts(e):
        at = many.moving.index(k)
        expected = many.pull(us)[at].sum(axis=0)
        for single, axis in ((full[k], None), (full[k][None], 0)):
            once = many.change(single if i == k else x for i, x in enumerate(many.sample.inputs))
            found = once.pull(us)[at]
            hint = f"{operands[k].name} is broadcast, but its gradient is not the sum over the axis"
            close(found, expected if axis is None else expected[None], hint)


def _member(x: Any, axis: int | None, i: int) -> Any:
    return x if axis is None or x is None else x[(slice(None),) * axis + (slice(i, i + 1),)]


def close(found: Any, expected: Any, otherwise: str, rounding: float = 1e-12) -> None:
    """Raise unless two arrays agree but for rounding."""
    assert np.shape(found) == np.shape(expected), f"{otherwise}: {np.shape(found)} instead of {np.shape(expected)}"
    size = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding * size, err_msg=otherwise)


def _copies(x: np.ndarray) -> np.ndarray:
    """The array four times along a new axis; of a mask, twice itself and twice what it leaves out."""
    return np.stack([x, x, ~x, ~x] if x.dtype == bool else [x] * 4)


@holds(lambda e: _numbers_for(e), "several inputs of any shape", draws=1)
def python_numbers_count_like_arrays(e: Example) -> None:
    """With a Python number for an input the others get the gradients that an array of that number gives."""
    for k, number in _numbers_for(e):
        array = e.change(np.full((), number) if i == k else x for i, x in enumerate(e.sample.inputs))
        array = replace(array, moving=tuple(i for i in e.moving if i != k))
        rest = [None if x is None else Tensor(x) for x in array.sample.inputs]
        rest[k] = number  # type: ignore[call-overload]
        xs = [Tensor(x, requires_grad=True) for x in array.points]
        with np.errstate(all="ignore"):
            out = [o for o in outputs(array.of(rest)(*xs)) if o.requires_grad]
        us = noise(out)
        with np.errstate(all="ignore"):
            found = gradients(out, xs, list(map(Tensor, us)), allow_unused=True) if out else []
            by_array = array.pull(us)
        for g, expected in zip(found, by_array, strict=True):
            otherwise = f"the number {number} for {e.op.contract.inputs[k].name} gives other gradients than an array"
            close(0 if g is None else g.numpy(), expected, otherwise)


def _numbers_for(e: Example) -> list[tuple[int, float]]:
    """Which inputs may be numbers, in elementwise operations with several, and numbers from their domains."""
    contract = e.op.contract
    if contract.variadic or len(contract.inputs) < 2 or any(o.dims != ("...",) for o in contract.inputs):
        return []
    found = []
    for k, o in enumerate(contract.inputs):
        domain = e.op.domain.get(o.name, (-math.inf, math.inf))
        if not isinstance(domain, str):
            found += [(k, n) for n in (0.0, 0.5, 1.0, 2.0) if n == 0 or domain[0] < n < domain[1]]  # 0: as arrays do
    return found


# --- kernels, repetition, devices -------------------------------------------------------------------------------------


@holds(lambda e: kernels.offers(e.op.name, np.ndarray), "a kernel", draws=2)
def kernels_equal_the_reference(e: Example) -> None:
    """Every kernel that offers itself for these arguments gives what the readable definition gives."""
    for offer, dtype in itertools.product(kernels.offers(e.op.name, np.ndarray), ("float64", "float32")):
        narrow = e.cast(dtype)
        rounding = 1e-10 if dtype == "float64" else 1e-4
        check = _primitive_kernel if isinstance(e.op, Primitive) else _composite_kernel
        check(narrow, offer, rounding)


def _primitive_kernel(e: Example, offer: Any, rounding: float) -> None:
    op, inputs = e.op, e.sample.inputs
    arrays = (tuple(inputs),) if op.contract.variadic else inputs
    values = tuple({**op.params, **e.sample.params}.values())
    values = tuple(op.prepare(*arrays, *values)) if op.prepare else values
    spec = kernels.Spec(tuple(e.shapes), tuple(x.dtype for x in inputs), dict(zip(op.params, values, strict=True)))
    if (run := offer.plan(spec)) is not None:
        expected = outputs(op.reference(np.ndarray)(*arrays, *values))
        for k, r in zip(outputs(run(*arrays, *values)), expected, strict=True):
            close(k, r, f"kernel {offer.name!r} gives another result than the reference", rounding)


def _composite_kernel(e: Example, offer: Any, rounding: float) -> None:
    op, inputs = e.op, e.sample.inputs
    params = {**op.params, **e.sample.params}
    spec = kernels.Spec(tuple(e.shapes), tuple(None if x is None else x.dtype for x in inputs), params)
    kernel = offer.plan(spec)
    if kernel is None:
        return
    hint = f"kernel {offer.name!r} gives another %s than the definition"
    out, residuals = kernel.forward(*inputs, *params.values())
    with use_kernels(False):
        _, defined = e.run()
        us = noise(defined)
        expected = e.pull(us)
    for made, out_of in zip(outputs(out), defined, strict=True):
        close(made, out_of.detach().numpy(), hint % "result", rounding)
    g = tuple(us) if isinstance(out, tuple) else us[0]
    for chosen in (e.moving, *[(i,) for i in e.moving]):  # all gradients at once, and each alone
        wanted = [i in chosen for i in range(len(inputs))]
        found = kernel.backward(g, wanted, inputs, residuals, *params.values())
        for i, r in zip(e.moving, expected, strict=True):
            if i in chosen:
                close(found[i], r, hint % f"gradient of {op.inputs[i]}", rounding)


@holds(draws=2)
def twice_the_same(e: Example) -> None:
    """Results and gradients are the same bit for bit when they are computed again."""
    first, second = (outputs(e.f(*[Tensor(x) for x in e.points])) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), "a second call gives another result")
    us = noise(e.run()[1]) if e.moving else []
    if us:
        for g, h in zip(e.pull(us), e.pull(us), strict=True):
            np.testing.assert_array_equal(g, h, "a second sweep gives other gradients")


@holds(lambda e: "device" not in e.op.params, "no parameter device")
def same_on_every_device(e: Example) -> None:
    """The strict device, and a GPU where there is one, give the same results and gradients without transfers."""
    for device in ("strict", "cuda"):
        try:
            home = backend.by_name(device)
            there = _on(home, device, e)
        except DeviceError:
            continue
        rest = [None if x is None else Tensor(x) for x in there.sample.inputs]
        xs = [Tensor(x, requires_grad=True) for x in there.points]
        mine, recorded = e.run()
        us = noise(recorded)
        cotangents = [Tensor(home.from_host(u, device)) for u in us]
        with count_transfers() as counted:
            out = outputs(there.of(rest)(*xs))
            found = [o for o in out if o.requires_grad]
            dx = gradients(found, xs, cotangents, create_graph=True, allow_unused=True) if found else []
        looks = sum(str(d).startswith("index") for d in e.op.domain.values())  # whether an index is in range
        params = {**e.op.params, **e.sample.params}
        sends = 2 if "generator" in params else 0  # random numbers are drawn on the host, on every device alike
        sends += sum(isinstance(p, tuple) for p in params.values())  # such as lengths
        assert counted.to_host <= looks and counted.to_device <= sends, f"on {device} numbers are moved: {counted}"
        assert {o.device for o in out} <= {device, f"{device}:0"}, f"the result on {device} is on {out[0].device}"
        for o, h in zip(out, outputs(e.f(*[Tensor(x) for x in e.points])), strict=True):
            _same(o, h, f"the result on {device} is another")
        expected = gradients(recorded, mine, [Tensor(u) for u in us], allow_unused=True) if recorded else []
        for g, h in zip(dx, expected, strict=True):
            assert (g is None) == (h is None), f"a gradient is missing on {device}"
            if g is not None:
                _same(g, h, f"a gradient on {device} is another")


def _on(home: Any, device: str, e: Example) -> Example:
    """The example with its arrays, and the lists in its parameters, on another device."""

    def move(value: Any) -> Any:
        if isinstance(value, list):
            return home.from_host(np.asarray(value), device)
        return tuple(map(move, value)) if isinstance(value, tuple) else value

    inputs = tuple(None if x is None else home.from_host(x, device) for x in e.sample.inputs)
    params = {n: move(p) for n, p in e.sample.params.items()}
    return replace(e, sample=replace(e.sample, inputs=inputs, params=params))


def _same(found: Tensor, expected: Tensor, otherwise: str) -> None:
    host = backend.of(found.data).to_host(found.data)
    assert host.dtype == expected.dtype, f"{otherwise}: {host.dtype} instead of {expected.dtype}"
    close(host, expected.detach().numpy(), otherwise)
