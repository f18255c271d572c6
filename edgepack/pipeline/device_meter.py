"""What a Keras network takes on a target: quantized, built and run; for compression by budget."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from edgepack.bench.project import RUN_NAME
from edgepack.models.progress import Progress
from edgepack.pipeline.measure import measure
from edgepack.pipeline.quantize import Asked, quantize_any
from edgepack.quantize.recipe import QuantizeRecipe
from edgepack.report.schema import read_run

METER = "edgepack.pipeline.device_meter:run"  # as `compress.apply.apply` takes it


def run(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: measure a network.

    Arguments: `model` (a `.keras` file), `data` (an `.npz` with samples to calibrate with),
    `target` (an emulated board). Returns the fields of `compress.device.Measured`.
    """
    quantized = quantize_any(
        Asked(Path(arguments["model"]), arguments["data"], QuantizeRecipe()), progress
    )
    with tempfile.TemporaryDirectory() as name:
        path, folder = Path(name) / "model.tflite", Path(name)
        path.write_bytes(quantized.data)
        target = arguments["target"]
        figures = measure(path, target, folder, samples=1, full_image=False, progress=progress)
        report = read_run(folder / f"{path.stem}-{target}" / RUN_NAME)
    layers = [(layer.macs, layer.instructions) for layer in report.layers]
    return {
        "instructions": figures.instructions,
        "flash": figures.flash,
        "ram": figures.ram,
        "arena": figures.arena,
        "layers": [] if any(spent is None for _, spent in layers) else layers,
    }
