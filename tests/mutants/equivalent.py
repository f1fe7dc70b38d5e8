"""Changes of a rule that change nothing, each with the proof: they compute the same function."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Which mutants (as they are printed; * stands for anything), and why they are none.
PROOFS: dict[str, str] = {}


def proof_of(words: str) -> str:
    """The proof that a mutant is none; empty if there is none."""
    return next((proof for pattern, proof in PROOFS.items() if fnmatchcase(words, pattern.replace("[", "[[]"))), "")
