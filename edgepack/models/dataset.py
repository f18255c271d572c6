"""Samples and labels to train, calibrate and evaluate with, as one `.npz` file.

A file (or what a `load_data` function returns) holds arrays by name:

* `x_train`, `y_train`, `x_test`, `y_test`: one input, both splits;
* `x`, `y`: one input, not split: a seeded fifth becomes the test split; `Dataset.split` says so;
* `train_input_0`, `train_input_1`, ..., `train_labels`, `test_input_0`, ...: several inputs;
* `input_0`, ..., `y`: several inputs, not split.

Axis 0 of every array counts samples. Labels are optional. A CSV file or a folder of pictures holds
samples that are not split (docs/bench.md).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import DataError
from edgepack.models.csv_data import read_rows
from edgepack.models.image_data import read_pictures
from edgepack.models.unreadable import NPZ_ERRORS
from edgepack.models.wav_data import is_wav_folder, read_recordings
from edgepack.types import Array

MAX_UNPACKED_BYTES = 16 * 2**30  # an array is held in memory: refuse before it is taken
TEST_FRACTION = 0.2
SPLIT_SEED = 0
GIVEN_SPLIT = "as given"
_INPUT = re.compile(r"(?:(train|test)_)?input_(\d+)")
_ALLOWED = "x_train, y_train, x_test, y_test; or x, y; or input_0, input_1, ..., y"


@dataclass(frozen=True)
class Samples:
    """Some samples: one array per model input, axis 0 the sample; labels of the same length."""

    inputs: tuple[Array, ...]
    labels: Array | None = None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def take(self, indices: Array) -> Samples:
        """The samples of these indices, in their order."""
        labels = None if self.labels is None else self.labels[indices]
        return Samples(tuple(array[indices] for array in self.inputs), labels)


@dataclass(frozen=True)
class Dataset:
    """Samples to train and calibrate with, samples to evaluate with, and how they were parted."""

    train: Samples
    test: Samples
    split: str = GIVEN_SPLIT


def read_dataset(path: Path) -> Dataset:
    """Read an `.npz` or `.npy` file, of which pickled objects are never loaded, a CSV file, or a
    folder of pictures or recordings.

    Raises:
        MissingToolError: a folder of pictures, and Pillow is not installed.
        DataError: it is missing, damaged, too large, or lacks the arrays that are needed.
    """
    if path.is_dir() and is_wav_folder(path):
        recordings = read_recordings(path)
        return dataset_from(_pair(recordings.values, recordings.labels), str(path))
    if path.is_dir():
        pictures = read_pictures(path)
        return dataset_from(_pair(pictures.values, pictures.labels), str(path))
    if path.suffix.lower() == ".csv":
        rows = read_rows(path)
        return dataset_from(_pair(rows.values.astype(np.float32), rows.labels), str(path))
    if not path.is_file():
        raise DataError(f"data file {path} does not exist", allowed=f"an .npz file with {_ALLOWED}")
    if path.suffix.lower() == ".npy":
        return dataset_from({"x": read_npy(path)}, str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise DataError(f"{path} would unpack to {unpacked} bytes")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except NPZ_ERRORS as error:
        raise DataError(f"{path} is not a readable .npz file: {error}") from error
    return dataset_from(arrays, str(path))


def read_npy(path: Path) -> Array:
    """Samples without labels.

    Raises:
        DataError: the file is damaged, or holds none.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except NPZ_ERRORS as error:
        raise DataError(f"{path} is not a readable .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path} is an .npz file", next_step="rename it to end in .npz")
    if array.ndim == 0 or len(array) == 0:
        raise DataError(f"{path} holds no samples")
    return array


def _pair(values: Array, labels: Array | None) -> dict[str, Array]:
    return {"x": values} if labels is None else {"x": values, "y": labels}


def write_dataset(path: Path, dataset: Dataset) -> None:
    """Write a data set so that `read_dataset` returns it again."""
    arrays: dict[str, Any] = {"split": np.array(dataset.split)}
    for name, samples in (("train", dataset.train), ("test", dataset.test)):
        for index, array in enumerate(samples.inputs):
            arrays[f"{name}_input_{index}"] = array
        if samples.labels is not None:
            arrays[f"{name}_labels"] = samples.labels
    np.savez_compressed(path, allow_pickle=False, **arrays)


def dataset_from(value: Any, source: str) -> Dataset:
    """A data set from named arrays, or from Keras's `((x, y), (x, y))`.

    Args:
        value: a mapping of the names in this module's text to arrays, or a pair of pairs.
        source: the file or function that they come from, for the errors.

    Raises:
        DataError: the arrays lack a name, differ in length, are empty, or hold NaN or infinity.
    """
    arrays = {key: np.asarray(array) for key, array in _named(value, source).items()}
    train, test = _samples(arrays, "train", source), _samples(arrays, "test", source)
    split = str(arrays["split"]) if "split" in arrays else GIVEN_SPLIT
    if train is None or test is None:
        whole = train or test or _samples(arrays, None, source)
        if whole is None:
            got = ", ".join(sorted(arrays)) or "nothing"
            raise DataError(f"{source} holds {got}", allowed=_ALLOWED)
        train, test, split = _part(whole, source)
    if len(train.inputs) != len(test.inputs):
        raise DataError(
            f"{source} holds {len(train.inputs)} inputs to train, {len(test.inputs)} to test"
        )
    return Dataset(train, test, split)


def _named(value: Any, source: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple | list) and len(value) == 2:
        pairs = [pair for pair in value if isinstance(pair, tuple | list) and len(pair) == 2]
        if len(pairs) == 2:
            (x_train, y_train), (x_test, y_test) = pairs
            return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
        return {"x": value[0], "y": value[1]}
    raise DataError(f"{source} gave a {type(value).__name__}", allowed=_ALLOWED)


def _samples(arrays: Mapping[str, Array], split: str | None, source: str) -> Samples | None:
    """The samples of one split (None: of a file that has none), or None when there are none."""
    single = arrays.get(f"x_{split}" if split else "x")
    indexed: dict[int, Array] = {}
    for name, array in arrays.items():
        match = _INPUT.fullmatch(name)
        if match and match.group(1) == split:
            indexed[int(match.group(2))] = array
    inputs = (single,) if single is not None else tuple(indexed[i] for i in sorted(indexed))
    if not inputs:
        return None
    label_names = (f"y_{split}", f"{split}_labels") if split else ("y", "labels")
    labels = next((arrays[name] for name in label_names if name in arrays), None)
    _check(inputs, labels, f"{source} ({split} samples)" if split else source)
    return Samples(inputs, labels)


def _check(inputs: tuple[Array, ...], labels: Array | None, source: str) -> None:
    for array in (*inputs, *([] if labels is None else [labels])):
        if array.dtype.hasobject or array.dtype.kind not in "biuf":
            raise DataError(f"{source} holds an array of {array.dtype}", allowed="numbers")
        if array.ndim == 0 or len(array) == 0:
            raise DataError(f"{source} holds no samples")
        if len(array) != len(inputs[0]):
            raise DataError(
                f"{source}: {len(inputs[0])} samples of the first input, {len(array)} of another "
                "array; all must have one entry per sample"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(f"{source} holds NaN or infinity")


def _part(whole: Samples, source: str) -> tuple[Samples, Samples, str]:
    count = max(1, round(len(whole) * TEST_FRACTION))
    if count == len(whole):
        raise DataError(f"{source} holds one sample", allowed="two or more, to train and to test")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(whole))
    note = f"{count} of {len(whole)} samples drawn for the test with seed {SPLIT_SEED}"
    return whole.take(np.sort(order[count:])), whole.take(np.sort(order[:count])), note
