"""Sentiment: the reviews are dealt out by their text alone, and what the models compute is what their formulas say."""

import json
import os
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.errors import DataError
from vision.datasets import cache_dir

from .test_examples import ROOT, written

PATH = os.pathsep.join(map(str, (ROOT / "examples", ROOT)))
needs_reviews = pytest.mark.skipif(
    not (cache_dir() / "reviews" / "hutto_ICWSM_2014.tar.gz").is_file(), reason="the reviews are not in the cache"
)
texts = st.text(st.characters(codec="utf-8"), max_size=30)
lines = st.builds("{}\t{}\t{}".format, st.integers(), st.one_of(st.floats(), st.text("1.-e", max_size=3)), texts)


@pytest.fixture(scope="module")
def program():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        yield runpy.run_path(str(ROOT / "examples" / "sentiment.py"))


@pytest.fixture(scope="module")
def reviews(program):
    return program["reviews"]


def run(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": PATH, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error::RuntimeWarning", str(ROOT / "examples" / "sentiment.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


# --------------------------------------------------------------------------------------------------- the data


@given(st.lists(st.one_of(lines, texts), max_size=20))
def test_every_line_is_in_one_part_or_counted(reviews, given_lines):
    content = "\n".join(given_lines)
    parts = reviews.parse(content)
    kept = [review for part in (parts.train, parts.valid, parts.test) for review in part]
    assert len(kept) + parts.left_out.total() == len(content.splitlines())
    assert len({review.text.lower() for review in kept}) == len(kept)
    assert all(np.isfinite(review.rating) and reviews.words(review.text) for review in kept)


@given(st.lists(texts, min_size=1, max_size=9), st.randoms())
def test_the_part_depends_on_the_text_alone(reviews, given_texts, random):
    def dealt(ordered):
        parts = reviews.parse("\n".join(f"{i}\t1\t{text}" for i, text in enumerate(ordered)))
        return [{review.text.lower() for review in part} for part in (parts.train, parts.valid, parts.test)]

    assert dealt(given_texts) == dealt(random.sample(given_texts, len(given_texts)))


@given(texts)
def test_no_character_but_spaces_is_lost_in_words(reviews, text):
    joined = "".join(reviews.words(text))
    assert joined == "".join(text.lower().replace("\u2019", "'").split())


@needs_reviews
def test_the_reviews_are_those_that_were_published(reviews):
    parts = reviews.load()
    every = [*parts.train, *parts.valid, *parts.test]
    assert len(every) + parts.left_out.total() == 10_605 and parts.left_out == {"a text twice": 2}
    known = len(reviews.clear(every))
    assert known == 9_171 and 0.75 < len(reviews.clear(parts.train)) / known < 0.85
    assert max(abs(review.rating) for review in every) <= 4


def test_files_that_cannot_be_read(reviews, tmp_path):
    file = tmp_path / "own.tsv"
    file.write_bytes("1\t2\tA café.".encode("latin-1"))
    with pytest.raises(DataError, match=r"is not UTF-8 \(byte 9 is 0xe9\) → convert it"):
        reviews.read(file)
    file.write_text("1\t2\tA film.\n\n1\tgood\tA film.\n")
    with pytest.raises(DataError, match=r"too few reviews: .*1 empty lines.*1 lines without"):
        reviews.read(file)


# -------------------------------------------------------------------------------------------------- the models


sentences = st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=7), min_size=1, max_size=5)


def batch(program, rows):
    return [autograd.tensor(part) for part in program["padded"](rows)]


@given(sentences)
def test_the_reader_is_the_mean_of_what_its_states_think(program, rows):
    autograd.manual_seed(len(rows))
    model = program["Reader"](9).eval()
    found = model(*batch(program, rows)).detach().numpy()
    for row, score in zip(rows, found, strict=True):
        states, _ = model.rnn(model.embedding(autograd.tensor(row)))  # alone, without padding
        weight = model.head.weight.detach().numpy()[0]
        np.testing.assert_allclose(score, (states.detach().numpy() @ weight).mean(), rtol=1e-4, atol=1e-6)


@given(sentences)
def test_a_bag_of_words_counts_what_is_there(program, rows):
    model = program["BagOfWords"](9)
    with autograd.no_grad():
        model.weight.weight[...] = np.arange(9.0)[:, None] - 4
        model.bias[...] = 0.5
        model.weight.weight[0] = 0.0  # padding
    expected = [sum(row) - 4 * len(row) + 0.5 for row in rows]
    np.testing.assert_allclose(model(*batch(program, rows)).detach().numpy(), expected, rtol=1e-6)


@given(st.lists(st.sampled_from("abc"), max_size=6))
def test_words_and_pairs(program, tokens):
    there = {*tokens, *(f"{tokens[i]} {tokens[i + 1]}" for i in range(len(tokens) - 1))}
    assert program["with_pairs"](tokens) == sorted(there) and program["distinct"](tokens) == sorted(set(tokens))


@given(st.lists(st.sampled_from(["good", "bad", "film", "neverheard"]), max_size=6))
def test_opinions_end_where_the_score_is(program, tokens):
    text = " ".join(tokens)
    known = program["Texts"].known([program["Review"](1.0, "good bad film")], list, 1)
    model = program["Reader"](len(known.vocabulary)).eval()
    each, so_far = program["opinions"](model, known, text)
    score = model(*batch(program, [known.encode(text)])).item()
    assert len(each) == len(so_far) == max(len(tokens), 1)
    np.testing.assert_allclose([so_far[-1], each.mean()], score, rtol=1e-4, atol=1e-6)


def test_a_long_text_is_read_up_to_a_bound(program):
    known = program["Texts"].known([program["Review"](1.0, "good")], list, 1)
    assert len(known.encode("good " * 10_000)) == program["LONGEST"]


# ------------------------------------------------------------------------------------------------- the program


@needs_reviews
def test_quick(tmp_path):
    done = run("--quick", "--text", "", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 a text twice" in done.stdout and "of the words are unknown" in done.stdout
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["seed"] == 1 and 0.45 < result["majority"] < 0.55
    assert all(result[name] > 0.62 for name in ("bag of words", "bag of words and pairs", "network"))
    assert ("the network does not win" in done.stdout) == (result["network"] <= max(list(result.values())[:3]))
    files = {"result.json", "mistakes.tsv", "learning_curve.png", "opinions.png", "reader.html", "reader.svg"}
    assert written(tmp_path / "out") == files | {"network", "bag_of_words", "bag_of_words_and_pairs"}

    shutil.rmtree(tmp_path / "out" / "bag_of_words_and_pairs")  # a run may end before a model has begun
    again = run("--quick", "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    before, _, after = again.stdout.partition("bag of words and pairs:")
    pairs, _, network = after.partition("network:")
    assert "epoch 1/" in pairs and "epoch" not in before + network
    repeated = json.loads((tmp_path / "out" / "result.json").read_text())
    assert all(repeated[name] == result[name] for name in result if name != "seconds")


def test_what_does_not_fit_is_said(tmp_path):
    (tmp_path / "own.tsv").write_text("".join(f"{i}\t0.5\tFilm number {i}.\n" for i in range(99)))
    for arguments, words in (
        (["--file", "own.tsv"], "no review is clearly for or against"),
        (["--file", "missing.tsv"], "missing.tsv"),
    ):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
