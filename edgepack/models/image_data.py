"""A folder of pictures as samples: class subfolders or a list of labels, declared preprocessing."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import DataError, MissingToolError
from edgepack.models.data_description import (
    DESCRIPTION_NAME,
    Description,
    ImageSection,
    class_number,
    read_description,
)
from edgepack.types import Array

LABEL_FILES = ("labels.txt", "labels.csv")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp", ".tif", ".tiff")
_MODES = {"gray": ("L", 1), "rgb": ("RGB", 3)}
_EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "La", "RGBa")


@dataclass(frozen=True)
class Pictures:
    """Samples [n, height, width, channels]: uint8 for values = "bytes", else float32.

    labels: class numbers [n], or None. classes: their names where they are known.
    """

    values: Array
    labels: Array | None
    classes: tuple[str, ...] | None


def read_pictures(
    folder: Path, shape: Sequence[int] | None = None, *, limit: int | None = None
) -> Pictures:
    """Read the pictures of a folder, classes in turn, so that a limit takes some of each.

    Args:
        folder: holds data.toml; and either class subfolders, or pictures and, where they have
            labels, labels.txt with a line `FILE LABEL` for each.
        shape: of one sample, from the model: height, width and channels after axes of length 1.
        limit: read only so many.

    Raises:
        DataError: no picture, a damaged one, one of another size than declared, a wrong label.
        MissingToolError: Pillow is not installed.
    """
    described = read_description(folder / DESCRIPTION_NAME)
    settings = _settings(folder, described)
    height, width, mode = _wanted(folder, settings, shape)
    files, labels, classes = _list(folder, described)
    files, labels = files[:limit], labels[:limit] if labels is not None else None
    values = np.stack([_read(folder / name, settings, height, width, mode) for name in files])
    if settings.values != "bytes":
        values = _scaled(folder, values, settings)
    return Pictures(values, None if labels is None else np.array(labels, np.int64), classes)


def _settings(folder: Path, described: Description) -> ImageSection:
    if described.image is None:
        raise DataError(
            f"{folder} does not say which numbers its pictures become",
            allowed='values = "bytes" (0 to 255, less 128 for int8), [0, 1], [-1, 1], or what the '
            "model was trained with",
            next_step=f"write {folder / DESCRIPTION_NAME} with the lines: [image] and "
            "values = [0, 1]",
        )
    return described.image


def _wanted(
    folder: Path, settings: ImageSection, shape: Sequence[int] | None
) -> tuple[int, int, str]:
    """Height, width and Pillow's mode, of the description and else of the model."""
    size, mode = settings.size, settings.mode
    if shape is not None:
        given = [d for d in shape if d != 1] if len(shape) > 3 or 1 in shape else list(shape)
        if len(given) == 2:
            given.append(1)
        if len(given) != 3 or given[2] not in (1, 3):
            raise DataError(
                f"{folder}: the model's input of shape {'x'.join(map(str, shape))} is no picture",
                allowed="height x width x 1 or 3 channels",
            )
        size = size or (given[0], given[1])
        mode = mode or ("rgb" if given[2] == 3 else "gray")
    if size is None or mode is None:
        raise DataError(
            f"{folder / DESCRIPTION_NAME} lacks the pictures' size or mode",
            allowed='size = [HEIGHT, WIDTH] and mode = "rgb" or "gray"',
        )
    return size[0], size[1], mode


def _list(
    folder: Path, described: Description
) -> tuple[list[str], list[int] | None, tuple[str, ...] | None]:
    """Names of the pictures, their labels, and the classes."""
    named = described.labels.classes if described.labels is not None else None
    listed = next((folder / name for name in LABEL_FILES if (folder / name).is_file()), None)
    if listed is not None:
        files, labels = _from_list(folder, listed, named)
        return files, labels, named
    flat = sorted(p.name for p in folder.iterdir() if _is_picture(p))
    folders = sorted(
        p.name for p in folder.iterdir() if p.is_dir() and any(map(_is_picture, p.iterdir()))
    )
    if flat and folders:
        raise DataError(
            f"{folder} holds pictures beside class folders ({flat[0]} and {folders[0]})",
            allowed="class folders alone, or pictures with labels.txt",
        )
    if not flat and not folders:
        raise DataError(f"{folder} holds no pictures", allowed=", ".join(_SUFFIXES))
    if flat:
        return flat, None, named
    classes = named or tuple(folders)
    ranked = []
    for name in folders:
        number = class_number(name, classes, f"{folder / name}")
        pictures = sorted(p.name for p in (folder / name).iterdir() if _is_picture(p))
        ranked += [(rank, number, f"{name}/{p}") for rank, p in enumerate(pictures)]
    ranked.sort()
    return [name for _, _, name in ranked], [number for _, number, _ in ranked], classes


def _from_list(
    folder: Path, path: Path, classes: tuple[str, ...] | None
) -> tuple[list[str], list[int]]:
    files, labels = [], []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file) if path.suffix == ".csv" else (line.split() for line in file)
        for number, row in enumerate(rows, 1):
            if not row or row[0].startswith("#"):
                continue
            where = f"{path}, line {number}"
            if len(row) != 2:
                raise DataError(f"{where} has {len(row)} words", allowed="FILE LABEL")
            if not (folder / row[0]).is_file():
                raise DataError(f"{where}: {folder / row[0]} does not exist")
            files.append(row[0])
            labels.append(class_number(row[1].strip(), classes, where))
    if not files:
        raise DataError(f"{path} lists no pictures", allowed="a line FILE LABEL for each")
    return files, labels


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in _SUFFIXES


def _read(path: Path, settings: ImageSection, height: int, width: int, mode: str) -> Array:
    """One picture as uint8 [height, width, channels], turned as its EXIF data say."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise MissingToolError(
            "Pillow, which reads pictures, is not installed",
            next_step="pip install edgepack[images]",
        ) from None
    try:
        with Image.open(path) as file:
            if file.mode not in _EIGHT_BIT:
                raise DataError(
                    f"{path} has pixels of mode {file.mode}", allowed="8 bits a channel"
                )
            picture: Any = ImageOps.exif_transpose(file).convert(_MODES[mode][0])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    if picture.size != (width, height):
        picture = _resized(path, picture, settings, height, width)
    return np.asarray(picture, np.uint8).reshape(height, width, _MODES[mode][1])


def _resized(path: Path, picture: Any, settings: ImageSection, height: int, width: int) -> Any:
    from PIL import Image, ImageOps

    method = Image.Resampling[settings.filter.upper()]
    if settings.fit == "stretch":
        return picture.resize((width, height), method)
    if settings.fit == "crop":
        return ImageOps.fit(picture, (width, height), method)
    if settings.fit == "pad":
        return ImageOps.pad(picture, (width, height), method)
    raise DataError(
        f"{path} is {picture.height} x {picture.width} (height x width)",
        allowed=f"{height} x {width}",
        next_step=f'add fit = "stretch", "crop" or "pad" to [image] in {DESCRIPTION_NAME}',
    )


def _scaled(folder: Path, values: Array, settings: ImageSection) -> Array:
    """low + x * (high - low) / 255, then (x - mean) / std, in float32."""
    assert settings.values != "bytes"
    low, high = settings.values
    real = np.float32(low) + values.astype(np.float32) * np.float32((high - low) / 255)
    for name, numbers in (("mean", settings.mean), ("std", settings.std)):
        if numbers is None:
            continue
        if len(numbers) not in (1, values.shape[-1]):
            raise DataError(
                f"{folder / DESCRIPTION_NAME}: {name} has {len(numbers)} numbers",
                allowed=f"1 or {values.shape[-1]}, the channels",
            )
        given = np.array(numbers, np.float32)
        real = real - given if name == "mean" else real / given
    return np.asarray(real, np.float32)
