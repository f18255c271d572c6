"""Instructions per multiply-accumulate of single layers of many shapes, on several cores.

    python -m benchmarks.shapes [--target NAME ...] [--shape TEXT ...] [--out FILE]

Each shape is a model of one int8 layer with random weights, distributed as trained ones are. The
figure is the instructions of one inference (the layer's requantization and everything around it
included) over the layer's MACs. It shows what the kernels make of shapes that no published model
happens to have.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.measure import core_of, measure
from edgepack import __version__
from edgepack.errors import EdgepackError
from edgepack.types import Array
from tests.ops.weighted_model import Weighted

# Standard deviations between zero and the largest weight: that of a bell curve, as training leaves
# it, when the largest of some hundred weights of a filter sets the scale.
_BELL = 3.0
TARGETS = ("netduinoplus2", "mps3-an547", "mps2-an385", "mps2-an385-m0plus")
_SEED = 4


@dataclass(frozen=True)
class _Layer(Weighted):
    """A layer whose weights are distributed as trained ones are: a bell curve in a symmetric range.

    Args:
        uniform: any int8 value instead, -128 too: sums are larger, and filters do not share words.
    """

    uniform: bool = False

    def _weights(self, rng: np.random.Generator) -> Array:
        if self.uniform:
            return rng.integers(-128, 128, self.w).astype(np.int8)
        end = 7 if self.weight_type == "INT4" else 127
        values = np.rint(rng.normal(0.0, end / _BELL, self.w))
        return np.clip(values, -end, end).astype(np.int8)


@dataclass(frozen=True)
class Shape:
    """One layer: `kind` conv, depthwise or dense; kernel, stride and dilation as (height, width).

    size: (height, width) of the input; dense layers use channels alone. weights: int8, int4 or
    uniform (_Layer).
    """

    kind: str
    channels: tuple[int, int]
    size: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    weights: str = "int8"

    @property
    def name(self) -> str:
        """What the tables call it."""
        rows, columns = self.size
        inner, outer = self.channels
        weights = [] if self.weights == "int8" else [self.weights]
        if self.kind == "dense":
            return " ".join([f"dense {inner}->{outer}", *weights])
        parts = [f"{self.kind} {self.kernel[0]}x{self.kernel[1]}", f"{rows}x{columns}x{inner}"]
        if self.kind == "conv" or inner != outer:
            parts.append(f"->{outer}")
        if self.stride != (1, 1):
            parts.append(f"stride {self.stride[0]}x{self.stride[1]}")
        if self.dilation != (1, 1):
            parts.append(f"dilated {self.dilation[0]}x{self.dilation[1]}")
        if self.padding == "VALID":
            parts.append("valid")
        return " ".join([*parts, *weights])

    def model(self) -> bytes:
        """The .tflite file."""
        return self._layer().case(np.random.default_rng(_SEED)).model

    def _layer(self) -> _Layer:
        inner, outer = self.channels
        changes: dict[str, Any] = {"uniform": self.weights == "uniform"}
        if self.weights == "int4":  # its largest products are smaller: a larger factor
            changes |= {"weight_type": "INT4", "real_multiplier": 0.03}
        if self.kind == "dense":
            changes["per_channel"] = self.weights != "int4"
            shape = ((1, inner), (outer, inner), (1, outer), outer, 0)
            return _Layer("FULLY_CONNECTED", *shape, {}, **changes)
        out = tuple(self._extent(axis) for axis in (0, 1))
        options: dict[str, Any] = {
            "padding": self.padding,
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "dilation_h_factor": self.dilation[0],
            "dilation_w_factor": self.dilation[1],
            "fused_activation_function": "RELU",
        }
        x, y = (1, *self.size, inner), (1, *out, outer)
        if self.kind == "conv":
            w = (outer, *self.kernel, inner)
            return _Layer("CONV_2D", x, w, y, outer, 0, options, **changes)
        options["depth_multiplier"] = outer // inner
        w = (1, *self.kernel, outer)
        return _Layer("DEPTHWISE_CONV_2D", x, w, y, outer, 3, options, **changes)

    def _extent(self, axis: int) -> int:
        size, stride = self.size[axis], self.stride[axis]
        reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return -(-size // stride) if self.padding == "SAME" else (size - reach) // stride + 1


SHAPES = (
    Shape("conv", (32, 32), (16, 16)),
    Shape("conv", (64, 128), (6, 6)),
    Shape("conv", (8, 16), (24, 24)),
    Shape("conv", (17, 19), (13, 11)),
    Shape("conv", (24, 40), (14, 14), stride=(2, 2)),
    Shape("conv", (16, 16), (16, 16), (3, 3)),
    Shape("conv", (64, 64), (6, 6), (3, 3)),
    Shape("conv", (3, 8), (32, 32), (3, 3), (2, 2)),
    Shape("conv", (1, 16), (28, 28), (3, 3), padding="VALID"),
    Shape("conv", (5, 7), (15, 13), (3, 3)),
    Shape("conv", (16, 24), (12, 12), (3, 3), dilation=(2, 2)),
    Shape("conv", (3, 8), (20, 20), (3, 3), dilation=(2, 2)),
    Shape("conv", (8, 16), (14, 14), (5, 5)),
    Shape("conv", (1, 8), (40, 20), (10, 4), (2, 2)),
    Shape("conv", (40, 32), (1, 64), (1, 3)),
    Shape("depthwise", (32, 32), (16, 16), (3, 3)),
    Shape("depthwise", (64, 64), (8, 8), (3, 3), (2, 2)),
    Shape("depthwise", (13, 13), (17, 15), (3, 3)),
    Shape("depthwise", (24, 24), (14, 14), (5, 5)),
    Shape("depthwise", (16, 16), (16, 16), (3, 3), dilation=(2, 2)),
    Shape("depthwise", (8, 16), (12, 12), (3, 3)),
    Shape("depthwise", (8, 16), (15, 13), (5, 5), dilation=(3, 3)),
    Shape("depthwise", (1, 8), (24, 24), (3, 3), (2, 2)),
    Shape("conv", (16, 16), (12, 12), (3, 3), weights="uniform"),
    Shape("conv", (1200, 16), (5, 5), weights="uniform"),
    Shape("conv", (16, 24), (12, 12), (3, 3), weights="int4"),
    Shape("conv", (64, 64), (8, 8), weights="int4"),
    Shape("conv", (5, 7), (15, 13), (3, 3), weights="int4"),
    Shape("depthwise", (16, 16), (16, 16), (3, 3), weights="int4"),
    Shape("dense", (256, 64)),
    Shape("dense", (256, 64), weights="uniform"),
    Shape("dense", (256, 64), weights="int4"),
    Shape("dense", (784, 10)),
    Shape("dense", (61, 33)),
)

Rows = dict[str, dict[str, Any]]  # by shape, then by target: the JSON of one figure


def main() -> int:
    """Measure the shapes that the arguments name; exits with 1 when one of them went wrong."""
    given = _arguments()
    shapes = [s for s in SHAPES if not given.shape or any(t in s.name for t in given.shape)]
    if not shapes:
        sys.exit(f"no shape is called so; there are: {', '.join(s.name for s in SHAPES)}")
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.tflite"
        for shape in shapes:
            path.write_bytes(shape.model())
            rows[shape.name] = {
                target: _measure(path, target, Path(folder)) for target in given.target
            }
    console = Console(highlight=False)
    console.width = max(console.width, 110)
    console.print(_table(given.target, rows))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"edgepack": __version__, "seed": _SEED, "shapes": rows}
    given.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written: {given.out}")
    cells = [cell for row in rows.values() for cell in row.values()]
    return int(any("error" in cell or cell["mismatched_bytes"] for cell in cells))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--target", action="append", help="a target; repeatable")
    parser.add_argument("--shape", action="append", help="part of a shape's name; repeatable")
    parser.add_argument("--out", type=Path, default=Path("build/shapes.json"))
    given = parser.parse_args()
    given.target = given.target or list(TARGETS)
    return given


def _measure(model: Path, target: str, folder: Path) -> dict[str, Any]:
    try:
        figures = measure(model, target, folder, samples=1, full_image=False)
    except EdgepackError as error:
        return {"error": error.kind, "message": error.message}
    return {
        "instructions": figures.instructions,
        "macs": figures.macs,
        "instructions_per_mac": figures.instructions / figures.macs,
        "arena": figures.arena,
        "stack": figures.stack,
        "mismatched_bytes": figures.mismatched_bytes,
    }


def _table(targets: list[str], rows: Rows) -> Table:
    table = Table(title="instructions per MAC", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("layer")
    table.add_column("MACs", justify="right")
    for target in targets:
        table.add_column(f"{target}\n{core_of(target)}", justify="right")
    for name, row in rows.items():
        macs = next((cell["macs"] for cell in row.values() if "macs" in cell), None)
        cells = [_cell(row[target]) for target in targets]
        table.add_row(name, "-" if macs is None else f"{macs:,}", *cells)
    return table


def _cell(cell: dict[str, Any]) -> str:
    if "error" in cell:
        return str(cell["error"])
    wrong = f" ({cell['mismatched_bytes']} wrong)" if cell["mismatched_bytes"] else ""
    return f"{cell['instructions_per_mac']:.2f}{wrong}"


if __name__ == "__main__":
    sys.exit(main())
