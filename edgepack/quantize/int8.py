"""A Keras model or SavedModel -> a full-integer int8 `.tflite`, checked, with its recipe beside it.

The converter runs in a child process with a time limit: it is third-party native code that has
been seen to end in a segmentation fault.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.base import ConvertOptions
from edgepack.convert.explain import crash_hint
from edgepack.convert.run import arguments as request_of
from edgepack.convert.table import CONVERTERS
from edgepack.errors import ConversionError, UnsupportedError
from edgepack.models.dataset import Samples, read_dataset
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.isolate import CrashError, Task, require_package, run_task
from edgepack.models.keras_archive import check_keras_archive
from edgepack.models.litert import run_samples, stored_samples
from edgepack.models.metrics import Metric, evaluate
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import load_tflite
from edgepack.quantize.recipe import QuantizeRecipe
from edgepack.quantize.validate import check_full_integer

MODEL_NAME = "model.tflite"
RECIPE_NAME = "recipe.json"
TEST_NAME = "test.npz"
RECIPE_FORMAT = 1
_STAGE = "quantize"


@dataclass(frozen=True)
class Quantized:
    """The integer model and what lies beside it.

    `recipe` is the content of `recipe_path`; `test_data` holds the test split as the model stores
    its inputs (`x` or `input_0`, ..., and `y`), ready for `edgepack bench --data`.
    """

    handle: ModelHandle
    recipe_path: Path
    test_data: Path
    recipe: dict[str, Any]


def quantize_int8(
    handle: ModelHandle,
    recipe: QuantizeRecipe,
    data: Path,
    out_dir: Path,
    *,
    progress: Progress = silent,
) -> Quantized:
    """Quantize a model that TensorFlow opens to full-integer int8.

    Args:
        handle: the float model.
        recipe: how.
        data: an `.npz` as `models.dataset` reads it: its training split calibrates, its test split
            is evaluated before and after. Inputs are in the Keras model's order, which is also
            that of the result.
        out_dir: gets `model.tflite`, `recipe.json` and `test.npz`; made if need be.
        progress: told the share done.

    Raises:
        UnsupportedError: the model is of another format, or has open dimensions.
        DataError: the data do not fit the model.
        MissingToolError: TensorFlow is not installed.
        ConversionError: the converter failed, crashed, ran out of time, or left something that is
            not integer.
    """
    converter = CONVERTERS[handle.format]
    if not converter.tensorflow:
        raise UnsupportedError(
            f"{handle.path.name} is a {handle.format.value} model, which is not quantized again",
            allowed="a .keras or .h5 model, a SavedModel, or an entry that makes a Keras model",
        )
    require_package("tensorflow", extra="tf", why="to quantize a model")
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / MODEL_NAME
    arguments = {
        "request": request_of(handle.path, out_dir, ConvertOptions(), converter),
        "data": str(data.resolve()),
        "samples": recipe.calibration_samples,
        "seed": recipe.seed,
        "out": str(path.resolve()),
    }
    task = Task(
        "edgepack.quantize.convert_child:run",
        arguments,
        what=f"quantizing {handle.path.name}",
        timeout=recipe.timeout_s,
    )
    try:
        reply = run_task(task, progress)
    except CrashError as error:
        if handle.format is not ModelFormat.KERAS:
            raise
        hint = crash_hint(check_keras_archive(handle.path).layer_classes)
        raise ConversionError(error.message, next_step=hint) from error
    progress(_STAGE, 0.9, "checking every tensor")
    operators = check_full_integer(path)
    result = load_tflite(path)
    stored = stored_samples(result, read_dataset(data).test)
    metric = _score(result, stored)
    test_data = out_dir / TEST_NAME
    write_samples(test_data, stored)
    record = {
        "format": RECIPE_FORMAT,
        "recipe": asdict(recipe),
        "source": {"name": handle.path.name, "sha256": handle.sha256},
        "model": {
            "name": MODEL_NAME,
            "sha256": result.sha256,
            "bytes": path.stat().st_size,
            "parameters": result.parameters,
            "operators": list(operators),
            "inputs": [spec.as_dict() for spec in result.inputs],
            "outputs": [spec.as_dict() for spec in result.outputs],
        },
        "calibration": {"split": "train", "samples": reply["calibration_samples"]},
        "test": {
            "float": reply["float_test"],
            "int8": None if metric is None else metric.as_dict(),
        },
        "versions": {"tensorflow": reply["tensorflow"], "keras": reply["keras"]},
    }
    recipe_path = out_dir / RECIPE_NAME
    text = json.dumps(record, indent=2, sort_keys=True)
    recipe_path.write_text(text + "\n", encoding="utf-8")
    progress(_STAGE, 1.0, f"int8: {metric}" if metric else "done")
    return Quantized(result, recipe_path, test_data, record)


def write_samples(path: Path, samples: Samples) -> None:
    """Write samples under the names that `edgepack bench --data` reads."""
    if len(samples.inputs) == 1:
        arrays = {"x": samples.inputs[0]}
    else:
        arrays = {f"input_{index}": array for index, array in enumerate(samples.inputs)}
    if samples.labels is not None:
        arrays["y"] = samples.labels
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _score(handle: ModelHandle, stored: Samples) -> Metric | None:
    """The integer model's score on the host (LiteRT), on real values of its first output."""
    if len(handle.outputs) != 1:
        return None
    spec = handle.outputs[0]
    scale, zero_point = spec.scale or 1.0, spec.zero_point or 0
    outputs = np.concatenate([result[0] for result in run_samples(handle, stored)])
    real = (outputs.astype(np.float64) - zero_point) * scale
    return evaluate(real, stored.labels)
