"""Sequences of different lengths in one batch: padded to the longest, or packed without padding, as PyTorch has them.

>>> import autograd
>>> a, b = autograd.tensor([1.0, 2.0, 3.0]), autograd.tensor([4.0, 5.0])
>>> packed = pack_sequence([a, b])
>>> packed.data.tolist(), packed.batch_sizes.tolist()
([1.0, 4.0, 2.0, 5.0, 3.0], [2, 2, 1])
>>> padded, lengths = pad_packed_sequence(packed, batch_first=True)
>>> padded.tolist(), lengths.tolist()
([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]], [3, 2])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import autograd
from autograd import Tensor
from autograd.errors import DomainError, DTypeError, ShapeError


class PackedSequence(NamedTuple):
    """Sequences without padding: the first elements of all, then the second elements of those that have one, ...

    Attributes:
        data: the elements, (sum of lengths, ...).
        batch_sizes: how many sequences run at each step, integers on the host; they do not grow.
        sorted_indices: the sequences' numbers in the order of their lengths, the longest first; None if they were so.
        unsorted_indices: the place of every sequence in that order, or None.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    @property
    def lengths(self) -> list[int]:
        """How long the sequences are, the longest first."""
        sizes = self.batch_sizes.tolist()
        return [sum(n > row for n in sizes) for row in range(sizes[0])]

    def padded(self) -> Tensor:
        """The sequences in the order of their lengths, padded with zeros: T N ..."""
        sizes = self.batch_sizes.tolist()
        out: Tensor = autograd.scatter(
            self.data, _running(self.batch_sizes, self.data), (len(sizes), sizes[0], *self.data.shape[1:])
        )
        return out

    def like(self, padded: Tensor) -> PackedSequence:
        """Pack other elements (T N ...) as these are packed."""
        return self._replace(data=padded[_running(self.batch_sizes, padded)])

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On another device or with another element type, as `Tensor.to`."""
        data = self.data.to(*args, **kwargs)
        indices = (None if i is None else i.to(data.device) for i in self[2:])
        return PackedSequence(data, self.batch_sizes, *indices)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch; what lies behind a sequence's length is dropped and gets no gradient.

    Args:
        input: T N ..., or N T ... with `batch_first`.
        lengths: a length for each sequence: a list or a tensor of integers.
        batch_first: whether the first axis is that of the sequences.
        enforce_sorted: whether lengths must descend already; otherwise they are sorted here.

    Raises:
        ShapeError: when input has fewer than two axes.
        DomainError: when there is no sequence, not one length for each, one outside 1 … T, or they do not descend.

    >>> pack_padded_sequence(autograd.zeros((5, 2, 3)), [5, 2]).data.shape
    (7, 3)
    """
    x = _steps_first("pack_padded_sequence", "input", input, batch_first)
    if not x.shape[1]:
        raise DomainError(f"pack_padded_sequence: input has shape {input.shape}, N=0 sequences → give at least one")
    known = check_lengths("pack_padded_sequence", lengths, x.shape[1], x.shape[0])
    order = sorted(range(len(known)), key=lambda row: -known[row])
    indices: tuple[Tensor | None, Tensor | None] = (None, None)
    if not enforce_sorted:
        places = sorted(order, key=order.__getitem__)
        indices = autograd.tensor(order, device=x.device), autograd.tensor(places, device=x.device)
        x = x[:, indices[0]]
    elif order != list(range(len(known))):
        raise DomainError(
            f"pack_padded_sequence: lengths is {known}, which does not descend → sort the batch, longest first, "
            "or pass enforce_sorted=False"
        )
    sizes = autograd.tensor([sum(n > t for n in known) for t in range(max(known))])
    return PackedSequence(x[: max(known)][_running(sizes, x)], sizes, *indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return a packed batch as a padded one, T N ... (N T ... with `batch_first`), and the lengths.

    `total_length` pads to so many steps instead of to the longest sequence.

    Raises:
        DTypeError: when sequence is no PackedSequence.
        DomainError: when `total_length` is less than the longest length.
    """
    if not isinstance(sequence, PackedSequence):
        raise DTypeError(
            f"pad_packed_sequence: sequence is a {type(sequence).__name__}, expected a PackedSequence; "
            "use pack_padded_sequence(...)"
        )
    x, steps = sequence.padded(), len(sequence.batch_sizes)
    if total_length is not None and not (hasattr(total_length, "__index__") and total_length >= steps):
        raise DomainError(
            f"pad_packed_sequence: total_length is {total_length} but the longest sequence has {steps} steps "
            f"→ give an integer of at least {steps}"
        )
    running = _running(sequence.batch_sizes, x)
    if padding_value:
        x = autograd.where(running.reshape(*running.shape, *(1,) * (x.ndim - 2)), x, padding_value)
    if total_length is not None:
        x = autograd.pad(x, ((0, total_length - steps), *((0, 0),) * (x.ndim - 1)), padding_value)
    lengths = autograd.tensor(sequence.lengths)
    if sequence.unsorted_indices is not None:
        x, lengths = x[:, sequence.unsorted_indices], lengths[sequence.unsorted_indices.to("cpu")]
    return (x.swapaxes(0, 1) if batch_first else x), lengths


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Join sequences (T, ...) of different lengths into one batch T N ... (N T ... with `batch_first`).

    Raises:
        DomainError: when there are none, or `padding_side` is neither "left" nor "right".
        ShapeError: when they differ in more than their length.

    >>> pad_sequence([autograd.ones((2,)), autograd.ones((1,))], batch_first=True, padding_side="left").tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    if padding_side not in ("left", "right"):
        raise DomainError(f"pad_sequence: padding_side is {padding_side!r} → choose 'left' or 'right'")
    if not isinstance(sequences, Iterable):
        raise DTypeError(f"pad_sequence: sequences is a {type(sequences).__name__}, expected a list of tensors")
    parts = list(sequences)
    if not parts:
        raise DomainError("pad_sequence: sequences is empty → give at least one tensor")
    for part in parts:
        _check_tensor("pad_sequence", "a sequence", part)
        if not part.ndim:
            raise ShapeError("pad_sequence: a sequence has shape (): 0 axes, expected at least 1, T ...")
        if part.shape[1:] != parts[0].shape[1:]:
            raise ShapeError(
                f"pad_sequence: a sequence has shape {part.shape} but the first {parts[0].shape} "
                "→ give sequences T ... that differ in T only"
            )
    longest = max(len(part) for part in parts)

    def padded(part: Tensor) -> Tensor:
        missing = longest - len(part)
        ends = (missing, 0) if padding_side == "left" else (0, missing)
        out: Tensor = autograd.pad(part, (ends, *((0, 0),) * (part.ndim - 1)), padding_value) if missing else part
        return out

    batch: Tensor = autograd.stack([padded(part) for part in parts], axis=0 if batch_first else 1)
    return batch


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (T, ...) of different lengths; raises as `pad_sequence` and `pack_padded_sequence`."""
    padded = pad_sequence(sequences)
    return pack_padded_sequence(padded, [len(part) for part in sequences], enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """Return the sequences of a padded batch without their padding; raises as `pack_padded_sequence`."""
    x = _steps_first("unpad_sequence", "padded_sequences", padded_sequences, batch_first)
    known = check_lengths("unpad_sequence", lengths, x.shape[1], x.shape[0])
    return [x[:n, row] for row, n in enumerate(known)]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences of a packed batch; raises as `pad_packed_sequence`."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


def check_lengths(what: str, lengths: Any, rows: int, steps: int) -> list[int]:
    """Return lengths given as a list, a tensor or an array as a list of integers.

    Raises:
        DTypeError: when they are no integers.
        DomainError: when there is not one for each row, or one lies outside 1 … steps.
    """
    known = lengths.tolist() if hasattr(lengths, "tolist") else list(lengths) if isinstance(lengths, Iterable) else None
    if not isinstance(known, list) or not all(hasattr(n, "__index__") for n in known):
        raise DTypeError(f"{what}: lengths is {lengths!r}, expected a list of integers")
    known = [int(n) for n in known]
    if len(known) != rows or not all(1 <= n <= steps for n in known):
        raise DomainError(
            f"{what}: lengths is {known} but there are N={rows} sequences of T={steps} steps "
            f"→ give {rows} integers from 1 to {steps}"
        )
    return known


def _steps_first(what: str, name: str, x: Any, batch_first: bool) -> Tensor:
    """A padded batch as T N ..., whichever of the two axes comes first."""
    _check_tensor(what, name, x)
    if x.ndim < 2:
        order = "N T" if batch_first else "T N"
        raise ShapeError(f"{what}: {name} has shape {x.shape}: {x.ndim} axes, expected at least 2, {order} ...")
    out: Tensor = x.swapaxes(0, 1) if batch_first else x
    return out


def _check_tensor(what: str, name: str, x: Any) -> None:
    if not isinstance(x, Tensor):
        raise DTypeError(f"{what}: {name} is a {type(x).__name__}, expected a tensor; use autograd.tensor(...)")


def _running(sizes: Tensor, x: Tensor) -> Tensor:
    """For every step and row whether the sequence still runs there; read row by row, this is the packed order."""
    rows = autograd.arange(int(sizes[0]), device=x.device)
    running: Tensor = rows < sizes.to(x.device)[:, None]
    return running
