"""What comes next in a series: one year ahead for the sun's spots, one day ahead for the prices of stocks.

    python examples/forecast.py sunspots
    python examples/forecast.py stocks

A recurrent network reads the series and says at every step what the next value will be: many to many in step. A
feed-forward network sees the last steps and no more, which is the same task one to one. The test walks forward: before
each block of it everything learns from all that came earlier. Beside the networks stand persistence (the next value is
this one), the value of one season ago, and the straight line through the last steps that fits best; where a network
does not beat these, the program says so.

Writes to ``out``: checkpoints, result.json, the forecasts as a picture, the networks as diagrams.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from corpora import series
from corpora.series import Series
from program import fit, options, run, save, write_result
from walk_forward import BASELINES, Array, Changes, Prepared, Task, errors, rms, verdict, walk_forward

import autograd
import nn
from autograd import Tensor
from vision import see

TASKS = {
    "sunspots": Task(
        lambda: {"sunspots": series.sunspots()}, "year", 11, np.sqrt, lambda level: np.maximum(level, 0) ** 2,
        lambda found, true: found - true, "spots", False, ("1949", "1959", "1969", "1979", "1989", "1999"), 60,
    ),
    "stocks": Task(
        series.stocks, "day", 5, np.log, np.exp, lambda found, true: 100 * (found / true - 1), "% of the price", True,
        ("2011-01-01", "2011-07-01", "2012-01-01", "2012-07-01", "2013-01-01"), 2,
    ),
}  # fmt: skip


class InStep(nn.Module):
    """Many to many in step: x N T 1 → at each step what is said about the change after it, N T 1."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], hidden: int) -> None:
        self.rnn, self.head = kind(1, hidden, batch_first=True), nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(x)
        out: Tensor = self.head(h)
        return out


class FeedForward(nn.Module):
    """One to one: the last `lookback` steps → the change after them, wherever they stand; x N T 1 → N T 1."""

    def __init__(self, lookback: int, hidden: int) -> None:
        self.lookback = lookback
        self.layers = nn.Sequential(nn.Linear(lookback, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        steps = x.shape[1]
        before = autograd.pad(x, ((0, 0), (self.lookback - 1, 0), (0, 0)))
        last = autograd.concatenate([before[:, k : k + steps] for k in range(self.lookback)], axis=2)
        out: Tensor = self.layers(last)
        return out


NETWORKS: dict[str, Callable[[Task], nn.Module]] = {
    "gru": lambda task: InStep(nn.GRU, 16),
    "lstm": lambda task: InStep(nn.LSTM, 16),
    "feed-forward": lambda task: FeedForward(task.lookback, 16),
}


def windows(known: list[Prepared]) -> nn.data.TensorDataset:
    """Every stretch of what is known: inputs N T 1, and the changes after each step N T 1."""
    stretches = [
        np.lib.stride_tricks.sliding_window_view(np.stack([one.x, one.y])[:, : one.steps], one.task.window, axis=1)
        for one in known
    ]
    x, y = np.concatenate(stretches, axis=1, dtype=np.float32)[..., None]
    return nn.data.TensorDataset(x, y)


class Network:
    """The method of a network: train it anew before each block; the last one is kept as `model`."""

    def __init__(self, name: str, task: Task, args: argparse.Namespace) -> None:
        self.name, self.task, self.args, self.seconds = name, task, args, 0.0

    def __call__(self, known: list[Prepared], block: str) -> Changes:
        args, task = self.args, self.task
        autograd.manual_seed(args.seed)
        model = self.model = NETWORKS[self.name](task).to(args.device)
        loader = nn.data.DataLoader(windows(known), 64, shuffle=True, seed=args.seed)
        optimizer = nn.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
        schedule = nn.schedule.OneCycleLR(optimizer, max_lr=5e-3, total_steps=task.epochs * len(loader))
        out = args.out / self.name / block
        trainer = nn.Trainer(model, self.loss, optimizer, schedule, out=out, clip_norm=1.0, progress=False)
        history = fit(trainer, args.resume and (out / "last.safetensors").exists(), loader, epochs=task.epochs)
        seconds = sum(history["seconds"])  # of all epochs, also those before a --resume
        self.seconds += seconds
        print(
            f"{self.name}, before {block}: {len(loader.dataset):,} windows, {task.epochs} epochs in {seconds:.0f} s, "
            f"loss {history['loss'][0]:.3f} → {history['loss'][-1]:.3f}",
            flush=True,
        )
        return lambda one: self.changes(one.x)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        """The mean squared error of all steps before which there are `lookback` others."""
        first = self.task.lookback
        squares: Tensor = (out[:, first:] - y[:, first:]) ** 2
        return squares.mean()

    def changes(self, x: Array) -> Array:
        """What the network says after each step."""
        with autograd.no_grad():
            out = self.model(autograd.tensor(x[None, :, None].astype(np.float32), device=self.args.device))
        return np.asarray(out.cpu().numpy()[0, :, 0], dtype=np.float64)

    def alone(self, one: Prepared, steps: int) -> Array:
        """The values after what was learned from, if the network takes its own forecasts for true."""
        levels = one.levels[: one.steps + 1]
        for _ in range(steps):
            change = self.changes(one.look(levels))[-1]
            levels = np.append(levels, levels[-1] + one.scale * change)
        return one.task.value(levels[one.steps + 1 :])


def main() -> None:
    parser = options(__doc__, "the last block only, a few epochs: less than a minute", "of weights and order")
    parser.add_argument("series", choices=TASKS)
    parser.add_argument("--network", choices=NETWORKS, action="append", help="which to train (default: all)")
    args = parser.parse_args()

    see.grid()  # if matplotlib is missing, say so before the training
    task = TASKS[args.series]
    if args.quick:
        task = replace(task, blocks=task.blocks[-1:], epochs=max(task.epochs // 6, 1))
    data = {}
    for name, (times, values) in task.read().items():
        known = sum(time < task.blocks[0] for time in times)
        if known > task.window:
            data[name] = (times, values)
        else:
            print(f"{name} is left out: {known} {task.step}s before {task.blocks[0]}, needed are {task.window + 1}")

    networks = {name: Network(name, task, args) for name in args.network or NETWORKS}
    found = {name: walk_forward(task, data, method) for name, method in (BASELINES | networks).items()}
    every = {name: errors(task, data, forecasts) for name, forecasts in found.items()}
    print(f"\n{len(every['persistence']):,} forecasts, one {task.step} ahead, from {task.blocks[0]}; in {task.unit}:")
    print(f"{'':16}{'root mean square':>18}{'mean absolute':>15}{'seconds':>9}")
    for name, error in every.items():
        seconds = f"{networks[name].seconds:.0f}" if name in networks else ""
        print(f"{name:16}{rms(error):18.2f}{np.abs(error).mean():15.2f}{seconds:>9}")
    verdicts = [verdict(n, every[n], b, every[b]) for n in networks for b in BASELINES]
    print("", *verdicts, sep="\n")

    result = {
        "series": list(data),
        "unit": task.unit,
        "forecasts": len(every["persistence"]),
        "rms": {name: rms(error) for name, error in every.items()},
        "mean_absolute": {name: float(np.abs(error).mean()) for name, error in every.items()},
        "verdicts": verdicts,
        "seconds": {name: network.seconds for name, network in networks.items()},
        "seed": args.seed,
        "quick": args.quick,
    }
    write_result(args.out, result)
    first = next(iter(networks))
    picture(task, data, found, networks[first]).savefig(args.out / "forecast.png", dpi=110)
    print(f"\npicture: {args.out / 'forecast.png'}")
    for name, network in networks.items():
        save(diagram(network), args.out, name)


def picture(task: Task, data: dict[str, Series], found: dict[str, dict[str, Array]], network: Network) -> Any:
    """Each series in the test with the forecasts of a network, and what it says of the last block if left to itself."""
    figure, axes = see.grid(len(data), 1, 10, 1 + 2.4 * len(data))
    for ax, (name, one) in zip(axes.flat, data.items(), strict=True):
        known = Prepared(task, *one, task.blocks[-1])
        shown = np.flatnonzero(np.isfinite(found[network.name][name])) + 1
        alone = network.alone(known, len(one[1]) - known.steps - 1)
        ax.plot(shown, one[1][shown], color="#1b1b1b", label=name)
        ax.plot(shown, found["persistence"][name][shown - 1], ":", color="#999999", label="persistence")
        ax.plot(shown, found[network.name][name][shown - 1], color="#0072b2", label=f"{network.name}, step by step")
        ax.plot(known.steps + 1 + np.arange(len(alone)), alone, "--", color="#d55e00", label="left to itself")
        ticks = shown[:: max(len(shown) // 8, 1)]
        ax.set_xticks(ticks, [one[0][t] for t in ticks])
        ax.legend(fontsize=8, frameon=False, ncols=4)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def diagram(network: Network) -> Any:
    """The network at work on three steps, or on one window if it has no memory."""
    steps = network.task.lookback if network.name == "feed-forward" else 3
    x = autograd.zeros((1, steps, 1), device=network.args.device)
    return nn.draw(network.model, x, title=f"{network.name}: what comes next")


if __name__ == "__main__":
    run(main)
