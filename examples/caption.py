"""CNN and RNN: a network looks at a picture and says what is there, word by word.

    python examples/caption.py scenes                   coloured shapes in relations, drawn by chance
    python examples/caption.py emoji --out out/emoji    1,906 emoji and their names; a fifth is held out
    python examples/caption.py scenes --resume          after Ctrl-C

A convolutional network makes a vector of each place of the picture; an LSTM reads them through attention, and looks
elsewhere for every word (Vinyals et al. 2015; Xu et al. 2015, "Show, Attend and Tell"). Scenes are held out in two
ways: combinations of two things and a relation that no training scene has, and colours and shapes that no training
scene has together. The baseline says what is said of the most similar training picture. Writes to ``--out``:
checkpoints, result.json, held-out pictures with what is said of them, where the network looked for every word, the
learning curve, and a diagram of the network unfolded over a caption. BLEU and chrF need sacrebleu
(`pip install 'unfoldgrad[text]'`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from corpora.captioned import SETS, Captioned, nearest
from measures import measure
from numpy.typing import NDArray
from program import count, fit, options, run, save, save_pictures, write_result

import autograd
import nn
from autograd import Tensor
from vision import see
from vision.transforms import ColorJitter, Compose, Normalize, RandomAffine, ToFloat

NORMAL = Normalize((0.8, 0.75, 0.7), (0.3, 0.3, 0.3))
STRIDE = 8  # pixels from one place of the encoder's maps to the next
PLAIN = Compose(ToFloat(), NORMAL)
VARIED = Compose(ToFloat(), RandomAffine(8, (0.08, 0.08), (0.85, 1.1), fill=1.0), ColorJitter(0.15, 0.15, 0.1), NORMAL)


@dataclass(frozen=True)
class Plan:
    """How many pictures there are to learn from, and how it is trained."""

    pictures: int
    epochs: int
    lr: float
    dropout: float
    augment: Any
    tested: int = 1000  # held-out pictures of each kind
    batch: int = 64
    weight_decay: float = 1e-2


FULL = {
    "scenes": Plan(40_000, epochs=4, lr=3e-3, dropout=0.1, augment=PLAIN),
    "emoji": Plan(1503, epochs=30, lr=3e-3, dropout=0.4, augment=VARIED, batch=32, weight_decay=5e-2),
}
QUICK = {"pictures": 400, "epochs": 2, "tested": 40}


class Lessons(nn.data.Dataset):
    """Batches ((pictures N 3 H W, words N L), next words N L): after each word of a caption the next one is wanted."""

    whole_batches = True

    def __init__(self, examples: Captioned, vocabulary: nn.Vocabulary, augment: Callable[..., Any] = PLAIN) -> None:
        ids = [vocabulary.encode(["<bos>", *caption, "<eos>"]) for caption in examples.captions]
        self.words = np.full((len(ids), max(map(len, ids))), vocabulary.pad)
        for row, numbers in zip(self.words, ids, strict=True):
            row[: len(numbers)] = numbers
        self.pictures, self.augment = examples.pictures, augment

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: Any) -> Any:
        words = self.words[index]
        return (self.pictures[index], words[:, :-1]), words[:, 1:]

    def loader(self, batch: int, **how: Any) -> nn.data.DataLoader:
        return nn.data.DataLoader(self, batch, transform=lambda seen, rng: (self.augment(seen[0], rng), seen[1]), **how)


def block(inputs: int, channels: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]


class Captioner(nn.Module):
    """The encoder's places are the keys of attention, the decoder's state is the query.

    Shapes: pictures (N, 3, side, side), words (N, L) → scores (N, V, L) of the word after each. `side` in pixels, a
    multiple of 8. A state is (h, c, places, weights): N H, N H, P N K, and where it looked for the last word, N P.
    """

    def __init__(self, vocabulary: int, side: int, dropout: float, hidden: int = 256, depth: int = 128) -> None:
        self.encoder = nn.Sequential(
            *block(3, 16, 1), *block(16, 32, 2), *block(32, 64, 2), *block(64, depth, 2), *block(depth, depth, 1)
        )
        self.where = nn.Parameter(0.1 * autograd.normal(((side // STRIDE) ** 2, 1, depth)))
        self.begin = nn.Linear(depth, 2 * hidden)
        self.words = nn.Embedding(vocabulary, 64)
        self.attention = nn.AdditiveAttention(hidden, depth, 64)
        self.cell = nn.LSTMCell(64 + depth, hidden)
        self.dropout = nn.Dropout(dropout)
        self.say = nn.Linear(hidden + depth, vocabulary)

    def look(self, pictures: Tensor) -> Any:
        """The state before the first word."""
        maps = self.encoder(pictures)
        places = maps.reshape(*maps.shape[:2], -1).transpose(2, 0, 1) + self.where
        h, c = autograd.split(autograd.tanh(self.begin(places.mean(axis=0))), 2, axis=1)
        return h, c, places, autograd.zeros((places.shape[1], places.shape[0]), device=places.device)

    def step(self, words: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read a word N, look again, and score the next one, N V."""
        h, c, places, _ = state
        seen, weights = self.attention(h, places)
        h, c = self.cell(autograd.concatenate([self.words(words), seen], axis=1), (h, c))
        scores = self.say(self.dropout(autograd.concatenate([h, seen], axis=1)))
        return scores, (h, c, places, weights)

    def read(self, pictures: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """The scores N V L, and where it looked, N L P."""
        state, scores, weights = self.look(pictures), [], []
        for t in range(words.shape[1]):
            with autograd.time_step(t + 1):
                score, state = self.step(words[:, t], state)
            scores.append(score)
            weights.append(state[-1])
        return autograd.stack(scores, axis=2), autograd.stack(weights, axis=1)

    def forward(self, pictures: Tensor, words: Tensor) -> Tensor:
        return self.read(pictures, words)[0]


def exactly(pad: int) -> Callable[[Tensor, Tensor], Tensor]:
    """How many captions are right to the last word, each word scored after the true ones before it.

    That is when always taking the best word gives the caption.
    """
    return lambda scores, target: autograd.logical_or(scores.argmax(1) == target, target == pad).all(axis=1).mean()


def describe(
    model: Captioner, pictures: NDArray[np.uint8], vocabulary: nn.Vocabulary, batch: int = 100
) -> list[list[str]]:
    """The words for each picture that beam search finds."""
    model.eval()
    said: list[list[str]] = []
    with autograd.no_grad():
        for i in range(0, len(pictures), batch):
            state = model.look(autograd.tensor(PLAIN(pictures[i : i + batch]), device=model.where.device))
            found = nn.beam_search(model.step, state, vocabulary.bos, vocabulary.eos, width=3, max_length=16)
            said += [vocabulary.decode(hypotheses[0].tokens) for hypotheses in found]
    return said


def main() -> None:
    parser = options(__doc__, "400 pictures, two epochs: to see that it runs", "of scenes, weights, order and dropout")
    parser.add_argument("pictures", choices=SETS)
    parser.add_argument("--epochs", type=count, help="passes over the pictures to learn from")
    args = parser.parse_args()

    see.grid()  # if matplotlib is missing, say so before the training
    plan = replace(FULL[args.pictures], **QUICK if args.quick else {})
    plan = replace(plan, epochs=args.epochs or plan.epochs)
    autograd.manual_seed(args.seed)
    (train, valid, *held_out), vocabulary = SETS[args.pictures](plan.pictures, plan.tested, args.seed)

    side = train.pictures[:1].shape[1]
    model = Captioner(len(vocabulary), side, plan.dropout).to(args.device)
    loaders = [
        Lessons(train, vocabulary, plan.augment).loader(plan.batch, shuffle=True, seed=args.seed, num_workers=1),
        Lessons(valid, vocabulary).loader(100),
    ]
    optimizer = nn.optim.AdamW(model.parameters(), lr=plan.lr, weight_decay=plan.weight_decay)
    schedule = nn.schedule.OneCycleLR(optimizer, max_lr=plan.lr, total_steps=plan.epochs * len(loaders[0]))
    trainer = nn.Trainer(
        model, nn.CrossEntropyLoss(ignore_index=vocabulary.pad), optimizer, schedule, clip_norm=1.0, out=args.out,
        metrics={"accuracy": exactly(vocabulary.pad)},
    )  # fmt: skip
    weights = sum(p.size for p in model.parameters())
    print(f"{len(train.captions):,} pictures to learn from, {len(vocabulary)} words, {weights:,} weights")
    history = fit(trainer, args.resume, *loaders, epochs=plan.epochs)

    results, shown = {}, []
    for part in held_out:
        pictures = part.pictures[:]
        said = describe(model, pictures, vocabulary)
        rows = {"network": said, "nearest": nearest(train, pictures)}
        truth = list(map(" ".join, part.captions))
        results[part.name] = {name: measure(list(map(" ".join, texts)), truth) for name, texts in rows.items()}
        for name, figures in results[part.name].items():
            print(f"{part.name:8} {name:8} " + "  ".join(f"{key} {value:5.1f}" for key, value in figures.items()))
        shown.append((pictures, said, part.captions))
    seconds = sum(history["seconds"])  # of all epochs, also those before a --resume
    print(f"{plan.epochs} epochs in {seconds:.0f} s")
    result = {"pictures": args.pictures, **results, "epochs": plan.epochs, "seconds": seconds, "seed": args.seed}
    write_result(args.out, result)
    draw(model, vocabulary, history, shown, args.out)


def draw(
    model: Captioner, vocabulary: nn.Vocabulary, history: dict[str, list[float]],
    shown: list[tuple[NDArray[np.uint8], list[list[str]], list[list[str]]]], out: Path,
) -> None:  # fmt: skip
    each = 24 // len(shown)
    titles = []
    for pictures, said, truth in shown:
        for i in np.linspace(0, len(said) - 1, each).astype(int):
            titles.append((title(said[i], truth[i]), pictures[i] / 255))
    pictures, said = np.concatenate([part[0][:2] for part in shown]), [w for part in shown for w in part[1][:2]]
    figures = {
        "learning_curve": see.learning_curve(history),
        "captions": see.panels(titles, columns=6, size=2.2),
        "attention": attention(model, vocabulary, pictures, said),
    }
    save_pictures(figures, out)

    inputs = autograd.tensor(PLAIN(pictures[:1]), device=model.where.device), words_of(vocabulary, said[0], model)
    diagram = nn.draw(model, *inputs, title=" ".join(said[0]))
    save(diagram, out, "model")


def title(said: list[str], true: list[str]) -> str:
    """What is said of a picture, and the truth below it if that is something else."""
    lines = [f"✓ {' '.join(said)}"] if said == true else [f"✗ {' '.join(said)}", f"({' '.join(true)})"]
    return "\n".join(textwrap.fill(line, 26) for line in lines)


def words_of(vocabulary: nn.Vocabulary, said: list[str], model: Captioner) -> Tensor:
    """What the network reads while it says these words, 1 L."""
    return autograd.tensor([vocabulary.encode(["<bos>", *said])], device=model.where.device)


def attention(model: Captioner, vocabulary: nn.Vocabulary, pictures: NDArray[np.uint8], said: list[list[str]]) -> Any:
    """A row for each picture: the picture, and bright for each word the places it was looked for at."""
    figure, axes = see.grid(len(said), 1 + max(map(len, said)), 1.4 * (1 + max(map(len, said))), 1.6 * len(said))
    for row, picture, words in zip(axes, pictures, said, strict=True):
        with autograd.no_grad():
            seen = autograd.tensor(PLAIN(picture[None]), device=model.where.device)
            weights = model.read(seen, words_of(vocabulary, words, model))[1].numpy()[0]
        places = weights.reshape(len(weights), picture.shape[0] // STRIDE, -1)
        # Strides with a border of 1 put place (i, j) at pixel (8i, 8j), so a border makes it the middle of 8 × 8.
        wide = np.pad(picture, ((STRIDE // 2,) * 2, (STRIDE // 2,) * 2, (0, 0)), mode="edge")
        row[0].imshow(picture)
        for ax, word, light in zip(row[1:], words, places, strict=False):
            bright = see.lit(wide.transpose(2, 0, 1) / 255, np.pad(light, (0, 1), mode="edge"))
            ax.imshow(bright[STRIDE // 2 : -STRIDE // 2, STRIDE // 2 : -STRIDE // 2], vmin=0, vmax=1)
            ax.set_title(word, fontsize=10)
        for ax in row:
            ax.axis("off")
    return figure


if __name__ == "__main__":
    run(main)
