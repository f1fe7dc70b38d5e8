"""A folder of class folders of pictures, decoded when they are asked for."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autograd.errors import DataError, ShapeError

# Formats that Pillow decodes by itself: EPS, for one, would start another program.
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM", ".pgm": "PPM"}
FORMATS |= {".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}


class ImageFolder:
    """Pictures in `root/class/name.png`: the sub-folders of `root`, sorted, are the classes.

    `ds[5]` decodes one picture; `ds[10:20]` and `ds[indices]` decode a batch. `size=(height, width)` in pixels resizes
    each picture (bilinear); without it, the pictures of a batch must have one size. `mode` is Pillow's: `"RGB"`, `"L"`.

    Shapes: images uint8 `H W C` or, with mode `"L"`, `H W`; batches have `N` in front; labels int64.

    With `skip_errors=True` a batch leaves out pictures that cannot be decoded; `ds.skipped` maps their paths to the
    reasons, so `len(ds.skipped)` counts them.

    Raises `DataError` when `root` has no pictures or a picture cannot be decoded; `ShapeError` for a batch of mixed
    sizes; `ImportError` when Pillow is missing.
    """

    whole_batches: ClassVar[bool] = True  # a data loader may index with an array

    def __init__(
        self,
        root: str | os.PathLike[str],
        size: tuple[int, int] | None = None,
        mode: str = "RGB",
        skip_errors: bool = False,
    ) -> None:
        self.root = Path(root)
        self.size = size
        self.mode = mode
        self.skip_errors = skip_errors
        self.skipped: dict[Path, str] = {}
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
            return self._decode(self.paths[chosen]), self.labels[chosen]
        images, labels = [], []
        for i in chosen:
            try:
                images.append(self._decode(self.paths[i]))
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

    def _decode(self, path: Path) -> NDArray[np.uint8]:
        pillow = _pillow()
        try:
            with pillow.Image.open(path, formats=sorted(set(FORMATS.values()))) as file:
                image = pillow.ImageOps.exif_transpose(file).convert(self.mode)
                if self.size is not None:
                    image = image.resize(self.size[::-1], pillow.Image.Resampling.BILINEAR)
                return np.asarray(image)
        except (OSError, SyntaxError, ValueError, pillow.Image.DecompressionBombError) as error:
            raise DataError(
                f"ImageFolder: {path} cannot be decoded ({error}) → replace it or use skip_errors=True"
            ) from error


def _pillow() -> ModuleType:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise ImportError('ImageFolder needs Pillow → pip install "unfoldgrad[vision]"') from error
    return PIL
