"""What runs in the child process: training through the simulation."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.models.dataset import Samples, read_dataset
from edgepack.models.metrics import evaluate
from edgepack.models.progress import Progress
from edgepack.quantize.plan import make_plan
from edgepack.quantize.qat import OUTPUTS_NAME, TRAINED_NAME
from edgepack.quantize.qat_graph import Simulation
from edgepack.quantize.qat_options import QatOptions
from edgepack.quantize.qat_teacher import teacher_scores
from edgepack.quantize.qat_train import Checkpoint, Trainer
from edgepack.quantize.rules import rules_from
from edgepack.types import Array

STAGE = "qat"
CHECKPOINT_NAME = "qat_checkpoint.npz"
_BATCH = 256


def run(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: train. Arguments: `model`, `ranges`, `rules`, `pins`, `options`, `data`, `folder`."""
    from edgepack.models import keras_child

    progress(STAGE, 0.0, "starting TensorFlow")
    options = QatOptions(**arguments["options"])
    keras_child.set_seed(options.seed)
    data = read_dataset(Path(arguments["data"]))
    folder = Path(arguments["folder"])
    content = Path(arguments["model"]).read_bytes()
    ranges = {(k[0], k[1]): (v[0], v[1]) for k, v in arguments["ranges"]}
    pins = {name: (v[0], v[1]) for name, v in arguments["pins"].items()}
    plan = make_plan(read_model(content), rules_from(arguments["rules"], "rules"), ranges, pins)
    simulation = Simulation(content, plan, tuple(pins))
    before = {
        "float": _score(simulation, data.test, quantized=False),
        "before": _score(simulation, data.test),
    }
    teacher = None
    if options.distill > 0:
        progress(STAGE, 0.0, "running the teacher")
        teacher = teacher_scores(simulation, data.train, options.teacher)
    checkpoint = Checkpoint(folder / CHECKPOINT_NAME, _identity(arguments, content))
    trainer = Trainer(simulation, data.train, options, teacher)
    history = trainer.run(checkpoint, progress)
    outputs = stored_outputs(simulation, data.test)
    named: dict[str, Any] = {f"output_{i}": a for i, a in enumerate(outputs)}
    np.savez(folder / OUTPUTS_NAME, **named)
    (folder / TRAINED_NAME).write_bytes(simulation.trained_model())
    checkpoint.path.unlink(missing_ok=True)
    params = {key: (p.scale, p.zero_point) for key, p in simulation.params().items()}
    return {
        "ranges": [[list(k), list(v)] for k, v in simulation.trained_ranges().items()],
        "params": [[list(k), list(v)] for k, v in params.items()],
        "report": {
            **before,
            "simulated": _score(simulation, data.test),
            "epochs": history.epochs,
            "resumed_at_step": history.resumed,
            "steps": history.steps,
            "samples": len(data.train),
        },
    }


def _identity(arguments: dict[str, Any], content: bytes) -> str:
    """A digest of all that determines the result; a checkpoint of something else is no use."""
    kept = {k: arguments[k] for k in ("ranges", "rules", "pins")}
    kept["options"] = {
        k: v
        for k, v in arguments["options"].items()
        if k not in ("checkpoint_seconds", "timeout_s")
    }
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    digest.update(content)
    files = [arguments["data"], arguments["options"].get("teacher")]
    for path in (Path(name) for name in files if name):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _batches(samples: Samples) -> Any:
    for start in range(0, len(samples), _BATCH):
        yield [a[start : start + _BATCH].astype(np.float32) for a in samples.inputs]


def stored_outputs(simulation: Simulation, samples: Samples) -> list[Array]:
    """The simulation's outputs as the integer model stores them."""
    parts: list[list[Array]] = []
    for batch in _batches(samples):
        values = simulation.run(batch)
        parts.append([np.asarray(values[t].stored) for t in simulation.outputs])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _score(
    simulation: Simulation, samples: Samples, *, quantized: bool = True
) -> dict[str, Any] | None:
    if len(simulation.outputs) != 1:
        return None
    parts = [
        np.asarray(simulation.run(batch, quantized=quantized)[simulation.outputs[0]].real)
        for batch in _batches(samples)
    ]
    metric = evaluate(np.concatenate(parts), samples.labels)
    return None if metric is None else metric.as_dict()
