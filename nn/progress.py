"""What a training run says: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress:
    """Reports epochs and batches: measured values, samples per second, and the time left for all epochs.

    `unit`: what a sample is called. `shown=False` says nothing at all. `line_every`: seconds between the lines about
    an unfinished epoch where there is no terminal.
    """

    def __init__(
        self, unit: str = "images", shown: bool = True, console: Console | None = None, line_every: float = 30.0
    ) -> None:
        self.unit, self.shown, self.console, self.line_every = unit, shown, console, line_every
        self.bar: Bar | None = None

    def __enter__(self) -> Self:
        self._started = self._said = self._drawn = time.perf_counter()
        self._samples = self._batches = 0
        if self.shown:
            from rich.console import Console

            self.console = self.console or Console(highlight=False)
            if self.console.is_terminal:
                self._make_bar(self.console)
        return self

    def _make_bar(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}"),
        )
        # Without a thread of its own: it would compete with the arithmetic for the processor.
        self.bar = Bar(*columns, console=console, auto_refresh=False, transient=True, expand=True)
        self.task = self.bar.add_task("", total=None, values="")
        self.bar.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def epoch(self, number: int, epochs: int, batches: int | None, done: int = 0) -> None:
        """Begin epoch `number` of `epochs`, which has that many batches (None: unknown), `done` of them already."""
        self._title, self._per_epoch, self._done = f"epoch {number:>{len(str(epochs))}}/{epochs}", batches, done
        self._epochs_after = epochs - number
        if self.bar is not None:
            self.bar.update(self.task, description=self._title, total=batches, completed=done, values="", refresh=True)

    def batch(self, samples: int, values: Mapping[str, float]) -> None:
        """Count a batch; `values` are the epoch's averages so far."""
        self._samples, self._batches, self._done = self._samples + samples, self._batches + 1, self._done + 1
        now = time.perf_counter()
        if self.bar is not None and now - self._drawn > 0.1:
            self._drawn = now
            self.bar.update(self.task, completed=self._done, values=self._words(values), refresh=True)
        elif self.bar is None and now - self._said > self.line_every:
            of = f"/{self._per_epoch}" if self._per_epoch else ""
            self.note(f"{self._title}  batch {self._done}{of}  {self._words(values)}")

    def row(self, values: Mapping[str, float]) -> None:
        """Report a finished epoch."""
        self._done = self._per_epoch or 0
        self.note(f"{self._title}  {self._words(values)}")

    def note(self, text: str) -> None:
        """Say something on a line of its own."""
        self._said = time.perf_counter()
        if self.console is not None and self.shown:
            self.console.print(text, markup=False, soft_wrap=True)

    def _words(self, values: Mapping[str, float]) -> str:
        words = [f"{name} {value:.4g}" if name == "lr" else f"{name} {value:.4f}" for name, value in values.items()]
        elapsed = time.perf_counter() - self._started
        if self._batches and elapsed > 0:
            words.append(f"{self._samples / elapsed:,.0f} {self.unit}/s")
            if self._per_epoch:
                left = self._per_epoch * (self._epochs_after + 1) - self._done
                words.append(f"{clock(left * elapsed / self._batches)} left")
        return "  ".join(words)


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
