"""The program that forecasts: nothing looks ahead, the baselines are what they are called, and the sun's spots."""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd.errors import DataError
from vision.datasets import cache_dir

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))  # where the program finds what lies beside it
pytest.importorskip("matplotlib", reason="matplotlib is not installed: the examples draw")
import forecast  # noqa: E402
import walk_forward as walk  # noqa: E402
from corpora import series  # noqa: E402

TASK = walk.Task(
    dict, "step", 5, np.log, np.exp, lambda found, true: found - true, "", False, ("070", "080", "090"), 1, 4, 16
)
TIMES = tuple(f"{t:03}" for t in range(100))
needs_data = pytest.mark.skipif(
    not all((cache_dir() / "series" / file.name).is_file() for file in (series.SUNSPOTS, series.STOCKS)),
    reason="the series are not in the cache: examples/forecast.py fetches them",
)


def drawn(seed):
    """A positive series that goes up and down."""
    rng = np.random.default_rng(seed)
    return np.exp(np.cumsum(rng.normal(0, 0.2, len(TIMES))) * 0.3 + np.sin(np.arange(len(TIMES)) / 2))


def methods(task, out):
    args = argparse.Namespace(seed=1, device="cpu", out=out, resume=False)
    return walk.BASELINES | {name: forecast.Network(name, task, args) for name in forecast.NETWORKS}


@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize("name", [*walk.BASELINES, *forecast.NETWORKS])
def test_nothing_looks_ahead(name, changes, tmp_path):
    task, values = replace(TASK, changes=changes), drawn(0)
    method = methods(task, tmp_path)[name]
    expected = walk.walk_forward(task, {"a": (TIMES, values)}, method)["a"]
    assert np.isfinite(expected[69:]).all() and np.isnan(expected[:69]).all()
    for first in (70, 75, 85, 99):  # what comes from there on is not known to the forecasts of it and of all before
        other = np.concatenate([values[:first], drawn(1)[first:] + 3])
        found = walk.walk_forward(task, {"a": (TIMES, other)}, method)["a"]
        np.testing.assert_array_equal(found[:first], expected[:first])
        assert first == 99 or not np.allclose(found[first:], expected[first:])


@given(st.integers(0, 99), st.integers(1, 9))
def test_persistence_and_season_are_the_values_that_were(seed, season):
    values, task = drawn(seed), replace(TASK, season=season)
    found = {
        name: walk.walk_forward(task, {"a": (TIMES, values)}, walk.BASELINES[name])["a"]
        for name in ("persistence", "season ago")
    }
    for t in range(70, 100):
        assert found["persistence"][t - 1] == pytest.approx(values[t - 1])
        assert found["season ago"][t - 1] == pytest.approx(values[t - season])


@given(st.floats(0.2, 3.0), st.floats(0.1, 1.0))
def test_the_straight_line_knows_what_is_straight(frequency, size):
    values = np.exp(size * np.sin(frequency * np.arange(100)))  # a sine is a sum of its last two values
    found = walk.walk_forward(TASK, {"a": (TIMES, values)}, walk.straight_line)
    assert walk.rms(walk.errors(TASK, {"a": (TIMES, values)}, found)) < 1e-6


@given(st.integers(0, 99), st.integers(1, 5), st.integers(1, 3), st.integers(1, 9))
@settings(max_examples=20)
def test_the_feed_forward_network_sees_the_last_steps(seed, lookback, batch, steps):
    autograd.manual_seed(seed)
    model = forecast.FeedForward(lookback, 3).double()
    first, _, last = model.layers
    x = np.random.default_rng(seed).normal(size=(batch, steps, 1))
    out = model(autograd.tensor(x)).detach().numpy()
    for n, t in np.ndindex(batch, steps):
        seen = np.array([x[n, k, 0] if k >= 0 else 0.0 for k in range(t - lookback + 1, t + 1)])
        hidden = np.tanh(first.weight.detach().numpy() @ seen + first.bias.detach().numpy())
        assert out[n, t, 0] == pytest.approx((last.weight.detach().numpy() @ hidden + last.bias.detach().numpy())[0])


def test_left_to_itself_a_network_takes_its_forecasts_for_true(tmp_path):
    values = drawn(2)
    network = methods(TASK, tmp_path)["gru"]
    network([walk.Prepared(TASK, TIMES, values, "090")], "090")
    alone = network.alone(walk.Prepared(TASK, TIMES, values, "090"), 10)
    believed = values.copy()
    for t in range(90, 100):
        one = walk.Prepared(TASK, TIMES, believed, "090")
        believed[t] = one.forecasts(network.changes(one.x))[t - 1]
    np.testing.assert_allclose(alone, believed[90:], rtol=1e-5)


def test_training_windows_are_stretches_of_what_is_known():
    one = walk.Prepared(TASK, TIMES, drawn(3), "070")
    x, y = forecast.windows([one, one]).arrays
    assert x.shape == y.shape == (2 * (69 - 16 + 1), 16, 1)
    np.testing.assert_allclose(x[7, :, 0], one.x[7:23], rtol=1e-6)
    np.testing.assert_allclose(y[53, :, 0], np.diff(one.levels[53:70]) / one.scale, rtol=1e-4)


@given(st.integers(0, 99), st.sampled_from([0.3, 1.0, 3.0]))
def test_the_verdict_is_about_more_than_chance(seed, scale):
    errors = np.random.default_rng(seed).normal(size=(2, 300)) * [[scale], [1.0]]
    said = walk.verdict("a", errors[0], "b", errors[1])
    word = {0.3: "a beats b", 3.0: "a does not beat b"}.get(scale)
    assert said.startswith(word) if word else f"{walk.rms(errors[0]):.2f} against {walk.rms(errors[1]):.2f}" in said


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9), st.integers(0, 99))
def test_a_table_comes_back(values, seed):
    rng = np.random.default_rng(seed)
    lines = ["x,name,day", *(f"{value!r},{'ab'[n % 2]},{n:03}" for n, value in enumerate(values))]
    for place in sorted(rng.integers(1, len(lines) + 1, 3), reverse=True):
        lines.insert(place, "")
    found = series.read("t", lines, "day", "x", "name")
    for group, (days, numbers) in found.items():
        assert numbers.tolist() == values["ab".index(group) :: 2] and list(days) == sorted(days)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["day,y", "1,2"], "t: there is no column 'x', expected in .*'y'"),
        ([], "t: there is no column 'day'"),
        (["day,x", "1,2", "", "2,none"], "t, line 4: x is 'none', expected a number"),
        (["day,x", "1"], "t, line 2: x is None"),
        (["day,x", "1,nan"], "t, line 2: x is nan, expected a finite number"),
        (["day,x", "2,1", "1,1"], "t, line 3: day is '1' after '2'"),
    ],
)
def test_a_damaged_table_is_refused(lines, message):
    with pytest.raises(DataError, match=message):
        series.read("t", lines, "day", "x")


def run(*arguments, out):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error::RuntimeWarning", str(ROOT / "examples" / "forecast.py"), *arguments]
    done = subprocess.run(
        [*command, "--out", str(out)], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((out / "result.json").read_text())


@needs_data
@pytest.mark.parametrize("name", forecast.TASKS)
def test_a_quick_run_and_its_continuation(name, tmp_path):
    said, result = run(name, "--quick", out=tmp_path)
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert {"gru.html", "lstm.html", "feed-forward.html"} <= {path.name for path in tmp_path.iterdir()}
    assert set(result["rms"]) == {*walk.BASELINES, *forecast.NETWORKS} and len(result["verdicts"]) == 9
    assert all(verdict in said for verdict in result["verdicts"])
    assert ("FB is left out" in said) == (name == "stocks" and "2013" not in forecast.TASKS[name].blocks[-1])
    _, again = run(name, "--quick", "--resume", out=tmp_path)
    assert again["rms"] == result["rms"]


@needs_data
def test_the_gru_beats_both_baselines_on_sunspots(tmp_path):
    said, result = run("sunspots", "--network", "gru", out=tmp_path)
    spots = series.sunspots()[1]
    assert result["forecasts"] == 60
    assert result["rms"]["persistence"] == pytest.approx(np.sqrt(np.mean((spots[-60:] - spots[-61:-1]) ** 2)))
    assert result["rms"]["season ago"] == pytest.approx(np.sqrt(np.mean((spots[-60:] - spots[-71:-11]) ** 2)))
    assert "gru beats persistence" in said and "gru beats season ago" in said
    assert result["rms"]["gru"] < 0.65 * min(result["rms"]["persistence"], result["rms"]["season ago"])
