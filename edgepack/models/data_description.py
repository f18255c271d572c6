"""data.toml: how images and tables become a model's inputs. Nothing of it is guessed.

It lies in an image folder as `data.toml`, or beside `NAME.csv` as `NAME.toml`; docs/bench.md
describes every key.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgepack.errors import DataError

DESCRIPTION_NAME = "data.toml"
Positive = Annotated[int, Field(ge=1, strict=True)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageSection(_Section):
    """`[image]`: from a picture to numbers.

    Attributes:
        values: what the darkest and brightest value of a channel become, such as [0, 1]; or
            "bytes": 0 to 255 as they are, less 128 where the model takes int8.
        mean, std: one number per channel; after `values`, (x - mean) / std.
        size: height and width, by default the model's.
        mode: channels, by default what the model's input has.
        fit: what happens to pictures of another size: refused, stretched, scaled until they fill
            the size and cut at the edges, or scaled until they fit in and padded with black.
        filter: how they are scaled.
    """

    values: Literal["bytes"] | tuple[float, float]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: tuple[Positive, Positive] | None = None
    mode: Literal["rgb", "gray"] | None = None
    fit: Literal["exact", "stretch", "crop", "pad"] = "exact"
    filter: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = "bilinear"

    @model_validator(mode="after")
    def _sensible(self) -> ImageSection:
        if self.values != "bytes" and self.values[0] == self.values[1]:
            raise ValueError("values need two different numbers")
        if self.values == "bytes" and (self.mean or self.std):
            raise ValueError('mean and std need values = [LOW, HIGH], not "bytes"')
        if self.std is not None and 0 in self.std:
            raise ValueError("std may not be 0")
        return self


class TableSection(_Section):
    """`[csv]`: from a row to numbers.

    Attributes:
        label: the name of the label's column, or its number from 0 where there is no header.
        columns: the input's columns in order, by default all but the label's.
        delimiter: between two cells.
        shape: of one sample, by default the model's.
    """

    label: str | Annotated[int, Field(ge=0)] | None = None
    columns: tuple[str, ...] | None = None
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    shape: tuple[Positive, ...] | None = None


class AudioSection(_Section):
    """`[audio]`: from a recording to numbers between -1 and 1, or to features of them.

    Attributes:
        rate: of every recording, in Hz; another one is refused.
        length: samples in time, by default what the model's input holds; a longer recording is cut
            at its end, a shorter one is followed by silence.
        features: the samples themselves, magnitudes of windows, logarithms of their energies on the
            mel scale, or the first cosine terms of those (edgepack/models/audio_features.py).
        window_ms, stride_ms: of the windows, in milliseconds.
        fft: points of the transform, by default the power of two that holds a window.
        mels: bands on the mel scale, from `low_hz` to `high_hz` (by default half the rate).
        log_offset: added before the logarithm.
        coefficients: of the MFCCs, the first ones.
        mean, std: at last (x - mean) / std.
    """

    rate: Positive
    length: Positive | None = None
    features: Literal["samples", "spectrogram", "log-mel", "mfcc"] = "samples"
    window_ms: float = Field(default=30.0, gt=0)
    stride_ms: float = Field(default=20.0, gt=0)
    fft: Positive | None = None
    mels: Positive = 40
    low_hz: float = Field(default=20.0, ge=0)
    high_hz: float | None = Field(default=None, gt=0)
    log_offset: float = Field(default=1e-6, gt=0)
    coefficients: Positive = 13
    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)

    @property
    def window(self) -> int:
        """Samples in a window."""
        return round(self.rate * self.window_ms / 1000)

    @property
    def stride(self) -> int:
        """Samples from one window to the next."""
        return max(1, round(self.rate * self.stride_ms / 1000))

    @property
    def fft_size(self) -> int:
        """Points of the transform."""
        return self.fft or 1 << max(0, self.window - 1).bit_length()

    @model_validator(mode="after")
    def _sensible(self) -> AudioSection:
        if self.features == "samples":
            return self
        if self.length is None:
            raise ValueError("features need length, in samples")
        if self.fft_size < self.window:
            raise ValueError(f"fft may not be less than a window, {self.window} samples")
        if self.features == "mfcc" and self.coefficients > self.mels:
            raise ValueError("there are no more coefficients than mels")
        if not self.low_hz < (self.high_hz or self.rate / 2) <= self.rate / 2:
            raise ValueError("low_hz must be below high_hz, and that at most half the rate")
        return self


class LabelSection(_Section):
    """`[labels]`: names of the classes, in the order of the model's outputs."""

    classes: tuple[str, ...] = Field(min_length=2)


class Description(_Section):
    """A whole data.toml."""

    image: ImageSection | None = None
    csv: TableSection | None = None
    audio: AudioSection | None = None
    labels: LabelSection | None = None


def read_description(path: Path) -> Description:
    """Read a description; a file that is not there describes nothing.

    Raises:
        DataError: it is damaged, or holds a key or value that is not allowed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Description()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    try:
        return Description.model_validate(document)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("tuple["))
        raise DataError(
            f"{path}: {where or 'the file'}: {first['msg'].removeprefix('Value error, ')}",
            next_step="docs/bench.md lists the keys of data.toml",
        ) from error


def class_number(name: str, classes: tuple[str, ...] | None, where: str) -> int:
    """A label as a class number: a name of `classes`, or a whole number.

    Raises:
        DataError: it is neither.
    """
    if classes is not None and name in classes:
        return classes.index(name)
    if name.isdecimal():
        return int(name)
    raise DataError(
        f"{where}: the label {name!r} is no class",
        allowed=", ".join(classes[:20]) if classes else "numbers from 0, or [labels] classes",
    )
