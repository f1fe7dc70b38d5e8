"""Properties that every primitive and composite must have, drawn from its declaration: nothing here names an operation.

An operation that is declared without enough to be tested fails ``test_declaration_is_enough``.
"""

import gc
import itertools
import math
import re
import weakref
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import Tensor, backend, composites, registry
from autograd.core.primitive import Primitive
from autograd.errors import ShapeError
from autograd.testing import assert_gradients, check_gradients, samples

OPS = {name: op for name, op in {**registry, **composites}.items() if not name.endswith("_example")}
TRIES = 5  # draws until the oracle can judge: a point may lie at an undeclared kink of a composite
every_op = pytest.mark.parametrize("name", sorted(OPS))


@dataclass(frozen=True)
class Example:
    """An operation at a point: ``f`` takes the inputs in which it declares a gradient, the others are filled in."""

    call: Callable[..., Any]
    sample: samples.Sample
    moving: tuple[int, ...]

    @property
    def points(self) -> list[np.ndarray]:
        return [self.sample.inputs[i] for i in self.moving]

    @property
    def f(self) -> Callable[..., Any]:
        return self.of([None if x is None else Tensor(x) for x in self.sample.inputs])

    def of(self, rest: list[Any]) -> Callable[..., Any]:
        bound = self.sample.bind(self.call)

        def f(*xs: Any) -> Any:
            autograd.manual_seed(0)  # an operation that draws random numbers draws the same ones
            given = dict(zip(self.moving, xs, strict=True))
            return bound(*[given.get(i, x) for i, x in enumerate(rest)])

        return f

    def tensors(self) -> list[Tensor]:
        return [Tensor(x.copy(), requires_grad=True) for x in self.points]

    def leaves_and_output(self) -> tuple[list[Tensor], list[Tensor]]:
        xs = self.tensors()
        return xs, [o for o in outputs(self.f(*xs)) if o.requires_grad]


def outputs(out: Any) -> list[Any]:
    return list(out) if isinstance(out, (tuple, list)) else [out]


def example(name: str, case: Any, seed: int, dtype: str = "float64") -> Example:
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    return of_sample(OPS[name], samples.draw(OPS[name], rng, case, dtype))


def of_sample(op: Any, sample: samples.Sample) -> Example:
    names = [o.name for o in op.contract.inputs] * (len(sample.inputs) if op.contract.variadic else 1)
    rules = op.rules if isinstance(op, Primitive) else names
    return Example(op.call, sample, tuple(i for i in sample.differentiable if names[i] in rules))


def examples(name: str, draws: int = 1, dtype: str = "float64") -> Iterator[Example]:
    for seed, case in itertools.product(range(draws), OPS[name].cases):
        yield example(name, case, seed, dtype)


def differentiable(name: str, draws: int = 1) -> Iterator[Example]:
    return (e for e in examples(name, draws) if e.moving)


def doc_of(op: Any) -> str:
    return (op.doc if isinstance(op, Primitive) else op.definition.__doc__) or ""


def cotangents(out: list[Tensor], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(o.shape) for o in out]


def pull(e: Example, us: list[np.ndarray]) -> list[np.ndarray]:
    xs, out = e.leaves_and_output()
    found = autograd.gradients(out, xs, [Tensor(u) for u in us], allow_unused=True)
    return [np.zeros(x.shape) if g is None else g.numpy() for x, g in zip(xs, found, strict=True)]


# --- what is declared -------------------------------------------------------------------------------------------------


@every_op
def test_declaration_is_enough(name: str) -> None:
    op = OPS[name]
    assert doc_of(op).strip() and op.label, f"{name} has no doc or label"
    assert op.cases, f"{name} has no cases"
    written = op.call.__doc__ or ""
    assert op.contract.text in written and op.source in written, f"{name}: help() says less than the declaration"
    for e in examples(name):
        for out in outputs(e.f(*[Tensor(x) for x in e.points])):
            assert isinstance(out, Tensor) and not out.requires_grad


@every_op
def test_result_follows_the_contract(name: str) -> None:
    op = OPS[name]
    for dtype in ("float64", "float32"):
        for e in examples(name, dtype=dtype):
            out = outputs(e.f(*[Tensor(x) for x in e.points]))
            for result, operand in zip(out, op.contract.outputs, strict=False):
                expected = expected_shape(op, e.sample, operand)
                assert fits(result.shape, expected), f"{name}: {result.shape} where the contract says {expected}"
            if "dtype" not in op.params:
                assert {o.dtype.name for o in out if o.dtype.kind == "f"} <= {dtype}


def expected_shape(op: Any, sample: samples.Sample, operand: Any) -> list[Any] | None:
    """The output's axes; None for a size that the inputs do not fix, None at all if the contract says nothing."""
    if operand.dims is None or op.contract.variadic:
        return None
    params = {**op.params, **sample.params}
    known = [(o, x) for o, x in zip(op.contract.inputs, sample.inputs, strict=True) if x is not None]
    shapes = [None if x is None else x.shape for x in sample.inputs]
    sizes = {**params, **op.contract.check(op.name, shapes, params)}
    batches = []
    for o, x in known:
        if o.dims is not None and "..." in o.dims:
            at = o.dims.index("...")
            batches.append(x.shape[at : x.ndim - (len(o.dims) - at - 1)])
    expected: list[Any] = []
    for dim in operand.dims:
        factors = [int(n) if n.isdigit() else sizes.get(n) for n in re.split(r"[*/]", dim)]
        whole = all(isinstance(n, int) for n in factors)
        if dim == "...":
            expected += np.broadcast_shapes(*batches)
        else:
            expected.append(None if not whole else factors[0] // factors[1] if "/" in dim else math.prod(factors))
    return expected


def fits(shape: tuple[int, ...], expected: list[Any] | None) -> bool:
    return expected is None or (
        len(shape) == len(expected) and all(e in (None, n) for n, e in zip(shape, expected, strict=True))
    )


@every_op
def test_arrays_give_arrays(name: str) -> None:
    if name in composites:
        return  # their definitions may ask for tensors
    for e in examples(name):
        autograd.manual_seed(0)
        raw = outputs(e.sample.bind(e.call)(*e.sample.inputs))
        for found, tensor in zip(raw, outputs(e.f(*[Tensor(x) for x in e.points])), strict=True):
            assert isinstance(found, (np.ndarray, np.generic))
            np.testing.assert_array_equal(found, tensor.numpy())


@every_op
def test_wrong_shapes_are_explained(name: str) -> None:
    op = OPS[name]
    for e in examples(name):
        plain = replace(e.sample, symmetric=())
        for i, shape in wrong_shapes(op, [None if x is None else x.shape for x in e.sample.inputs]):
            inputs = list(e.sample.inputs)
            inputs[i] = np.ones(shape, inputs[i].dtype)
            with pytest.raises(ShapeError, match=rf"^{name}: "):
                plain.bind(e.call)(*[None if x is None else Tensor(x) for x in inputs])


def wrong_shapes(op: Any, shapes: list[Any]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """One input's shape at a time, bent so that it breaks the contract: an axis missing, a letter of two sizes."""
    if op.contract.variadic:
        return
    letters = [d for o in op.contract.inputs for d in o.core]
    for i, (o, shape) in enumerate(zip(op.contract.inputs, shapes, strict=True)):
        if o.dims is None or shape is None:
            continue
        if o.rank_is_fixed:
            yield i, (*shape, 2)
        if o.core:
            yield i, shape[: len(o.core) - 1]
        for k, dim in enumerate(o.core):
            if dim.isdigit() or letters.count(dim) > 1:
                at = k if o.dims[-1] == "..." or o.rank_is_fixed else len(shape) - len(o.core) + k
                yield i, (*shape[:at], shape[at] + 1, *shape[at + 1 :])
    leading = {
        i: (shape[: len(shape) - len(o.core)], shape[len(shape) - len(o.core) :])
        for i, (o, shape) in enumerate(zip(op.contract.inputs, shapes, strict=True))
        if shape is not None and o.dims is not None and o.dims[:1] == ("...",)
    }
    for (i, (_, core)), (_, (batch, _)) in itertools.permutations(leading.items(), 2):
        if batch and batch[-1] > 1:
            yield i, (batch[-1] + 1, *core)


# --- gradients --------------------------------------------------------------------------------------------------------


def judge(name: str, case: Any, order: int, first: int = 0) -> None:
    """Compare with differences at the first point where the oracle can judge."""
    for seed in range(first, first + TRIES):
        e = example(name, case, seed)
        if not e.moving:
            return
        report = check_gradients(e.f, *e.points, order=order, rng=np.random.default_rng(seed))
        assert report.ok, f"{name} {case}: {report}"
        if report.conclusive:
            return
    raise AssertionError(f"{name} {case}: the oracle could not judge any of {TRIES} points: {report}")


@every_op
def test_first_order_gradients(name: str) -> None:
    for draw, case in itertools.product(range(3), OPS[name].cases):
        judge(name, case, 1, first=draw * TRIES)


@given(st.data())
def test_any_operation_at_any_point(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([n for n in sorted(OPS) if getattr(OPS[n], "rules", True)]))
    e = of_sample(OPS[name], data.draw(samples.strategy(OPS[name])))
    assert_gradients(e.f, *e.points, order=2)


@every_op
def test_second_and_third_order_gradients(name: str) -> None:
    for case in OPS[name].cases:
        judge(name, case, 3)


@every_op
def test_inputs_without_a_rule_have_no_gradient(name: str) -> None:
    """Unless the doc says that they count as constants."""
    for e in examples(name):
        rest = tuple(i for i in e.sample.differentiable if i not in e.moving)
        if rest and "constant" not in doc_of(OPS[name]):
            still = replace(e, moving=rest)
            report = check_gradients(still.f, *still.points)
            assert report.ok, f"{name} changes with an input that has no rule, and its doc names no constant: {report}"


@every_op
def test_jvp_is_adjoint_to_vjp(name: str) -> None:
    for e in differentiable(name, draws=2):
        xs, out = e.leaves_and_output()
        us, ts = cotangents(out), cotangents(xs, 1)
        if not out:
            continue

        def scalar(*xs: Tensor, e: Example = e, us: list[np.ndarray] = us) -> Tensor:
            found = [o for o in outputs(e.f(*xs)) if o.requires_grad]
            return sum((o * u).sum() for o, u in zip(found, us, strict=True))  # type: ignore[return-value]

        _, along = autograd.jvp(scalar, tuple(e.points), tuple(ts))
        products = [g * t for g, t in zip(pull(e, us), ts, strict=True)]
        scale = sum(float(np.abs(p).sum()) for p in products)
        np.testing.assert_allclose(along, sum(p.sum() for p in products), rtol=0, atol=1e-11 * max(scale, 1.0))


@every_op
def test_linear_in_the_cotangent(name: str) -> None:
    for e in differentiable(name, draws=2):
        _, out = e.leaves_and_output()
        u, w = cotangents(out), cotangents(out, 1)
        both = pull(e, [2.5 * a - 0.7 * b for a, b in zip(u, w, strict=True)]) if out else []
        for left, gu, gw in zip(both, pull(e, u) if out else [], pull(e, w) if out else [], strict=True):
            size = max(1.0, float(np.max(np.abs(gu), initial=0)), float(np.max(np.abs(gw), initial=0)))
            np.testing.assert_allclose(left, 2.5 * gu - 0.7 * gw, rtol=0, atol=1e-12 * size)


@every_op
def test_twice_the_same(name: str) -> None:
    for e in differentiable(name, draws=2):
        _, out = e.leaves_and_output()
        if out:
            for first, second in zip(pull(e, cotangents(out)), pull(e, cotangents(out)), strict=True):
                np.testing.assert_array_equal(first, second)


# --- memory -----------------------------------------------------------------------------------------------------------


@every_op
def test_inputs_stay_as_they_are_and_gradients_are_nobody_elses(name: str) -> None:
    for e in differentiable(name, draws=2):
        for x in e.sample.inputs:
            if x is not None:
                x.flags.writeable = False  # a write raises
        xs = [Tensor(x, requires_grad=True) for x in e.points]
        out = [o for o in outputs(e.f(*xs)) if o.requires_grad]
        us = cotangents(out)
        for u in us:
            u.flags.writeable = False
        for o, u in zip(out, us, strict=True):
            o.backward(Tensor(u), retain_graph=True)
        arrays = [x.grad.data for x in xs if x.grad is not None]
        others = [*(x for x in e.sample.inputs if x is not None), *us, *(o.data for o in out)]
        for i, g in enumerate(arrays):
            assert g.flags.writeable
            assert not any(np.may_share_memory(g, o) for o in (*others, *arrays[i + 1 :])), (
                f"{name}: a gradient is a view"
            )


@every_op
def test_saves_only_what_is_declared(name: str) -> None:
    op = OPS[name]
    if not isinstance(op, Primitive) or op.contract.variadic:
        return
    for e in differentiable(name, draws=2):
        arrays = [None if x is None else x.copy() for x in e.sample.inputs]
        kept = [None if x is None else Tensor(x, requires_grad=i in e.moving) for i, x in enumerate(arrays)]
        call = replace(e, moving=tuple(range(len(kept)))).of(kept)
        out = outputs(call(*kept))
        undeclared = {
            o.name: weakref.ref(x)
            for o, x in zip(op.contract.inputs, arrays, strict=True)
            if x is not None and o.name not in op.saved_names and not any(np.may_share_memory(x, r.data) for r in out)
        }
        node = next(
            (o.node if len(op.contract.outputs) == 1 else o.node.parents[0] for o in out if o.requires_grad), None
        )
        if node is not None and node.op is op:
            assert len(node.saved) == len(op.saved_names)
        del arrays, kept, call, e
        alive = [n for n, ref in undeclared.items() if ref() is not None]
        assert not alive, f"{name} keeps {alive}, which no rule names"


@pytest.fixture
def quiet_collector() -> Iterator[None]:
    gc.disable()
    gc.freeze()  # what was there before is not looked at
    yield
    gc.enable()
    gc.unfreeze()


@every_op
def test_no_garbage_cycles(name: str, quiet_collector: None) -> None:
    for e in differentiable(name, draws=2):
        xs, out = e.leaves_and_output()
        f, us = e.f, cotangents(out)
        gc.collect()
        for order in (1, 2, 3):
            parts = list(zip([o for o in outputs(f(*xs)) if o.requires_grad], us, strict=True))
            for k in range(order):
                live = [(t, Tensor(u)) for t, u in parts if t.requires_grad]
                if live:
                    tensors, seeds = zip(*live, strict=True)
                    found = autograd.gradients(tensors, xs, seeds, create_graph=k + 1 < order, allow_unused=True)
                    parts = [(g, np.ones(g.shape)) for g in found if g is not None]
                    del tensors, seeds, found
                del live
            del parts
            assert gc.collect() == 0, f"{name}: gradients of order {order} leave cycles"


# --- devices ----------------------------------------------------------------------------------------------------------


@every_op
def test_other_devices_give_the_same_without_transfers(name: str, device: str) -> None:
    if "device" in OPS[name].params:
        return  # transfers are its purpose
    home = backend.by_name(device)
    from autograd.backend.strict import count_transfers

    for here in examples(name):
        params = {n: uploaded(p, device) for n, p in here.sample.params.items()}
        e = replace(here, sample=replace(here.sample, params=params))
        rest = [None if x is None else Tensor(home.from_host(x, device)) for x in e.sample.inputs]
        xs = [Tensor(home.from_host(x, device), requires_grad=True) for x in e.points]
        mine, out = here.leaves_and_output()
        us = cotangents(out)
        cotangent = [Tensor(home.from_host(u, device)) for u in us]
        with count_transfers() as counted:
            there = outputs(e.of(rest)(*xs))
            recorded = [o for o in there if o.requires_grad]
            found = (
                autograd.gradients(recorded, xs, cotangent, create_graph=True, allow_unused=True) if recorded else []
            )
        draws = 2 if "generator" in OPS[name].params else 0  # random numbers come from the host, on every device alike
        draws += here.sample.params.get("lengths") is not None  # lengths are numbers of the host
        checks = 1 if name == "embedding" else 0  # whether every index is in range
        assert counted.to_host <= checks and counted.to_device <= draws, f"{name}: {counted}"
        assert {o.device for o in there} == {device}
        for o, h in zip(there, outputs(here.f(*mine)), strict=True):
            close(o, h)
        for g, h in zip(
            found, autograd.gradients(out, mine, [Tensor(u) for u in us], allow_unused=True) if out else [], strict=True
        ):
            assert (g is None) == (h is None)
            if g is not None:
                close(g, h)


def uploaded(value: Any, device: str) -> Any:
    """Lists in an index as arrays of the device."""
    if isinstance(value, list):
        return backend.by_name(device).from_host(np.asarray(value), device)
    return tuple(uploaded(v, device) for v in value) if isinstance(value, tuple) else value


def close(found: Tensor, expected: Tensor) -> None:
    host = backend.of(found.data).to_host(found.data)
    assert host.dtype == expected.dtype and host.shape == expected.shape
    np.testing.assert_allclose(host, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
