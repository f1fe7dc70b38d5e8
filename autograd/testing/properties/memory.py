"""What holds for the memory of every operation: who owns which array, and when it is given back."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...core.primitive import Primitive
from ...core.sweep import gradients
from ...core.tensor import Tensor
from .declared import Example, holds, moves, noise, outputs
from .gradients import HAS_GRADIENT


@holds(moves, HAS_GRADIENT, draws=2)
def inputs_stay_as_they_are(e: Example) -> None:
    """Neither call nor sweep writes into inputs, results or cotangents."""
    given = [x.copy() for x in e.sample.inputs if x is not None]
    inputs = [None if x is None else x.copy() for x in e.sample.inputs]
    _sweep_over(e, inputs)
    for before, after in zip(given, [x for x in inputs if x is not None], strict=True):
        np.testing.assert_array_equal(after, before, "an input is changed")


@holds(moves, HAS_GRADIENT, draws=2)
def gradients_are_nobody_elses(e: Example) -> None:
    """Writing into a gradient changes no input, result, cotangent or other gradient."""
    for by_backward in (True, False):
        inputs = [None if x is None else x.copy() for x in e.sample.inputs]
        found, others = _sweep_over(e, inputs, by_backward)
        for i, g in enumerate(found):
            assert g.flags.writeable, "a gradient cannot be written to"
            watched = [*others, *found[:i], *found[i + 1 :]]
            before = [x.copy() for x in watched]
            g[...] = 0.5 - g
            same = all(
                np.array_equal(x, b, equal_nan=x.dtype.kind == "f") for x, b in zip(watched, before, strict=True)
            )
            assert same, "writing into a gradient changes another array: it is a view, or handed out twice"


def _sweep_over(e: Example, inputs: list[Any], by_backward: bool = True) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Call and sweep with arrays that refuse to be written; return the gradients, and what was there before."""
    here = e.change(inputs)
    given = [x for x in inputs if x is not None]
    for x in given:
        x.flags.writeable = False
    xs = [Tensor(x, requires_grad=True) for x in here.points]
    out = [o for o in outputs(here.f(*xs)) if o.requires_grad]
    us = noise(out)
    for u in us:
        u.flags.writeable = False
    if by_backward:
        for o, u in zip(out, us, strict=True):
            o.backward(Tensor(u), retain_graph=True)
        found = [x.grad for x in xs]
    else:
        found = gradients(out, xs, list(map(Tensor, us)), allow_unused=True) if out else []
    results = [o.data for o in out]
    for x in (*given, *us):
        x.flags.writeable = True  # so that a write through a view shows
    return [g.data for g in found if g is not None], [*given, *us, *results]


@holds(lambda e: e.moving and isinstance(e.op, Primitive) and not e.op.contract.variadic, "a primitive", draws=2)
def saves_only_what_is_declared(e: Example) -> None:
    """The tape keeps the arrays that a rule names, and no other input alive."""
    op, moving = e.op, e.moving
    arrays = [None if x is None else x.copy() for x in e.sample.inputs]
    kept = [None if x is None else Tensor(x, requires_grad=i in moving) for i, x in enumerate(arrays)]
    call = Example(op, e.sample, tuple(range(len(kept)))).of(kept)
    out = outputs(call(*kept))
    undeclared = {
        o.name: weakref.ref(x)
        for o, x in zip(op.contract.inputs, arrays, strict=True)
        if x is not None and o.name not in op.saved_names and not any(np.may_share_memory(x, r.data) for r in out)
    }
    node = next((o.node if len(op.contract.outputs) == 1 else o.node.parents[0] for o in out if o.requires_grad), None)
    if node is not None and node.op is op:
        assert len(node.saved) == len(op.saved_names), f"{len(node.saved)} values are saved for {op.saved_names}"
    del arrays, kept, call
    alive = [n for n, ref in undeclared.items() if ref() is not None]
    assert not alive, f"the tape keeps {alive}, which no rule names"


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Within it garbage is collected on demand only, and what was there before is not looked at."""
    running = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if running:
            gc.enable()


@holds(moves, HAS_GRADIENT, draws=2)
def graphs_leave_no_cycles(e: Example) -> None:
    """Graphs of any order are freed by reference counts: the garbage collector finds nothing."""
    xs, out = e.run()
    f, us = e.f, noise(out)
    del out
    with quiet_collector():
        for order in (1, 2, 3):
            parts = list(zip([o for o in outputs(f(*xs)) if o.requires_grad], us, strict=True))
            for k in range(order):
                live = [(t, Tensor(u)) for t, u in parts if t.requires_grad]
                if live:
                    tensors, seeds = zip(*live, strict=True)
                    found = gradients(tensors, xs, seeds, create_graph=k + 1 < order, allow_unused=True)
                    parts = [(g, np.ones(g.shape)) for g in found if g is not None]
                    del tensors, seeds, found
                del live
            del parts
            garbage = gc.collect()
            assert garbage == 0, f"gradients of order {order} leave {garbage} objects in cycles"
