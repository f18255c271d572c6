"""The stage `quantize` of edgepack.toml: a float model -> an integer `.tflite`, its recipe beside.

A model of another format is converted in a child process with a time limit (edgepack/convert); the
quantizer itself is edgepack's own and needs no TensorFlow.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.errors import DataError
from edgepack.models.dataset import Samples, read_dataset
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.litert import run_samples, stored_samples
from edgepack.models.metrics import Metric, evaluate
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import load_tflite, operator_name, read_tflite
from edgepack.quantize.columns import Judge
from edgepack.quantize.data import Sources, read_sources
from edgepack.quantize.qat import Reference
from edgepack.quantize.recipe import QuantizeRecipe
from edgepack.quantize.run import check_float, quantize_float, settings_dict
from edgepack.types import Array

MODEL_NAME = "model.tflite"
RECIPE_NAME = "recipe.json"
TEST_NAME = "test.npz"
FLOAT_OUTPUT = "float_output_"
RECIPE_FORMAT = 2
_STAGE = "quantize"
_VERSIONED = ("ai-edge-litert", "keras", "numpy", "tensorflow")


@dataclass(frozen=True)
class Quantized:
    """The integer model and what lies beside it.

    `recipe` is the content of `recipe_path`; `test_data` holds the evaluated samples as the model
    stores its inputs (`x` or `input_0`, ..., and `y`), ready for `edgepack bench --data`.
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
    folder: Path | None = None,
    judge: Judge | None = None,
    reference: Reference | None = None,
    work: Path | None = None,
    progress: Progress = silent,
) -> Quantized:
    """Quantize a float model of any format that edgepack converts.

    Args:
        handle: the float model.
        recipe: how.
        data: samples, as `data.read_sources` reads them; of an `.npz` the training split calibrates
            and the test split is evaluated before and after. Inputs are in the model's order.
        out_dir: gets `model.tflite`, `recipe.json` and `test.npz`; made if need be.
        folder: that a recipe file is relative to; the current one by default.
        judge: how outputs are judged; by default the built-in figures.
        reference: runs an integer model as the device does; None: LiteRT.
        work: folder for what a training leaves behind, so that it can go on after an interruption.
        progress: told the share done.

    Raises:
        UnsupportedError: the model is quantized already, has open dimensions, or an operator
            without an integer kernel.
        DataError: the data do not fit the model.
        MissingToolError: a package that opens the model is not installed.
        ConversionError: the converter failed, crashed, ran out of time, or left something that is
            not integer.
    """

    def told(stage: str, fraction: float | None, message: str) -> None:
        progress(_STAGE, None, f"{stage}: {message}")

    out_dir.mkdir(parents=True, exist_ok=True)
    content = _as_float(handle, recipe, told)
    path = out_dir / MODEL_NAME
    path.write_bytes(content)
    inputs = load_tflite(path).inputs
    sources = _sources(data, inputs, recipe)
    done = quantize_float(
        content,
        sources,
        recipe,
        folder=folder,
        judge=judge,
        work=work,
        reference=reference,
        progress=told,
    )
    path.write_bytes(done.data)
    result = load_tflite(path)
    test = done.split.evaluation
    if test is None:
        raise DataError(
            f"{data.name} leaves no samples to evaluate", allowed="a test split, or more samples"
        )
    stored = stored_samples(result, _shaped(test.samples, inputs))
    score = _score(result, stored)
    test_data = out_dir / TEST_NAME
    write_samples(test_data, stored, done.float_outputs)
    figures = (done.report["evaluation"] or {}).get("float")
    model = read_tflite(path)
    record = {
        "format": RECIPE_FORMAT,
        "recipe": settings_dict(recipe),
        "source": {"name": handle.path.name, "sha256": handle.sha256},
        "model": {
            "name": MODEL_NAME,
            "sha256": result.sha256,
            "bytes": path.stat().st_size,
            "parameters": result.parameters,
            "operators": sorted(
                {operator_name(model, o) for g in model.subgraphs for o in g.operators}
            ),
            "inputs": [spec.as_dict() for spec in result.inputs],
            "outputs": [spec.as_dict() for spec in result.outputs],
        },
        "calibration": {"split": "train", "samples": len(done.split.calibration.samples)},
        "test": {
            "float": None
            if figures is None
            else {name: figures[name] for name in ("metric", "value", "n")},
            "int8": None if score is None else score.as_dict(),
        },
        "report": {k: v for k, v in done.report.items() if k not in ("seconds", "settings")},
        "versions": _versions(),
    }
    recipe_path = out_dir / RECIPE_NAME
    text = json.dumps(record, indent=2, sort_keys=True)
    recipe_path.write_text(text + "\n", encoding="utf-8")
    progress(_STAGE, 1.0, f"{recipe.scheme}: {score}" if score else "done")
    return Quantized(result, recipe_path, test_data, record)


def _as_float(handle: ModelHandle, recipe: QuantizeRecipe, told: Progress) -> bytes:
    """The model as a float `.tflite`."""
    if handle.format is ModelFormat.TFLITE:
        content = handle.path.read_bytes()
        check_float(content, handle.inputs)
    with tempfile.TemporaryDirectory() as folder:
        options = ConvertOptions(time_limit=recipe.timeout_s)
        return convert(handle.path, Path(folder), options, told).path.read_bytes()


def _sources(data: Path, inputs: Any, recipe: QuantizeRecipe) -> Sources:
    """The data; without spans in the settings a file without a split gets a seeded one."""
    spans = recipe.evaluate is not None or isinstance(recipe.calibration_samples, str)
    if spans or data.suffix.lower() != ".npz":
        return read_sources(data, inputs)
    found = read_dataset(data)
    return Sources(found.train, found.test, False, str(data))


def _shaped(samples: Samples, inputs: Any) -> Samples:
    """Samples in the model's shape, where axes of length 1 were left out."""
    arrays = (
        array.reshape(len(array), *spec.shape[1:])
        for array, spec in zip(samples.inputs, inputs, strict=True)
    )
    return Samples(tuple(arrays), samples.labels)


def _versions() -> dict[str, str]:
    found = {}
    for name in _VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def write_samples(path: Path, samples: Samples, float_outputs: Sequence[Array] = ()) -> None:
    """Write samples under the names that `edgepack bench --data` reads.

    Args:
        path: the .npz.
        samples: as the model stores its inputs.
        float_outputs: of the float model on them, kept as `float_output_0`, ...
    """
    if len(samples.inputs) == 1:
        arrays = {"x": samples.inputs[0]}
    else:
        arrays = {f"input_{index}": array for index, array in enumerate(samples.inputs)}
    if samples.labels is not None:
        arrays["y"] = samples.labels
    arrays |= {f"{FLOAT_OUTPUT}{i}": array for i, array in enumerate(float_outputs)}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def float_accuracy(path: Path, count: int) -> Metric | None:
    """How good the float model is on the first samples of a file that `write_samples` made.

    None where the file does not say: no labels, several outputs, or no float model.
    """
    with np.load(path, allow_pickle=False) as archive:
        if "y" not in archive.files or f"{FLOAT_OUTPUT}1" in archive.files:
            return None
        if f"{FLOAT_OUTPUT}0" not in archive.files:
            return None
        return evaluate(archive[f"{FLOAT_OUTPUT}0"][:count], archive["y"][:count])


def _score(handle: ModelHandle, stored: Samples) -> Metric | None:
    """The integer model's score on the host (LiteRT), on real values of its first output."""
    if len(handle.outputs) != 1:
        return None
    spec = handle.outputs[0]
    scale, zero_point = spec.scale or 1.0, spec.zero_point or 0
    outputs = np.concatenate([result[0] for result in run_samples(handle, stored)])
    real = (outputs.astype(np.float64) - zero_point) * scale
    return evaluate(real, stored.labels)
