import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import autograd
import nn
from autograd.errors import DomainError, DTypeError, ShapeError
from nn import init

weights = st.tuples(st.integers(20, 60), st.integers(20, 60)) | st.tuples(
    st.integers(8, 16), st.integers(8, 16), st.integers(1, 3), st.integers(2, 4)
)


def fill(function, shape, **arguments):
    tensor = nn.Parameter(autograd.zeros(shape, dtype="float64"))
    assert function(tensor, **arguments, generator=autograd.random.Generator(5)) is tensor
    assert tensor.requires_grad and tensor.is_leaf and tensor.dtype.name == "float64"
    return tensor.detach().numpy().ravel()


def fans(shape):
    return shape[1] * math.prod(shape[2:]), shape[0] * math.prod(shape[2:])


NORMAL = {
    "xavier_normal_": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
    "kaiming_normal_": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
    "lecun_normal_": lambda fan_in, fan_out: math.sqrt(1 / fan_in),
}
UNIFORM = {
    "xavier_uniform_": lambda fan_in, fan_out: math.sqrt(6 / (fan_in + fan_out)),
    "kaiming_uniform_": lambda fan_in, fan_out: math.sqrt(6 / fan_in),
}


@pytest.mark.parametrize("name", NORMAL)
@given(weights)
@settings(max_examples=5, deadline=None)
def test_normal_schemes_have_their_papers_deviation(name, shape):
    values = fill(getattr(init, name), shape)
    assert stats.kstest(values / NORMAL[name](*fans(shape)), "norm").pvalue > 1e-4


@pytest.mark.parametrize("name", UNIFORM)
@given(weights)
@settings(max_examples=5, deadline=None)
def test_uniform_schemes_have_their_papers_bounds(name, shape):
    values = fill(getattr(init, name), shape) / UNIFORM[name](*fans(shape))
    assert stats.kstest(values, stats.uniform(-1, 2).cdf).pvalue > 1e-4


def test_modes_gains_and_slopes():
    shape = (40, 90)
    assert fill(init.kaiming_normal_, shape, mode="fan_out").std() == pytest.approx(math.sqrt(2 / 40), rel=0.05)
    assert fill(init.kaiming_normal_, shape, nonlinearity="tanh").std() == pytest.approx(
        5 / 3 / math.sqrt(90), rel=0.05
    )
    assert fill(init.kaiming_normal_, shape, a=1.0).std() == pytest.approx(1 / math.sqrt(90), rel=0.05)
    assert fill(init.xavier_normal_, shape, gain=3.0).std() == pytest.approx(3 * math.sqrt(2 / 130), rel=0.05)
    assert init.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))


@given(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)), st.sampled_from([1.0, 2.5]))
@settings(max_examples=20, deadline=None)
def test_orthogonal_rows_or_columns(shape, gain):
    matrix = fill(init.orthogonal_, shape, gain=gain).reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_uniform_over_the_group():
    # The angle of a random plane rotation or reflection is uniform; QR alone would prefer one sign.
    first = [fill_seed(seed) for seed in range(400)]
    assert stats.kstest(np.array(first) / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3


def fill_seed(seed):
    matrix = init.orthogonal_(
        autograd.zeros((2, 2), dtype="float64"), generator=autograd.random.Generator(seed)
    ).numpy()
    return math.atan2(matrix[1, 0], matrix[0, 0])


def test_truncated_normal_is_truncated_and_normal():
    values = fill(init.trunc_normal_, (5000,), mean=0.5, std=2.0, a=-1.0, b=3.0)
    assert values.min() >= -1 and values.max() <= 3
    assert stats.kstest(values, stats.truncnorm(-0.75, 1.25, 0.5, 2).cdf).pvalue > 1e-4
    with pytest.raises(DomainError, match="widen it"):
        init.trunc_normal_(autograd.zeros((3,)), a=8.0, b=9.0)


def test_plain_fills():
    w = autograd.zeros((3, 2))
    assert (init.constant_(w, 4.0).numpy() == 4).all() and (init.ones_(w).numpy() == 1).all()
    assert (init.eye_(w).numpy() == np.eye(3, 2)).all() and not init.zeros_(w).numpy().any()
    assert fill(init.uniform_, (1000,), a=2.0, b=3.0).min() >= 2
    assert fill(init.normal_, (1000,), mean=5.0, std=0.1).mean() == pytest.approx(5, abs=0.02)


def test_the_same_generator_gives_the_same_weights():
    assert np.array_equal(fill(init.normal_, (4,)), fill(init.normal_, (4,)))
    autograd.manual_seed(3)
    one = nn.Linear(3, 4).state_dict()
    autograd.manual_seed(3)
    assert np.array_equal(one["weight"].numpy(), nn.Linear(3, 4).state_dict()["weight"].numpy())


@given(weights)
@settings(max_examples=10, deadline=None)
def test_layers_start_uniform_within_one_over_root_fan_in(shape):
    layer = nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], shape[2:])
    bound = 1 / math.sqrt(fans(shape)[0])
    for parameter in (layer.weight, layer.bias):
        assert abs(parameter.detach().numpy()).max() <= bound
    assert abs(layer.weight.detach().numpy()).max() > 0.9 * bound


def test_wrong_calls():
    with pytest.raises(ShapeError, match=r"a weight of shape \(3,\) has no fan in"):
        init.xavier_normal_(autograd.zeros((3,)))
    with pytest.raises(DomainError, match="mode is 'fan'"):
        init.kaiming_normal_(autograd.zeros((3, 3)), mode="fan")
    with pytest.raises(DomainError, match="nonlinearity is 'cube'"):
        init.calculate_gain("cube")
    with pytest.raises(ShapeError, match="expected 2 axes"):
        init.eye_(autograd.zeros((3,)))
    for draw in (init.normal_, init.uniform_):
        with pytest.raises(DTypeError, match="dtype int64, expected a floating type"):
            draw(autograd.zeros((3,), dtype="int64"))
