"""Data sets: something with a length whose items are samples, and a few ways to combine them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd import Tensor
from autograd.errors import DomainError, DTypeError, ShapeError

Indices: TypeAlias = NDArray[np.intp]


class Dataset:
    """Base of data sets: define `__len__` and `__getitem__(index)`, which returns a sample, often `(input, target)`.

    A data set that also understands an array of indices, and returns the whole batch stacked, says so by
    `whole_batches = True`; the loader then asks once per batch, which is much faster.
    Inheriting from this class is not needed: any object with the two methods will do, a list for example.
    """

    whole_batches: bool = False

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")


class TensorDataset(Dataset):
    """Arrays or tensors of equal length along axis 0, side by side: sample i is the tuple of their i-th entries.

    Raises: `ShapeError` where the lengths differ.

    >>> dataset = TensorDataset(np.zeros((3, 28, 28)), np.array([7, 2, 1]))
    >>> len(dataset), dataset[1][1].item()
    (3, 2)
    """

    whole_batches = True

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise DomainError("TensorDataset: no tensors given → pass at least one")
        self.arrays = tuple(
            tensor.detach().cpu().numpy() if isinstance(tensor, Tensor) else np.asarray(tensor) for tensor in tensors
        )
        shapes = [array.shape for array in self.arrays]
        if () in shapes or len({shape[0] for shape in shapes}) != 1:
            raise ShapeError(f"TensorDataset: shapes are {shapes} → give every tensor the same length along axis 0")

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(array[index] for array in self.arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])


class Subset(Dataset):
    """The samples of `dataset` at the positions `indices`, in that order.

    >>> Subset("unfold", [3, 0])[0]
    'o'
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | Indices) -> None:
        self.dataset, self.indices = dataset, np.asarray(indices, dtype=np.intp)
        self.whole_batches = getattr(dataset, "whole_batches", False)

    def __getitem__(self, index: Any) -> Any:
        where = self.indices[index]
        return self.dataset[where if self.whole_batches else int(where)]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Data sets one after another.

    >>> ConcatDataset(["ab", "cde"])[3]
    'd'
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        if not datasets:
            raise DomainError("ConcatDataset: no data sets given → pass at least one")
        self.datasets = list(datasets)
        self.ends = list(accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: Any) -> Any:
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        which = bisect_right(self.ends, position)
        return self.datasets[which][position - (self.ends[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.ends[-1]


def random_split(dataset: Any, lengths: Sequence[int] | Sequence[float], seed: int = 0) -> list[Subset]:
    """Split into disjoint random subsets, reproducibly from `seed`.

    `lengths`: sample counts that add up to `len(dataset)`, or fractions that add up to 1 (rounded down; what remains is
    dealt to the first subsets one by one).

    Raises: `DomainError` where the lengths do not add up.

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    samples = len(dataset)
    if any(isinstance(length, float) for length in lengths):
        if not math.isclose(sum(lengths), 1.0) or min(lengths) < 0:
            raise DomainError(f"random_split: the fractions {list(lengths)} add up to {sum(lengths)}, expected 1.0")
        counts = [int(samples * fraction) for fraction in lengths]
        for i in range(samples - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [int(length) for length in lengths]
    if sum(counts) != samples or min(counts) < 0:
        raise DomainError(
            f"random_split: lengths {list(lengths)} add up to {sum(counts)}, the data set has {samples} samples"
            " → give counts ≥ 0 that add up, or fractions"
        )
    order = np.random.default_rng(seed).permutation(samples)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]


def collate(samples: Sequence[Any]) -> Any:
    """Stack samples to a batch: arrays and numbers along a new axis 0, inside tuples, lists and dicts.

    Python floats become float32.

    Raises: `ShapeError` where shapes differ from sample to sample, `DTypeError` for what cannot be stacked.

    >>> collate([(1.0, 7), (2.0, 3)])
    (array([1., 2.], dtype=float32), array([7, 3]))
    """
    first = samples[0]
    if isinstance(first, dict):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(sample) != len(first) for sample in samples):
            raise ShapeError(
                f"collate: samples have {sorted({len(s) for s in samples})} entries → give all the same number"
            )
        return type(first)(map(collate, zip(*samples, strict=True)))
    arrays = [s.detach().cpu().numpy() if isinstance(s, Tensor) else np.asarray(s) for s in samples]
    if len({array.shape for array in arrays}) != 1:
        raise ShapeError(
            f"collate: samples have shapes {sorted({array.shape for array in arrays})}"
            " → crop or pad them to one shape, or pass a collate_fn"
        )
    if arrays[0].dtype.kind not in "biufc":
        raise DTypeError(
            f"collate: a sample is a {type(first).__name__}, expected numbers or arrays → pass a collate_fn"
        )
    batch = np.stack(arrays)
    return batch.astype(np.float32) if isinstance(first, float) and not isinstance(first, np.generic) else batch
