"""What runs in the child process: TFLiteConverter on a traced TensorFlow model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.base import Request, Stages
from edgepack.convert.child import open_source
from edgepack.convert.signature import with_signature
from edgepack.convert.tf_trace import TracedSource, integer_converter, run_converter
from edgepack.errors import DataError
from edgepack.models.dataset import Samples, read_dataset
from edgepack.models.handle import TensorSpec
from edgepack.models.keras_run import score
from edgepack.models.metrics import Metric, evaluate
from edgepack.models.progress import Progress
from edgepack.quantize.calibration import calibration_samples

STAGE = "quantize"


def run(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: full-integer int8. Arguments: `request`, `data`, `samples`, `seed`, `out`."""
    from edgepack.models import keras_child

    progress(STAGE, 0.0, "starting TensorFlow")
    import keras
    import tensorflow as tf

    keras_child.set_seed(arguments["seed"])
    data = read_dataset(Path(arguments["data"]))
    source = open_source(Request(**arguments["request"]), Stages())
    assert isinstance(source, TracedSource)  # of the formats that quantize_int8 lets pass
    _check_inputs(source.inputs, data.train)
    _check_inputs(source.inputs, data.test)
    metric = _score(source, data.test)
    samples = calibration_samples(data, arguments["samples"], arguments["seed"])
    converter = integer_converter(source, lambda: _rows(samples, progress))
    progress(STAGE, 0.1, "converting to TFLite")
    names = [[entry["name"] for entry in source.description[k]] for k in ("inputs", "outputs")]
    content = with_signature(
        run_converter(converter, integer=True, nodes=source.frozen_nodes), *names
    )
    Path(arguments["out"]).write_bytes(content)
    return {
        "calibration_samples": len(samples),
        "float_test": None if metric is None else metric.as_dict(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def _score(source: TracedSource, samples: Samples) -> Metric | None:
    """The float model's score; a Keras model takes many samples at once."""
    if hasattr(source.owner, "layers"):
        return score(source.owner, samples)
    if len(source.description["outputs"]) != 1:
        return None
    outputs = [source.run(row)[0] for row in _arrays(samples)]
    return evaluate(np.concatenate(outputs), samples.labels)


def _check_inputs(inputs: Sequence[TensorSpec], samples: Samples) -> None:
    """Demand that samples have the shapes that a model takes.

    Raises:
        DataError: another number of inputs, or another shape.
    """
    if len(samples.inputs) != len(inputs):
        raise DataError(
            f"the data hold {len(samples.inputs)} inputs per sample, the model takes {len(inputs)}"
        )
    for array, spec in zip(samples.inputs, inputs, strict=True):
        if array.shape[1:] != spec.shape[1:]:
            raise DataError(
                f"one sample for input {spec.name} has shape {list(array.shape[1:])}",
                allowed=f"{list(spec.shape[1:])}",
                next_step="shape the arrays in the data entry as the model takes them",
            )


def _arrays(samples: Samples) -> Iterator[tuple[Any, ...]]:
    """One sample at a time, float32 with a leading axis of 1, in the model's order of inputs."""
    for index in range(len(samples)):
        yield tuple(array[index : index + 1].astype(np.float32) for array in samples.inputs)


def _rows(samples: Samples, progress: Progress) -> Iterator[list[Any]]:
    """Calibration samples for the converter."""
    every = max(1, len(samples) // 20)
    for index, arrays in enumerate(_arrays(samples)):
        if index % every == 0:
            share = 0.3 + 0.5 * index / len(samples)
            progress(STAGE, share, f"calibrating, sample {index + 1}/{len(samples)}")
        yield list(arrays)
    progress(STAGE, 0.8, "quantizing")
