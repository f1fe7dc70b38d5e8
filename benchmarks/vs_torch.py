"""The lecture's networks against PyTorch: a training step, inference, peak memory.

    python -m benchmarks.vs_torch                       all networks; writes benchmarks/results.json and results.md
    python -m benchmarks.vs_torch --only vgg16 resnet   networks whose names begin so; the others' figures are kept
    python -m benchmarks.vs_torch --profile vgg16       where our time goes, operation by operation

A training step is zero_grad, forward, cross-entropy, backward and SGD with momentum; inference is the forward pass in
eval mode under no_grad. float32, the same weights and data on both sides, and the same losses, or there is no result.
PyTorch runs eagerly with its defaults; networks on images also channels-last, and the ratio is against the faster.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from benchmarks import command, compare, libraries, per_operation, report
from benchmarks.compare import Effort, Worker
from benchmarks.networks import NETWORKS

MODES = {"train": "Training step", "infer": "Inference"}
TOLERANCES = {"results": 3e-3, "gradients": 1e-2}  # PyTorch's own ResNet-50 moves by 1e-3 with images changed by 3e-7
STEPS = 2  # of the process whose memory is measured: momentum is there in the second


def unfold(name: str, *, threads: int) -> compare.Runs:
    """Our side of a network."""
    return _runs(name, libraries.Unfold(threads))


def pytorch(name: str, channels_last: bool = False, *, threads: int) -> compare.Runs:
    """PyTorch's side of a network."""
    return _runs(name, libraries.PyTorch(threads, channels_last))


def _runs(name: str, library: libraries.Library) -> compare.Runs:
    before = compare.memory()["now"]
    task = NETWORKS[name].task(library)

    def memory() -> dict[str, float]:
        peak = compare.memory()["peak"]
        return {"added": peak - before, "whole": peak}

    return {
        "results": task.results,
        "gradients": task.gradients,
        "train": task.train,
        "infer": task.infer,
        "memory": memory,
    }


def measured(name: str, threads: int, effort: Effort) -> dict[str, Any]:
    """Both sides of one network: seconds, ratios, and the peak memory of training."""
    sides: dict[str, tuple[Any, ...]] = {"Unfold": (unfold, name), "PyTorch": (pytorch, name)}
    if NETWORKS[name].images:
        sides["channels-last"] = (pytorch, name, True)
    row: dict[str, Any] = {}
    with ExitStack() as stack:
        workers = compare.opened(stack, sides, threads)
        for what, tolerance in TOLERANCES.items():
            compare.agree({side: worker.ask(what)[1] for side, worker in workers.items()}, tolerance)
        for mode in MODES:
            row[mode] = compare.figures(compare.alternate(workers, mode, effort), ours="Unfold")
    row["memory"] = {}
    for side in ("Unfold", row["train"]["against"]):
        with Worker(*sides[side], threads=threads) as worker:
            worker.ask("train", STEPS)
            row["memory"]["Unfold" if side == "Unfold" else "PyTorch"] = worker.ask("memory")[1]
    return row


# --- the tables -------------------------------------------------------------------------------------------------------


def tables(rows: Mapping[str, Any]) -> list[Any]:
    """Training, inference and memory, each with its geometric mean."""
    ordered = {name: rows[name] for name in NETWORKS if name in rows}
    good = {name: row for name, row in ordered.items() if "failed" not in row}
    parts: list[Any] = [_speed(mode, good) for mode in MODES] if good else []
    if good:
        parts.append(_memory(good))
    parts += [f"{NETWORKS[name].title}: no result: {row['failed']}" for name, row in ordered.items() if "failed" in row]
    return parts


def _speed(mode: str, rows: Mapping[str, Any]) -> Any:
    lines = []
    for name, row in rows.items():
        figures, goal = row[mode], NETWORKS[name].goal
        seconds, found = figures["seconds"], figures["ratio"]
        lines.append([
            NETWORKS[name].title,
            *[report.milliseconds(seconds.get(side)) for side in ("Unfold", "PyTorch", "channels-last")],
            report.times(found), f"{goal:.2f}", "yes" if found["median"] >= goal else "no", row["measured"],
        ])  # fmt: skip
    lines.append(["geometric mean", "", "", "", f"{mean(rows, mode):.2f}", "1.30", "", ""])
    columns = ["network [batch]", "Unfold ms", "PyTorch ms", "channels-last ms", "ratio", "goal", "reached", "measured"]
    return report.table(MODES[mode], columns, lines)


def mean(rows: Mapping[str, Any], mode: str) -> float:
    """The geometric mean of the ratios."""
    return statistics.geometric_mean([row[mode]["ratio"]["median"] for row in rows.values()])


def _memory(rows: Mapping[str, Any]) -> Any:
    lines = []
    for name, row in rows.items():
        ours, theirs = row["memory"]["Unfold"], row["memory"]["PyTorch"]
        share = theirs["added"] / ours["added"] if ours["added"] > 0 else math.inf
        lines.append([
            NETWORKS[name].title, f"{ours['added']:.0f}", f"{theirs['added']:.0f}", f"{share:.2f}",
            f"{ours['whole']:.0f}", f"{theirs['whole']:.0f}",
        ])  # fmt: skip
    title = f"Peak memory of {STEPS} training steps, MB: what model and steps add, and the whole process"
    return report.table(
        title, ["network [batch]", "Unfold", "PyTorch", "ratio", "Unfold, whole", "PyTorch, whole"], lines
    )


# --- the command ------------------------------------------------------------------------------------------------------


def main() -> None:
    options = command.parser(__doc__)
    options.add_argument(
        "--profile", metavar="NAME", choices=NETWORKS, help="our time per operation of a training step"
    )
    given = options.parse_args()
    if given.profile:
        report.show(per_operation.tables(given.profile, given.threads))
        return
    command.run("networks", NETWORKS, measured, tables, given, Effort())


if __name__ == "__main__":
    main()
