import copy
import gc
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd.errors import AutogradError, DataError, DomainError, DTypeError, ShapeError


class Block(nn.Module):
    def __init__(self, width=3):
        self.first = nn.Linear(width, width)
        self.scale = nn.Parameter(autograd.ones((width,)))
        self.norm = nn.BatchNorm1d(width)
        self.register_buffer("offset", autograd.zeros((width,)), persistent=False)

    def forward(self, x):
        return self.norm(self.first(x)) * self.scale + self.offset


def model():
    return nn.Sequential(Block(), nn.ReLU(), Block())


def keys(of):
    return [name for name, _ in of]


# ---------------------------------------------------------------------------------------------------- the walks


def test_parameters_are_walked_in_definition_order_own_ones_first():
    assert keys(Block().named_parameters()) == ["scale", "first.weight", "first.bias", "norm.weight", "norm.bias"]
    assert keys(model().named_modules()) == ["", "0", "0.first", "0.norm", "1", "2", "2.first", "2.norm"]
    assert keys(model().named_buffers())[:4] == [
        "0.offset",
        "0.norm.running_mean",
        "0.norm.running_var",
        "0.norm.num_batches_tracked",
    ]


def test_buffers_persist_only_if_asked():
    state = Block().state_dict()
    assert "offset" not in state
    assert list(state)[-3:] == ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert state["norm.num_batches_tracked"].dtype.name == "int64"


def test_neither_constructor_nor_registration_is_required():
    class Bare(nn.Module):
        pass

    bare = Bare()
    bare.w = nn.Parameter(autograd.ones((2,)))
    bare.inner = nn.Linear(2, 2)
    assert keys(bare.named_parameters()) == ["w", "inner.weight", "inner.bias"]
    bare.w = None
    assert keys(bare.named_parameters()) == ["inner.weight", "inner.bias"]
    with pytest.raises(NotImplementedError, match=r"Bare defines no forward\(\)"):
        bare(1)


def test_shared_modules_and_tied_parameters_are_yielded_once_but_keep_every_key():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    net.append(net[0])
    assert keys(net.named_parameters()) == ["0.weight", "0.bias", "2.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias", "3.weight", "3.bias"]
    assert len(list(net.modules())) == 4
    assert keys(net.named_children()) == ["0", "1", "2"]
    net.double()
    assert net[2].weight is net[0].weight
    net.load_state_dict(net.state_dict())


def test_a_tied_parameter_receives_the_sum_of_its_gradients():
    layer = nn.Linear(2, 2, bias=False)
    twin = nn.Linear(2, 2, bias=False)
    twin.weight = layer.weight
    x = autograd.ones((1, 2))
    (layer(x).sum() + twin(x).sum()).backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), 2.0)


# ---------------------------------------------------------------------------------------------------- state


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(0, 2**16))
def test_state_round_trip(widths, seed):
    def build():
        return nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(widths)), nn.BatchNorm1d(widths[-1]))

    one, other = build(), build()
    one(autograd.tensor(np.random.default_rng(seed).normal(size=(4, widths[0])).astype("float32")))
    result = other.load_state_dict({key: value.numpy() for key, value in one.state_dict().items()})
    assert repr(result) == "<All keys matched successfully>"
    for key, value in one.state_dict().items():
        assert np.array_equal(value.numpy(), other.state_dict()[key].numpy())
        assert value.dtype == other.state_dict()[key].dtype


def test_state_shares_memory_and_is_constant():
    layer = nn.Linear(2, 2)
    state = layer.state_dict()
    assert not state["weight"].requires_grad
    nn.init.zeros_(layer.weight)
    assert not state["weight"].numpy().any()


def test_wrong_states_are_listed_and_leave_the_module_as_it_was():
    layer = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = {key: value.numpy().copy() for key, value in layer.state_dict().items()}
    state = {
        "0.weight": np.ones((4, 3)),
        "0.bias": np.ones(4),
        "1.weight": np.ones((5, 4)),
        "2.bias": np.ones(2),
        "1.bias": "no",
    }
    state.pop("0.bias")
    with pytest.raises(DataError) as error:
        layer.load_state_dict(state)
    for words in (
        "missing: 0.bias",
        "unexpected: 2.bias",
        "1.weight has shape (5, 4), the module's is (2, 4)",
        "not an array of numbers: 1.bias",
    ):
        assert words in str(error.value)
    assert all(np.array_equal(value.numpy(), before[key]) for key, value in layer.state_dict().items())


def test_unstrict_loading_reports_keys_but_refuses_shapes():
    layer = nn.Linear(3, 4)
    result = layer.load_state_dict({"weight": np.ones((4, 3)), "extra": np.ones(1)}, strict=False)
    assert result == (["bias"], ["extra"])
    assert (layer.weight.detach().numpy() == 1).all()
    with pytest.raises(DataError, match="shape: weight"):
        layer.load_state_dict({"weight": np.ones((3, 4))}, strict=False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ones((4, 3), np.complex64), "dtype: weight is complex64, the module's is float32"),
        (np.full((4, 3), "a"), "weight is <U1"),
        (np.full((4, 3), None), "weight is object"),
    ],
)
def test_values_that_would_be_cut_or_are_no_numbers_are_refused(value, words):
    layer = nn.Linear(3, 4)
    before = {key: value.numpy().copy() for key, value in layer.state_dict().items()}
    with pytest.raises(DataError, match=words):
        layer.load_state_dict({"bias": np.ones(4), "weight": value})
    assert all(np.array_equal(value.numpy(), before[key]) for key, value in layer.state_dict().items())


def test_counts_are_not_loaded_from_fractions_and_states_are_dicts():
    norm = nn.BatchNorm1d(2)
    with pytest.raises(DataError, match="num_batches_tracked is float64, the module's is int64"):
        norm.load_state_dict({**norm.state_dict(), "num_batches_tracked": np.array(2.7)})
    with pytest.raises(DataError, match=r"got a str, expected a dict; use nn\.load"):
        norm.load_state_dict("weights.safetensors")


# ---------------------------------------------------------------------------------------------------- modes and places


def test_modes_reach_every_module():
    net = model()
    assert net.training and net.eval() is net
    assert not any(module.training for module in net.modules())
    assert all(module.training for module in net.train().modules())


def test_conversion_keeps_parameters_gradients_and_integers():
    net = model()
    net(autograd.ones((4, 3))).sum().backward()
    before = list(net.parameters())
    assert net.double() is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype.name for p in net.parameters()} == {p.grad.dtype.name for p in net.parameters()} == {"float64"}
    assert {b.dtype.name for b in net.buffers()} == {"float64", "int64"}
    assert {p.dtype.name for p in net.half().parameters()} == {"float16"}
    assert {p.dtype.name for p in net.to("cpu", "float32").parameters()} == {"float32"}
    assert next(net.float().cpu().parameters()).device == "cpu"


def test_the_strict_device():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)).to("strict")
    assert {t.device for t in [*net.parameters(), *net.buffers()]} == {"strict"}
    net(autograd.ones((3, 1, 4, 4), device="strict")).sum().backward()
    assert {p.grad.device for p in net.parameters()} == {"strict"}
    net.load_state_dict({key: value.cpu().numpy() for key, value in net.state_dict().items()})
    with pytest.raises(AutogradError, match=r"device|strict"):
        net(autograd.ones((3, 1, 4, 4)))


def test_frozen_parameters_get_no_gradient():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    net(autograd.ones((1, 2))).sum().backward()
    assert net[0].weight.grad is None and net[1].weight.grad is not None
    net.zero_grad()
    assert net[1].weight.grad is None


def test_apply_visits_children_first():
    seen = []
    model().apply(lambda module: seen.append(type(module).__name__))
    assert seen[-1] == "Sequential" and seen[0] == "BatchNorm1d"


def test_copies_are_independent_and_pickles_are_equal():
    net = model()
    twin, loaded = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    for other in (twin, loaded):
        assert repr(other) == repr(net)
        assert all(type(p) is nn.Parameter and p.requires_grad for p in other.parameters())
        assert all(np.array_equal(a.numpy(), other.state_dict()[k].numpy()) for k, a in net.state_dict().items())
    nn.init.zeros_(twin[0].scale)
    assert net[0].scale.detach().numpy().all()


def test_a_module_and_its_graph_are_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        net = model()
        net(autograd.ones((4, 3))).sum().backward()
        del net
        assert gc.collect() == 0
    finally:
        gc.enable()


# ---------------------------------------------------------------------------------------------------- scopes


def test_every_call_enters_the_scope_of_its_path():
    paths = []

    class Probe(nn.Module):
        def forward(self, x):
            paths.append(autograd.current_scope().path)
            return x

    class Net(nn.Module):
        def __init__(self):
            self.features = nn.Sequential(Probe(), Probe())
            self.layers = nn.ModuleList([Probe()])
            self.layers.append(Probe())
            self.heads = nn.ModuleDict({"cat": Probe()})
            self.deep = nn.ModuleList([nn.ModuleList([Probe()])])

        def forward(self, x):
            x = self.features(x)
            for layer in self.layers[:]:
                x = layer(x)
            return self.deep[0][0](self.heads["cat"](x))

    Net()(autograd.ones((1,)))
    places = ["features.0", "features.1", "layers.0", "layers.1", "heads.cat", "deep.0.0"]
    assert paths == [f"net.{place}" for place in places]


# ---------------------------------------------------------------------------------------------------- hooks


def test_forward_hooks_replace_arguments_and_output_until_removed():
    layer = nn.Identity()
    before = layer.register_forward_pre_hook(lambda module, args: args[0] + 1)
    after = layer.register_forward_hook(lambda module, args, output: output * 10)
    one = autograd.ones((1,))
    assert layer(one).item() == 20
    before.remove()
    before.remove()
    assert layer(one).item() == 10
    with after:
        pass
    assert layer(one).item() == 1


def test_backward_hooks_see_and_replace_gradients():
    seen = []
    layer = nn.Linear(2, 3, bias=False)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append((grad_input, grad_output)))
    x = autograd.tensor(np.ones((1, 2), "float32"), requires_grad=True)
    layer(x).sum().backward()
    ((grad_input,), (grad_output,)) = seen.pop()
    np.testing.assert_allclose(grad_output.numpy(), np.ones((1, 3)))
    np.testing.assert_allclose(grad_input.numpy(), layer.weight.detach().numpy().sum(axis=0, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), grad_input.numpy())

    x.grad = None
    with layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 0,)):
        layer(x).sum().backward()
    assert not x.grad.numpy().any()


def test_backward_hooks_with_several_or_constant_inputs():
    class Product(nn.Module):
        def forward(self, x, y):
            return x * y, x + y

    seen = []
    layer = Product()
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append((grad_input, grad_output)))
    x, y = (autograd.tensor([v], requires_grad=True) for v in (2.0, 3.0))
    for _ in range(2):
        product, total = layer(x, y)
        (product + 5 * total).sum().backward()
        (inputs, outputs) = seen.pop()
        assert [g.item() for g in inputs] == [8.0, 7.0] and [g.item() for g in outputs] == [1.0, 5.0]
    product, _ = layer(x, autograd.tensor([3.0]))
    product.sum().backward()
    assert seen.pop()[0][1] is None

    net = nn.Linear(2, 1)
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append((grad_input, grad_output)))
    net(autograd.ones((1, 2))).sum().backward()
    assert seen.pop()[0] == (None,)


# ---------------------------------------------------------------------------------------------------- collections


def test_sequential_like_a_list():
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)
    net = nn.Sequential(a).append(b).extend([c])
    assert list(net) == [a, b, c] and net[-1] is c and len(net[1:]) == 2 and b in net
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]
    net.insert(1, nn.Tanh())
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "ReLU", "Linear"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    del net[1]
    net[0] = nn.Identity()
    assert list(net.state_dict()) == ["2.weight", "2.bias"]
    with pytest.raises(IndexError, match="index 5 of 3 modules"):
        net[5]
    with pytest.raises(TypeError, match="got a function"):
        nn.Sequential(lambda x: x)


def test_named_collections():
    net = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "relu": nn.ReLU()})
    assert list(net.state_dict()) == ["conv.weight", "conv.bias"] and net.conv is net[0]
    heads = nn.ModuleDict([("cat", nn.Linear(2, 1))])
    heads["dog"] = nn.Linear(2, 3)
    heads["cat"] = nn.Linear(2, 2)
    assert list(heads.keys()) == ["cat", "dog"] and len(heads) == 2
    assert list(heads.state_dict()) == ["cat.weight", "cat.bias", "dog.weight", "dog.bias"]
    del heads["cat"]
    assert [name for name, _ in heads.items()] == ["dog"] and len(list(heads.values())) == 1
    for name in ("", "a.b", "forward", "keys"):
        with pytest.raises(KeyError, match="choose another"):
            heads[name] = nn.ReLU()
    assert len(nn.ModuleList([nn.ReLU()]) + nn.ModuleList([nn.Tanh()])) == 2


def test_repr_is_pytorchs():
    linear = "(0): Linear(in_features=4, out_features=2, bias=True)"
    assert repr(nn.Sequential(nn.Linear(4, 2), nn.Sequential(nn.ReLU()))) == (
        f"Sequential(\n  {linear}\n  (1): Sequential(\n    (0): ReLU()\n  )\n)"
    )
    assert repr(nn.Conv2d(3, 6, 5, padding=2, groups=3)) == (
        "Conv2d(3, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2), groups=3)"
    )


# ---------------------------------------------------------------------------------------------------- wrong calls


def test_errors_name_layer_path_values_and_remedy():
    class Net(nn.Module):
        def __init__(self):
            self.features = nn.Sequential(nn.Conv2d(3, 6, 5))

        def forward(self, x):
            return self.features(x)

    with pytest.raises(ShapeError) as error:
        Net()(autograd.zeros((8, 28, 28, 3)))
    assert str(error.value) == (
        "Conv2d (net.features.0): x has shape (8, 28, 28, 3): C=28 but in_channels=3; "
        "the last axis is 3 — is x NHWC? use x.transpose(0, 3, 1, 2)"
    )


@pytest.mark.parametrize(
    "layer", [nn.Linear(2, 3), nn.Conv1d(2, 3, 1), nn.BatchNorm1d(2), nn.LayerNorm(2), nn.Flatten(), nn.Embedding(3, 2)]
)
def test_lists_are_refused_by_name(layer):
    with pytest.raises(DTypeError, match=rf"{type(layer).__name__}: x is a list, expected a tensor; use autograd"):
        layer([[1, 2]])


def test_sizes_are_refused_by_layer_and_name():
    with pytest.raises(DomainError, match="Conv2d: kernel_size is 0, expected integers of at least 1"):
        nn.Conv2d(1, 1, 0)
    with pytest.raises(DomainError, match="ConvTranspose2d: padding_mode is 'reflect', expected 'zeros'"):
        nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect")


def test_children_and_parameters_by_computed_names():
    module = nn.Module()
    module.add_module("a", nn.Sequential(nn.Linear(2, 2)))
    module.register_parameter("w", nn.Parameter(np.ones(1)))
    module.register_parameter("b", None)
    assert list(module.state_dict()) == ["w", "a.0.weight", "a.0.bias"]
    assert module.get_submodule("a.0") is module.a[0] and module.get_submodule("") is module
    with pytest.raises(KeyError, match=r"no module at 'b', expected one of , a, a\.0"):
        module.get_submodule("b")


def test_zero_grad_forgets_or_fills():
    layer = nn.Linear(2, 1)
    layer(autograd.ones((1, 2))).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0.0, 0.0]]
    layer.zero_grad()
    assert layer.weight.grad is None


def test_buffers_are_tensors_with_plain_names():
    with pytest.raises(TypeError, match="expected a Tensor or None"):
        nn.Module().register_buffer("b", 3)
    with pytest.raises(ValueError, match="without dots"):
        nn.Module().register_buffer("a.b", None)


def test_an_error_of_an_operation_says_in_which_layer():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.MaxPool2d(7)))
    with pytest.raises(ShapeError, match="max_pool2d") as caught:
        net(autograd.zeros((1, 1, 5, 5)))
    assert caught.value.__notes__ == ["in sequential.1.1 (MaxPool2d)"]
