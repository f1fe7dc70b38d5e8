"""How good translations are: exact matches, BLEU (Papineni et al. 2002), chrF (Popović 2015), beside baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from corpora.pairs import Pair


def measure(written: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Exact matches in %; with sacrebleu also BLEU and chrF, 0 … 100.

    >>> measure(["a cat", "a hat"], ["a cat", "a bat"])["exact"]
    50.0
    """
    found = {"exact": 100 * sum(w == t for w, t in zip(written, wanted, strict=True)) / len(wanted)}
    try:
        import sacrebleu
    except ImportError:
        return found
    for name, score in (("BLEU", sacrebleu.corpus_bleu), ("chrF", sacrebleu.corpus_chrf)):
        found[name] = score(list(written), [list(wanted)]).score
    return found


def report(
    rows: Mapping[str, Sequence[str]], tested: Sequence[Pair], kinds: Mapping[str, Callable[[Pair], bool]]
) -> dict[str, dict[str, object]]:
    """Measure and print every way to translate, the network first, on all test pairs and on those of each kind."""
    result: dict[str, dict[str, object]] = {}
    for kind, belongs in {"all": lambda pair: True, **kinds}.items():
        chosen = [i for i, pair in enumerate(tested) if belongs(pair)]
        if not chosen:
            continue
        wanted = [tested[i][1] for i in chosen]
        found = {name: measure([written[i] for i in chosen], wanted) for name, written in rows.items()}
        result[kind] = {"pairs": len(chosen), **found}
        print(f"\n{kind}: {len(chosen):,} test pairs")
        for name, values in found.items():
            print(f"{name:>24}  " + "  ".join(f"{measured} {value:5.1f}" for measured, value in values.items()))
        network, *others = (list(values.values())[-1] for values in found.values())
        if others:
            best = max(others)
            won = f"{network / best:.2f} times the best baseline's" if best else "above the baselines'"
            print(f"the network's {list(values)[-1]} is {won if network > best else 'not above every baseline'}")
    return result
