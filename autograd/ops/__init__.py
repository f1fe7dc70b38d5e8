"""The operations, a file per family; imported here under their public names."""

from . import operators  # noqa: F401 - installs Tensor's operators
from .activation import (
    celu,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_sigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanhshrink,
)
from .arithmetic import (
    absolute,
    add,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    cbrt,
    ceil,
    clip,
    divide,
    equal,
    floor,
    floor_divide,
    greater,
    greater_equal,
    hypot,
    invert,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    positive,
    power,
    reciprocal,
    remainder,
    sign,
    sqrt,
    square,
    subtract,
    trunc,
    where,
)
from .arithmetic import absolute as abs
from .arithmetic import round_ as round
from .conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from .device import to_device
from .exponential import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    sin,
    sinh,
    tan,
    tanh,
)
from .index import embedding, gather, getitem, one_hot, scatter, scatter_add, set_item, take
from .matmul import dot, einsum, inner, kron, mT, matmul, outer, tensordot
from .normalize import batch_norm, cross_entropy, dropout, group_norm, layer_norm, local_response_norm, log_softmax, softmax
from .reduce import all_ as all
from .reduce import any_ as any
from .reduce import argmax, argmin, argsort, count_nonzero, cumprod, cumsum, logsumexp, mean, prod, sort, std, var
from .reduce import max_ as max
from .reduce import min_ as min
from .reduce import sum_ as sum
from .shape import (
    astype,
    broadcast_to,
    concatenate,
    copy,
    diagonal,
    expand_dims,
    flatten,
    flip,
    moveaxis,
    pad,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    transpose,
    tril,
    triu,
    unstack,
)

__all__ = [name for name in dir() if not name.startswith("_") and name not in ("operators",)]
