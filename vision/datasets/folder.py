"""A folder of class folders of pictures, decoded when they are asked for."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autograd.errors import DataError, DomainError, ShapeError

StrPath: TypeAlias = str | os.PathLike[str]

# Formats that Pillow decodes by itself: EPS, for one, would start another program.
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM", ".pgm": "PPM"}
FORMATS |= {".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}


class ImageFolder:
    """Pictures in `root/class/name.png`: the sub-folders of `root`, sorted, are the classes.

    `ds[5]` decodes one picture; `ds[10:20]` and `ds[indices]` decode a batch. `size=(height, width)` in pixels resizes
    each picture (bilinear, averaged where it shrinks): `fit="stretch"` all of it, `fit="crop"` its middle, in its own
    proportions. Without `size`, the pictures of a batch must have one size. `mode` is Pillow's: `"RGB"`, `"L"`; what is
    transparent lies on white.

    Shapes: images uint8 `H W C` or, with mode `"L"`, `H W`; batches have `N` in front; labels int64.

    With `skip_errors=True` a batch leaves out pictures that cannot be decoded; `ds.skipped` maps their paths to the
    reasons, so `len(ds.skipped)` counts them.

    Raises `DataError` when `root` has no pictures or a picture cannot be decoded; `ShapeError` for a batch of mixed
    sizes; `DomainError` for another `fit`; `ImportError` when Pillow is missing.
    """

    whole_batches: ClassVar[bool] = True  # a data loader may index with an array

    def __init__(
        self,
        root: StrPath,
        size: tuple[int, int] | None = None,
        mode: str = "RGB",
        skip_errors: bool = False,
        fit: Literal["stretch", "crop"] = "stretch",
    ) -> None:
        self.root = Path(root)
        self.size = size
        self.mode = mode
        self.skip_errors = skip_errors
        self.fit = fit
        self.skipped: dict[Path, str] = {}
        if fit not in ("stretch", "crop"):
            raise DomainError(f"ImageFolder: fit is {fit!r} → give 'stretch' or 'crop'")
        if not self.root.is_dir():
            raise DataError(
                f"ImageFolder: root {self.root} is not a folder → give the folder that holds the class folders"
            )
        folders = sorted(entry for entry in self.root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        files = {folder: sorted(p for p in folder.rglob("*") if p.suffix.lower() in FORMATS) for folder in folders}
        if empty := [folder.name for folder in folders if not files[folder]] or ([] if folders else ["<no folders>"]):
            raise DataError(
                f"ImageFolder: no pictures in {self.root}: {', '.join(empty)}; expected root/class/picture with "
                f"one of {', '.join(FORMATS)} → remove empty class folders"
            )
        self.classes = tuple(folder.name for folder in folders)
        self.paths = [path for folder in folders for path in files[folder]]
        self.labels = np.repeat(np.arange(len(folders)), [len(files[folder]) for folder in folders]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice | ArrayLike) -> tuple[Any, Any]:
        chosen = np.asarray(np.arange(len(self))[np.asarray(index) if not isinstance(index, slice) else index])
        if chosen.ndim == 0:
            return self._picture(chosen), self.labels[chosen]
        images, labels = [], []
        for i in chosen:
            try:
                images.append(self._picture(i))
                labels.append(self.labels[i])
            except DataError as error:
                if not self.skip_errors:
                    raise
                self.skipped[self.paths[i]] = str(error)
        if len(chosen) and not images:
            raise DataError(f"ImageFolder: none of the {len(chosen)} pictures of this batch decodes → see ds.skipped")
        if len(shapes := {image.shape for image in images}) > 1:
            raise ShapeError(f"ImageFolder: a batch holds pictures of {sorted(shapes)[:4]} → give size=(height, width)")
        return np.stack(images) if images else np.empty((0,), np.uint8), np.array(labels, np.int64)

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.root)!r}, {len(self):,} pictures, {len(self.classes)} classes)"

    def _picture(self, index: Any) -> NDArray[np.uint8]:
        return decode("ImageFolder", self.paths[index], self.mode, self.size, self.fit)


def write_folder(
    images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], labels: ArrayLike, classes: Sequence[str], root: StrPath
) -> None:
    """Write images, uint8 `H W` or `H W C`, as `root/class/00012.png`, which `ImageFolder` reads back as they were.

    Raises `DataError` when the root exists and is not empty, `ShapeError` when images and labels differ in number.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     write_folder(np.zeros((3, 4, 4), np.uint8), [0, 1, 1], ("cat", "dog"), root)
    ...     ImageFolder(root).labels
    array([0, 1, 1])
    """
    root, labels = Path(root), np.asarray(labels)
    if len(images) != len(labels):
        raise ShapeError(f"write_folder: {len(images)} images but {len(labels)} labels → give one for each")
    if root.exists() and any(root.iterdir()):
        raise DataError(f"write_folder: {root} is not empty → give a new folder, so that nothing is mixed")
    folders = [root / name.replace("/", "-") for name in classes]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    pillow = _pillow()
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        pillow.Image.fromarray(image).save(folders[label] / f"{i:05}.png")


def decode(
    owner: str,
    path: Path,
    mode: str,
    size: tuple[int, int] | None = None,
    fit: Literal["stretch", "crop"] = "stretch",
) -> NDArray[np.uint8]:
    """A picture file as an array, upright, on white; `owner` is who says so if it cannot be decoded (`DataError`)."""
    pillow = _pillow()
    try:
        with pillow.Image.open(path, formats=sorted(set(FORMATS.values()))) as file:
            image = pillow.ImageOps.exif_transpose(file)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = pillow.Image.alpha_composite(pillow.Image.new("RGBA", image.size, "white"), image)
            image = image.convert(mode)
            if size is not None:
                method = pillow.Image.Resampling.BILINEAR
                crop = fit == "crop"
                image = pillow.ImageOps.fit(image, size[::-1], method) if crop else image.resize(size[::-1], method)
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, pillow.Image.DecompressionBombError) as error:
        raise DataError(f"{owner}: {path} cannot be decoded ({error}) → replace it, or use skip_errors=True") from error


def _pillow() -> ModuleType:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise ImportError('pictures need Pillow → pip install "unfoldgrad[vision]"') from error
    return PIL
