"""Transforms against independent implementations: SciPy for the affine maps, loops and slices for the rest."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from autograd.errors import DomainError, DTypeError, IndexingError, ShapeError
from vision import transforms
from vision.transforms.warp import warp

batches = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)).filter(
        lambda s: not (s[3] in (3, 4) and s[1] > 4)
    ),
    elements=st.floats(0, 1, width=32),
)
colour_batches = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 3), st.just(3), st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(0, 1, width=32),
)
seeds = st.integers(0, 2**32)

RANDOM: list[Callable[..., transforms.Transform]] = [
    lambda: transforms.RandomCrop(1, padding=1),
    lambda: transforms.RandomHorizontalFlip(),
    lambda: transforms.RandomAffine(20, (0.2, 0.1), (0.8, 1.2), 10),
    lambda: transforms.RandomErasing(),
    lambda: transforms.RandomResizedCrop((3, 2)),
]
COLOUR: list[Callable[..., transforms.Transform]] = [
    lambda: transforms.ColorJitter(0.4, 0.4, 0.4, 0.5),
    lambda: transforms.RandomGrayscale(0.5),
    lambda: transforms.Lighting(),
]
EVERY = [*RANDOM, lambda: transforms.Pad(1), lambda: transforms.CenterCrop(1)]


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=4, max_side=4)))
def test_to_float(images: np.ndarray) -> None:
    out = transforms.ToFloat()(images)
    expected = images[..., None] if images.ndim == 3 else images
    np.testing.assert_allclose(out, np.moveaxis(expected, -1, 1) / 255, rtol=1e-6)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    if images.ndim == 4:
        np.testing.assert_allclose(transforms.ToFloat(channels_first=True)(images), images / 255, rtol=1e-6)


@given(batches)
def test_normalize(images: np.ndarray) -> None:
    channels = images.shape[1]
    mean, std = [0.1 * (c + 1) for c in range(channels)], [0.5 + c for c in range(channels)]
    out = transforms.Normalize(mean, std)(images)
    for c in range(channels):
        np.testing.assert_allclose(out[:, c], (images[:, c] - mean[c]) / std[c], rtol=1e-5, atol=1e-6)
    assert out.dtype == np.float32


def test_normalize_keeps_float64() -> None:
    assert transforms.Normalize(0.5, 0.5)(np.zeros((1, 1, 2, 2))).dtype == np.float64


@given(batches, st.tuples(*[st.integers(0, 3)] * 4))
def test_pad(images: np.ndarray, sides: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = sides
    n, c, height, width = images.shape
    out = transforms.Pad(sides, fill=0.5)(images)
    assert out.shape == (n, c, height + top + bottom, width + left + right)
    np.testing.assert_array_equal(out[:, :, top : top + height, left : left + width], images)
    assert (out == 0.5).sum() >= out.size - images.size


def test_padding_forms() -> None:
    x = np.zeros((1, 1, 2, 2), np.uint8)
    assert transforms.Pad(1)(x).shape == (1, 1, 4, 4)
    assert transforms.Pad((1, 2))(x).shape == (1, 1, 4, 6)


@given(batches, seeds)
def test_random_crop_takes_windows(images: np.ndarray, seed: int) -> None:
    n, c, height, width = images.shape
    size = (max(1, height - 1), max(1, width - 1))
    out = transforms.RandomCrop(size, padding=1)(images, np.random.default_rng(seed))
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    assert out.shape == (n, c, *size)
    for i in range(n):
        windows = [
            padded[i, :, a : a + size[0], b : b + size[1]]
            for a in range(height + 3 - size[0])
            for b in range(width + 3 - size[1])
        ]
        assert any(np.array_equal(out[i], window) for window in windows)


def test_random_crop_reaches_every_place() -> None:
    images = np.broadcast_to(np.arange(9.0).reshape(1, 1, 3, 3), (500, 1, 3, 3))
    out = transforms.RandomCrop(1)(images, np.random.default_rng(0))
    assert set(out.ravel().tolist()) == set(range(9))


def test_center_crop() -> None:
    images = np.arange(20.0).reshape(1, 1, 4, 5)
    np.testing.assert_array_equal(transforms.CenterCrop((2, 2))(images), images[:, :, 1:3, 1:3])


@given(batches, seeds)
def test_flip(images: np.ndarray, seed: int) -> None:
    out = transforms.RandomHorizontalFlip()(images, np.random.default_rng(seed))
    for x, y in zip(images, out):
        assert np.array_equal(y, x) or np.array_equal(y, x[:, :, ::-1])
    np.testing.assert_array_equal(transforms.RandomHorizontalFlip(0)(images, np.random.default_rng(seed)), images)


@given(batches, seeds, st.floats(-1, 1))
def test_warp_agrees_with_scipy(images: np.ndarray, seed: int, fill: float) -> None:
    rng = np.random.default_rng(seed)
    n, channels, height, width = images.shape
    matrices, shifts = transforms.RandomAffine(180, (0.5, 0.5), (0.5, 2), 30).draw(n, (height, width), rng)
    out = warp(images, matrices, shifts, fill)
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])  # SciPy counts rows first
    center = np.array([(height - 1) / 2, (width - 1) / 2])
    for i in range(n):
        inverse = swap @ np.linalg.inv(matrices[i]) @ swap
        offset = center - inverse @ (center + shifts[i][::-1])
        for c in range(channels):
            expected = ndimage.affine_transform(
                images[i, c].astype(float), inverse, offset, order=1, mode="grid-constant", cval=fill
            )
            np.testing.assert_allclose(out[i, c], expected, atol=2e-5)


@given(batches, st.integers(-3, 3), st.integers(-3, 3))
def test_warp_by_whole_pixels_shifts(images: np.ndarray, dx: int, dy: int) -> None:
    n, _, height, width = images.shape
    out = warp(images, np.tile(np.eye(2), (n, 1, 1)), np.tile([dx, dy], (n, 1)).astype(float))
    padded = np.pad(images, ((0, 0), (0, 0), (3, 3), (3, 3)))
    np.testing.assert_allclose(out, padded[:, :, 3 - dy : 3 - dy + height, 3 - dx : 3 - dx + width], atol=1e-6)


def test_a_positive_angle_turns_clockwise() -> None:
    images = np.zeros((1, 1, 3, 3), np.float32)
    images[0, 0, 0, 1] = 1  # up
    out = transforms.RandomAffine(degrees=(90, 90))(images, np.random.default_rng(0))
    assert out[0, 0, 1, 2] == pytest.approx(1, abs=1e-5)  # right


def test_affine_of_many_images_is_that_of_each() -> None:
    images = np.random.default_rng(0).random((700, 1, 28, 28), np.float32)  # more than one chunk
    matrices, shifts = transforms.RandomAffine(15, (0.1, 0.1)).draw(700, (28, 28), np.random.default_rng(1))
    whole = warp(images, matrices, shifts)
    for i in (0, 20, 21, 699):
        np.testing.assert_array_equal(whole[i], warp(images[i : i + 1], matrices[i : i + 1], shifts[i : i + 1])[0])


def test_affine_of_bytes_stays_bytes() -> None:
    images = np.full((2, 1, 8, 8), 255, np.uint8)
    out = transforms.RandomAffine(30)(images, np.random.default_rng(0))
    assert out.dtype == np.uint8
    assert out[:, :, 3:5, 3:5].min() == 255


@given(seeds, st.floats(0, 0.5), st.floats(0.3, 3))
def test_erasing_overwrites_one_rectangle(seed: int, area: float, ratio: float) -> None:
    images = np.ones((6, 2, 16, 12), np.float32)
    erase = transforms.RandomErasing(1, (area, area), (ratio, ratio), value=(7, 8))
    out = erase(images, np.random.default_rng(seed))
    for image in out:
        np.testing.assert_array_equal(image[0] == 7, image[1] == 8)
        rows, columns = np.nonzero(image[0] == 7)
        assert set(np.unique(image[0])) <= {1, 7}
        if len(rows):
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert height * width == len(rows)
            assert height == min(16, np.rint(np.sqrt(area * 192 * ratio)))
            assert width == min(12, np.rint(np.sqrt(area * 192 / ratio)))


def test_erasing_probability() -> None:
    images = np.ones((4000, 1, 8, 8), np.float32)
    out = transforms.RandomErasing(0.25, scale=(0.1, 0.3))(images, np.random.default_rng(0))
    assert (out.min(axis=(1, 2, 3)) == 0).mean() == pytest.approx(0.25, abs=0.03)


@given(batches, seeds, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_resized_crop_agrees_with_scipy(images: np.ndarray, seed: int, size: tuple[int, int]) -> None:
    crop = transforms.RandomResizedCrop(size, scale=(0.2, 1), ratio=(0.5, 2))
    whole = np.array(images.shape[2:])
    centers, sides = crop.draw(len(images), whole, np.random.default_rng(seed))
    corners = centers - (sides - 1) / 2
    assert ((corners >= 0) & (corners + sides <= whole) & (sides >= 1)).all()
    out = crop(images, np.random.default_rng(seed))
    assert out.shape == (*images.shape[:2], *size)
    for i, (top, left), (height, width) in zip(range(len(images)), corners, sides, strict=True):
        rows, columns = (np.arange(n) + 0.5 for n in size)
        rows = np.clip(rows * height / size[0] - 0.5 + top, 0, whole[0] - 1)
        columns = np.clip(columns * width / size[1] - 0.5 + left, 0, whole[1] - 1)
        for channel in range(images.shape[1]):
            expected = ndimage.map_coordinates(
                images[i, channel].astype(float), np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest"
            )
            np.testing.assert_allclose(out[i, channel], expected, atol=2e-5)


def test_resized_crops_have_the_area_and_ratio_asked_for() -> None:
    crop = transforms.RandomResizedCrop(8, scale=(0.25, 0.5), ratio=(0.5, 2))
    _, sides = crop.draw(2000, np.array([1000, 1000]), np.random.default_rng(0))
    area, ratio = sides.prod(axis=1) / 1e6, sides[:, 1] / sides[:, 0]
    assert area.min() > 0.249
    assert area.max() < 0.501
    assert np.mean(ratio < 1) == pytest.approx(0.5, abs=0.04)
    assert (ratio.min(), ratio.max()) == (pytest.approx(0.5, abs=0.01), pytest.approx(2, abs=0.02))


@given(colour_batches, st.floats(0, 2), st.floats(0, 2), st.floats(0, 2), seeds)
def test_jitter_is_its_three_blends_one_after_another(
    images: np.ndarray, brightness: float, contrast: float, saturation: float, seed: int
) -> None:
    jitter = transforms.ColorJitter(*[(f, f) for f in (brightness, contrast, saturation)])
    out = jitter(images, np.random.default_rng(seed))
    for image, seen in zip(images, out, strict=True):
        expected = image * brightness
        grey = np.tensordot([0.299, 0.587, 0.114], expected, 1)
        expected = contrast * expected + (1 - contrast) * grey.mean()
        grey = np.tensordot([0.299, 0.587, 0.114], expected, 1)
        expected = saturation * expected + (1 - saturation) * grey
        np.testing.assert_allclose(seen, expected.clip(0, 1), atol=1e-5)


@given(colour_batches, st.floats(-0.5, 0.5), seeds)
def test_hue_keeps_luminance_and_turns_back(images: np.ndarray, turns: float, seed: int) -> None:
    images = 0.45 + 0.1 * images  # far from 0 and 1, where colours are clipped
    there, back = (transforms.ColorJitter(hue=(t, t)) for t in (turns, -turns))
    turned = there(images, np.random.default_rng(seed))
    luminance = [np.tensordot([0.299, 0.587, 0.114], x, (0, 1)) for x in (images, turned)]
    np.testing.assert_allclose(*luminance, atol=1e-5)
    np.testing.assert_allclose(back(turned, np.random.default_rng(seed)), images, atol=1e-5)


def test_a_third_of_a_turn_makes_red_greenish() -> None:
    red = np.array([0.6, 0.4, 0.4], np.float32).reshape(1, 3, 1, 1)
    turns = [transforms.ColorJitter(hue=(t, t))(red, np.random.default_rng(0)).ravel() for t in (1 / 3, -1 / 3)]
    assert {int(colour.argmax()) for colour in turns} == {1, 2}


@given(colour_batches, seeds)
def test_grey_is_the_luminance(images: np.ndarray, seed: int) -> None:
    out = transforms.RandomGrayscale(1)(images, np.random.default_rng(seed))
    grey = 0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]
    np.testing.assert_allclose(out, np.stack([grey] * 3, axis=1), atol=1e-6)
    np.testing.assert_allclose(transforms.RandomGrayscale(0)(images, np.random.default_rng(seed)), images, atol=1e-6)


def test_lighting_shifts_by_the_published_covariance() -> None:
    lighting = transforms.Lighting(1.0)
    shifts = lighting(np.zeros((20000, 3, 1, 1)), np.random.default_rng(0)).reshape(-1, 3)
    axes, deviations = lighting.AXES, lighting.DEVIATIONS
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-3)
    np.testing.assert_allclose(np.cov(shifts.T), axes @ np.diag(deviations**2) @ axes.T, atol=2e-3)


@given(batches, st.data(), st.sampled_from([transforms.Mixup, transforms.CutMix]), seeds)
def test_mixed_batches_count_classes_by_their_share(
    images: np.ndarray, data: st.DataObject, mix: type[transforms.Mixup], seed: int
) -> None:
    n = len(images)
    labels = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), np.int64)
    images = np.broadcast_to(labels[:, None, None, None].astype(np.float32), images.shape)  # every pixel is its class
    out, target = mix(5)((images, labels), np.random.default_rng(seed))
    np.testing.assert_allclose(target.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)), target @ np.arange(5), atol=1e-5)
    if mix is transforms.CutMix:
        assert np.isin(out, labels).all()
    else:
        np.testing.assert_allclose(np.ptp(out, axis=(1, 2, 3)), 0, atol=1e-6)


def test_a_cut_is_one_rectangle() -> None:
    images = np.arange(8.0)[:, None, None, None] * np.ones((8, 2, 9, 7))
    out, _ = transforms.CutMix(8)((images, np.arange(8)), np.random.default_rng(3))
    for i, image in enumerate(out):
        np.testing.assert_array_equal(image[0], image[1])
        rows, columns = np.nonzero(image[0] != i)
        if len(rows):
            assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows)


@pytest.mark.parametrize("make", [*EVERY, *COLOUR])
@given(images=batches | colour_batches, seed=seeds)
def test_the_input_is_untouched_and_the_seed_decides(
    make: Callable[..., transforms.Transform], images: np.ndarray, seed: int
) -> None:
    assume(make not in COLOUR or images.shape[1] == 3)
    before = images.copy()
    transform = make()
    first, second = (transform(images, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(first, second)
    assert first.dtype == images.dtype
    assert not np.shares_memory(first, images)


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_empty_batches_and_other_dtypes(make: Callable[..., transforms.Transform], dtype: type) -> None:
    out = make()(np.zeros((0, 1, 5, 5), dtype), np.random.default_rng(0))
    assert len(out) == 0
    assert out.dtype == dtype


@pytest.mark.parametrize("make", [*RANDOM, *COLOUR])
def test_random_transforms_ask_for_a_generator(make: Callable[..., transforms.Transform]) -> None:
    with pytest.raises(DTypeError, match=r"rng is NoneType.*default_rng\(seed\)"):
        make()(np.zeros((1, 1, 4, 4), np.float32))


@pytest.mark.parametrize("make", [*EVERY, *COLOUR, lambda: transforms.Normalize(0.5, 0.5)])
def test_every_transform_names_bad_images(make: Callable[..., transforms.Transform]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ShapeError, match=r"\(28, 28\), expected N C H W"):
        make()(np.zeros((28, 28), np.float32), rng)
    with pytest.raises(ShapeError, match="look like N H W C"):
        make()(np.zeros((2, 28, 28, 3), np.float32), rng)
    with pytest.raises(DTypeError, match="images are a list"):
        make()([[1.0]], rng)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="complex"):
        make()(np.zeros((1, 1, 2, 2), complex), rng)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: transforms.ToFloat()(np.zeros((2, 28, 28))), DTypeError, "images are float64, expected a uint8"),
        (lambda: transforms.ToFloat()(np.zeros((28, 28), np.uint8)), ShapeError, r"\(28, 28\), expected N H W"),
        (lambda: transforms.ToFloat()(np.zeros((2, 3, 28, 28), np.uint8)), ShapeError, "channels_first=True"),
        (lambda: transforms.Normalize(0, 1)(np.zeros((1, 1, 2, 2), np.uint8)), DTypeError, r"uint8.*ToFloat\(\)"),
        (lambda: transforms.Normalize(0, 1)(np.full((1, 1, 2, 2), 255.0)), DomainError, r"255.*ToFloat\(\)"),
        (lambda: transforms.Normalize(0, 1)(np.full((1, 1, 2, 2), np.nan)), DomainError, "nan"),
        (lambda: transforms.Normalize((0, 0), 1)(np.zeros((1, 3, 2, 2))), ShapeError, "C=3 but mean has 2"),
        (lambda: transforms.Normalize(0, 0), DomainError, "std=0"),
        (lambda: transforms.CenterCrop(5)(np.zeros((1, 1, 4, 4))), ShapeError, r"size is \(5, 5\).*\(4, 4\)"),
        (lambda: transforms.RandomCrop(0), DomainError, "size=0"),
        (lambda: transforms.Pad(-1), DomainError, "padding=-1"),
        (lambda: transforms.Pad((1, 2, 3)), DomainError, "1, 2 or 4"),  # type: ignore[arg-type]
        (lambda: transforms.RandomHorizontalFlip(1.5), DomainError, "p=1.5"),
        (lambda: transforms.RandomAffine(degrees=(20, 10)), DomainError, "degrees"),
        (lambda: transforms.RandomAffine(translate=(2, 0)), DomainError, "translate"),
        (lambda: transforms.RandomAffine(scale=(0, 1)), DomainError, "scale"),
        (lambda: transforms.RandomAffine(shear=90), DomainError, "shear"),
        (lambda: transforms.RandomResizedCrop(4, scale=(0, 1)), DomainError, "scale"),
        (lambda: transforms.RandomResizedCrop(4, ratio=(2, 1)), DomainError, "ratio"),
        (lambda: transforms.ColorJitter(brightness=-0.1), DomainError, "brightness=-0.1"),
        (lambda: transforms.ColorJitter(hue=0.6), DomainError, "hue=0.6"),
        (lambda: transforms.Lighting(-1), DomainError, "std=-1"),
        (lambda: transforms.RandomGrayscale(2), DomainError, "p=2"),
        (lambda: grey_in(transforms.ColorJitter(hue=0.1)), ShapeError, "C=1, expected red, green, blue"),
        (lambda: grey_in(transforms.RandomGrayscale()), ShapeError, "C=1, expected red, green, blue"),
        (lambda: grey_in(transforms.Lighting()), ShapeError, "C=1, expected red, green, blue"),
        (lambda: transforms.Mixup(0), DomainError, "classes=0"),
        (lambda: transforms.CutMix(3, alpha=0), DomainError, "alpha=0"),
        (lambda: mixed([0, 3]), IndexingError, r"0\.\.3, expected 0\.\.2"),
        (lambda: mixed([0.0, 1.0]), DTypeError, "labels are float64"),
        (lambda: mixed([0]), DTypeError, r"\(1,\) for 2 images"),
        (lambda: transforms.RandomErasing(scale=(0.5, 0.1)), DomainError, "scale"),
        (lambda: transforms.RandomErasing(ratio=(0, 1)), DomainError, "ratio"),
        (
            lambda: transforms.RandomErasing(value=(1, 2))(np.zeros((1, 3, 4, 4)), np.random.default_rng(0)),
            ShapeError,
            "C=3 but value has 2",
        ),
    ],
)
def test_bad_input(call: Callable[[], object], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def grey_in(transform: transforms.Transform) -> np.ndarray:
    return transform(np.zeros((1, 1, 2, 2)), np.random.default_rng(0))


def mixed(labels: list[float]) -> object:
    return transforms.Mixup(3)((np.zeros((2, 1, 2, 2)), np.array(labels)), np.random.default_rng(0))


def test_repr_shows_the_parameters() -> None:
    assert repr(transforms.Compose([transforms.ToFloat()])) == "Compose(ToFloat(channels_first=False))"
    assert repr(transforms.Compose(transforms.ToFloat(), transforms.RandomCrop(28, padding=2))) == (
        "Compose(ToFloat(channels_first=False), RandomCrop(size=(28, 28), padding=2, fill=0))"
    )
