"""Changes of a rule that change nothing, each with the proof that the same function is computed.

A change that alters the function only outside the declared domain, or in a branch that is not selected, is of this kind
too, and its proof says so.
"""

from __future__ import annotations

import re

_ZERO = "The rule returns 0 everywhere, and 0 negated, multiplied, rearranged or not added up is 0."
_LARGER = "out = max(x, y): out > y if and only if x > y, and y ≥ out if and only if y ≥ x; for min with < and ≤ alike."
_INSIDE = "Strictly inside the bounds out = x; otherwise out is a bound, and not strictly inside, as x is not."
_LIST = "A list of axes is taken like a tuple of them."
_GUARD = "Where x > 0 the outer where takes 1; the inner one only keeps the exponential finite there, and e¹ is finite."
_ANY_NEGATIVE = "In reshape any negative size stands for the one that is to be found."

# Mutants as they are printed, * standing for anything, and why they are none.
PROOFS: dict[str, str] = {
    **{
        f"{op} {what}": _ZERO
        for op in ("sign.x", "floor.x", "ceil.x", "trunc.x", "round.x", "floor_divide.x", "floor_divide.y")
        for what in ("zero", "sign", "factor 2", "transposed", "off by one: elements rolled by one", "missing un-*")
    },
    "cholesky.x transposed": "The gradient is symmetric, which is a property of its own: it is its own transpose.",
    "eigh.x transposed": "The gradient is symmetric, which is a property of its own: it is its own transpose.",
    "cholesky.x dropped call: `return mT(_solve(mT(r), mT(x)))` → `return _solve(mT(r), mT(x))` in _divide_right": (
        "The result goes into (m + mᵀ) / 2, which is the same for m and mᵀ."
    ),
    "eigh.x dropped call: `return _symmetric(v @ *": (
        "t − tᵀ and the gaps w[j] − w[i] are antisymmetric, so their quotient is symmetric, and so is what stands here."
    ),
    "eigh.x dropped call: `return (x + mT(x)) / 2` → `return (x + x) / 2` in _symmetric": (
        "The argument is symmetric, as its rule's other mutant says, and (x + x) / 2 is x."
    ),
    "eigh.x off by one: `where(eye_like(values), 1, gaps)` → `where(eye_like(values), 2, gaps)` in _over_gaps": (
        "On the diagonal the numerator t − tᵀ is 0, and 0 / 2 = 0 / 1."
    ),
    "maximum.x wrong saved value: out instead of x": _LARGER,
    "maximum.y wrong saved value: out instead of x": _LARGER,
    "minimum.x wrong saved value: out instead of x": _LARGER,
    "minimum.y wrong saved value: out instead of x": _LARGER,
    "relu.x wrong saved value: x instead of out": "out = max(x, 0): x > 0 if and only if out > 0.",
    "clip.x wrong saved value: out instead of x": _INSIDE,
    "relu6.x wrong saved value: out instead of x": _INSIDE,
    "swapaxes.x swapped saved names: axis1 and axis2": "Exchanging two axes does not depend on their order.",
    "softplus.x swapped saved names: x and beta": "They enter as the product beta·x only, which commutes.",
    "transpose.x dropped call: * tuple(sorted(*": _LIST,
    "prod.x dropped call: `back = tuple(sorted(*": _LIST,
    "* opposite: *strict=True)* → *strict=False)*": (
        "strict= guards against lengths that differ, and the checks before the rule have made them equal."
    ),
    "power.x *: `power(x, y - 1 + (y == 0))` → `power(x, y - 1*)`": (
        "It differs where y = 0 only; there the factor y is 0, and the power is finite for x in the domain, x > 0."
    ),
    "cumsum.x dropped branch: `at = -1 if axis is None else axis` → `at = axis`": (
        "Without an axis the gradient is flat: flipping all its axes is flipping the last."
    ),
    "cumprod.x *: `at = -1 if axis is None else axis` → *": "Without an axis nothing that depends on `at` is used.",
    "cumprod.x dropped branch: `g = g if axis is None else g.swapaxes(at, -1)` → `g = g.swapaxes(at, -1)`": (
        "Without an axis g has one axis, and `at` is the last: an axis exchanged with itself."
    ),
    "cumprod.x off by one: `x.reshape((-1,))` → *": _ANY_NEGATIVE,
    "adaptive_max_pool*.x off by one: `flat = (*x_shape[:2], -1)` → *": _ANY_NEGATIVE,
    "adaptive_max_pool1d.x dropped call: *": "In one dimension all have the axes N C L already: nothing is reshaped.",
    "elu.x off by one: `where(x > 0, 0.0, x)` → *": _GUARD,
    "celu.x off by one: `where(x > 0, 0.0, x)` → *": _GUARD,
    "celu.x off by one: `where(x > 0, 1.0, *` → `where(x > 1, 1.0, exp(where(x > 0, 0.0, x) / alpha))`": (
        "Where 0 < x ≤ 1 the inner where gives 0, and e⁰ = 1."
    ),
    "conv* dropped branch: `return out if out.shape == shape else * → `return out[tuple(*": (
        "If the shapes are equal, slices of all sizes are all of it."
    ),
    "norm.x off by one: `where(out == 0, 1, out)` → `where(out == 0, 2, out)`": (
        "Where out = 0 the outer where takes 0; the inner one only keeps the quotient finite there."
    ),
}


def proof_of(words: str) -> str:
    """Return the proof that a mutant is none; empty if there is none."""
    return next(
        (proof for pattern, proof in PROOFS.items() if re.fullmatch(_expression(pattern), words, re.DOTALL)), ""
    )


def _expression(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*")
