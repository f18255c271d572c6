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

from edgepack.ops.shared.kernel import Isa, KernelCall
from edgepack.ops.shared.window import window
from tests.c_batch import Case, compile_case
from tests.ops.ladder import climb
from tests.ops.test_dsp_kernels import CONVOLUTIONS, DEPTHWISE, VARIATIONS, conv, depthwise
from tests.ops.test_fully_connected import dense
from tests.ops.weighted_model import Weighted
from tests.tflite_builder import ModelBuilder, spec

# `speed`, because dense layers of few multiply-accumulates otherwise take the smaller kernel
MUL32 = Isa(frozenset({"mul32"}), "speed")
MUL64 = Isa(frozenset({"mul32", "mul64"}), "speed")
CORES = pytest.mark.parametrize("isa", [MUL32, MUL64], ids=["mul32", "mul64"])

# input, kernel, stride, dilation, padding
MORE_DEPTHWISE: dict[str, tuple[Any, ...]] = {
    "wide row": ((1, 4, 23, 2), (3, 3), (1, 1), (1, 1), "SAME"),
    "stride 3": ((1, 11, 13, 2), (3, 3), (3, 3), (1, 1), "SAME"),
    "stride beyond kernel": ((1, 9, 12, 2), (2, 2), (4, 3), (1, 1), "VALID"),
    "dilated": ((1, 12, 14, 3), (3, 3), (1, 1), (2, 3), "SAME"),
    "dilated valid": ((1, 12, 14, 2), (3, 2), (1, 1), (3, 2), "VALID"),
    "kernel beyond input": ((1, 2, 2, 3), (5, 5), (1, 1), (1, 1), "SAME"),
    "narrow and padded": ((1, 5, 1, 3), (3, 3), (1, 1), (1, 1), "SAME"),
    "two wide, padded": ((1, 5, 2, 3), (3, 7), (1, 1), (1, 1), "SAME"),
    "stride 2, kernel 5": ((1, 9, 17, 2), (5, 5), (2, 2), (1, 1), "SAME"),
    "20 rows": ((1, 20, 3, 2), (20, 2), (1, 1), (1, 1), "VALID"),
}


def more_depthwise(name: str) -> Weighted:
    x, (kh, kw), stride, dilation, padding = MORE_DEPTHWISE[name]
    out_h = window(x[1], kh, stride[0], dilation[0], padding).out
    out_w = window(x[2], kw, stride[1], dilation[1], padding).out
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "depth_multiplier": 1,
    }
    out = (x[0], out_h, out_w, x[3])
    return Weighted("DEPTHWISE_CONV_2D", x, (1, kh, kw, x[3]), out, x[3], 3, options, label=name)


def on(isa: Isa, weighted: Weighted, rng: np.random.Generator) -> Case:
    return replace(weighted.case(rng), isa=isa)


def calls(case: Case) -> list[KernelCall]:
    program, _ = compile_case(case, "probe")
    return [c for c in program.main.lowered if isinstance(c, KernelCall)]


def fields(case: Case) -> dict[str, Any]:
    """The parameters of a one-op case's kernel."""
    (call,) = calls(case)
    return dict(call.args[0].fields)  # type: ignore[union-attr]


@CORES
@pytest.mark.parametrize("make", [conv, depthwise], ids=["conv", "depthwise"])
def test_climbs(make: Any, isa: Isa, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    names = CONVOLUTIONS if make is conv else DEPTHWISE
    cases = [on(isa, make(name), rng) for name in names]
    first, second = next(iter(names)), list(names)[6 if make is conv else 3]
    cases += [on(isa, make(n, a, **kw), rng) for n in (first, second) for a, kw in VARIATIONS[:6]]
    if make is depthwise:
        cases += [on(isa, more_depthwise(name), rng) for name in MORE_DEPTHWISE]
    function = "ep_conv2d_s8_mul" if make is conv else "ep_depthwise_s8_mul"
    for case in cases:
        assert [c.function for c in calls(case)] == [function], case.id
    climb(cases, tmp_path)


@CORES
def test_dense_climbs(isa: Isa, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    shapes = ("row", "batch", "one to one", "flattens", "kept dimensions", "kept rank 4")
    cases = [on(isa, dense(s), rng) for s in shapes]
    cases += [on(isa, dense("batch", a, **kw), rng) for a, kw in VARIATIONS[:6]]
    cases.append(on(isa, dense("row", per_channel=True, label="per channel"), rng))
    cases.append(on(isa, dense("row", bias_reach=1 << 18, label="wide bias"), rng))
    for n in (1, 2, 3, 4, 5, 6, 7, 64, 257):
        wide = Weighted("FULLY_CONNECTED", (2, n), (5, n), (2, 5), 5, 0, {}, label=f"{n} inputs")
        cases.append(on(isa, replace(wide, per_channel=n % 2 == 0), rng))
    for case in cases:
        assert [c.function for c in calls(case)] == ["ep_fully_connected_s8_mul"], case.id
    climb(cases, tmp_path)


def test_small_dense_layers_keep_the_small_kernel() -> None:
    rng = np.random.default_rng(6)
    case = on(replace(MUL64, optimize="balanced"), dense("row"), rng)
    assert [c.function for c in calls(case)] == ["ep_fully_connected_s8"]


@pytest.mark.parametrize("make", [conv, depthwise, dense], ids=["conv", "depthwise", "dense"])
@CORES
def test_falls_back_where_the_conditions_do_not_hold(make: Any, isa: Isa, tmp_path: Path) -> None:
    """Factors of one and more, and accumulators near 2**31: the portable kernel takes over."""
    rng = np.random.default_rng(3)
    name = {conv: "3x3 same", depthwise: "3x3", dense: "row"}[make]
    cases = [on(isa, make(name, real_multiplier=factor), rng) for factor in (1.5, 1e-8, 1e-12)]
    cases.append(on(isa, make(name, bias_reach=(1 << 31) - 1), rng))
    for case in cases:
        assert not calls(case)[0].function.endswith("_mul"), case.id
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
    """Expanding, depthwise (with and without stride) and contracting layers in one memory."""
    rng = np.random.default_rng(5)
    model = ModelBuilder()
    tensor, channels, side = model.input("x", (1, 9, 9, 4), "INT8", 0.05, 3), 4, 9
    for filters, kernel, stride in ((12, 1, 1), (12, 3, 1), (6, 1, 1), (6, 3, 2), (8, 3, 1)):
        depth = kernel == 3 and filters == channels
        shape = (1, 3, 3, channels) if depth else (filters, kernel, kernel, channels)
        w = model.const(rng.integers(-127, 128, shape).astype(np.int8), "INT8", 0.01)
        b = model.const(rng.integers(-500, 500, filters), "INT32", 0.0005)
        options: dict[str, Any] = {"padding": "SAME", "stride_h": stride, "stride_w": stride}
        if depth:
            options["depth_multiplier"] = 1
        side = -(-side // stride)
        made = spec((1, side, side, filters), "INT8", 0.3, -5)
        op = "DEPTHWISE_CONV_2D" if depth else "CONV_2D"
        tensor, channels = model.op(op, [tensor, w, b], [made], options)[0], filters
    model.output(tensor)
    samples = [[rng.integers(-128, 128, (1, 9, 9, 4)).astype(np.int8)] for _ in range(3)]
    case = Case("chain", model.build(), samples, isa)
    program, _ = compile_case(case, "probe")
    largest = max(t.nbytes for t in program.main.graph.tensors.values() if not t.is_const)
    scratch = max(c.scratch_bytes for c in calls(case))
    assert program.arena_bytes <= largest + scratch + 128, program.arena_bytes
    climb([case], tmp_path)
