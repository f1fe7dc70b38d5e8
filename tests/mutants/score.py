"""Running the derived properties against mutants: who is killed, who survives, who is proved to be no mistake."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from autograd.testing.properties import PROPERTIES
from tests.autograd import test_linalg

from .equivalent import proof_of
from .rules import OPS, Mutant, mutants_of

FIRST = (
    "gradients agree with the oracle",
    "forward mode is adjoint to reverse mode",
    "gradients are linear in the cotangent",
    "inputs without a rule have no gradient",
    "stated subgradients lie between the slopes",
)
ORDER = [PROPERTIES[name] for name in dict.fromkeys((*FIRST, *PROPERTIES))]  # what kills most and costs least first

# What no declaration says: gradients where singular values or eigenvalues are equal or 0 have tests of their own.
BY_HAND: dict[str, tuple[Callable[[], None], ...]] = {
    "eigh": (test_linalg.test_equal_values_have_gradients_but_their_vectors_do_not,),
    "svd": (
        test_linalg.test_equal_values_have_gradients_but_their_vectors_do_not,
        test_linalg.test_a_singular_value_of_zero_has_a_gradient,
        test_linalg.test_a_singular_value_of_zero_has_no_vectors,
        test_linalg.test_values_of_one_are_no_exception,
    ),
    "norm": (test_linalg.test_norms,),
}


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the property that killed it, or the proof that it is none, or neither: it survives."""

    op: str
    family: str
    words: str
    killed_by: str = ""
    proof: str = ""

    @property
    def survives(self) -> bool:
        return not self.killed_by and not self.proof


def family_of(name: str) -> str:
    """The file in which an operation is declared."""
    op = OPS[name]
    return getattr(op, "definition", op.call).__module__.rpartition(".")[2]


def killer(mutant: Mutant) -> str:
    """The first property that does not hold of a mutant; empty if all hold."""
    with mutant.installed() as op, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for property in ORDER:
            try:
                property.hold(op)
            except AssertionError:
                return property.name
        for test in BY_HAND.get(mutant.op, ()):
            try:
                test()
            except Exception:
                return test.__name__.replace("_", " ")
    return ""


def judge(mutant: Mutant) -> Verdict:
    """Run the properties; look for a proof only if all hold."""
    found = killer(mutant)
    return Verdict(mutant.op, family_of(mutant.op), str(mutant), found, "" if found else proof_of(str(mutant)))


def judge_operation(name: str) -> list[Verdict]:
    """Judge all mutants of one operation, which itself must have all properties: otherwise every mutant would die."""
    for property in ORDER:
        property.hold(OPS[name])
    for test in BY_HAND.get(name, ()):
        test()
    return [judge(mutant) for mutant in mutants_of(name)]


def all_mutants(names: Iterable[str] = tuple(OPS)) -> Iterator[Mutant]:
    """The mutants of the operations, of all if none are named."""
    for name in names:
        yield from mutants_of(name)
