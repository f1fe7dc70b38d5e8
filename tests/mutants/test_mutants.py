"""A sample of the mutants, and that putting them in and taking them out leaves no trace. `make mutants` judges all."""

import random

import pytest

import autograd
from tests.mutants import source
from tests.mutants.equivalent import PROOFS, proof_of
from tests.mutants.rules import OPS, Mutant, mutants_of
from tests.mutants.score import judge, killer

CHOSEN = random.Random(0).sample([name for name in sorted(OPS) if any(mutants_of(name))], 40)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_mutant_of_each_is_noticed_or_proved_to_be_none(name):
    mutant = random.Random(name).choice(list(mutants_of(name)))
    verdict = judge(mutant)
    assert not verdict.survives, f"no property notices {mutant}"


@pytest.mark.parametrize("name", ["sin", "leaky_relu", "conv2d", "concatenate", "max", "softmax"])
def test_operations_are_as_before_afterwards(name):
    op = OPS[name]
    before, code = dict(vars(op)), op.call.__code__
    for mutant in mutants_of(name):
        with mutant.installed() as changed:
            assert vars(changed) != before or changed.call.__code__ is not code
        assert vars(op) == before
        assert op.call.__code__ is code


def test_an_operation_without_a_mistake_is_not_killed():
    assert killer(Mutant("sin", "x", "nothing", lambda op: None)) == ""


def test_the_text_of_a_rule_is_changed_at_one_place():
    offset = 2.0
    rule = lambda g, x: g * x + offset  # noqa: E731  what is changed is a lambda
    said = {words: changed for words, changed in source.mutants(rule)}
    assert rule(3.0, 5.0) == 17.0
    assert {words: changed(3.0, 5.0) for words, changed in said.items()} == {
        "dropped term: `g * x + offset` → `g * x`": 15.0,
        "dropped term: `g * x + offset` → `offset`": 2.0,
        "sign of a term: `g * x + offset` → `g * x - offset`": 13.0,
        "dropped factor: `g * x + offset` → `g + offset`": 5.0,
        "dropped factor: `g * x + offset` → `x + offset`": 7.0,
    }


def test_proofs_are_for_those_they_name():
    assert (
        proof_of("relu.x wrong saved value: x instead of out") == PROOFS["relu.x wrong saved value: x instead of out"]
    )
    assert proof_of("leaky_relu.x wrong saved value: x instead of out") == ""
    assert autograd.relu.op.rule_names["x"] == ("out",)
