"""What the benchmarks measure with: `edgepack.pipeline.measure`, and the real models."""

from __future__ import annotations

import os
from pathlib import Path

from edgepack.pipeline.measure import SAMPLES as SAMPLES
from edgepack.pipeline.measure import Figures as Figures
from edgepack.pipeline.measure import Optimize as Optimize
from edgepack.pipeline.measure import core_of as core_of
from edgepack.pipeline.measure import measure as measure

MLPERF_TINY = ("kws", "ic", "vww", "ad", "sww")


def data_dir() -> Path | None:
    """The folder of real models: EDGEPACK_DATA, or ../shared/data beside the checkout."""
    named = os.environ.get("EDGEPACK_DATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(named) if named else beside
    return folder if folder.is_dir() else None


def mlperf_tiny() -> dict[str, Path]:
    """The MLPerf Tiny int8 models by name; empty without the folder of real models."""
    folder = data_dir()
    if folder is None:
        return {}
    paths = {name: folder / "mlperf_tiny" / f"{name}_int8.tflite" for name in MLPERF_TINY}
    return {name: path for name, path in paths.items() if path.is_file()}
