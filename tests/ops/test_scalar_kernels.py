"""The kernels for cores with a multiplier only (mul32, mul64) climb the same ladder.

Their assembly has a plain C meaning beside it, which is what runs here under the sanitizers; the
assembly itself runs on the emulated boards.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.ops.shared.kernel import Isa
from tests.c_batch import Case
from tests.ops.fast_kernels import (
    CONVOLUTIONS,
    DENSE_SHAPES,
    DEPTHWISE,
    INT4,
    QUICK_CONVOLUTIONS,
    QUICK_DEPTHWISE,
    REST,
    SHRINKING,
    VARIATIONS,
    check,
    check_chain,
    conv,
    depthwise,
    fields,
    half,
    kernels,
    on,
    part,
)
from tests.ops.ladder import climb
from tests.ops.test_fully_connected import dense
from tests.ops.weighted_model import Weighted
from tests.tflite_builder import ModelBuilder, spec

# `speed`, because dense layers of few multiply-accumulates otherwise take the smaller kernel
MUL32 = Isa(frozenset({"mul32"}), "speed")
MUL64 = Isa(frozenset({"mul32", "mul64"}), "speed")
CORES = pytest.mark.parametrize("isa", [MUL32, MUL64], ids=["mul32", "mul64"])

# what the two kinds of core have of their own: mul32 the rest of the quick shapes
MUL64_SKIPS = ("1x1 strided", "3x3 two channels", "4x2", "stride 1x2")


def _names(table: dict[str, Any], quick: tuple[str, ...], isa: Isa, *, rest: bool) -> list[str]:
    names = part(table, quick, rest=rest)
    return names if rest or isa is MUL32 else [n for n in names if n not in MUL64_SKIPS]


@REST
@CORES
def test_convolutions(isa: Isa, rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    names = _names(CONVOLUTIONS, QUICK_CONVOLUTIONS, isa, rest=rest)
    cases = [on(isa, conv(name), rng) for name in names]
    variations = half(VARIATIONS[:6], rest=rest)
    cases += [on(isa, conv("1x1" if rest else "3x3 same", a, **kw), rng) for a, kw in variations]
    check(cases, "ep_conv2d_s8_mul", tmp_path)


@REST
@CORES
def test_depthwise(isa: Isa, rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    names = _names(DEPTHWISE, QUICK_DEPTHWISE, isa, rest=rest)
    cases = [on(isa, depthwise(name), rng) for name in names]
    variations = half(VARIATIONS[:6], rest=rest)
    name = "3x3 stride 2" if rest else "3x3"
    cases += [on(isa, depthwise(name, a, **kw), rng) for a, kw in variations]
    if rest:
        cases.append(on(isa, depthwise("4x2", **INT4), rng))
    check(cases, "ep_depthwise_s8_mul", tmp_path)


@REST
@CORES
def test_dense(isa: Isa, rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = [on(isa, dense(s), rng) for s in DENSE_SHAPES[int(rest) :: 2]]
    cases += [on(isa, dense("batch", a, **kw), rng) for a, kw in half(VARIATIONS[:6], rest=rest)]
    changes: dict[str, Any] = {"bias_reach": 1 << 18} if rest else {"per_channel": True}
    cases.append(on(isa, dense("row", label=str(changes), **changes), rng))
    for n in (1, 3, 4, 6, 7, 64) if rest else (2, 5, 257):
        wide = Weighted("FULLY_CONNECTED", (2, n), (5, n), (2, 5), 5, 0, {}, label=f"{n} inputs")
        cases.append(on(isa, replace(wide, per_channel=n % 2 == 0), rng))
    check(cases, "ep_fully_connected_s8_mul", tmp_path)


@pytest.mark.parametrize(
    "isa", [MUL32, pytest.param(MUL64, marks=pytest.mark.slow)], ids=["mul32", "mul64"]
)
def test_int4_weights_are_indices_of_a_table(isa: Isa, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    check([on(isa, conv("1x1 many inputs", **INT4), rng)], "ep_conv2d_s8_mul_coded", tmp_path)
    assert kernels(on(isa, dense("row", **INT4), rng)) == ["ep_fully_connected_s8_w4"]


def test_small_dense_layers_keep_the_small_kernel() -> None:
    rng = np.random.default_rng(6)
    case = on(replace(MUL64, optimize="balanced"), dense("row"), rng)
    assert kernels(case) == ["ep_fully_connected_s8"]


@CORES
def test_falls_back_where_the_conditions_do_not_hold(isa: Isa, tmp_path: Path) -> None:
    """Factors of one and more, and accumulators near 2**31: the portable kernel takes over."""
    rng = np.random.default_rng(3)
    layers: list[Weighted] = []
    for make, name in ((conv, "3x3 same"), (depthwise, "3x3"), (dense, "row")):
        layers += [make(name, real_multiplier=factor) for factor in (1.5, 1e-8, 1e-12)]
        layers.append(make(name, bias_reach=(1 << 31) - 1))
    cases = [on(isa, layer, rng) for layer in layers]
    for case in cases:
        assert not kernels(case)[0].endswith("_mul"), case.id
    climb(cases, tmp_path)


def long_filters(k: int, filters: int, inputs: tuple[int, ...], factor: float) -> Weighted:
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    return Weighted(
        "CONV_2D",
        (*inputs, k),
        (filters, 1, 1, k),
        (*inputs, filters),
        filters,
        0,
        options,
        real_multiplier=factor,
        label=f"{k} inputs",
    )


def test_long_filters_and_their_accumulators(tmp_path: Path) -> None:
    """Beyond 2**20 mul32 clamps accumulators, where outputs are saturated; beyond 2**22 sums do not
    share words any more and mul64 takes mul32's kernel."""
    rng = np.random.default_rng(4)
    clamped = on(MUL32, long_filters(300, 3, (1, 3, 3), 0.001), rng)
    assert fields(clamped)["clamp"]
    short = on(MUL32, long_filters(32, 3, (1, 3, 3), 0.001), rng)
    assert not fields(short)["clamp"]
    paired = on(MUL64, long_filters(300, 3, (1, 3, 3), 0.001), rng)
    assert fields(paired)["mul64"]
    single = on(MUL64, long_filters(700, 2, (1, 1, 5), 0.001), rng)
    assert not fields(single)["mul64"]
    climb([clamped, short, paired, single], tmp_path)


@CORES
def test_extreme_inputs_and_weights(isa: Isa, tmp_path: Path) -> None:
    """All inputs and weights at an end: the largest sums that the fields of a word must hold."""
    cases = []
    for x_end, w_end in ((-128, -128), (-128, 127), (127, -128), (127, 127)):
        model = ModelBuilder()
        x = model.input("x", (1, 3, 4, 16), "INT8", 0.04, -128)
        w = model.const(np.full((5, 3, 3, 16), w_end, np.int8), "INT8", 0.001)
        options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
        y = model.op("CONV_2D", [x, w], [spec((1, 3, 4, 5), "INT8", 0.1, 3)], options)
        flat = model.op("RESHAPE", y, [spec((1, 60), "INT8", 0.1, 3)], {"new_shape": [1, 60]})
        v = model.const(np.full((7, 60), w_end, np.int8), "INT8", 0.001)
        model.output(*model.op("FULLY_CONNECTED", [*flat, v], [spec((1, 7), "INT8", 0.2, 0)], {}))
        full = np.full((1, 3, 4, 16), x_end, np.int8)
        cases.append(Case(f"{x_end} times {w_end}", model.build(), [[full]], isa))
    climb(cases, tmp_path)


@CORES
def test_a_chain_runs_in_place(isa: Isa, tmp_path: Path) -> None:
    """With and without a stride."""
    check_chain(isa, SHRINKING, side=9, room=128, work=tmp_path)
