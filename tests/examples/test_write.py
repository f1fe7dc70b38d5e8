"""The program that writes: n-grams against a count by hand, a state that goes on, exact continuation, real texts."""

import doctest
import json
import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import DataError, DomainError
from vision.datasets import cache_dir

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))  # where the program finds what lies beside it
pytest.importorskip("matplotlib", reason="matplotlib is not installed: the examples draw")
import ngrams  # noqa: E402
import write  # noqa: E402
from corpora import folk, shakespeare  # noqa: E402
from ngrams import NGrams  # noqa: E402

PNG = b"\x89PNG\r\n\x1a\n"


def cached(folder, files):
    return all((cache_dir() / folder / file.name).is_file() for file in files)


needs_shakespeare = pytest.mark.skipif(
    not cached("shakespeare", shakespeare.FILES), reason="Shakespeare is not in the cache: examples/write.py fetches it"
)
needs_folk = pytest.mark.skipif(
    not cached("folk", folk.FILES), reason="folk tunes are not in the cache: examples/write.py fetches them"
)

# ------------------------------------------------------------------------------------------------ n-grams


def by_hand(text, signs, order):
    """Interpolated Kneser–Ney from dictionaries: `p(context, sign)`, with what Chen & Goodman 1998 write in sec. 3."""
    occurrences = {order: Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))}
    for k in range(order - 1, 0, -1):
        occurrences[k] = Counter(gram[1:] for gram in occurrences[k + 1])
    discount = {}
    for k, counts in occurrences.items():
        n = [0] + [1 + sum(c == i for c in counts.values()) for i in (1, 2, 3, 4)]
        y = n[1] / (n[1] + 2 * n[2])
        d = [min(max(i - (i + 1) * y * n[i + 1] / n[i], 0.1), i) for i in (1, 2, 3)]
        discount[k] = lambda c, d=d: d[min(c, 3) - 1]
    following = {k: defaultdict(dict) for k in occurrences}
    for k, counts in occurrences.items():
        for gram, c in counts.items():
            following[k][gram[:-1]][gram[-1]] = c

    def p(context, sign):
        lower = p(context[1:], sign) if context else 1 / signs
        k = len(context) + 1
        here = following[k].get(tuple(context))
        if not here:
            return lower
        total, taken = sum(here.values()), sum(map(discount[k], here.values()))
        own = here[sign] - discount[k](here[sign]) if sign in here else 0
        return (own + taken * lower) / total

    return p


texts = st.lists(st.integers(0, 3), min_size=6, max_size=60)


@given(texts, texts, st.integers(1, 5))
def test_ngrams_equal_a_count_by_hand(text, other, order):
    model, p = NGrams(np.array(text), 4, order), by_hand(text, 4, order)
    expected = [-math.log2(p(other[max(0, i - order + 1) : i], other[i])) for i in range(len(other))]
    np.testing.assert_allclose(model.bits(np.array(other)), expected, rtol=1e-10)


@given(texts, st.lists(st.integers(0, 3), max_size=4))
def test_probabilities_of_all_signs_add_up_to_one(text, context):
    grams = np.array([[*context, sign] for sign in range(4)])
    p = NGrams(np.array(text), 4, len(context) + 1).probabilities(grams)
    assert p.min() > 0 and abs(p.sum() - 1) < 1e-12


@pytest.mark.parametrize("module", [ngrams, folk, shakespeare], ids=lambda module: module.__name__)
def test_examples_in_the_docstrings(module):
    assert doctest.testmod(module).failed == 0


def test_ngrams_say_which_orders_there_are():
    with pytest.raises(DomainError, match="order is 10 for 84 signs and a text of 100, expected 1 ≤ order ≤ 9"):
        NGrams(np.zeros(100, np.int64), 84, 10)
    with pytest.raises(DomainError, match="order is 3 for 84 signs and a text of 2, expected 1 ≤ order ≤ 2"):
        NGrams(np.zeros(2, np.int64), 84, 3)


# ------------------------------------------------------------------------------------------------ the text in windows


@given(st.integers(2, 200), st.integers(1, 9), st.integers(1, 30))
def test_windows_are_the_text_in_columns(length, rows, steps):
    text = np.arange(length)
    if length <= rows:
        with pytest.raises(DataError, match=f"the text has {length} signs, expected more than {rows}"):
            write.Windows(text, rows, steps)
        return
    windows = write.Windows(text, rows, steps)
    parts = [windows[i] for i in range(len(windows))]
    x = np.concatenate([x for (x, _), _ in parts])
    y = np.concatenate([y.reshape(-1, rows) for _, y in parts])
    np.testing.assert_array_equal(x.T.ravel(), text[: x.size])
    np.testing.assert_array_equal(y, x + 1)
    assert length - 1 - x.size < rows and all(len(x) <= steps for (x, _), _ in parts)
    assert [begins for (_, begins), _ in parts] == [True] + [False] * (len(parts) - 1)


def small(rows=3, layers=2, seed=0):
    autograd.manual_seed(seed)
    return write.Writer(7, 12, layers, rows)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 99))
def test_windows_one_after_another_score_as_the_whole(rows, steps, seed):
    model = small(rows)
    windows = write.Windows(np.random.default_rng(seed).integers(0, 7, 40), rows, steps)
    with autograd.no_grad():
        whole, _ = model.read(autograd.tensor(windows.x), model.beginning(rows))
        parts = [model(autograd.tensor(x), begins) for (x, begins), _ in map(windows.__getitem__, range(len(windows)))]
    np.testing.assert_allclose(autograd.concatenate(parts).numpy(), whole.numpy(), atol=1e-5)


def test_the_state_goes_on_and_the_gradient_does_not():
    """Equal to the definition's loop over all steps in which gradients are cut between windows."""
    text = np.random.default_rng(1).integers(0, 7, 3 * 10 + 1)
    windows, model, loss = write.Windows(text, 3, 5), small(layers=1), write.Bits()
    pieces = []
    for i in range(2):
        (x, begins), y = windows[i]
        scores = model(autograd.tensor(x), begins)
        pieces.append(scores.detach().numpy())
        (loss(scores, autograd.tensor(y)) / 2).backward()
    found = [p.grad.numpy() for p in model.parameters()]

    cut = small(layers=1)
    cut.lstm.truncate = 5
    with autograd.use_kernels(False):
        scores, _ = cut.read(autograd.tensor(windows.x), cut.beginning(3))
        loss(scores, autograd.tensor(windows.y.reshape(-1))).backward()
    np.testing.assert_allclose(np.concatenate(pieces), scores.detach().numpy(), rtol=1e-4, atol=1e-6)
    for value, p in zip(found, cut.parameters(), strict=True):
        np.testing.assert_allclose(value, p.grad.numpy(), rtol=2e-4, atol=2e-6)


def test_an_interrupted_run_continues_in_the_middle_of_the_text(tmp_path, monkeypatch):
    text = np.random.default_rng(2).integers(0, 7, 200)

    def trained(folder, resume=False):
        model = small()
        optimizer = nn.optim.AdamW(model.parameters(), lr=1e-2)
        trainer = nn.Trainer(model, write.Bits(), optimizer, metrics=[], out=tmp_path / folder, progress=False)
        if resume:
            trainer.resume()
        trainer.fit(write.Windows(text, 3, 9).loader(), write.Windows(text[:70], 3, 9).loader(), epochs=2)
        return trainer

    expected = trained("through").model.state_dict()
    ready = write.Windows.__getitem__
    monkeypatch.setattr(write.Windows, "__getitem__", lambda self, i: ready(self, i) if i < 4 else interrupt())
    assert trained("stopped").stopped == "interrupt"
    monkeypatch.undo()
    for name, value in trained("stopped", resume=True).model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), expected[name].numpy(), err_msg=name)


def interrupt():
    raise KeyboardInterrupt


def test_surprise_is_the_loss_sign_by_sign():
    model, text = small(), np.random.default_rng(3).integers(0, 7, 31)
    loader = write.Windows(text, 1, 8).loader()
    trainer = nn.Trainer(model, write.Bits(), nn.optim.SGD(model.parameters(), 0.1), metrics=[], out=None)
    assert abs(write.surprise(model, text).mean() - trainer.evaluate(loader)["loss"]) < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_what_is_written_goes_on_from_the_prompt(seed):
    """The most probable signs, found by reading all that was written so far again and again."""
    model, signs = small(seed=seed), nn.Vocabulary("abcdefg", specials=())
    expected = "abc"
    for _ in range(12):
        scores, _ = model.read(autograd.tensor(signs.encode(expected))[:, None], model.beginning(1))
        expected += signs.tokens[int(scores[-1, 0].argmax().item())]
    assert write.write(model, signs, "abc", 12, temperature=0) == expected


# ------------------------------------------------------------------------------------------------ the texts


fields = st.sampled_from(["T: title", "N: a note", "S: I, 22", "R: Wuge"])
bars = st.text("ABCGz^_=,|[]-/24 ", min_size=1).filter(str.strip)


@given(st.lists(st.tuples(st.lists(fields), st.lists(bars, min_size=1), st.lists(fields)), max_size=5))
def test_tunes_keep_their_bars_and_what_bars_need(parts):
    head = ["M: 2/4", "L: 1/8", "K: C"]
    tunes = ["\n".join([f"X:{i}", *a, *head, *lines, *b, "", ""]) for i, (a, lines, b) in enumerate(parts)]
    found = folk.read("% about the book\n" + "".join(tunes))
    assert found == ["\n".join([*head, *map(str.rstrip, lines)]) for _, lines, _ in parts]


@needs_folk
def test_folk_tunes_held_out_are_none_of_the_others():
    train, held_out = (set(text.split(folk.BETWEEN)) for text in folk.text())
    assert not train & held_out and len(train) + len(held_out) == len(folk.tunes()) == 8446
    assert 0.09 < len(held_out) / 8446 < 0.11 and all(tune.startswith("M: ") for tune in train | held_out)


@needs_shakespeare
def test_shakespeare_held_out_is_not_in_the_training_text():
    train, held_out = shakespeare.text()
    assert len(shakespeare.works()) == 42
    assert "Tomorrow, and tomorrow" not in train and "to-morrow, and to-morrow" in held_out
    lines = [line for line in held_out.splitlines() if len(line) > 35]
    again = set(lines) & set(train.splitlines())
    assert len(again) < 0.002 * len(lines), again


# ------------------------------------------------------------------------------------------------ the program


def run(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error::RuntimeWarning", str(ROOT / "examples" / "write.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


def test_any_text_is_learned_measured_and_continued(tmp_path):
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))[:60_000]
    content = text.encode("ascii", "ignore").replace(b"\n", b"\r\n")
    (tmp_path / "docs.txt").write_bytes(
        content[:-3000] + b"\x81 \xe4\xf6 " * 9 + content[-3000:]
    )  # in what is held out
    options = ("docs.txt", "--quick", "--hidden", "32", "--length", "40", "--prompt", "日本 ")
    done = run(*options, "--epochs", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "not UTF-8 (",
        "read as Windows-1252",
        "held-out signs are unknown, read as <unk>",
        "'ä'",
        "2 signs of the prompt",
    ):
        assert words in done.stdout
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(written) >= {"best.safetensors", "last.safetensors", "samples.txt", "model.html"}
    assert written["learning_curve.png"].startswith(PNG) and written["surprise.png"].startswith(PNG)
    result = json.loads(written["result.json"])
    assert result["bits"] < result["ngrams"]["1"] and result["epochs"] == 2 and result["seed"] == 1
    assert f"{result['bits']:.3f} bits per held-out character" in done.stdout

    again = run(*options, "--epochs", "2", "--resume", cwd=tmp_path)  # nothing is left to do
    assert again.returncode == 0 and json.loads((tmp_path / "out" / "result.json").read_text()) == result


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_file_is_read_in_the_encoding_that_it_has(tmp_path, encoding):
    text = "Wörter — und mehr.{0}{0}" * 10
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "book.txt").write_bytes(text.format(end).encode(encoding))
        assert "".join(write.open_book(str(tmp_path / "book.txt"))) == text.format("\n")


def test_what_cannot_be_learned_from_is_said(tmp_path):
    (tmp_path / "short.txt").write_text("To be", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "lines.txt").write_text("\n" * 9999)
    for name, words in (
        ("short.txt", "short.txt: the text is too short: 5 signs, expected more than 160"),
        ("empty.txt", "empty.txt: the text is too short: 0 signs, expected more than 160"),
        ("lines.txt", "lines.txt: the text is too short: 0 signs, expected more than 160"),
        ("no.txt", "no file and none of shakespeare, folk"),
    ):
        done = run(name, "--quick", cwd=tmp_path)
        assert done.returncode == 1 and words in done.stderr and "→" in done.stderr and "Traceback" not in done.stderr


@given(
    st.dictionaries(st.integers(1, 8), st.floats(1, 5), min_size=1).filter(lambda found: min(found) <= 5),
    st.floats(1, 5),
)
def test_the_verdict_says_what_the_figures_say(baselines, bits):
    order = max(n for n in baselines if n <= 5)
    beaten = bits < baselines[order] and bits < min(baselines.values())
    assert write.verdict(bits, baselines).startswith("the network beats") == beaten


@needs_shakespeare
def test_quick_shakespeare(tmp_path):
    done = run("shakespeare", "--quick", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert 1.5 < result["bits"] < result["ngrams"]["3"]
