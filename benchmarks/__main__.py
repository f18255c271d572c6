"""Build and run the MLPerf Tiny int8 models on emulated boards; figures as a table and as JSON.

    python -m benchmarks [--target NAME ...] [--samples N] [--out FILE]

The models are those of the folder EDGEPACK_DATA, or ../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edgepack import __version__
from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import EdgepackError
from edgepack.pipeline.build import BuildRequest, build_project

MODELS = ("kws", "ic", "vww", "ad", "sww")
TARGETS = ("netduinoplus2", "mps2-an386")
SAMPLES = 3  # instructions hardly depend on the data; parity on many samples is the tests' matter
FIGURES = ("instructions", "flash", "ram", "arena", "stack", "mismatched_bytes")


def data_dir() -> Path:
    """The folder of models."""
    named = os.environ.get("EDGEPACK_DATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = (Path(named) if named else beside) / "mlperf_tiny"
    if not folder.is_dir():
        sys.exit(f"{folder} does not exist; set EDGEPACK_DATA to the folder of models")
    return folder


def measure(model: Path, target: str, samples: int, folder: Path) -> dict[str, Any]:
    """The figures of one model on one target; `error` instead of them when it failed."""
    project = folder / f"{model.stem}-{target}"
    try:
        build_project(BuildRequest(model, target), project)
        report = bench(BenchRequest(project, samples=samples, host=False))
    except EdgepackError as error:
        return {"error": error.kind, "message": error.message}
    sizes, parity, counted = report.sizes, report.parity, report.device.instructions
    assert sizes is not None and parity is not None
    return {
        "instructions": None if counted is None else counted.median,
        "flash": sizes.flash_bytes.total,
        # without the reserve: what the stack really used
        "ram": sizes.ram_bytes.static + sizes.ram_bytes.arena + (sizes.ram_bytes.stack_peak or 0),
        "arena": sizes.ram_bytes.arena,
        "stack": sizes.ram_bytes.stack_peak,
        "mismatched_bytes": parity.mismatched_bytes,
    }


def main() -> int:
    """Measure everything that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--target", action="append", help="a target; repeatable")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks.json"))
    given = parser.parse_args()
    models = data_dir()
    results: dict[str, dict[str, Any]] = {}
    table = Table("target", "model", *FIGURES)
    with tempfile.TemporaryDirectory() as folder:
        for target in given.target or TARGETS:
            for name in MODELS:
                path = models / f"{name}_int8.tflite"
                figures = measure(path, target, given.samples, Path(folder))
                results.setdefault(target, {})[name] = figures
                cells = [_cell(figures.get(figure, figures.get("error"))) for figure in FIGURES]
                table.add_row(target, name, *cells)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"edgepack": __version__, "samples": given.samples, "results": results}
    given.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)
    print(f"written to {given.out}")
    return any("error" in figures for row in results.values() for figures in row.values())


def _cell(value: object) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value or "-")


if __name__ == "__main__":
    sys.exit(main())
