"""The kernels for cores with SMLAD climb the same ladder (intrinsics have plain C meanings)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.ops.shared.dsp_units import BYTES, NIBBLES, PAIRS
from edgepack.ops.shared.filters import pack_filter_pairs, pairs_fit
from edgepack.ops.shared.kernel import Isa
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
    Unpaired,
    check,
    check_chain,
    conv,
    depthwise,
    fields,
    half,
    kernels,
    of_kind,
    on,
    part,
)
from tests.ops.ladder import climb
from tests.ops.test_fully_connected import dense
from tests.ops.weighted_model import Weighted

# for speed: else small dense layers get the portable kernel
DSP = Isa(frozenset({"dsp"}), optimize="speed")

CONV, DEPTH = "ep_conv2d_s8_dsp", "ep_depthwise_s8_dsp"
DENSE = "ep_fully_connected_s8_dsp"
# of one filter at a time: remainders of positions, of inputs modulo 4 and 8, gathering, batches
SINGLE_QUICK = ("1x1 odd channels", "1x1 remainder 3", "dilated odd channels", "batches")
SINGLE_REST = (
    "1x1",
    "1x1 expanding, remainder 2",
    "1x1 one position",
    "3x3 same",
    "10x4 one channel",
    "1x1 many inputs",
)


def test_streams_are_as_narrow_as_the_values_allow() -> None:
    """Each layout of a stream is reached by a case of the climb."""
    rng = np.random.default_rng(8)
    changes: list[dict[str, Any]] = [{}, {"bias_reach": 1 << 20}]
    layers = [fields(on(DSP, conv("1x1", **kw), rng)) for kw in changes]
    layers.append(fields(on(DSP, conv("1x1 many inputs"), rng)))
    found = {(layer["scaled"], layer["narrow"]) for layer in layers}
    assert found == {(True, True), (True, False), (False, False)}
    assert {layer["layout"] for layer in layers} == {PAIRS}
    heads = [
        fields(on(DSP, depthwise("3x3", **kw), rng))["bias_bytes"]
        for kw in ({"bias": None}, *changes)
    ]
    assert heads == [0, 2, 4]


@REST
def test_convolutions(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    names = part(CONVOLUTIONS, QUICK_CONVOLUTIONS, rest=rest)
    cases = [on(DSP, conv(name), rng) for name in names]
    name = "1x1" if rest else "3x3 same"
    cases += [on(DSP, conv(name, a, **kw), rng) for a, kw in half(VARIATIONS, rest=rest)]
    check(cases, CONV, tmp_path)


@REST
def test_depthwise(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    names = part(DEPTHWISE, QUICK_DEPTHWISE, rest=rest)
    cases = [on(DSP, depthwise(name), rng) for name in names]
    name = "3x3 stride 2" if rest else "3x3"
    cases += [on(DSP, depthwise(name, a, **kw), rng) for a, kw in half(VARIATIONS, rest=rest)]
    cases.append(on(DSP, depthwise(name, **INT4), rng))
    check(cases, DEPTH, tmp_path)


@REST
def test_dense(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    shapes = DENSE_SHAPES[int(rest) :: 2]
    cases = [on(DSP, dense(s, narrow=True), rng) for s in shapes]
    cases += [
        on(DSP, dense("batch", a, narrow=True, **kw), rng)
        for a, kw in half(VARIATIONS, rest=not rest)
    ]
    changes: dict[str, Any] = {"per_channel": True} if rest else {"bias_reach": 1 << 20}
    cases.append(on(DSP, dense("row", narrow=True, label=str(changes), **changes), rng))
    check(cases, DENSE, tmp_path)


@REST
def test_one_filter_at_a_time(rest: bool, tmp_path: Path) -> None:
    """Filters that cannot share words, and 4-bit ones."""
    rng = np.random.default_rng(4)
    names = SINGLE_REST if rest else SINGLE_QUICK
    wide = {name: on(DSP, of_kind(Unpaired, conv(name)), rng) for name in names}
    narrow = {name: on(DSP, conv(name, **INT4), rng) for name in names}
    for cases, layout in ((wide, BYTES), (narrow, NIBBLES)):
        assert {fields(case)["layout"] for case in cases.values()} == {layout}
    check([*wide.values(), *narrow.values()], CONV, tmp_path)


@REST
def test_dense_filters_that_share_no_words(rest: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    shapes = DENSE_SHAPES[0:2] if rest else DENSE_SHAPES[3:5]
    wide = [on(DSP, of_kind(Unpaired, dense(s, per_channel=True)), rng) for s in shapes]
    wide.append(on(DSP, of_kind(Unpaired, dense(shapes[0], bias_reach=1 << 20)), rng))
    narrow = [on(DSP, dense(s, **INT4), rng) for s in shapes]
    for cases, layout in ((wide, BYTES), (narrow, NIBBLES)):
        assert {fields(case)["layout"] for case in cases} == {layout}
    check([*wide, *narrow], DENSE, tmp_path)


def _unusual(make: Any, changes: dict[str, Any]) -> list[Weighted]:
    name = {conv: "3x3 same", depthwise: "3x3", dense: "row"}[make]
    return [make(name, a, **(changes | kw)) for a, kw in UNUSUAL]


@pytest.mark.parametrize(
    ("make", "function"),
    [(conv, CONV), (depthwise, DEPTH), (dense, DENSE)],
    ids=["conv", "depthwise", "dense"],
)
def test_any_scale(make: Any, function: str, tmp_path: Path) -> None:
    """Factors of one half and more, tiny ones, and accumulators that wrap."""
    rng = np.random.default_rng(6)
    layers = _unusual(make, {}) + _unusual(make, {"weight_type": "INT4"})[::2]
    cases = [on(DSP, layer, rng) for layer in layers]
    assert all(fields(case)["any_scale"] for case in cases)
    check(cases, function, tmp_path)


def test_falls_back_where_there_is_no_kernel(tmp_path: Path) -> None:
    """Groups, windows of too many taps, dilation along a stride: the portable kernel takes over."""
    rng = np.random.default_rng(7)
    grouped = replace(conv("1x1"), w=(6, 1, 1, 4))
    shape = {"x": (1, 12, 11, 1), "w": (1, 11, 11, 1), "out": (1, 12, 11, 1), "channels": 1}
    large = replace(depthwise("3x3"), **shape, label="11x11")  # type: ignore[arg-type]
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "depth_multiplier": 1}
    options |= {"dilation_h_factor": 2, "dilation_w_factor": 2}
    both = replace(depthwise("3x3 stride 2"), options=options, label="stride and dilation")
    cases = [on(DSP, layer, rng) for layer in (grouped, large, both)]
    assert not any(kernels(case)[0].endswith("_dsp") for case in cases)
    climb(cases, tmp_path)


def test_small_dense_layers_keep_the_small_kernel() -> None:
    rng = np.random.default_rng(6)
    case = on(replace(DSP, optimize="balanced"), dense("row"), rng)
    assert kernels(case) == ["ep_fully_connected_s8"]


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
    check_chain(DSP, SAME_SIZE, side=6, room=64, work=tmp_path)
