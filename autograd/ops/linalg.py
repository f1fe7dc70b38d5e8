"""Linear algebra of the matrices in the last two axes; leading axes are a batch.

Factors are determined up to signs (``qr``, ``svd``, ``eigh``); the signs are those that LAPACK chooses. Where two
singular values or eigenvalues are equal, or a singular value is 0, the vectors have no derivative: gradients through
them are NaN, gradients through the values alone are right. Symmetric inputs get symmetric gradients.

>>> import autograd
>>> a, b = autograd.tensor([[2.0, 0.0], [0.0, 4.0]]), autograd.tensor([1.0, 2.0])
>>> autograd.solve(a, b), autograd.slogdet(a)[1]
(tensor([0.5, 0.5]), tensor(2.0794415))
>>> autograd.grad(autograd.det)(a)
tensor([[4., 0.],
        [0., 2.]])
"""

from __future__ import annotations

from typing import Any

from ..core.composite import composite
from ..core.primitive import Operation, primitive
from ..core.tensor import operand
from ..errors import DomainError
from .arithmetic import absolute, where
from .index import getitem
from .matmul import mT
from .reduce import REDUCTION, eye_like, kept
from .shape import concatenate, diagonal, expand_dims, reshape, tril

GILES = "Giles, Collected matrix derivative results for forward and reverse mode algorithmic differentiation, 2008"
SEEGER = "Seeger et al., Auto-differentiating linear algebra, 2017, arXiv:1710.08717"
MURRAY = "Murray, Differentiation of the Cholesky decomposition, 2016, arXiv:1602.07527"
WALTER = "Walter, Lehmann, Algorithmic differentiation of linear algebra, 2010, arXiv:1001.1654; and " + SEEGER
TOWNSEND = "Townsend, Differentiating the singular value decomposition, 2016; and " + SEEGER
NAN = float("nan")


def _over_gaps(x: Any, values: Any) -> Any:
    """x[i, j] / (values[j] − values[i]), for an x that is 0 on the diagonal."""
    gaps = expand_dims(values, -2) - expand_dims(values, -1)
    return _over(x, where(eye_like(values), 1, gaps))


def _over(x: Any, y: Any) -> Any:
    """x / y, where 0 / 0 is 0: no gradient flows there; and x / 0 is NaN."""
    quotient = x / where(y == 0, NAN, y)
    return where((x == 0) & (y == 0), 0, quotient)


def _diagonal_matrix(values: Any) -> Any:
    """Matrices with ``values`` on their diagonals."""
    return where(eye_like(values), expand_dims(values, -2), 0)


def _symmetric(x: Any) -> Any:
    return (x + mT(x)) / 2


def _divide_right(x: Any, r: Any) -> Any:
    """The matrix y of y @ r = x."""
    return mT(_solve(mT(r), mT(x)))


# --- equations, inverse, determinant ----------------------------------------------------------------------------------

_solve: Operation = primitive(
    "solve",
    "a: ... N N, b: ... N K -> ... N K",
    forward="linalg.solve",
    linear_in=("b",),
    domain={"a": "nonsingular"},
    vjp={"a": lambda g, a, out: -_solve(mT(a), g) @ mT(out), "b": lambda g, a: _solve(mT(a), g)},
    source=GILES + ", sec. 2.3.1",
    doc="The x of a @ x = b.",
)


def solve(a: Any, b: Any) -> Any:
    """Return the x of a @ x = b, for a matrix b of columns or, if b has one axis, for a vector.

    Shapes: ``a: ... N N, b: ... N K -> ... N K``, or ``b: N -> ... N``. Raises ``DomainError`` if a is singular.
    Source: Giles 2008, sec. 2.3.1.

    >>> import autograd
    >>> solve(autograd.tensor([[2.0, 0.0], [1.0, 4.0]]), autograd.tensor([2.0, 3.0]))
    tensor([1. , 0.5])
    """
    a, b = operand("solve", "a", a), operand("solve", "b", b)
    if len(b.shape) != 1:
        return _solve(a, b)
    return getitem(_solve(a, reshape(b, (-1, 1))), (..., 0))


solve.op = _solve.op  # type: ignore[attr-defined]

inv: Operation = primitive(
    "inv",
    "x: ... N N -> ... N N",
    forward="linalg.inv",
    domain={"x": "nonsingular"},
    vjp={"x": lambda g, out: -mT(out) @ g @ mT(out)},
    label="⁻¹",
    source=GILES + ", sec. 2.2.3",
    doc="The inverse matrix: x @ inv(x) = 1. Raises ``DomainError`` if x is singular.",
)
det: Operation = primitive(
    "det",
    "x: ... N N -> ...",
    forward="linalg.det",
    domain={"x": "nonsingular"},
    vjp={"x": lambda g, x, out: expand_dims(g * out, (-2, -1)) * mT(inv(x))},
    source=GILES + ", sec. 2.2.4",
    doc="The determinant. The gradient needs the inverse, and raises ``DomainError`` if x is singular.",
)
slogdet: Operation = primitive(
    "slogdet",
    "x: ... N N -> sign: ..., logabsdet: ...",
    forward="linalg.slogdet",
    domain={"x": "nonsingular"},
    vjp={"x": lambda g, x: expand_dims(g[1], (-2, -1)) * mT(inv(x))},
    source=GILES + ", sec. 2.2.4",
    doc="The sign of the determinant and the logarithm of its size, which does not overflow. The sign has slope 0.",
)


@composite("x: ... M N", cases=({}, {"offset": 1, "M": 2, "N": 3}))
def trace(x: Any, offset: int = 0) -> Any:
    """The sum of the diagonal, Σᵢ x[…, i, i + offset]."""
    return diagonal(x, offset).sum(axis=-1)


@composite("x: ... N N", cases=({"n": 0}, {"n": 3}, {"n": -2}), domain={"x": "nonsingular"})
def matrix_power(x: Any, n: int) -> Any:
    """The matrix multiplied n times with itself, by repeated squaring; for negative n its inverse."""
    if n == 0:
        return where(eye_like(x), 1, x * 0)
    return _power(inv(x) if n < 0 else x, abs(n))


def _power(x: Any, n: int) -> Any:
    if n == 1:
        return x
    half = _power(x, n // 2)
    return half @ half @ x if n % 2 else half @ half


# --- factorisations ---------------------------------------------------------------------------------------------------


def _cholesky_rule(g: Any, out: Any) -> Any:
    lower = tril(mT(out) @ g)
    halved = (lower + tril(lower, -1)) / 2  # the diagonal counts half: it is its own transpose
    return _symmetric(_divide_right(_solve(mT(out), halved), out))


cholesky: Operation = primitive(
    "cholesky",
    "x: ... N N -> ... N N",
    forward="linalg.cholesky",
    domain={"x": "spd"},
    vjp={"x": _cholesky_rule},
    source=MURRAY,
    doc="The lower triangular l of l @ lᵀ = x, for a symmetric positive definite x; only its lower triangle is read. "
    "Raises ``DomainError`` if x is not positive definite.",
)


def _tall_qr_rule(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    m = r @ mT(gr) - mT(gq) @ q
    return _divide_right(gq + q @ (tril(m) + mT(tril(m, -1))), mT(r))


def _qr_rule(g: Any, x: Any, q: Any, r: Any) -> Any:
    """For a wide x = [left right] with r = [u v]: left = q @ u is square, and v = qᵀ @ right."""
    gq, gr = g
    rows, columns = x.shape[-2:]
    if rows >= columns:
        return _tall_qr_rule(gq, gr, q, r)
    left, right = (..., slice(rows)), (..., slice(rows, columns))
    gv = getitem(gr, right)
    gleft = _tall_qr_rule(gq + getitem(x, right) @ mT(gv), getitem(gr, left), q, getitem(r, left))
    return concatenate((gleft, q @ gv), -1)


qr: Operation = primitive(
    "qr",
    "x: ... M N -> q: ... M K, r: ... K N",
    forward="linalg.qr",
    domain={"x": "full rank"},
    cases=({}, {"M": 2, "N": 4}, {"M": 4, "N": 2}),
    vjp={"x": _qr_rule},
    source=WALTER,
    doc="The reduced factors q @ r = x, K = min(M, N): q with orthonormal columns, r upper triangular. The gradient "
    "needs the first K columns of x to be independent.",
)


def _svd_rule(g: Any, u: Any, s: Any, vh: Any) -> Any:
    gu, gs, gvh = g
    v, gv, row = mT(vh), mT(gvh), expand_dims(s, -2)
    in_u, in_v = mT(u) @ gu, vh @ gv
    turn_u, turn_v = (_over_gaps(t - mT(t), s * s) for t in (in_u, in_v))
    gx = u @ (turn_u * row + mT(row) * turn_v + _diagonal_matrix(gs)) @ vh
    if u.shape[-2] > s.shape[-1]:  # what u does not span
        gx = gx + _over(gu - u @ in_u, row) @ vh
    if v.shape[-2] > s.shape[-1]:
        gx = gx + u @ mT(_over(gv - v @ in_v, row))
    return gx


svd: Operation = primitive(
    "svd",
    "x: ... M N -> u: ... M K, s: ... K, vh: ... K N",
    forward=lambda xp, x: xp.linalg.svd(x, full_matrices=False),
    domain={"x": "full rank"},
    cases=({}, {"M": 2, "N": 4}, {"M": 4, "N": 2}),
    vjp={"x": _svd_rule},
    source=TOWNSEND,
    doc="The reduced singular value decomposition x = u @ diag(s) @ vh, K = min(M, N): orthonormal columns in u, "
    "rows in vh, and s falling from the largest.",
)


def _eigh_rule(g: Any, w: Any, v: Any) -> Any:
    gw, gv = g
    turn = mT(v) @ gv
    return _symmetric(v @ (_diagonal_matrix(gw) + _over_gaps((turn - mT(turn)) / 2, w)) @ mT(v))


eigh: Operation = primitive(
    "eigh",
    "x: ... N N -> w: ... N, v: ... N N",
    forward="linalg.eigh",
    domain={"x": "symmetric"},
    vjp={"x": _eigh_rule},
    source=GILES + ", sec. 3.1; and " + SEEGER,
    doc="The eigenvalues w, in rising order, and the eigenvectors, in the columns of v, of a symmetric x; only its "
    "lower triangle is read.",
)


def eigvalsh(x: Any) -> Any:
    """Return the eigenvalues of symmetric matrices, in rising order; only the lower triangle is read.

    Shapes: ``x: ... N N -> ... N``.

    >>> import autograd
    >>> eigvalsh(autograd.tensor([[2.0, 1.0], [1.0, 2.0]]))
    tensor([1., 3.])
    """
    return eigh(x)[0]


# --- norms ------------------------------------------------------------------------------------------------------------

_norm: Operation = primitive(
    "norm",
    "x",
    forward=lambda xp, x, axis, keepdims: xp.sqrt((x * x).sum(axis=axis, keepdims=keepdims)),
    params=REDUCTION,
    vjp={"x": lambda g, x, out, axis: x * kept(where(out == 0, 0, g / where(out == 0, 1, out)), x.shape, axis)},
    cases=({}, {"axis": 0, "x": (3, 2)}, {"axis": (-2, -1), "keepdims": True, "x": (2, 2, 3)}),
    kinks={"x": "zeros"},
    label="‖x‖",
    doc="√(Σ x²), over all elements or along ``axis``; the subgradient at x = 0 is 0.",
)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the norm ‖x‖ over all elements, or of the vectors or matrices along ``axis``.

    Args:
        x: an array.
        ord: None, 2 or "fro" for √(Σ x²); 1 for Σ |x| and inf for max |x|, of vectors. Of matrices, 2 is not offered:
            it is ``svd(x)[1].max()``.
        axis: a number for vectors, a pair for matrices, None for all elements.
        keepdims: keep the axes with size 1.

    The subgradient at x = 0 is 0. Raises ``DomainError`` for another ``ord``.

    >>> import autograd
    >>> x = autograd.tensor([[3.0, 4.0], [0.0, 0.0]])
    >>> norm(x), norm(x, axis=1), norm(x, ord=1, axis=1)
    (tensor(5.), tensor([5., 0.]), tensor([7., 0.]))
    >>> autograd.grad(norm)(autograd.zeros(2))
    tensor([0., 0.])
    """
    x = operand("norm", "x", x)
    vectors = isinstance(axis, int) or (axis is None and len(x.shape) == 1)
    if ord is None or (ord == 2 if vectors else ord == "fro"):
        return _norm(x, axis, keepdims)
    if vectors and ord == 1:
        return absolute(x).sum(axis=axis, keepdims=keepdims)
    if vectors and ord == float("inf"):
        return absolute(x).max(axis=axis, keepdims=keepdims)
    offered = "None, 1, 2 or inf of vectors" if vectors else "None or 'fro' of matrices"
    raise DomainError(f"norm: ord={ord!r} but {offered} is offered → use one of these, or svd for matrices")


norm.op = _norm.op  # type: ignore[attr-defined]
