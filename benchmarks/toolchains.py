"""The MLPerf Tiny int8 models with each compiler: the table of docs/toolchains.md.

    python -m benchmarks.toolchains [--data FOLDER] [TARGET ...]

Builds every model with gcc, clang and zig, runs one sample under QEMU (every output byte is
compared with TFLite Micro's) and, where it can play the board, under unicorn, whose counts must be
the same.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Literal

from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import EdgepackError
from edgepack.flash.unicorn_board import why_not
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import load_target

MODELS = ("kws", "ic", "vww", "ad", "sww")
TOOLCHAINS = ("gcc", "clang", "zig")
TARGETS = ("mps2-an385-m0plus", "mps2-an386", "mps2-an505", "mps3-an547", "virt-rv32")
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def row(model: Path, target: str, folder: Path) -> str:
    """One line of the table: flash, RAM and instructions with each compiler."""
    flash, ram, counts = [], [], []
    for toolchain in TOOLCHAINS:
        project = folder / f"{model.stem}-{target}-{toolchain}"
        try:
            manifest = build_project(BuildRequest(model, target, toolchain=toolchain), project)
        except EdgepackError as error:
            flash.append(error.kind)
            ram.append("")
            counts.append("")
            continue
        assert manifest.sizes is not None
        flash.append(f"{manifest.sizes.flash_total:,}")
        ram.append(f"{manifest.sizes.ram_total:,}")
        counts.append(f"{instructions(project, target):,.0f}")
    name = model.stem.removesuffix("_int8")
    return f"| {name} | {' / '.join(flash)} | {' / '.join(ram)} | {' / '.join(counts)} |"


def instructions(project: Path, target: str) -> float:
    """The median of one inference; bench itself fails when an output byte is wrong."""
    counted = _count(project, "qemu")
    if why_not(load_target(target)) is None and _count(project, "unicorn") != counted:
        raise SystemExit(f"{project}: unicorn counts {_count(project, 'unicorn')}, QEMU {counted}")
    return counted


def _count(project: Path, emulator: Literal["qemu", "unicorn"]) -> float:
    report = bench(BenchRequest(project, samples=1, host=False, emulator=emulator))
    assert report.device.instructions is not None
    return report.device.instructions.median


def main() -> None:
    """Print one table for each target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EDGEPACK_DATA", _SHARED)))
    parser.add_argument("targets", nargs="*", default=TARGETS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for target in arguments.targets:
            print(f"\n{target} ({load_target(target).cpu})\n")
            columns = [f"{what}, {' / '.join(TOOLCHAINS)}" for what in _WHAT]
            print(f"| model | {' | '.join(columns)} |")
            print("| --- | ---: | ---: | ---: |")
            for name in MODELS:
                model = arguments.data / "mlperf_tiny" / f"{name}_int8.tflite"
                print(row(model, target, Path(folder)), flush=True)


_WHAT = ("flash [B]", "RAM [B]", "instructions")

if __name__ == "__main__":
    main()
