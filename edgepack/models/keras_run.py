"""Running a Keras model on samples, in the child process."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.errors import DataError
from edgepack.models.dataset import Samples
from edgepack.models.metrics import Metric, evaluate
from edgepack.types import Array

_BATCH = 256


def as_keras(inputs: tuple[Array, ...]) -> Any:
    """Samples as Keras takes them: float32, one array for a single input, else a list."""
    arrays = [array.astype(np.float32) for array in inputs]
    return arrays[0] if len(arrays) == 1 else arrays


def score(model: Any, samples: Samples) -> Metric | None:
    """Accuracy (or error) of a model on labelled samples; None where there is none to state.

    Raises:
        DataError: the samples do not fit the model's inputs.
    """
    output = outputs_of(model, samples)
    return None if output is None else evaluate(output, samples.labels)


def outputs_of(model: Any, samples: Samples) -> Array | None:
    """The output of a model for samples, axis 0 the sample; None where it has several outputs.

    Raises:
        DataError: the samples do not fit the model's inputs.
    """
    check_inputs(model, samples)
    parts = []
    for start in range(0, len(samples), _BATCH):
        batch = as_keras(tuple(array[start : start + _BATCH] for array in samples.inputs))
        # Called and not predicted: tracing the network costs more than these few batches.
        output = model(batch, training=False)
        if isinstance(output, list | tuple | dict):
            return None
        parts.append(np.asarray(output))
    return np.concatenate(parts)


def check_inputs(model: Any, samples: Samples) -> None:
    """Demand that samples have the shapes that a Keras model takes.

    Raises:
        DataError: another number of inputs, or another shape.
    """
    if len(samples.inputs) != len(model.inputs):
        raise DataError(
            f"the data hold {len(samples.inputs)} inputs per sample, the model takes "
            f"{len(model.inputs)}"
        )
    for array, tensor in zip(samples.inputs, model.inputs, strict=True):
        wanted = tuple(tensor.shape[1:])
        fits = len(wanted) == array.ndim - 1 and all(
            size is None or size == got for size, got in zip(wanted, array.shape[1:], strict=True)
        )
        if not fits:
            raise DataError(
                f"one sample for input {tensor.name} has shape {list(array.shape[1:])}",
                allowed=f"{list(wanted)}",
                next_step="shape the arrays in the data entry as the model takes them",
            )
