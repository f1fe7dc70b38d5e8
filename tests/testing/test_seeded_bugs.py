"""Ten realistic bugs: each is caught, and the verdict says what the mistake is. The right versions pass everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import autograd
from autograd import Tensor, elementwise, primitive
from autograd.testing import assert_gradients, check_gradients

SEEDS = range(5)


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], list[np.ndarray]]:
    return lambda rng: [rng.standard_normal(s) for s in shapes]


@dataclass(frozen=True)
class Bug:
    wrong: Callable[..., Any]
    right: Callable[..., Any]
    inputs: Callable[[np.random.Generator], list[np.ndarray]]
    verdict: str
    says: tuple[str, ...]  # what the report must contain


# --- softmax with a zero backward: a seed of ones does not see it, for rows of softmax add up to 1 -------------------


def softmax_forward(xp: Any, x: Any) -> Any:
    e = xp.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_rule(g: Any, out: Any) -> Any:
    return out * (g - (g * out).sum(axis=-1, keepdims=True))


softmax = primitive("softmax_right_example", "x: ... D -> ... D", forward=softmax_forward, vjp={"x": softmax_rule})
softmax_zero = primitive(
    "softmax_zero_example", "x: ... D -> ... D", forward=softmax_forward, vjp={"x": lambda g, out: g * 0.0}
)


# --- max pooling that pads with zeros, and lets the gradient flow as if the padding could not win ---------------------


def pool_windows(x: Any, fill: float) -> Any:
    padded = np.pad(x, ((0, 0), (1, 1)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, ::2]


def pool_rule(fill: float) -> Callable[..., Any]:
    def rule(g: Any, x: Any) -> Any:
        place = pool_windows(x, fill).argmax(-1) + 2 * np.arange(g.shape[1])
        dx = np.zeros((len(x), x.shape[1] + 2))
        np.add.at(dx, (np.arange(len(x))[:, None], place), g)
        return dx[:, 1:-1]

    return rule


def declare_pool(name: str, forward_fill: float, backward_fill: float) -> Callable[..., Any]:
    return primitive(
        name,
        "x: N L -> N P",
        forward=lambda x: pool_windows(x, forward_fill).max(-1),
        vjp={"x": pool_rule(backward_fill)},
    )


max_pool = declare_pool("max_pool_right_example", -np.inf, -np.inf)
max_pool_zero = declare_pool("max_pool_zero_example", 0.0, -np.inf)


# --- average pooling whose backward pass exchanges height and width ---------------------------------------------------


def spread(g: Any) -> Any:
    return g.repeat(2, axis=2).repeat(2, axis=3) / 4


def mean_of_windows(x: Any) -> Any:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))


avg_pool = primitive(
    "avg_pool_right_example", "x: N C H W -> N C P Q", forward=mean_of_windows, vjp={"x": lambda g: spread(g)}
)
avg_pool_swapped = primitive(
    "avg_pool_swapped_example", "x: N C H W -> N C P Q", forward=mean_of_windows,
    vjp={"x": lambda g: spread(g).swapaxes(2, 3)},
)  # fmt: skip


# --- batch norm whose backward pass divides by the wrong variance -----------------------------------------------------


def batch_norm_forward(x: Any) -> Any:
    return (x - x.mean(0)) / np.sqrt(x.var(0))


def batch_norm_rule(ddof: int) -> Callable[..., Any]:
    def rule(g: Any, x: Any, out: Any) -> Any:
        return (g - g.mean(0) - out * (g * out).mean(0)) / np.sqrt(x.var(0, ddof=ddof))

    return rule


batch_norm, batch_norm_wrong = (
    primitive(f"{name}_example", "x: N C -> N C", forward=batch_norm_forward, vjp={"x": batch_norm_rule(ddof)})
    for name, ddof in (("batch_norm_right", 0), ("batch_norm_unbiased", 1))
)


# --- an LSTM's gates whose backward pass forgets the forget gate ------------------------------------------------------


def sigma(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def gates(a: Any) -> Any:
    i, f, g, o = np.split(a, 4, axis=-1)
    return sigma(i), sigma(f), np.tanh(g), sigma(o)


def lstm_forward(a: Any, c: Any) -> Any:
    i, f, g, o = gates(a)
    return o * np.tanh(f * c + i * g)


def lstm_rule(forgets: bool) -> Callable[..., Any]:
    def rule(grad: Any, a: Any, c: Any) -> Any:
        i, f, g, o = gates(a)
        t = np.tanh(f * c + i * g)
        dc = grad * o * (1 - t * t)
        df = np.zeros_like(f) if forgets else dc * c * f * (1 - f)
        return np.concatenate([dc * g * i * (1 - i), df, dc * i * (1 - g * g), grad * t * o * (1 - o)], axis=-1)

    return rule


def lstm_state_rule(grad: Any, a: Any, c: Any) -> Any:
    i, f, g, o = gates(a)
    return grad * o * (1 - np.tanh(f * c + i * g) ** 2) * f


lstm, lstm_forgetful = (
    primitive(
        f"{name}_example", "a: N H*4, c: N H -> N H", forward=lstm_forward,
        vjp={"a": lstm_rule(forgets), "c": lstm_state_rule},
    )
    for name, forgets in (("lstm_right", False), ("lstm_forgetful", True))
)  # fmt: skip


# --- a convolution whose backward pass does not flip the filters ------------------------------------------------------


def conv_forward(x: Any, w: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape, axis=(1, 2))
    return np.einsum("npqrs,rs->npq", windows, w)


def conv_dx(flip: bool) -> Callable[..., Any]:
    def rule(g: Any, w: Any) -> Any:
        margins = ((0, 0), *((n - 1, n - 1) for n in w.shape))
        return conv_forward(np.pad(g, margins), w[::-1, ::-1] if flip else w)

    return rule


def conv_dw(g: Any, x: Any) -> Any:
    return np.einsum("npqrs,npq->rs", np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(1, 2)), g)


conv, conv_unflipped = (
    primitive(
        f"{name}_example", "x: N H W, w: R S -> N P Q", forward=conv_forward, vjp={"x": conv_dx(flip), "w": conv_dw}
    )
    for name, flip in (("conv_right", True), ("conv_unflipped", False))
)


# --- a bias whose gradient is not summed over what it was broadcast to ------------------------------------------------

bias = primitive("bias_right_example", "x: N D, b: D -> N D", forward="add", vjp={"x": lambda g: g, "b": lambda g: g})
bias_unsummed = primitive(
    "bias_unsummed_example", "x: N D, b: D -> N D", forward="add", vjp={"x": lambda g: g, "b": lambda g: g[0]}
)


# --- log-softmax that saves its input from before the shift -----------------------------------------------------------


def log_softmax_forward(x: Any) -> Any:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def total(x: Any) -> Any:
    return np.exp(x - x.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)


log_softmax = primitive(
    "log_softmax_right_example", "x: ... D -> ... D", forward=log_softmax_forward,
    vjp={"x": lambda g, out: g - np.exp(out) * g.sum(axis=-1, keepdims=True)},
)  # fmt: skip
log_softmax_unshifted = primitive(
    "log_softmax_unshifted_example", "x: ... D -> ... D", forward=log_softmax_forward,
    vjp={"x": lambda g, x: g - np.exp(x) / total(x) * g.sum(axis=-1, keepdims=True)},
)  # fmt: skip


# --- a saved array that is changed in place afterwards ----------------------------------------------------------------


def expm1_in_place(x: Tensor) -> Tensor:
    out = autograd.exp(x)
    out.data[...] -= 1.0  # exp saved this array for its rule
    return out


# --- a gradient that is the input's own memory ------------------------------------------------------------------------


def half_square_rule(g: Any, x: Any) -> Any:
    x *= g
    return x


half_square = elementwise("half_square_right_example", "x", forward=lambda x: x * x / 2, deriv={"x": lambda x: x})
half_square_alias = primitive(
    "half_square_alias_example", "x", forward=lambda x: x * x / 2, vjp={"x": half_square_rule}
)


BUGS = {
    "softmax with a zero backward": Bug(
        softmax_zero, softmax, normal((2, 3)), "wrong gradient", ("missing gradient", "zero everywhere")
    ),
    "max pool with zero padding": Bug(
        max_pool_zero, max_pool, lambda rng: [rng.permutation(10).reshape(2, 5) - 6.5], "wrong gradient",
        ("missing mask",),
    ),
    "average pool with swapped axes": Bug(
        avg_pool_swapped, avg_pool, normal((1, 1, 4, 4)), "wrong gradient", ("transposed", "axis 2", "axis 3")
    ),
    "batch norm using the wrong variance": Bug(
        batch_norm_wrong, batch_norm, normal((5, 2)), "wrong gradient", ("constant factor", "√((n−1)/n) with n = 5",
                                                                        "variance")
    ),
    "LSTM with a forgotten gate term": Bug(
        lstm_forgetful, lstm, normal((2, 8), (2, 2)), "wrong gradient", ("dropped term", "indices 2 to 3 along axis 1")
    ),
    "convolution with unflipped filters": Bug(
        conv_unflipped, conv, normal((1, 4, 4), (2, 2)), "wrong gradient", ("mirrored", "filters", "axes 1 and 2")
    ),
    "un-broadcast forgotten": Bug(
        bias_unsummed, bias, normal((3, 2), (2,)), "wrong gradient", ("broadcast axis not summed", "axis 0")
    ),
    "log-softmax saved before its shift": Bug(
        log_softmax_unshifted, log_softmax, normal((2, 3)), "wrong gradient",
        ("stale saved value", "keeps x from before its shift", "x − max x"),
    ),
    "an in-place change of a saved array": Bug(
        expm1_in_place, autograd.expm1, normal((4,)), "wrong gradient",
        ("stale saved value", "exp saved its result", "written to in place"),
    ),
    "a gradient that aliases its input": Bug(
        half_square_alias, half_square, normal((3,)), "a gradient aliases its input", ("input's own memory",)
    ),
}  # fmt: skip
every_bug = pytest.mark.parametrize("name", BUGS)


@every_bug
@pytest.mark.parametrize("seed", SEEDS)
def test_every_bug_is_caught_and_named(name: str, seed: int) -> None:
    bug = BUGS[name]
    rng = np.random.default_rng(seed)
    with pytest.raises(AssertionError) as caught:
        assert_gradients(bug.wrong, *bug.inputs(rng), rng=rng)
    assert [words for words in bug.says if words not in str(caught.value)] == [], str(caught.value)
    assert check_gradients(bug.wrong, *bug.inputs(np.random.default_rng(seed))).verdict == bug.verdict


@every_bug
@pytest.mark.parametrize("seed", range(20))
def test_the_right_version_passes(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    report = check_gradients(BUGS[name].right, *BUGS[name].inputs(rng), rng=rng)
    assert report.ok and report.conclusive, str(report)


def test_a_seed_of_ones_would_not_see_the_zero_softmax() -> None:
    x = Tensor(np.array([0.3, -1.0, 0.8]), requires_grad=True)
    softmax(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 0.0, atol=1e-16)
