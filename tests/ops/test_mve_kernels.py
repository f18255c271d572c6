"""The kernels for cores with Helium climb the same ladder (vectors have plain C meanings)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.ops.shared.depthwise_mve import Grouping
from edgepack.ops.shared.kernel import Isa
from edgepack.ops.shared.mve import pack_filter_groups
from edgepack.ops.shared.window import window
from tests.c_batch import Case, compile_case
from tests.ops import test_add, test_pool_2d
from tests.ops.ladder import climb
from tests.ops.test_dsp_kernels import CONVOLUTIONS, VARIATIONS, conv, kernels
from tests.ops.test_fully_connected import dense
from tests.ops.weighted_model import Weighted
from tests.tflite_builder import ModelBuilder, spec

MVE = Isa(frozenset({"dsp", "mve"}))

# Beside those of SMLAD: several chunks, unrolled and looped, with and without whole vectors.
CONVOLUTIONS_MVE: dict[str, tuple[Any, ...]] = {
    "1x1 nine chunks": ((1, 3, 3, 144), 4, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 twelve chunks": ((1, 2, 2, 180), 5, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 six chunks": ((1, 2, 2, 96), 6, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 one channel": ((1, 6, 7, 1), 3, (1, 1), (1, 1), (1, 1), "VALID"),
    "3x3 whole vectors": ((1, 5, 6, 16), 4, (3, 3), (1, 1), (1, 1), "SAME"),
    "3x3 long runs": ((1, 5, 4, 96), 4, (3, 3), (1, 1), (1, 1), "SAME"),
    "3x3 narrow input": ((1, 9, 3, 4), 4, (3, 3), (1, 1), (1, 1), "VALID"),
}

# input, kernel, stride, dilation, padding, depth multiplier
DEPTHWISE: dict[str, tuple[Any, ...]] = {
    "3x3": ((1, 6, 5, 3), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "3x3 whole groups": ((1, 6, 10, 5), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "3x3 valid": ((1, 7, 8, 2), (3, 3), (1, 1), (1, 1), "VALID", 1),
    "3x3 stride 2": ((1, 9, 20, 4), (3, 3), (2, 2), (1, 1), "SAME", 1),
    "3x3 stride 2 odd": ((1, 7, 9, 3), (3, 3), (2, 2), (1, 1), "VALID", 1),
    "3x3 stride 3": ((1, 10, 11, 2), (3, 3), (3, 3), (1, 1), "SAME", 1),
    "5x5": ((1, 6, 7, 2), (5, 5), (1, 1), (1, 1), "SAME", 1),
    "5x5 stride 2": ((1, 9, 9, 2), (5, 5), (2, 2), (1, 1), "SAME", 1),
    "7x7": ((1, 9, 8, 2), (7, 7), (1, 1), (1, 1), "SAME", 1),
    "15x15": ((1, 16, 15, 1), (15, 15), (1, 1), (1, 1), "SAME", 1),
    "4x2": ((1, 6, 6, 2), (4, 2), (1, 1), (1, 1), "SAME", 1),
    "1x1": ((1, 3, 4, 5), (1, 1), (1, 1), (1, 1), "SAME", 1),
    "dilated": ((1, 9, 8, 3), (3, 3), (1, 1), (2, 3), "SAME", 1),
    "upright 10": ((1, 24, 1, 4), (10, 1), (1, 1), (1, 1), "VALID", 1),
    "upright whole": ((1, 15, 1, 4), (15, 1), (1, 1), (1, 1), "VALID", 1),
    "one column": ((1, 9, 5, 3), (3, 5), (1, 1), (1, 1), "VALID", 1),
    "one position": ((1, 3, 3, 4), (3, 3), (1, 1), (1, 1), "VALID", 1),
    "batches": ((2, 4, 4, 3), (3, 3), (1, 1), (1, 1), "SAME", 1),
    "multiplier 2": ((1, 5, 4, 3), (3, 3), (1, 1), (1, 1), "SAME", 2),
    "multiplier 8 of one": ((1, 9, 7, 1), (5, 4), (2, 2), (1, 1), "SAME", 8),
}

# Factors of one and more, shifts of zero, accumulators that wrap: the long way of requantizing.
UNUSUAL: list[tuple[str, dict[str, Any]]] = [
    ("NONE", {"real_multiplier": 0.9}),
    ("RELU", {"real_multiplier": 1.5, "zero_points": (-128, -128)}),
    ("NONE", {"real_multiplier": 40.0, "per_channel": False}),
    ("NONE", {"real_multiplier": 1e-8}),
    ("NONE", {"bias_reach": (1 << 31) - 1}),
    ("RELU_N1_TO_1", {}),
]


def depthwise(name: str, activation: str = "NONE", **changes: Any) -> Weighted:
    x, (kh, kw), stride, dilation, padding, multiplier = DEPTHWISE[name]
    channels = x[3] * multiplier
    out = (
        x[0],
        window(x[1], kh, stride[0], dilation[0], padding).out,
        window(x[2], kw, stride[1], dilation[1], padding).out,
        channels,
    )
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "depth_multiplier": multiplier,
        "fused_activation_function": activation,
    }
    label, w = f"{name} {activation} {changes}", (1, kh, kw, channels)
    return Weighted("DEPTHWISE_CONV_2D", x, w, out, channels, 3, options, label=label, **changes)


def on_mve(weighted: Weighted, rng: np.random.Generator) -> Case:
    return replace(weighted.case(rng), isa=MVE)


def check(cases: Sequence[Case], function: str, work: Path) -> None:
    for case in cases:
        assert kernels(case) == [function], case.id
    climb(cases, work)


def test_convolutions(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [on_mve(conv(name), rng) for name in CONVOLUTIONS]
    cases += [on_mve(conv(name, table=CONVOLUTIONS_MVE), rng) for name in CONVOLUTIONS_MVE]
    cases += [on_mve(conv("3x3 same", a, **kw), rng) for a, kw in VARIATIONS + UNUSUAL]
    check(cases, "ep_conv2d_s8_mve", tmp_path)


def test_depthwise(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = [on_mve(depthwise(name), rng) for name in DEPTHWISE]
    cases += [on_mve(depthwise("3x3", a, **kw), rng) for a, kw in VARIATIONS + UNUSUAL]
    check(cases, "ep_depthwise_s8_mve", tmp_path)


def test_dense(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    shapes = ("row", "batch", "one to one", "flattens", "kept dimensions", "kept rank 4")
    cases = [on_mve(dense(s), rng) for s in shapes]
    cases += [on_mve(dense("batch", a, **kw), rng) for a, kw in VARIATIONS + UNUSUAL]
    cases.append(on_mve(dense("row", per_channel=True, label="per channel"), rng))
    for inputs in (64, 80, 150):
        wide = replace(dense("row"), x=(1, inputs), w=(6, inputs), out=(1, 6), channels=6)
        cases.append(on_mve(replace(wide, label=f"{inputs} inputs"), rng))
    check(cases, "ep_fully_connected_s8_mve", tmp_path)


def test_add_of_equal_shapes(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    activations = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
    cases = [test_add._case("INT8", n, a, rng) for n in (0, 4) for a in activations]
    cases += [_sum(rng, scales) for scales in ((0.1, 0.1, 0.1), (0.3, 1e-4, 0.2), (1, 0.5, 3e-6))]
    check([replace(case, isa=MVE) for case in cases], "ep_add_s8_mve", tmp_path)


def _sum(rng: np.random.Generator, scales: tuple[float, float, float]) -> Case:
    """Operands of equal, very different and coarse scales."""
    model, shape = ModelBuilder(), (1, 5, 5, 3)
    x = model.input("x", shape, "INT8", scales[0], 127)
    y = model.input("y", shape, "INT8", scales[1], -128)
    options = {"fused_activation_function": "NONE", "pot_scale_int16": False}
    model.output(*model.op("ADD", [x, y], [spec(shape, "INT8", scales[2], 7)], options))
    draw = [[rng.integers(-128, 128, shape).astype(np.int8) for _ in "xy"] for _ in range(2)]
    return Case(f"ADD at {scales}", model.build(), draw)


def test_pools(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    more = [((1, 5, 4, 20), (5, 4), (1, 1), "VALID"), ((2, 5, 6, 37), (3, 3), (2, 2), "SAME")]
    for op, function in (
        ("AVERAGE_POOL_2D", "ep_average_pool_s8_mve"),
        ("MAX_POOL_2D", "ep_max_pool_s8_mve"),
    ):
        cases = [
            replace(test_pool_2d._case(op, "INT8", geometry, activation, rng), isa=MVE)
            for geometry in [*test_pool_2d.GEOMETRIES, *more]
            for activation in ("NONE", "RELU6")
        ]
        (work := tmp_path / op).mkdir()
        check(cases, function, work)


def test_a_chain_runs_in_place(tmp_path: Path) -> None:
    """Expanding, depthwise and contracting layers over one piece of memory, against TFLM."""
    rng = np.random.default_rng(6)
    model = ModelBuilder()
    tensor, channels = model.input("x", (1, 6, 6, 4), "INT8", 0.05, 3), 4
    one = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    for filters, depth in ((12, False), (12, True), (4, False)):
        shape = (1, 3, 3, channels) if depth else (filters, 1, 1, channels)
        w = model.const(rng.integers(-127, 128, shape).astype(np.int8), "INT8", 0.01)
        b = model.const(rng.integers(-500, 500, filters), "INT32", 0.0005)
        op = "DEPTHWISE_CONV_2D" if depth else "CONV_2D"
        options = {**one, "depth_multiplier": 1} if depth else one
        made = spec((1, 6, 6, filters), "INT8", 0.3, -5)
        tensor, channels = model.op(op, [tensor, w, b], [made], options)[0], filters
    model.output(tensor)
    samples = [[rng.integers(-128, 128, (1, 6, 6, 4)).astype(np.int8)] for _ in range(3)]
    case = Case("chain", model.build(), samples, MVE)
    assert kernels(case) == ["ep_conv2d_s8_mve", "ep_depthwise_s8_mve", "ep_conv2d_s8_mve"]
    program, _ = compile_case(case, "probe")
    assert program.arena_bytes <= 6 * 6 * 12 + 8 * 8 + 64  # the largest tensor and one plane
    climb([case], tmp_path)


def test_filters_are_packed_in_load_order() -> None:
    filters = np.arange(3 * 17, dtype=np.int8).reshape(3, 17)
    packed = pack_filter_groups(filters).reshape(1, 2, 4, 16)
    assert packed[0, 0, :3].tolist() == filters[:, :16].tolist()
    assert packed[0, 1, :3, 0].tolist() == filters[:, 16].tolist()
    assert not packed[0, 1, :, 1:].any() and not packed[0, :, 3].any()


def test_four_outputs_of_3x3_share_one_load() -> None:
    """Two by two outputs look at four by four inputs: sixteen, one vector."""
    offsets = tuple((row, column) for row in range(4) for column in (0, 2))
    grouping = Grouping(2, 2, 4, offsets)
    assert (grouping.chunks, grouping.vectors) == (1, 4)
