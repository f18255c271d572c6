"""What runs in the child process for `apply`: every step in order, and the report on each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgepack.compress.apply import STEPS
from edgepack.compress.context import Context, Outcome
from edgepack.compress.methods import METHODS, Step
from edgepack.models.dataset import Dataset, read_dataset
from edgepack.models.keras_run import score
from edgepack.models.progress import Progress


def run(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: compress a model. Arguments: `model`, `steps`, `data`, `out`."""
    from edgepack.models import keras_child

    steps = STEPS.validate_python(arguments["steps"])
    progress(steps[0].method, None, "starting TensorFlow")
    data = None if arguments["data"] is None else read_dataset(Path(arguments["data"]))
    keras_child.set_seed(steps[0].seed)
    model = keras_child.load_keras(Path(arguments["model"]))
    reports = []
    for step in steps:
        keras_child.set_seed(step.seed)
        before = _measure(model, data)
        outcome = METHODS[step.method].run(model, step, Context(data, progress))
        model = outcome.model
        reports.append(_report(step, before, _measure(model, data), outcome))
        progress(step.method, 1.0, _summary(reports[-1]))
    keras_child.save_keras(model, Path(arguments["out"]))
    return {"description": keras_child.describe(model), "report": {"steps": reports}}


def _measure(model: Any, data: Dataset | None) -> dict[str, Any]:
    """Parameters, those that are not zero, and the score on the test split."""
    import numpy as np

    trained = [np.asarray(weight) for weight in model.trainable_weights]
    metric = None if data is None else score(model, data.test)
    return {
        "trainable_parameters": sum(int(weight.size) for weight in trained),
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
    text = f"{100 * report['sparsity']:.1f} % of the pruned layers' weights are zero"
    test = report["after"]["test"]
    if test is not None and test["metric"] == "top1":
        text += f", {100 * test['value']:.2f} % top-1 of {test['n']} test samples"
    return text
