"""Samples and labels: read from `.npz`, CSV or a folder of pictures, made up from a seed, saved.

`X.npz` holds one array per model input, under the input's name or as `input_0`, `input_1`, ...; a
model with one input may call it `x`. Labels are `y`. The first axis of every array counts
samples.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.errors import DataError
from edgepack.manifest import TensorInfo
from edgepack.models.csv_data import read_rows
from edgepack.models.image_data import read_pictures
from edgepack.models.unreadable import NPZ_ERRORS
from edgepack.models.wav_data import is_wav_folder, read_recordings
from edgepack.types import Array, DType

_MAX_NAMES = 12  # array names listed in an error


@dataclass(frozen=True)
class Samples:
    """Inputs of `count` inferences.

    inputs: per model input an array [count, *shape] in the tensor's own dtype.
    labels: class numbers [count], or None.
    origin: where they come from, for the report.
    digest: SHA-256 over the inputs' bytes, so that a resumed run knows its data.
    """

    inputs: tuple[Array, ...]
    labels: Array | None
    origin: str
    digest: str

    @property
    def count(self) -> int:
        return len(self.inputs[0])

    def payload(self, index: int) -> bytes:
        """The bytes of sample `index` as they travel to a device (docs/contracts.md)."""
        return b"".join(np.ascontiguousarray(a[index]).tobytes() for a in self.inputs)

    def take(self, count: int) -> Samples:
        """The first `count` samples (all of them when there are fewer)."""
        labels = self.labels[:count] if self.labels is not None else None
        return _samples([a[:count] for a in self.inputs], labels, self.origin)


def load_samples(path: Path, inputs: Sequence[TensorInfo], *, limit: int | None = None) -> Samples:
    """Read samples for a model.

    Args:
        path: an `.npz` file, a CSV file, or a folder of pictures; the latter two are for models
            with one input, and docs/bench.md says how they are described.
        inputs: the model's inputs. Float arrays are quantized with the input's scale and zero point
            where the model takes integers.
        limit: read only the first `limit` samples.

    Raises:
        DataError: the file is missing or damaged, an array is missing, or its shape or dtype does
            not match.
    """
    if limit is not None and limit < 1:
        raise DataError(f"cannot run {limit} samples", allowed="1 or more")
    if path.is_dir() or path.suffix.lower() == ".csv":
        return _described_samples(path, inputs, limit)
    with _opened(path) as arrays:
        columns = [_column(path, arrays, i, tensor, len(inputs)) for i, tensor in enumerate(inputs)]
        count = _common_count(path, columns)
        labels = _labels(path, arrays, count)
    used = count if limit is None else min(limit, count)
    values = [
        convert(array[:used], tensor, f"{path}: array {name}")
        for (name, array), tensor in zip(columns, inputs, strict=True)
    ]
    return _samples(values, labels[:used] if labels is not None else None, path.name)


def _described_samples(path: Path, inputs: Sequence[TensorInfo], limit: int | None) -> Samples:
    """Samples of a CSV file or of a folder of pictures or recordings."""
    if len(inputs) != 1:
        raise DataError(
            f"the model has {len(inputs)} inputs, {path} holds samples of one",
            allowed="an .npz with input_0, input_1, ...",
        )
    (tensor,) = inputs
    values, labels = _read_described(path, tensor, limit)
    if values.dtype == np.uint8 and DType(tensor.dtype) is DType.INT8:
        values = (values.astype(np.int16) - 128).astype(np.int8)  # declared: values = "bytes"
    elif values.dtype.kind == "f" and DType(tensor.dtype).is_integer and tensor.scale is None:
        values = _whole(values, str(path))
    return _samples([convert(values, tensor, str(path))], labels, path.name)


def _read_described(
    path: Path, tensor: TensorInfo, limit: int | None
) -> tuple[Array, Array | None]:
    if path.is_dir() and is_wav_folder(path):
        recordings = read_recordings(path, tensor.shape, limit=limit)
        return recordings.values, recordings.labels
    if path.is_dir():
        pictures = read_pictures(path, tensor.shape, limit=limit)
        return pictures.values, pictures.labels
    rows = read_rows(path, tensor.shape, limit=limit)
    return rows.values, rows.labels


def _whole(values: Array, what: str) -> Array:
    """The numbers of a table as integers, for inputs that are counts or indices."""
    if (values != np.rint(values)).any():
        raise DataError(f"{what} holds fractions", allowed="whole numbers: the input is not scaled")
    return values.astype(np.int64)


def random_samples(inputs: Sequence[TensorInfo], count: int, *, seed: int = 0) -> Samples:
    """Made-up samples from a seed.

    Quantized inputs and integers of 8 or 16 bits take their whole range, floats [-1, 1). Wider
    integers are mostly indices and counts: they are 0 or 1, which every table has.
    """
    if count < 1:
        raise DataError(f"cannot run {count} samples", allowed="1 or more")
    generator = np.random.default_rng(seed)
    values: list[Array] = []
    for tensor in inputs:
        shape, dtype = (count, *tensor.shape), DType(tensor.dtype)
        if dtype is DType.BOOL:
            values.append(generator.integers(0, 2, shape).astype(np.bool_))
        elif dtype.is_integer:
            low, high = _random_range(tensor, dtype)
            values.append(generator.integers(low, high, shape, dtype=dtype.numpy, endpoint=True))
        else:
            values.append(generator.uniform(-1.0, 1.0, shape).astype(dtype.numpy))
    return _samples(values, None, f"random (seed {seed})")


def _random_range(tensor: TensorInfo, dtype: DType) -> tuple[int, int]:
    if dtype.itemsize > 2 and tensor.scale is None:
        return 0, 1
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


def save_outputs(path: Path, outputs: Sequence[Array]) -> None:
    """Write `output_0`, `output_1`, ... [samples, *shape] as the device sent them."""
    arrays: dict[str, Array] = {f"output_{i}": array for i, array in enumerate(outputs)}
    try:
        with path.open("wb") as file:  # a file object: numpy would append .npz to a path
            np.savez_compressed(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def convert(array: Array, tensor: TensorInfo, what: str) -> Array:
    """An array [n, ...] in the shape and dtype of an input: [n, *tensor.shape].

    Axes of length 1 may be left out or added. Floats are quantized for an integer input, as
    q = round(x / scale) + zero_point, halves away from zero, saturated (TFLite's quantization
    specification; the rounding is that of its QUANTIZE op). Integers are never rescaled.

    Raises:
        DataError: naming `what`, what was got and what is allowed.
    """
    wanted = (len(array), *tensor.shape)
    if [d for d in array.shape[1:] if d != 1] != [d for d in tensor.shape if d != 1]:
        shape = "x".join(str(d) for d in ("N", *tensor.shape))
        raise DataError(
            f"{what} has shape {'x'.join(map(str, array.shape)) or 'scalar'}",
            allowed=f"{shape} for input {tensor.name} (axes of length 1 may be left out)",
        )
    shaped = np.asarray(array).reshape(wanted)
    dtype = DType(tensor.dtype)
    if shaped.dtype == dtype.numpy:
        return shaped
    converted = _convert_dtype(shaped, tensor, dtype, what)
    if converted is None:
        raise DataError(f"{what} holds {array.dtype}", allowed=_allowed_dtypes(tensor, dtype))
    return converted


def _convert_dtype(array: Array, tensor: TensorInfo, dtype: DType, what: str) -> Array | None:
    kind = array.dtype.kind
    if dtype.is_integer and kind == "f":
        if tensor.scale is None or tensor.zero_point is None:
            return None
        if not np.isfinite(array).all():
            raise DataError(f"{what} holds NaN or infinity", allowed="finite numbers")
        return quantize(array, tensor.scale, tensor.zero_point, dtype)
    if dtype.is_integer and kind in "iu":
        # uint8 for an int8 input is nearly always pixels that still need 128 taken off: refuse.
        if array.dtype == np.uint8 and dtype is DType.INT8:
            return None
        info = np.iinfo(dtype.numpy)
        if array.size and (array.min() < info.min or array.max() > info.max):
            return None
        return array.astype(dtype.numpy)
    if dtype in (DType.FLOAT32, DType.FLOAT16) and kind in "fiu":
        return array.astype(dtype.numpy)
    if dtype is DType.BOOL and kind in "iu" and np.isin(array, (0, 1)).all():
        return array.astype(np.bool_)
    return None


def quantize(array: Array, scale: float, zero_point: int, dtype: DType) -> Array:
    """Real values to integers of `dtype`; see `convert` for the formula."""
    scaled = np.asarray(array, np.float64) / np.float64(np.float32(scale))
    rounded = np.trunc(scaled + np.copysign(0.5, scaled)) + zero_point
    info = np.iinfo(dtype.numpy)
    return np.asarray(np.clip(rounded, info.min, info.max), dtype.numpy)


def _allowed_dtypes(tensor: TensorInfo, dtype: DType) -> str:
    name = dtype.numpy.name
    if dtype.is_integer and tensor.scale is not None:
        note = "; uint8 pixels need 128 taken off first" if dtype is DType.INT8 else ""
        return (
            f"{name} (or wider integers that fit it), or floats, which are quantized with scale "
            f"{tensor.scale:g} and zero point {tensor.zero_point}{note}"
        )
    if dtype.is_integer:
        return f"{name}, or wider integers that fit it"
    return "bool, or integers 0 and 1" if dtype is DType.BOOL else f"{name}, or any number"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, Array]]:
    """The arrays of an .npz, each read when it is asked for."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    with file:
        try:
            loaded = np.load(file, allow_pickle=False)
        except NPZ_ERRORS as error:
            raise DataError(f"{path} cannot be read as .npz: {error}", allowed=".npz") from error
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise DataError(
                f"{path} is a single array",
                allowed=".npz",
                next_step="python -c \"import numpy as np; np.savez('X.npz', x=np.load('X.npy'))\"",
            )
        with loaded:
            yield _Arrays(path, loaded)


class _Arrays(Mapping[str, Array]):
    """An opened .npz whose damaged members raise DataError."""

    def __init__(self, path: Path, file: np.lib.npyio.NpzFile) -> None:
        self._path, self._file = path, file

    def __getitem__(self, name: str) -> Array:
        try:
            return np.asarray(self._file[name])
        except NPZ_ERRORS as error:
            raise DataError(f"{self._path}: array {name} cannot be read: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.files)

    def __len__(self) -> int:
        return len(self._file.files)


def _column(
    path: Path, arrays: Mapping[str, Array], index: int, tensor: TensorInfo, inputs: int
) -> tuple[str, Array]:
    names = [tensor.name, f"input_{index}"] + (["x"] if inputs == 1 else [])
    for name in names:
        if name in arrays:
            array = arrays[name]
            if array.ndim == 0:
                raise DataError(
                    f"{path}: array {name} is a single number", allowed="one row per sample"
                )
            return name, array
    found = list(arrays)[:_MAX_NAMES]
    raise DataError(
        f"{path} has no array for input {index} ({tensor.name}); it holds "
        f"{', '.join(found) or 'nothing'}",
        allowed=" or ".join(dict.fromkeys(names)),
    )


def _common_count(path: Path, columns: Sequence[tuple[str, Array]]) -> int:
    counts = {name: len(array) for name, array in columns}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise DataError(f"{path}: the inputs have different numbers of samples: {listed}")
    name, count = next(iter(counts.items()))
    if count == 0:
        raise DataError(f"{path}: array {name} holds no samples")
    return count


def _labels(path: Path, arrays: Mapping[str, Array], count: int) -> Array | None:
    if "y" not in arrays:
        return None
    labels = arrays["y"]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: array y has shape {'x'.join(map(str, labels.shape))} of {labels.dtype}",
            allowed=f"{count} class numbers (integers), one per sample",
        )
    return np.asarray(labels, np.int64)


def _samples(values: Sequence[Array], labels: Array | None, origin: str) -> Samples:
    digest = hashlib.sha256()
    for array in values:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return Samples(tuple(values), labels, origin, digest.hexdigest())
