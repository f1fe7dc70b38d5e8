"""Vocabulary: numbers and tokens are each other's inverse, and what is not known is said."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import DataError, DomainError, DTypeError, IndexingError

texts = st.lists(st.lists(st.sampled_from(["the", "cat", "sat", "ä", "<unk>", ""]) | st.text(max_size=2), max_size=9))


@given(texts)
def test_known_tokens_come_back_and_unknown_ones_are_counted(sequences):
    words = nn.Vocabulary.build(sequences)
    for sequence in sequences:
        assert words.decode([words.bos, *words.encode(sequence), words.eos, words.bos, 0]) == [
            token for token in sequence if token not in words.specials
        ]
    strange = "none of these words"
    assert strange not in words and words.encode([strange, "<eos>"]) == [words.unk, words.eos]
    assert nn.Vocabulary.load(words.state_dict()).tokens == words.tokens


@given(texts, st.integers(1, 4), st.integers(4, 12))
def test_the_most_frequent_come_first(sequences, least, most):
    counts = Counter(token for sequence in sequences for token in sequence)
    words = nn.Vocabulary.build(sequences, least, most)
    kept = words.tokens[4:]
    left = {token for token, n in counts.items() if n >= least} - {*words.tokens}
    assert len(words) <= most and all(counts[token] >= least for token in kept)
    assert list(kept) == sorted(kept, key=lambda token: (-counts[token], token))
    assert not left or (len(words) == most and max(map(counts.get, left)) <= min(map(counts.get, kept), default=9**9))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Vocabulary("aba", ()), DomainError, "'a' is token 0 and 2"),
        (lambda: nn.Vocabulary(["<pad>"]), DomainError, "'<pad>' is token 0 and 4"),
        (lambda: nn.Vocabulary([3]), DTypeError, "token 0 is a int"),
        (lambda: nn.Vocabulary(None), DTypeError, "Vocabulary: got a NoneType"),
        (lambda: nn.Vocabulary("ab", "<unk>"), DTypeError, r"give \('<unk>',\)"),
        (lambda: nn.Vocabulary.build([["a", 1]]), DTypeError, "build: token 1 is a int"),
        (lambda: nn.Vocabulary.build([3]), DTypeError, "build: got a int, 3"),
        (lambda: nn.Vocabulary("ab").encode(b"ab"), DTypeError, "encode: token 0 is a int, 97"),
        (lambda: nn.Vocabulary("ab").decode([[4]]), DTypeError, r"number 0 is \[4\]"),
        (lambda: nn.Vocabulary("ab").decode(autograd.tensor([4.0])), DTypeError, "number 0 is 4.0"),
        (lambda: nn.Vocabulary("ab").decode(4), DTypeError, "ids is 4"),
        (lambda: nn.Vocabulary.build(["ab"], max_size=3), DomainError, "max_size is 3"),
        (lambda: nn.Vocabulary("ab", ()).encode("abc"), DomainError, "token 2 is 'c'.*2 known"),
        (lambda: nn.Vocabulary("ab", ()).decode([1, 2]), IndexingError, "number 1 is 2.*from 0 to 1"),
        (lambda: nn.Vocabulary.load({"words": []}), DataError, "'words'"),
        (lambda: nn.Vocabulary.load([]), DataError, "list"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_special_tokens_are_as_wished():
    letters = nn.Vocabulary("ab", ("<bos>",))
    assert (letters.pad, letters.unk, letters.bos, letters.eos) == (None, None, 0, None)
    assert letters.decode(autograd.tensor([0, 1, 0, 2])) == ["a", "b"]
