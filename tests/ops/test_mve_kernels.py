"""The kernels for cores with Helium climb the same ladder (vectors have plain C meanings)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.ops.shared.depthwise_mve import Grouping
from edgepack.ops.shared.kernel import Isa
from edgepack.ops.shared.mve import pack_filter_groups
from tests.c_batch import Case
from tests.ops import test_add, test_pool_2d
from tests.ops.fast_kernels import (
    CONVOLUTIONS,
    DENSE_SHAPES,
    DEPTHWISE,
    INT4,
    QUICK_CONVOLUTIONS,
    QUICK_DEPTHWISE,
    REST,
    SAME_SIZE,
    UNUSUAL,
    VARIATIONS,
    check,
    check_chain,
    conv,
    depthwise,
    kernels,
    on,
    part,
    some,
)
from tests.ops.test_fully_connected import dense
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

QUICK_MVE = ("1x1 one channel", "3x3 whole vectors", "3x3 narrow input")
# covered by longer vectors, or by what a plane has in common with another core's
SKIPPED = {"1x1 odd channels", "1x1 remainder 3", "1x1 strided", "3x3 two channels"}
SKIPPED |= {"1x1 many inputs", "10x4 one channel"}
SKIPPED_DEPTHWISE = {"3x3", "3x3 wide row", "kernel beyond input", "two wide, padded"}
SKIPPED_DEPTHWISE |= {"stride 1x2", "4x2", "dilated valid", "multiplier 3, batches", "upright 10"}
ALL_VARIATIONS = [*VARIATIONS, *UNUSUAL, ("RELU_N1_TO_1", {})]


@REST
def test_convolutions(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    names = part(CONVOLUTIONS, set(QUICK_CONVOLUTIONS) - SKIPPED, rest=rest)
    cases = [on(MVE, conv(name), rng) for name in names]
    names = part(CONVOLUTIONS_MVE, QUICK_MVE, rest=rest)
    cases += [on(MVE, conv(name, table=CONVOLUTIONS_MVE), rng) for name in names]
    variations = some(ALL_VARIATIONS, rest=rest)
    cases += [on(MVE, conv("3x3 same", a, **kw), rng) for a, kw in variations]
    check(cases, "ep_conv2d_s8_mve", tmp_path)


@REST
def test_depthwise(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    names = part(DEPTHWISE, set(QUICK_DEPTHWISE) - SKIPPED_DEPTHWISE, rest=rest)
    cases = [on(MVE, depthwise(name), rng) for name in names]
    variations = some(ALL_VARIATIONS, rest=rest)
    cases += [on(MVE, depthwise("3x3", a, **kw), rng) for a, kw in variations]
    cases += [on(MVE, depthwise("4x2", **INT4), rng)] if rest else []
    check(cases, "ep_depthwise_s8_mve", tmp_path)


@REST
def test_dense(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    cases = [on(MVE, dense(s), rng) for s in DENSE_SHAPES[int(rest) :: 2]]
    variations = some(ALL_VARIATIONS, rest=rest)
    cases += [on(MVE, dense("batch", a, **kw), rng) for a, kw in variations]
    cases.append(on(MVE, dense("row", per_channel=True, label="per channel"), rng))
    for inputs in (64, 150) if rest else (80,):
        wide = replace(dense("row"), x=(1, inputs), w=(6, inputs), out=(1, 6), channels=6)
        cases.append(on(MVE, replace(wide, label=f"{inputs} inputs"), rng))
    check(cases, "ep_fully_connected_s8_mve", tmp_path)


def test_int4_weights_are_indices_of_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    case = on(MVE, conv("1x1 nine chunks", table=CONVOLUTIONS_MVE, **INT4), rng)
    check([case], "ep_conv2d_s8_mve_coded", tmp_path)


def test_dense_int4_weights_keep_the_portable_kernel() -> None:
    case = on(MVE, dense("row", **INT4), np.random.default_rng(8))
    assert kernels(case) == ["ep_fully_connected_s8_w4"]


@REST
def test_add_of_equal_shapes(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    activations = ("RELU", "RELU_N1_TO_1") if rest else ("NONE", "RELU6")
    cases = [test_add._case("INT8", n, a, rng) for n in (0, 4) for a in activations]
    uneven = ((0.3, 1e-4, 0.2), (1, 0.5, 3e-6))
    cases += [_sum(rng, scales) for scales in (uneven[:1] if rest else uneven[1:])]
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


@REST
def test_pools(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    more = [((1, 5, 4, 20), (5, 4), (1, 1), "VALID"), ((2, 5, 6, 37), (3, 3), (2, 2), "SAME")]
    for op, function in (
        ("AVERAGE_POOL_2D", "ep_average_pool_s8_mve"),
        ("MAX_POOL_2D", "ep_max_pool_s8_mve"),
    ):
        geometries = [*test_pool_2d.GEOMETRIES, *more]
        every = [(g, a) for g in geometries for a in ("NONE", "RELU6")]
        cases = [
            replace(test_pool_2d._case(op, "INT8", geometry, activation, rng), isa=MVE)
            for geometry, activation in (every if rest else every[::3])
        ]
        (work := tmp_path / op).mkdir()
        check(cases, function, work)


def test_a_chain_runs_in_place(tmp_path: Path) -> None:
    check_chain(MVE, SAME_SIZE, side=6, room=64, work=tmp_path)


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
