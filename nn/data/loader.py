"""The loader: batches in an order, and with augmentation, that depend on (seed, epoch, batch) and on nothing else.

So the result is the same with any number of workers, and an interrupted epoch continues exactly where it stopped.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Literal, TypeAlias

import numpy as np

import autograd
from autograd.errors import DomainError, DTypeError
from nn.data.dataset import Indices, collate

Transform: TypeAlias = Callable[[Any, np.random.Generator], Any]


@dataclass(frozen=True)
class Fetch:
    """How a batch is made; a pure function, so that any worker may call it."""

    dataset: Any
    collate: Callable[[list[Any]], Any] | None
    transform: Transform | None
    batch_transform: Transform | None
    seed: int

    def __call__(self, epoch: int, batch: int, indices: Indices) -> Any:
        try:
            return self._transformed(self._batch(indices), epoch, batch)
        except Exception as error:
            error.add_note(f"DataLoader: while making batch {batch} of epoch {epoch}, samples {indices.tolist()!s:.80}")
            raise

    def _batch(self, indices: Indices) -> Any:
        if self.collate is None and getattr(self.dataset, "whole_batches", False):
            return self.dataset[indices]
        return (self.collate or collate)([self.dataset[int(i)] for i in indices])

    def _transformed(self, batch: Any, epoch: int, number: int) -> Any:
        rng = rng_at(self.seed, epoch, number)
        if self.transform is not None:
            several = isinstance(batch, (tuple, list))
            batch = (self.transform(batch[0], rng), *batch[1:]) if several else self.transform(batch, rng)
        return batch if self.batch_transform is None else self.batch_transform(batch, rng)


class DataLoader:
    """Iterate over a data set in batches of tensors, epoch after epoch.

    `dataset`: anything with `len()` and `[index]`; with `whole_batches = True` it is asked for whole batches.
    `batch_size`: samples per batch; the last batch is smaller, or left out with `drop_last`.
    `shuffle`: a new order in every epoch, drawn from (`seed`, epoch). Without `seed` it is drawn from `generator`, or
    from the default generator, once.
    `num_workers`: threads or processes (`worker`) that make up to `prefetch` batches ahead of the consumer; 0 makes
    them in the consumer's own thread. Threads suit NumPy, which works in parallel; processes suit plain Python, and
    need a data set that can be pickled and a script that starts under `if __name__ == "__main__":`.
    `collate_fn`: turns a list of samples into a batch. `transform(inputs, rng)`: applied to the whole batch, to the
    first entry if it is a tuple, with a NumPy generator drawn from (`seed`, epoch, batch).
    `batch_transform(batch, rng)`: applied to all of it afterwards, so that inputs and targets may be mixed.

    Every `iter()` is a new epoch. `state_dict()` tells the epoch and the number of batches handed out in it; after
    `load_state_dict` the next `iter()` continues there.

    Raises: `DomainError` for parameters out of range, `DTypeError` for data without a length. An error in a worker is
    raised in the consumer, with a note that names batch, epoch and samples.

    >>> loader = DataLoader([(0.5, 0), (1.5, 1), (2.5, 0)], batch_size=2)
    >>> [target.numpy().tolist() for _, target in loader]
    [[0, 1], [0]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        seed: int | None = None,
        generator: autograd.Generator | None = None,
        drop_last: bool = False,
        num_workers: int = 0,
        prefetch: int | None = None,
        worker: Literal["thread", "process"] = "thread",
        collate_fn: Callable[[list[Any]], Any] | None = None,
        transform: Transform | None = None,
        batch_transform: Transform | None = None,
        device: str = "cpu",
    ) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            kind = type(dataset).__name__
            raise DTypeError(f"DataLoader: dataset is a {kind}, expected len() and [index] → give a list or a Dataset")
        prefetch = 2 * num_workers if prefetch is None else prefetch
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("prefetch", prefetch, 1 if num_workers else 0),
        ):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise DomainError(f"DataLoader: {name} is {value!r}, expected an integer ≥ {least}")
        if worker not in ("thread", "process"):
            raise DomainError(f"DataLoader: worker is {worker!r}, expected 'thread' or 'process'")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, int(batch_size), shuffle, drop_last
        self.num_workers, self.prefetch, self.worker, self.device = num_workers, prefetch, worker, device
        self.seed = _draw_seed(generator) if seed is None else seed
        self.collate_fn, self.transform, self.batch_transform = collate_fn, transform, batch_transform
        self._next = self._at = (0, 0)
        self._processes: ProcessPoolExecutor | None = None

    def __len__(self) -> int:
        """Batches per epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    @property
    def samples(self) -> int:
        """Samples per epoch."""
        return len(self) * self.batch_size if self.drop_last else len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Make the next `iter()` the epoch of that number, counted from 0."""
        self._next = self._at = (epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, as plain values: seed, epoch, and batches handed out in that epoch."""
        epoch, batch = self._at
        return {"seed": self.seed, "epoch": epoch, "batch": batch, **self._identity()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue, with the next `iter()`, where `state_dict()` was taken.

        Raises: `DomainError` where the data set's length or the batching differ: positions would mean other samples.
        """
        for name, value in self._identity().items():
            if state_dict[name] != value:
                raise DomainError(
                    f"DataLoader.load_state_dict: {name} was {state_dict[name]} when saved and is {value} now"
                    " → build the loader with the same data and parameters"
                )
        self.seed = state_dict["seed"]
        self._next = self._at = (state_dict["epoch"], state_dict["batch"])
        self.close()  # worker processes know the old seed

    def _identity(self) -> dict[str, Any]:
        names = ("batch_size", "shuffle", "drop_last")
        return {"samples": len(self.dataset), **{name: getattr(self, name) for name in names}}

    def close(self) -> None:
        """End the worker processes, if any; they start again when needed, and end by themselves with the loader."""
        if self._processes is not None:
            self._processes.shutdown(wait=True, cancel_futures=True)
            self._processes = None

    def __del__(self) -> None:
        if getattr(self, "_processes", None) is not None:
            self._processes.shutdown(wait=False, cancel_futures=True)  # type: ignore[union-attr]

    def __iter__(self) -> Iterator[Any]:
        epoch, start = self._next
        self._next, self._at = (epoch + 1, 0), (epoch, start)
        return self._epoch(epoch, start)

    def _epoch(self, epoch: int, start: int) -> Iterator[Any]:
        for number, batch in enumerate(self._batches(epoch, start), start + 1):
            self._at = (epoch, number)
            yield as_tensors(batch, self.device)
        self._at = (epoch + 1, 0)

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        """The epoch's batches from number `start` on, as arrays, in order, made ahead by the workers."""
        fetch = Fetch(self.dataset, self.collate_fn, self.transform, self.batch_transform, self.seed)
        order = np.arange(len(self.dataset))
        if self.shuffle:
            order = rng_at(self.seed, epoch).permutation(order)
        jobs = ((epoch, b, order[b * self.batch_size : (b + 1) * self.batch_size]) for b in range(start, len(self)))
        if self.num_workers == 0:
            yield from (fetch(*job) for job in jobs)
            return
        pending: deque[Future[Any]] = deque()
        pool, call = self._workers(fetch)
        try:
            for job in jobs:
                pending.append(pool.submit(call, *job))
                if len(pending) > self.prefetch:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenExecutor as error:
            error.add_note(
                f"DataLoader: a worker process died in epoch {epoch} → look for its message above, or use threads"
            )
            self._processes = None
            raise
        finally:  # also when the consumer breaks out, or a worker failed
            for future in pending:
                future.cancel()
            wait(pending)
            if pool is not self._processes:
                pool.shutdown()

    def _workers(self, fetch: Fetch) -> tuple[Executor, Callable[..., Any]]:
        """Threads cost nothing and live for an epoch; processes are kept, and get the data set once."""
        if self.worker == "thread":
            return ThreadPoolExecutor(self.num_workers, thread_name_prefix="DataLoader"), fetch
        if self._processes is None:
            # A forked copy of a process with threads may hang: start from a clean one.
            context = get_context("spawn")
            pool = ProcessPoolExecutor(self.num_workers, context, _start_process, (fetch,))
            try:
                pool.submit(int)  # starts the processes
            except Exception as error:
                error.add_note("DataLoader: for processes, data set, transform and collate_fn are pickled → no lambdas")
                raise
            self._processes = pool
        return self._processes, _fetch_in_process


_fetch: Fetch
"""In a worker process: how it makes a batch."""


def _start_process(fetch: Fetch) -> None:
    global _fetch
    _fetch = fetch
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the consumer, who ends the workers


def _fetch_in_process(epoch: int, batch: int, indices: Indices) -> Any:
    return _fetch(epoch, batch, indices)


def rng_at(seed: int, *place: int) -> np.random.Generator:
    """Random numbers for one place, (epoch) or (epoch, batch), independent of those for every other place."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


def as_tensors(batch: Any, device: str = "cpu") -> Any:
    """The arrays of a batch, inside tuples, lists and dicts, as tensors on a device; anything else is left alone."""
    if isinstance(batch, dict):
        return {key: as_tensors(value, device) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)) and not hasattr(batch, "to"):  # a packed batch consists of tensors already
        return tuple(as_tensors(value, device) for value in batch)
    numeric = isinstance(batch, (np.ndarray, np.generic)) and batch.dtype.kind in "biufc"
    return autograd.tensor(batch, device=device) if numeric else batch


def _draw_seed(generator: autograd.Generator | None) -> int:
    return int(autograd.integers((1,), 0, 2**63 - 1, generator=generator).item())
