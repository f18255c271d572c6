"""Layers with weights of one bit: the bytes of TFLite Micro, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.frontends.tflite import load_tflite
from edgepack.ir import BitTensor
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.bits import Codes, SignWeights, codes_of, levels_of, sign_weights
from edgepack.ops.shared.bits import sums_of as sums_of_layer
from edgepack.ops.shared.kernel import Isa
from edgepack.types import Array
from tests.c_batch import Case
from tests.ops.bit_models import Chain, Form, Layer, chain, weights_of
from tests.ops.fast_kernels import REST, calls, kernels
from tests.ops.ladder import climb, numpy_outputs
from tests.oracles import run_litert

HALVES = Layer("pool", kernel=(2, 2), stride=2)


def network(form: Form, seed: int) -> Case:
    """Every kind of layer of one form, from int8 to int8."""
    first, second = (8, 16) if form == "codes" else (16, 8)
    layers = [
        Layer("conv", first, form=form),
        HALVES,
        Layer("conv", second, form=form),
        Layer("flatten"),
        Layer("dense", 120, form=form),
        Layer("dense", 10, form=form, bits=False),
    ]
    return chain((1, 8, 8, 8), layers, seed, f"network, {form}")


# each kind of remainder, padding and layout; what the kernels are called begins with ep_bits_
QUICK: dict[str, tuple[tuple[int, ...], list[Layer], list[str]]] = {
    "odd channels, strides, dilation, batches": (
        (2, 9, 7, 3),
        [Layer("conv", 7, stride=2), Layer("conv", 40, dilation=2, bits=False)],
        ["sums_bits", "xnor_s8"],
    ),
    "a flatten that bits do not survive": (
        (1, 9, 7, 3),
        [
            Layer("conv", 7),
            Layer("pool", kernel=(3, 3), stride=2),
            Layer("conv", 44, padding="VALID"),
            Layer("flatten"),
            Layer("dense", 3, bits=False),
        ],
        ["sums_bits", "max_pool", "xnor_s8", "sums_s8"],
    ),
    "rows of a dense layer": (
        (3, 700),
        [Layer("dense", 40), Layer("dense", 9, bits=False, per_channel=False)],
        ["sums_bits", "xnor_s8"],
    ),
    "ternary, padded and whole windows": (
        (1, 6, 5, 9),
        [
            Layer("conv", 40, form="ternary"),
            Layer("conv", 9, form="ternary", kernel=(5, 2)),
            Layer("conv", 3, form="ternary", bits=False, activation="RELU"),
        ],
        ["sums_bits", "xnor_bits", "xnor_s8"],
    ),
    "vectors of int8": (
        (2, 200),
        [Layer("dense", 90, form="codes", bits=False)],
        ["code_sums_s8"],
    ),
    "three values, pooled, padded, flattened": (
        (1, 9, 8, 4),
        [
            Layer("conv", 24, trits=True),
            Layer("pool", kernel=(2, 2), stride=2),
            Layer("conv", 40, form="ternary", trits=True),
            Layer("flatten"),
            Layer("dense", 48, form="codes", trits=True),
            Layer("dense", 7, bits=False),
        ],
        ["sums_bits", "max_pool", "xnor_bits", "codes_bits", "xnor_s8"],
    ),
    "magnitudes of 127": (
        (1, 5, 5, 8),
        [Layer("conv", 24, unit=127), Layer("conv", 40, unit=127, bits=False, bias=False)],
        ["sums_bits", "xnor_s8"],
    ),
}
MORE: dict[str, tuple[tuple[int, ...], list[Layer], list[str]]] = {
    "more words than a byte counts": (
        (2, 4200),
        [Layer("dense", 4200), Layer("dense", 9, bits=False)],
        ["sums_bits", "xnor_s8"],
    ),
    "windows larger than the input": (
        (1, 2, 2, 8),
        [Layer("conv", 64, kernel=(5, 5)), Layer("conv", 64, kernel=(5, 5), bits=False)],
        ["sums_bits", "xnor_s8"],
    ),
    "vectors with padding": (
        (1, 7, 6, 8),
        [
            Layer("conv", 80, form="codes", stride=2),
            Layer("conv", 80, form="codes", dilation=2, bits=False),
        ],
        ["code_sums_bits", "codes_s8"],
    ),
    "one row of every length": (
        (1, 328),
        [Layer("dense", n) for n in (24, 40, 72, 104, 136, 168)] + [Layer("dense", 5, bits=False)],
        ["sums_bits", *["xnor_bits"] * 5, "xnor_s8"],
    ),
}


def _short(case: Case) -> list[str]:
    return [name.removeprefix("ep_bits_") for name in kernels(case)]


@REST
def test_shapes(rest: bool, tmp_path: Path) -> None:
    table = MORE if rest else QUICK
    cases = []
    for number, (name, (shape, layers, expected)) in enumerate(table.items()):
        cases.append(chain(shape, layers, number, name))
        assert _short(cases[-1]) == expected, name
    climb(cases, tmp_path)


NETWORK_KERNELS: dict[Form, list[str]] = {
    "binary": ["sums_bits", "max_pool", "xnor_bits", "xnor_bits", "xnor_s8"],
    "ternary": ["sums_bits", "max_pool", "xnor_bits", "xnor_bits", "xnor_s8"],
    "codes": ["sums_bits", "max_pool", "codes_bits", "codes_bits", "codes_s8"],
}


def test_networks(tmp_path: Path) -> None:
    cases = [network(form, seed) for seed, form in enumerate(NETWORK_KERNELS)]
    for case, expected in zip(cases, NETWORK_KERNELS.values(), strict=True):
        assert _short(case) == expected
    climb(cases, tmp_path)


@pytest.mark.parametrize("kernel_set", ["reference", "xnnpack"])
def test_litert_computes_the_same_signs(kernel_set: str) -> None:
    """No accumulator is near a rounding: the kernels of phones agree too."""
    layers = [Layer("conv", 16), HALVES, Layer("flatten"), Layer("dense", 40)]
    case = chain((1, 8, 8, 8), layers, 3, "signs")
    for sample, expected in zip(case.samples, numpy_outputs(case), strict=True):
        got = run_litert(case.model, sample, kernel_set)  # type: ignore[arg-type]
        assert np.array_equal(got[0], expected[0])
        assert set(np.unique(got[0])) <= {-127, 127}


def _first(made: Chain) -> NodeView:
    case = made.case("probe")
    graph = load_tflite(case.model, name="m").main
    return NodeView.of(graph, graph.nodes[0])


def test_bits_are_proven_not_guessed() -> None:
    """With units of 1 some sum is 0, a third value; with a flatter slope there are more of them."""
    for planes, slope in ((2, 128.0), (None, 10.0)):
        made = Chain((1, 64), 5, zero_point=0)
        w = made.model.const(weights_of(made.rng, (8, 64), "binary", 1), "INT8", slope)
        options = {"fused_activation_function": "RELU_N1_TO_1"}
        made._op("FULLY_CONNECTED", [made.tensor, w], (1, 8), options, 0.04, 0)
        made.add(Layer("dense", 9, bits=False))
        case = made.case("steps")
        graph = load_tflite(case.model, name="m").main
        view = NodeView.of(graph, graph.nodes[0])
        weights = sign_weights(view)
        assert weights is not None
        sums = sums_of_layer(view, weights, None)
        assert sums is not None
        levels = levels_of(view, sums)
        assert (None if levels is None else levels.planes) == planes
        kinds = ["sums_s8", "sums_s8"] if planes is None else ["sums_bits", "xnor_s8"]
        assert _short(case) == kinds


def test_a_threshold_is_where_the_integers_step() -> None:
    made = Chain((1, 64), 6)
    made.add(Layer("dense", 8))
    view = _first(made)
    weights = sign_weights(view)
    assert weights is not None
    sums = sums_of_layer(view, weights, None)
    assert sums is not None
    levels = levels_of(view, sums)
    assert levels is not None and (levels.magnitude, levels.planes) == (127, 1)
    bias = view.input(2).data
    assert bias is not None
    assert np.array_equal(levels.thresholds[0], -(bias.astype(np.int64) // 2)), "2 sum + bias > 0"


def test_an_accumulator_that_overflows_is_left_alone() -> None:
    """TFLite Micro shifts it out of its 32 bits, which no threshold describes."""
    assert _short(chain((1, 66000), [Layer("dense", 2)], 7)) == ["ep_fully_connected_s8"]


def test_other_weights_are_left_alone() -> None:
    def weights(values: list[int]) -> SignWeights | None:
        made = Chain((1, 64), 8)
        rng = np.random.default_rng(0)
        stored = rng.choice(np.array(values), (4, 64)).astype(np.int8)
        w = made.model.const(stored, "INT8", 0.01)
        made._op("FULLY_CONNECTED", [made.tensor, w], (1, 4), {}, 0.1, 0)
        return sign_weights(_first(made))

    assert weights([-3, 3]) is not None and weights([-3, 0, 3]) is not None
    for others in ([-3, 2], [0, 0], [-3, 1, 3], [-128, 127]):
        assert weights(others) is None, others


def test_vectors_where_there_are_few_positions_or_size_counts() -> None:
    layers = [Layer("conv", 40, form="codes"), Layer("conv", 5, form="codes", bits=False)]
    case = chain((1, 5, 5, 8), layers, 12)
    for optimize, expected in (
        ("balanced", ["sums_bits", "xnor_s8"]),
        ("speed", ["sums_bits", "xnor_s8"]),
        ("size", ["code_sums_bits", "codes_s8"]),
    ):
        isa = Isa(optimize=optimize)  # type: ignore[arg-type]
        assert _short(Case(case.id, case.model, case.samples, isa)) == expected


def test_int8_layers_stay_where_speed_counts() -> None:
    case = chain((1, 64), [Layer("dense", 40, bits=False)], 9)
    assert _short(case) == ["sums_s8"]
    fast = Case(case.id, case.model, case.samples, Isa(optimize="speed"))
    assert kernels(fast) == ["ep_fully_connected_s8"]


def _decoded(codes: Codes, filters: int, count: int) -> Array:
    """Bytes [filters, count] from indices, as the kernel reads them."""
    book = codes.book.astype("<u4").view(np.uint8)
    units = codes.codes.reshape(-1, filters).T.astype(np.int64)
    index = np.stack([units & 31, (units >> 5) & 31, units >> 10], axis=2)
    return book[index.reshape(filters, -1)[:, :count]]


def test_codes_hold_the_weights() -> None:
    made = Chain((1, 200), 10)
    made.add(Layer("dense", 90, form="codes"))
    weights = sign_weights(_first(made))
    assert weights is not None
    codes = codes_of(weights, bits=True)
    assert codes is not None
    expected = np.packbits(weights.positive[:, 0], axis=1, bitorder="little")
    assert np.array_equal(_decoded(codes, 90, 25), expected)
    assert codes.codes.nbytes == 2 * 9 * 90, "three indices of eight weights in two bytes"


def test_bits_take_an_eighth_of_the_arena() -> None:
    layers = [Layer("conv", 32), Layer("conv", 32), Layer("conv", 4, bits=False)]
    case = chain((1, 16, 16, 4), layers, 11)
    program = build_program(load_tflite(case.model, name="m"), Isa())
    bits = [t for t in program.main.graph.tensors.values() if isinstance(t, BitTensor)]
    assert [t.nbytes for t in bits] == [16 * 16 * 4] * 2
    assert [call.macs for call in calls(case)] == [16 * 16 * 9 * n for n in (128, 1024, 128)]
