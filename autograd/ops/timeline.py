"""The steps of a loop over time: their order, which rows run at each, and where gradients are cut.

What a recurrent network may be asked for besides its formula stands here, so that the formula stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

import numpy as np

from .. import backend
from ..core.tensor import Tensor, named
from ..errors import DomainError, DTypeError, ShapeError
from .arithmetic import where
from .shape import stack, unstack


class Timeline:
    """The T steps of the N rows of x, ``T N D`` with ``axis=0`` or ``N T D`` with ``axis=1``; h is the rows' state.

    A row runs at the steps 1 … length. At the others its input is not read, its states stay and its output is 0. With
    ``reverse`` the last step comes first. With ``truncate=k`` no gradient passes between the steps k and k + 1, 2k and
    2k + 1, ...

    Raises:
        ShapeError: when x has other axes or no steps, or h other rows.
        DTypeError: when ``lengths`` are no integers.
        DomainError: when there is not one length for each row, one lies outside 1 … T, or ``truncate`` is no integer
            of at least 1.
    """

    def __init__(
        self, op: str, x: Any, h: Any, lengths: Iterable[int] | None, axis: int, reverse: bool, truncate: int | None
    ) -> None:
        if len(x.shape) != 3 or axis not in (0, 1):
            raise ShapeError(
                f"{op}: x has shape {tuple(x.shape)} and axis={axis}, but x must be T N D with axis=0 or N T D with "
                "axis=1 → reshape x, or give the axis of time"
            )
        self.length, rows = x.shape[axis], x.shape[1 - axis]
        if not self.length:
            raise ShapeError(f"{op}: x has shape {tuple(x.shape)}, that is T=0 time steps → give at least one")
        if h.shape[0] != rows:
            raise ShapeError(f"{op}: h has N={h.shape[0]} but x {tuple(x.shape)} has N={rows} → expected {rows}")
        if truncate is not None and (not hasattr(truncate, "__index__") or truncate < 1):
            raise DomainError(
                f"{op}: truncate is {truncate!r} but a number of steps is needed → choose an integer from 1, or None"
            )
        self.axis, self.reverse, self.truncate = axis, reverse, truncate
        self.shortest = self.length  # up to here all rows run
        self.running: Any = None  # T N 1: whether a row runs at a step
        if lengths is not None:
            known = _integers(op, lengths)
            if len(known) != rows or not all(1 <= n <= self.length for n in known):
                raise DomainError(
                    f"{op}: lengths is {known} but x has N={rows} rows of T={self.length} steps "
                    f"→ give {rows} integers from 1 to {self.length}"
                )
            self.shortest = min(known, default=self.length)
            self.running = _beside(x, np.arange(1, self.length + 1)[:, None, None] <= np.asarray(known)[:, None])

    def steps(self, x: Any) -> Iterable[tuple[int, Any]]:
        """Every step's number and input, in the order of the loop."""
        x = self._masked("x", x)  # what pads a row may be anything, even NaN
        steps = list(enumerate(unstack(x, self.axis), 1))
        return reversed(steps) if self.reverse else steps

    def cut(self, states: Sequence[Any], t: int) -> Sequence[Any]:
        """The states with which step t begins, without their history where the gradient's way is cut."""
        before = t + 1 if self.reverse else t - 1  # the step that made them
        if self.truncate is None or not 1 <= before <= self.length or min(t, before) % self.truncate:
            return states
        constants = [s.detach() if isinstance(s, Tensor) else s for s in states]
        return self.keep(constants, states, before)  # a row that begins now has its initial state, which no one cuts

    def keep(self, after: Sequence[Any], before: Sequence[Any], t: int) -> Sequence[Any]:
        """The states after step t: of the rows that run the new ones, of the others those before."""
        if t <= self.shortest:
            return after
        runs = self.running[t - 1]
        return [where(runs, new, old) for new, old in zip(after, before, strict=True)]

    def join(self, outputs: list[Any]) -> Any:
        """The outputs of all steps along the axis of time."""
        return self._masked("h", stack(outputs[::-1] if self.reverse else outputs, self.axis))

    def _masked(self, name: str, x: Any) -> Any:
        """Zero instead of what lies behind the rows' lengths, called ``name`` in diagrams."""
        if self.shortest == self.length:
            return x
        return named(name, where(self.running if self.axis == 0 else self.running.swapaxes(0, 1), x, 0))


def _beside(x: Any, mask: np.ndarray) -> Any:
    """The mask as an array of the library and on the device of x."""
    raw = x.data if isinstance(x, Tensor) else x
    home = backend.of(raw)
    return home.from_host(mask, home.device_of(raw))


def _integers(op: str, lengths: Any) -> list[int]:
    """The integers of a list, an array or a tensor."""
    try:
        return [index(n) for n in (lengths.tolist() if hasattr(lengths, "tolist") else lengths)]
    except TypeError:
        raise DTypeError(f"{op}: lengths is {lengths!r} but integers are needed → give a list of them") from None
