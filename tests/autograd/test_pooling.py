"""Pooling against loops: which windows there are, what they count, where ties send the gradient."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import autograd
from autograd.errors import DomainError, DTypeError, ShapeError
from autograd.ops import pooling
from autograd.testing import assert_gradients


@st.composite
def windows(draw, dilated=True):
    """A shape and the options of a pooling in which at least one window fits."""
    n = draw(st.integers(1, 3))
    width = tuple(draw(st.integers(1, 3)) for _ in range(n))
    dilation = tuple(draw(st.integers(1, 2)) if dilated else 1 for _ in range(n))
    reach = [(r - 1) * d + 1 for r, d in zip(width, dilation, strict=True)]
    padding = tuple(draw(st.integers(0, m // 2)) for m in reach)
    stride = tuple(draw(st.integers(1, 4)) for _ in range(n))
    least = [max(1, m - 2 * p) for m, p in zip(reach, padding, strict=True)]
    size = tuple(m + draw(st.integers(0, 5 if n < 3 else 2)) for m in least)
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size)
    return shape, width, stride, padding, dilation, draw(st.booleans())


def starts(n, r, s, p, d, ceil_mode):
    """Where windows begin, in elements of the input: those that end inside the padding, and with ceil_mode one more."""
    found = [i for i in range(-p, n + p, s) if i + (r - 1) * d < n + p]
    more = found[-1] + s if found else -p
    ends_inside = not found or found[-1] + (r - 1) * d == n + p - 1
    return found + [more] * (ceil_mode and not ends_inside and more < n)


def boxes(shape, width, stride, padding, dilation, ceil_mode):
    """For each window its place in the result, and the indices along every axis that it covers."""
    axes = zip(shape[2:], width, stride, padding, dilation, strict=True)
    begins = [starts(n, r, s, p, d, ceil_mode) for n, r, s, p, d in axes]
    counts = tuple(map(len, begins))
    covered = {}
    for place in np.ndindex(counts):
        begin = [b[i] for b, i in zip(begins, place, strict=True)]
        covered[place] = [range(b, b + r * d, d) for b, r, d in zip(begin, width, dilation, strict=True)]
    return counts, covered


def last_maxima(x, y, covered):
    """The maxima of the windows, and the y of each at the last of its window's maxima, in row-major order."""
    size, out, dx = x.shape[2:], np.empty(y.shape, x.dtype), np.zeros(x.shape)
    for place, box in covered.items():
        inside = [[i for i in axis if 0 <= i < n] for axis, n in zip(box, size, strict=True)]
        for image in np.ndindex(x.shape[:2]):
            best = None
            for choice in np.ndindex(*map(len, inside)):
                at = (*image, *[axis[i] for axis, i in zip(inside, choice, strict=True)])
                if best is None or x[at] >= x[best]:
                    best = at
            out[(*image, *place)] = -np.inf if best is None else x[best]  # a dilated window may meet padding only
            if best is not None:
                dx[best] += y[(*image, *place)]
    return out, dx


def of(name, axes):
    return getattr(pooling, f"{name}{axes}d")


@given(windows(), st.integers(0, 2**32 - 1))
@example(((1, 1, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1), False), 0)
@example(((1, 1, 5, 5), (2, 2), (2, 2), (1, 1), (1, 1), True), 0)
@example(((1, 1, 1), (2,), (1,), (1,), (2,), False), 0)
def test_max_pooling_with_many_ties(setting, seed):
    shape, *options = setting
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 2, shape).astype(float)  # negative windows show whether padding is 0
    counts, covered = boxes(shape, *options)
    y = rng.standard_normal((*shape[:2], *counts))
    out, dx = last_maxima(x, y, covered)
    pool = of("max_pool", len(counts))
    np.testing.assert_array_equal(pool(x, *options), out)
    leaf = autograd.tensor(x, requires_grad=True)
    pool(leaf, *options).backward(y)
    np.testing.assert_allclose(leaf.grad.numpy(), dx, rtol=1e-12, atol=1e-12)


@given(windows(dilated=False), st.booleans())
@example(((1, 1, 7, 4), (3, 2), (2, 3), (1, 1), (1, 1), True), False)
@example(((1, 1, 7, 4), (3, 2), (2, 3), (1, 1), (1, 1), True), True)
def test_average_pooling(setting, count_include_pad):
    shape, width, stride, padding, dilation, ceil_mode = setting
    x = np.random.default_rng(0).standard_normal(shape)
    counts, covered = boxes(shape, width, stride, padding, dilation, ceil_mode)
    expected = np.empty((*shape[:2], *counts))
    for place, box in covered.items():
        inside = [[i for i in axis if 0 <= i < n] for axis, n in zip(box, shape[2:], strict=True)]
        padded = [[i for i in axis if i < n + p] for axis, n, p in zip(box, shape[2:], padding, strict=True)]
        total = x[np.ix_(range(shape[0]), range(shape[1]), *inside)].sum(axis=tuple(range(2, x.ndim)))
        expected[(..., *place)] = total / np.prod([len(axis) for axis in (padded if count_include_pad else inside)])
    pool = of("avg_pool", len(counts))
    options = (width, stride, padding, ceil_mode, count_include_pad)
    np.testing.assert_allclose(pool(x, *options), expected, rtol=1e-12, atol=1e-12)
    y = np.random.default_rng(1).standard_normal(expected.shape)
    leaf = autograd.tensor(x, requires_grad=True)
    pool(leaf, *options).backward(y)
    np.testing.assert_allclose(np.vdot(leaf.grad.numpy(), x), np.vdot(y, expected), rtol=1e-10, atol=1e-10)


@settings(max_examples=25)
@given(windows(dilated=False), st.booleans())
def test_gradients_of_two_orders_agree_with_differences(setting, count_include_pad):
    shape, width, stride, padding, dilation, ceil_mode = setting
    rng = np.random.default_rng(0)
    x = rng.permutation(np.linspace(-1.0, 1.5, int(np.prod(shape)))).reshape(shape)  # no two are close
    n = len(width)

    def most(x):
        return of("max_pool", n)(autograd.tanh(x), width, stride, padding, dilation, ceil_mode) ** 2

    def mean(x):
        return of("avg_pool", n)(autograd.tanh(x), width, stride, padding, ceil_mode, count_include_pad) ** 2

    assert_gradients(most, x, order=2, rng=rng)
    assert_gradients(mean, x, order=2, rng=rng)


@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 8)), min_size=1, max_size=2), st.integers(0, 2**32 - 1))
def test_adaptive_pooling(axes, seed):
    rng = np.random.default_rng(seed)
    size, counts = zip(*axes, strict=True)
    x = rng.integers(-2, 2, (2, 1, *size)).astype(float)
    covered = {}
    for place in np.ndindex(*counts):
        bounds = [(p * n / m, (p + 1) * n / m) for p, n, m in zip(place, size, counts, strict=True)]
        covered[place] = [range(int(np.floor(a)), int(np.ceil(b - 1e-9))) for a, b in bounds]
    y = rng.standard_normal((2, 1, *counts))
    out, dx = last_maxima(x, y, covered)
    mean = np.stack([x[(..., *np.ix_(*box))].mean(axis=tuple(range(2, x.ndim))) for box in covered.values()], axis=-1)
    most, avg = of("adaptive_max_pool", len(size)), of("adaptive_avg_pool", len(size))
    np.testing.assert_array_equal(most(x, counts), out)
    np.testing.assert_allclose(avg(x, counts), mean.reshape(y.shape), rtol=1e-12, atol=1e-12)
    leaf = autograd.tensor(x, requires_grad=True)
    np.testing.assert_allclose(autograd.gradients(most(leaf, counts), leaf, y).numpy(), dx, rtol=1e-12, atol=1e-12)
    assert_gradients(lambda x: avg(x, counts) ** 2, x, order=2, rng=rng)


def test_adaptive_pooling_of_distinct_values_twice():
    x = np.random.default_rng(0).permutation(np.linspace(-1.0, 1.5, 42)).reshape(1, 1, 6, 7)
    assert_gradients(lambda x: autograd.adaptive_max_pool2d(autograd.tanh(x), (4, 3)) ** 2, x, order=2)
    kept = autograd.adaptive_max_pool2d(x, (None, 1))
    np.testing.assert_array_equal(kept, x.max(axis=-1, keepdims=True))


def test_padding_is_below_every_number():
    x = np.full((1, 1, 2, 2), -3.0)
    np.testing.assert_array_equal(autograd.max_pool2d(x, 2, padding=1), np.full((1, 1, 2, 2), -3.0))
    whole = np.full((1, 1, 3), np.iinfo(np.int32).min, np.int32)
    np.testing.assert_array_equal(autograd.max_pool1d(whole, 2, 1, 1), np.full((1, 1, 4), np.iinfo(np.int32).min))
    infinite = autograd.tensor(np.full((1, 1, 2), -np.inf), requires_grad=True)
    out = autograd.max_pool1d(infinite, 2)
    assert out.item() == -np.inf
    np.testing.assert_array_equal(autograd.gradients(out, infinite).numpy(), [[[0.0, 1.0]]])


def test_nan_is_passed_on():
    x = np.array([[[1.0, np.nan, 2.0, 3.0]]])
    np.testing.assert_array_equal(autograd.max_pool1d(x, 2), [[[np.nan, 3.0]]])
    np.testing.assert_array_equal(autograd.adaptive_max_pool1d(x, 2), [[[np.nan, 3.0]]])


def test_windows_of_more_places_than_a_byte_counts():
    x = np.random.default_rng(0).standard_normal((1, 1, 20, 20))
    leaf = autograd.tensor(x, requires_grad=True)
    out = autograd.max_pool2d(leaf, 20)
    assert out.item() == x.max()
    assert autograd.gradients(out, leaf).numpy().ravel().nonzero()[0] == x.argmax()


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"])
def test_the_strict_device_needs_no_transfer(name):
    from autograd.backend.strict import count_transfers

    x = np.random.default_rng(0).standard_normal((2, 2, 7, 6))
    options = ((3, 2),) if "adaptive" in name else (3, 2, 1)
    found = {}
    for device in ("cpu", "strict"):
        leaf = autograd.tensor(x, device=device).requires_grad_()
        with count_transfers() as counted:
            out = getattr(autograd, name)(leaf, *options)
            dx = autograd.gradients((out * out).sum(), leaf)
        assert (counted.to_host, counted.to_device) == (0, 0)
        found[device] = [t.detach().cpu().numpy() for t in (out, dx)]
    for a, b in zip(*found.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"])
def test_the_element_type_stays(name):
    assert getattr(autograd, name)(np.ones((1, 1, 5, 5), "float32"), 2).dtype == "float32"


X = np.zeros((1, 1, 3, 6))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: autograd.max_pool2d(X, 4), ShapeError, "max_pool2d: a window spans 4 but x has H=3"),
        (lambda: autograd.max_pool2d(X, 2, dilation=3), ShapeError, "spans 4 but x has H=3 with padding=(0, 0)"),
        (lambda: autograd.avg_pool2d(X, 4), ShapeError, "avg_pool2d: a window spans 4 but x has H=3"),
        (lambda: autograd.max_pool2d(X[0], 2), ShapeError, "4 are needed (N C H W)"),
        (
            lambda: autograd.max_pool2d(X, 2, padding=2),
            DomainError,
            "padding=2 but a window spans 2 → expected at most",
        ),
        (lambda: autograd.max_pool2d(X * 1j, 2), DTypeError, "max_pool2d: x is complex"),
        (lambda: autograd.max_pool2d(X, 0), DomainError, "kernel_size=0"),
        (lambda: autograd.max_pool2d(X, (2, 2, 2)), DomainError, "kernel_size=(2, 2, 2)"),
        (lambda: autograd.max_pool2d(X, 2, stride=0), DomainError, "stride=0"),
        (lambda: autograd.avg_pool2d(X, 2, padding="same"), DomainError, "padding='same'"),
        (lambda: autograd.adaptive_avg_pool2d(X, (1, 2, 3)), DomainError, "output_size=(1, 2, 3)"),
        (lambda: autograd.adaptive_avg_pool2d(X, 0), DomainError, "output_size=(0, 0)"),
        (lambda: autograd.adaptive_max_pool2d(X[..., :0], 2), ShapeError, "adaptive_max_pool2d: x has W=0"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)
