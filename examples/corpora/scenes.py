"""Scenes: two coloured shapes in a relation, drawn at random, and the sentence that says what is there.

>>> scenes = Scenes(3, "train", seed=1)
>>> scenes[2].shape, scenes.captions[2]
((48, 48, 3), 'a red triangle behind a purple cross')
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import product
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from autograd.errors import DomainError

SIDE = 48  # pixels
LARGE, SMALL = (11.0, 12.5), (6.0, 7.0)  # radii in pixels

COLOURS = {
    "red": (214, 39, 40), "orange": (255, 140, 20), "yellow": (245, 220, 40), "green": (44, 140, 50),
    "blue": (35, 80, 200), "purple": (140, 60, 180), "pink": (250, 150, 200), "brown": (115, 70, 35),
}  # fmt: skip

# Each is negative inside the shape, zero at its edge, and grows about as fast as the distance from it.
Outline: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
SHAPES: dict[str, Outline] = {
    "circle": lambda x, y: np.hypot(x, y) - 0.95,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) - 0.8,
    "triangle": lambda x, y: np.maximum(y - 0.75, 0.87 * abs(x) - 0.5 * y - 0.45),
    "diamond": lambda x, y: (abs(x) + abs(y) - 1) * 0.7,
    "cross": lambda x, y: np.maximum(np.minimum(abs(x), abs(y)) - 0.27, np.maximum(abs(x), abs(y)) - 0.95),
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.78) - 0.17,  # a small circle leaves some of its hole open
    "bar": lambda x, y: np.maximum(abs(x) - 1, abs(y) - 0.4),
    "moon": lambda x, y: np.maximum(np.hypot(x, y) - 0.95, 0.75 - np.hypot(x - 0.5, y)),
}

# Where the second, smaller shape lies as seen from the first: the direction x, y, with y downwards.
RELATIONS = {"above": (0, 1), "below": (0, -1), "left of": (1, 0), "right of": (-1, 0), "behind": (0, 0)}

THINGS = tuple(product(COLOURS, SHAPES))
UNSEEN = frozenset(zip(COLOURS, SHAPES, strict=True))
"""Colours and shapes that no training scene has together, though it has each with seven others."""

Thing: TypeAlias = tuple[str, str]
Part = Literal["train", "valid", "scenes", "pairs"]
PARTS: tuple[Part, ...] = get_args(Part)


class Scene(NamedTuple):
    """What is said: the larger thing, its relation to the smaller one, and that."""

    first: Thing
    relation: str
    second: Thing

    @property
    def caption(self) -> str:
        return f"{_named(self.first)} {self.relation} {_named(self.second)}"

    @property
    def part(self) -> Part:
        """Which part the scene belongs to; it depends on the caption alone."""
        if self.first in UNSEEN or self.second in UNSEEN:
            return "pairs"
        drawn = zlib.crc32(self.caption.encode()) % 10
        return "scenes" if drawn < 2 else "valid" if drawn < 3 else "train"


def _named(thing: Thing) -> str:
    article = "an" if thing[0][0] in "aeiou" else "a"
    return f"{article} {' '.join(thing)}"


EVERY = tuple(
    scene
    for scene in (Scene(*words) for words in product(THINGS, RELATIONS, THINGS))
    if scene.relation != "behind" or scene.first[0] != scene.second[0]  # of one colour they could not be told apart
)
WORDS = ("a", "an", *COLOURS, *SHAPES, *dict.fromkeys(word for phrase in RELATIONS for word in phrase.split()))


class Scenes:
    """So many scenes of one part, each drawn from (`seed`, part, its number): equal seeds give equal scenes.

    "train": 70 % of the combinations of two things and a relation without a pair of `UNSEEN`; "valid" and "scenes": the
    other 10 % and 20 %, never trained on; "pairs": those where one or both things are a pair of `UNSEEN`.

    Shapes: `scenes[i]` → picture uint8 `48 48 3`, `scenes[indices]` → `N 48 48 3`. `scenes.captions` say what is there.

    Raises `DomainError` for a part that there is not.
    """

    def __init__(self, count: int, part: Part, seed: int = 1) -> None:
        known = [scene for scene in EVERY if scene.part == part]
        if not known:
            raise DomainError(f"Scenes: part is {part!r}, expected one of {', '.join(PARTS)}")
        self.part = part
        self._key = (seed, zlib.crc32(part.encode()))
        self.scenes = [known[i] for i in np.random.default_rng(self._key).integers(len(known), size=count)]
        self.captions = [scene.caption for scene in self.scenes]

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        chosen = np.arange(len(self))[index]
        drawn = [draw(self.scenes[i], np.random.default_rng((*self._key, i))) for i in chosen.reshape(-1).tolist()]
        return np.stack(drawn) if chosen.ndim else drawn[0]


def draw(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of a scene: places, sizes, shades and the light background are drawn by chance."""
    large, small = rng.uniform(*LARGE), rng.uniform(*SMALL)
    towards = np.array(RELATIONS[scene.relation])
    # The shapes touch or leave a gap along the direction of the relation, and are nearly in line across it.
    offset = towards * (large + small + rng.uniform(0.5, 4)) + rng.uniform(-4, 4, 2) * (abs(towards[::-1]) > 0)
    offset += rng.uniform(-2, 2, 2) * (not towards.any())
    low = np.maximum(large, small - offset) + 1
    high = SIDE - np.maximum(large, small + offset) - 1
    centre = rng.uniform(low, high)

    canvas = np.empty((SIDE, SIDE, 3))
    canvas[:] = rng.uniform(215, 255)
    for (colour, shape), radius, (x, y) in ((scene.first, large, centre), (scene.second, small, centre + offset)):
        columns, rows = (np.arange(SIDE) + 0.5 - x) / radius, (np.arange(SIDE) + 0.5 - y) / radius
        covered = np.clip(0.5 - SHAPES[shape](columns[None], rows[:, None]) * radius, 0, 1)[..., None]
        shade = np.clip(np.array(COLOURS[colour]) + rng.uniform(-12, 12, 3), 0, 255)
        canvas += covered * (shade - canvas)
    return (canvas + rng.normal(0, 3, canvas.shape)).clip(0, 255).round().astype(np.uint8)
