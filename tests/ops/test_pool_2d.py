"""AVERAGE_POOL_2D, MAX_POOL_2D and L2_POOL_2D: windows, padding, activations, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.ops.shared.window import window
from tests.c_batch import Case
from tests.ops.ladder import Tolerance, climb
from tests.ops.samples import samples
from tests.tflite_builder import ModelBuilder, spec

# Means of up to 35 values of magnitude up to 8.
MEANS = Tolerance(2e-6, 1e-5, "order of float32 additions")

# input, filter, stride, padding
GEOMETRIES: list[tuple[Any, ...]] = [
    ((1, 6, 6, 3), (2, 2), (2, 2), "VALID"),
    ((1, 7, 5, 2), (3, 3), (2, 2), "SAME"),
    ((1, 7, 5, 4), (7, 5), (1, 1), "VALID"),  # global
    ((2, 5, 4, 2), (3, 2), (1, 2), "SAME"),
    ((1, 4, 4, 1), (1, 1), (3, 2), "SAME"),
    ((1, 2, 2, 2), (5, 5), (1, 1), "SAME"),
    ((1, 1, 1, 1), (1, 1), (1, 1), "VALID"),
    ((1, 9, 1, 3), (4, 1), (3, 1), "VALID"),
]
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def _case(
    op: str,
    dtype: str,
    geometry: tuple[Any, ...],
    activation: str,
    rng: np.random.Generator,
    source: tuple[float, int] = (0.07, -20),
    target: tuple[float, int] = (0.07, -20),
) -> Case:
    shape, size, stride, padding = geometry
    if dtype == "INT16":
        source, target = (source[0], 0), (target[0], 0)
    if dtype == "FLOAT32":
        in_quant: tuple[float | None, int] = (None, 0)
        out_quant = in_quant
    else:
        in_quant, out_quant = source, target
    model = ModelBuilder()
    x = model.input("x", shape, dtype, *in_quant)
    rows = window(shape[1], size[0], stride[0], 1, padding).out
    columns = window(shape[2], size[1], stride[1], 1, padding).out
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "filter_height": size[0],
        "filter_width": size[1],
        "fused_activation_function": activation,
    }
    made = spec((shape[0], rows, columns, shape[3]), dtype, *out_quant)
    model.output(*model.op(op, [x], [made], options))
    return Case(f"{op} {dtype} {geometry} {activation}", model.build(), samples(rng, dtype, shape))


@pytest.mark.parametrize(
    ("op", "dtypes"),
    [
        ("AVERAGE_POOL_2D", ("INT8", "INT16", "FLOAT32")),
        ("MAX_POOL_2D", ("INT8", "INT16", "FLOAT32")),
        ("L2_POOL_2D", ("FLOAT32",)),
    ],
)
def test_windows(op: str, dtypes: tuple[str, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [_case(op, t, g, "NONE", rng) for t in dtypes for g in GEOMETRIES]
    cases += [_case(op, t, GEOMETRIES[1], a, rng) for t in dtypes for a in ACTIVATIONS[1:]]
    climb(cases, tmp_path, tolerance=MEANS)


def test_zero_points(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = []
    for quant in ((0.07, -128), (0.07, 127), (0.001, 0), (5.0, 3)):
        for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            for activation in ("RELU", "RELU6"):
                made = _case(op, "INT8", GEOMETRIES[0], activation, rng, quant, quant)
                cases.append(made)
    climb(cases, tmp_path)


@pytest.mark.parametrize("target", [(0.08, -20), (0.07, -19)])
def test_another_output_scale_is_refused(target: tuple[float, int]) -> None:
    rng = np.random.default_rng(3)
    case = _case("MAX_POOL_2D", "INT8", GEOMETRIES[0], "NONE", rng, target=target)
    with pytest.raises(UnsupportedError, match="one scale and zero point"):
        build_program(load_tflite(case.model, name="refused"), Isa())
