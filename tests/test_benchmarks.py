"""The benchmarks' own machinery, without PyTorch and without a look at the clock's figures."""

import itertools
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from benchmarks import command, compare, libraries, networks, per_operation, report
from benchmarks.compare import Effort, MeasurementError, Worker

EFFORT = Effort(rounds=3, budget=1.0, turn=0.001, fewest=3)


def side(log: Path, *, threads: int) -> compare.Runs:
    """Trivial work that writes down when it is done, to a file that all sides share."""

    def work() -> int:
        start = time.perf_counter()
        time.sleep(0.002)
        with log.open("a") as file:
            file.write(f"{os.getpid()} {start} {time.perf_counter()}\n")
        return threads

    environment = {name: os.environ.get(name) for name in compare.THREAD_VARIABLES}
    return {
        "work": work,
        "environment": lambda: environment,
        "wrong": lambda: {}["key"],
        "die": lambda: os._exit(3),
    }


def test_sides_take_turns(tmp_path: Path) -> None:
    log, before = tmp_path / "log", dict(os.environ)
    with Worker(side, log, threads=3) as a, Worker(side, log, threads=3) as b:
        seconds = compare.alternate({"a": a, "b": b}, "work", EFFORT)
        environments = [worker.ask("environment")[1] for worker in (a, b)]
    turns = [line.split() for line in log.read_text().splitlines()]
    assert len({process for process, *_ in turns}) == 2
    for (_, _, end), (_, start, _) in itertools.pairwise(turns):
        assert float(end) <= float(start), "two sides computed at the same time"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}
    assert environments == [dict.fromkeys(compare.THREAD_VARIABLES, "3")] * 2
    assert dict(os.environ) == before


@pytest.mark.parametrize(("run", "message"), [("wrong", "KeyError: 'key'"), ("die", "exit status 3")])
def test_a_side_that_fails_says_why(tmp_path: Path, run: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with Worker(side, tmp_path / "log", threads=1) as worker, pytest.raises(MeasurementError, match=message):
        worker.ask(run)


values = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30)


@given(values, st.floats(0.1, 10))
def test_ratios_say_how_many_times_as_fast_we_are(ours: list[float], factor: float) -> None:
    theirs = {"slower": [2 * factor * s for s in ours], "faster": [factor * s for s in ours]}
    found = compare.figures({"ours": ours, **theirs, "shown": [s / 100 for s in ours]}, "ours", own=("shown",))
    assert found["against"] == "faster"
    assert all(math.isclose(found["ratio"][name], factor) for name in ("median", "low", "high"))


@given(values)
def test_a_spread_is_in_order_and_of_the_values(given: list[float]) -> None:
    found = compare.spread(given)
    assert min(given) <= found["low"] <= found["median"] <= found["high"] <= max(given)


@given(values, st.floats(1e-6, 0.5))
def test_results_that_differ_are_refused(numbers: list[float], by: float) -> None:
    a = np.array(numbers)
    sides = {"ours": {"loss": a}, "theirs": {"loss": a * (1 - by)}}
    assert math.isclose(compare.apart(a, a * (1 - by)), by, rel_tol=1e-6)
    compare.agree(sides, tolerance=1.01 * by)
    with pytest.raises(MeasurementError, match="loss differs"):
        compare.agree(sides, tolerance=by / 1.01)
    compare.agree({**sides, "theirs, otherwise": {"loss": a * (1 + by)}}, tolerance=0)  # they differ more themselves
    for other in ({"loss": a * math.nan}, {"loss": a, "more": a}):
        with pytest.raises(MeasurementError):
            compare.agree({"ours": {"loss": a}, "theirs": other}, tolerance=math.inf)


def tiny() -> networks.Network:
    """A network of every kind of layer that has rules of its own."""
    layers = [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 4)]
    return networks.Network("tiny", lambda library: library.nn.Sequential(*layers), (2, 2, 6, 6), 4, 1.0)


def test_a_profile_accounts_for_all_time_and_every_call() -> None:
    task = tiny().task(libraries.Unfold(1))
    whole, rows = per_operation.profile(task, steps=2)
    assert math.isclose(sum(seconds for _, _, seconds, _ in rows), whole)
    calls = {(label, shapes): count for label, shapes, _, count in rows}
    assert calls["biased_conv2d", "2×2×6×6 3×2×3×3 3"] == 1
    assert calls["optimizer.step", ""] == 1
    assert any(label.startswith("∇biased_conv2d") for label, _ in calls)
    assert [seconds for _, _, seconds, _ in rows] == sorted((seconds for _, _, seconds, _ in rows), reverse=True)


def test_nothing_is_watched_afterwards() -> None:
    spent = per_operation.Spent()
    x = autograd.ones(3)
    with per_operation.watched(spent):
        autograd.exp(x)
    autograd.exp(x)
    assert {label: calls for (label, _), (_, calls) in spent.rows.items()} == {"exp": 1}


def test_weights_are_the_same_wherever_they_are_drawn_and_training_uses_them() -> None:
    results = [tiny().task(libraries.Unfold(1)).results() for _ in range(2)]
    assert results[0] == results[1]
    assert len(set(results[0].values())) == 3  # the loss changes from step to step


def test_a_row_measured_again_replaces_the_old_one_and_another_machine_all(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    row = {"forward": 1.0, "backward": 2.0, "freeing": 0.0}
    for name, forward in (("first", 1.0), ("second", 1.0), ("first", 3.0)):
        report.Results(path, threads=2).keep("engine", name, {**row, "forward": forward})
    rows = report.Results(path, threads=2).rows("engine")
    assert {name: row["forward"] for name, row in rows.items()} == {"first": 3.0, "second": 1.0}
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "| first" in page and "3.00" in page and "threads: 2" in page
    assert report.Results(path, threads=1).rows("engine") == {}
    assert json.loads(path.read_text(encoding="utf-8"))["about"] == report.machine(2)


def test_names_are_chosen_by_how_they_begin() -> None:
    assert command.chosen(["vgg", "rnn-32x2"], networks.NETWORKS) == ["vgg11", "vgg16", "rnn-32x25"]
    assert command.chosen(None, networks.NETWORKS) == list(networks.NETWORKS)
    with pytest.raises(SystemExit, match="the names are lenet5"):
        command.chosen(["lenet6"], networks.NETWORKS)
