"""The lecture's donut filter: how donutty is each pixel?

A filter is a small grid of multipliers that slides over an image; at every place it answers with one number. This
program runs the slides' filter over the slides' 8×8 image, shows the work for one pixel, answers the slides' questions
by experiment (what without padding? with two filters? convolving the map again? where are the parameters?), and draws
every map that arises.

    python examples/donut_filter.py --out out
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import autograd
from autograd.errors import AutogradError
from vision import see

# What the slides write into the grid: must be black (B), must be white (W), doesn't matter (·).
CONDITIONS = """
· B B B ·
B W W W B
B W B W B
B W W W B
· B B B ·
"""

DONUT = np.array([
    [0.0, -0.2, -0.1, -0.2, 0.0],
    [-0.2, 0.7, 1.0, 0.7, -0.2],
    [-0.1, 1.0, -2.5, 1.0, -0.1],
    [-0.2, 0.7, 1.0, 0.7, -0.2],
    [0.0, -0.1, -0.1, -0.1, 0.0],
])  # fmt: skip

IMAGE = np.array([
    [0.73, 0.86, 0.74, 0.85, 0.99, 0.58, 0.96, 0.25],
    [0.29, 0.92, 0.25, 0.38, 0.67, 0.16, 0.63, 0.73],
    [0.90, 0.99, 0.95, 0.06, 0.56, 0.85, 0.23, 0.84],
    [0.00, 0.45, 0.55, 0.28, 0.33, 0.59, 0.69, 0.01],
    [0.50, 0.23, 0.03, 0.11, 0.48, 0.23, 0.62, 0.69],
    [0.85, 0.52, 0.11, 0.95, 0.80, 0.24, 0.03, 0.54],
    [0.99, 0.07, 0.69, 0.35, 0.05, 0.15, 0.61, 0.80],
    [0.03, 0.84, 0.79, 0.52, 0.17, 0.66, 0.73, 0.01],
])  # fmt: skip


def satisfied(image: np.ndarray) -> np.ndarray:
    """For every pixel of a black-and-white image, whether every condition of the grid holds around it.

    Out-of-bounds pixels are black.
    """
    grid = np.array([line.split() for line in CONDITIONS.strip().splitlines()])
    padded = np.pad(image > 0.5, 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    fits = np.where(grid == "W", windows, np.where(grid == "B", ~windows, True))
    return fits.all(axis=(2, 3))


def convolve(image: np.ndarray, filters: np.ndarray, padding: int | str = "same") -> np.ndarray:
    """Slide filters ``K R S`` over an image ``H W``, or ``K C R S`` over maps ``C H W``: activation maps ``K P Q``."""
    x = image.reshape(1, -1, *image.shape[-2:])
    return autograd.conv2d(x, filters.reshape(len(filters), -1, *filters.shape[-2:]), padding=padding)[0]


def show_the_work(row: int, column: int) -> str:
    """The patch under the filter at one pixel, times the multipliers, added up."""
    patch = np.pad(IMAGE, 2)[row : row + 5, column : column + 5]
    lines = [
        "  ".join(f"{p:4.2f}·{w:+4.1f}" for p, w in zip(patch_row, filter_row, strict=True))
        for patch_row, filter_row in zip(patch, DONUT, strict=True)
    ]
    return "\n".join(["    " + line for line in lines] + [f"    sum = {(patch * DONUT).sum():.2f}"])


def draw(panels: list[tuple[str, np.ndarray]], path: Path) -> None:
    columns = 4
    rows = -(-len(panels) // columns)
    figure, axes = see.grid(rows, columns, 3.4 * columns, 3.5 * rows)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, values) in zip(axes.flat, panels, strict=False):
        ax.imshow(values, cmap="gray")
        ax.set_title(title, fontsize=9)
        middle = (values.min() + values.max()) / 2
        for i, j in np.ndindex(values.shape):
            color = "black" if values[i, j] > middle else "white"
            ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=6, color=color)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture (default: out)")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    ring = np.zeros((8, 8))
    ring[2:5, 3:6] = 1
    ring[3, 4] = 0
    print(f"a black-and-white donut is found where every condition holds: {np.argwhere(satisfied(ring)).tolist()}")

    donutty = convolve(IMAGE, DONUT[None])[0]
    row, column = np.unravel_index(donutty.argmax(), donutty.shape)
    print(f"in grey, the most donutty pixel is row {row}, column {column}, counted from 0:")
    print(show_the_work(int(row), int(column)))

    unpadded = convolve(IMAGE, DONUT[None], padding="valid")[0]
    print(
        f"without padding the map shrinks from {donutty.shape} to {unpadded.shape}: pixels near the edge have no answer"
    )
    two = convolve(IMAGE, np.stack([DONUT, -DONUT]))
    print(f"two filters give two maps: {two.shape}")
    second = np.stack([DONUT, -DONUT])[None]
    again = convolve(two, second)
    print(f"a filter over the maps reaches through all of them: {second.shape[1:]} → {again.shape}")
    print(
        f"the parameters are the multipliers: {DONUT.size} per filter, {two.shape[0] * DONUT.size} + {second.size} here"
    )

    panels = [
        ("the image", IMAGE),
        ("the filter", DONUT),
        ("how donutty is each pixel?", donutty),
        ("without padding", unpadded),
        ("second filter's map", two[1]),
        ("the two maps convolved again", again[0]),
        ("rectified: max(x, 0)", autograd.relu(donutty)),
        ("max pooled 2×2", autograd.max_pool2d(donutty[None, None], 2)[0, 0]),
    ]
    draw(panels, out / "donut_filter.png")
    print(f"picture: {out / 'donut_filter.png'}")


if __name__ == "__main__":
    try:
        main()
    except (AutogradError, OSError) as error:
        raise SystemExit(f"donut_filter.py: {error}") from None
