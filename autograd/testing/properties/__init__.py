"""Properties that follow from an operation's declaration; nothing in them names an operation.

``PROPERTIES`` are the statements by name, each a function of an ``Example`` that raises ``AssertionError`` with a
sentence; ``check_operation`` holds all of them against one operation, primitive or composite, of the library or yours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import DTypeError
from . import agreement, gradients, memory, values
from .declared import PROPERTIES, Example, InconclusiveError, Property, example, holds, of_sample

ROOMS = [module.__name__ for module in (values, gradients, agreement, memory)]  # what explains most comes first


@dataclass(frozen=True)
class Coverage:
    """What ``check_operation`` tested: properties and at how many examples each, and which do not apply, and why."""

    name: str
    checked: dict[str, int]
    passed_over: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.checked)} properties hold at {sum(self.checked.values())} examples"]
        lines += [f"  {name}: {count}" for name, count in self.checked.items()]
        lines += [f"  not applicable: {name} (needs {needs})" for name, needs in self.passed_over.items()]
        return "\n".join(lines)


def check_operation(op: Any, *, examples: int | None = None, rng: np.random.Generator | None = None) -> Coverage:
    """Hold all properties against a declared operation at drawn arguments, and say what was covered.

    Args:
        op: a primitive or composite, as a function or as its declaration.
        examples: how many arguments to draw for every declared case; 1 to 3, as the property asks, if None.
        rng: where they come from; the same ones each time if None.

    Raises:
        AssertionError: if a property does not hold or the declaration says too little; with all that is wrong.
        DTypeError: if ``op`` is not a declared operation.

    >>> from autograd import elementwise
    >>> gaussian = elementwise(
    ...     "gaussian_example", "x", forward=lambda xp, x: xp.exp(-x * x), deriv={"x": lambda x, out: -2 * x * out},
    ...     doc="e^(−x²).",
    ... )
    >>> covered = check_operation(gaussian)
    >>> covered.checked["gradients agree with the oracle"], covered.passed_over["kernels equal the reference"]
    (3, 'a kernel')
    """
    declared = getattr(op, "op", op)
    if not hasattr(declared, "contract") or not hasattr(declared, "cases"):
        raise DTypeError(
            f"check_operation: {getattr(op, '__name__', op)!s} is not a declared operation "
            "→ declare it with primitive, elementwise or composite, or use assert_gradients"
        )
    seed = 0 if rng is None else int(rng.integers(2**32))
    checked, passed_over, wrong = {}, {}, []
    for name, property in sorted(PROPERTIES.items(), key=lambda item: ROOMS.index(item[1].check.__module__)):
        try:
            count = property.hold(declared, seed, examples)
        except AssertionError as error:
            wrong.append(str(error))
            continue
        if count:
            checked[name] = count
        else:
            passed_over[name] = property.needs
    if wrong:
        raise AssertionError(
            f"{declared.name} fails {len(wrong)} of {len(PROPERTIES)} properties:\n" + "\n".join(dict.fromkeys(wrong))
        )
    return Coverage(declared.name, checked, passed_over)


__all__ = [
    "PROPERTIES", "Coverage", "Example", "InconclusiveError", "Property", "agreement", "check_operation", "example",
    "gradients", "holds", "memory", "of_sample", "values",
]  # fmt: skip
