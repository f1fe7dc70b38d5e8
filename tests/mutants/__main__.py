"""``python -m tests.mutants``: corrupt every gradient rule, see which mistakes the derived properties notice, report.

With names of families (files in ``autograd/ops``) or operations only these are judged, and nothing is written.
"""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from pathlib import Path

from .equivalent import PROOFS
from .rules import OPS
from .score import Verdict, family_of, judge_operation

REPORT = Path(__file__).parents[2] / "docs" / "mutants.md"
HEAD = """\
# Mutants

How much do the tests notice? `make mutants` makes one mistake at a time in a gradient rule, and holds the properties
that are derived from the operation's declaration (`autograd.testing.properties`) against it. A mutant that none of them
notices is either proved below to compute the same function, or shows a property that is too weak.

The mistakes: the gradient zero, negated, doubled, transposed, or with its elements rolled by one; broadcasting not
undone; another value saved than the one that the rule needs, or two of them exchanged; the rule missing; and in the
text of the rule and its helpers a term, factor, call or branch dropped, a sign changed, arguments exchanged, a
comparison reversed, a number off by one. A composite has no rule: its gradient is that of its primitives, and the first
five mistakes are made in what flows back to each of its inputs. Gradients at equal singular values or eigenvalues, of
which no declaration speaks, have tests of their own, which are counted in.

"""


def judged(names: Iterable[str], processes: int) -> Iterator[list[Verdict]]:
    """Judge operations, several at a time."""
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(judge_operation, names)


def table(verdicts: list[Verdict]) -> str:
    """The score of every family, and in total."""
    rows = [
        "| family | operations | mutants | killed | proved equivalent | survive |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    families = sorted({v.family for v in verdicts})
    for name, chosen in [(f, [v for v in verdicts if v.family == f]) for f in families] + [("**all**", verdicts)]:
        killed, proved = sum(bool(v.killed_by) for v in chosen), sum(bool(v.proof) for v in chosen)
        counts = len({v.op for v in chosen}), len(chosen), killed, proved, len(chosen) - killed - proved
        rows.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(rows)


def killers(verdicts: list[Verdict]) -> str:
    """Which property noticed how many; each mutant is counted for the first one."""
    found = Counter(v.killed_by for v in verdicts if v.killed_by)
    rows = [f"| {name} | {count} |" for name, count in found.most_common()]
    return "\n".join(["| noticed first by | mutants |", "|---|---:|", *rows])


def proofs(verdicts: list[Verdict]) -> str:
    """The mutants that are none, under their proofs."""
    by_proof: dict[str, list[str]] = {}
    for v in sorted((v for v in verdicts if v.proof), key=lambda v: v.words):
        by_proof.setdefault(v.proof, []).append(" ".join(v.words.split()))
    return "\n\n".join(f"{proof}\n\n" + "\n".join(f"- {w}" for w in words) for proof, words in by_proof.items())


def report(verdicts: list[Verdict]) -> str:
    """The page."""
    day = datetime.date.today().isoformat()
    said = f"`make mutants`, {day}: {len(verdicts)} mutants.\n\n"
    alive = [" ".join(v.words.split()) for v in verdicts if v.survives]
    left = "\n\n## Survivors\n\n" + "\n".join(f"- {w}" for w in alive) if alive else ""
    proved = "\n\n## Proved equivalent\n\n" + proofs(verdicts)
    return HEAD + said + table(verdicts) + "\n\n" + killers(verdicts) + left + proved + "\n"


def main() -> None:
    """Judge, print, and write the page if everything was judged."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("only", nargs="*", help="families or operations; all if none")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    names = [n for n in OPS if not options.only or n in options.only or family_of(n) in options.only]
    verdicts: list[Verdict] = []
    for found in judged(names, options.processes):
        verdicts += found
        for v in found:
            if v.survives:
                print(f"survives: {v.words}", flush=True)
    verdicts.sort(key=lambda v: (v.family, v.op, v.words))
    print(table(verdicts))
    if not options.only:
        REPORT.write_text(report(verdicts), encoding="utf-8")
        used = {v.proof for v in verdicts}
        for pattern, proof in PROOFS.items():
            if proof not in used:
                print(f"a proof without a mutant: {pattern}")
    raise SystemExit(any(v.survives for v in verdicts))


if __name__ == "__main__":
    main()
