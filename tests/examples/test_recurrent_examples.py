"""The lecture's recurrent networks as programs: every picture they draw is known byte for byte, every claim holds.

`UPDATE_GOLDEN=1 pytest tests/examples/test_recurrent_examples.py` rewrites the golden files.
"""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from .test_examples import ROOT, run, written

GOLDEN = Path(__file__).with_name("golden")
HEAD = "// UPDATE_GOLDEN=1 pytest tests/examples/test_recurrent_examples.py rewrites this file\n"
PLACE = re.compile(r"\\n[^\\\"]*\.py:\d+")  # a source line in a tool tip
PROGRAM = (
    "import runpy, sys; slides = runpy.run_path(sys.argv[1])['slides']; sys.stdout.write(slides()[sys.argv[2]].dot)"
)


@pytest.fixture(scope="module")
def slides():
    return runpy.run_path(str(ROOT / "examples" / "rnn_unfolding.py"))["slides"]()


NAMES = (
    "feed_forward", "simplified", "loop", "unfolded_1", "unfolded_2", "unfolded_3", "one_to_one", "one_to_many",
    "many_to_one", "many_to_many", "many_to_many_in_step", "forty_steps", "lstm_folded", "lstm_unfolded", "truncated",
)  # fmt: skip


def test_every_slide_has_a_golden_file(slides):
    assert tuple(slides) == NAMES
    assert {path.stem for path in GOLDEN.glob("*.dot")} == {*NAMES} - {"truncated"}  # that one shows numbers


@pytest.mark.parametrize("name", [name for name in NAMES if name != "truncated"])
def test_golden(slides, name):
    text, path = HEAD + PLACE.sub("", slides[name].dot), GOLDEN / f"{name}.dot"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == known, "if the change is meant: UPDATE_GOLDEN=1 pytest tests/examples/test_recurrent_examples.py"


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_same_bytes_for_any_hash_seed(slides, seed):
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "examples" / "rnn_unfolding.py"), "lstm_unfolded"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert done.stdout == slides["lstm_unfolded"].dot, done.stderr


def formulas(drawing):
    return [box.formula for box in drawing.graph.boxes.values() if box.formula]


def test_the_slides_say_what_the_lecture_says(slides):
    h = [f"h{t} = tanh(W_hh h{before} + W_xh x{t})" for before, t in ("₀₁", "₁₂", "₂₃")]
    y = [f"y{t} = W_hy h{t}" for t in "₁₂₃"]
    for steps in (1, 2, 3):
        assert sorted(formulas(slides[f"unfolded_{steps}"])) == sorted(h[:steps] + y[:steps])
    assert formulas(slides["loop"]) == ["hₜ = tanh(W_hh hₜ₋₁ + W_xh xₜ)", "yₜ = W_hy hₜ"]
    kinds = {name: drawing.graph.title for name, drawing in slides.items() if "_to_" in name}
    assert all(name.replace("_", " ") in title for name, title in kinds.items()) and len(kinds) == 5


def test_rnn_unfolding(tmp_path):
    done = run("rnn_unfolding", "--format", "dot", "--updates", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "19 pictures" in done.stdout and "chance: 25 %" in done.stdout
    vanishing = {"vanishing_vanilla.dot", "vanishing_lstm.dot", "vanishing_gradient.png", "lstm.html"}
    assert written(tmp_path / "out") == {f"{name}.dot" for name in NAMES} | vanishing
    vanilla, lstm = (float(line.split("is ")[1].split()[0]) for line in done.stdout.splitlines()[:2])
    assert vanilla < 1e-4 < 1e-1 < lstm


def test_same_question(tmp_path):
    done = run("same_question", "--quick", "--format", "dot", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    right = {line.split("  ")[0]: float(line.split()[-2]) for line in done.stdout.splitlines() if line.endswith(" %")}
    ceiling = right["the most without memory"]
    assert right["without memory"] <= ceiling + 0.05 < 40 and right["with memory"] > 2 * ceiling
    dialogue = [part for part in done.stdout.split("\n\n") if "So, do you understand?" in part]
    replies = [re.findall(r"memory: +(.*)", part) for part in dialogue]
    assert replies[0][1] == replies[1][1] and replies[0][0] != replies[1][0]
    assert written(tmp_path / "out") == {"same_question.dot"}


def test_stories_are_told_and_answered_in_order():
    program = runpy.run_path(str(ROOT / "examples" / "same_question.py"))
    story = ("Anna goes to the office.", "It begins to snow.", "Anna goes to the garden.", "Where is Anna?")
    assert program["truth"](story) == "In the garden."
    stories = program["Stories"]([story, story[:1] + story[3:]])
    assert stories.lengths.tolist() == [4, 2] and stories.ceiling() == 0.5
    assert stories.x.sum(axis=2)[:4].tolist() == [[5, 5], [4, 3], [5, 0], [3, 0]]
