"""Products of vectors, matrices and tensors."""

from __future__ import annotations

import string
from typing import Any

from ..core.composite import composite
from ..core.primitive import REQUIRED, primitive
from ..core.tensor import operand
from ..errors import ShapeError
from .arithmetic import multiply
from .index import axis_of
from .shape import broadcast_to, diagonal, reshape, transpose


def mT(x: Any) -> Any:
    """The matrices in the last two axes transposed."""
    return x.swapaxes(-1, -2)


_matmul = primitive(
    "matmul", "x: ... M K, y: ... K N -> ... M N", forward="matmul", linear_in=("x", "y"), label="@",
    vjp={"x": lambda g, y: g @ mT(y), "y": lambda g, x: mT(x) @ g},
    doc="Matrix product: out[m, n] = Σₖ x[m, k]·y[k, n]; leading axes broadcast.",
)  # fmt: skip


def matmul(x: Any, y: Any) -> Any:
    """Matrix product, out[…, m, n] = Σₖ x[…, m, k]·y[…, k, n]; a vector counts as one row on the left,
    one column on the right.

    Shapes: ``x: ... M K, y: ... K N -> ... M N``. Raises ``ShapeError`` if K differs or an input has no axes.

    >>> import autograd
    >>> autograd.matmul(autograd.tensor([[1.0, 2.0]]), autograd.tensor([3.0, 4.0]))
    tensor([11.])
    """
    x, y = operand("matmul", "x", x), operand("matmul", "y", y)
    x_ndim, y_ndim = len(x.shape), len(y.shape)
    if x_ndim >= 2 and y_ndim >= 2:
        return _matmul(x, y)
    if not x_ndim or not y_ndim:
        raise ShapeError(
            f"matmul: x has shape {tuple(x.shape)} and y {tuple(y.shape)}, but both need an axis → use x * y"
        )
    out = _matmul(reshape(x, (1, -1)) if x_ndim == 1 else x, reshape(y, (-1, 1)) if y_ndim == 1 else y)
    shape = tuple(out.shape[:-2]) + (out.shape[-2],) * (x_ndim > 1) + (out.shape[-1],) * (y_ndim > 1)
    return reshape(out, shape)


matmul.op = _matmul.op  # type: ignore[attr-defined]


@composite("x: ... D, w: K D, b: K")
def linear(x: Any, w: Any, b: Any = None) -> Any:
    """Affine map of the last axis, out[…, k] = b[k] + Σ_d w[k, d]·x[…, d]."""
    out = x @ w.T
    return out if b is None else out + b


def dot(x: Any, y: Any) -> Any:
    """NumPy's dot: the inner product of vectors, the matrix product of matrices, x·y with a scalar.

    Shapes: the last axis of x is summed against the last but one of y. Raises ``ShapeError`` if they differ.

    >>> import autograd
    >>> autograd.dot(autograd.tensor([1.0, 2.0]), autograd.tensor([3.0, 4.0]))
    tensor(11.)
    """
    x, y = operand("dot", "x", x), operand("dot", "y", y)
    if not len(x.shape) or not len(y.shape):
        return multiply(x, y)
    return matmul(x, y) if len(y.shape) <= 2 else tensordot(x, y, ((-1,), (-2,)))


@composite("x, y", cases=({"x": (2,), "y": (3,)},))
def outer(x: Any, y: Any) -> Any:
    """Outer product of the flattened inputs, out[i, j] = x[i]·y[j]."""
    return multiply(reshape(x, (-1, 1)), reshape(y, (1, -1)))


@composite("x: ... K, y: ... K")
def inner(x: Any, y: Any) -> Any:
    """Inner product over the last axis, out = Σₖ x[…, k]·y[…, k] (leading axes broadcast)."""
    return multiply(x, y).sum(axis=-1)


@composite(
    "x, y", cases=({"x": (2, 3), "y": (3, 2), "axes": 1}, {"x": (2, 3, 4), "y": (4, 3), "axes": ((1, 2), (1, 0))})
)
def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """Sum of products over pairs of axes: a number of last axes of x against first of y, or two tuples of axes."""
    if isinstance(axes, int):
        axes = (tuple(range(len(x.shape) - axes, len(x.shape))), tuple(range(axes)))
    ax, ay = (
        tuple(axis_of("tensordot", a, t) for a in ((axis,) if isinstance(axis, int) else axis))
        for t, axis in zip((x, y), axes, strict=True)
    )
    if [x.shape[a] for a in ax] != [y.shape[a] for a in ay]:
        raise ShapeError(
            f"tensordot: axes {ax} of x {tuple(x.shape)} and {ay} of y {tuple(y.shape)} differ in size "
            "→ pair equal sizes"
        )
    free_x = tuple(a for a in range(len(x.shape)) if a not in ax)
    free_y = tuple(a for a in range(len(y.shape)) if a not in ay)
    k = 1
    for a in ax:
        k *= x.shape[a]
    left = reshape(transpose(x, free_x + ax), (-1, k) if k else (_size(x, free_x), 0))
    right = reshape(transpose(y, ay + free_y), (k, -1) if k else (0, _size(y, free_y)))
    return reshape(_matmul(left, right), tuple(x.shape[a] for a in free_x) + tuple(y.shape[a] for a in free_y))


def _size(x: Any, axes: tuple[int, ...]) -> int:
    n = 1
    for a in axes:
        n *= x.shape[a]
    return n


def _einsum_rule(g: Any, xs: Any, xs_shape: Any, subscripts: str) -> list[Any]:
    """The gradient of one operand is the sum of products of g with all others, over the letters the operand lacks."""
    inputs, output = subscripts.split("->")
    letters = inputs.split(",")
    gradients = []
    for i, own in enumerate(letters):
        others = [(x, s) for j, (x, s) in enumerate(zip(xs, letters, strict=True)) if j != i]
        known = set(output).union(*[s for _, s in others])
        kept = "".join(c for c in own if c in known)
        dx = _einsum((g, *[x for x, _ in others]), f"{','.join([output, *[s for _, s in others]])}->{kept}")
        if kept != own:  # a letter that stands in this operand alone was summed: every element gets the same
            dx = broadcast_to(
                reshape(dx, tuple(n if c in known else 1 for c, n in zip(own, xs_shape[i], strict=True))), xs_shape[i]
            )
        gradients.append(dx)
    return gradients


_einsum = primitive(
    "einsum", "*xs", forward=lambda xp, xs, subscripts: xp.einsum(subscripts, *xs, optimize=len(xs) > 1),
    params={"subscripts": REQUIRED}, vjp={"xs": _einsum_rule},
    cases=(
        {"subscripts": "ij,jk->ik", "xs": ((2, 3), (3, 2))}, {"subscripts": "ij->i", "xs": ((2, 3),)},
        {"subscripts": "bij,bjk,k->bi", "xs": ((2, 2, 3), (2, 3, 2), (2,))},
    ),
    doc="Sums of products named by letters, written out in full.",
)  # fmt: skip


def einsum(subscripts: str, *operands: Any) -> Any:
    """Sum of products named by letters (Einstein's convention), as NumPy's: ``einsum("ij,jk->ik", x, y)``.

    Ellipses, repeated letters and an implied output are understood. Raises ``ShapeError`` if letters and axes do not
    fit.

    >>> import autograd
    >>> autograd.einsum("ii->", autograd.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ShapeError(
            f"einsum: {subscripts!r} names {len(terms)} operands but {len(operands)} are given → name each"
        )
    operands = tuple([operand("einsum", f"operand {i}", x) for i, x in enumerate(operands)])
    if not arrow:
        single = sorted(c for c in set(inputs) - set(",.") if inputs.replace(",", "").count(c) == 1)
        output = ("..." if "..." in inputs else "") + "".join(single)
    spare = [c for c in string.ascii_letters if c not in subscripts]
    width = max(
        (len(x.shape) - len(t.replace("...", "")) for t, x in zip(terms, operands, strict=True) if "..." in t),
        default=0,
    )
    written = []
    for term, x in zip(terms, operands, strict=True):
        own = len(x.shape) - len(term.replace("...", ""))
        if own < 0 or ("..." not in term and own):
            raise ShapeError(
                f"einsum: {term!r} in {subscripts!r} does not fit an operand of shape {tuple(x.shape)} "
                "→ one letter per axis"
            )
        written.append(term.replace("...", "".join(spare[width - own : width])))
    for i, term in enumerate(written):
        while len(set(term)) < len(term):  # a repeated letter takes the diagonal
            c = next(c for c in term if term.count(c) > 1)
            a, b = term.index(c), term.rindex(c)
            operands = (*operands[:i], diagonal(operands[i], 0, a, b), *operands[i + 1 :])
            term = "".join(d for j, d in enumerate(term) if j not in (a, b)) + c
        written[i] = term
    return _einsum(operands, f"{','.join(written)}->{output.replace('...', ''.join(spare[:width]))}")


def kron(x: Any, y: Any) -> Any:
    """Kronecker product of two matrices: every element of x times all of y.

    Shapes: ``x: M N, y: P Q -> (M·P) (N·Q)``.

    >>> import autograd
    >>> autograd.kron(autograd.tensor([[1.0, 2.0]]), autograd.tensor([[1.0], [1.0]]))
    tensor([[1., 2.],
            [1., 2.]])
    """
    x, y = operand("kron", "x", x), operand("kron", "y", y)
    if len(x.shape) != 2 or len(y.shape) != 2:
        raise ShapeError(f"kron: x has shape {x.shape} and y {y.shape} but matrices are needed → reshape them")
    (m, n), (p, q) = x.shape, y.shape
    return reshape(multiply(reshape(x, (m, 1, n, 1)), reshape(y, (1, p, 1, q))), (m * p, n * q))
