"""Running a `.tflite` file on the host with LiteRT, and real values to stored ones and back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepack.errors import DataError, ModelError
from edgepack.models.dataset import Samples
from edgepack.models.handle import ModelHandle, TensorSpec
from edgepack.types import Array


def to_stored(values: Array, spec: TensorSpec) -> Array:
    """Real values as a tensor stores them: round(value / scale) + zero_point, saturated.

    Halves round away from zero, as TFLite's own QUANTIZE does; the division is in float64, as
    `edgepack bench` does it, so that both store the same bytes.

    Args:
        values: real values of any shape and dtype, those that the float model takes.
        spec: the tensor; without scale and zero point the values are only cast to its dtype.
    """
    dtype = spec.dtype.numpy
    if spec.scale is None or spec.zero_point is None:
        return values.astype(dtype)
    scaled = values.astype(np.float64) / np.float64(np.float32(spec.scale))
    rounded = np.trunc(scaled + np.copysign(0.5, scaled)) + spec.zero_point
    limits = np.iinfo(dtype)
    stored: Array = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return stored


def stored_samples(handle: ModelHandle, samples: Samples) -> Samples:
    """Samples of real values as the model's input tensors store them, labels unchanged.

    Raises:
        DataError: another number of inputs than the model's, or another shape.
    """
    if len(samples.inputs) != len(handle.inputs):
        raise DataError(
            f"the data hold {len(samples.inputs)} inputs per sample, {handle.path.name} takes "
            f"{len(handle.inputs)}"
        )
    stored = []
    for array, spec in zip(samples.inputs, handle.inputs, strict=True):
        if array.shape[1:] != spec.shape[1:]:
            raise DataError(
                f"one sample for input {spec.name} has shape {list(array.shape[1:])}",
                allowed=f"{list(spec.shape[1:])}",
            )
        stored.append(to_stored(array, spec))
    return Samples(tuple(stored), samples.labels)


def run_samples(handle: ModelHandle, stored: Samples) -> Iterator[tuple[Array, ...]]:
    """Run a model of batch 1 on stored samples, one after the other.

    Yields:
        The output tensors of each sample, as stored, in the model's order.

    Raises:
        ModelError: LiteRT refuses the model.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Without XNNPACK: it rounds in its own way, and announces itself on standard error.
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter(
            model_path=str(handle.path), num_threads=1, experimental_op_resolver_type=kernels
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"LiteRT refuses {handle.path}: {error}") from error
    inputs = [detail["index"] for detail in interpreter.get_input_details()]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    for index in range(len(stored)):
        for tensor, array in zip(inputs, stored.inputs, strict=True):
            interpreter.set_tensor(tensor, array[index : index + 1])
        interpreter.invoke()
        yield tuple(interpreter.get_tensor(tensor) for tensor in outputs)
