"""The MLPerf Tiny int8 models on emulated boards, beside TFLite Micro with CMSIS-NN.

    python -m benchmarks [--target NAME ...] [--model NAME ...] [--samples N] [--out FILE]

Prints a table per board, and writes the same as JSON and as a chart beside it. The models are those
of the folder EDGEPACK_DATA, or ../shared/data beside the checkout. Exits with 1 when something
failed to build, to run or to compute the right outputs; a missed bar is only marked.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import floor
from benchmarks.chart import draw
from benchmarks.measure import MLPERF_TINY, SAMPLES, Figures, core_of, measure, mlperf_tiny
from edgepack import __version__
from edgepack.errors import EdgepackError

TARGETS = (
    "netduinoplus2",  # Cortex-M4
    "mps3-an547",  # Cortex-M55
    "mps2-an385",  # Cortex-M3
    "mps2-an385-m0plus",  # Armv6-M code on the same board
    "mps2-an500",  # Cortex-M7
    "mps2-an505",  # Cortex-M33
    "virt-rv32",
)

Results = dict[str, dict[str, Figures | EdgepackError]]  # by target, then by model
_WIDTH = 170  # columns, where the terminal does not say more


def main() -> int:
    """Measure everything that the arguments name."""
    given = _arguments()
    models = mlperf_tiny()
    missing = [name for name in given.model if name not in models]
    if missing:
        sys.exit(f"no model {', '.join(missing)}; set EDGEPACK_DATA to the folder of models")
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    results: Results = {}
    with tempfile.TemporaryDirectory() as folder:
        for target in given.target:
            results[target] = {}
            for name in given.model:
                try:
                    figures: Figures | EdgepackError = measure(
                        models[name], target, Path(folder), samples=given.samples, cycles=True
                    )
                except EdgepackError as error:
                    figures = error
                results[target][name] = figures
            console.print(_table(target, results[target]))
    _write(given.out, results, given.samples)
    chart = draw(results, given.out.with_suffix(".png"))
    print(f"written: {given.out}, {chart or 'no chart (pip install matplotlib)'}")
    print("\n".join(floor.origin()))
    return int(any(_is_wrong(figures) for row in results.values() for figures in row.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--target", action="append", help="a target; repeatable")
    parser.add_argument("--model", action="append", choices=MLPERF_TINY, help="repeatable")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks.json"))
    given = parser.parse_args()
    given.target = given.target or list(TARGETS)
    given.model = given.model or list(MLPERF_TINY)
    return given


def _is_wrong(figures: Figures | EdgepackError) -> bool:
    return isinstance(figures, EdgepackError) or figures.mismatched_bytes > 0


def _table(target: str, row: dict[str, Figures | EdgepackError]) -> Table:
    core = core_of(target)
    reference = floor.reference_core(core)
    beside = "" if reference == core else f", beside the figures of {reference}"
    table = Table(title=f"{target} ({core}{beside})", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("model")
    for title in ("instructions", "x floor", "bar", "", "flash", "with text", "x floor", "bar", ""):
        table.add_column(title, justify="right")
    for title in ("RAM", "x floor", "bar", "", "wrong bytes", "model cycles"):
        table.add_column(title, justify="right")
    for name, figures in row.items():
        table.add_row(name, *_cells(core, name, figures))
    return table


def _cells(core: str, model: str, figures: Figures | EdgepackError) -> Iterator[str]:
    if isinstance(figures, EdgepackError):
        yield f"{figures.kind}: {figures.message.splitlines()[0][:80]}"
        return
    for figure in floor.FIGURES:
        value, limits = getattr(figures, figure), floor.limits(core, model, figure)
        ratio = limits.ratio(value)
        yield f"{value:,.0f}"
        if figure == "flash":
            yield "-" if figures.flash_full is None else f"{figures.flash_full:,}"
        yield "-" if ratio is None else f"{ratio:.2f}"
        yield "-" if limits.bar is None else f"{limits.bar:,}"
        yield limits.verdict(value)
    yield str(figures.mismatched_bytes)
    yield "-" if figures.modelled_cycles is None else f"{figures.modelled_cycles:,.0f}"


def _write(path: Path, results: Results, samples: int) -> None:
    document: dict[str, Any] = {
        "edgepack": __version__,
        "samples": samples,
        "flash": "of the image that speaks frames only; flash_full has the text protocol too",
        "floor_origin": list(floor.origin()),
        "results": {
            target: {name: _entry(core_of(target), name, f) for name, f in row.items()}
            for target, row in results.items()
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _entry(core: str, model: str, figures: Figures | EdgepackError) -> dict[str, Any]:
    if isinstance(figures, EdgepackError):
        return {"error": figures.kind, "message": figures.message}
    entry = figures.as_dict()
    for figure in floor.FIGURES:
        limits = floor.limits(core, model, figure)
        if limits.floor is not None:
            value = getattr(figures, figure)
            entry[f"{figure}_limits"] = {
                "floor": limits.floor,
                "bar": limits.bar,
                "stretch": limits.stretch,
                "times_below_floor": limits.ratio(value),
                "verdict": limits.verdict(value),
            }
    return entry


if __name__ == "__main__":
    sys.exit(main())
