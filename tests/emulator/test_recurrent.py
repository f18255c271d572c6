"""Keras' recurrent layers as the converter leaves them, loops and state, on the emulated boards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.targets import Kind, load_target, load_targets
from edgepack.types import Array
from tests.c_batch import Case
from tests.emulator.case_choice import largest_arena
from tests.emulator.case_firmware import BoardCase, run_on_board
from tests.emulator.test_ports import skip_if_missing
from tests.ops.collection import Collected

DATA = Path(__file__).resolve().parent.parent / "data"
MODELS = ("keras_gru", "keras_gru_sequence", "keras_lstm_int8")
BOARDS = [target.id for target in load_targets() if target.kind is Kind.EMULATED]
QUICK = ("mps2-an386", "mps3-an547")
STEPS = 3  # samples in a row, so that what a state carries over shows
# exp and tanh of another C library, through a few recurrent steps
RELATIVE, ABSOLUTE = 1e-5, 1e-6

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(600)]


def _case(name: str, isa: Isa) -> Collected:
    data = (DATA / f"{name}.tflite").read_bytes()
    main = load_tflite(data).main
    rng = np.random.default_rng(7)
    samples: list[list[Array]] = [
        [
            rng.normal(size=t.shape).astype(np.float32)
            if t.dtype.value == "FLOAT32"
            else rng.integers(-128, 128, t.shape).astype(np.int8)
            for t in (main.tensors[i] for i in main.inputs)
        ]
        for _ in range(STEPS)
    ]
    return Collected(Case(name, data, samples, isa), __name__, RELATIVE, ABSOLUTE)


@pytest.mark.parametrize(
    "board",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BOARDS],
)
def test_recurrent_layers(board: str, tmp_path: Path) -> None:
    skip_if_missing(board)
    target = load_target(board)
    isa = Isa(frozenset(target.isa))
    made = [BoardCase.of(_case(name, isa), n, target) for n, name in enumerate(MODELS)]
    fitting = [case for case in made if case.program.arena_bytes <= largest_arena(target)]
    if not fitting:
        pytest.skip(f"no recurrent model fits {board}")
    run_on_board(fitting, target, tmp_path / "image")
