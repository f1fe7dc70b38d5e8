"""Decoding: sequences out of a network that scores the next token: drawn at random, or the most probable ones.

A network is given as `step(tokens: N, state) -> (scores: N V, state)`. Its state is a tensor or a nest of tensors
(tuples, lists, dictionaries), whose batch is the last axis but one, as in hidden states (layers N H) and keys (T N K).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

import autograd
from autograd import Generator, Tensor
from autograd.errors import DomainError, DTypeError, ShapeError

Step: TypeAlias = Callable[[Tensor, Any], tuple[Tensor, Any]]


class Hypothesis(NamedTuple):
    """A sequence that beam search found: its tokens without the end, and log P / length penalty."""

    tokens: list[int]
    score: float


def sample(
    step: Step,
    state: Any,
    first: int | list[int] | Tensor,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    stop: int | None = None,
    generator: Generator | None = None,
) -> list[list[int]]:
    """Draw sequences token by token, P(v) = softmax(scores / temperature)[v]; return their tokens, without `first`.

    Args:
        step: the network, `step(tokens: N, state) -> (scores: N V, state)`.
        state: what the network remembers, with N as its last axis but one.
        first: the first token: one for all, or N.
        length: how many tokens to draw.
        temperature: below 1 the probable ones come more often, above 1 less; 0 always takes the most probable.
        top_k: draw from the so many most probable only, ties in their favour.
        stop: a sequence ends before this token.
        generator: the stream of random numbers.

    Raises:
        DomainError: for a negative temperature or length, `top_k` below 1, or scores that make no distribution: NaN, ∞,
            or −∞ for every token.
        DTypeError: when `first` has no integers, or `step` does not return two things.
        ShapeError: when the batch of `first`, `state` and the scores differ.

    >>> count = lambda tokens, state: (autograd.one_hot((tokens + 1) % 4, 4), state)
    >>> sample(count, None, [0, 2], 5, temperature=0)
    [[1, 2, 3, 0, 1], [3, 0, 1, 2, 3]]
    """
    _number("sample", "temperature", temperature, 0.0)
    _count("sample", "length", length, 0)
    _count("sample", "top_k", 1 if top_k is None else top_k, 1)
    tokens = _first("sample", first, state)
    sequences: list[list[int]] = [[] for _ in range(len(tokens))]
    running = set(range(len(tokens)))
    with autograd.no_grad():
        for _ in range(length):
            scores, state = _scored("sample", step, tokens, state)
            tokens = _draw(scores, temperature, top_k, generator)
            for row, token in enumerate(tokens.tolist()):
                if token == stop:
                    running.discard(row)
                if row in running:
                    sequences[row].append(token)
            if not running:
                break
    return sequences


def _draw(scores: Tensor, temperature: float, top_k: int | None, generator: Generator | None) -> Tensor:
    """A token for each row; the largest of scores with Gumbel's noise is distributed as softmax(scores) is."""
    if top_k is not None and top_k < scores.shape[1]:
        scores = autograd.where(scores >= autograd.sort(scores, axis=1)[:, -top_k, None], scores, -float("inf"))
    if temperature:
        even = autograd.uniform(scores.shape, 1e-300, generator=generator, dtype="float64", device=scores.device)
        scores = scores.astype("float64") / temperature - autograd.log(-autograd.log(even))
    out: Tensor = scores.argmax(axis=1)
    return out


def beam_search(
    step: Step,
    state: Any,
    bos: int | list[int] | Tensor,
    eos: int,
    width: int = 5,
    max_length: int = 50,
    length_penalty: float = 0.6,
) -> list[list[Hypothesis]]:
    """Search for the most probable sequences; return up to `width` for each of the N members, the best first.

    Of all continuations of what a beam holds the most probable stay; one that ends leaves the beam, which gets narrower
    by it (Sutskever et al. 2014, sec. 3.2). Width 1 always takes the most probable token. What has not ended after
    `max_length` tokens ends there. Scores are log P / ((5 + length) / 6)^length_penalty (Wu et al. 2016, eq. 14), where
    the length counts the end.

    Args:
        step: the network, `step(tokens: N, state) -> (scores: N V, state)`; it is called with N·width rows.
        state: what the network remembers, with N as its last axis but one.
        bos: the first token: one for all, or N.
        eos: the token that ends a sequence.
        width: how many sequences to keep.
        max_length: how many tokens there may be, the end included.
        length_penalty: 0 compares probabilities, which are larger for short sequences; more favours long ones.

    Raises:
        DomainError: when `width` or `max_length` is below 1, or scores make no distribution: NaN, ∞, or −∞ for every
            token.
        DTypeError: when `bos` has no integers, or `step` does not return two things.
        ShapeError: when the batch of `bos`, `state` and the scores differ.

    >>> table = autograd.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    >>> best, second = beam_search(lambda tokens, state: (table[tokens], state), None, bos=0, eos=0, width=2)[0]
    >>> best.tokens, second.tokens
    ([2, 1], [1])
    """
    for name, value, least in (("width", width, 1), ("max_length", max_length, 1), ("eos", eos, 0)):
        _count("beam_search", name, value, least)
    _number("beam_search", "length_penalty", length_penalty, -math.inf)
    tokens = _first("beam_search", bos, state)
    beams = [_Beam(width, eos, length_penalty) for _ in range(len(tokens))]
    with autograd.no_grad():
        rows = [n for n in range(len(beams)) for _ in range(width)]
        tokens, state = tokens[rows], _select(state, rows)
        for _ in range(max_length):
            scores, state = _scored("beam_search", step, tokens, state)
            held = autograd.tensor([beam.held for beam in beams], dtype="float64", device=scores.device)
            total = held[:, :, None] + autograd.log_softmax(scores.astype("float64")).reshape(len(beams), width, -1)
            best = _largest(total.reshape(len(beams), -1), width)
            for beam, candidates in zip(beams, best, strict=True):
                beam.advance(candidates, scores.shape[1])
            if not any(beam.alive for beam in beams):
                break
            rows = [n * width + parent for n, beam in enumerate(beams) for parent in beam.parents]
            tokens = autograd.tensor([token for beam in beams for token in beam.last], device=scores.device)
            state = _select(state, rows)
    return [beam.results() for beam in beams]


class _Beam:
    """The sequences of one member of the batch: those that go on, one a row, and those that ended.

    Rows without a sequence hold log P = −∞.
    """

    def __init__(self, width: int, eos: int, length_penalty: float) -> None:
        self.width, self.eos, self.length_penalty = width, eos, length_penalty
        self.ended: list[Hypothesis] = []
        self._fill([([], 0.0, 0)])

    def _fill(self, rows: list[tuple[list[int], float, int]]) -> None:
        """Take the sequences that go on, each with its log P and the row that it continues."""
        empty = [([self.eos], -float("inf"), 0)] * (self.width - len(rows))
        self.alive = len(rows)
        self.sequences, self.held, self.parents = map(list, zip(*rows, *empty, strict=True))
        self.last = [sequence[-1] if sequence else self.eos for sequence in self.sequences]

    def advance(self, candidates: list[tuple[int, float]], vocabulary: int) -> None:
        """Go on with the best candidates (row·V + token, log P), as many as have room."""
        rows = []
        for place, log_p in candidates[: self.alive and self.width - len(self.ended)]:
            parent, token = divmod(place, vocabulary)
            if log_p == -float("inf"):
                break
            if token == self.eos:
                self.ended.append(self._hypothesis(self.sequences[parent], log_p, 1))
            else:
                rows.append(([*self.sequences[parent], token], log_p, parent))
        self._fill(rows)

    def _hypothesis(self, tokens: list[int], log_p: float, end: int) -> Hypothesis:
        return Hypothesis(tokens, log_p / ((5 + len(tokens) + end) / 6) ** self.length_penalty)

    def results(self) -> list[Hypothesis]:
        """All sequences, those that did not end included, the best first."""
        cut = [self._hypothesis(*row, 0) for row in list(zip(self.sequences, self.held, strict=True))[: self.alive]]
        return sorted([*self.ended, *cut], key=lambda found: -found.score)


def _largest(x: Tensor, k: int) -> list[list[tuple[int, float]]]:
    """The places and values of the k largest in each row of x, descending, of equal ones the first."""
    found = []
    places = autograd.arange(x.shape[1], device=x.device)
    for _ in range(min(k, x.shape[1])):
        place = x.argmax(axis=1)
        found.append(zip(place.tolist(), x.max(axis=1).tolist(), strict=True))
        x = autograd.where(places == place[:, None], -float("inf"), x)
    return [list(row) for row in zip(*found, strict=True)]


def _leaves(state: Any) -> Iterator[Any]:
    """The tensors, or arrays, of a nest."""
    if hasattr(state, "shape"):
        yield state
    elif isinstance(state, (tuple, list, dict)):
        for part in state.values() if isinstance(state, dict) else state:
            yield from _leaves(part)


def _select(state: Any, rows: list[int]) -> Any:
    """The nest with these rows of the batch, the last axis but one of every tensor."""
    if hasattr(state, "shape"):
        return state[..., rows, :]
    if isinstance(state, dict):
        return {name: _select(part, rows) for name, part in state.items()}
    if isinstance(state, (tuple, list)):
        parts = [_select(part, rows) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    return state


def _first(what: str, first: int | list[int] | Tensor, state: Any) -> Tensor:
    """The first tokens as a tensor N; how many there are is asked of the state if one is given for all."""
    leaves = list(_leaves(state))
    for leaf in leaves:
        if leaf.ndim < 2 or leaf.shape[-2] != leaves[0].shape[-2]:
            raise ShapeError(
                f"{what}: the state has tensors {[t.shape for t in leaves]}, expected the same N as the last axis but"
                " one of each → use x[..., None] where the batch is the last"
            )
    device = leaves[0].device if leaves else "cpu"
    rows = leaves[0].shape[-2] if leaves else 1
    listed = first.tolist() if hasattr(first, "tolist") else first
    if not isinstance(listed, (list, tuple)):
        listed = [listed] * rows
    if not all(hasattr(token, "__index__") for token in listed):
        raise DTypeError(f"{what}: the first tokens are {first!r}, expected one integer for all or {rows} of them")
    if leaves and len(listed) != rows:
        raise ShapeError(f"{what}: {len(listed)} first tokens but the state has N={rows} → give one token, or {rows}")
    if not listed:
        raise ShapeError(f"{what}: there are N=0 sequences → give at least one first token, or a state of a larger N")
    return autograd.tensor(list(listed), device=device)


def _number(what: str, name: str, value: Any, least: float) -> None:
    if not isinstance(value, Real) or not (math.isfinite(float(value)) and float(value) >= least):
        raise DomainError(f"{what}: {name}={value!r}, expected a finite number, at least {least}")


def _count(what: str, name: str, value: Any, least: int) -> None:
    if not hasattr(value, "__index__") or value < least:
        raise DomainError(f"{what}: {name}={value!r}, expected an integer of at least {least}")


def _scored(what: str, step: Step, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
    """The scores that the network gives, of the right shape, and its next state."""
    returned = step(tokens, state)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise DTypeError(f"{what}: step returned a {type(returned).__name__}, expected two → return scores, state")
    scores, state = returned
    shape: tuple[int, ...] = getattr(scores, "shape", ())
    if len(shape) != 2 or shape[0] != len(tokens) or not shape[1]:
        raise ShapeError(f"{what}: step gave scores of shape {shape} for N={len(tokens)} tokens → return scores N V")
    best = scores.max(axis=1)
    if not autograd.isfinite(best).all():
        raise DomainError(
            f"{what}: the largest scores of the rows are {best.tolist()}, expected finite ones → look for NaN in the "
            "network; −∞ forbids a token, but not all"
        )
    return scores, state
