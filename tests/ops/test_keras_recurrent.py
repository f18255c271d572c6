"""LSTM and GRU as Keras converts them: committed models, and the same ones converted afresh."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.runner import run
from edgepack.types import Array
from tests.c_batch import Case
from tests.ops.ladder import Oracle, Tolerance, climb

DATA = Path(__file__).resolve().parent.parent / "data"
# TFLM cannot hold the slices of dynamic size from which the converter builds a sequence.
ORACLES: dict[str, Oracle] = {
    "keras_lstm": "tflm",
    "keras_gru": "tflm",
    "keras_lstm_int8": "tflm",
    "keras_gru_sequence": "litert",
    "keras_lstm_stack": "litert",
}
RECURRENT = Tolerance(1e-5, 2e-6, "float32 sums and libm differ, and recur over five steps")
CONVERT_SECONDS = 240.0


def _case(path: Path) -> Case:
    rng = np.random.default_rng(8)
    model = path.read_bytes()
    main = load_tflite(model).main
    (shape,) = (main.tensors[i].shape for i in main.inputs)
    if path.stem.endswith("int8"):
        samples: list[list[Array]] = [
            [rng.integers(-128, 128, shape).astype(np.int8)] for _ in range(4)
        ]
    else:
        samples = [[rng.normal(size=shape).astype(np.float32)] for _ in range(4)]
    return Case(path.stem, model, samples)


@pytest.mark.parametrize("oracle", ["tflm", "litert"])
def test_committed_models(oracle: Oracle, tmp_path: Path) -> None:
    names = [name for name, wanted in ORACLES.items() if wanted == oracle]
    cases = [_case(DATA / f"{name}.tflite") for name in names]
    climb(cases, tmp_path, oracle=oracle, tolerance=RECURRENT)


def test_a_sequence_grows_in_place() -> None:
    """The list of outputs is a loop variable that no iteration copies."""
    program = build_program(load_tflite(DATA / "keras_gru_sequence.tflite"), Isa())
    body = program.graphs[2]
    assert [node.op for node in body.graph.nodes].count("DYNAMIC_UPDATE_SLICE") == 1
    (updated,) = (tensor for tensor, _ in body.graph.updates)
    assert updated in body.graph.outputs and updated not in body.plan.tensors


@pytest.mark.slow
@pytest.mark.needs_tf
def test_converted_afresh(tmp_path: Path) -> None:
    """What the installed TensorFlow makes of the same layers runs too."""
    script = str(DATA / "make_recurrent.py")
    run([sys.executable, script, str(tmp_path)], timeout=CONVERT_SECONDS, what="convert models")
    made = sorted(tmp_path.glob("*.tflite"))
    assert {"keras_lstm", "keras_gru"} <= {path.stem for path in made}
    for oracle in ("tflm", "litert"):
        work = tmp_path / oracle
        work.mkdir()
        cases = [_case(path) for path in made if ORACLES[path.stem] == oracle]
        climb(cases, work, oracle=oracle, tolerance=RECURRENT)
