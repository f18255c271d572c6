"""Samples to calibrate and to evaluate with, from whatever the user has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.errors import DataError
from edgepack.models.csv_data import read_rows
from edgepack.models.dataset import Dataset, Samples, read_dataset, read_npy
from edgepack.models.handle import TensorSpec
from edgepack.models.image_data import read_pictures
from edgepack.models.unreadable import NPZ_ERRORS
from edgepack.models.wav_data import is_wav_folder, read_recordings
from edgepack.types import Array

_FORMS = (
    "an .npz or .npy file, a .csv, a folder of pictures or of .wav files with data.toml, or "
    "file:function"
)


@dataclass(frozen=True)
class Sources:
    """What there is to draw from.

    Attributes:
        train: what calibrates.
        test: what is evaluated where the data have a split of their own, else the same as `train`.
        whole: whether `test` and `train` are the same samples.
        origin: what errors call them.
    """

    train: Samples
    test: Samples
    whole: bool
    origin: str


@dataclass(frozen=True)
class Chosen:
    """Samples and their positions in what they come from."""

    samples: Samples
    indices: Array


@dataclass(frozen=True)
class Split:
    """What calibrates and what is evaluated (None: nothing)."""

    calibration: Chosen
    evaluation: Chosen | None
    shared: int


def read_sources(path: Path, inputs: tuple[TensorSpec, ...]) -> Sources:
    """Read data of any form.

    Args:
        path: the file or folder (what a function made is an .npz).
        inputs: of the float model.

    Raises:
        DataError: they are missing, damaged or do not fit the model.
        MissingToolError: pictures need Pillow.
    """
    if not path.exists():
        raise DataError(f"data {path} do not exist", allowed=_FORMS)
    shape = inputs[0].shape[1:] if len(inputs) == 1 else None
    if path.is_dir():
        if is_wav_folder(path):
            recordings = read_recordings(path, shape)
            return _one(recordings.values, recordings.labels, path)
        pictures = read_pictures(path, shape)
        return _one(pictures.values, pictures.labels, path)
    if path.suffix.lower() == ".csv":
        rows = read_rows(path, shape)
        return _one(rows.values, rows.labels, path)
    if path.suffix.lower() == ".npy":
        return _one(read_npy(path), None, path)
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path} is of no form that edgepack reads", allowed=_FORMS)
    whole = _unsplit(path)
    if whole is not None:
        return Sources(whole, whole, True, str(path))
    data: Dataset = read_dataset(path)
    return Sources(data.train, data.test, False, str(path))


def _one(values: Array, labels: Array | None, path: Path) -> Sources:
    samples = Samples((values,), labels)
    return Sources(samples, samples, True, str(path))


def _unsplit(path: Path) -> Samples | None:
    """The samples of an .npz without a split, in their order; None where it has one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = set(archive.files)
            inputs = ["x"] if "x" in names else []
            while not inputs or inputs[-1] != "x":
                name = f"input_{len(inputs)}"
                if name not in names:
                    break
                inputs.append(name)
            if not inputs or any(n.startswith(("x_t", "train_", "test_")) for n in names):
                return None
            arrays = tuple(archive[name] for name in inputs)
            labels = archive["y"] if "y" in names else None
    except NPZ_ERRORS as error:
        raise DataError(f"{path} is not a readable .npz file: {error}") from error
    counts = {len(a) if a.ndim else 0 for a in arrays} | (
        {len(labels)} if labels is not None else set()
    )
    if len(counts) != 1 or 0 in counts:
        raise DataError(f"{path}: its arrays do not all hold one entry per sample")
    return Samples(arrays, labels)


def choose(sources: Sources, calibration: int | str, evaluation: str | None, seed: int) -> Split:
    """Choose the samples.

    Args:
        sources: where from.
        calibration: so many, drawn with `seed`, or a span such as 0:200.
        evaluation: a span; None takes the test split, or all that do not calibrate.
        seed: of the draw.

    Raises:
        DataError: a span without samples.
    """
    count = len(sources.train)
    if isinstance(calibration, str):
        drawn = _span(calibration, count, "--calibration-samples", sources.origin)
    else:
        rng = np.random.default_rng(seed)
        size = min(calibration, count // 2 if sources.whole and count > 1 else count)
        drawn = np.sort(rng.choice(count, size=size, replace=False))
    if evaluation is not None:
        tested = _span(evaluation, len(sources.test), "--evaluate", sources.origin)
    elif sources.whole:
        tested = np.setdiff1d(np.arange(count), drawn)
    else:
        tested = np.arange(len(sources.test))
    shared = len(np.intersect1d(drawn, tested)) if sources.whole else 0
    return Split(
        Chosen(sources.train.take(drawn), drawn),
        Chosen(sources.test.take(tested), tested) if len(tested) else None,
        shared,
    )


def _span(span: str, count: int, option: str, origin: str) -> Array:
    first, _, last = span.partition(":")
    begin, end = int(first or 0), min(int(last or count), count)
    if begin >= end:
        raise DataError(
            f"{option} {span}: {origin} has {count} samples", allowed=f"FROM:TO within 0:{count}"
        )
    return np.arange(begin, end)


def as_floats(
    samples: Samples,
    inputs: tuple[TensorSpec, ...],
    real: tuple[float, int] | None = None,
) -> list[tuple[Array, ...]]:
    """Samples as the float model takes them, one tuple each, batch axis included.

    Args:
        samples: as they were read.
        inputs: of the float model.
        real: scale and zero point where the data are stored integers, else None.

    Raises:
        DataError: another number of inputs, or another shape.
    """
    if len(samples.inputs) != len(inputs):
        raise DataError(
            f"the data hold {len(samples.inputs)} inputs per sample, the model takes {len(inputs)}"
        )
    arrays = []
    for array, spec in zip(samples.inputs, inputs, strict=True):
        wanted = tuple(1 if size < 0 else size for size in spec.shape)
        if _squeezed(array.shape[1:]) != _squeezed(wanted[1:]):
            raise DataError(
                f"one sample for input {spec.name} has shape {list(array.shape[1:])}",
                allowed=f"{list(wanted[1:])}",
                next_step="shape the arrays as the model takes them",
            )
        values = array
        if real is not None:
            values = (array.astype(np.float32) - np.float32(real[1])) * np.float32(real[0])
        arrays.append(values.astype(spec.dtype.numpy).reshape(len(array), *wanted))
    return [tuple(array[index] for array in arrays) for index in range(len(samples))]


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
