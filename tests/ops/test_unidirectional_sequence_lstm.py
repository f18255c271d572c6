"""UNIDIRECTIONAL_SEQUENCE_LSTM: int8, int16, float; batches, both layouts, clipping, state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.types import Array
from tests.c_batch import Case
from tests.ops.ladder import Tolerance, climb
from tests.tflite_builder import ModelBuilder, spec

# batch, time steps, inputs, units
SHAPES = [(1, 5, 3, 4), (2, 3, 2, 5), (1, 1, 1, 1), (3, 2, 6, 2)]

# Each step feeds the rounding of the one before through a contraction: sigmoid and tanh have
# slopes of at most 1, so errors of a few units in the last place stay errors of that size.
RECURRENT = Tolerance(1e-5, 2e-6, "float32 sums and libm differ, and recur over the steps")


def lstm_model(
    kind: str,
    sizes: tuple[int, int, int, int],
    rng: np.random.Generator,
    *,
    clip: float = 0.0,
    time_major: bool = False,
    cell_power: int = -11,
    extra: int | None = None,
    coupled: bool = False,
) -> bytes:
    batch, steps, inputs, units = sizes
    shape = (steps, batch, inputs) if time_major else (batch, steps, inputs)
    model = ModelBuilder()
    floats = kind == "FLOAT32"
    zero = 0 if kind != "INT8" else int(rng.integers(-128, 128))
    x_scale, h_scale = (0.02, 1 / 128) if kind == "INT8" else (0.0001, 2.0**-15)
    x = model.input("x", shape, kind, None if floats else x_scale, zero)
    hidden_zero = int(rng.integers(-20, 20)) if kind == "INT8" else 0
    slots: list[int | None] = [None] * 24
    slots[0] = x

    def weights(rows: int, columns: int, scale: float) -> int:
        if floats:
            return model.const(rng.normal(0, 0.7, (rows, columns)), "FLOAT32")
        return model.const(rng.integers(-127, 128, (rows, columns)), "INT8", scale)

    for slot in range(1, 5):
        slots[slot] = weights(units, inputs, 0.004 * slot)
    for slot in range(5, 9):
        slots[slot] = weights(units, units, 0.003 * slot)
    for slot in range(12, 16):
        if floats:
            slots[slot] = model.const(rng.normal(0, 0.5, units), "FLOAT32")
        else:
            values = rng.integers(-9000, 9000, units)
            # input-to-gate weights of this bias: forget 2, input 1, cell 3, output 4
            dtype = "INT32" if kind == "INT8" else "INT64"
            slots[slot] = model.const(values, dtype, x_scale * 0.004 * (slot - 11))
    slots[18] = model.variable((batch, units), kind, None if floats else h_scale, hidden_zero)
    slots[19] = model.variable(
        (batch, units), "FLOAT32" if floats else "INT16", None if floats else 2.0**cell_power
    )
    if coupled:
        slots[1] = slots[5] = slots[12] = None
    if extra is not None:
        slots[extra] = slots[12]
    options = {
        "fused_activation_function": "TANH", "cell_clip": clip, "proj_clip": 0.0,
        "time_major": time_major,
    }  # fmt: skip
    out = (*shape[:2], units)
    made = spec(out, kind, None if floats else h_scale, hidden_zero)
    model.output(*model.op("UNIDIRECTIONAL_SEQUENCE_LSTM", slots, [made], options))
    return model.build()


def _samples(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> list[list[Array]]:
    if kind == "FLOAT32":
        return [[rng.normal(0, 1, shape).astype(np.float32)] for _ in range(3)]
    info = np.iinfo(kind.lower())
    return [
        [rng.integers(info.min, info.max, shape, endpoint=True).astype(info.dtype)]
        for _ in range(3)
    ]


@pytest.mark.parametrize("kind", ["INT8", "INT16", "FLOAT32"])
def test_lstm(kind: str, tmp_path: Path) -> None:
    cases = []
    for number, sizes in enumerate(SHAPES):
        for time_major in (False, True):
            rng = np.random.default_rng(number)
            clip = 0.0 if number % 2 else 0.6
            power = (-11, -15, -9, -3)[number]
            model = lstm_model(kind, sizes, rng, clip=clip, time_major=time_major, cell_power=power)
            batch, steps, inputs, _ = sizes
            shape = (steps, batch, inputs) if time_major else (batch, steps, inputs)
            label = f"{kind} {sizes} clip {clip} cell 2**{power} time major {time_major}"
            cases.append(Case(label, model, _samples(kind, shape, rng)))
    climb(cases, tmp_path, tolerance=RECURRENT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 9}, "peephole"),
        ({"extra": 16}, "projection"),
        ({"extra": 20}, "layer normalization"),
        ({"coupled": True}, "CIFG"),
    ],
)
def test_variants_are_refused_by_name(change: dict[str, int], message: str) -> None:
    data = lstm_model("INT8", SHAPES[0], np.random.default_rng(1), **change)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match=message):
        build_program(load_tflite(data), Isa())
