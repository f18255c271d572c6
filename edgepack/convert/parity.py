"""Source and result on the same samples, in the child process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgepack.convert.base import Source
from edgepack.convert.report import Parity
from edgepack.errors import ConversionError, DataError
from edgepack.models.dataset import read_dataset
from edgepack.models.handle import TensorSpec
from edgepack.types import Array, DType, Shape

RANDOM_SAMPLES = 4
REAL_SAMPLES = 32
_SEED = 0
# Indices into a table whose size the model does not tell: the smallest are always in it.
_MAX_INDEX = 2

Sample = tuple[Array, ...]
Outputs = tuple[Array, ...]


def random_samples(inputs: Sequence[TensorSpec], count: int = RANDOM_SAMPLES) -> Iterator[Sample]:
    """Seeded samples: normal numbers for floats, all values for quantized, 0 and 1 for integers."""
    generator = np.random.default_rng(_SEED)
    for _ in range(count):
        yield tuple(_random(generator, spec) for spec in inputs)


def _random(generator: np.random.Generator, spec: TensorSpec) -> Array:
    dtype = spec.dtype.numpy
    if dtype.kind == "f":
        return generator.normal(size=spec.shape).astype(dtype)
    if spec.scale is not None or spec.dtype in (DType.INT8, DType.UINT8):
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max + 1, spec.shape).astype(dtype)
    return generator.integers(0, _MAX_INDEX, spec.shape).astype(dtype)


def real_samples(
    path: Path, inputs: Sequence[TensorSpec], count: int = REAL_SAMPLES
) -> Iterator[Sample]:
    """Samples of a data file's test split, each with a leading axis of 1.

    Raises:
        DataError: the file is damaged, or its samples do not fit the inputs.
    """
    data = read_dataset(path).test
    if len(data.inputs) != len(inputs):
        raise DataError(
            f"{path} holds {len(data.inputs)} inputs per sample, the model takes {len(inputs)}"
        )
    for array, spec in zip(data.inputs, inputs, strict=True):
        if array.shape[1:] != spec.shape[1:]:
            raise DataError(
                f"one sample for input {spec.name} in {path} has shape {list(array.shape[1:])}",
                allowed=f"{list(spec.shape[1:])}",
            )
    for index in range(min(count, len(data))):
        yield tuple(
            array[index : index + 1].astype(spec.dtype.numpy)
            for array, spec in zip(data.inputs, inputs, strict=True)
        )


def compare(label: str, samples: Iterator[Sample], source: Source, run: LiteRt) -> Parity | None:
    """Run samples through both; None where the source framework cannot run its model.

    Raises:
        ConversionError: the two have other numbers or shapes of outputs.
    """
    count = unequal = values = 0
    max_abs = max_relative = 0.0
    for sample in samples:
        wanted = source.run(sample)
        if wanted is None:
            return None
        got = run(sample)
        _check_shapes(wanted, got)
        count += 1
        for want, have in zip(wanted, got, strict=True):
            values += want.size
            unequal += int(np.count_nonzero(_difference(want, have)))
            largest, relative = difference(want, have)
            max_abs, max_relative = max(max_abs, largest), max(max_relative, relative)
    return Parity(label, count, max_abs, max_relative, unequal, values)


def difference(want: Array, have: Array) -> tuple[float, float]:
    """The largest difference of two outputs, and the same over the range of the first."""
    largest = float(_difference(want, have).max(initial=0.0))
    finite = want[np.isfinite(want)].astype(np.float64)
    span = float(finite.max() - finite.min()) if finite.size else 0.0
    scale = max(span, float(np.abs(finite).max(initial=0.0))) or 1.0
    return largest, largest / scale


def _difference(want: Array, have: Array) -> Array:
    """Absolute differences; 0 where both are the same infinity or both no number."""
    a, b = want.astype(np.float64), have.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    return np.nan_to_num(difference, nan=np.inf, posinf=np.inf)


def _check_shapes(wanted: Outputs, got: Outputs) -> None:
    shapes = [list(a.shape) for a in wanted], [list(a.shape) for a in got]
    if shapes[0] != shapes[1]:
        raise ConversionError(
            f"the converted model's outputs have shapes {shapes[1]}, the source's {shapes[0]}"
        )


class LiteRt:
    """Runs a `.tflite` on single samples; inputs and outputs in the file's order.

    Raises:
        ConversionError: LiteRT refuses the model; its own message says why.
    """

    def __init__(self, data: bytes, shapes: Sequence[Shape] = ()) -> None:
        """Make it ready; `shapes` are set for its inputs where the file has others."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        # Without XNNPACK: it rounds in its own way.
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter = Interpreter(
                model_content=data, num_threads=1, experimental_op_resolver_type=kernels
            )
            for detail, shape in zip(self._interpreter.get_input_details(), shapes, strict=False):
                self._interpreter.resize_tensor_input(detail["index"], list(shape))
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ConversionError(f"LiteRT refuses the model: {_first(error)}") from error
        self._inputs = [d["index"] for d in self._interpreter.get_input_details()]
        self._outputs = [d["index"] for d in self._interpreter.get_output_details()]

    def __call__(self, sample: Sample) -> Outputs:
        """The outputs of one sample."""
        try:
            for index, array in zip(self._inputs, sample, strict=True):
                self._interpreter.set_tensor(index, array)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ConversionError(f"LiteRT cannot run the model: {_first(error)}") from error
        return tuple(np.array(self._interpreter.get_tensor(index)) for index in self._outputs)


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__
