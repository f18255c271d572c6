"""The kernels for cores with SMLAD climb the same ladder (intrinsics have plain C meanings)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.ops.shared.conv_dsp import pack_filter_pairs, pairs_fit
from edgepack.ops.shared.kernel import Alias, Isa, KernelCall, Params
from edgepack.ops.shared.window import window
from tests.c_batch import Case, compile_case
from tests.ops.ladder import climb
from tests.ops.test_fully_connected import dense
from tests.ops.weighted_model import Weighted
from tests.tflite_builder import ModelBuilder, spec

# for speed: else small dense layers get the portable kernel
DSP = Isa(frozenset({"dsp"}), optimize="speed")

# input, filters, kernel, stride, dilation, padding
CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "1x1": ((1, 5, 5, 8), 6, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 odd channels": ((1, 5, 7, 7), 5, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 expanding, remainder 2": ((1, 2, 3, 4), 9, (1, 1), (1, 1), (1, 1), "SAME"),
    "1x1 one position": ((1, 1, 1, 40), 3, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 remainder 3": ((1, 3, 5, 16), 4, (1, 1), (1, 1), (1, 1), "VALID"),
    "1x1 strided": ((1, 7, 7, 4), 4, (1, 1), (2, 2), (1, 1), "SAME"),
    "3x3 same": ((1, 6, 5, 4), 4, (3, 3), (1, 1), (1, 1), "SAME"),
    "3x3 rgb stride 2": ((1, 9, 9, 3), 8, (3, 3), (2, 2), (1, 1), "SAME"),
    "3x3 two channels": ((1, 6, 6, 2), 3, (3, 3), (1, 1), (1, 1), "SAME"),
    "5x5": ((1, 8, 8, 4), 3, (5, 5), (1, 1), (1, 1), "VALID"),
    "10x4 one channel": ((1, 14, 9, 1), 4, (10, 4), (2, 2), (1, 1), "SAME"),
    "dilated": ((1, 9, 9, 4), 2, (3, 3), (1, 1), (2, 3), "SAME"),
    "dilated odd channels": ((1, 9, 9, 3), 2, (3, 2), (1, 1), (2, 2), "SAME"),
    "batches": ((3, 4, 4, 4), 4, (3, 3), (1, 1), (1, 1), "SAME"),
    "one column": ((1, 12, 1, 4), 5, (4, 1), (2, 1), (1, 1), "SAME"),
    "kernel beyond input": ((1, 2, 2, 4), 2, (5, 5), (1, 1), (1, 1), "SAME"),
    "1x1 many inputs": ((1, 2, 3, 700), 3, (1, 1), (1, 1), (1, 1), "VALID"),
}

# input, kernel, stride, padding
DEPTHWISE: dict[str, tuple[Any, ...]] = {
    "3x3": ((1, 6, 5, 3), (3, 3), (1, 1), "SAME"),
    "3x3 even width": ((1, 4, 6, 5), (3, 3), (1, 1), "SAME"),
    "3x3 valid": ((1, 7, 8, 2), (3, 3), (1, 1), "VALID"),
    "3x3 stride 2": ((1, 8, 8, 4), (3, 3), (2, 2), "SAME"),
    "3x3 stride 2 odd": ((1, 7, 9, 3), (3, 3), (2, 2), "VALID"),
    "5x5": ((1, 6, 7, 2), (5, 5), (1, 1), "SAME"),
    "4x2": ((1, 6, 6, 2), (4, 2), (1, 1), "SAME"),
    "1x1": ((1, 3, 4, 5), (1, 1), (1, 1), "SAME"),
    "stride 1x2": ((1, 5, 8, 2), (3, 3), (1, 2), "SAME"),
    "upright 10": ((1, 24, 1, 4), (10, 1), (1, 1), "VALID"),
    "upright whole": ((1, 15, 1, 4), (15, 1), (1, 1), "VALID"),
    "one position": ((1, 3, 3, 4), (3, 3), (1, 1), "VALID"),
    "batches": ((2, 4, 4, 3), (3, 3), (1, 1), "SAME"),
}


def conv(
    name: str,
    activation: str = "NONE",
    table: dict[str, tuple[Any, ...]] = CONVOLUTIONS,
    **changes: Any,
) -> Weighted:
    x, filters, (kh, kw), stride, dilation, padding = table[name]
    out = (
        x[0],
        window(x[1], kh, stride[0], dilation[0], padding).out,
        window(x[2], kw, stride[1], dilation[1], padding).out,
        filters,
    )
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "fused_activation_function": activation,
    }
    label = f"{name} {activation} {changes}"
    w = (filters, kh, kw, x[3])
    return Weighted("CONV_2D", x, w, out, filters, 0, options, narrow=True, label=label, **changes)


def depthwise(name: str, activation: str = "NONE", **changes: Any) -> Weighted:
    x, (kh, kw), stride, padding = DEPTHWISE[name]
    out = (
        x[0],
        window(x[1], kh, stride[0], 1, padding).out,
        window(x[2], kw, stride[1], 1, padding).out,
        x[3],
    )
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "depth_multiplier": 1,
        "fused_activation_function": activation,
    }
    return Weighted(
        "DEPTHWISE_CONV_2D",
        x,
        (1, kh, kw, x[3]),
        out,
        x[3],
        3,
        options,
        narrow=True,
        label=f"{name} {activation} {changes}",
        **changes,
    )


def on_dsp(weighted: Weighted, rng: np.random.Generator) -> Case:
    return replace(weighted.case(rng), isa=DSP)


def kernels(case: Case) -> list[str]:
    program, _ = compile_case(case, "probe")
    return [c.function for c in program.main.lowered if isinstance(c, KernelCall)]


VARIATIONS: list[tuple[str, dict[str, Any]]] = [
    ("RELU", {"zero_points": (-128, -128)}),
    ("RELU6", {"zero_points": (127, -128)}),
    ("NONE", {"zero_points": (0, 127)}),
    ("NONE", {"per_channel": False}),
    ("NONE", {"bias": None}),
    ("NONE", {"real_multiplier": 0.45}),
    ("NONE", {"real_multiplier": 1e-5}),
    ("NONE", {"bias_reach": 1 << 20}),
]


def fields(case: Case) -> dict[str, Any]:
    """The parameters of the only call of a case."""
    program, _ = compile_case(case, "probe")
    (call,) = (c for c in program.main.lowered if isinstance(c, KernelCall))
    return dict(next(a for a in call.args if isinstance(a, Params)).fields)


def test_streams_are_as_narrow_as_the_values_allow() -> None:
    """Each layout of a stream is reached by a case of the climb."""
    rng = np.random.default_rng(8)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("1x1", {}),
        ("1x1", {"bias_reach": 1 << 20}),
        ("1x1 many inputs", {}),
    ]
    layers = [fields(on_dsp(conv(name, **changes), rng)) for name, changes in cases]
    found = {(layer["scaled"], layer["narrow"]) for layer in layers}
    assert found == {(True, True), (True, False), (False, False)}
    heads = [
        fields(on_dsp(depthwise("3x3", **changes), rng))["bias_bytes"]
        for changes in ({"bias": None}, {}, {"bias_reach": 1 << 20})
    ]
    assert heads == [0, 2, 4]


@pytest.mark.parametrize("make", [conv, depthwise], ids=["conv", "depthwise"])
def test_climbs(make: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    names = CONVOLUTIONS if make is conv else DEPTHWISE
    cases = [on_dsp(make(name), rng) for name in names]
    first, second = next(iter(names)), list(names)[6 if make is conv else 3]
    cases += [on_dsp(make(n, a, **kw), rng) for n in (first, second) for a, kw in VARIATIONS]
    function = "ep_conv2d_s8_dsp" if make is conv else "ep_depthwise_s8_dsp"
    for case in cases:
        assert kernels(case) == [function], case.id
    climb(cases, tmp_path)


def test_dense_climbs(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    shapes = ("row", "batch", "one to one", "flattens", "kept dimensions", "kept rank 4")
    cases = [on_dsp(dense(s, narrow=True), rng) for s in shapes]
    cases += [on_dsp(dense("batch", a, narrow=True, **kw), rng) for a, kw in VARIATIONS]
    cases += [
        on_dsp(dense("row", narrow=True, per_channel=True, label="per channel"), rng),
        on_dsp(dense("row", narrow=True, bias_reach=1 << 20, label="wide bias"), rng),
    ]
    for case in cases:
        assert kernels(case) == ["ep_fully_connected_s8_dsp"], case.id
    climb(cases, tmp_path)


@pytest.mark.parametrize("make", [conv, depthwise, dense], ids=["conv", "depthwise", "dense"])
def test_falls_back_where_the_conditions_do_not_hold(make: Any, tmp_path: Path) -> None:
    """Factors of one and more, and accumulators near 2**31: the portable kernel takes over."""
    rng = np.random.default_rng(3)
    name = {conv: "3x3 same", depthwise: "3x3", dense: "row"}[make]
    cases = [on_dsp(make(name, real_multiplier=factor), rng) for factor in (1.5, 40.0, 1e-8, 1e-12)]
    cases.append(on_dsp(make(name, bias_reach=(1 << 31) - 1), rng))
    for case in cases:
        assert not kernels(case)[0].endswith("_dsp"), case.id
    climb(cases, tmp_path)


def test_pairs_share_words_only_where_they_fit() -> None:
    start = np.zeros(2, np.int32)
    assert pairs_fit(np.array([[127, -127], [-127, 127]], np.int8), start)
    assert not pairs_fit(np.array([[-1, 0], [-128, 0]], np.int8), start)
    wide = np.full((2, 600), 127, np.int8)
    assert not pairs_fit(wide, start)
    assert pairs_fit(wide[:, :500], start)
    assert not pairs_fit(wide[:, :500], np.array([0, 1 << 23], np.int32))


def test_a_word_holds_two_filters_and_two_inputs() -> None:
    filters = np.array([[1, 2, 3, 4], [5, -6, 7, 8], [9, 10, 11, 12]], np.int8)
    words = pack_filter_pairs(filters)
    assert words.shape == (2, 2)
    halves = words.view("<i2").reshape(2, 2, 2)
    # inputs 0, 2 and then 1, 3; filter 0 plus 256 times filter 1
    assert halves[0].tolist() == [[1 + 256 * 5, 3 + 256 * 7], [2 - 256 * 6, 4 + 256 * 8]]
    assert halves[1].tolist() == [[9, 11], [10, 12]]


def test_a_chain_runs_in_place(tmp_path: Path) -> None:
    """Expanding, depthwise and contracting layers over one piece of memory, against TFLM."""
    rng = np.random.default_rng(4)
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
    case = Case("chain", model.build(), samples, DSP)
    program, _ = compile_case(case, "probe")
    assert not any(isinstance(c, Alias) for c in program.main.lowered)
    largest = max(t.nbytes for t in program.main.graph.tensors.values() if not t.is_const)
    scratch = max(c.scratch_bytes for c in program.main.lowered if isinstance(c, KernelCall))
    assert program.arena_bytes <= largest + scratch + 64, program.arena_bytes
    climb([case], tmp_path)
