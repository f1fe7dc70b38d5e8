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
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import autograd
import nn
from autograd import Tensor
from autograd.errors import AutogradError, DataError, DomainError
from corpora import dictionary, german, pairs, phrases
from corpora.pairs import Pair, Parts
from corpora.pieces import Pieces
from vision import see


@dataclass(frozen=True)
class Plan:
    """How large a network is, and how it is trained."""

    merges: int  # pairs of characters and pieces that are joined: the size of the vocabulary
    width: int  # of the recurrent layers
    epochs: int
    lr: float
    dropout: float
    batch: int  # pairs
    repeats: int = 1  # how often an epoch has the sentences, beside the phrases once


PLANS = {
    "german": Plan(merges=3000, width=192, epochs=7, lr=3e-3, dropout=0.15, batch=64, repeats=2),
    "french": Plan(merges=800, width=192, epochs=40, lr=3e-3, dropout=0.3, batch=32),
    "korean": Plan(merges=800, width=192, epochs=40, lr=3e-3, dropout=0.3, batch=32),
}
LOAD = {"german": german.load, "french": lambda: phrases.load("fr"), "korean": lambda: phrases.load("ko")}
OWN = Plan(merges=2000, width=192, epochs=30, lr=3e-3, dropout=0.3, batch=32)
SMOOTHING = 0.1


class Translator(nn.Module):
    """h = biGRU(x); s_t = GRU(y_{t−1}); c_t = attention(s_t, h); o_t = GRU([s_t, c_t]); P(y_t) = softmax(E tanh(W [o_t, c_t])).

    The attention's keys are mixed of the states h and the embeddings x, so that a piece can be looked up as in a dictionary. What is asked of them comes from the lower of two decoder layers (Wu et al. 2016, sec. 3.2), so each
    layer passes over all time steps at once. E are the embeddings of the target pieces (Press & Wolf 2017).

    Shapes: source T N and before L N of numbers → scores L N V.
    """

    def __init__(self, sources: int, targets: int, width: int, dropout: float) -> None:
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
        """What the decoder needs to know of a batch T N; 0 is padding."""
        mask = source != 0
        x = self.dropout(self.source(source))
        h, last = self.encoder(x, lengths=mask.sum(axis=0).tolist())
        begin = autograd.tanh(self.bridge(autograd.concatenate([last[0], last[1]], axis=1)))[None]
        keys = self.key(autograd.concatenate([self.dropout(h), x], axis=2))
        return {"keys": keys, "mask": mask[..., None], "asking": begin, "writing": begin}

    def write(self, before: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The scores L N V of what follows each of the pieces L N, the state then, and the attention's weights L N T."""
        s, asking = self.asking(self.dropout(self.target(before)), state["asking"])
        context, weights = self.attention(s, state["keys"], state["mask"][..., 0])
        o, writing = self.writing(autograd.concatenate([s, context], axis=2), state["writing"])
        seen = autograd.concatenate([self.dropout(o), context], axis=2)
        scores = autograd.linear(self.dropout(autograd.tanh(self.output(seen))), self.target.weight, self.bias)
        return scores, {**state, "asking": asking, "writing": writing}, weights

    def step(self, tokens: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """One piece more, as `nn.beam_search` asks for it: tokens N → scores N V."""
        scores, state, _ = self.write(tokens[None], state)
        return scores[0], state


class Side:
    """One of the two languages: its pieces and their numbers."""

    def __init__(self, texts: list[str], merges: int, lower: bool) -> None:
        self.lower = lower
        self.pieces = Pieces.learn(map(self._cased, texts), merges)
        characters = sorted({c for text in texts for c in self._cased(text)} | {" "})
        self.vocabulary = nn.Vocabulary(dict.fromkeys([*characters, *map("".join, self.pieces.ranks)]))

    def _cased(self, text: str) -> str:
        return text.lower() if self.lower else text

    def encode(self, text: str) -> list[int]:
        return self.vocabulary.encode(self.pieces.split(self._cased(text)))

    def decode(self, numbers: list[int]) -> str:
        return self.pieces.join(self.vocabulary.decode(numbers))


class Languages:
    """Source and target: texts as arrays of numbers, and back."""

    def __init__(self, learned: list[Pair], merges: int) -> None:
        sources, targets = map(list, zip(*learned, strict=True))
        self.source, self.target = Side(sources, merges, lower=True), Side(targets, merges, lower=False)

    def read(self, texts: Sequence[str]) -> np.ndarray:
        """Texts as a batch T N; an empty one is its end alone."""
        return padded([[*self.source.encode(text), self.source.vocabulary.eos] for text in texts])

    def batch(self, chosen: Sequence[Pair]) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """(source T N, the target's pieces before each L N), and the target N L."""
        vocabulary = self.target.vocabulary
        targets = [[vocabulary.bos, *self.target.encode(target), vocabulary.eos] for _, target in chosen]
        return (self.read([s for s, _ in chosen]), padded([t[:-1] for t in targets])), padded([t[1:] for t in targets]).T

    def batches(self, chosen: Sequence[Pair], size: int) -> list[Any]:
        """Batches of pairs that are about equally long, so that there is little padding."""
        ordered = sorted(chosen, key=lambda pair: (len(self.target.encode(pair[1])), len(self.source.encode(pair[0]))))
        return [self.batch(ordered[i : i + size]) for i in range(0, len(ordered), size)]


def padded(rows: list[list[int]]) -> np.ndarray:
    """Rows of numbers as T N, with zeros behind the shorter ones."""
    out = np.zeros((max(map(len, rows)), len(rows)), np.int64)
    for n, row in enumerate(rows):
        out[: len(row), n] = row
    return out


def loader(batches: list[Any], **how: Any) -> nn.data.DataLoader:
    return nn.data.DataLoader(batches, 1, collate_fn=lambda chosen: chosen[0], **how)


class Loss(nn.Module):
    """Cross-entropy of the scores L N V and the target N L, without the padding."""

    def __init__(self) -> None:
        self.entropy = nn.CrossEntropyLoss(ignore_index=0, label_smoothing=SMOOTHING)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        return self.entropy(scores.reshape(-1, scores.shape[-1]), target.T.reshape(-1))


def translate(model: Translator, languages: Languages, texts: Sequence[str], width: int, longest: int) -> list[str]:
    """The best translations that beam search finds; `longest`: in pieces."""
    model.eval()
    vocabulary, out = languages.target.vocabulary, [""] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), 50):
        chosen = order[start : start + 50]
        with autograd.no_grad():
            source = autograd.tensor(languages.read([texts[i] for i in chosen]), device=model.bias.device)
            found = nn.beam_search(
                model.step, model.read(source), vocabulary.bos, vocabulary.eos, width=width, max_length=longest
            )
        for i, best in zip(chosen, found, strict=True):
            out[i] = languages.target.decode(best[0].tokens)
    return out


def measure(written: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """How good translations are: exact in %, and BLEU (Papineni et al. 2002) and chrF (Popović 2015) if sacrebleu is there."""
    exact = 100 * sum(w == t for w, t in zip(written, wanted, strict=True)) / len(wanted)
    try:
        import sacrebleu
    except ImportError:
        return {"exact": exact}
    bleu, chrf = (score(list(written), [list(wanted)]).score for score in (sacrebleu.corpus_bleu, sacrebleu.corpus_chrf))
    return {"exact": exact, "bleu": bleu, "chrf": chrf}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help=f"{', '.join(PLANS)}, or a file")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for what is written (default: out)")
    parser.add_argument("--epochs", type=int, help="passes over the training pairs")
    parser.add_argument("--quick", action="store_true", help="a small network and few pairs, for a look at the program")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in --out")
    parser.add_argument("--seed", type=int, default=1, help="of weights, order and dropout (default: 1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    args = parser.parse_args()
    plan, parts = PLANS.get(args.pairs, OWN), LOAD.get(args.pairs, lambda: pairs.read(Path(args.pairs)))()
    if args.quick:
        plan = replace(plan, merges=300, width=48, epochs=2)
        parts = replace(parts, train=parts.train[:1500], extra=[], valid=parts.valid[:100], test=parts.test[:100])
    plan = replace(plan, epochs=args.epochs or plan.epochs)
    print(parts)

    autograd.manual_seed(args.seed)
    learned = parts.train * plan.repeats + parts.extra
    languages = Languages(learned, plan.merges)
    model = Translator(len(languages.source.vocabulary), len(languages.target.vocabulary), plan.width, plan.dropout)
    trainer = train(model.to(args.device), languages, learned, parts.valid, plan, args)


def train(model: Translator, languages: Languages, learned: list[Pair], valid: list[Pair], plan: Plan, args) -> nn.Trainer:
    lessons = loader(languages.batches(learned, plan.batch), shuffle=True, seed=args.seed)
    optimizer = nn.optim.AdamW(model.parameters(), lr=plan.lr, weight_decay=1e-4)
    schedule = nn.schedule.OneCycleLR(optimizer, max_lr=plan.lr, total_steps=plan.epochs * len(lessons), pct_start=0.2)
    trainer = nn.Trainer(
        model, Loss(), optimizer, schedule, out=args.out, clip_norm=1.0, metrics={}, unit="batches", checkpoint_every=500
    )
    if args.resume:
        trainer.resume()
    trainer.fit(lessons, loader(languages.batches(valid, plan.batch)), epochs=plan.epochs)
    if trainer.stopped == "interrupt":
        raise SystemExit("the same command with --resume continues")
    return trainer


if __name__ == "__main__":
    try:
        main()
    except (AutogradError, OSError) as error:
        raise SystemExit(f"translate.py: {error}") from None
