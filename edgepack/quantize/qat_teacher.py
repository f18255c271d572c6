"""What a teacher says of the training samples (distillation, Hinton et al. 2015)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgepack.errors import DataError
from edgepack.models.dataset import Samples
from edgepack.quantize.observe import Observer
from edgepack.quantize.qat_graph import Simulation
from edgepack.types import Array

_BATCH = 256
_SUM_TOLERANCE = 1e-3  # of probabilities against 1
_LEAST = 1e-7  # a probability counts as at least this, so that its logarithm is finite


def teacher_scores(simulation: Simulation, samples: Samples, path: str | None) -> Array:
    """Scores (logits, up to a constant) of the teacher for every sample, float32.

    Args:
        simulation: the student; before training and in float, it is the teacher where `path` is
            None.
        samples: of the training split.
        path: a float `.tflite` with the same inputs, and the same shape of its first output.

    Raises:
        DataError: the teacher's output has another shape.
        ModelError: LiteRT refuses it.
    """
    if path is None:
        tensor = simulation.scores()
        parts = []
        for start in range(0, len(samples), _BATCH):
            batch = [a[start : start + _BATCH].astype(np.float32) for a in samples.inputs]
            parts.append(np.asarray(simulation.run(batch, quantized=False)[tensor].real))
        return np.concatenate(parts)
    observer = Observer(Path(path).read_bytes(), only=[])
    rows = []
    for index in range(len(samples)):
        inputs = [a[index : index + 1].astype(np.float32) for a in samples.inputs]
        rows.append(np.array(observer.outputs(inputs)[0]))
    scores = np.concatenate(rows)
    shape = simulation.editor.shape(simulation.graph, simulation.outputs[0])
    if scores.shape[1:] != tuple(shape[1:]):
        raise DataError(
            f"the teacher's output has shape {list(scores.shape[1:])}",
            allowed=f"{list(shape[1:])}, as the model's",
        )
    return logits(scores) if simulation.activation else scores


def logits(values: Array) -> Array:
    """Probabilities as their logarithms; anything else as it is."""
    sums = values.sum(axis=-1)
    if values.min() >= 0 and np.abs(sums - 1).max() < _SUM_TOLERANCE:
        return np.asarray(np.log(np.maximum(values, _LEAST)), np.float32)
    return values
