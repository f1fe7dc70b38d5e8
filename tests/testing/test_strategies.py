"""What strategies draw is what was asked for, and shrinks to what is simple."""

import math

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as hst

import autograd
from autograd.errors import AutogradError, ShapeError
from autograd.testing import letters, oracles, samples
from autograd.testing import strategies as st
from autograd.testing.drawn import COARSE, Drawn

DIMS = ["N", "C", "C/groups", "H*4", "3", "N*C", "groups"]
always = lambda drawn: True  # noqa: E731


def smallest(strategy, condition=always):
    return find(strategy, condition, settings=settings(database=None, deadline=None, max_examples=2000))


# --- letters ----------------------------------------------------------------------------------------------------------


@given(hst.lists(hst.lists(hst.sampled_from(DIMS), max_size=4), min_size=1, max_size=4), hst.data())
def test_letters_have_one_size_in_all_shapes(dims, data):
    drawn = data.draw(st.together(**{f"x{i}": st.tensors(" ".join(d)) for i, d in enumerate(dims)}))
    sizes = {}
    for shape, wanted in zip([x.shape for x in drawn.values()], dims, strict=True):
        assert len(shape) == len(wanted)
        for size, dim in zip(shape, wanted, strict=True):
            if dim.isidentifier():
                assert sizes.setdefault(dim, size) == size
    for shape, wanted in zip([x.shape for x in drawn.values()], dims, strict=True):
        for size, dim in zip(shape, wanted, strict=True):
            left, sign, right = letters.split(dim)
            if sign and left in sizes and (right in sizes or right.isdigit()):
                b = int(right) if right.isdigit() else sizes[right]
                assert size * b == sizes[left] if sign == "/" else size == sizes[left] * b


@given(st.together(x=st.tensors("N C 5 5"), w=st.tensors("K C/groups 3 3"), groups=st.integers(1, 3)))
def test_an_argument_is_the_letter_of_its_name(drawn):
    assert drawn["x"].shape[1] == drawn["groups"] * drawn["w"].shape[1]


@given(st.together(a=st.tensors("... M K"), b=st.tensors("... K N"), c=st.tensors("...")))
def test_an_ellipsis_broadcasts(drawn):
    a, b, c = drawn["a"].shape, drawn["b"].shape, drawn["c"].shape
    assert a[-1] == b[-2]
    np.broadcast_shapes(a[:-2], b[:-2], c)


@given(st.tensors("N D", min_side=2, max_side=3), st.tensors("N/2", max_side=5), st.tensors("...", min_side=0))
def test_sides_stay_within_their_limits(x, half, loose):
    assert set(x.shape) <= {2, 3} and half.shape[0] in (1, 2)
    assert all(0 <= n <= 4 for n in loose.shape)


def test_empty_and_0d_tensors_are_drawn():
    assert smallest(st.tensors("N D", min_side=0), lambda x: x.size == 0).shape in [(0, 0), (0, 1), (1, 0)]
    assert smallest(st.tensors("")).shape == () and smallest(st.tensors(())).shape == ()
    assert smallest(st.tensors("..."), lambda x: x.ndim == 0).shape == ()
    assert smallest(st.tensors((2, 3))).shape == (2, 3) and smallest(st.tensors((2, "N"))).shape == (2, 1)
    assert smallest(st.tensors(hst.just((4, 1)))).shape == (4, 1)
    assert smallest(st.tensors("N 0")).shape == (1, 0)


@given(hst.integers(1, 4), hst.data())
def test_broadcastable_shapes_broadcast(n, data):
    shapes = data.draw(st.broadcastable(n, max_dims=3, min_side=0, max_side=3))
    assert len(shapes) == n
    assert len(np.broadcast_shapes(*shapes)) <= 3


@given(st.shapes("N C N*2 3 ..."))
def test_shapes_are_of_the_letters(shape):
    assert shape[2] == 2 * shape[0] and shape[3] == 3


# --- values -----------------------------------------------------------------------------------------------------------

INTERVALS = [(0, math.inf), (-math.inf, 3), (-1, 1), (2, 5)]


@pytest.mark.parametrize("domain", INTERVALS)
@pytest.mark.parametrize("shape", ["N D", (32, 32)])
def test_values_lie_in_their_interval(domain, shape):
    @given(st.tensors(shape, domain=domain))
    def holds(x):
        assert np.all((x.data > domain[0]) & (x.data < domain[1]))

    holds()


@given(st.tensors("N N", domain="spd"), st.tensors("N N", domain="symmetric"), st.tensors("N N", domain="nonsingular"))
def test_matrices_are_what_their_domain_says(spd, symmetric, nonsingular):
    for x in (spd.data, symmetric.data):
        np.testing.assert_allclose(x, x.T, atol=1e-14)
    assert np.linalg.eigvalsh(spd.data).min() > 0.1
    assert np.linalg.svd(nonsingular.data, compute_uv=False).min() > 0.1


@given(st.together(x=st.tensors("N", domain="index V"), w=st.tensors("V D"), mask=st.tensors("N", domain="bool")))
def test_an_index_stays_below_its_letter(drawn):
    assert drawn["x"].dtype.kind == "i" and drawn["mask"].dtype == bool
    assert drawn["x"].data.min() >= 0 and drawn["x"].data.max() < drawn["w"].shape[0]


@given(st.tensors("N D", kinks=(0, 1)), st.tensors("N D", kinks="ties"), st.tensors("N", kinks=0))
def test_values_keep_away_from_kinks(x, untied, scalar):
    for kink in (0, 1):
        assert np.abs(x.data - kink).min() > 0.05
    assert np.abs(scalar.data).min() > 0.05
    ordered = np.sort(untied.data.ravel())
    assert ordered.size < 2 or np.diff(ordered).min() > 0.01


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64"])
def test_types(dtype):
    @given(st.tensors("N D", dtype=dtype), st.tensors("N", dtype=["float32", dtype], requires_grad=dtype != "int64"))
    def holds(x, y):
        assert x.dtype == dtype and y.dtype in ("float32", dtype) and y.requires_grad == (dtype != "int64")
        assert not x.requires_grad

    holds()


SEEN = {
    "signed zeros": lambda x: x == 0 and math.copysign(1, x) < 0,
    "huge": lambda x: abs(x) > 1e300,
    "tiny": lambda x: 0 < abs(x) < 1e-15,
    "subnormal": lambda x: 0 < abs(x) < np.finfo("float64").tiny,
    "inf": lambda x: x == -math.inf,
    "nan": math.isnan,
}


@pytest.mark.parametrize("kind", SEEN)
def test_special_values_are_drawn_when_asked_for_and_only_then(kind):
    assert smallest(st.tensors("N", elements=st.values(kind)), lambda x: any(map(SEEN[kind], x.data))).size == 1

    @given(st.tensors("N D", elements=st.values("ties")), st.tensors("N D"))
    def absent(x, usual):
        assert set(x.data.ravel()) <= {-1, 0, 1}
        assert not any(map(SEEN[kind], [*x.data.ravel(), *usual.data.ravel()]))

    absent()


def test_ties_and_huge_numbers_of_a_smaller_type():
    x = smallest(st.tensors("N", elements=st.values("ties")), lambda x: np.sum(x.data == 1) == 2)
    assert x.shape == (2,)
    for dtype in ("float32", "float16"):
        limit = np.finfo(dtype).max
        found = smallest(
            st.tensors("N", dtype=dtype, elements=st.values("huge", dtype=dtype)),
            lambda x, limit=limit: limit in x.data,
        )
        assert np.isfinite(found.data).all()


# --- layouts ----------------------------------------------------------------------------------------------------------

LIES = {
    "C": lambda x: x.flags.c_contiguous and x.flags.writeable,
    "Fortran": lambda x: x.flags.f_contiguous,
    "reversed": lambda x: x.size == 0 or all(s < 0 for s, n in zip(x.strides, x.shape, strict=True) if n > 1),
    "sliced": lambda x: x.size < 2 or not x.flags.c_contiguous,
    "read-only": lambda x: not x.flags.writeable,
}


@pytest.mark.parametrize("layout", st.LAYOUTS)
def test_layouts_hold_the_same_numbers(layout):
    @given(st.tensors("...", min_side=0))
    def holds(x):
        laid = st.LAYOUTS[layout](x.data)
        assert LIES[layout](laid) and laid.shape == x.shape and laid.dtype == x.dtype
        np.testing.assert_array_equal(laid, x.data)

    @given(st.tensors("N D", layout=layout))
    def drawn(x):
        assert LIES[layout](x.data)

    holds()
    drawn()


def test_any_layout_is_every_layout():
    for lies in LIES.values():
        smallest(st.tensors("N D", min_side=2, layout="any"), lambda x, lies=lies: lies(x.data))


# --- shrinking --------------------------------------------------------------------------------------------------------


def test_what_fails_shrinks_to_small_sizes_and_simple_numbers():
    assert smallest(st.tensors("N C H W")).data.tolist() == [[[[0.0]]]]
    found = smallest(st.tensors("N D"), lambda x: x.data.sum() > 0.9)
    assert found.size <= 2 and set(found.data.ravel() * 64 % 1) == {0}, found
    found = smallest(st.tensors("N D"), lambda x: x.shape[0] > 1 and abs(x.data).max() >= 1.5)
    assert found.shape == (2, 1) and sorted(abs(found.data.ravel())) == [0.0, 1.5]


def test_two_bytes_make_a_number_and_the_first_ones_are_simple():
    class Zeros:
        def __call__(self, strategy):
            return smallest(strategy)

    simple = Drawn(Zeros())
    assert simple.random((2,)).tolist() == [0.5, 0.5] and simple.uniform(-2, 2, (1,)).tolist() == [0.0]
    assert simple.integers(3, 9, (2,)).tolist() == [3, 3] and simple.standard_normal(3).tolist() == [0.0] * 3
    assert simple.permutation(np.arange(4)).tolist() == [0, 1, 2, 3] and simple.choice([7, 8], (1,)).tolist() == [7]
    assert len(set(COARSE)) == 256 and 0 < COARSE.min() < COARSE.max() < 1


@given(hst.data())
def test_drawn_numbers_are_where_they_belong(data):
    rng = Drawn(data.draw)
    for size in ((3, 2), (600,)):
        assert np.all((rng.random(size) > 0) & (rng.random(size) < 1))
        whole = rng.integers(-2, 5, size)
        assert whole.min() >= -2 and whole.max() < 5 and whole.shape == size
        assert np.isfinite(rng.standard_normal(size)).all()
    assert sorted(rng.permutation(np.arange(9))) == list(range(9))


def test_numbers_are_spread_evenly():
    drawn = []

    @settings(max_examples=200, database=None)
    @given(st.tensors((8, 8)))
    def collect(x):
        drawn.append(x.data.ravel())

    collect()
    spread = np.histogram(np.concatenate(drawn), bins=4, range=(-3, 3))[0] / sum(map(len, drawn))
    assert spread.min() > 0.15 and spread.max() < 0.35, spread


# --- declared operations ----------------------------------------------------------------------------------------------

KINKED = [op for name, op in sorted(autograd.registry.items()) if op.kinks and not name.endswith("_example")]


@pytest.mark.parametrize("op", KINKED, ids=lambda op: op.name)
@settings(max_examples=10)
@given(data=hst.data())
def test_points_on_kinks_are_where_the_declaration_puts_them(op, data):
    sample = data.draw(st.at_kinks(op))
    assert np.isfinite(sample.bind(op.call)(*sample.inputs)).all()
    for operand, x in zip(op.contract.inputs, sample.inputs, strict=True):
        kink = op.kinks.get(operand.name)
        if isinstance(kink, tuple):
            assert np.isin(x, kink).any()
        elif samples.ties(kink):
            assert np.isin(x, (-1, 0, 1)).all()


def test_points_on_the_kink_of_relu_are_kinks_for_the_oracle():
    x = smallest(st.at_kinks(autograd.relu)).inputs[0]
    assert x.tolist() == 0
    slope = oracles.directional_derivative(lambda x: np.maximum(x, 0), x, np.ones(()))
    assert slope.error > 0.1


@given(st.arguments(autograd.conv2d))
def test_arguments_of_an_operation_can_be_called(sample):
    assert sample.bind(autograd.conv2d)(*sample.inputs).ndim == 4


# --- what is wrong is said --------------------------------------------------------------------------------------------

WRONG = [
    (lambda: st.tensors("N-1"), r"contract: 'shape: N-1' is not understood"),
    (lambda: st.tensors("N, C"), r"is not understood"),
    (lambda: st.tensors("... N ..."), r"shape '... N ...' is not understood"),
    (lambda: st.tensors(3), r"tensors: shape is int → give letters"),
    (lambda: st.tensors(domain="positive"), r"domain 'positive' is not understood → use an interval"),
    (lambda: st.tensors(domain="index"), r"domain 'index' is not understood"),
    (lambda: st.tensors(kinks="integers"), r"kinks 'integers' are not understood → give numbers, or 'ties'"),
    (lambda: st.tensors(layout="D"), r"layout 'D' is not known → use 'C', 'Fortran'"),
    (lambda: st.tensors(dtype="float12"), r"dtype is 'float12'"),
    (lambda: st.tensors(min_side=3, max_side=2), r"min_side=3 and max_side=2 leave no size"),
    (lambda: st.values("large"), r"values: 'large' is not known → use 'signed zeros'"),
    (lambda: st.together(x=3), r"x is drawn from int 3, which is no strategy"),
    (lambda: st.together(x=st.alias("y")), r"x is an alias of 'y', which no tensor is drawn for"),
    (lambda: st.at_kinks(autograd.exp), r"exp declares no kinks"),
    (lambda: st.arguments(len), r"is no declared operation"),
]


@pytest.mark.parametrize("call, words", WRONG)
def test_mistakes_are_explained(call, words):
    with pytest.raises(AutogradError, match=words):
        call()


def test_letters_that_cannot_be_solved_are_named():
    with pytest.raises(ShapeError, match=r"A/B and B/A cannot all be whole → leave one of them out"):
        st.together(x=st.tensors("A/B"), y=st.tensors("B/A"))
    impossible = st.together(x=st.tensors("C/groups"), C=hst.just(3), groups=hst.just(2))
    with pytest.raises(ShapeError, match="C=3 cannot be divided into groups=2 equal parts"):
        smallest(impossible)
