"""Your own operation: declare it, build a layer with it, test it, and see a mistake caught.

    python examples/new_primitive.py           runs the tests one by one and says what each found
    pytest examples/new_primitive.py           the same tests, drawn, shrunk and reported by pytest

The prose to this page is docs/testing.md.
"""

import autograd
import nn
from autograd import elementwise, primitive
from autograd.testing import assert_gradients, check_gradients, check_operation, gradient_property
from autograd.testing import strategies as st

# --- 1. Declare. Elementwise: the function and its derivative. -------------------------------------------------------

snake = elementwise(
    "snake", "x",
    forward=lambda xp, x, a: x + xp.sin(a * x) ** 2 / a,
    deriv={"x": lambda x, a: 1 + autograd.sin(2 * a * x)},
    params={"a": 1.0}, cases=({}, {"a": 2.5}),
    source="Ziyin et al. 2020, eq. 3", doc="x + sin²(a·x) / a, an activation that can learn what repeats.",
)  # fmt: skip

# --- 2. With letters: shapes in the contract, and a rule for each input; g is the output's gradient. -----------------

distances = primitive(
    "distances", "x: N D, c: K D -> N K",
    forward=lambda xp, x, c: ((x[:, None] - c) ** 2).sum(axis=2),
    vjp={
        "x": lambda g, x, c: 2 * (g.sum(axis=1, keepdims=True) * x - g @ c),
        "c": lambda g, x, c: 2 * (g.sum(axis=0)[:, None] * c - g.mT @ x),
    },
    source="Broomhead & Lowe 1988", doc="Σ_D (x − c)², how far each of N points is from each of K centres, squared.",
)  # fmt: skip

# --- 3. A layer that uses both. ---------------------------------------------------------------------------------------


class RadialBasis(nn.Module):
    """snake(exp(−‖x − c‖²)): one number for each centre. N D → N K."""

    def __init__(self, features: int, centres: int) -> None:
        super().__init__()
        self.c = nn.Parameter(autograd.normal((centres, features)))

    def forward(self, x: autograd.Tensor) -> autograd.Tensor:
        return snake(autograd.exp(-distances(x, self.c)))


# --- 4. Test. The declaration says what to draw; for functions and layers, say it yourself. --------------------------


def test_snake_is_what_it_declares() -> None:
    check_operation(snake)


def test_distances_is_what_it_declares() -> None:
    check_operation(distances)


@gradient_property(x=st.tensors("N D"), c=st.tensors("K D"), order=2)
def test_distances(x, c):
    return distances(x, c)


@gradient_property(x=st.tensors("N D", layout="any"), c=st.tensors("K D"))
def test_layer(x, c):
    layer = RadialBasis(*c.mT.shape)
    layer.c = c  # its parameters are drawn and differentiated too
    return layer(x)


def test_one_point_by_hand() -> None:
    assert_gradients(snake, autograd.tensor([0.5, -1.0, 3.0]), order=3)


# --- 5. A mistake: the rule for x forgets the factor 2. --------------------------------------------------------------

forgetful = primitive(
    "forgetful", "x: N D, c: K D -> N K",
    forward=lambda xp, x, c: ((x[:, None] - c) ** 2).sum(axis=2),
    vjp={
        "x": lambda g, x, c: g.sum(axis=1, keepdims=True) * x - g @ c,
        "c": lambda g, x, c: 2 * (g.sum(axis=0)[:, None] * c - g.mT @ x),
    },
    doc="Σ_D (x − c)², with a wrong rule.",
)  # fmt: skip


X, C = autograd.tensor([[0.5, -1.0]]), autograd.tensor([[1.0, 2.0], [-0.5, 1.5]])


def test_the_mistake_is_caught() -> None:
    report = check_gradients(forgetful, X, C)
    assert not report.ok and report.verdict == "wrong gradient" and report.worst.input == 0


def main() -> None:
    tests = {name: test for name, test in globals().items() if name.startswith("test_")}
    for name, test in tests.items():
        test()
        print(f"✓ {name.removeprefix('test_').replace('_', ' ')}")
    print("\nWhat the mistake looks like:\n")
    print(check_gradients(forgetful, X, C))


if __name__ == "__main__":
    main()
