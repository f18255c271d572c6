"""Instructions of layers with weights that are zero: every weight stored, or only the others.

`python -m benchmarks.sparse_kernels [--target NAME ...] [--pattern TEXT ...]` builds single int8
layers with random weights of each pattern both ways and writes sparse_kernels.json: instructions of
one inference and bytes of constants, what the cost model (edgepack/ops/shared/sparse_costs.py)
expects of leaving zeros out, and which form a `balanced` build chooses.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.measure import measure
from edgepack.emit import program
from edgepack.frontends.tflite import load_tflite
from edgepack.ir import Module
from edgepack.ops.shared.kernel import Isa, KernelCall
from edgepack.targets import load_target
from edgepack.types import Array
from tests.ops.weighted_model import Weighted

RESULT = Path(__file__).with_name("sparse_kernels.json")
TARGETS = ("netduinoplus2", "mps3-an547", "mps2-an385", "mps2-an385-m0plus")
_SEED = 4
# name: share of weights that are zero, and how many in a row are zero together (0: N:M)
PATTERNS: dict[str, tuple[float, int]] = {
    "50 %": (0.5, 1),
    "80 %": (0.8, 1),
    "90 %": (0.9, 1),
    "96 %": (0.96, 1),
    "2:4": (0.5, 0),
    "1:4": (0.75, 0),
    "1x4, 50 %": (0.5, 4),
    "1x4, 75 %": (0.75, 4),
    "1x4, 90 %": (0.9, 4),
}
_CONV: dict[str, Any] = {
    "padding": "SAME",
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "fused_activation_function": "RELU",
}


@dataclass(frozen=True)
class _Layer(Weighted):
    zeros: float = 0.0
    together: int = 1

    def _weights(self, rng: np.random.Generator) -> Array:
        values = np.rint(rng.normal(0.0, 127 / 3, self.w))
        values = np.where(values == 0, 1, np.clip(values, -127, 127)).reshape(self.w[0], -1)
        fours = values.reshape(len(values), -1, 4)
        if self.together == 0:
            order = rng.random(fours.shape).argsort(axis=2)
            fours = fours * (order >= round(4 * self.zeros))
        elif self.together == 4:
            fours = fours * (rng.random((*fours.shape[:2], 1)) >= self.zeros)
        else:
            fours = fours * (rng.random(fours.shape) >= self.zeros)
        return fours.reshape(self.w).astype(np.int8)


def _layers() -> dict[str, _Layer]:
    convs = {
        "conv 1x1 16x16x32->32": ((1, 16, 16, 32), (32, 1, 1, 32)),
        "conv 3x3 8x8x32->32": ((1, 8, 8, 32), (32, 3, 3, 32)),
    }
    found = {
        "dense 784->100": _Layer(
            "FULLY_CONNECTED", (1, 784), (100, 784), (1, 100), 100, 0, {}, per_channel=True
        )
    }
    for name, (x, w) in convs.items():
        found[name] = _Layer("CONV_2D", x, w, (*x[:3], w[0]), w[0], 0, _CONV)
    return found


def _plain(views: Any, lowered: Any, optimize: str) -> Any:
    return tuple(lowered)


def _sparse(views: Any, lowered: Any, optimize: str) -> Any:
    return tuple(c.sparse.call if isinstance(c, KernelCall) and c.sparse else c for c in lowered)


FORMS = {"plain": _plain, "sparse": _sparse}


def main() -> None:
    """Measure all and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sparse_kernels")
    parser.add_argument("--target", action="append", help="a board; repeatable")
    parser.add_argument("--pattern", action="append", help="one of PATTERNS; repeatable")
    given = parser.parse_args()
    targets, patterns = given.target or list(TARGETS), given.pattern or list(PATTERNS)
    for target in targets:
        for name, layer in _layers().items():
            for pattern in patterns:
                zeros, together = PATTERNS[pattern]
                case = replace(layer, zeros=zeros, together=together)
                row = _row(case.case(np.random.default_rng(_SEED)).model, target)
                print(target, name, pattern, json.dumps(row), flush=True)
                rows = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
                rows.setdefault(target, {}).setdefault(name, {})[pattern] = row
                RESULT.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _row(model: bytes, target: str) -> dict[str, Any]:
    """One layer in both forms, and what the compiler thinks of them."""
    row: dict[str, Any] = {}
    for form, choose in FORMS.items():
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "layer.tflite"
            path.write_bytes(model)
            with mock.patch.object(program, "code_weights", choose):
                figures = measure(path, target, Path(name), samples=1, full_image=False)
            module = load_tflite(path, name="layer")
        with mock.patch.object(program, "code_weights", choose):
            call = _call(module, target)
        row[form] = {
            "kernel": call.function,
            "instructions": figures.instructions,
            "constants": sum(program.const_bytes(call, role) for role in ("weights", "tables")),
            "flash": figures.flash,
            "mismatched_bytes": figures.mismatched_bytes,
        }
        if call.sparse is not None:
            row["expected"] = call.sparse.instructions
    row["measured"] = row["sparse"]["instructions"] - row["plain"]["instructions"]
    row["chosen"] = _call(module, target).function
    return row


def _call(module: Module, target: str) -> KernelCall:
    """What the only layer is lowered to."""
    isa = Isa(frozenset(load_target(target).isa))
    (call,) = program.build_program(module, isa).main.lowered
    assert isinstance(call, KernelCall)
    return call


if __name__ == "__main__":
    main()
