"""Convolution against loops, the adjoint identities that define its family, and gradients of two orders."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import autograd
from autograd.errors import DomainError, DTypeError, ShapeError
from autograd.kernels.reference import windows
from autograd.ops import conv as family
from autograd.testing import assert_gradients


class Setting(NamedTuple):
    """Shapes and options of a convolution in any number of dimensions."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def axes(self):
        return len(self.stride)

    @property
    def options(self):
        return self[2:]

    @property
    def out(self):
        """The size of the result: how many windows end inside the padded input."""
        found = []
        for n, r, s, (before, after), d in zip(self.x[2:], self.w[2:], *self[2:5], strict=True):
            last = n + before + after - (r - 1) * d - 1  # where the last window may begin
            found.append(len(range(0, last + 1, s)))
        return (self.x[0], self.w[0], *found)

    def draw(self, seed=0):
        rng = np.random.default_rng(seed)
        return tuple(rng.standard_normal(shape) for shape in (self.x, self.w, self.out))


@st.composite
def settings_of_conv(draw):
    n = draw(st.integers(1, 3))
    few = st.integers(1, 2)
    groups = draw(few)
    width, dilation = (tuple(draw(st.integers(1, top)) for _ in range(n)) for top in (3, 2))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(n))
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(n))
    least = [max(1, (r - 1) * d + 1 - sum(p)) for r, d, p in zip(width, dilation, padding, strict=True)]
    size = tuple(m + draw(st.integers(0, 3 if n < 3 else 1)) for m in least)
    x = (draw(few), groups * draw(few), *size)
    return Setting(x, (groups * draw(few), x[1] // groups, *width), stride, padding, dilation, groups)


def taps(s):
    """Every meeting of a window p, a filter place r and the element i of the input, outside padding."""
    for p in np.ndindex(s.out[2:]):
        for r in np.ndindex(s.w[2:]):
            i = tuple(np.array(p) * s.stride + np.array(r) * s.dilation - [before for before, _ in s.padding])
            if all(0 <= a < n for a, n in zip(i, s.x[2:], strict=True)):
                yield (..., *p), (..., *r), (..., *i)


def by_loops(s, x, w):
    out = np.zeros(s.out)
    k, c = s.w[0] // s.groups, s.w[1]
    for g in range(s.groups):
        filters, channels = slice(g * k, (g + 1) * k), slice(g * c, (g + 1) * c)
        for p, r, i in taps(s):
            out[:, filters][p] += x[:, channels][i] @ w[filters][r].T
    return out


def operations(axes):
    return (getattr(family, name.format(axes)) for name in ("conv{}d", "conv{}d_dx", "conv{}d_dw", "conv_transpose{}d"))


@given(settings_of_conv())
@example(Setting((2, 2, 4, 3), (2, 2, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1))
@example(Setting((2, 4, 3, 3), (6, 2, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 2))
@example(Setting((1, 1, 1, 1), (1, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1))
@example(Setting((1, 3, 5), (3, 1, 2), (2,), ((2, 2),), (2,), 3))
def test_values_are_those_of_loops(s):
    x, w, _ = s.draw()
    conv, *_ = operations(s.axes)
    out = conv(x, w, *s.options)
    assert type(out) is np.ndarray
    np.testing.assert_allclose(out, by_loops(s, x, w), rtol=1e-12, atol=1e-12)


@given(settings_of_conv())
def test_the_family_is_one_trilinear_form(s):
    x, w, y = s.draw()
    conv, conv_dx, conv_dw, _ = operations(s.axes)
    form = np.vdot(by_loops(s, x, w), y)
    np.testing.assert_allclose(np.vdot(conv(x, w, *s.options), y), form, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.vdot(x, conv_dx(y, w, s.x[2:], *s.options)), form, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.vdot(w, conv_dw(x, y, s.w[2:], *s.options)), form, rtol=1e-10, atol=1e-10)


@settings(max_examples=25)
@given(settings_of_conv(), st.integers(0, 2**32 - 1))
def test_gradients_of_two_orders_agree_with_differences(s, seed):
    x, w, y = s.draw(seed)
    conv, conv_dx, conv_dw, _ = operations(s.axes)
    rng = np.random.default_rng(seed)
    assert_gradients(lambda x, w: conv(x, w, *s.options), x, w, order=2, rng=rng)
    assert_gradients(lambda y, w: conv_dx(y, w, s.x[2:], *s.options), y, w, order=2, rng=rng)
    assert_gradients(lambda x, y: conv_dw(x, y, s.w[2:], *s.options), x, y, order=2, rng=rng)


@st.composite
def settings_of_transpose(draw):
    s = draw(settings_of_conv())
    x, w = (s.x[0], s.w[0], *s.x[2:]), s.w  # x has the filters' K channels
    extra = tuple(draw(st.integers(0, max(a, d) - 1)) for a, d in zip(s.stride, s.dilation, strict=True))
    return s._replace(x=x, w=w), extra


@given(settings_of_transpose())
@example((Setting((1, 2, 2, 1), (2, 1, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 2), 1), (0, 1)))
@example((Setting((1, 2, 3), (2, 1, 1), (1,), ((1, 0),), (2,), 1), (1,)))
def test_transposed_convolution_adds_filters_up(drawn):
    s, extra = drawn
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(s.x), rng.standard_normal(s.w)
    full = [(n - 1) * a + (r - 1) * d + 1 for n, a, r, d in zip(s.x[2:], s.stride, s.w[2:], s.dilation, strict=True)]
    out = np.zeros((s.x[0], s.w[1] * s.groups, *[n + e + 4 for n, e in zip(full, extra, strict=True)]))
    k, c = s.w[1], s.w[0] // s.groups
    for g in range(s.groups):
        for p in np.ndindex(s.x[2:]):
            for r in np.ndindex(s.w[2:]):
                at = (..., *(np.array(p) * s.stride + np.array(r) * s.dilation))
                part = x[:, g * c : (g + 1) * c][(..., *p)] @ w[g * c : (g + 1) * c][(..., *r)]
                out[:, g * k : (g + 1) * k][at] += part
    stops = [n + e - after for n, e, (_, after) in zip(full, extra, s.padding, strict=True)]
    expected = out[(..., *[slice(before, stop) for (before, _), stop in zip(s.padding, stops, strict=True)])]
    *_, transpose = operations(s.axes)
    arguments = (s.stride, s.padding, extra, s.groups, s.dilation)
    if any(stop <= before for (before, _), stop in zip(s.padding, stops, strict=True)):
        with pytest.raises(ShapeError, match="less"):
            transpose(x, w, *arguments)
        return
    np.testing.assert_allclose(transpose(x, w, *arguments), expected, rtol=1e-12, atol=1e-12)
    if s.axes < 3:
        assert_gradients(lambda x, w: transpose(x, w, *arguments), x, w, order=2)


def test_third_order_gradients():
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 2, 5, 4)), rng.standard_normal((2, 1, 2, 3))

    def bent(x, w):
        return autograd.tanh(autograd.conv2d(x, w, stride=(2, 1), padding=1, groups=2))

    assert_gradients(bent, x, w, order=3, rng=rng)


@pytest.mark.parametrize(("width", "dilation"), [(1, 1), (2, 1), (3, 1), (2, 3), (4, 2)])
def test_same_keeps_the_size_and_puts_the_odd_element_after(width, dilation):
    x, w = np.random.default_rng(0).standard_normal((1, 1, 9)), np.ones((1, 1, width))
    out = autograd.conv1d(x, w, padding="same", dilation=dilation)
    beyond = (width - 1) * dilation
    padded = np.pad(x, ((0, 0), (0, 0), (beyond // 2, beyond - beyond // 2)))
    np.testing.assert_array_equal(out, autograd.conv1d(padded, w, padding="valid", dilation=dilation))
    assert out.shape == x.shape


def test_options_have_many_spellings():
    x, w = np.random.default_rng(0).standard_normal((2, 1, 2, 6, 6))
    w = w[..., :3, :3]
    expected = autograd.conv2d(x, w, 2, 1)
    for stride, padding in (
        ((2, 2), (1, 1)),
        ([2, 2], [1, 1]),
        (np.array([2, 2]), ((1, 1), [1, 1])),
        (np.int64(2), [(1, 1), 1]),
    ):
        np.testing.assert_array_equal(autograd.conv2d(x, w, stride=stride, padding=padding), expected)


def test_examples_are_cut_into_parts_that_fit_the_cache(monkeypatch):
    s = Setting((7, 2, 6, 5), (4, 1, 3, 3), (1, 2), ((1, 1), (0, 2)), (1, 1), 2)
    x, w, y = s.draw()
    whole = [
        autograd.conv2d(x, w, *s.options),
        family.conv2d_dx(y, w, s.x[2:], *s.options),
        family.conv2d_dw(x, y, s.w[2:], *s.options),
    ]
    for cached in (1, 900, 1700):
        monkeypatch.setattr(windows, "CACHED", cached)
        parts = [
            autograd.conv2d(x, w, *s.options),
            family.conv2d_dx(y, w, s.x[2:], *s.options),
            family.conv2d_dw(x, y, s.w[2:], *s.options),
        ]
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_a_batch_of_none():
    x, w = autograd.zeros((0, 2, 5, 5), dtype="float64"), autograd.zeros((3, 2, 3, 3), dtype="float64")
    x.requires_grad = w.requires_grad = True
    out = autograd.conv2d(x, w, padding=1)
    assert out.shape == (0, 3, 5, 5)
    dx, dw = autograd.gradients(out.sum(), [x, w])
    assert dx.shape == x.shape and not dw.numpy().any() and dw.shape == w.shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_element_type_stays(dtype):
    x, w = np.ones((1, 2, 4, 4), dtype), np.ones((2, 2, 3, 3), dtype)
    y = autograd.conv2d(x, w)
    assert y.dtype == family.conv2d_dx(y, w, (4, 4)).dtype == family.conv2d_dw(x, y, (3, 3)).dtype == dtype


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1, "groups": 2, "dilation": 2}])
def test_the_strict_device_needs_no_transfer(options):
    from autograd.backend.strict import count_transfers

    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 6, 6)), rng.standard_normal((4, 4 // options.get("groups", 1), 2, 2))
    found = {}
    for device in ("cpu", "strict"):
        a, b = (autograd.tensor(t, device=device).requires_grad_() for t in (x, w))
        with count_transfers() as counted:
            out = autograd.conv2d(a, b, **options)
            grads = autograd.gradients((out * out).sum(), [a, b])
        assert (counted.to_host, counted.to_device) == (0, 0)
        found[device] = [t.cpu().numpy() for t in (out.detach(), *grads)]
    for a, b in zip(*found.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


X, W = np.zeros((2, 4, 7, 6)), np.zeros((6, 2, 3, 2))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: autograd.conv2d(X, W), ShapeError, "w has C/groups=2 but x has C=4, groups=1 → expected 4"),
        (lambda: autograd.conv2d(X[0], W, groups=2), ShapeError, "4 are needed (N C H W)"),
        (lambda: autograd.conv2d(X, W, groups=3), ShapeError, "C=4 cannot be divided into groups=3"),
        (lambda: autograd.conv2d(X, W[:5], groups=2), ShapeError, "K=5 cannot be divided into groups=2"),
        (lambda: autograd.conv2d(X, W, 1, 0, 9, 2), ShapeError, "x has H=7 with padding=(0, 0) → expected H of at"),
        (lambda: autograd.conv2d(X, W[..., :0], groups=2), ShapeError, "w has S=0"),
        (lambda: autograd.conv2d(X, W, stride=-1, groups=2), DomainError, "stride=-1 but an integer of at least 1"),
        (lambda: autograd.conv2d(X, W, stride=0, groups=2), DomainError, "stride=0 but an integer of at least 1"),
        (lambda: autograd.conv2d(X, W, stride=1.5, groups=2), DomainError, "stride=1.5"),
        (lambda: autograd.conv2d(X, W, stride=(1, 2, 3), groups=2), DomainError, "stride=(1, 2, 3)"),
        (lambda: autograd.conv2d(X, W, dilation=0, groups=2), DomainError, "dilation=0"),
        (lambda: autograd.conv2d(X, W, groups=0), DomainError, "groups=0"),
        (lambda: autograd.conv2d(X, W, padding=-1, groups=2), DomainError, "padding=-1"),
        (lambda: autograd.conv2d(X, W, padding=(1, 2, 3), groups=2), DomainError, "2 pairs (before, after)"),
        (lambda: autograd.conv2d(X, W, padding="full", groups=2), DomainError, "padding='full'"),
        (lambda: autograd.conv2d(X, W, padding="same", stride=2, groups=2), DomainError, "use stride 1"),
        (lambda: autograd.conv2d(X.tolist(), W, groups=2), DTypeError, "x is a list"),
        (lambda: autograd.conv2d(X, None, groups=2), DTypeError, "w is a NoneType"),
        (lambda: family.conv2d_dx(X, np.zeros((4, 2, 3, 2)), (3, 3)), ShapeError, "y has (7, 6) windows"),
        (lambda: autograd.conv_transpose2d(X, W), ShapeError, "w has C=6 but x has C=4 → expected 4"),
        (lambda: autograd.conv_transpose2d(X, W[:4], groups=3), ShapeError, "C=4 cannot be divided into groups=3"),
        (lambda: autograd.conv_transpose2d(X, W[:4], output_padding=1), DomainError, "output_padding=(1, 1) but"),
        (lambda: autograd.conv_transpose2d(X, W[:4], padding="same"), DomainError, "padding='same' but numbers"),
        (lambda: autograd.conv_transpose2d(X, W[:4], padding=9), ShapeError, "expected less"),
    ],
)  # fmt: skip
def test_wrong_calls_say_what_is_wrong(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value)
