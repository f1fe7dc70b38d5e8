"""The program that translates: pairs, pieces of words and the dictionary against plain loops, the network by steps."""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
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
import dictionary  # noqa: E402
import translate  # noqa: E402
from corpora import german, pairs, phrases  # noqa: E402
from corpora.languages import Languages  # noqa: E402
from corpora.pieces import WORD, Pieces  # noqa: E402

PNG = b"\x89PNG\r\n\x1a\n"
TEXT = st.lists(st.text("abc.,ßé한", min_size=1, max_size=6), max_size=6).map(" ".join)
SENTENCES = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map(" ".join), min_size=1, max_size=6)


def cached(folder, name="annotations.json"):
    return (cache_dir() / folder / name).is_file()


needs_german = pytest.mark.skipif(
    not cached("german", german.FILE.name),
    reason="the dictionary is not in the cache: examples/translate.py fetches it",
)
needs_phrases = pytest.mark.skipif(
    not all(cached(f"phrases/{kind}/{language}") for kind, language in phrases.FILES),
    reason="CLDR's phrases are not in the cache: examples/translate.py fetches them",
)

# ------------------------------------------------------------------------------------------------ pairs


@given(st.lists(st.tuples(TEXT, TEXT), max_size=30))
def test_parts_share_no_text_and_nothing_gets_lost(given_pairs):
    parts = pairs.split(given_pairs)
    dealt = [*parts.train, *parts.valid, *parts.test]
    for side in (0, 1):
        texts = [pair[side].lower() for pair in dealt]
        assert len(set(texts)) == len(texts) and all(texts)
    assert len(dealt) + sum(parts.left_out.values()) == len(given_pairs)
    assert pairs.split(dealt[::-1]).test == parts.test[::-1]  # the order decides nothing


def test_a_tenth_is_for_testing():
    parts = pairs.split((f"text {i}", f"translation {i}") for i in range(4000))
    assert 340 < len(parts.test) < 460 and 150 < len(parts.valid) < 250


def test_files_of_pairs(tmp_path):
    path = tmp_path / "own.tsv"
    rows = [f"number {i}\tZahl {i}" for i in range(50)]
    path.write_text("\ufeff" + "\n".join([*rows, "", "no tab", "a\tb\tc", "empty\t ", rows[0]]), encoding="utf-8")
    parts = pairs.read(path)
    assert parts.left_out == {"lines without exactly one tab": 3, "empty": 1, "a text twice": 1}
    assert "50" not in str(parts) and "3 lines without exactly one tab" in str(parts)
    path.write_bytes("größer\tlarger\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"is not UTF-8 \(byte 2 is 0xf6\) → convert"):
        pairs.read(path)
    path.write_text("\n\n")
    with pytest.raises(DataError, match="has no pairs to learn from"):
        pairs.read(path)


FORM = st.text("abcäß", min_size=1, max_size=5)


@given(st.lists(st.tuples(st.lists(FORM, min_size=1, max_size=3), st.lists(FORM, min_size=1, max_size=3)), min_size=1))
def test_lines_of_the_german_dictionary(forms):
    line = " :: ".join("|".join("; ".join(f"{w} {{f}} (note)" for w in form[i]) for form in forms) for i in (0, 1))
    expected = [(source, form[1][0]) for form in forms for source in form[0]]
    assert list(german.parse(["# comment", "", line], Counter())) == expected


def test_lines_that_say_nothing_clear_are_counted():
    left_out = Counter()
    lines = ["one | two :: eins", "der/die :: the", "no sides", "Haus {n} [arch.] <Häuser> :: house"]
    assert list(german.parse(lines, left_out)) == [("Haus", "house")]
    assert sum(left_out.values()) == 3


# ------------------------------------------------------------------------------------------------ pieces, dictionary


def plain_learning(texts, merges):
    """Count all neighbours anew before every merge."""
    words = [list(word) for text in texts for word in WORD.findall(f" {text}")]  # the space is there for the first word
    learned = []
    while len(learned) < merges:
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts or max(counts.values()) < 2:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        learned.append(best)
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = [word[i] + word[i + 1]]
                i += 1
    return learned, [piece for word in words for piece in word]


@given(st.lists(st.text("ab c", min_size=1, max_size=12), max_size=5), st.integers(0, 12))
def test_pieces_are_learned_as_by_counting_anew(texts, merges):
    learned, split = plain_learning(texts, merges)
    pieces = Pieces.learn(texts, merges)
    assert list(pieces.ranks) == learned
    assert [piece for text in texts for piece in pieces.split(text)] == split


@given(st.lists(TEXT, max_size=5), TEXT, st.integers(0, 20))
def test_pieces_give_the_text_back(texts, text, merges):
    pieces = Pieces.learn(texts, merges)
    assert pieces.join(pieces.split(text)) == text


def plain_model_1(known, rounds):
    """IBM's model 1 from dictionaries: t[source][target] (Brown et al. 1993, sec. 4.1)."""
    t = defaultdict(lambda: defaultdict(lambda: 1.0))
    for _ in range(rounds):
        count = defaultdict(lambda: defaultdict(float))
        for source, target in known:
            for e in target.split():
                total = sum(t[f][e] for f in source.split())
                for f in source.split():
                    count[f][e] += t[f][e] / total
        t = {f: {e: n / sum(row.values()) for e, n in row.items()} for f, row in count.items()}
    return t


@given(SENTENCES, SENTENCES, st.integers(1, 4))
def test_the_dictionary_is_that_of_ibm_model_1(sources, targets, rounds):
    known = list(zip(sources, targets, strict=False))
    t = plain_model_1(known, rounds)
    numbered = [tuple([ord(word) for word in text.split()] for text in pair) for pair in known]
    source, target, count = dictionary.model_1(numbered, rounds)
    of = dict.fromkeys(source.tolist(), 0.0)
    for f, n in zip(source.tolist(), count, strict=True):
        of[f] += n
    found = {(chr(f), chr(e)): n / of[f] for f, e, n in zip(source.tolist(), target.tolist(), count, strict=True)}
    assert found == pytest.approx({(f, e): p for f, row in t.items() for e, p in row.items()}, abs=1e-9)
    assert count.sum() == pytest.approx(sum(len(target) for _, target in numbered))  # each stood for something
    for word, translation in dictionary.learn(known, rounds).items():
        assert t[word][translation] >= max(t[word].values()) - 1e-9


def test_what_the_dictionary_does_not_know_stays():
    assert dictionary.translate("Der Hund, er bellt!", {"der": "the", "hund": "dog"}) == "The dog, er bellt!"


# ------------------------------------------------------------------------------------------------ the network

LEARNED = [(f"{a} {b}", f"{b.upper()} {a}") for a in ("low", "new", "wide") for b in ("tree", "street", "of", "from")]


@pytest.fixture
def languages():
    return Languages(LEARNED, merges=8)


@pytest.fixture
def model(languages):
    autograd.manual_seed(3)
    return translate.Translator(languages.counts(LEARNED), 12, 0.0).eval()


def test_batches_say_the_pairs(languages):
    batches = languages.batches(LEARNED, 20)
    assert all(after.size <= 20 for _, after in batches)
    said = set()
    for (source, before), after in batches:
        assert (before[1:].T * (after[:, :-1] > 0) == after[:, :-1] * (before[1:].T > 0)).all()
        said |= {
            (languages.source.decode(s.tolist()), languages.target.decode(t.tolist()))
            for s, t in zip(source.T, after, strict=True)
        }
    assert said == set(LEARNED) and sum(len(after) for _, after in batches) == len(LEARNED)


def test_an_unknown_character_and_an_empty_text(languages, model):
    assert languages.source.unknown("löw tree") == ["ö"]
    assert len(translate.translate(model, languages, ["löw tree", "", "low"], width=2)) == 3


@given(st.lists(st.integers(0, len(LEARNED) - 1), min_size=1, max_size=5))
@settings(max_examples=20)
def test_neither_padding_nor_company_changes_the_scores(chosen):
    languages = Languages(LEARNED, merges=8)
    autograd.manual_seed(3)
    model = translate.Translator(languages.counts(LEARNED), 12, 0.0).eval()
    (source, before), _ = languages.batch([LEARNED[i] for i in chosen])
    with autograd.no_grad():
        together = model(autograd.tensor(source), autograd.tensor(before)).numpy()
        weights = model.write(autograd.tensor(before), model.read(autograd.tensor(source)))[2].numpy()
        for n, i in enumerate(chosen):
            (alone, first), _ = languages.batch([LEARNED[i]])
            expected = model(autograd.tensor(alone), autograd.tensor(first)).numpy()[:, 0]
            np.testing.assert_allclose(together[: len(expected), n], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)
    assert not (weights * (source == 0).T).any()  # L N T times N T


def test_one_step_after_the_other_is_the_same_as_all_at_once(languages, model):
    (source, before), _ = languages.batch(LEARNED[:4])
    with autograd.no_grad():
        state = model.read(autograd.tensor(source))
        expected = model.write(autograd.tensor(before), state)[0].numpy()
        for t, tokens in enumerate(before):
            scores, state = model.step(autograd.tensor(tokens), state)
            np.testing.assert_allclose(scores.numpy(), expected[t], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_kernels_change_nothing(languages, model, training):
    found = []
    inputs, target = languages.batch(LEARNED)
    model.train(training)
    for kernels in (True, False):
        with autograd.use_kernels(kernels):
            model.zero_grad()
            loss = translate.Loss()(model(*map(autograd.tensor, inputs)), autograd.tensor(target))
            loss.backward()
            found.append([loss.detach().numpy(), *(p.grad.numpy() for p in model.parameters())])
    assert all(np.any(gradient) for gradient in found[0][1:])
    for with_kernels, without in zip(*found, strict=True):
        np.testing.assert_allclose(with_kernels, without, rtol=1e-3, atol=1e-6)


def test_in_training_the_dictionary_forgets_what_the_pair_taught_it():
    counts = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], np.float32)
    model = translate.Translator(counts, 4)
    source = autograd.tensor([[0], [1], [2]])
    np.testing.assert_allclose(model.eval().looked_up(source).numpy()[:, 0], [[0.75, 0.25, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(model.train().looked_up(source).numpy()[:, 0], [[0.5, 0, 0], [0, 0, 0], [0, 0, 0]])


# ------------------------------------------------------------------------------------------------ the program


def run(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error::RuntimeWarning", str(ROOT / "examples" / "translate.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=180
    )


def test_own_pairs_are_learned_and_a_second_run_continues(tmp_path):
    words = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
    rows = [f"{words[i // 100]} {words[i // 10 % 10]} {words[i % 10]}\t{' '.join(f'{i:03}')}" for i in range(1000)]
    (tmp_path / "own.tsv").write_text("\n".join(rows), encoding="utf-8")
    done = run("own.tsv", "--quick", "--epochs", "12", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    exact = {name: result["all"][name]["exact"] for name in ("network", "copy")}
    assert exact["network"] > 50 > 1 > exact["copy"], done.stdout
    assert result["epochs"] == 12 and result["seed"] == 1
    for name in ("attention.png", "learning_curve.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(PNG)
    table = (tmp_path / "out" / "translations.tsv").read_text(encoding="utf-8").splitlines()
    assert table[0].startswith("source\twanted\tnetwork\tcopy\tdictionary") and len(table) == 1 + result["all"]["pairs"]
    again = run("own.tsv", "--quick", "--epochs", "12", "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    resumed = json.loads((tmp_path / "out" / "result.json").read_text())
    assert resumed == result


def test_a_file_that_is_not_there(tmp_path):
    done = run("nothing.tsv", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("translate.py: ") and "nothing.tsv" in done.stderr


@needs_phrases
@pytest.mark.parametrize("language", phrases.LANGUAGES)
def test_phrases(language):
    parts = phrases.load(language)
    assert (len(parts.train), len(parts.valid), len(parts.test)) == (3677, 221, 444)
    assert all(map(all, parts.train))


@needs_german
def test_german():
    parts = german.load()
    assert (len(parts.train), len(parts.valid), len(parts.test)) == (14773, 892, 1716) and len(parts.extra) == 148060
    assert all(german.is_sentence(pair) and german.size(pair) <= 20 for pair in parts.test)
    held_out = {text.lower() for pair in parts.test + parts.valid for text in pair}
    assert held_out.isdisjoint(text.lower() for pair in parts.train + parts.extra for text in pair)
