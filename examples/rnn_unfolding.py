"""The lecture's slides on recurrent networks, each drawn from a network that runs.

A feed-forward network is turned on its side and simplified to boxes; a loop makes it recurrent; the loop is unfolded
step by step; one unfolded network serves five kinds of sequence. Then three things that no slide can show: the inside
of an LSTM, where truncated back-propagation cuts, and how a gradient vanishes on its way back through time.

    python examples/rnn_unfolding.py --out out --format svg

Pictures need Graphviz and matplotlib (`pip install 'unfoldgrad[draw,vision]'`); `--format dot` needs matplotlib only.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import autograd
import nn
from autograd import Tensor
from autograd.diagram.drawing import Drawing
from autograd.errors import AutogradError
from vision import see

SIGNS, HIDDEN = 4, 16  # the sizes of x and y, and of h


class FeedForward(nn.Module):
    """y = W_hy tanh(W_xh x): what comes in is forgotten as soon as the answer is out."""

    def __init__(self) -> None:
        self.hidden = nn.Sequential(nn.Linear(SIGNS, HIDDEN, bias=False), nn.Tanh())
        self.output = nn.Linear(HIDDEN, SIGNS, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(autograd.named("h", self.hidden(x)))


class Recurrent(nn.Module):
    """h_t = tanh(W_hh h_{t−1} + W_xh x_t), y_t = W_hy h_t: many to many, in step."""

    def __init__(self, layer: type[nn.Module] = nn.RNN, bias: bool = False, **options: Any) -> None:
        self.rnn = layer(SIGNS, HIDDEN, bias=bias, **options)
        self.head = nn.Linear(HIDDEN, SIGNS, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(x)
        return self.head(h)


class Reader(Recurrent):
    """Many to one: only the last state answers."""

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(x)
        return self.head(h[-1])


class Writer(nn.Module):
    """One to many: what it has written is what it reads next."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.cell = nn.RNNCell(SIGNS, HIDDEN, bias=False)
        self.head = nn.Linear(HIDDEN, SIGNS, bias=False)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        written = []
        for t in range(1, self.steps + 1):
            with autograd.time_step(t):
                h = self.cell(x, h)
                x = self.head(h)
                written.append(x)
        return autograd.stack(written)


class Translator(nn.Module):
    """Many to many: an encoder reads, then a decoder writes."""

    def __init__(self, steps: int) -> None:
        self.encoder = nn.RNN(SIGNS, HIDDEN, bias=False)
        self.decoder = Writer(steps)

    def forward(self, x: Tensor) -> Tensor:
        _, last = self.encoder(x)
        return self.decoder(autograd.zeros((1, SIGNS)), last[0])


def signs(steps: int, count: int = 1) -> tuple[Tensor, Tensor]:
    """Random sequences (T, N, SIGNS) of four signs, one-hot, and which sign each began with."""
    chosen = autograd.integers((steps, count), 0, SIGNS)
    return autograd.one_hot(chosen, SIGNS), chosen[0]


def slides() -> dict[str, Drawing]:
    """Every picture of the lecture, by its file's name."""
    autograd.manual_seed(1)
    x, _ = signs(3)
    return {
        "feed_forward": nn.draw(FeedForward(), x[0], direction="right", depth=2, title="feed-forward"),
        "simplified": nn.draw(FeedForward(), x[0], direction="up", depth=0, title="turned, and simplified"),
        "loop": nn.draw(Recurrent(), x, time="fold", title="recurrent"),
        "unfolded_1": nn.draw(Recurrent(), x[:1]),
        "unfolded_2": nn.draw(Recurrent(), x[:2]),
        "unfolded_3": nn.draw(Recurrent(), x),
        "one_to_one": nn.draw(FeedForward(), x[0], direction="up", title="one to one"),
        "one_to_many": nn.draw(Writer(3), x[0], title="captions for an image"),
        "many_to_one": nn.draw(Reader(), x, title="sentiment of a sentence"),
        "many_to_many": nn.draw(Translator(3), x, title="translation"),
        "many_to_many_in_step": nn.draw(Recurrent(), x, title="a label for every frame"),
        "forty_steps": nn.draw(Recurrent(), signs(40)[0], title="forty steps"),
        "lstm_folded": nn.draw(Recurrent(nn.LSTM), x, time="fold", depth=1, title="inside an LSTM"),
        "lstm_unfolded": nn.draw(Recurrent(nn.LSTM), x[:2], depth=1, title="inside an LSTM"),
        "truncated": nn.draw(
            Recurrent(truncate=2), signs(6)[0], gradients=True, loss=lambda y: (y[-1] ** 2).sum(),
            title="back-propagation cut every two steps",
        ),
    }  # fmt: skip


# --- the vanishing gradient -----------------------------------------------------------------------------------------

STEPS = 24  # which sign came first? The answer is asked for after the last


def rivals() -> dict[str, Reader]:
    """A vanilla network, and an LSTM whose forget gates begin almost open: σ(3) = 0.95."""
    lstm = Reader(nn.LSTM, bias=True)
    with autograd.no_grad():
        lstm.rnn.bias_ih_l0[HIDDEN : 2 * HIDDEN] = 3.0
    return {"vanilla": Reader(), "LSTM": lstm}


def norms_over_time(model: Reader, state: str) -> Any:
    """‖∂loss/∂state_t‖ for t = 1 … T, over the last one."""
    x, first = signs(STEPS, 1000)
    with autograd.use_kernels(False):  # step by step
        found = nn.gradient_norms(nn.CrossEntropyLoss()(model(x), first))[f"reader.rnn.{state}"]
    return found / found[-1]


def train(model: Reader, updates: int) -> float:
    """Teach a network to remember the first sign; return which part of 1,000 other sequences it gets right."""
    optimizer = nn.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(updates):
        x, first = signs(STEPS, 64)
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(x), first).backward()
        optimizer.step()
    x, first = signs(STEPS, 1000)
    return float((model(x).detach().argmax(axis=1) == first).mean().item())


def vanishing(out: Path, format: str, updates: int) -> list[Path]:
    """Draw both networks' backward pass over twelve steps, and their gradients' norms over all steps."""
    paths = []
    autograd.manual_seed(1)
    figure, axes = see.grid(1, 1, 7.0, 3.6)
    ax = axes.flat[0]
    for (name, model), state in zip(rivals().items(), ("h", "c"), strict=True):
        x, first = signs(12)
        drawing = nn.draw(
            model, x, gradients=True, loss=lambda y, first=first: nn.CrossEntropyLoss()(y, first), most_steps=12,
            title=f"the gradient's way back, {name}",
        )  # fmt: skip
        paths.append(out / f"vanishing_{name.lower()}.{format}")
        drawing.save(paths[-1])
        norms = norms_over_time(model, state)
        right = train(model, updates)
        ax.semilogy(range(1, STEPS + 1), norms, "o-", ms=3, label=f"{name}, {state}: learns {100 * right:.0f} %")
        print(
            f"{name:7} ‖∂L/∂{state}₁‖ is {norms[0]:.1e} of ‖∂L/∂{state}_{STEPS}‖ before training; "
            f"{updates} updates later {100 * right:.0f} % of 1,000 sequences right (chance: {100 / SIGNS:.0f} %)"
        )
    ax.set(xlabel="time step t", ylabel=f"‖∂L/∂state_t‖ over that of t = {STEPS}", xticks=range(2, STEPS + 1, 2))
    ax.legend(loc="lower right")
    paths.append(out / "vanishing_gradient.png")
    figure.savefig(paths[-1], dpi=110)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
    parser.add_argument("--format", default="svg", choices=["svg", "png", "pdf", "dot"], help="(default: svg)")
    parser.add_argument("--updates", type=int, default=1000, help="training steps of each network (default: 1000)")
    args = parser.parse_args()
    see.grid()  # if matplotlib is missing, say so before the work
    args.out.mkdir(parents=True, exist_ok=True)

    paths = []
    for name, drawing in slides().items():
        paths.append(args.out / f"{name}.{args.format}")
        drawing.save(paths[-1])
    paths.append(args.out / "lstm.html")
    nn.draw(Recurrent(nn.LSTM), signs(5)[0], values=True, gradients=True, title="an LSTM to explore").save(paths[-1])
    paths += vanishing(args.out, args.format, args.updates)
    print(f"{len(paths)} pictures in {args.out}/: {', '.join(path.name for path in paths)}")


if __name__ == "__main__":
    try:
        main()
    except (AutogradError, OSError) as error:
        raise SystemExit(f"rnn_unfolding.py: {error}") from None
