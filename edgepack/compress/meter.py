"""Measuring a network on the target from inside the child process: another process does it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.compress.device import Measured, Meter
from edgepack.errors import DataError
from edgepack.models.dataset import Dataset, write_dataset
from edgepack.models.isolate import Task, run_task
from edgepack.models.progress import Progress

_SAMPLES = 32  # to calibrate with: instructions and bytes hardly depend on scales
_SECONDS = 600.0


def meter_by(task: str, data: Dataset | None, progress: Progress) -> Meter:
    """A meter that hands a model file to a task.

    Args:
        task: `module:function`, as `models.isolate.Task` has it; pipeline/device_meter.py.
        data: whose first training samples calibrate.
        progress: told that it measures.
    """
    from edgepack.models import keras_child

    def measured(model: Any, target: str) -> Measured:
        if data is None:
            raise DataError("a budget on the target needs samples to quantize with")
        progress("device", None, f"building for {target}")
        with tempfile.TemporaryDirectory() as name:
            file, few = Path(name) / "model.keras", Path(name) / "data.npz"
            keras_child.save_keras(model, file)
            few_train, few_test = (
                part.take(np.arange(min(_SAMPLES, len(part)))) for part in (data.train, data.test)
            )
            write_dataset(few, Dataset(few_train, few_test))
            arguments = {"model": str(file), "data": str(few), "target": target}
            what = f"measuring on {target}"
            reply = run_task(Task(task, arguments, what, _SECONDS, tensorflow=False))
        layers = tuple((int(macs), float(spent)) for macs, spent in reply["layers"])
        return Measured(**{**reply, "layers": layers})

    return measured
