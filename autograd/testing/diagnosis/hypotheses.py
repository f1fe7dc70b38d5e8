"""What a wrong Jacobian looks like: known mistakes, each a transformation of the right one, in a table.

The first whose result equals the wrong Jacobian, to within the oracle's error, is named. The most specific come first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from ..oracles import SAFETY

Shape = tuple[int, ...]
Candidate = tuple[str, np.ndarray]  # the words, and the Jacobian that the mistake would give
SHARE = 1e-7  # of the largest derivative: closer than this is equal
VAGUE = (
    "a dropped term: what is missing has rank",
    "a wrong formula",
)  # how a guess begins that a better one may replace


@dataclass(frozen=True)
class Evidence:
    """Jacobians, rows × elements, by the number of the input: the wrong ones, the right ones and their errors."""

    input: int
    wrongs: Mapping[int, np.ndarray]
    rights: Mapping[int, np.ndarray]
    errors: Mapping[int, np.ndarray]
    shapes: Mapping[int, Shape]
    results: Sequence[Shape]

    @property
    def wrong(self) -> np.ndarray:
        """The Jacobian that is wrong."""
        return self.wrongs[self.input]

    @property
    def right(self) -> np.ndarray:
        """What it should be."""
        return self.rights[self.input]

    @property
    def shape(self) -> Shape:
        """The shape of the input."""
        return self.shapes[self.input]

    @property
    def result(self) -> Shape:
        """The shape of the result, flat if there are several."""
        return tuple(self.results[0]) if len(self.results) == 1 else (len(self.right),)

    @cached_property
    def judged(self) -> np.ndarray:
        """Where the right value is known."""
        return np.isfinite(self.errors[self.input]) & np.isfinite(self.right)

    @cached_property
    def slack(self) -> np.ndarray:
        """How far apart equal numbers may be."""
        largest = float(np.max(np.abs(self.right), where=self.judged, initial=0.0))
        return np.where(self.judged, SAFETY * self.errors[self.input], 0.0) + SHARE * largest

    def equal(self, candidate: np.ndarray, jacobian: np.ndarray) -> bool:
        """Whether a candidate is the right or the wrong Jacobian, where the right one is known."""
        with np.errstate(invalid="ignore"):
            return bool(np.all((np.abs(candidate - jacobian) <= self.slack) | ~self.judged))

    @cached_property
    def same(self) -> np.ndarray:
        """Where wrong and right are equal."""
        return np.abs(self.wrong - self.right) <= self.slack

    @cached_property
    def zero(self) -> np.ndarray:
        """Where the wrong one is zero."""
        return np.abs(self.wrong) <= self.slack

    @cached_property
    def still(self) -> np.ndarray:
        """Where the right one is zero."""
        return np.abs(self.right) <= self.slack

    @cached_property
    def axes(self) -> list[tuple[str, int]]:
        """What the axes of the Jacobian, reshaped to result and input, are called, and how long they are."""
        return [(f"axis {k} of the result", n) for k, n in enumerate(self.result)] + [
            (f"axis {k} of input {self.input}", n) for k, n in enumerate(self.shape)
        ]

    @property
    def whole(self) -> np.ndarray:
        """The right Jacobian with an axis for each of the result's and of the input's."""
        return self.right.reshape(self.result + self.shape)

    def flat(self, whole: np.ndarray) -> np.ndarray:
        """Rows × elements again."""
        return whole.reshape(self.right.shape)


# --- whole Jacobians --------------------------------------------------------------------------------------------------


def _not_a_number(e: Evidence) -> Iterator[Candidate]:
    if not np.isfinite(e.wrong).all():
        yield "NaN or Inf made by the rule, where the derivative is a number", e.wrong


def _zero(e: Evidence) -> Iterator[Candidate]:
    yield "a missing gradient: it is zero everywhere", np.zeros_like(e.right)


def _sign(e: Evidence) -> Iterator[Candidate]:
    yield "wrong sign: the gradient is −1 times what it should be", -e.right


def _swapped(e: Evidence) -> Iterator[Candidate]:
    for j, other in e.rights.items():
        if j != e.input and e.shapes[j] == e.shape:
            yield f"swapped inputs: this is the gradient of input {j}", other


def _factor(e: Evidence) -> Iterator[Candidate]:
    c = _ratio(e.wrong[e.judged], e.right[e.judged])
    sure = np.count_nonzero(~e.still) > 1  # of one number any mistake is a factor: a round one is worth saying
    if np.isfinite(c) and c and (sure or min(abs(abs(c) - n) for n in ROUND) < SHARE):
        words = "a constant factor" if sure else "a constant factor, as far as one number can tell"
        yield f"{words}: the gradient is {c:.6g} times what it should be{_named(c, e) if sure else ''}", c * e.right


def _transposed(e: Evidence) -> Iterator[Candidate]:
    whole, n = e.whole, len(e.result)
    pairs = [(a, b) for a, b in itertools.combinations(range(whole.ndim), 2) if 1 < e.axes[a][1] == e.axes[b][1]]
    for a, b in pairs:
        yield f"transposed: {e.axes[a][0]} and {e.axes[b][0]} are exchanged", e.flat(whole.swapaxes(a, b))
    for (a, b), (c, d) in itertools.product(pairs, pairs):
        if b < n <= c:
            both = f"{e.axes[a][0]} with {e.axes[b][0]}, {e.axes[c][0]} with {e.axes[d][0]}"
            yield f"transposed: {both}", e.flat(whole.swapaxes(a, b).swapaxes(c, d))
    if 1 < prod(e.result) == prod(e.shape):
        yield "transposed: J stands where Jᵀ belongs", e.right.T


def _mirrored(e: Evidence) -> Iterator[Candidate]:
    n = len(e.result)
    long = [k for k, size in enumerate(e.shape) if size > 1]
    for count in range(1, len(long) + 1):
        for chosen in itertools.combinations(long, count):
            of_input = tuple(n + k for k in chosen)
            words = f"mirrored along {_axes(chosen)} of input {e.input}: flipped where it should not be, or not flipped"
            yield f"{words} where it should be, as filters", e.flat(np.flip(e.whole, of_input))
            if max(chosen) < n:
                yield f"{words} where it should be, as filters", e.flat(np.flip(e.whole, (*chosen, *of_input)))


def _shifted(e: Evidence) -> Iterator[Candidate]:
    for axis, (name, size) in enumerate(e.axes):
        for by in (1, -1) if size > 2 else ():  # two elements shifted are two mirrored
            rolled = np.roll(e.whole, by, axis)
            cut = rolled.copy()
            cut[(slice(None),) * axis + (0 if by > 0 else -1,)] = 0
            for candidate in (rolled, cut):
                yield f"a shifted index: off by one along {name}", e.flat(candidate)


def _unsummed(e: Evidence) -> Iterator[Candidate]:
    for axis, size in enumerate(e.result):
        for k in (0, size - 1) if size > 1 else ():
            kept = np.zeros_like(e.whole)
            place = (slice(None),) * axis + (slice(k, k + 1),)
            kept[place] = e.whole[place]
            yield (
                f"a broadcast axis not summed: only index {k} along axis {axis} of the result arrives, the sum over "
                f"the {size} others is missing".replace(f"{size} others", f"other {size - 1}"),
                e.flat(kept),
            )


def _factor_along(e: Evidence) -> Iterator[Candidate]:
    wrong, right = e.wrong.reshape(e.whole.shape), np.where(e.judged.reshape(e.whole.shape), e.whole, 0.0)
    for axis, (name, size) in enumerate(e.axes):
        if 1 < size < e.right.size:
            rest = tuple(k for k in range(wrong.ndim) if k != axis)
            if (np.count_nonzero(right, axis=rest) < 2).any():
                continue  # any number would fit
            with np.errstate(all="ignore"):
                c = np.nan_to_num((wrong * right).sum(rest, keepdims=True) / (right * right).sum(rest, keepdims=True))
            if np.all(c):
                listed = ", ".join(f"{k:.4g}" for k in c.ravel()[:4]) + (" …" if size > 4 else "")
                yield f"a factor for each index along {name}: {listed}", e.flat(c * e.whole)


# --- parts of Jacobians -----------------------------------------------------------------------------------------------


def _own_only(e: Evidence) -> Iterator[Candidate]:
    if e.right.shape[0] == e.right.shape[1] > 1:
        own = np.diag(np.diag(e.right))
        yield "a dropped term: only each element's own derivative is there, not what couples it to others", own


def _missing_mask(e: Evidence) -> Iterator[Candidate]:
    leaks = e.still & ~e.zero
    if leaks.any() and not (leaks & ~e.still).any():
        count = int(leaks.any(axis=0).sum())
        words = f"a missing mask: the gradient flows to {count} of {e.right.shape[1]} elements where it should be zero"
        yield words, np.where(leaks, e.wrong, e.right)


def _dropped_block(e: Evidence) -> Iterator[Candidate]:
    gone = (e.zero & ~e.still).reshape(e.whole.shape)
    for axis, (name, size) in reversed(list(enumerate(e.axes))):
        rest = tuple(k for k in range(gone.ndim) if k != axis)
        lost = np.flatnonzero(gone.any(axis=rest))
        if 0 < len(lost) < size:
            place = [slice(None)] * gone.ndim
            block = np.zeros(gone.shape, bool)
            place[axis] = lost  # type: ignore[call-overload]
            block[tuple(place)] = True
            words = f"a dropped term: the gradient is zero at {_indices(lost)} along {name}"
            yield words, np.where(e.flat(block), 0.0, e.right)


def _dropped_gradient(e: Evidence) -> Iterator[Candidate]:
    for j, other in e.rights.items():
        if j != e.input and e.shapes[j] == e.shape:
            yield f"a dropped term: what is missing is the gradient of input {j}", e.right - other
            yield f"a term too much: the gradient of input {j} is added", e.right + other


def _lost_elements(e: Evidence) -> Iterator[Candidate]:
    gone = e.zero & ~e.still
    if gone.any() and not gone.all():
        words = f"a part is missing: the gradient is zero in {gone.sum()} of {gone.size} places where it should not be"
        yield words, np.where(gone, 0.0, e.right)


def _low_rank(e: Evidence) -> Iterator[Candidate]:
    missing = np.where(e.judged, e.right - e.wrong, 0.0)
    if min(missing.shape) < 3:
        return
    blocks = missing.reshape(-1, *missing.shape)
    size = max((n for n in e.result if n > 1), default=0)
    if e.result == e.shape and e.result and missing.shape[0] > size == e.shape[-1]:  # rows that do not mix
        whole = missing.reshape(-1, size, missing.shape[0] // size, size)
        blocks = np.array([whole[k, :, k] for k in range(len(whole))])
        apart = missing.copy().reshape(whole.shape)
        for k in range(len(whole)):
            apart[k, :, k] = 0
        if np.abs(apart).max() > e.slack.max() or size < 3:
            return
    rank = max(np.linalg.matrix_rank(b, tol=float(10 * e.slack.max())) for b in blocks)
    if 0 < rank <= max(1, min(blocks[0].shape) // 3):
        yield f"{VAGUE[0]} {rank}, like a mean, a sum or a norm over an axis", e.wrong


Hypothesis = Callable[[Evidence], Iterator[Candidate]]


def _formula(e: Evidence) -> Iterator[Candidate]:
    if e.right.shape[0] == e.right.shape[1] > 1 and not np.any((e.right - np.diag(np.diag(e.right)))[e.judged]):
        words = "each element's own derivative is another, and nothing else is wrong"
        yield f"{VAGUE[1]}: {words}", np.where(np.eye(len(e.right)), e.wrong, 0.0)


HYPOTHESES: tuple[Hypothesis, ...] = (
    _not_a_number, _zero, _sign, _swapped, _transposed, _shifted, _mirrored, _factor, _own_only, _unsummed,
    _missing_mask, _dropped_gradient, _dropped_block, _factor_along, _lost_elements, _low_rank, _formula,
)  # fmt: skip
OF_ANY_SHAPE = (_not_a_number, _zero, _sign, _factor)  # what numbers along random directions can tell


def looks_like(evidence: Evidence, hypotheses: Sequence[Hypothesis] = HYPOTHESES) -> str:
    """Return the words of the first hypothesis that gives the wrong Jacobian, or nothing.

    >>> import numpy as np
    >>> right = {0: np.array([[1.0, 2.0], [3.0, 4.0]])}
    >>> errors, shapes = {0: np.full((2, 2), 1e-12)}, {0: (2,)}
    >>> looks_like(Evidence(0, {0: 0.5 * right[0]}, right, errors, shapes, [(2,)]))
    'a constant factor: the gradient is 0.5 times what it should be, 1/n with n = 2'
    """
    for hypothesis in hypotheses:
        for words, candidate in hypothesis(evidence):
            if hypothesis is _not_a_number or evidence.equal(candidate, evidence.wrong):
                return words
    return ""


# --- words ------------------------------------------------------------------------------------------------------------


def _ratio(x: np.ndarray, y: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float((x * y).sum() / (y * y).sum())


ROUND = (*range(1, 9), *(1 / k for k in range(2, 9)))
FACTORS: dict[str, Callable[[int], float]] = {
    "n": lambda n: n,
    "1/n": lambda n: 1 / n,
    "√n": lambda n: n**0.5,
    "1/√n": lambda n: n**-0.5,
    "√((n−1)/n)": lambda n: ((n - 1) / n) ** 0.5,
    "√(n/(n−1))": lambda n: (n / (n - 1)) ** 0.5,
    "(n−1)/n": lambda n: (n - 1) / n,
    "n/(n−1)": lambda n: n / (n - 1),
}


def _named(c: float, e: Evidence) -> str:
    """What the factor is in terms of the sizes that occur."""
    sizes: dict[int, None] = {}
    for shape in (e.shape, e.result):
        for count in range(1, len(shape) + 1):
            sizes |= dict.fromkeys(prod(axes) for axes in itertools.combinations(shape, count))
    for n in sizes:
        for words, value in FACTORS.items():
            plain = "√" in words and min(abs(abs(c) - k) for k in ROUND) < SHARE  # √4 is just 2
            if n > 1 and not plain and abs(abs(c) - value(n)) < 1e-4 * value(n):
                why = "; a variance divided by n − 1 instead of n, or the reverse" if "−" in words else ""
                return f", {'−' if c < 0 else ''}{words} with n = {n}{why}"
    return ""


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {' and '.join(map(str, axes))}"


def _indices(at: np.ndarray) -> str:
    if len(at) == 1:
        return f"index {at[0]}"
    if at[-1] - at[0] == len(at) - 1:
        return f"indices {at[0]} to {at[-1]}"
    return f"indices {', '.join(map(str, at[:6]))}{' …' if len(at) > 6 else ''}"
