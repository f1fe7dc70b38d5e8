"""Sentiment: a network reads a sentence about a film, word by word, and says whether it is for or against it.

    python examples/sentiment.py                      8,478 sentences from reviews, each rated by twenty people
    python examples/sentiment.py --file FILE          your own: lines of number, tab, rating from −4 to 4, tab, text
    python examples/sentiment.py --resume --text "Not a bad film, but too long."

Many to one, with every state asked for its opinion: o_t = W_ho h_t, and the mean of all o_t decides. Beside it stand
the majority and two bags of words, logistic regressions on the words there are (and pairs of neighbouring words),
which learn from the same sentences. Writes to ``out``: checkpoints, the learning curve, the opinions word by word
(opinions.png), the network unfolded over a short sentence, the mistakes (mistakes.tsv), and result.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from corpora import reviews
from corpora.reviews import Parts, Review, words
from program import fit, options, run, save, write_result

import autograd
import nn
from autograd import Tensor
from autograd.errors import DataError
from vision import see

WIDTH, HIDDEN = 100, 128  # of a word's vector, of a state in each direction
DROPOUT = 0.6  # of the words' vectors and of the states
UNHEARD = 0.3  # of the words, while it learns: what is left must do, and unknown words become known
STEEP = 1.5  # a rating r means that a reader is for the film with probability σ(STEEP·r)
LONGEST = 200  # words; what comes after them is not read
BATCH = 50
FOR, AGAINST, INK = "#0072b2", "#d55e00", "#1b1b1b"
SHORT = "Not a bad film"
PADDING, UNKNOWN = 0, 1  # numbers of words that are none
SENTENCES = (
    "A gripping movie, played with performances that are all understated and touching.",
    "It isn't funny, it isn't smart, and it never ends.",
    "The plot is thin and the jokes are old, but I could not stop laughing.",
    "What could have been a great film is a dull one.",
)


class Reader(nn.Module):
    """h = GRU(x) in both directions, o_t = W_ho h_t, and the mean of o over time is the score.

    Shapes: numbers of words x T N, lengths N → scores N, log-odds that the review is for its film.
    """

    def __init__(self, vocabulary: int) -> None:
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.rnn = nn.GRU(WIDTH, HIDDEN, bidirectional=True)
        self.head = nn.Linear(2 * HIDDEN, 1, bias=False)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        opinions = self.opinions(x, lengths)
        return opinions.mean(axis=0) if lengths is None else opinions.sum(axis=0) / lengths

    def opinions(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What the network thinks at every word, log-odds T N; 0 behind the last."""
        states, _ = self.rnn(self.dropout(self.embedding(self.heard(x))), lengths=lengths)
        return self.head(self.dropout(states))[..., 0]

    def heard(self, x: Tensor) -> Tensor:
        """In training, some words are as good as unknown (Iyyer et al. 2015, sec. 3.2)."""
        if not self.training:
            return x
        return autograd.where(autograd.uniform(x.shape, device=x.device) < UNHEARD, UNKNOWN, x)


class BagOfWords(nn.Module):
    """Logistic regression: a weight for every word that is there, and their sum is the score."""

    def __init__(self, vocabulary: int) -> None:
        self.weight = nn.Embedding(vocabulary, 1, padding_idx=PADDING)
        self.bias = nn.Parameter(autograd.zeros((1,)))
        nn.init.zeros_(self.weight.weight)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.weight(x)[..., 0].sum(axis=0) + self.bias


def padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers as T N, and their lengths."""
    lengths = np.array([len(row) for row in rows])
    numbers = np.full((lengths.max(), len(rows)), PADDING)
    for n, row in enumerate(rows):
        numbers[: len(row), n] = row
    return numbers, lengths


def distinct(tokens: list[str]) -> list[str]:
    """Each word once."""
    return sorted(set(tokens))


def with_pairs(tokens: list[str]) -> list[str]:
    """Each word and each pair of neighbours once."""
    return sorted({*tokens, *(" ".join(pair) for pair in pairwise(tokens))})


@dataclass
class Texts:
    """Reviews as numbers, with the tokens that a model sees of their words."""

    vocabulary: nn.Vocabulary
    tokens: Callable[[list[str]], list[str]] = list

    @classmethod
    def known(cls, learned: Sequence[Review], tokens: Callable[[list[str]], list[str]], least: int) -> Texts:
        """With those tokens that are in the reviews at least so often."""
        sequences = (tokens(words(review.text)) for review in learned)
        return cls(nn.Vocabulary.build(sequences, least, specials=("<pad>", "<unk>")), tokens)

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens; of an empty text, one unknown word."""
        return self.vocabulary.encode(self.tokens(words(text)[:LONGEST])) or [UNKNOWN]

    def collate(self, chosen: Sequence[Review]) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Reviews as a batch T N, their lengths, and with which probability each is for its film."""
        ratings = np.array([review.rating for review in chosen], np.float32)
        return padded([self.encode(review.text) for review in chosen]), 1 / (1 + np.exp(-STEEP * ratings))

    def loader(self, part: Sequence[Review], **how: Any) -> nn.data.DataLoader:
        return nn.data.DataLoader(part, BATCH, collate_fn=self.collate, **how)


def accuracy(scores: Tensor, target: Tensor) -> Tensor:
    """The fraction of reviews that are found to be for or against their film rightly."""
    return ((scores > 0) == (target > 0.5)).mean()


@dataclass(frozen=True)
class Program:
    """A model, what it sees of a text, and how it is trained."""

    build: Callable[[int], nn.Module]
    tokens: Callable[[list[str]], list[str]]
    least: int  # times that a token must be there to be known
    epochs: int
    lr: float
    weight_decay: float = 0.01


PROGRAMS = {
    "bag of words": Program(BagOfWords, distinct, least=1, epochs=10, lr=0.03),
    "bag of words and pairs": Program(BagOfWords, with_pairs, least=1, epochs=10, lr=0.01),
    "network": Program(Reader, list, least=2, epochs=6, lr=3e-3, weight_decay=0.1),
}


def learn(program: Program, parts: Parts, args: argparse.Namespace, out: Path) -> tuple[nn.Trainer, Texts]:
    """Train until the last epoch, and take the weights that were best on the reviews to choose by."""
    autograd.manual_seed(args.seed)
    texts = Texts.known(parts.train, program.tokens, program.least)
    train, valid = texts.loader(parts.train, shuffle=True, seed=args.seed), texts.loader(parts.valid)
    model = program.build(len(texts.vocabulary)).to(args.device)
    epochs = min(program.epochs, 4) if args.quick else program.epochs
    optimizer = nn.optim.AdamW(model.parameters(), lr=program.lr, weight_decay=program.weight_decay)
    schedule = nn.schedule.OneCycleLR(optimizer, max_lr=program.lr, total_steps=epochs * len(train), pct_start=0.2)
    trainer = nn.Trainer(
        model, nn.BCEWithLogitsLoss(), optimizer, schedule, metrics=[accuracy], clip_norm=1.0,
        unit="reviews", out=out,
    )  # fmt: skip
    begun = (out / "last.safetensors").exists()  # a run may end before it comes to this model
    fit(trainer, args.resume and begun, train, valid, epochs=epochs)
    trainer.restore_best()
    return trainer, texts


def opinions(model: Reader, texts: Texts, text: str) -> tuple[np.ndarray, np.ndarray]:
    """What each state thinks, log-odds T, and the score of the first word, of the first two words, … T."""
    read = texts.encode(text)
    beginnings = [autograd.tensor(part) for part in padded([read[:t] for t in range(1, len(read) + 1)])]
    model.eval()
    with autograd.no_grad():
        device = model.head.weight.device
        numbers, lengths = (part.to(device) for part in beginnings)
        return model.opinions(numbers[:, -1:]).numpy()[:, 0], model(numbers, lengths).numpy()


def picture(model: Reader, texts: Texts, sentences: Sequence[str]) -> Any:
    """Each sentence: its words in the colour of the state's opinion, above them the score up to there."""
    figure, axes = see.grid(len(sentences), 1, 9.0, 2.4 * len(sentences))
    for ax, sentence in zip(axes.flat, sentences, strict=True):
        tokens = words(sentence)[:LONGEST] or [""]
        each, so_far = opinions(model, texts, sentence)
        places = np.arange(len(tokens))
        ax.bar(places, each, color=[FOR if value > 0 else AGAINST for value in each], alpha=0.6, width=0.9)
        ax.plot(places, so_far, color=INK, marker="o", markersize=3)
        ax.axhline(0, color=INK, linewidth=0.6)
        ax.set_xticks(places, tokens, rotation=45, ha="right", fontsize=8)
        for label, value in zip(ax.get_xticklabels(), each, strict=True):
            label.set_color(FOR if value > 0 else AGAINST)
        ax.set_title(f"{verdict(so_far[-1])}: {sentence}", fontsize=8, loc="left", wrap=True)
        ax.set_ylabel("log-odds", fontsize=8)
    return figure


def verdict(score: float) -> str:
    """In words, with the probability."""
    return f"{'for' if score > 0 else 'against'}, {100 / (1 + np.exp(-abs(score))):.0f} %"


def unknown(texts: Texts, part: Sequence[Review]) -> float:
    """The share of the words of reviews that are not known."""
    numbers = [number for review in part for number in texts.encode(review.text)]
    return numbers.count(UNKNOWN) / len(numbers)


def main() -> None:
    parser = options(__doc__, "learn from fewer reviews, less well", "of weights, order and dropout")
    parser.add_argument("--file", type=Path, help="learn from the reviews in this file instead")
    parser.add_argument("--text", action="append", default=[], help="a sentence to give an opinion on; may be repeated")
    args = parser.parse_args()

    see.grid()  # if matplotlib is missing, say so before the training
    parts = reviews.read(args.file) if args.file else reviews.load()
    print(parts)
    if long := sum(len(words(r.text)) > LONGEST for r in (*parts.train, *parts.valid, *parts.test)):
        print(f"of {long:,} reviews only the first {LONGEST} words are read")
    parts.valid, parts.test = reviews.clear(parts.valid), reviews.clear(parts.test)
    if not (parts.valid and parts.test):
        raise DataError(
            "sentiment: no review is clearly for or against → give ratings of at least ±1 to choose and test"
        )
    if args.quick:
        parts.train = parts.train[::4]
    rights = [review.rating > 0 for review in parts.train]
    majority = sum(rights) > len(rights) / 2
    result = {"majority": sum((r.rating > 0) == majority for r in parts.test) / len(parts.test)}
    for name, program in PROGRAMS.items():
        print(f"\n{name}:")
        trainer, texts = learn(program, parts, args, args.out / name.replace(" ", "_"))
        scores = trainer.predict(texts.loader(parts.test)).numpy()
        result[name] = float(np.mean((scores > 0) == [review.rating > 0 for review in parts.test]))

    share = unknown(texts, parts.test)
    print(f"\nright, of {len(parts.test)} reviews to test with, in which {100 * share:.1f} % of the words are unknown:")
    for name, value in result.items():
        print(f"{name:24} {100 * value:5.1f} %")
    if others := [name for name, value in result.items() if name != "network" and value >= result["network"]]:
        print(f"the network does not win over {' and '.join(others)}")
    facts = {"seed": args.seed, "reviews": len(parts.train), "seconds": sum(trainer.history["seconds"])}
    write_result(args.out, result | facts)
    show(trainer, texts, parts.test, scores, [*args.text, *SENTENCES], args.out)


def show(
    trainer: nn.Trainer, texts: Texts, test: list[Review], scores: np.ndarray, asked: list[str], out: Path
) -> None:
    model = trainer.model
    for sentence in asked:
        strange = texts.encode(sentence).count(UNKNOWN)
        said = f"   ({strange} unknown words)" if strange else ""
        print(f"{verdict(opinions(model, texts, sentence)[1][-1]):14} {sentence}{said}")
    wrong = [i for i in np.argsort(-abs(scores)) if (scores[i] > 0) != (test[i].rating > 0)]
    lines = [f"{scores[i]:.2f}\t{test[i].rating:.2f}\t{test[i].text}\n" for i in wrong]
    (out / "mistakes.tsv").write_text("".join(["score\trating\ttext\n", *lines]), encoding="utf-8")
    see.learning_curve(trainer.history).savefig(out / "learning_curve.png", dpi=110)
    picture(model, texts, asked).savefig(out / "opinions.png", dpi=110)
    diagram = nn.draw(model, autograd.tensor([texts.encode(SHORT)]).T, values=True, title=SHORT)
    save(diagram, out, "reader")
    print(f"pictures and mistakes are in {out}/")


if __name__ == "__main__":
    run(main)
