"""Every derived property can fail: for each there are operations that it must catch, with the words that it uses."""

import numpy as np
import pytest

import autograd
from autograd import Tensor, composite, elementwise, kernels, primitive
from autograd.core.tensor import make
from autograd.errors import DTypeError
from autograd.testing import samples
from autograd.testing.properties import PROPERTIES, check_operation, example
from autograd.testing.properties.agreement import batches

DOC = "words for a reader."
KEPT, CACHE = [], {}


def wrong(contract="x: ... -> ...", forward=lambda x: x * 2.0, vjp=None, **declaration):
    vjp = {"x": lambda g: g * 2.0} if vjp is None else vjp
    return primitive("wrong_example", contract, forward=forward, vjp=vjp, **{"doc": DOC, **declaration}).op


def mutating(xp, x):
    x[...] = x + 1
    return x * 2.0


def forgetful(x, state=[0]):  # noqa: B006  the state between calls is the mistake
    state[0] += 1
    return x * 2.0 + 1e-9 * state[0]


def cyclic(g, x):
    knot = [g]
    knot.append(knot)
    return g * 2.0


def e(x):
    return autograd.exp(x)


def of_numbers(g, y):
    return g * (y if hasattr(y, "shape") else y + 1)


def first_of_many(g, x_shape):
    lead = len(g.shape) - len(x_shape)
    return g[(*[0] * lead, *[slice(0, n) for n in x_shape])]


def on_host(x):
    return x * 2.0 if isinstance(x, np.ndarray) else x * 3.0


def of_rows(x):
    return x - x.mean(axis=0, keepdims=True)


def right_once(g, x):
    return g * autograd.cos(x.detach() if isinstance(x, Tensor) else x)


def outside(g, x):
    return g * autograd.where(x == 0, 2.0, autograd.sign(x))  # the subdifferential of |x| at 0 is [−1, 1]


def to_all(g, x, out):
    return g * (x == out)  # to each of the tied elements the whole gradient


def antisymmetric():
    """The second derivatives by x then y, and by y then x, differ: y's rule forgets that it depends on x."""
    return elementwise(
        "wrong_example", "x, y", forward="multiply", doc=DOC,
        deriv={"x": lambda y: y, "y": lambda x: x.detach() if isinstance(x, Tensor) else x},
    ).op  # fmt: skip


def own_forward_rule():
    """The forward mode, by substitution into what is not linear, and the reverse mode differ."""
    return wrong(forward="tanh", vjp={"x": lambda g, out: g * (1 - out * out)}, linear_in=("x",))


def same_array(g):
    return CACHE.setdefault(g.shape, np.ones(g.shape))


def taken_in_kept(x):
    KEPT.append(x)
    return x * 2.0


WRONG = {
    "declaration is enough": [
        lambda: wrong(doc=""),
        lambda: wrong("x: M", forward=lambda x, k: x * k, params={"k": autograd.core.primitive.REQUIRED}),
        lambda: wrong("x: M", forward=lambda x: x.reshape(7) * 2.0),
        lambda: wrong(domain={"x": "bool"}),
        lambda: wrong(domain={"x": "upside down"}),
        lambda: wrong(kinks={"x": "somewhere"}),
        lambda: wrong(cases=({"rows": 3},)),
        lambda: wrong(cases=()),
    ],
    "result follows the contract": [lambda: wrong("x: M N -> N M"), lambda: wrong("x: M N -> M*2 N")],
    "floating type is kept": [
        lambda: wrong(forward=lambda x: x * np.float64(2)),
        lambda: wrong(vjp={"x": lambda g: g * np.float64(2)}),
    ],
    "narrow types are accurate": [
        lambda: wrong(forward=lambda x: x * 2.0 + (x.dtype == "float32") * np.float32(1e-4) * x),
        lambda: wrong(forward=lambda xp, x: xp.log(xp.exp(8 * x)) / 4, vjp={"x": lambda g: g * 2.0}),  # overflows
    ],
    "arrays give arrays": [lambda: wrong(forward=lambda x: make(x * 2.0).tolist())],
    "wrong shapes are explained": [lambda: wrong("x: ..., y: ... -> ...", forward=lambda x, y: x + y.sum())],
    "batch equals its members": [lambda: wrong("x: N D -> N D", forward=of_rows), lambda: wrong(forward=of_rows)],
    "twice the same": [lambda: wrong(forward=forgetful)],
    "same on every device": [lambda: wrong(forward=on_host), lambda: wrong(forward=lambda x: np.asarray(x) * 2.0)],
    "gradients agree with the oracle": [
        lambda: wrong(vjp={"x": lambda g: g}), lambda: wrong(vjp={"x": lambda g: g * 0}),
    ],
    "gradients of gradients agree with the oracle": [lambda: wrong(forward="sin", vjp={"x": right_once})],
    "inputs without a rule have no gradient": [lambda: wrong("x: ..., y: ... -> ...", forward="multiply", vjp={})],
    "forward mode is adjoint to reverse mode": [own_forward_rule],
    "gradients are linear in the cotangent": [lambda: wrong(vjp={"x": lambda g: g * 2.0 + 1e-6})],
    "hessian is symmetric": [antisymmetric],
    "forward over reverse is reverse over reverse": [own_forward_rule],
    "stated subgradients lie between the slopes": [
        lambda: wrong(forward="abs", kinks={"x": (0,)}, vjp={"x": outside}),
        lambda: wrong("x", forward=lambda x: x.max(), kinks={"x": "ties"}, vjp={"x": to_all}),
    ],
    "symmetric inputs get symmetric gradients": [
        lambda: wrong("x: N N", lambda xp, x: xp.tril(x), {"x": lambda g: autograd.tril(g)}, domain={"x": "symmetric"})
    ],
    "gradients at whole numbers agree with the oracle": [
        lambda: wrong(vjp={"x": lambda g, x: autograd.where(x == 1, g, g * 2)})
    ],
    "large inputs give numbers": [
        lambda: wrong(forward=lambda xp, x: xp.logaddexp(x, 0), vjp={"x": lambda g, x: g * (e(x) / (1 + e(x)))})
    ],
    "python numbers count like arrays": [
        lambda: wrong("x: ..., y: ... -> ...", "multiply", {"x": of_numbers, "y": lambda g, x: g * x})
    ],
    "broadcast inputs get the sum": [
        lambda: wrong("x: ..., y: ... -> ...", "add", {"x": first_of_many, "y": lambda g: g})
    ],
    "inputs stay as they are": [lambda: wrong(forward=mutating)],
    "gradients are nobody elses": [
        lambda: wrong("x: M N, y: M N -> M N", forward="add", vjp={"x": same_array, "y": same_array})
    ],
    "saves only what is declared": [lambda: wrong(forward=taken_in_kept)],
    "graphs leave no cycles": [lambda: wrong(vjp={"x": cyclic})],
}  # fmt: skip


@pytest.mark.parametrize(("name", "declare"), [(name, d) for name, ds in WRONG.items() for d in ds])
def test_property_catches(name, declare):
    with pytest.raises(AssertionError, match="wrong_example"):
        PROPERTIES[name].hold(declare())


def test_every_property_is_shown_to_fail():
    assert WRONG.keys() | {"kernels equal the reference"} == PROPERTIES.keys()


class Kernel:
    """A kernel for sin(x), right but for a factor of the result and of the gradient."""

    def __init__(self, value=1.0, slope=1.0):
        self.value, self.slope = value, slope

    def forward(self, x):
        return self.value * np.sin(x), None

    def backward(self, g, wanted, inputs, residuals):
        return [self.slope * g * np.cos(inputs[0]) if wanted[0] else None]


@composite("x: ...")
def kernel_example(x):
    """The sine."""
    return autograd.sin(x)


@pytest.fixture
def offer():
    taken = []

    def register(op, plan):
        kernels.register(op, np.ndarray, plan, name="fake")
        taken.append(op)

    yield register
    for op in taken:
        kernels.unregister(op, np.ndarray, "fake")


@pytest.mark.parametrize(("kernel", "right"), [(Kernel(), True), (Kernel(1.001), False), (Kernel(1.0, 0.999), False)])
def test_kernels_of_composites(offer, kernel, right):
    offer("kernel_example", lambda spec: kernel)
    assert holds("kernels equal the reference", kernel_example) is right


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.001, False)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_of_primitives(offer, factor, right, dtype):
    offer("sin", lambda spec: (lambda x: factor * np.sin(x)) if spec.dtypes[0] == dtype else None)
    assert holds("kernels equal the reference", autograd.sin) is right


def holds(name, op):
    try:
        return bool(PROPERTIES[name].hold(op.op))
    except AssertionError as error:
        assert "kernel 'fake'" in str(error)
        return False


# --- check_operation --------------------------------------------------------------------------------------------------


def test_check_operation_says_what_it_covered():
    covered = check_operation(autograd.exp)
    assert set(covered.checked) | set(covered.passed_over) == PROPERTIES.keys()
    assert "not applicable: kernels equal the reference (needs a kernel)" in str(covered)
    assert set(check_operation(autograd.flip.op, examples=3, rng=np.random.default_rng(3)).checked.values()) == {6}


def test_check_operation_says_all_that_is_wrong():
    with pytest.raises(AssertionError) as raised:
        check_operation(wrong(vjp={"x": lambda g: g + 1.0}))
    said = str(raised.value)
    assert "gradients agree with the oracle" in said and "not linear in the cotangent" in said


def test_check_operation_needs_an_operation():
    with pytest.raises(DTypeError, match=r"check_operation: len is not a declared operation → "):
        check_operation(len)


# --- what the properties rest on --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "found"),
    [
        ("conv2d", [([0, None], 0)]), ("max_pool2d", [([0], 0)]), ("conv2d_dw", []), ("rnn", []),
        ("group_norm", [([0, None, None], 0)]), ("class_cross_entropy", [([0, 0, 0, None], 0)]),
    ],
)  # fmt: skip
def test_batches_are_read_off_the_contract(op, found):
    op = (autograd.registry | autograd.composites)[op]
    sizes = {"N": 2} if "N C" in op.contract.text else {}
    assert list(batches(example(op, {**op.cases[0], **sizes}, 4))) == found


def test_batches_of_broadcast_inputs():
    e = example(autograd.add.op, {"x": (3, 1, 2), "y": (4, 2)}, 0)
    assert list(batches(e)) == [([2, 1], 2), ([None, 0], 1), ([0, None], 0)]


@pytest.mark.parametrize("op", [op for op in autograd.registry.values() if op.kinks], ids=lambda op: op.name)
def test_samples_are_put_on_kinks(op):
    """Off its kinks a function gives the same slope on both sides: where it does not, the point is a kink."""
    e = example(op, op.cases[0], 2)
    at = samples.on_kinks(e.sample, np.random.default_rng(0)).inputs
    assert any(not np.array_equal(a, b) for a, b in zip(at, e.sample.inputs, strict=True))
