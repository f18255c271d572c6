"""What runs in the child process for `apply`: every step in order, and the report on each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.compress import cluster
from edgepack.compress.account import account
from edgepack.compress.apply import STEPS
from edgepack.compress.context import Context, Outcome
from edgepack.compress.cost import model_cost
from edgepack.compress.meter import meter_by
from edgepack.compress.methods import METHODS, Step
from edgepack.compress.saves import saving_under
from edgepack.compress.teacher import located
from edgepack.models.dataset import Dataset, read_dataset
from edgepack.models.keras_run import score
from edgepack.models.progress import Progress


def run(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: compress a model.

    Arguments: `model`, `steps`, `data`, `out`, `folder`, `checkpoints`, `meter` (as `apply` has
    them).
    """
    from edgepack.models import keras_child

    steps = STEPS.validate_python(arguments["steps"])
    progress(steps[0].method, None, "starting TensorFlow")
    data = None if arguments["data"] is None else read_dataset(Path(arguments["data"]))
    keras_child.set_seed(steps[0].seed)
    saved = [Path(name) for name in arguments["checkpoints"] or ()]
    model, reports = _resume(saved, Path(arguments["model"]), progress)
    context = Context(
        data,
        progress,
        lambda: keras_child.load_keras(Path(arguments["model"])),
        Path(arguments["folder"]),
        None if arguments["meter"] is None else meter_by(arguments["meter"], data, progress),
    )
    for index, step in enumerate(steps[len(reports) :], len(reports)):
        keras_child.set_seed(step.seed)
        before = _measure(model, data)
        with saving_under(saved[index] if saved else None):
            outcome = METHODS[step.method].run(model, _located(step, arguments), context)
        model = outcome.model
        reports.append(_report(step, before, _measure(model, data), outcome))
        progress(step.method, 1.0, _summary(reports[-1]))
        if saved:
            keras_child.save_keras(model, saved[index].with_suffix(".keras"))
            # the report last: it says that the model is whole
            part = saved[index].with_suffix(".part")
            part.write_text(json.dumps(reports), encoding="utf-8")
            part.rename(saved[index].with_suffix(".json"))
    keras_child.save_keras(model, Path(arguments["out"]))
    report: dict[str, Any] = {"steps": reports}
    if any(step.method == cluster.NAME for step in steps):
        report["coded"] = account({w.path: np.asarray(w) for w in model.trainable_weights})
    return {"description": keras_child.describe(model), "report": report}


def _located(step: Step, arguments: dict[str, Any]) -> Step:
    """The step with its teacher's file found."""
    fit = located(step.finetune, Path(arguments["model"]), Path(arguments["folder"]))
    return step if fit is step.finetune else replace(step, finetune=fit)


def _resume(
    saved: Sequence[Path], source: Path, progress: Progress
) -> tuple[Any, list[dict[str, Any]]]:
    """The model after the last step that an earlier run finished, and the reports up to there."""
    from edgepack.models import keras_child

    for count in range(len(saved), 0, -1):
        report = saved[count - 1].with_suffix(".json")
        if report.is_file():
            reports: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))
            progress(reports[-1]["method"], 1.0, f"{count} steps taken from an earlier run")
            return keras_child.load_keras(report.with_suffix(".keras")), reports
    return keras_child.load_keras(source), []


def _measure(model: Any, data: Dataset | None) -> dict[str, Any]:
    """Parameters, those that are not zero, and the score on the test split."""
    counted = model_cost(model)
    trained = [np.asarray(weight) for weight in model.trainable_weights]
    metric = None if data is None else score(model, data.test)
    return {
        "trainable_parameters": sum(int(weight.size) for weight in trained),
        "parameters": counted.parameters,
        "macs": counted.macs,
        "nonzero_parameters": sum(int(np.count_nonzero(weight)) for weight in trained),
        "test": None if metric is None else metric.as_dict(),
    }


def _report(
    step: Step, before: dict[str, Any], after: dict[str, Any], outcome: Outcome
) -> dict[str, Any]:
    elements = sum(layer.elements for layer in outcome.layers)
    zeros = sum(layer.zeros for layer in outcome.layers)
    return {
        "method": step.method,
        "config": asdict(step),
        "before": before,
        "after": after,
        "layers": [asdict(layer) for layer in outcome.layers],
        "sparsity": zeros / elements if elements else 0.0,
        "device_saving": outcome.device_saving,
    }


def _summary(report: dict[str, Any]) -> str:
    before, after = report["before"], report["after"]
    text = f"{after['parameters']:,} of {before['parameters']:,} parameters"
    if report["sparsity"]:
        text += f", {100 * report['sparsity']:.1f} % of the pruned layers' weights are zero"
    text += f", {after['macs']:,} of {before['macs']:,} multiply-accumulates"
    test = report["after"]["test"]
    if test is not None and test["metric"] == "top1":
        text += f", {100 * test['value']:.2f} % top-1 of {test['n']} test samples"
    return text
