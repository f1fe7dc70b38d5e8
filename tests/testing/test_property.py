"""What gradient_property makes of a function: a test that finds wrong gradients, shrinks them and says how to call."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, settings
from hypothesis import strategies as hst

import autograd
from autograd import Tensor, primitive, tensor
from autograd.errors import AutogradError, ShapeError
from autograd.testing import gradient_property
from autograd.testing import strategies as st

wrong_tanh = primitive("wrong_tanh_example", "x: ...", forward="tanh", vjp={"x": lambda g, out: g * (1 + out * out)})


class Layer:
    """A layer of a user's own."""

    def __init__(self, channels=2):
        self.w = tensor(np.linspace(-1, 1, channels * 4).reshape(channels, 4))

    def __call__(self, x):
        return autograd.tanh(x @ self.w.T)


def my_layer(x, w):
    return autograd.tanh(autograd.conv2d(x, w, padding=1))


# --- as the README writes it ------------------------------------------------------------------------------------------


@gradient_property(x=st.tensors(shape="N C H W"), w=st.tensors(shape="K C 3 3"))
def test_my_layer(x, w):
    return my_layer(x, w)


# --- everything that a function can be --------------------------------------------------------------------------------


@gradient_property(x=st.tensors("N D", layout="any", dtype=["float64", "float32"]), order=2)
def test_any_layout_and_type(x):
    return autograd.exp(x).sum(axis=0)


@gradient_property(x=st.tensors("N D"), y=st.alias("x"), order=2)
def test_one_tensor_twice(x, y):
    assert x is y
    return x * autograd.sin(y)


@gradient_property(x=st.tensors("N N", domain="spd"))
def test_symmetric_ones_stay_symmetric(x):
    np.testing.assert_allclose(x.data, x.data.T, atol=1e-12)
    return autograd.cholesky(x)


@gradient_property(x=st.tensors("N D", min_side=0), scale=hst.sampled_from([2, 3]))
def test_empty_ones_and_numbers(x, scale):
    return autograd.tanh(x) ** scale


@gradient_property(x=st.tensors("N C 4 4"), w=st.tensors("K*groups C/groups 3 3"), groups=st.integers(1, 2))
def test_arithmetic_on_letters(x, w, groups):
    return autograd.conv2d(x, w, groups=groups)


@gradient_property(index=st.tensors("N", domain="index V"), w=st.tensors("V D"))
def test_an_index_is_not_differentiated(index, w):
    assert not index.requires_grad and index.dtype.kind == "i"
    return autograd.take(w, index, axis=0)


@gradient_property(x=st.tensors("N D"))
def test_several_results(x):
    return x * x, autograd.cos(x).sum()


@pytest.mark.parametrize("power", [1, 2, 3])
@gradient_property(x=st.tensors("N", domain=(0.2, 2)))
def test_parameters_of_pytest(x, power):
    return x**power


@gradient_property(x=st.tensors("N"))
@pytest.mark.parametrize("power", [1, 2])
def test_parameters_of_pytest_below(x, power):
    return x**power


@pytest.fixture
def layer():
    return Layer()


@pytest.fixture(scope="module")
def seen():
    return []


@gradient_property(x=st.tensors("N 4"))
def test_fixtures(layer, x, seen):
    seen.append(x)
    return layer(x)


def test_fixtures_were_the_same_for_all_examples(seen):
    assert len(seen) > 100


drawn = {"settings": 0, "below": 0, "examples": []}


@settings(max_examples=3)
@gradient_property(x=st.tensors("N"))
def test_settings_above(x):
    drawn["settings"] += not x.requires_grad and 1
    return x * x


@gradient_property(x=st.tensors("N"))
@settings(max_examples=3)
def test_settings_below(x):
    drawn["below"] += 1
    return x * x


@example(x=tensor([7.0, 8.0]))
@gradient_property(x=st.tensors("N"))
@example(x=tensor([9.0]))
def test_examples(x):
    drawn["examples"].append(x.data.tolist())
    return x * x


def test_settings_and_examples_were_used():
    assert 0 < drawn["settings"] < 400 and 0 < drawn["below"] < 400
    assert [9.0] in drawn["examples"] and [7.0, 8.0] in drawn["examples"]


class TestMethods:
    """Methods are properties too."""

    slope = 2.0

    @gradient_property(x=st.tensors("N"))
    def test_method(self, x):
        return x * self.slope

    @pytest.mark.parametrize("shift", [0.5, 1.5])
    @settings(max_examples=5)
    @gradient_property(x=st.tensors("N"))
    def test_method_with_everything(self, x, shift):
        return autograd.sin(x * self.slope + shift)


@gradient_property(x=st.tensors("N"))
def test_examples_may_be_rejected(x):
    assume(x.data[0] > 0)
    return autograd.sqrt(abs(x) + 1)


@gradient_property(x=st.tensors("N"))
def test_signature(x):
    """Its docstring."""
    return x


def test_a_property_looks_like_the_function():
    assert test_signature.__name__ == "test_signature" and test_signature.__doc__ == "Its docstring."
    x = tensor([1.0])
    assert test_signature.function(x) is x


# --- what it finds ----------------------------------------------------------------------------------------------------


def failure(function, condition=AssertionError, **arguments):
    """The error of a property that does not hold, with Hypothesis' notes."""
    with pytest.raises(condition) as caught:
        settings(database=None, derandomize=True)(gradient_property(**arguments)(function))()
    return str(caught.value) + "\n" + "\n".join(getattr(caught.value, "__notes__", ()))


def test_a_wrong_rule_is_found_shrunk_and_its_call_written_out():
    def my_test(x, y):
        return wrong_tanh(x) + y

    text = failure(my_test, x=st.tensors("N D"), y=st.tensors("D"))
    assert "wrong gradient of" in text and "analytic" in text and "numeric" in text
    line = re.search(r"reproduce: @example\((.*)\) above my_test", text)
    assert line, text
    arguments = eval(f"dict({line[1]})", {"Tensor": Tensor, "np": np})
    assert arguments["x"].shape == (1, 1) and arguments["y"].shape == (1,)
    assert abs(arguments["x"].data * 8 % 1).max() == 0, "a simple number"
    with pytest.raises(AssertionError):
        autograd.testing.assert_gradients(my_test, *arguments.values())
    assert "my_test(" in text and "x=tensor([[" in text, "the example as Hypothesis shows it"


def test_what_a_mistake_looks_like_is_told_before_it_is_shrunk():
    def only_factor(xp, x):  # the rule of x / |x| that forgets the projection
        return 1 / xp.sqrt((x * x).sum(axis=1, keepdims=True))

    unit = primitive(
        "unit_example", "x: N D -> N D", forward=lambda xp, x: x * only_factor(xp, x),
        vjp={"x": lambda g, x: g * only_factor(autograd, x)},
    )  # fmt: skip

    def wrong(x, w):
        return unit(x) @ w

    text = failure(wrong, x=st.tensors("N D", domain=(0.5, 2)), w=st.tensors("D K"))
    told = re.search(r"before shrinking, with x (.*), w (.*), it looks like a", text)
    assert told, text
    (n, d), (same, k) = (eval(shape) for shape in told.groups())
    assert d == same and n * d + d * k > 2 and "stale" not in text


def test_what_is_drawn_narrow_is_held_against_float64():
    def coarse(x):
        return autograd.exp(x) if x.dtype == np.float64 else autograd.exp(x).astype("float16").astype(x.dtype)

    settings(database=None)(gradient_property(x=st.tensors("N"))(coarse))()
    text = failure(coarse, x=st.tensors("N", dtype="float32"))
    assert "lost precision in float32: the " in text and "@example(" in text


def test_an_order_that_is_not_asked_for_is_not_tested():
    def rule(g, x):  # its own derivative is forgotten
        return g * 3 * x * getattr(x, "data", x)

    once = primitive("right_once_example", "x: ...", forward=lambda x: x**3, vjp={"x": rule})

    def cube(x):
        return once(x)

    settings(database=None)(gradient_property(x=st.tensors("N", domain=(0.5, 2)))(cube))()
    assert "order 2" in failure(cube, x=st.tensors("N", domain=(0.5, 2)), order=2)


def test_a_function_that_looks_at_the_memory_is_found():
    def by_memory(x):
        return x * float(x.data.strides[0] < 0)

    text = failure(by_memory, x=st.tensors("N", min_side=2, layout="reversed"))
    assert "changes with how an array lies in memory: x has strides (-8,)" in text

    def writes(x):
        x.data[...] = 1.0
        return x * x

    assert "read-only" in failure(writes, ValueError, x=st.tensors("N", layout="read-only"))


ONE_TWICE = {"x": st.tensors("N"), "y": st.alias("x")}


def test_one_tensor_twice_is_differentiated_as_one():
    def forgets(x, y):
        return wrong_tanh(x) * y if x is y else x * y

    assert re.search(r"@example\(x=\(x := Tensor\(.*\)\), y=x\) above forgets", failure(forgets, **ONE_TWICE))
    settings(database=None)(gradient_property(x=st.tensors("N"), y=st.tensors("N"))(forgets))()


def test_functions_that_misbehave_are_named():
    assert "no tensor" in failure(lambda x: None, x=st.tensors("N"))
    assert "no tensor" in failure(lambda x: x.numpy(), x=st.tensors("N"))
    assert "floating" in failure(lambda x: x > 0, x=st.tensors("N"))


# --- what is wrong in the call ----------------------------------------------------------------------------------------


def no_arguments():
    return tensor(1.0)


def two(x, w, *, mode="same"):
    return x


nothing = no_arguments
MISTAKES = [
    (lambda: gradient_property(z=st.tensors())(two), AutogradError, r"two has no argument 'z' → it takes x, w, mode"),
    (lambda: gradient_property(x=st.tensors())(nothing), AutogradError, r"no argument 'x' → it takes no arguments"),
    (lambda: gradient_property(x=(2, 3)), AutogradError, r"x is drawn from tuple \(2, 3\), which is no strategy"),
    (lambda: gradient_property(x=tensor(1.0)), AutogradError, r"x is drawn from Tensor .* which is no strategy"),
    (lambda: gradient_property(order=2), AutogradError, r"no argument is drawn → name one, x="),
    (lambda: gradient_property(x=st.tensors())(Layer), AutogradError, r"Layer is not a function"),
    (lambda: gradient_property(x=st.tensors("A/B"), y=st.tensors("B/A")), ShapeError, r"A/B and B/A cannot all"),
    (lambda: gradient_property(x=st.tensors(), y=st.alias("z")), AutogradError, r"y is an alias of 'z'"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, words", MISTAKES)
def test_mistakes_are_explained(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_shared_fixtures_are_allowed_by_default_only():
    checks = settings().suppress_health_check
    assert HealthCheck.function_scoped_fixture not in checks
    inner = test_fixtures._hypothesis_internal_use_settings
    assert HealthCheck.function_scoped_fixture in inner.suppress_health_check
