"""What is wrong in a program whose gradients differ: the statement, and a picture of its graph with both gradients.

A statement is at fault if its own gradients differ from differences at the very values that it had in the program;
so a wrong gradient further up is not held against what comes after it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.sweep import gradients
from ...core.tensor import Tensor
from ...errors import DataError
from .. import checks
from ..oracles import directional_derivative
from .machines import Arrays, Named, Tensors
from .statements import Call

if TYPE_CHECKING:
    from .program import Program

FOLDER = Path(".unfold", "failures")
DEEPEST = 99  # every group open
SHOWN = 4  # elements of a gradient that a box has room for


def explain(program: Program, report: str, directory: Any = None) -> str:
    """Save the picture; return the message: report, statement at fault, source, and where the picture is."""
    wrong = at_fault(program)
    what = "\n".join(f"wrong: {call.lines()[0]}" for call in wrong) or "each statement by itself is right"
    picture = save(program, wrong, folder(directory))
    return f"{report}\n{what}\npicture: {picture}\n\n{program.source()}"


def folder(directory: Any = None) -> Path:
    """Return where to save: the directory, or a folder below the current one, one for each test."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "program").rpartition(" ")[0] or "program"
    path = FOLDER / re.sub(r"[^\w.-]+", "_", test.rpartition("::")[2]) if directory is None else Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    return path


def at_fault(program: Program) -> list[Call]:
    """Return the calls, outside of blocks, whose own gradients differ from differences at their arguments."""
    env: dict[Any, Any] = dict(zip(program.inputs, program.tensors(), strict=True))
    wrong = []
    for statement in program.statements:
        if isinstance(statement, Call) and statement.op != "detach" and not _right(statement, env):
            wrong.append(statement)
        statement.run(env, Tensors())
    return wrong


def _right(call: Call, env: dict[Any, Any]) -> bool:
    args: list[Any] = [env[a] if isinstance(a, str) else a for a in call.args]
    moving = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]

    def f(*xs: Any) -> Any:
        own = dict(zip(moving, xs, strict=True))
        return call.of([own.get(i, a) for i, a in enumerate(args)], Tensors())

    return not moving or checks.check_gradients(f, *[args[i].data for i in moving]).ok


def both_gradients(program: Program) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name of every value, the gradient by it, and what differences say.

    The differences are of the results as NumPy computes them. The gradients of a large value are those along one
    random direction.
    """
    kept: dict[Any, np.ndarray] = {}
    env = program.values(machine=Tensors(kept))
    us = program.cotangents()
    names = [n for n, v in env.items() if isinstance(v, Tensor) and v.requires_grad]
    written = {n for s in program.statements for n in s.changes}
    found = gradients(
        [env[n] for n in program.outputs], [env[n] for n in names], [Tensor(u) for u in us], allow_unused=True
    )
    rng = np.random.default_rng(0)
    points = list(program.inputs.values())
    for name, g in zip(names, found, strict=True):
        if name in written:
            continue
        x = env[name].data
        analytic = np.zeros(x.shape) if g is None else g.numpy()

        def value(at: np.ndarray, name: str = name) -> float:
            out = program.run(points, Arrays(dict(kept), {name: at}))
            return float(sum((o * u).sum() for o, u in zip(out, us, strict=True)))

        units = np.eye(x.size).reshape(-1, *x.shape) if x.size <= SHOWN else [rng.standard_normal(x.shape)]
        numeric = [directional_derivative(value, x, v).value for v in units]
        yield name, np.array([(analytic * v).sum() for v in units]), np.array(numeric)


def save(program: Program, wrong: list[Call], directory: Path) -> Path:
    """Draw the program's graph, both gradients in every box; return the file: an SVG, DOT text without Graphviz."""
    from ...diagram import draw, tape, trace
    from ...diagram.drawing import Drawing

    (directory / "program.py").write_text(program.source() + "\n")
    notes = {n: (a, d) for n, a, d in both_gradients(program)}
    outputs = trace.run(_named(program), *program.tensors())
    full = tape.read(outputs)
    culprits = {n for call in wrong for n in call.results}
    for box in full.boxes.values():
        box.line = ""  # the program has no lines but its own
        values = [box.symbol] if box.symbol else [e.label for e in full.edges if e.tail == box.id]
        known = [n for n in dict.fromkeys(values) if n in notes]
        if known and box.kind not in ("output", "loss"):
            mark = "✗ " * bool(culprits & set(known))
            box.label = f"{mark}{', '.join(known)}{f' = {box.op}' if box.op else ''}"
            box.params = "; ".join(_note(*notes[n]) for n in known)
            box.symbol = ""
    title = ", ".join(f"wrong: {c.results[0]} = {c.op}" for c in wrong)
    drawing = Drawing(draw.closed(full.changed(title=title), DEEPEST))
    path = directory / "program.svg"
    try:
        drawing.save(path)
    except DataError:
        path = path.with_suffix(".dot")
        drawing.save(path)
    return path


def _named(program: Program) -> Any:
    return lambda *inputs: program.run(inputs, Named())


def _note(analytic: np.ndarray, numeric: np.ndarray) -> str:
    agree = np.allclose(analytic, numeric, rtol=1e-4, atol=1e-6)
    return f"∂ {_numbers(analytic)} " + ("by both" if agree else f"but differences {_numbers(numeric)}")


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{v:.4g}".replace("-", "−") for v in values)
