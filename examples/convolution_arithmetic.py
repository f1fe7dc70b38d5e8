"""Every count of the lecture: shapes, parameters and multiplications, from layers that are built and run.

    python examples/convolution_arithmetic.py

Each line is measured on a real layer, not computed from a formula, and compared with the slide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import autograd
import nn
from vision.transforms import ToFloat


@dataclass(frozen=True)
class Count:
    """One figure of the slides and what the library finds."""

    what: str
    slide: object
    found: object


def weights(module: nn.Module) -> int:
    """The number of multipliers, without biases."""
    return sum(p.size for name, p in module.named_parameters() if name.endswith("weight"))


def parameters(module: nn.Module) -> int:
    return sum(p.size for p in module.parameters())


def counts() -> Iterator[Count]:
    grey = np.array([[0, 255]], np.uint8)
    yield Count("grey pixels 0 and 255 become", (0.0, 1.0), tuple(ToFloat()(grey[None]).ravel().tolist()))

    image = autograd.zeros((1, 3, 32, 32))
    one, six = nn.Conv2d(3, 1, 5), nn.Conv2d(3, 6, 5)
    yield Count("connections of one neuron in a 3×3 filter on a grey image", 9, weights(nn.Conv2d(1, 1, 3)))
    yield Count("32×32×3 through one 5×5×3 filter", (28, 28, 1), hwc(one(image)))
    yield Count("32×32×3 through six 5×5×3 filters", (28, 28, 6), hwc(six(image)))
    yield Count("weights of the six filters", 450, weights(six))
    yield Count("weights and biases of the six filters", 456, parameters(six))
    yield Count("multiplications of the six filters", 352_800, nn.summary(six, (1, 3, 32, 32)).multiply_adds)
    full = nn.Linear(32 * 32 * 3, 28 * 28 * 6, bias=False)
    yield Count("weights if fully connected instead", 14_450_688, weights(full))

    four = nn.Sequential(*[nn.Conv2d(1, 1, 3, bias=False) for _ in range(4)])
    yield Count("weights of four 3×3 convolutions of one filter each", 36, weights(four))
    chain = [25, 16, 16, 9, 9]
    dense = nn.Sequential(*[nn.Linear(a, b, bias=False) for a, b in pairwise(chain)])
    yield Count("weights of the fully connected chain 25-16-16-9-9", 881, weights(dense))

    pooled = autograd.max_pool2d(np.array([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])[None, None], 2)
    yield Count("1 1 2 4 / 5 6 7 8 / 3 2 1 0 / 1 2 3 4 max pooled 2×2", [[6.0, 8.0], [3.0, 4.0]], pooled[0, 0].tolist())


def hwc(out: autograd.Tensor) -> tuple[int, int, int]:
    """Height, width and depth, in the slides' order."""
    _, channels, height, width = out.shape
    return height, width, channels


def main() -> None:
    wrong = 0
    for count in counts():
        same = count.slide == count.found
        wrong += not same
        remark = "" if same else f", the slide says {count.slide}"
        print(f"{'✓' if same else '✗'} {count.what}: {count.found}{remark}")
    raise SystemExit(f"{wrong} figures differ from the slides" if wrong else 0)


if __name__ == "__main__":
    main()
