"""Translation: a network reads a sentence and writes it in another language, looking back at what it reads.

    python examples/translate.py german       German → English: the sentences of a dictionary
    python examples/translate.py french       English → French: what Unicode calls its emoji and symbols
    python examples/translate.py korean       English → Korean: the same
    python examples/translate.py FILE         your own pairs: UTF-8 lines of text, tab, translation

Sutskever et al. 2014 (one network reads, another writes), Bahdanau et al. 2015 (reading in both directions, attention).
Writes to ``out``: checkpoints, what became of the test pairs (translations.tsv), pictures of where the network looked,
the learning curve, the network unfolded in time, and result.json with BLEU and chrF beside those of two baselines: the
text itself, and a dictionary learned from the same sentences and used word by word. BLEU and chrF need sacrebleu
(`pip install 'unfoldgrad[text]'`).
"""

from __future__ import annotations

import argparse
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import dictionary
import numpy as np
from corpora import german, pairs, phrases
from corpora.languages import Languages
from corpora.pairs import Pair, Parts
from measures import report
from numpy.typing import NDArray
from program import count, fit, options, run, save, save_pictures, write_result

import autograd
import nn
from autograd import Tensor
from vision import see


@dataclass(frozen=True)
class Plan:
    """Which pairs, how large the network is, and how it is trained."""

    load: Callable[[], Parts] | None
    merges: int  # of neighbouring pieces: the vocabulary's size, nearly
    batch: int  # pieces of the target, padding included
    epochs: int = 25
    repeats: int = 1  # how often an epoch has the training pairs; it has the extra ones once
    dropout: float = 0.3
    width: int = 192  # of the recurrent layers
    lr: float = 3e-3
    length_penalty: float = 0.6  # of the beam search
    kinds: dict[str, Callable[[Pair], bool]] = field(default_factory=dict)  # of test pairs, measured apart


COMPOSED = {"composed (with a colon)": lambda pair: ":" in pair[0], "single": lambda pair: ":" not in pair[0]}
SHORT = {"up to 10 words": lambda pair: german.size(pair) <= 10}
PLANS = {
    "german": Plan(german.load, 8000, 800, 5, repeats=3, dropout=0.25, length_penalty=1.5, kinds=SHORT),
    "french": Plan(lambda: phrases.load("fr"), 2500, batch=300, kinds=COMPOSED),
    "korean": Plan(lambda: phrases.load("ko"), 2500, batch=300, kinds=COMPOSED),
}
OWN = Plan(None, 2000, batch=400)

EPSILON = 1e-3  # of what the dictionary never saw together


class Translator(nn.Module):
    """A recurrent network reads, another writes, and attention tells it which of what was read matters now.

    h = [GRU→(x), GRU←(x)], k = W_k [h, x], s_t = GRU(y_{t−1}), c_t = attention(s_t, k), o_t = GRU([s_t, c_t]),
    P(y_t) = softmax(E tanh(W [o_t, c_t]) + b + log(Σ_i a_ti L(x_i) + ε)), where E are the embeddings of the target
    pieces (Press & Wolf 2017) and L(x) what a dictionary says to the piece x that attention looks at (Arthur et al.
    2016, sec. 3): so a word need not be met often. `counts`: how often one piece stood for another.

    The lower of the two decoder layers asks (Wu et al. 2016, sec. 3.2), so each layer passes over all time steps at
    once. Shapes: source T N and before L N of numbers → scores L N V.
    """

    def __init__(self, counts: NDArray[np.float32], width: int, dropout: float = 0.0) -> None:
        sources, targets = counts.shape
        once = 1 / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        self.register_buffer("once", autograd.tensor(once), persistent=False)
        self.register_buffer("lexicon", autograd.tensor(counts * once), persistent=False)
        self.source = nn.Embedding(sources, width)
        self.target = nn.Embedding(targets, width)
        for table in (self.source, self.target):
            nn.init.normal_(table.weight, std=width**-0.5)
        self.encoder = nn.GRU(width, width, bidirectional=True)
        self.bridge = nn.Linear(2 * width, width)
        self.asking = nn.GRU(width, width)
        self.key = nn.Linear(3 * width, width)
        self.attention = nn.DotProductAttention(width, width)
        self.writing = nn.GRU(2 * width, width)
        self.output = nn.Linear(2 * width, width)
        self.bias = nn.Parameter(autograd.zeros((targets,)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, before: Tensor) -> Tensor:
        return self.write(before, self.read(source))[0]

    def read(self, source: Tensor) -> dict[str, Tensor]:
        """What the decoder needs of a batch T N; 0 is padding."""
        mask = source != 0
        x = self.dropout(self.source(source))
        h, last = self.encoder(x, lengths=mask.sum(axis=0).tolist())
        begin = autograd.tanh(self.bridge(autograd.concatenate([last[0], last[1]], axis=1)))[None]
        keys = self.key(autograd.concatenate([self.dropout(h), x], axis=2))
        return {"keys": keys, "source": source[..., None], "asking": begin, "writing": begin}

    def write(self, before: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The scores L N V of what follows each of the pieces L N, the state then, and the attention L N T."""
        s, asking = self.asking(self.dropout(self.target(before)), state["asking"])
        source = state["source"][..., 0]
        context, weights = self.attention(s, state["keys"], source != 0)
        o, writing = self.writing(autograd.concatenate([s, context], axis=2), state["writing"])
        seen = autograd.concatenate([self.dropout(o), context], axis=2)
        scores = autograd.linear(self.dropout(autograd.tanh(self.output(seen))), self.target.weight, self.bias)
        said = weights.swapaxes(0, 1) @ self.looked_up(source).swapaxes(0, 1)
        scores = scores + autograd.log(said + EPSILON).swapaxes(0, 1)
        return scores, {**state, "asking": asking, "writing": writing}, weights

    def looked_up(self, source: Tensor) -> Tensor:
        """What the dictionary says to each piece, T N V: in training what it would if it had not seen this pair."""
        said = autograd.embedding(source, self.lexicon)
        return autograd.relu(said - autograd.embedding(source, self.once)) if self.training else said

    def step(self, tokens: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """One piece more, as `nn.beam_search` asks for it: tokens N → scores N V."""
        scores, state, _ = self.write(tokens[None], state)
        return scores[0], state


class Loss(nn.Module):
    """Cross-entropy of the scores L N V and the target N L, without the padding."""

    def __init__(self) -> None:
        self.entropy = nn.CrossEntropyLoss(ignore_index=0, label_smoothing=0.1)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        out: Tensor = self.entropy(scores.reshape(-1, scores.shape[-1]), target.T.reshape(-1))
        return out


def train(
    model: Translator,
    languages: Languages,
    learned: list[Pair],
    valid: list[Pair],
    plan: Plan,
    args: argparse.Namespace,
) -> dict[str, list[float]]:
    """Train, with the batches in another order in every epoch; return what was measured."""

    def loader(chosen: list[Pair], shuffle: bool = False) -> nn.data.DataLoader:
        batches = languages.batches(chosen, plan.batch)
        return nn.data.DataLoader(batches, 1, shuffle, seed=args.seed, collate_fn=lambda one: one[0])

    lessons = loader(learned, shuffle=True)
    optimizer = nn.optim.AdamW(model.parameters(), lr=plan.lr, weight_decay=1e-4)
    schedule = nn.schedule.OneCycleLR(optimizer, max_lr=plan.lr, total_steps=plan.epochs * len(lessons), pct_start=0.2)
    trainer = nn.Trainer(
        model, Loss(), optimizer, schedule, out=args.out, clip_norm=1.0, unit="pairs", metrics={}, checkpoint_every=500
    )
    begun = (args.out / "last.safetensors").exists()
    return fit(trainer, args.resume and begun, lessons, loader(valid), epochs=plan.epochs)


def translate(
    model: Translator, languages: Languages, texts: Sequence[str], width: int = 4, length_penalty: float = 0.6
) -> list[str]:
    """The best translation of each text that a beam search of `width` finds."""
    model.eval()
    vocabulary, out = languages.target.vocabulary, [""] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), 50):
        chosen = order[start : start + 50]
        source = languages.read(texts[i] for i in chosen)
        with autograd.no_grad():
            state = model.read(autograd.tensor(source, device=model.bias.device))
            found = nn.beam_search(
                model.step, state, vocabulary.bos, vocabulary.eos, width, 2 * len(source) + 10, length_penalty
            )
        for i, best in zip(chosen, found, strict=True):
            out[i] = languages.target.decode(best[0].tokens)
    return out


def shown(piece: str) -> str:
    """A piece as every font has it: the syllables of Hangul by their names."""
    spelled = "".join(unicodedata.name(c).split()[-1].lower() if "가" <= c <= "힣" else c for c in piece)
    return spelled.replace(" ", "·")


def attention(model: Translator, languages: Languages, chosen: list[Pair]) -> see.Figure:
    """Where the network looked, a column for each piece read, a row for each piece written."""
    figure, axes = see.grid(2, 3, width=15, height=10)
    for axis, (source, target) in zip(axes.flat, chosen):
        (read, before), after = languages.batch([(source, target)])
        with autograd.no_grad():
            state = model.read(autograd.tensor(read, device=model.bias.device))
            weights = model.write(autograd.tensor(before, device=model.bias.device), state)[2]
        axis.imshow(weights.cpu().numpy()[:, 0], cmap="Greys", vmin=0, vmax=1, aspect="auto")
        for side, numbers, ticks, labels in (
            (languages.source, read[:, 0], axis.set_xticks, axis.set_xticklabels),
            (languages.target, after[0], axis.set_yticks, axis.set_yticklabels),
        ):
            ticks(range(len(numbers)))
            labels([shown(side.vocabulary.tokens[n]) for n in numbers], rotation=60 if side is languages.source else 0)
    return figure


def draw(model: Translator, languages: Languages, history: dict, chosen: list[Pair], out: Path) -> None:
    """The learning curve, where the network looked, and the network itself at work on one pair."""
    save_pictures(
        {"learning_curve": see.learning_curve(history), "attention": attention(model, languages, chosen)}, out
    )
    source, target = min(chosen, key=lambda pair: len(languages.source.encode(pair[0])))
    inputs = [autograd.tensor(x, device=model.bias.device) for x in languages.batch([(source, target)])[0]]
    diagram = nn.draw(model, *inputs, title=f"{source} → {target}")
    save(diagram, out, "model")


def main() -> None:
    parser = options(__doc__, "a small network and few pairs: a look at the program", "of weights, order and dropout")
    parser.add_argument("pairs", help=f"{', '.join(PLANS)}, or a file")
    parser.add_argument("--epochs", type=count, help="how often to go through the training pairs")
    args = parser.parse_args()

    see.grid()  # if matplotlib is missing, say so before the training
    plan = PLANS.get(args.pairs, OWN)
    parts = plan.load() if plan.load else pairs.read(Path(args.pairs))
    if args.quick:
        plan = replace(plan, merges=300, width=64, batch=150, epochs=8, lr=5e-3, dropout=0.1, repeats=1)
        few = {name: getattr(parts, name)[:size] for name, size in {"train": 1000, "valid": 100, "test": 100}.items()}
        parts = replace(parts, extra=[], **few)
    if args.epochs:
        plan = replace(plan, epochs=args.epochs)
    print(parts)

    autograd.manual_seed(args.seed)
    learned = parts.train * plan.repeats + parts.extra
    languages = Languages(learned, plan.merges)
    counts = languages.counts(parts.train + parts.extra)
    model = Translator(counts, plan.width, plan.dropout).to(args.device)
    print(f"{counts.shape[0]:,} and {counts.shape[1]:,} pieces, {sum(p.size for p in model.parameters()):,} parameters")
    history = train(model, languages, learned, parts.valid, plan, args)

    texts = [source for source, _ in parts.test]
    if unknown := sorted({c for text in texts for c in languages.source.unknown(text)}):
        print(f"characters in the test that were never read: {' '.join(unknown)}")
    began = time.perf_counter()
    rows = {"network": translate(model, languages, texts, length_penalty=plan.length_penalty), "copy": texts}
    print(f"{len(texts):,} translations in {time.perf_counter() - began:.0f} s")
    for name, known in {"dictionary": parts.train, "dictionary and phrases": parts.train + parts.extra}.items():
        if name == "dictionary" or parts.extra:
            entries = dictionary.learn(known)
            rows[name] = [dictionary.translate(text, entries) for text in texts]
    known = [{word for text in side for word in dictionary.words(text)} for side in zip(*learned, strict=True)]
    kinds = {
        **plan.kinds,
        "all words known": lambda pair: all(known[i].issuperset(dictionary.words(pair[i])) for i in (0, 1)),
    }
    result = report(rows, parts.test, kinds)
    seconds, epochs = sum(history["seconds"]), len(history["seconds"])
    result |= {"program": f"translate {args.pairs}", "seed": args.seed, "epochs": epochs, "seconds": seconds}
    write_result(args.out, result)
    print(f"{epochs} epochs in {seconds:.0f} s, seed {args.seed}\n")

    lines = ["\t".join(("source", "wanted", *rows))]
    lines += ["\t".join((*pair, *written)) for pair, *written in zip(parts.test, *rows.values())]
    (args.out / "translations.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    best = [(text, rows["network"][i]) for i, text in enumerate(texts) if rows["network"][i]]
    for (text, wanted), written in list(zip(parts.test, rows["network"]))[:12]:
        print(f"{text}\n    {written}\n    ({wanted})")
    draw(model, languages, history, sorted(best, key=lambda pair: pairs.draw(pair[0]))[-6:], args.out)


if __name__ == "__main__":
    run(main)
