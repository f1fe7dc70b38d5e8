"""Vocabulary: words or characters as numbers, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from autograd import Tensor
from autograd.errors import DataError, DomainError, DTypeError, IndexingError

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


class Vocabulary:
    """The tokens there are, each with its number: first the special ones, then the others in their order.

    `pad`, `unk`, `bos` and `eos` are the numbers of "<pad>", "<unk>", "<bos>", "<eos>", None where one is not special.

    Raises:
        DTypeError: for a token that is no string.
        DomainError: for a token that is there twice.

    >>> words = Vocabulary(["the", "cat", "sat"])
    >>> words.encode(["the", "dog", "sat"]), len(words), "dog" in words
    ([4, 1, 6], 7, False)
    >>> words.decode([2, 4, 5, 3, 0])
    ['the', 'cat']
    """

    def __init__(self, tokens: Iterable[str], specials: Sequence[str] = SPECIALS) -> None:
        if isinstance(specials, str):
            raise DTypeError(f"Vocabulary: specials is {specials!r}, expected a tuple → give ({specials!r},)")
        self.specials = tuple(_strings("Vocabulary", specials))
        self.tokens = (*self.specials, *_strings("Vocabulary", tokens))
        self._numbers: dict[str, int] = {}
        for place, token in enumerate(self.tokens):
            if self._numbers.setdefault(token, place) != place:
                raise DomainError(
                    f"Vocabulary: {token!r} is token {self._numbers[token]} and {place} → give every token once"
                )
        self.pad, self.unk, self.bos, self.eos = (
            self._numbers[special] if special in self.specials else None for special in SPECIALS
        )

    @classmethod
    def build(
        cls,
        sequences: Iterable[Iterable[str]],
        min_count: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] = SPECIALS,
    ) -> Self:
        """Make a vocabulary of the tokens of sequences, the most frequent first, equally frequent ones by alphabet.

        Args:
            sequences: lists of words, or texts, whose tokens are then characters.
            min_count: how often a token must be there.
            max_size: how many tokens there may be at most, the special ones included.
            specials: the special tokens.

        Raises:
            DTypeError: for a token that is no string.
            DomainError: when `max_size` leaves no room for the special tokens.

        >>> Vocabulary.build(["banana", "bandana"], specials=()).tokens
        ('a', 'n', 'b', 'd')
        """
        if max_size is not None and max_size < len(specials):
            raise DomainError(
                f"Vocabulary.build: max_size is {max_size}, but there are {len(specials)} special tokens → give more"
            )
        counts = Counter(token for sequence in sequences for token in _strings("Vocabulary.build", sequence))
        known = [t for t, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= min_count]
        known = [t for t in known if t not in specials]
        return cls(known if max_size is None else known[: max_size - len(specials)], specials)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return the numbers of tokens; a token that is not there becomes `unk`.

        Raises:
            DTypeError: for a token that is no string.
            DomainError: when there is no "<unk>" for it; it names the token and its place.
        """
        ids = []
        for place, token in enumerate(_strings("Vocabulary.encode", tokens)):
            number = self._numbers.get(token, self.unk)
            if number is None:
                raise DomainError(
                    f"Vocabulary.encode: token {place} is {token!r}, which is none of the {len(self)} known ones "
                    "→ build the vocabulary from more text, or with the special token '<unk>'"
                )
            ids.append(number)
        return ids

    def decode(self, ids: Iterable[int] | Tensor) -> list[str]:
        """Return the tokens of numbers (a list or a tensor T) before the first `eos`, without the special ones.

        Raises:
            DTypeError: when they are no integers in a row.
            IndexingError: for a number that no token has.
        """
        numbers: Any = ids.tolist() if hasattr(ids, "tolist") else ids
        if not isinstance(numbers, Iterable):
            raise DTypeError(f"Vocabulary.decode: ids is {ids!r}, expected integers in a row → give a list of them")
        decoded = []
        for place, number in enumerate(numbers):
            if not hasattr(number, "__index__"):
                raise DTypeError(f"Vocabulary.decode: number {place} is {number!r}, expected an integer → give one row")
            if not 0 <= number < len(self):
                raise IndexingError(
                    f"Vocabulary.decode: number {place} is {number}, but there are {len(self)} tokens "
                    f"→ give numbers from 0 to {len(self) - 1}"
                )
            if number == self.eos:
                break
            if number >= len(self.specials):
                decoded.append(self.tokens[number])
        return decoded

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._numbers

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, {len(self.specials)} of them special)"

    def state_dict(self) -> dict[str, list[str]]:
        """Return the tokens as plain values, for `nn.save` beside the weights they belong to."""
        return {"specials": list(self.specials), "tokens": list(self.tokens[len(self.specials) :])}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """Make the vocabulary that `state_dict` describes.

        Raises:
            DataError: when `state` is no such description.

        >>> Vocabulary.load(Vocabulary("abc").state_dict()).tokens[4:]
        ('a', 'b', 'c')
        """
        if not isinstance(state, Mapping) or not {"specials", "tokens"} <= state.keys():
            found = list(state) if isinstance(state, Mapping) else type(state).__name__
            raise DataError(
                f"Vocabulary.load: state has {found}, expected 'specials' and 'tokens' "
                "→ give what state_dict() returned"
            )
        return cls(state["tokens"], state["specials"])


def _strings(what: str, tokens: Iterable[str]) -> Iterator[str]:
    """The tokens, held to be strings."""
    if not isinstance(tokens, Iterable):
        raise DTypeError(f"{what}: got a {type(tokens).__name__}, {tokens!r}; expected tokens → give a list of strings")
    for place, token in enumerate(tokens):
        if not isinstance(token, str):
            raise DTypeError(f"{what}: token {place} is a {type(token).__name__}, {token!r}; use strings")
        yield token
