"""Captions: scenes are what is said of them, parts have nothing in common, and the program does what it says."""

import doctest
import json
import os
import runpy
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import DomainError
from vision.datasets import cache_dir

from .test_examples import ROOT, written

FILES = {
    "last.safetensors", "best.safetensors", "result.json", "learning_curve.png", "captions.png", "attention.png",
    "model.html", "model.svg",
}  # fmt: skip

pytest.importorskip("matplotlib", reason="matplotlib is not installed: the examples draw")
needs_emoji = pytest.mark.skipif(
    not (cache_dir() / "emoji" / "64.png").is_file(),
    reason="the emoji are not in the cache: python -m vision.datasets emoji fetches them",
)


@pytest.fixture(scope="module")
def corpora():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        from corpora import captioned, scenes

        yield scenes, captioned


@pytest.fixture(scope="module")
def scenes(corpora):
    return corpora[0]


@pytest.fixture(scope="module")
def program(corpora):
    return runpy.run_path(str(ROOT / "examples" / "caption.py"))


def run(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error::RuntimeWarning", str(ROOT / "examples" / "caption.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8")


# -------------------------------------------------------------------------------------------------- scenes


def test_doctests(corpora):
    assert not sum(doctest.testmod(module).failed for module in corpora)


def test_parts_have_nothing_in_common_and_what_is_held_out_was_seen_apart(scenes):
    captions = {part: {s.caption for s in scenes.EVERY if s.part == part} for part in scenes.PARTS}
    assert sum(map(len, captions.values())) == len(scenes.EVERY) == len(set().union(*captions.values()))
    seen = {thing for s in scenes.EVERY if s.part == "train" for thing in (s.first, s.second)}
    assert seen | scenes.UNSEEN == set(scenes.THINGS) and not seen & scenes.UNSEEN
    assert {colour for colour, _ in seen} == set(scenes.COLOURS) and {shape for _, shape in seen} == set(scenes.SHAPES)
    assert {word for s in scenes.EVERY for word in s.caption.split()} == set(scenes.WORDS)


def test_scenes_depend_on_seed_part_and_number_alone(scenes):
    some, more, other = (scenes.Scenes(n, "valid", seed) for n, seed in ((5, 3), (9, 3), (9, 4)))
    assert more.captions[:5] == some.captions and more.captions != other.captions
    np.testing.assert_array_equal(more[:5], some[:])
    np.testing.assert_array_equal(more[[4, 1]], np.stack([some[4], some[1]]))
    assert len(more) == 9 and more[-1].shape == (48, 48, 3)
    with pytest.raises(DomainError, match="part is 'test', expected one of train, valid, scenes, pairs"):
        scenes.Scenes(1, "test")


@given(st.data(), st.integers(0, 2**32 - 1))
def test_a_scene_is_what_its_caption_says(scenes, data, seed):
    scene = data.draw(st.sampled_from([s for s in scenes.EVERY if s.first[0] != s.second[0]]))
    picture = scenes.draw(scene, np.random.default_rng(seed)).astype(float)
    # Every pixel belongs to that of the two colours and the background, which is grey, that it is nearest to.
    background = np.median(picture[[0, -1]], axis=(0, 1))
    colours = np.array([scenes.COLOURS[scene.first[0]], scenes.COLOURS[scene.second[0]], background])
    nearest = ((picture[:, :, None] - colours) ** 2).sum(-1).argmin(-1)
    whole = [np.argwhere(nearest == i)[:, ::-1] for i in (0, 1)]  # x, y
    assert min(map(len, whole)) > 10
    low, high = np.percentile(whole[0], (5, 95), axis=0)
    middle = whole[1].mean(0)
    if scene.relation == "behind":
        assert ((low - 3 < middle) & (middle < high + 3)).all()
    else:
        along = (middle - (low + high) / 2) @ scenes.RELATIONS[scene.relation]
        assert along > 10
    assert np.ptp(whole[0], axis=0).max() > 12 or scene.relation == "behind"


@given(st.data(), st.integers(0, 2**32 - 1))
def test_every_shape_can_be_told_also_of_what_is_behind(scenes, data, seed):
    scene = data.draw(st.sampled_from(scenes.EVERY))
    thing = data.draw(st.sampled_from(["first", "second"]))
    colour, shape = getattr(scene, thing)
    other = data.draw(st.sampled_from([s for s in scenes.SHAPES if s != shape]))
    one, two = (
        scenes.draw(s, np.random.default_rng(seed)).astype(int)
        for s in (scene, scene._replace(**{thing: (colour, other)}))
    )
    assert (abs(one - two).max(-1) > 30).sum() >= 12  # pixels that differ clearly


@given(st.data(), *[st.floats(-1.5, 1.5)] * 4)
def test_outlines_are_distances_inside_the_unit_square(scenes, data, x, y, u, v):
    outline = scenes.SHAPES[data.draw(st.sampled_from(list(scenes.SHAPES)))]
    assert abs(outline(x, y) - outline(u, v)) <= 1.05 * np.hypot(x - u, y - v) + 1e-9
    assert outline(x, y) > 0 or max(abs(x), abs(y)) <= 1


# -------------------------------------------------------------------------------------------------- the network


@pytest.fixture(scope="module")
def small(program, corpora):
    """A network with random weights, its vocabulary, and eight scenes."""
    vocabulary = nn.Vocabulary(corpora[0].WORDS)
    autograd.manual_seed(3)
    model = program["Captioner"](len(vocabulary), 48, 0.5, hidden=12, depth=8)
    return model.eval(), vocabulary, corpora[0].Scenes(8, "train")


def test_a_lesson_is_the_caption_and_the_caption_one_word_on(program, corpora, small):
    _, vocabulary, drawn = small
    examples = corpora[1].Captioned("some", drawn, [caption.split() for caption in drawn.captions])
    (batch,) = program["Lessons"](examples, vocabulary).loader(8)
    (pictures, words), wanted = batch
    assert pictures.shape == (8, 3, 48, 48) and pictures.dtype == np.float32
    for read, said, caption in zip(words.tolist(), wanted.tolist(), drawn.captions, strict=True):
        length = len(caption.split())
        assert vocabulary.decode(said) == caption.split() and read[0] == vocabulary.bos
        assert read[1 : length + 1] == said[:length] and said[length] == vocabulary.eos
        assert set(said[length + 1 :]) <= {vocabulary.pad}


def test_the_metric_is_what_always_taking_the_best_word_gives(program, small):
    model, vocabulary, drawn = small
    pictures = autograd.tensor(program["PLAIN"](drawn[:]))
    with autograd.no_grad():
        state, tokens = model.look(pictures), autograd.tensor([vocabulary.bos] * 8)
        said = [tokens]
        for _ in range(6):
            scores, state = model.step(said[-1], state)
            said.append(scores.argmax(axis=1))
        said = autograd.stack(said, axis=1)
        scores, weights = model.read(pictures, said[:, :-1])
    exact = program["exactly"](vocabulary.pad)
    assert exact(scores, said[:, 1:]).item() == 1
    np.testing.assert_allclose(weights.numpy().sum(-1), 1, rtol=1e-5)
    wanted = said[:, 1:].numpy().copy()
    wanted[0, 3] = (wanted[0, 3] + 5) % len(vocabulary)
    assert exact(scores, autograd.tensor(wanted)).item() == pytest.approx(7 / 8)
    wanted[0, 3:] = vocabulary.pad  # what lies behind the end counts for nothing
    assert exact(scores, autograd.tensor(wanted)).item() == 1


def test_what_is_said_of_a_picture_does_not_depend_on_the_others(program, small):
    model, vocabulary, drawn = small
    said = program["describe"](model, drawn[:], vocabulary, batch=3)
    assert said == program["describe"](model, drawn[:], vocabulary)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_the_encoder_has_its_places_at_every_eighth_pixel(program, small, i, j, seed):
    pictures = np.random.default_rng(seed).uniform(-1, 1, (16, 3, 48, 48)).astype(np.float32)
    others = pictures.copy()
    others[:, :, 8 * i - 1 : 8 * i + 2, 8 * j - 1 : 8 * j + 2] *= -1
    with autograd.no_grad():
        maps, changed = (small[0].encoder(autograd.tensor(seen)).numpy() for seen in (pictures, others))
    changes = ((maps - changed) ** 2).sum((0, 1))
    middle = (np.indices(changes.shape) * changes).sum((1, 2)) / changes.sum()
    np.testing.assert_allclose(middle, (i, j), atol=0.4)


def test_an_interrupted_run_continues_with_the_pictures_that_follow(program, corpora, tmp_path, monkeypatch):
    vocabulary = nn.Vocabulary(corpora[0].WORDS)
    drawn = corpora[0].Scenes(12, "train")
    examples = corpora[1].Captioned("some", drawn, [caption.split() for caption in drawn.captions])

    def trained(folder, resume=False):
        autograd.manual_seed(3)
        model = program["Captioner"](len(vocabulary), 48, 0.5, hidden=12, depth=8)
        optimizer = nn.optim.AdamW(model.parameters(), lr=1e-2)
        loss = nn.CrossEntropyLoss(ignore_index=vocabulary.pad)
        trainer = nn.Trainer(model, loss, optimizer, metrics=[], out=tmp_path / folder, progress=False)
        if resume:
            trainer.resume()
        taught = program["Lessons"](examples, vocabulary, program["VARIED"])
        trainer.fit(taught.loader(4, shuffle=True, seed=5), taught.loader(12), epochs=2)
        return trainer

    ready, steps = program["Captioner"].forward, iter(range(4))  # three, one to validate with, and no more

    def interrupt(self, *given):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return ready(self, *given)

    expected = trained("through").model.state_dict()
    with monkeypatch.context() as patch:
        patch.setattr(program["Captioner"], "forward", interrupt)
        assert trained("stopped").stopped == "interrupt"
    for name, value in trained("stopped", resume=True).model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), expected[name].numpy(), err_msg=name)


def test_the_nearest_picture_is_the_nearest(program, corpora):
    rng = np.random.default_rng(0)
    known, asked = (rng.integers(0, 256, (n, 8, 12, 3), np.uint8) for n in (700, 5))
    train = corpora[1].Captioned("known", known, [[str(i)] for i in range(700)])
    means = [np.array([[p[i : i + 4, j : j + 4].mean((0, 1)) for j in (0, 4, 8)] for i in (0, 4)]) for p in known]
    for picture, said in zip(asked, program["nearest"](train, asked), strict=True):
        mine = np.array([[picture[i : i + 4, j : j + 4].mean((0, 1)) for j in (0, 4, 8)] for i in (0, 4)])
        distances = [((mine - other) ** 2).sum() for other in means]
        assert distances[int(said[0])] == pytest.approx(min(distances), rel=1e-4)


# -------------------------------------------------------------------------------------------------- the program


def test_scenes_from_beginning_to_end_and_again(tmp_path):
    done = run("scenes", "--quick", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert written(tmp_path / "out") == FILES
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["epochs"] == 2 and result["seed"] == 1
    assert all(result[part]["nearest"]["exact"] == 0 for part in ("scenes", "pairs"))  # no training scene has them
    losses = [
        float(line.split("valid_loss")[1].split()[0]) for line in done.stdout.splitlines() if "valid_loss" in line
    ]
    assert len(losses) == 2 and all(later < earlier for earlier, later in pairwise(losses))

    again = run("scenes", "--quick", "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    repeated = json.loads((tmp_path / "out" / "result.json").read_text())
    assert repeated == result
    other = run("scenes", "--quick", "--resume", "--out", "elsewhere", cwd=tmp_path)
    assert other.returncode == 1 and "elsewhere/last.safetensors" in other.stderr and "Traceback" not in other.stderr


@needs_emoji
def test_emoji_from_beginning_to_end(tmp_path):
    done = run("emoji", "--quick", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert written(tmp_path / "out") == FILES
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert set(result["emoji"]) == {"network", "nearest"}
