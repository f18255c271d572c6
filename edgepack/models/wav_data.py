"""A folder of recordings as samples: class subfolders of .wav files, declared in data.toml."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.errors import DataError
from edgepack.models.audio_features import features
from edgepack.models.data_description import (
    DESCRIPTION_NAME,
    AudioSection,
    class_number,
    read_description,
)
from edgepack.types import Array

_PCM = {1: ("u1", 128.0, 128.0), 2: ("<i2", 0.0, 32768.0), 4: ("<i4", 0.0, 2.0**31)}


@dataclass(frozen=True)
class Recordings:
    """Samples [n, *shape], float32; class numbers [n] or None; class names."""

    values: Array
    labels: Array | None
    classes: tuple[str, ...] | None


def is_wav_folder(folder: Path) -> bool:
    """Whether a folder, or one of its subfolders, holds .wav files."""
    return any(_wavs(folder)) or any(_wavs(p) for p in _folders(folder))


def read_recordings(
    folder: Path, shape: Sequence[int] | None = None, *, limit: int | None = None
) -> Recordings:
    """Read the .wav files of a folder, classes in turn, so that a limit takes some of each.

    Args:
        folder: holds data.toml with [audio]; and class subfolders, or recordings without labels.
        shape: of one sample, from the model; without features its size is that in time.
        limit: read only so many.

    Raises:
        DataError: no recording, a damaged one, another rate than declared, several channels, or
            features of another shape.
    """
    described = read_description(folder / DESCRIPTION_NAME)
    if described.audio is None:
        raise DataError(
            f"{folder} does not say at which rate its recordings are read",
            next_step=f"write {folder / DESCRIPTION_NAME} with the lines: [audio] and rate = 16000",
        )
    length = described.audio.length or (int(np.prod(shape)) if shape is not None else None)
    if length is None:
        raise DataError(f"{folder / DESCRIPTION_NAME} lacks [audio] length, in samples")
    named = described.labels.classes if described.labels is not None else None
    folders = [p for p in _folders(folder) if _wavs(p)]
    classes = named or (tuple(p.name for p in folders) if folders else None)
    files: list[tuple[int, int, Path]] = []
    for sub in folders:
        number = class_number(sub.name, classes, str(sub))
        files += [(rank, number, path) for rank, path in enumerate(_wavs(sub))]
    files = sorted(files) or [(rank, -1, path) for rank, path in enumerate(_wavs(folder))]
    files = files[:limit]
    audio = described.audio
    values = np.stack([features(_read(path, audio, length), audio) for _, _, path in files])
    if shape is not None:
        if values[0].size != int(np.prod(shape)):
            raise DataError(
                f"{audio.features} of {folder} have shape {list(values.shape[1:])}",
                allowed=f"{list(shape)}, as the model's input",
                next_step=f"see window_ms, stride_ms, mels, coefficients in "
                f"{folder / DESCRIPTION_NAME}",
            )
        values = values.reshape(len(values), *shape)
    labels = np.array([number for _, number, _ in files], np.int64) if folders else None
    return Recordings(values, labels, classes)


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir())


def _wavs(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() == ".wav")


def _read(path: Path, settings: AudioSection, length: int) -> Array:
    """One recording, [length] float32: cut at its end, or followed by silence."""
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(min(file.getnframes(), length))
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"{path} cannot be read as WAV: {error}") from error
    if rate != settings.rate:
        raise DataError(
            f"{path} was recorded at {rate} Hz",
            allowed=f"{settings.rate} Hz, as {DESCRIPTION_NAME} says; resample it first",
        )
    if channels != 1 or width not in _PCM:
        raise DataError(
            f"{path} has {channels} channels of {8 * width} bits",
            allowed="one channel of 8, 16 or 32 bits",
        )
    kind, offset, full = _PCM[width]
    whole = data[: len(data) // width * width]
    values = (np.frombuffer(whole, kind).astype(np.float64) - offset) / full
    return np.pad(values, (0, length - len(values))).astype(np.float32)
