"""One to many: a network that writes, sign by sign, what might stand in Shakespeare's works, or be a folk tune.

    python examples/write.py shakespeare      5 million characters of plays and poems; four works are held out
    python examples/write.py folk             8,446 tunes in ABC notation; a tenth is held out
    python examples/write.py book.txt         any text; its last tenth is held out

An LSTM reads a sign and scores the next one. Back-propagation through time is cut after 100 signs, but the state goes
on from one piece of the text to the next (Williams & Peng 1990; Graves 2013, sec. 3). What it has learned is measured
on held-out text in bits per character, −log₂ P of each sign given those before it, and held against n-grams.
Writes to ``out``: checkpoints, samples at several temperatures, the learning curve, a held-out passage with the bits of
every sign, and the unfolded network as a diagram.
"""

from __future__ import annotations

import math
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from corpora import folk, shakespeare
from ngrams import NGrams, Numbers
from numpy.typing import NDArray
from program import count, fit, options, run, save, save_pictures, write_result

import autograd
import nn
from autograd import Tensor
from autograd.errors import DataError
from vision import see

BOOKS = {"shakespeare": shakespeare.text, "folk": folk.text}
TEMPERATURES = (0.3, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Plan:
    """How large the network is, and how it is trained. Of the text only the first `signs` are read, None: all."""

    hidden: int
    epochs: int
    lr: float
    layers: int = 1
    rows: int = 32  # places at which the text is read at the same time
    steps: int = 100  # that gradients go back
    signs: int | None = None
    orders: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)  # of the n-grams to compare with


FULL = {"shakespeare": Plan(hidden=512, epochs=4, lr=3e-3), "folk": Plan(hidden=256, epochs=8, lr=3e-3)}
QUICK = Plan(hidden=128, epochs=4, lr=1e-2, rows=16, steps=50, signs=200_000, orders=(1, 3, 5))
BASELINE = 5  # the order that the network must beat, or the largest that so many signs allow


class Windows(nn.data.Dataset):
    """A text cut into `rows` columns, read side by side, `steps` signs at a time: (x: T N, whether it begins), y: T·N.

    y is x one sign later. What does not fill the columns is left out: fewer than `rows` signs.

    Raises:
        DataError: when the text is too short for so many rows.
    """

    def __init__(self, text: Numbers, rows: int, steps: int) -> None:
        length = (len(text) - 1) // rows
        if length < 1:
            raise DataError(f"Windows: the text has {len(text)} signs, expected more than {rows} → give a longer text")
        self.x, self.y = (text[i : i + rows * length].reshape(rows, length).T for i in (0, 1))
        self.steps = steps

    def __getitem__(self, index: int) -> tuple[tuple[Numbers, bool], Numbers]:
        part = slice(index * self.steps, (index + 1) * self.steps)
        return (self.x[part], index == 0), self.y[part].reshape(-1)

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.steps)

    def loader(self) -> nn.data.DataLoader:
        return nn.data.DataLoader(self, collate_fn=lambda windows: windows[0])  # a window is a batch already


class Writer(nn.Module):
    """Scores of the next sign after each sign of x: T N → T N V, from the state in which the window before ended."""

    def __init__(self, signs: int, hidden: int, layers: int, rows: int) -> None:
        self.embedding = nn.Embedding(signs, 64)
        self.lstm = nn.LSTM(64, hidden, layers)
        self.head = nn.Linear(hidden, signs)
        self.h, self.c = self.beginning(rows)
        for name in ("h", "c"):  # in the checkpoint, so that a run continues in the middle of the text
            self.register_buffer(name, getattr(self, name))

    def beginning(self, rows: int) -> tuple[Tensor, ...]:
        shape = (self.lstm.num_layers, rows, self.lstm.hidden_size)
        return tuple(autograd.zeros(shape, device=self.head.weight.device) for _ in range(2))

    def read(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        h, state = self.lstm(self.embedding(x), state)
        return self.head(h), state

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What `nn.sample` calls: one sign of each row."""
        scores, state = self.read(tokens[None], state)
        return scores[0], state

    def forward(self, x: Tensor, begins: bool) -> Tensor:
        scores, state = self.read(x, self.beginning(x.shape[1]) if begins else (self.h, self.c))
        self.h, self.c = (s.detach() for s in state)  # the state goes on, the gradient does not
        return scores


class Bits(nn.CrossEntropyLoss):
    """Cross-entropy in bits, −log₂ P, of scores T N V against T·N signs."""

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        return super().forward(scores.reshape((-1, scores.shape[-1])), target) / math.log(2)


def write(model: Writer, signs: nn.Vocabulary, prompt: str, length: int, temperature: float) -> str:
    """The prompt and what the model writes after it."""
    ids = signs.encode(prompt) or signs.encode("\n")
    state = model.beginning(1)
    with autograd.no_grad():
        if ids[:-1]:
            _, state = model.read(autograd.tensor(ids[:-1], device=model.h.device)[:, None], state)
        written = nn.sample(model.step, state, ids[-1], length, temperature)[0]
    return prompt + "".join(signs.decode(written))


def surprise(model: Writer, text: Numbers) -> NDArray[np.float64]:
    """The bits of every sign of a text but the first."""
    with autograd.no_grad():
        x, y = (autograd.tensor(part, device=model.h.device) for part in (text[:-1], text[1:]))
        return Bits(reduction="none")(model.read(x[:, None], model.beginning(1))[0], y).numpy()


def open_book(name: str) -> tuple[str, str]:
    """The training text and the held-out text of a known book or of a file."""
    if name in BOOKS:
        return BOOKS[name]()
    path = Path(name)
    if not path.is_file():
        raise DataError(f"{name} is no file and none of {', '.join(BOOKS)} → give one of them")
    content = path.read_bytes()
    try:
        text = content.decode("utf-16" if content[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError as error:
        print(f"{name}: not UTF-8 ({error.reason} at byte {error.start:,}), read as Windows-1252")
        text = content.decode("cp1252", errors="replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def main() -> None:
    parser = options(__doc__, "a small network and the first 200,000 signs", "of weights and samples")
    parser.add_argument("text", help=f"{', '.join(BOOKS)}, or a file")
    parser.add_argument("--prompt", default="\n", help="what the samples begin with")
    parser.add_argument("--length", type=count, default=600, help="signs per sample (default: 600)")
    parser.add_argument("--epochs", type=count, help="passes over the training text")
    parser.add_argument("--hidden", type=count, help="size of the state")
    parser.add_argument("--layers", type=count, help="LSTMs one above the other")
    args = parser.parse_args()

    see.grid()  # if matplotlib is missing, say so before the training
    given = {name: value for name in ("epochs", "hidden", "layers") if (value := getattr(args, name)) is not None}
    plan = replace(QUICK if args.quick else FULL.get(args.text, FULL["shakespeare"]), **given)
    autograd.manual_seed(args.seed)

    texts = open_book(args.text)
    there, least = len("".join(texts).strip()), 10 * plan.rows  # so that the held-out tenth fills every row
    if there <= least:
        raise DataError(f"{args.text}: the text is too short: {there} signs, expected more than {least} → a longer one")
    if plan.signs:
        texts = texts[0][: plan.signs], texts[1][: plan.signs // 10]
    signs = nn.Vocabulary.build([texts[0]], specials=("<unk>",))
    train, held_out = (np.array(signs.encode(text), np.int64) for text in texts)
    print(
        f"{args.text}: {len(train):,} signs to learn from, {len(signs) - 1} different ones, {len(held_out):,} held out"
    )
    for what, text in (("held-out signs", texts[1]), ("signs of the prompt", args.prompt)):
        if unknown := set(text) - set(texts[0]):
            print(f"{sum(map(text.count, unknown))} {what} are unknown, read as <unk>: {sorted(unknown)}")

    baselines = {}
    for order in (order for order in plan.orders if len(signs) ** order < 2**63):
        baselines[order] = NGrams(train, len(signs), order).bits(held_out).mean().item()
        print(f"{order}-grams: {baselines[order]:.3f} bits per character")

    model = Writer(len(signs), plan.hidden, plan.layers, plan.rows).to(args.device)
    loaders = [Windows(text, plan.rows, plan.steps).loader() for text in (train, held_out)]
    optimizer = nn.optim.AdamW(model.parameters(), lr=plan.lr, weight_decay=0.01)
    total = plan.epochs * len(loaders[0])
    schedule = nn.schedule.OneCycleLR(optimizer, max_lr=plan.lr, total_steps=total, pct_start=0.1)
    trainer = nn.Trainer(model, Bits(), optimizer, schedule, metrics=[], clip_norm=1.0, out=args.out, unit="signs")
    history = fit(trainer, args.resume, *loaders, epochs=plan.epochs)

    bits, seconds = history["valid_loss"][-1], sum(history["seconds"])
    print(f"{args.text}: {bits:.3f} bits per held-out character after {plan.epochs} epochs in {seconds:.0f} s")
    print(verdict(bits, baselines))
    result = {
        "text": args.text, "bits": bits, "ngrams": baselines, "seconds": seconds, "seed": args.seed,
        "parameters": sum(p.size for p in model.parameters()), **asdict(plan),
    }  # fmt: skip
    write_result(args.out, result)
    samples = [f"— temperature {t} —\n{write(model, signs, args.prompt, args.length, t)}\n" for t in TEMPERATURES]
    (args.out / "samples.txt").write_text("\n".join(samples), encoding="utf-8")
    print("\n".join(samples))
    draw(model, signs, history, baselines, held_out, args.out)


def rivals(baselines: dict[int, float]) -> tuple[int, int]:
    """The order of n-grams that the network must beat, and the best one."""
    return max(order for order in baselines if order <= BASELINE), min(baselines, key=lambda n: baselines[n])


def verdict(bits: float, baselines: dict[int, float]) -> str:
    """What the figures come to."""
    for order in rivals(baselines):
        if bits >= baselines[order]:
            return f"the network does not beat {order}-grams, {baselines[order]:.3f}"
    return "the network beats " + " and ".join(
        f"{n}-grams, {baselines[n]:.3f}" for n in dict.fromkeys(rivals(baselines))
    )


def draw(
    model: Writer, signs: nn.Vocabulary, history: dict[str, list[float]], baselines: dict[int, float],
    held_out: Numbers, out: Path,
) -> None:  # fmt: skip
    figure, axes = see.grid(1, 1, 7.0, 4.0)
    ax = axes.flat[0]
    for name, label in (("loss", "training text"), ("valid_loss", "held-out text")):
        ax.plot(history["epoch"], history[name], "o-", ms=3, label=f"LSTM, {label}")
    for i, order in enumerate(dict.fromkeys(rivals(baselines))):
        ax.axhline(baselines[order], ls="--", color=f"C{2 + i}", label=f"{order}-grams, held-out text")
    ax.set(xlabel="epoch", ylabel="bits per character")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    save_pictures({"learning_curve": figure, "surprise": passage(model, signs, held_out)}, out)

    x = autograd.tensor(held_out[:6, None], device=model.h.device)
    diagram = nn.draw(model, x, True, title="what it reads, what it remembers, what it expects next")
    save(diagram, out, "model")


def passage(model: Writer, signs: nn.Vocabulary, text: Numbers, lines: int = 16, width: int = 64) -> Any:
    """A picture of a passage from the middle of a text, every sign on a ground as dark as its surprise."""
    middle = len(text) // 2
    begin = max(0, middle - 500)  # signs to read before, so that the state knows the text
    some = text[begin : middle + lines * width]
    bits, shown = surprise(model, some)[middle - begin - 1 :], [signs.tokens[i] for i in some[middle - begin :]]
    figure, axes = see.grid(1, 1, 9.0, 5.0)
    ax = axes.flat[0]
    row = column = 0
    cells = np.full((lines, width), np.nan)
    for sign, value in zip(shown, bits, strict=True):
        if row == lines:
            break
        cells[row, column] = value
        ink = {"color": "white" if value > 7 else "black", "family": "monospace", "size": 8}
        ax.text(column, row, "↵" if sign == "\n" else sign, ha="center", va="center", **ink)
        row, column = (row + 1, 0) if sign == "\n" or column == width - 1 else (row, column + 1)
    colours = ax.imshow(cells, cmap="OrRd", vmin=0, vmax=10, aspect="auto")
    figure.colorbar(colours, label="bits: −log₂ P of the sign")
    ax.axis("off")
    return figure


if __name__ == "__main__":
    run(main)
