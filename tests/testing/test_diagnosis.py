"""The diagnosis of a wrong gradient: where it is, by how much, what it looks like, and the call that shows it again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import primitive
from autograd.testing import assert_gradients, check_gradients, check_precision
from autograd.testing.diagnosis.hypotheses import Evidence, looks_like

MATMUL = "x: M K, y: K N -> M N"


def product(name: str, dx: Any, dy: Any = lambda g, x: x.swapaxes(0, 1) @ g) -> Any:
    return primitive(f"{name}_example", MATMUL, forward="matmul", vjp={"x": dx, "y": dy})


def along(name: str, contract: str, forward: Any, dx: Any) -> Any:
    return primitive(f"{name}_example", contract, forward=forward, vjp={"x": dx})


def normalise(x: Any) -> Any:
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def shift(g: Any) -> Any:
    return np.concatenate([np.zeros_like(g[:1]), g[:-1]])


BUGS = {  # an operation with a wrong rule, the shapes of its inputs, the input that is wrong, and the words
    "sign": (along("d_sign", "x: N -> N", np.sin, lambda g, x: -g * np.cos(x)), [(3,)], 0, "wrong sign"),
    "factor 2": (along("d_two", "x: N -> N", np.square, lambda g, x: 4 * g * x), [(3,)], 0, "a constant factor: the "
                 "gradient is 2 times"),
    "factor ½": (along("d_half", "x: N -> N", np.square, lambda g, x: g * x), [(3,)], 0, "0.5 times"),
    "mean for sum": (along("d_mean", "x: N D -> D", lambda x: x.sum(0), lambda g, x: np.ones_like(x) * g / len(x)),
                     [(5, 2)], 0, "0.2 times what it should be, 1/n with n = 5"),
    "factor per column": (along("d_columns", "x: N D -> N D", lambda x: x * 1.0, lambda g: g * np.array([1.0, 2, 3])),
                          [(4, 3)], 0, "a factor for each index along axis 1 of the result: 1, 2, 3"),
    "transposed": (product("d_transposed", lambda g, y: g @ y), [(2, 3), (3, 3)], 0, "transposed"),
    "transposed twice": (product("d_both", lambda g, y: (y @ g.swapaxes(0, 1))), [(3, 3), (3, 3)], 0, "transposed"),
    "swapped": (primitive("d_swapped_example", "x: N, y: N -> N", forward="multiply",
                          vjp={"x": lambda g, x: g * x, "y": lambda g, y: g * y}), [(3,), (3,)], None,
                "swapped inputs: this is the gradient of input"),
    "second is zero": (product("d_zero", lambda g, y: g @ y.swapaxes(0, 1), lambda g, y: y * 0.0), [(2, 3), (3, 2)], 1,
                       "a missing gradient"),
    "mask": (along("d_mask", "x: N -> N", lambda x: np.maximum(x, 0), lambda g: g), [(8,)], 0, "a missing mask"),
    "shifted": (along("d_shifted", "x: N -> N", np.copy, lambda g: shift(g)), [(5,)], 0, "a shifted index: off by one"),
    "mirrored": (along("d_mirrored", "x: N -> N", np.cumsum, lambda g: np.cumsum(g)), [(4,)], 0, "transposed"),
    "flipped": (along("d_flipped", "x: N -> N", np.exp, lambda g, x: (g * np.exp(x))[::-1]), [(4,)], 0,
                "mirrored along axis 0"),
    "own only": (along("d_own", "x: N -> N", lambda x: x * x.sum(), lambda g, x: g * (x + x.sum())), [(4,)], 0,
                 "a dropped term: only each element's own derivative"),
    "mean dropped": (along("d_norm", "x: N D -> N D", normalise, lambda g, x, out: (
        g - out * (g * out).mean(1, keepdims=True)) / x.std(1, keepdims=True)), [(2, 6)], 0,
                     "a dropped term: what is missing has rank 1"),
    "one row": (along("d_row", "x: D -> N D", lambda x: x + np.zeros((3, 1)), lambda g: g[-1]), [(2,)], 0,
                "a broadcast axis not summed: only index 2 along axis 0"),
    "part": (along("d_part", "x: N -> N", np.copy, lambda g: np.concatenate([g[:3], 0 * g[3:]])), [(5,)],
             0, "a dropped term: the gradient is zero at indices 3 to 4 along axis 0 of input 0"),
    "nan": (along("d_nan", "x: N -> N", np.copy, lambda g: g * np.nan), [(2,)], 0, "NaN or Inf made by the rule"),
    "x for out": (along("d_stale", "x: N -> N", np.tanh, lambda g, x: g * (1 - x * x)), [(4,)], 0,
                  "a stale saved value: d_stale_example keeps x where out belongs"),
    "sum of another": (primitive("d_sum_example", "x: N, y: N -> N", forward=lambda x, y: np.sin(x) * y,
                                 vjp={"x": lambda g, x, y: g * (np.cos(x) * y + np.sin(x)),
                                      "y": lambda g, x: g * np.sin(x)}), [(3,), (3,)], 0,
                       "a term too much: the gradient of input 1 is added"),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
@pytest.mark.parametrize("seed", range(3))
def test_the_shape_of_the_bug_is_named(name: str, seed: int) -> None:
    f, shapes, culprit, words = BUGS[name]
    rng = np.random.default_rng(seed)
    report = check_gradients(f, *[rng.standard_normal(s) for s in shapes], rng=rng)
    found = report.diagnosis
    assert found.verdict == "wrong gradient" == report.verdict
    assert culprit in (None, found.input)
    assert words in found.looks_like, str(report)


@given(seed=st.integers(0, 10**6))
def test_a_mistake_of_no_known_shape_is_given_no_name(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right, wrong = rng.standard_normal((2, 5, 7))
    errors = np.full(right.shape, 1e-12)
    assert looks_like(Evidence(0, {0: wrong}, {0: right}, {0: errors}, {0: (7,)}, [(5,)])) == ""


def test_where_and_how_much() -> None:
    def spoilt(g: Any, x: Any) -> Any:
        dx = g * np.cos(x)
        dx[1, 2] *= 1.5
        return dx

    x = np.arange(6.0).reshape(2, 3) / 10
    f = along("d_where", "x: N D -> N D", np.sin, spoilt)
    found = check_gradients(f, x).diagnosis
    assert (found.input, found.at, found.result) == (0, (1, 2), (1, 2))
    assert found.analytic == pytest.approx(1.5 * np.cos(0.5)) and found.numeric == pytest.approx(np.cos(0.5))
    assert found.error < 1e-10


def test_large_inputs_are_diagnosed_too() -> None:
    f = along("d_large", "x: N -> N", np.sin, lambda g, x: 3 * g * np.cos(x))
    report = check_gradients(f, np.linspace(-1, 1, 100))
    found = report.diagnosis
    assert found.at == found.result and found.analytic == pytest.approx(3 * found.numeric)
    assert "3 times what it should be" in str(report)


def test_second_order_is_diagnosed() -> None:
    def once(g: Any, x: Any) -> Any:
        return g * autograd.cos(x.detach() if isinstance(x, autograd.Tensor) else x)

    report = check_gradients(along("d_once", "x: N -> N", "sin", once), np.array([0.4, 1.0]), order=2)
    assert "wrong gradient of order 2 of input 0 (x) at [" in str(report)
    assert "a dropped term: the gradient is right when nothing is cut off by detach()" in str(report)


@given(seed=st.integers(0, 99))
def test_the_printed_call_finds_the_same(seed: int) -> None:
    sine = along("d_again", "x: N -> N", np.sin, lambda g, x: g * np.cos(x) * (1 + (x > 0)))
    x = np.random.default_rng(seed).standard_normal(3) + 0.01
    first = check_gradients(sine, x, rng=np.random.default_rng(seed))
    if first.ok:
        return
    call = str(first).rpartition("reproduce: ")[2]
    again = eval(call, {"check_gradients": check_gradients, "np": np, "d_again_example": sine})
    assert str(again) == str(first)


def test_a_large_input_is_kept_in_a_file() -> None:
    f = along("d_file", "x: N -> N", np.sin, lambda g, x: 3 * g * np.cos(x))
    x = np.random.default_rng(0).standard_normal(40)
    for check in (check_gradients, check_precision):
        report = check(f if check is check_gradients else coarse, x)
        again = eval(report.diagnosis.reproduce, {**globals(), "np": np, "d_file_example": f})
        assert not report.ok and str(again) == str(report)


def coarse(x: Any) -> Any:
    return autograd.exp(x) if x.dtype == np.float64 else autograd.exp(x).astype("float16").astype(x.dtype)


@pytest.mark.parametrize("order", [1, 2])
def test_one_wrong_element_of_a_thousand_is_found(order: int) -> None:
    spoilt = np.ones(1000)
    spoilt[617] = 1.01

    def rule(g: Any, x: Any) -> Any:
        return g * autograd.cos(x) * (spoilt if order == 1 or not isinstance(x, np.ndarray) else 1.0)

    x = np.random.default_rng(0).uniform(-1, 1, 1000)
    found = check_gradients(along(f"d_thousand_{order}", "x: N -> N", np.sin, rule), x, order=order).diagnosis
    assert found.at == (617,) and found.order == order and found.result == ((617,) if order == 1 else None)


def scale_by(factor: float) -> Any:
    return lambda g: factor * g


def test_of_one_number_no_factor_is_claimed() -> None:
    for name, factor, words in (
        ("odd", 0.546302, ""),
        ("half", 0.5, "a constant factor, as far as one number can tell: the gradient is 0.5"),
    ):
        f = along(f"d_{name}", "x: N -> N", np.copy, scale_by(factor))
        assert check_gradients(f, np.array([0.4])).diagnosis.looks_like[: len(words) or 1] == words
        assert "constant factor: " in check_gradients(f, np.array([0.4, 1.0])).diagnosis.looks_like


def test_a_narrow_cast_is_no_wrong_gradient() -> None:
    for dtype in ("float32", "float16"):
        report = check_gradients(lambda x, d=dtype: autograd.tanh(x.astype(d)).astype("float64"), np.linspace(-1, 1, 7))
        assert report.ok and report.verdict in ("agree", "lost precision"), str(report)
    assert "with only 3 digits" in str(report)


def test_lost_precision() -> None:
    third = float(np.float32(1 / 3))
    report = check_gradients(along("d_float32", "x: N -> N", lambda x: x / 3, lambda g: g * third), np.ones(3))
    assert report.verdict == "lost precision" and "right to 8 digits only" in str(report)
    with pytest.raises(AssertionError, match=r"lost precision at input 0 \(x\)"):
        assert_gradients(along("d_float32", "x: N -> N", lambda x: x / 3, lambda g: g * third), np.ones(3))


@pytest.mark.parametrize(
    "f, x, note",
    [
        (autograd.relu, [1.0, 0.0], "the slope is 0 to the left and 1 to the right; the analytic value lies between"),
        (autograd.abs, [0.0], "the slope is -1 to the left and 1 to the right; the analytic value lies between"),
        (lambda x: autograd.max(x), [1.0, 1.0], "lies between"),
        (lambda x: autograd.norm(x), [0.0, 0.0], "lies between"),
        (
            along("d_outside", "x: N -> N", np.abs, lambda g, x: g * np.where(x == 0, 7.0, np.sign(x))),
            [0.0],
            "lies outside: no subgradient",
        ),
    ],
)
def test_kinks_are_no_wrong_gradients(f: Any, x: list[float], note: str) -> None:
    report = check_gradients(f, np.array(x))
    assert report.ok and not report.conclusive and report.verdict == "kink"
    assert note in str(report), str(report)


def test_ill_conditioned() -> None:
    report = check_gradients(lambda x: autograd.sin(1e13 * x), np.array([1.3]))
    assert report.ok and report.verdict in ("ill-conditioned", "kink")


def test_a_report_is_a_few_short_lines() -> None:
    for f, shapes, *_ in BUGS.values():
        rng = np.random.default_rng(0)
        lines = str(check_gradients(f, *[rng.standard_normal(s) for s in shapes])).splitlines()
        assert len(lines) <= 4 and all(len(line) <= 160 for line in lines if not line.startswith("reproduce"))
