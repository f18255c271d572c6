"""Instructions per multiply-accumulate of layers with weights of one bit, beside int8.

    python -m benchmarks.bits [--target NAME ...]

Two chains of three layers, convolutions and dense ones: int8 in and bits out, bits in and out, bits
in and int8 out. Figures are those of single layers, their thresholds and requantization included;
those of int8 come from the same chain with other weights, built for the same target. The result is
bits.json, to which targets that are measured later are added.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.bench.project import RUN_NAME, BenchRequest, bench
from edgepack.errors import ParityError
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.report.schema import read_run
from edgepack.types import Array
from tests.ops.bit_models import Chain, Form, Layer

RESULT = Path(__file__).with_name("bits.json")
TARGETS = ("netduinoplus2", "mps3-an547", "mps2-an385-m0plus", "virt-rv32")
CHAINS: dict[str, tuple[tuple[int, ...], list[Layer]]] = {
    "3x3 convolutions of 12x12": (
        (1, 12, 12, 16),
        [Layer("conv", 32), Layer("conv", 32), Layer("conv", 16, bits=False)],
    ),
    "dense": (
        (1, 784),
        [Layer("dense", 256), Layer("dense", 128), Layer("dense", 10, bits=False)],
    ),
}
FORMS: tuple[Form | None, ...] = (None, "binary", "ternary", "codes")  # None: int8
_NAMES = {None: "int8", "codes": "subbit"}


class _Int8(Chain):
    """The same layers with weights as training leaves them in int8."""

    def weights(self, layer: Layer, shape: tuple[int, ...]) -> Array:
        return np.clip(np.rint(self.rng.normal(0, 40, shape)), -127, 127).astype(np.int8)


def _model(shape: tuple[int, ...], layers: list[Layer], form: Form | None) -> bytes:
    made = (_Int8 if form is None else Chain)(shape, 1)
    for layer in layers:
        made.add(layer if form is None else replace(layer, form=form))
    return made.case("chain").model


def measure(model: bytes, target: str) -> dict[str, Any]:
    """Layers of a model on a target: kernel, instructions per MAC, bytes of constants."""
    with tempfile.TemporaryDirectory() as folder:
        path, project = Path(folder) / "chain.tflite", Path(folder) / "project"
        path.write_bytes(model)
        build_project(BuildRequest(path, target, protocol="framed"), project)
        try:
            report = bench(BenchRequest(project, samples=1, host=False))
        except ParityError:
            report = read_run(project / RUN_NAME)
        plan = json.loads((project / "plan.json").read_text("utf-8"))["graphs"][0]["layers"]
    assert report.parity is not None
    return {
        "mismatched_bytes": report.parity.mismatched_bytes,
        "layers": [
            {
                "kernel": layer.kernel,
                "instructions_per_mac": round((layer.instructions or 0) / layer.macs, 3),
                "bytes": told["weight_bytes"] + told["table_bytes"],
            }
            for layer, told in zip(report.layers, plan, strict=True)
        ],
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bits")
    parser.add_argument("--target", action="append", help="a target; repeatable")
    result: dict[str, Any] = {}
    if RESULT.is_file():
        result = json.loads(RESULT.read_text(encoding="utf-8"))
    for target in parser.parse_args().target or TARGETS:
        for name, (shape, layers) in CHAINS.items():
            for form in FORMS:
                found = measure(_model(shape, layers, form), target)
                form_name = _NAMES.get(form, form) or ""
                result.setdefault(target, {}).setdefault(name, {})[form_name] = found
                shown = [(x["instructions_per_mac"], x["bytes"]) for x in found["layers"]]
                print(target, name, form_name, shown, found["mismatched_bytes"], flush=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
