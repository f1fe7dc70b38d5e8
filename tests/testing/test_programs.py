"""Properties of whole programs: graphs drawn by Hypothesis from what operations declare, run and differentiated."""

import gc
import random
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import autograd
from autograd import Tensor, backend
from autograd.diagram import tape, trace
from autograd.errors import AutogradError
from autograd.testing.programs import (
    Call,
    Checkpoint,
    Loop,
    Named,
    NoGrad,
    Program,
    Write,
    operations,
    programs,
)
from autograd.testing.programs.machines import find as operation
from autograd.testing.programs.numeric import is_independent

ALL = {name for names in operations().values() for name in names}
# Where a tiny change of rounding may change a result: eigenvectors of close values, and everything computed from them.
many = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def wrong_sine(x: Any) -> Any:
    return autograd.cos(x) * 1.01


WRONG = autograd.elementwise("wrong_sine_in_programs_example", "x", forward="sin", deriv={"x": wrong_sine}).op.name


def close(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    for f, e in zip(found, expected, strict=True):
        size = max(1.0, float(np.max(np.abs(e), initial=0)))
        np.testing.assert_allclose(f, e, rtol=rtol, atol=rtol * size)


def plain(values: Any) -> list[Any]:
    return [v.data if isinstance(v, Tensor) else v for v in values]


# --- the program as data ----------------------------------------------------------------------------------------------


@many
@given(programs())
def test_numpy_computes_the_same_values(program: Program) -> None:
    tensors, arrays = program.values(), program.values(list(program.inputs.values()))
    assert tensors.keys() == arrays.keys()
    close(plain(tensors.values()), arrays.values(), rtol=1e-7)


@many
@given(programs())
def test_source_reproduces_the_program(program: Program) -> None:
    space: dict[str, Any] = {}
    exec(program.source(), space)
    for found, expected in zip(space["outputs"], program.run(), strict=True):
        np.testing.assert_array_equal(found.data, expected.data)


def test_every_operation_takes_part() -> None:
    """An operation declared anywhere is drawn; and where NumPy has no word for it, it is known."""
    assert WRONG not in ALL, "examples do not"
    drawn = set()
    for name in sorted(ALL):
        program = find(
            programs(max_statements=1, ops=[name], blocks=False),
            lambda p, name=name: any(c.op == name for c in p.calls()),
            settings=settings(derandomize=True, database=None, phases=[Phase.generate]),
        )
        program.check()
        drawn.add(name)
    assert drawn == ALL


def test_what_numpy_does_not_compute_by_itself_is_few() -> None:
    families = ("autograd.ops.conv", "autograd.ops.pooling", "autograd.ops.recurrent")
    rest = {n for f, names in operations().items() if f.startswith("autograd.") and f not in families for n in names}
    dependent = {n for n in rest if not is_independent(operation(n))}
    assert dependent <= {"class_cross_entropy", "soft_cross_entropy", "dropout", "local_response_norm"}


@pytest.mark.parametrize("kind", [Checkpoint, Loop, NoGrad, Write])
def test_blocks_are_drawn(kind: type) -> None:
    quick = settings(derandomize=True, database=None, phases=[Phase.generate])
    assert find(programs(), lambda p: any(isinstance(s, kind) for s in p.statements), settings=quick)


def test_unknown_operations_are_refused() -> None:
    with pytest.raises(AutogradError, match="no operation is called 'no_such'"):
        programs(ops=["no_such"])


# --- gradients --------------------------------------------------------------------------------------------------------


@many
@given(programs())
def test_gradients_agree_with_differences(tmp_path_factory: Any, program: Program) -> None:
    program.check(directory=tmp_path_factory.getbasetemp() / "programs")


@many
@given(programs(max_statements=3))
def test_second_order_agrees_with_differences(tmp_path_factory: Any, program: Program) -> None:
    program.check(order=2, directory=tmp_path_factory.getbasetemp() / "programs2")


def test_detach_and_no_grad_are_constants_for_differences_too() -> None:
    x = {"x": np.array([0.5, -1.5])}
    cut = Program(x, (Call("detach", ("x",), results=("a",)), Call("multiply", ("x", "a"), results=("b",))), ("b",))
    cut.check(order=2)
    block = NoGrad((Call("exp", ("x",), results=("a",)),), ("a",))
    Program(x, (block, Call("multiply", ("x", "a"), results=("b",))), ("b",)).check(order=2)


@many
@given(programs())
def test_jvp_is_adjoint_to_vjp(program: Program) -> None:
    us, rng = program.cotangents(), np.random.default_rng(1)
    ts = [rng.standard_normal(x.shape) for x in program.points()]
    f = program.function()

    def scalar(*xs: Tensor) -> Tensor:
        return sum((o * u).sum() for o, u in zip(f(*xs), us, strict=True))  # type: ignore[return-value]

    _, along = autograd.jvp(scalar, tuple(program.points()), tuple(ts))
    products = [g * t for g, t in zip(program.gradients(), ts, strict=True)]
    size = sum(float(np.abs(p).sum()) for p in products)
    np.testing.assert_allclose(along, sum(p.sum() for p in products), rtol=0, atol=1e-9 * max(size, 1.0))


@many
@given(programs())
def test_gradients_that_are_recorded_are_the_same(program: Program) -> None:
    xs = program.tensors()
    moving = [xs[i] for i in program.moving]
    us = [Tensor(u) for u in program.cotangents()]
    found = autograd.gradients(program.run(xs), moving, us, create_graph=True, allow_unused=True)
    close([np.zeros(x.shape) if g is None else g.data for g, x in zip(found, moving, strict=True)], program.gradients())


@many
@given(programs())
def test_backward_into_leaves_is_the_same(program: Program) -> None:
    xs = program.tensors()
    out = program.run(xs)
    for o, u in zip(out, program.cotangents(), strict=True):
        o.backward(Tensor(u), retain_graph=True)
    moving = [xs[i] for i in program.moving]
    close([np.zeros(x.shape) if x.grad is None else x.grad.data for x in moving], program.gradients())


@pytest.fixture
def quiet_collector() -> Iterator[None]:
    gc.disable()
    gc.freeze()
    yield
    gc.enable()
    gc.unfreeze()


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(program=programs())
def test_graphs_are_freed_by_reference_counts(quiet_collector: None, program: Program) -> None:
    us = program.cotangents()
    gc.collect()
    xs = program.tensors()
    out = program.run(xs)
    arrays = [weakref.ref(o.data) for o in out]
    found = autograd.gradients(out, [xs[i] for i in program.moving], [Tensor(u) for u in us], create_graph=True,
                               allow_unused=True)  # fmt: skip
    del out, xs, found
    assert gc.collect() == 0
    assert not any(ref() is not None for ref in arrays)


# --- the same program otherwise ---------------------------------------------------------------------------------------


@many
@given(programs(), st.integers(0, 8), st.integers(1, 8))
def test_a_checkpoint_changes_nothing(program: Program, start: int, length: int) -> None:
    other = program.checkpointed(start, start + length)
    close(plain(other.run()), plain(program.run()))
    close(other.gradients(), program.gradients())


@many
@given(programs(), st.integers(0, 2**16))
def test_order_of_independent_statements_does_not_matter(program: Program, seed: int) -> None:
    other = program.reordered(random.Random(seed))
    close(plain(other.run()), plain(program.run()))
    close(other.gradients(), program.gradients())


@many
@given(programs())
def test_kernels_change_nothing(program: Program) -> None:
    with autograd.use_kernels(False):
        values, found = plain(program.run()), program.gradients()
    close(values, plain(program.run()))
    close(found, program.gradients())


@many
@given(programs())
def test_adding_gradients_in_place_changes_nothing_that_others_hold(program: Program) -> None:
    xs, us = program.tensors(), program.cotangents()
    out, expected = program.run(xs), program.gradients()
    held = [a.copy() for a in (*plain(xs), *plain(out), *us)]
    moving, seeds = [xs[i] for i in program.moving], [Tensor(u) for u in us]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autograd.core.sweep.LARGE", -1)
        for _ in range(2):  # the second time finds what the first one left
            found = autograd.gradients(out, moving, seeds, retain_graph=True, allow_unused=True)
            close([np.zeros(x.shape) if g is None else g.data for g, x in zip(found, moving, strict=True)], expected)
    for before, after in zip(held, (*plain(xs), *plain(out), *us), strict=True):
        np.testing.assert_array_equal(before, after)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(program=programs())
def test_other_devices_give_the_same(device: str, program: Program) -> None:
    home = backend.by_name(device)
    xs = [Tensor(home.from_host(x, device), requires_grad=x.dtype.kind == "f") for x in program.inputs.values()]
    out = program.run(xs)
    us = [Tensor(home.from_host(u, device)) for u in program.cotangents()]
    moving = [xs[i] for i in program.moving]
    found = autograd.gradients(out, moving, us, allow_unused=True)
    assert {o.device for o in out} == {device}
    close([home.to_host(o.data) for o in out], plain(program.run()))
    here = [np.zeros(x.shape) if g is None else home.to_host(g.data) for g, x in zip(found, moving, strict=True)]
    close(here, program.gradients())


# --- the drawing ------------------------------------------------------------------------------------------------------


def reached(program: Program) -> set[str]:
    """The values that gradients reach and that calls outside of blocks made."""
    env = program.values()
    written = {n for s in program.statements for n in s.changes}
    calls = [s for s in program.statements if isinstance(s, Call) and s.op != "detach"]
    names = [n for c in calls for n in c.results if env[n].requires_grad and n not in written]
    outputs, us = [env[n] for n in program.outputs], [Tensor(u) for u in program.cotangents()]
    found = autograd.gradients(outputs, [env[n] for n in names], us, allow_unused=True)
    return {n for n, g in zip(names, found, strict=True) if g is not None}


@many
@given(programs())
def test_a_drawing_has_every_statement_once(program: Program) -> None:
    run = trace.run(lambda *xs: program.run(xs, Named()), *program.tensors())
    graph = tape.read(run)
    several = {e.tail: set[str]() for e in graph.edges}
    for edge in graph.edges:
        several[edge.tail].add(edge.label)  # what operations with several outputs call them
    made = [n for b in graph.boxes.values() if b.kind == "operation" for n in {b.symbol, *several.get(b.id, ())}]
    with autograd.use_kernels(False):  # a kernel of several outputs gives zeros where a definition gives nothing
        found = reached(program)
    assert {n: made.count(n) for n in found} == dict.fromkeys(found, 1)


@many
@given(programs(), st.booleans(), st.sampled_from(["fold", "unfold"]), st.sampled_from([None, 0, 1]))
def test_any_program_can_be_drawn(program: Program, values: bool, time: str, depth: Any) -> None:
    options = {"values": values, "gradients": values, "time": time, "depth": depth}
    drawing = autograd.draw(
        lambda *xs: program.run(xs, Named()), *program.tensors(), loss=lambda out: sum(o.sum() for o in out), **options
    )
    assert drawing.dot.startswith("digraph") and len(drawing.full.boxes) >= len(drawing.graph.boxes) // 2
    assert {e.tail for e in drawing.graph.edges} | {e.head for e in drawing.graph.edges} <= set(drawing.graph.boxes)


# --- a failing program ------------------------------------------------------------------------------------------------


def test_a_wrong_rule_is_shrunk_to_its_statement_and_drawn(tmp_path: Path) -> None:
    @settings(max_examples=200, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(programs(5, ops=[WRONG, "multiply", "add", "tanh", "matmul", "sum", "transpose"], blocks=False))
    def check(program: Program) -> None:
        program.check(directory=tmp_path)

    with pytest.raises(AssertionError) as failure:
        check()
    message = str(failure.value)
    assert message.count("wrong: ") == 1 and f"{WRONG!r}" in message.split("picture")[0]
    assert f"picture: {tmp_path / 'program.svg'}" in message
    picture = (tmp_path / "program.svg").read_text().replace("\u00a0", " ").replace("&#160;", " ")
    assert f"✗ v2 = {WRONG}" in picture and "but differences" in picture
    source = (tmp_path / "program.py").read_text()
    assert 1 <= sum(" = autograd." in line and "tensor(" not in line for line in source.splitlines()) <= 3


def test_a_wrong_statement_is_told_from_those_before_and_after(tmp_path: Path) -> None:
    x = np.array([[0.3], [0.8]])
    statements = (
        Call("tanh", ("x",), results=("a",)), Call(WRONG, ("a",), results=("b",)),
        Call("multiply", ("a", "b"), results=("c",)), Call("unstack", ("c",), results=("d", "e")),
    )  # fmt: skip
    with pytest.raises(AssertionError, match=rf"wrong: b = .*{WRONG}") as failure:
        Program({"x": x}, statements, ("d", "e")).check(directory=tmp_path)
    assert str(failure.value).count("wrong: ") == 1


def test_pictures_lie_in_a_folder_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    program = Program({"x": np.array(0.3)}, (Call(WRONG, ("x",), results=("a",)),), ("a",))
    with pytest.raises(AssertionError):
        program.check()
    assert list(tmp_path.glob(".unfold/failures/test_pictures_lie_in_a_folder_of_the_test/program.svg"))
