"""Which layers are coded: what a build is for decides."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from edgepack.emit.explain import explain
from edgepack.emit.program import Program, build_program
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa, KernelCall
from edgepack.types import Array
from tests.ops.fast_kernels import of_kind
from tests.ops.test_coded_kernels import Clustered
from tests.ops.test_sparse_kernels import Pruned
from tests.ops.weighted_model import Weighted

PRUNED = Pruned(
    "FULLY_CONNECTED", (1, 512), (64, 512), (1, 64), 64, 0, {}, narrow=True, per_channel=False
)


class Halved(Weighted):
    """Every second weight is zero, at random."""

    def _weights(self, rng: np.random.Generator) -> Array:
        return (super()._weights(rng) * (rng.random(self.w) < 0.5)).astype(np.int8)


Optimize = Literal["speed", "size", "ram", "balanced"]
_CONV = {
    "padding": "SAME",
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "fused_activation_function": "NONE",
}
DENSE = Clustered(
    "FULLY_CONNECTED", (1, 256), (64, 256), (1, 64), 64, 0, {}, narrow=True, per_channel=False
)
UNIFORM = Weighted(
    "FULLY_CONNECTED", (1, 256), (64, 256), (1, 64), 64, 0, {}, narrow=True, per_channel=False
)
CONV = Clustered(
    "CONV_2D", (1, 12, 12, 32), (48, 3, 3, 32), (1, 12, 12, 48), 48, 0, _CONV, narrow=True
)


def program(layer: Weighted, optimize: Optimize, folder: Path) -> Program:
    path = folder / "model.tflite"
    path.write_bytes(layer.case(np.random.default_rng(0)).model)
    isa = Isa(frozenset({"dsp"}), optimize=optimize)
    return build_program(load_tflite(path, name="model"), isa)


def function(made: Program) -> str:
    (call,) = made.main.lowered
    assert isinstance(call, KernelCall)
    return call.function


@pytest.mark.parametrize("optimize", ["speed", "ram"])
def test_never_for_speed_or_ram(optimize: Optimize, tmp_path: Path) -> None:
    assert function(program(CONV, optimize, tmp_path)) == "ep_conv2d_s8_dsp"


def test_size_codes_what_gets_smaller_with_its_decoder(tmp_path: Path) -> None:
    assert function(program(DENSE, "size", tmp_path)) == "ep_fully_connected_s8_dsp_coded"
    assert function(program(UNIFORM, "size", tmp_path)) == "ep_fully_connected_s8_dsp"


def test_balanced_weighs_flash_against_instructions(tmp_path: Path) -> None:
    """A weight of the convolution is used at 144 positions, one of the dense layer once."""
    assert function(program(CONV, "balanced", tmp_path)) == "ep_conv2d_s8_dsp_coded"
    assert function(program(DENSE, "balanced", tmp_path)) == "ep_fully_connected_s8_dsp"


@pytest.mark.parametrize("optimize", ["speed", "ram", "balanced"])
def test_zeros_are_left_out_where_that_is_faster(optimize: Optimize, tmp_path: Path) -> None:
    """One weight of ten is not zero: fewer instructions and fewer bytes."""
    assert function(program(PRUNED, optimize, tmp_path)) == "ep_fully_connected_s8_sparse"
    half = of_kind(Halved, PRUNED)  # two bytes and 4.5 instructions for every second weight
    assert function(program(half, optimize, tmp_path)) == "ep_fully_connected_s8_dsp"


def test_helium_multiplies_zeros_faster_than_it_leaves_them_out(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(PRUNED.case(np.random.default_rng(0)).model)
    isa = Isa(frozenset({"dsp", "mve"}), optimize="speed")
    made = build_program(load_tflite(path, name="model"), isa)
    assert function(made) == "ep_fully_connected_s8_mve"


def test_explain_tells_of_zeros(tmp_path: Path) -> None:
    made = explain(program(PRUNED, "balanced", tmp_path), "ep_model")["graphs"][0]["layers"][0]
    assert made["reason"].startswith("90 % of the weights are zero and left out")


def test_explain_tells(tmp_path: Path) -> None:
    plain = explain(program(DENSE, "speed", tmp_path), "ep_model")["graphs"][0]["layers"][0]
    coded = explain(program(DENSE, "size", tmp_path), "ep_model")["graphs"][0]["layers"][0]
    assert coded["weight_bytes"] < plain["weight_bytes"] / 2
    assert coded["scratch_bytes"] > 0
    assert coded["reason"].startswith("Huffman-coded weights, 16 tiles of 4 filters; SMLAD")
