"""Beam search against trying every sequence, sampling against the distribution it draws from."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import autograd
import nn
from autograd.errors import DomainError, DTypeError, ShapeError

EOS = 0
seeds, vocabularies, lengths = st.integers(0, 999), st.integers(2, 4), st.integers(1, 4)


class Memory(NamedTuple):
    """What the network below remembers: a number for each sequence, N 1, and the same as attention's keys would be."""

    seen: autograd.Tensor
    keys: autograd.Tensor


def network(seed, vocabulary):
    """Scores that depend on everything that came before, by a table and what a remembered number selects in it."""
    table = np.random.default_rng(seed).normal(0, 2, (7, vocabulary))

    def step(tokens, state):
        (seen, keys), rest = state["memory"], state["rest"]
        assert seen[:, 0].tolist() == keys[1, :, 0].tolist()  # rows are chosen alike in the whole nest
        seen = (3 * seen + tokens[:, None].astype("float64") + 1) % 7
        scores = autograd.tensor(table)[seen[:, 0].astype("int64")]
        return scores, {"memory": Memory(seen, autograd.stack([seen, seen])), "rest": rest}

    return step, table


def started(batch):
    """The state before the first token; the members of the batch differ."""
    seen = autograd.tensor(np.arange(batch, dtype="float64")[:, None])
    return {"memory": Memory(seen, autograd.stack([seen, seen])), "rest": [None, ()]}


def log_p(table, member, first, tokens):
    """The log-probability of tokens after `first`, one by one."""
    seen, total = member, 0.0
    for before, token in itertools.pairwise([first, *tokens]):
        seen = (3 * seen + before + 1) % 7
        total += table[seen][token] - special.logsumexp(table[seen])
    return total


def penalised(value, length, alpha):
    return value / ((5 + length) / 6) ** alpha


def every_sequence(table, member, first, length, alpha):
    """All that ends in EOS within `length` tokens or has as many, with their scores, the best first."""
    found = []
    for n in range(1, length + 1):
        for body in itertools.product(range(1, len(table[0])), repeat=n - 1):
            ends = range(len(table[0])) if n == length else [EOS]
            for last in ends:
                tokens = [*body, last]
                score = penalised(log_p(table, member, first, tokens), n, alpha)
                found.append((tokens[:-1] if last == EOS else tokens, score))
    return sorted(found, key=lambda pair: -pair[1])


@given(seeds, vocabularies, lengths, st.sampled_from([0.0, 0.6, 1.5]), st.integers(1, 3))
@settings(max_examples=30)
def test_a_wide_beam_finds_what_trying_every_sequence_finds(seed, vocabulary, length, alpha, batch):
    step, table = network(seed, vocabulary)
    first = list(np.random.default_rng(seed).integers(0, vocabulary, batch).tolist())
    found = nn.beam_search(step, started(batch), first, EOS, vocabulary**length, length, alpha)
    for member, hypotheses in enumerate(found):
        expected = every_sequence(table, member, first[member], length, alpha)
        np.testing.assert_allclose([h.score for h in hypotheses], [score for _, score in expected], atol=1e-9)
        assert {tuple(h.tokens) for h in hypotheses} == {tuple(tokens) for tokens, _ in expected}
        for h in hypotheses:
            assert {tuple(t): s for t, s in expected}[tuple(h.tokens)] == pytest.approx(h.score, abs=1e-9)


@given(seeds, vocabularies, st.integers(1, 8), st.integers(1, 3))
def test_width_one_takes_the_most_probable_token(seed, vocabulary, length, batch):
    step, table = network(seed, vocabulary)
    greedy = nn.sample(step, started(batch), 1, length, temperature=0, stop=EOS)
    found = nn.beam_search(step, started(batch), 1, EOS, 1, length)
    for member, (hypothesis,) in enumerate(found):
        tokens, seen, last = [], member, 1
        for _ in range(length):
            seen = (3 * seen + last + 1) % 7
            last = int(table[seen].argmax())
            if last == EOS:
                break
            tokens.append(last)
        assert hypothesis.tokens == tokens == greedy[member]


@given(seeds, vocabularies, st.integers(1, 6), st.integers(1, 6), st.integers(2, 3))
def test_every_score_is_the_sequence_s_own_and_members_do_not_meet(seed, vocabulary, length, width, batch):
    step, table = network(seed, vocabulary)
    found = nn.beam_search(step, started(batch), 1, EOS, width, length, 0.6)
    for member, hypotheses in enumerate(found):
        assert 1 <= len(hypotheses) <= width and hypotheses == sorted(hypotheses, key=lambda h: -h.score)
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses)
        for tokens, score in hypotheses:
            cut = len(tokens) == length
            whole = tokens if cut else [*tokens, EOS]
            assert EOS not in tokens
            assert score == pytest.approx(penalised(log_p(table, member, 1, whole), len(whole), 0.6), abs=1e-9)
        alone = started(1)
        moved = alone["memory"].seen + float(member)
        alone["memory"] = Memory(moved, autograd.stack([moved, moved]))
        (lone,) = nn.beam_search(step, alone, 1, EOS, width, length, 0.6)
        assert [h.tokens for h in lone] == [h.tokens for h in hypotheses]


@given(seeds, st.integers(2, 6), st.sampled_from([0.3, 1.0, 2.5]), st.none() | st.integers(1, 6))
@settings(max_examples=20)
def test_samples_follow_the_softmax(seed, vocabulary, temperature, top_k):
    scores = np.random.default_rng(seed).normal(0, 1, vocabulary)
    drawn = 2000
    rows = autograd.tensor(np.tile(scores, (drawn, 1)))
    kept = np.where(scores >= np.sort(scores)[-min(top_k or vocabulary, vocabulary)], scores, -math.inf)
    p = special.softmax(kept / temperature)
    generator = autograd.Generator(seed)
    tokens = nn.sample(lambda t, s: (rows, s), None, [0] * drawn, 1, temperature, top_k, generator=generator)
    counts = np.bincount(np.ravel(tokens), minlength=vocabulary)
    assert not counts[p == 0].any()
    often = p * drawn >= 5  # below, χ² is no good approximation; the rare ones count together
    seen, expected = ([*x[often], x[~often].sum()] for x in (counts, p * drawn))
    if expected[-1] < 5:
        seen, expected = seen[:-1], expected[:-1]
        expected = np.array(expected) * (sum(seen) / sum(expected))
    assert len(seen) < 2 or stats.chisquare(seen, expected).pvalue > 1e-6


def test_samples_are_the_same_for_the_same_seed_and_end_at_the_stop():
    step, _ = network(3, 4)
    draws = [nn.sample(step, started(5), 1, 30, stop=EOS, generator=autograd.Generator(2)) for _ in range(2)]
    free = nn.sample(step, started(5), 1, 30, generator=autograd.Generator(2))
    assert draws[0] == draws[1]
    assert draws[0] == [row[: row.index(EOS)] if EOS in row else row for row in free]
    assert {len(row) for row in free} == {30} and nn.sample(step, started(2), 1, 0) == [[], []]


def test_decoding_runs_on_every_device(device):
    rnn, head = nn.GRU(3, 4), nn.Linear(4, 5)
    table = nn.Embedding(5, 3)

    def step(tokens, h):
        out, h = rnn(table(tokens)[None], h)
        return head(out[0]), h

    def run(where):
        for module in (rnn, head, table):
            module.to(device=where)
        h = autograd.ones((1, 2, 4), device=where)
        found = nn.beam_search(step, h, 1, EOS, 3, 5)
        return found, nn.sample(step, h, 1, 6, top_k=4, generator=autograd.Generator(0))

    (here, drawn), (there, also) = run("cpu"), run(device)
    assert drawn == also
    assert [[h.tokens for h in one] for one in here] == [[h.tokens for h in one] for one in there]
    assert all(p.grad is None for p in rnn.parameters())


def test_a_state_may_hold_arrays():
    step, _ = network(5, 4)

    def with_arrays(tokens, state):
        seen = autograd.tensor(state["seen"])
        scores, after = step(tokens, {"memory": Memory(seen, autograd.stack([seen, seen])), "rest": None})
        return scores, {"seen": after["memory"].seen.numpy()}

    start = {"seen": np.arange(3.0)[:, None]}
    assert nn.beam_search(with_arrays, start, 1, EOS, 3, 5) == nn.beam_search(step, started(3), 1, EOS, 3, 5)


def test_a_beam_whose_end_never_comes_is_cut():
    step, table = network(3, 4)
    (found,) = nn.beam_search(step, started(1), 1, 9, 3, 6)  # no token has that number
    assert [len(tokens) for tokens, _ in found] == [6] * 3
    for tokens, score in found:
        assert score == pytest.approx(penalised(log_p(table, 0, 1, tokens), 6, 0.6))


def scoring(*row):
    return lambda tokens, state: (autograd.tensor([row] * len(tokens)), state)


BOTH = {
    "sample": lambda step: nn.sample(step, None, 1, 3),
    "beam_search": lambda step: nn.beam_search(step, None, 1, 0),
}


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (scoring(0.0, math.nan), DomainError, r"rows are \[nan"),
        (scoring(0.0, math.inf), DomainError, r"rows are \[inf"),
        (scoring(-math.inf, -math.inf), DomainError, r"rows are \[-inf.*forbids a token, but not all"),
        (scoring(), ShapeError, r"scores of shape \(\d, 0\)"),
        (lambda tokens, state: ([[1.0]], state), ShapeError, r"scores of shape \(\)"),
        (lambda tokens, state: autograd.ones((len(tokens), 3)), DTypeError, "returned a Tensor"),
        (lambda tokens, state: None, DTypeError, "returned a NoneType, expected two"),
    ],
)
def test_what_a_step_may_not_return(name, step, error, message):
    with pytest.raises(error, match=f"{name}: .*{message}"):
        BOTH[name](step)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda step: nn.sample(step, None, 1, 3, temperature=-1), DomainError, "temperature=-1"),
        (lambda step: nn.sample(step, None, 1, 3, top_k=0), DomainError, "top_k=0"),
        (lambda step: nn.sample(step, None, 1, 3, temperature=math.nan), DomainError, "temperature=nan"),
        (lambda step: nn.sample(step, None, 1, 3, temperature="1"), DomainError, "temperature='1'"),
        (lambda step: nn.sample(step, None, 1, 1.5), DomainError, "length=1.5"),
        (lambda step: nn.sample(step, None, 1.5, 3), DTypeError, "first tokens are 1.5"),
        (lambda step: nn.sample(step, None, [[1]], 3), DTypeError, r"first tokens are \[\[1\]\]"),
        (lambda step: nn.beam_search(step, None, 1, EOS, width=0), DomainError, "width=0"),
        (lambda step: nn.beam_search(step, None, 1, EOS, max_length=2.5), DomainError, "max_length=2.5"),
        (lambda step: nn.beam_search(step, None, 1, None), DomainError, "eos=None"),
        (lambda step: nn.beam_search(step, None, 1, 0, length_penalty=math.nan), DomainError, "length_penalty=nan"),
        (lambda step: nn.beam_search(step, autograd.ones((1, 0, 3)), 1, EOS), ShapeError, "N=0 sequences"),
        (lambda step: nn.sample(step, autograd.ones(3), 1, 3), ShapeError, "last axis but one"),
        (lambda step: nn.sample(step, autograd.ones((2, 1)), [1], 3), ShapeError, "1 first tokens but .* N=2"),
        (lambda step: nn.sample(step, None, [1, 2], 3), ShapeError, r"scores of shape \(3,\) for N=2"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(lambda tokens, state: (autograd.ones(3), state))
