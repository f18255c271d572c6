"""Quantization-aware training: fine-tune a model as its integer kernels will compute it.

It begins with a calibrated float model of any origin and ends with one: trained weights and ranges,
which `ptq.quantize` turns into the integer model. Training runs in a child process (TensorFlow).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.errors import ConversionError
from edgepack.models.dataset import Samples, read_dataset
from edgepack.models.isolate import Task, require_package, run_task
from edgepack.models.metrics import Metric, evaluate
from edgepack.models.progress import Progress, silent
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.debug_runs import stored_form
from edgepack.quantize.observe import Key, Observer
from edgepack.quantize.params import QParams
from edgepack.quantize.plan import Plan
from edgepack.quantize.ptq import PtqOptions, PtqResult, quantize
from edgepack.quantize.qat_options import QatOptions
from edgepack.types import Array

AGREEMENT = 0.999  # share of outputs on which simulation and integer model must agree
# Runs an integer model: its bytes and stored inputs [n, ...] -> its name, and outputs [n, ...].
Reference = Callable[[bytes, Sequence[Array]], tuple[str, list[Array]]]
_SCALE_TOLERANCE = 1e-6  # relative, of two float32 scales computed in float32 and in float64
FLOAT_NAME, TRAINED_NAME, OUTPUTS_NAME = "float.tflite", "trained.tflite", "simulated.npz"


@dataclass(frozen=True)
class Agreement:
    """Simulation against integer model, on the test split.

    Attributes:
        samples: how many.
        outputs: share of output numbers that are equal as stored.
        argmax: share of samples whose largest output is the same; None for other outputs.
        largest: difference of two stored outputs.
        kernels: whose the integer model's outputs are.
    """

    samples: int
    outputs: float
    argmax: float | None
    largest: float
    kernels: str = ""

    def __str__(self) -> str:
        text = f"{100 * self.outputs:.3f} % of outputs equal, largest difference {self.largest:g}"
        if self.argmax is not None:
            text += f", {100 * self.argmax:.3f} % of {self.samples} decisions equal"
        return text


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes:
        calibrated: trained weights and ranges; `ptq.quantize` takes it.
        result: the integer model.
        report: losses, accuracies, agreement, as JSON.
    """

    calibrated: Calibrated
    result: PtqResult
    agreement: Agreement
    report: dict[str, Any]


def train(
    calibrated: Calibrated,
    options: PtqOptions,
    qat: QatOptions,
    data: Path,
    folder: Path,
    progress: Progress = silent,
    reference: Reference | None = None,
) -> Trained:
    """Fine-tune a calibrated model and quantize it.

    Args:
        calibrated: the float model and its ranges.
        options: how it will be quantized; pinned ranges stay.
        qat: how to train.
        data: an `.npz` as `models.dataset` reads it: the training split trains, the test split is
            where simulation and integer model are compared.
        folder: for the checkpoint and the trained float model; a run that was interrupted goes on
            from the checkpoint that it finds there, if model, data and options are the same.
        progress: told of each step, with loss and accuracy.
        reference: runs the integer model with the device's rounding; None: LiteRT, which rounds
            some sums otherwise than the simulation and TensorFlow Lite Micro.

    Raises:
        UnsupportedError: the model holds an operator that cannot be trained through.
        DataError: no labels (and no distillation), or they do not fit.
        MissingToolError: TensorFlow is not installed.
        ConversionError: training failed, crashed or ran out of time, or the integer model does not
            compute what was trained.
    """
    require_package("tensorflow", extra="tf", why="to train a quantized model")
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / FLOAT_NAME
    source.write_bytes(calibrated.data)
    arguments = {
        "model": str(source.resolve()),
        "ranges": [[list(key), list(value)] for key, value in calibrated.ranges.items()],
        "rules": options.rules.as_dict(),
        "pins": {name: list(value) for name, value in options.pins.items()},
        "options": asdict(qat),
        "data": str(data.resolve()),
        "folder": str(folder.resolve()),
    }
    hint = "give [quantize] qat a larger timeout_s, or fewer epochs; it goes on where it stopped"
    task = Task(
        "edgepack.quantize.qat_child:run", arguments, "training", qat.timeout_s, time_hint=hint
    )
    reply = run_task(task, progress)
    ranges = {**calibrated.ranges, **{_key(k): (v[0], v[1]) for k, v in reply["ranges"]}}
    trained = replace(calibrated, data=(folder / TRAINED_NAME).read_bytes(), ranges=ranges)
    result = quantize(trained, options, progress)
    _check_grids(result.plan, {_key(k): v for k, v in reply["params"]})
    test = read_dataset(data).test
    simulated = _simulated(folder)
    name, integer = (reference or litert_outputs)(result.data, stored_inputs(result.data, test))
    agreement = replace(agree(simulated, integer), kernels=name)
    report = {
        **reply["report"],
        "agreement": asdict(agreement),
        "integer": _scored(result.plan, integer, test.labels),
    }
    return Trained(trained, result, agreement, report)


def _key(value: Any) -> Key:
    return int(value[0]), int(value[1])


def _check_grids(plan: Plan, wanted: dict[Key, Any]) -> None:
    for key, (scale, zero_point) in wanted.items():
        got = plan.tensors[key]
        if got is None or (
            abs(got.scale - scale) > _SCALE_TOLERANCE * scale or got.zero_point != zero_point
        ):
            raise ConversionError(
                f"tensor {key[1]} was trained with scale {scale:g} and zero point {zero_point}, "
                f"the integer model would have {got}",
                next_step="this is a defect of edgepack: report it with the model",
            )


def _simulated(folder: Path) -> list[Array]:
    with np.load(folder / OUTPUTS_NAME, allow_pickle=False) as archive:
        return [archive[f"output_{i}"] for i in range(len(archive.files))]


def stored_inputs(data: bytes, samples: Samples) -> list[Array]:
    """Real samples as a model stores its inputs, of whatever type they are."""
    return [
        array.astype(np.float32) if params is None else params.store(array)
        for array, params in zip(samples.inputs, _interface(data), strict=True)
    ]


def litert_outputs(data: bytes, inputs: Sequence[Array]) -> tuple[str, list[Array]]:
    """The outputs of a model as stored, by LiteRT's own kernels."""
    observer = Observer(data, only=[])
    rows = []
    for index in range(len(inputs[0])):
        made = observer.outputs([array[index : index + 1] for array in inputs])
        rows.append([np.array(out) for out in made])
    return "LiteRT", [np.concatenate(column) for column in zip(*rows, strict=True)]


def _interface(data: bytes) -> list[QParams | None]:
    graph = read_model(data).subgraphs[0]
    return [stored_form(graph.tensors[int(tensor)]) for tensor in graph.inputs]


def agree(left: list[Array], right: list[Array]) -> Agreement:
    """How far the outputs of two models are the same numbers.

    Args:
        left, right: per output [samples, ...], of one type or such that they can be compared.
    """
    equal = total = 0
    largest = 0.0
    for one, other in zip(left, right, strict=True):
        difference = np.abs(one.astype(np.float64) - other.astype(np.float64).reshape(one.shape))
        equal += int((difference == 0).sum())
        total += difference.size
        largest = max(largest, float(difference.max(initial=0.0)))
    first, second = left[0], right[0]
    argmax = None
    if first.ndim == 2 and first.shape[1] > 1:
        argmax = float((first.argmax(axis=1) == second.argmax(axis=1)).mean())
    return Agreement(len(first), equal / max(1, total), argmax, largest)


def _scored(plan: Plan, outputs: list[Array], labels: Array | None) -> dict[str, Any] | None:
    params = plan.results.get((0, 0))
    if len(outputs) != 1:
        return None
    real = outputs[0] if params is None else params.real(outputs[0])
    metric: Metric | None = evaluate(real, labels)
    return None if metric is None else metric.as_dict()


def write_report(path: Path, trained: Trained) -> None:
    """Write what training gave as JSON."""
    text = json.dumps(trained.report, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
