"""Optimisers: the published formulas in NumPy, groups, state, clipping, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import DeviceError, DomainError, DTypeError, GraphError, ShapeError
from nn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, clip_grad_norm_, clip_grad_value_

STEPS = 6


def parameter(*shape, seed=0, dtype="float64"):
    return autograd.tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


def gradients(shape, seed=1, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for _ in range(STEPS)]


def run(make, dtype="float64"):
    """The parameter after each step along fixed gradients."""
    p = parameter(3, 2, dtype=dtype)
    optimizer, path = make([p]), []
    for g in gradients((3, 2), dtype=dtype):
        p.grad = autograd.tensor(g)
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return path


# --- the formulas, written out once more, without any state but plain variables ---


def sgd(p, gs, lr, momentum, dampening, weight_decay, nesterov):
    v = None
    for g in gs:
        g = g + weight_decay * p
        v = g if v is None else momentum * v + (1 - dampening) * g
        p = p - lr * (g + momentum * v if nesterov else v)
        yield p


def adam(p, gs, lr, betas, eps, weight_decay, amsgrad, decoupled=False):
    m = v = highest = 0.0
    for t, g in enumerate(gs, 1):
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        highest = np.maximum(highest, v)
        hat = (highest if amsgrad else v) / (1 - betas[1] ** t)
        p = p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(hat) + eps)
        yield p


def rmsprop(p, gs, lr, alpha, eps, weight_decay, momentum, centered):
    v = mean = b = 0.0
    for g in gs:
        g = g + weight_decay * p
        v, mean = alpha * v + (1 - alpha) * g**2, alpha * mean + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - mean**2 if centered else v) + eps)
        p = p - lr * b
        yield p


def adagrad(p, gs, lr, lr_decay, weight_decay, initial_accumulator_value, eps):
    s = initial_accumulator_value
    for t, g in enumerate(gs, 1):
        g = g + weight_decay * p
        s = s + g**2
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s) + eps)
        yield p


unit, rate = st.floats(0, 0.99), st.floats(1e-4, 1.0)
decay = st.sampled_from([0.0, 0.01, 0.5])
RULES = {
    "SGD": (SGD, sgd, {"momentum": st.just(0.0) | unit, "dampening": unit, "nesterov": st.just(False)}),
    "Nesterov": (SGD, sgd, {"momentum": st.floats(0.1, 0.99), "dampening": st.just(0.0), "nesterov": st.just(True)}),
    "Adam": (Adam, adam, {"betas": st.tuples(unit, unit), "eps": st.floats(1e-8, 1e-2), "amsgrad": st.booleans()}),
    "AdamW": (
        AdamW,
        lambda *a, **k: adam(*a, **k, decoupled=True),
        {"betas": st.tuples(unit, unit), "eps": st.floats(1e-8, 1e-2), "amsgrad": st.booleans()},
    ),
    "RMSprop": (
        RMSprop,
        rmsprop,
        {"alpha": st.floats(0.1, 0.99), "eps": st.floats(1e-6, 1e-2), "momentum": unit, "centered": st.booleans()},
    ),
    "Adagrad": (
        Adagrad,
        adagrad,
        {"lr_decay": unit, "initial_accumulator_value": unit, "eps": st.floats(1e-10, 1e-2)},
    ),
}


@pytest.mark.parametrize("name", RULES)
@given(data=st.data())
def test_each_rule_is_its_formula(name, data):
    cls, formula, drawn = RULES[name]
    given_ = data.draw(st.fixed_dictionaries({"lr": rate, "weight_decay": decay, **drawn}))
    if name == "SGD" and not given_["momentum"]:
        given_["dampening"] = 0.0  # without momentum PyTorch, and this library, apply no dampening
    p0 = parameter(3, 2).detach().numpy()
    expected = formula(p0, gradients((3, 2)), **given_)
    for ours, theirs in zip(run(lambda params: cls(params, **given_)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("cls", [SGD, Adam, AdamW, RMSprop, Adagrad])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_type_and_the_memory_of_a_parameter_stay(cls, dtype):
    p = parameter(4, dtype=dtype)
    memory, optimizer = p.data, cls([p], lr=0.1, weight_decay=0.1)
    for g in gradients((4,), dtype=dtype):
        p.grad = autograd.tensor(g)
        optimizer.step()
    assert p.data is memory and p.dtype == dtype and p.is_leaf and p.requires_grad
    assert all(value.dtype == dtype for value in optimizer.state[0].values() if hasattr(value, "dtype"))


@pytest.mark.parametrize("cls", [SGD, Adam, AdamW, RMSprop, Adagrad])
def test_maximising_is_minimising_the_negative(cls):
    p, q = parameter(3), parameter(3)
    up, down = cls([p], lr=0.1, maximize=True), cls([q], lr=0.1)
    for g in gradients((3,)):
        p.grad, q.grad = autograd.tensor(g), autograd.tensor(-g)
        up.step(), down.step()
    assert (p.detach().numpy() == q.detach().numpy()).all()


EVERYTHING = [
    lambda ps: SGD(ps, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    lambda ps: SGD(ps, 0.1, momentum=0.9, weight_decay=0.1, dampening=0.5),
    lambda ps: Adam(ps, 0.1, weight_decay=0.1, amsgrad=True),
    lambda ps: AdamW(ps, 0.1, amsgrad=True),
    lambda ps: RMSprop(ps, 0.1, weight_decay=0.1, momentum=0.9, centered=True),
    lambda ps: Adagrad(ps, 0.1, weight_decay=0.1, initial_accumulator_value=0.1),
]


@pytest.mark.parametrize("make", EVERYTHING)
def test_shape_and_device_make_no_difference(make):
    """A number without axes and an array on the strict device go the way of one entry of an array."""
    ways = [autograd.tensor([2.0]), autograd.tensor(2.0), autograd.tensor([2.0], device="strict")]
    for p in ways:
        p.requires_grad = True
    optimizers = [make([p]) for p in ways]
    for g in (3.0, -1.0, 0.5, 2.0):
        for p, optimizer in zip(ways, optimizers, strict=True):
            p.grad = autograd.full_like(p, g)
            optimizer.step()
    assert len({p.detach().cpu().numpy().item() for p in ways}) == 1
    assert len({str(optimizer.state_dict()["state"][0].keys()) for optimizer in optimizers}) == 1
    assert ways[2].device == "strict"


def test_clipping_works_on_the_strict_device():
    p = autograd.tensor([1.0, 2.0], device="strict", requires_grad=True)
    p.grad = autograd.tensor([3.0, 4.0], device="strict")
    clip_grad_norm_([p], 1.0), clip_grad_value_([p], 0.1)
    assert p.grad.device == "strict"


def test_a_model_that_moved_away_from_its_optimiser_is_named():
    layer = nn.Linear(2, 1)
    optimizer = Adam(layer.parameters())
    for device in ("cpu", "strict"):
        layer.to(device)
        layer(autograd.ones((1, 2), device=device)).sum().backward()
        if device == "cpu":
            optimizer.step()
    with pytest.raises(DeviceError, match="parameter 0 is on 'strict' but its exp_avg on 'cpu'"):
        optimizer.step()


def test_a_step_counts_as_a_write():
    p = parameter(2)
    loss = (p * p).sum()
    p.grad = autograd.ones_like(p)
    SGD([p], 0.1).step()
    with pytest.raises(GraphError, match="written to in place"):
        loss.backward()


def test_parameters_without_a_gradient_are_left_alone():
    p, q = parameter(2), parameter(2, seed=1)
    before, optimizer = q.detach().numpy().copy(), Adam([p, q], lr=0.1)
    p.grad = autograd.ones_like(p)
    optimizer.step()
    assert (q.detach().numpy() == before).all() and set(optimizer.state_dict()["state"]) == {0}


def test_groups_have_hyperparameters_of_their_own():
    p, q = parameter(2), parameter(2)
    start = p.detach().numpy().copy()
    optimizer = SGD([{"params": [p]}, {"params": q, "lr": 1.0}], lr=0.5)
    p.grad, q.grad = autograd.ones_like(p), autograd.ones_like(q)
    optimizer.step()
    assert (p.detach().numpy() == start - 0.5).all() and (q.detach().numpy() == start - 1.0).all()


def test_zero_grad_forgets_or_fills():
    p = parameter(2)
    p.grad = autograd.ones_like(p)
    SGD([p]).zero_grad(set_to_none=False)
    assert p.grad.numpy().tolist() == [0, 0]
    SGD([p]).zero_grad()
    assert p.grad is None


@pytest.mark.parametrize(
    "make",
    [lambda p: SGD(p, 0.1, momentum=0.9), lambda p: Adam(p, 0.1, amsgrad=True), lambda p: RMSprop(p, centered=True)],
)
def test_continuing_from_a_state_is_exact(make):
    p, q = parameter(3, 2), parameter(3, 2)
    one, other, gs = make([p]), make([q]), gradients((3, 2))
    for g in gs[:3]:
        p.grad = autograd.tensor(g)
        one.step()
    with autograd.no_grad():
        q[...] = p.detach()
    other.param_groups[0]["lr"] = 77.0
    other.load_state_dict(one.state_dict())
    for g in gs[3:]:
        p.grad, q.grad = autograd.tensor(g), autograd.tensor(g)
        one.step(), other.step()
    assert (p.detach().numpy() == q.detach().numpy()).all()


def test_states_that_do_not_fit_are_refused_and_change_nothing():
    p = parameter(2)
    optimizer = Adam([p], lr=0.1)
    p.grad = autograd.ones_like(p)
    optimizer.step()
    state = optimizer.state_dict()
    with pytest.raises(DomainError, match=r"groups of \[1\] parameters, the optimiser of \[2\]"):
        Adam([parameter(2), parameter(2)]).load_state_dict(state)
    with pytest.raises(ShapeError, match=r"exp_avg of parameter 0 has shape \(2,\), the parameter \(3,\)"):
        Adam([parameter(3)]).load_state_dict(state)
    with pytest.raises(DomainError, match="another optimiser"):
        (fresh := RMSprop([parameter(2)])).load_state_dict(state)
    assert fresh.state == {}


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: SGD([]), DomainError, "empty"),
        (lambda p: SGD([p, p]), DomainError, "twice"),
        (lambda p: SGD([{"params": [p]}, {"params": [p]}]), DomainError, "twice"),
        (lambda p: SGD(p), DTypeError, r"\[p\]"),
        (lambda p: SGD([autograd.tensor([1, 2])]), DTypeError, "is int64, expected a floating type"),
        (lambda p: SGD([1.0]), DTypeError, "float"),
        (lambda p: SGD([{"parms": [p]}]), DTypeError, "params"),
        (lambda p: SGD([p], lr=-0.1), DomainError, "lr is -0.1"),
        (lambda p: SGD([p], lr=math.nan), DomainError, "lr is nan"),
        (lambda p: SGD([{"params": [p], "lr": -1}]), DomainError, "lr is -1"),
        (lambda p: SGD([p], momentum=-1), DomainError, "momentum"),
        (lambda p: SGD([p], nesterov=True), DomainError, "nesterov"),
        (lambda p: SGD([p], rate=0.1), DomainError, "rate.*use lr, momentum"),
        (lambda p: Adam([p], betas=(0.9, 1.0)), DomainError, "betas"),
        (lambda p: Adam([p], betas=0.9), DomainError, "betas is 0.9"),
        (lambda p: SGD([p], "fast"), DomainError, "lr is 'fast', expected a finite number"),
        (lambda p: SGD([p], np.float32(-1)), DomainError, "lr"),
        (lambda p: SGD([p], momentum=True), DomainError, "momentum is True"),
        (lambda p: SGD([p], nesterov=1), DomainError, "nesterov is 1, expected True or False"),
        (lambda p: SGD([p], 0.1, lr=0.2), DomainError, "lr.*by position and by name"),
        (lambda p: SGD([p * 2]), DTypeError, "is computed"),
        (lambda p: SGD([p]).load_state_dict({}), DomainError, "give an optimiser's state_dict"),
        (lambda p: Adam([p], 0.1, (0.9, 0.99), 1e-8, 0.0, False, 7), DomainError, "6 hyperparameters given"),
    ],
)
def test_what_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make(parameter(2))


@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW, RMSprop, Adagrad])
def test_frozen_parameters_are_passed_over_while_they_are(optimizer):
    both, alone = [parameter(3), parameter(4)], parameter(4)
    ours, theirs = optimizer(both, lr=0.1), optimizer([alone], lr=0.1)
    frozen = both[0].requires_grad_(False).numpy().copy()
    for _ in range(3):
        for p in (*both, alone):
            if p.requires_grad:
                p.grad = autograd.cos(p.detach())
        ours.step(), theirs.step()
    assert both[0].numpy().tobytes() == frozen.tobytes() and 0 not in ours.state
    assert both[1].detach().numpy().tobytes() == alone.detach().numpy().tobytes()
    both[0].requires_grad_().grad = autograd.ones((3,), both[0].dtype)
    ours.step()
    assert (both[0].detach().numpy() != frozen).all()


def test_a_new_optimiser_is_a_rule_and_a_name():
    def signs(p, g, state, lr=0.1):
        return lr * autograd.sign(g)

    class SignSGD(Optimizer):
        rule = staticmethod(signs)

    p = autograd.tensor([1.0, 1.0], requires_grad=True)
    p.grad = autograd.tensor([5.0, -3.0])
    SignSGD([p], lr=0.5).step()
    assert p.detach().numpy().tolist() == [0.5, 1.5]
    assert "lr=0.5" in repr(SignSGD([p], lr=0.5))


# --- clipping ---


@given(max_norm=st.floats(0.01, 10), norm_type=st.sampled_from([1.0, 2.0, 3.0, math.inf]))
def test_clipping_by_norm(max_norm, norm_type):
    ps = [parameter(3, 2), parameter(4, seed=1), parameter(2)]
    for i, p in enumerate(ps[:2]):
        p.grad = autograd.tensor(gradients(p.shape, seed=i)[0])
    before = np.concatenate([p.grad.numpy().ravel() for p in ps[:2]])
    norm = clip_grad_norm_(ps, max_norm, norm_type).item()
    after = np.concatenate([p.grad.numpy().ravel() for p in ps[:2]])
    np.testing.assert_allclose(norm, np.linalg.norm(before, norm_type), rtol=1e-12)
    np.testing.assert_allclose(after, before * min(1, max_norm / (norm + 1e-6)), rtol=1e-12)
    assert ps[2].grad is None


def test_clipping_by_value_and_what_is_refused():
    p = parameter(3)
    assert clip_grad_norm_([p], 1.0).item() == 0
    p.grad = autograd.tensor([-5.0, 0.5, 5.0])
    clip_grad_value_(p, 1.0)
    assert p.grad.numpy().tolist() == [-1.0, 0.5, 1.0]
    p.grad = autograd.tensor([math.inf, 0.0, 0.0])
    with pytest.raises(DomainError, match="inf"):
        clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    for clip in (
        lambda: clip_grad_norm_([p], -1.0),
        lambda: clip_grad_norm_([p], 1.0, 0.0),
        lambda: clip_grad_value_([p], -1),
    ):
        with pytest.raises(DomainError):
            clip()
