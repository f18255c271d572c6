"""Kernels with NEON and with SDOT, in qemu-user, against the portable ones on this computer.

The program for x86_64 holds the portable kernels alone. Those for ARM run on a Cortex-A53 without
SDOT, on qemu's best core with it, and as 32-bit code: the output bytes are the same everywhere.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgepack.pipeline.phone import build_phone
from edgepack.toolchain.phone import find_phone_compiler, phone_abi
from edgepack.toolchain.zig import find_zig
from tests.tflite_builder import ModelBuilder, spec

ARM64, ARM32 = "qemu-aarch64-static", "qemu-arm-static"
NEEDED = (ARM64, ARM32, "aarch64-linux-gnu-gcc", "arm-linux-gnueabihf-gcc", "x86_64-linux-gnu-gcc")
missing = [tool for tool in NEEDED if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}: make setup")

PLACES = (
    ("arm64-v8a", (ARM64, "-cpu", "cortex-a53"), "base"),
    ("arm64-v8a", (ARM64, "-cpu", "max"), "dotprod"),
    ("armeabi-v7a", (ARM32,), "base"),
)


class Chain:
    """Layers one after the other, with weights over the whole range of int8."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self._rng = np.random.default_rng(11)
        self._model = ModelBuilder()
        self._shape: tuple[int, ...] = (1, height, width, channels)
        self.samples = height * width * channels
        self._tensor = self._model.input("x", self._shape, "INT8", scale=0.1, zero_point=-7)

    def conv(
        self, height: int, width: int, stride: int, dilation: int, filters: int, groups: int = 1
    ) -> None:
        taken = self._shape[3] // groups
        options = {"dilation_h_factor": dilation, "dilation_w_factor": dilation}
        self._layer("CONV_2D", (filters, height, width, taken), 0, filters, stride, options)

    def depthwise(self, height: int, width: int, stride: int, dilation: int = 1) -> None:
        channels = self._shape[3]
        options = {"dilation_h_factor": dilation, "dilation_w_factor": dilation}
        options["depth_multiplier"] = 1
        kernel = (1, height, width, channels)
        self._layer("DEPTHWISE_CONV_2D", kernel, 3, channels, stride, options)

    def _layer(
        self,
        op: str,
        kernel: tuple[int, ...],
        axis: int,
        channels: int,
        stride: int,
        options: dict[str, int],
    ) -> None:
        rng, model = self._rng, self._model
        # scales that keep the sums of many taps within the range, a different one for each channel
        taps = int(np.prod(kernel)) // channels
        scale = (0.014 / np.sqrt(taps) * rng.uniform(0.5, 2.0, channels)).tolist()
        weights = rng.integers(-128, 128, kernel).astype(np.int8)
        filters = model.const(weights, "INT8", scale=scale, axis=axis)
        values = rng.integers(-3000, 3000, channels).astype(np.int32)
        bias = model.const(values, "INT32", scale=[s * 0.1 for s in scale], axis=0)
        height, width = (-(-size // stride) for size in self._shape[1:3])
        self._shape = (1, height, width, channels)
        (self._tensor,) = model.op(
            op,
            [self._tensor, filters, bias],
            [spec(self._shape, "INT8", 0.1, 5)],
            {
                "padding": "SAME",
                "stride_h": stride,
                "stride_w": stride,
                "fused_activation_function": "NONE",
                **options,
            },
        )

    def dense(self, outputs: int, *, per_channel: bool) -> None:
        rng, model = self._rng, self._model
        taken = int(np.prod(self._shape))
        count = outputs if per_channel else 1
        scale = (0.014 / np.sqrt(taken) * rng.uniform(0.5, 2.0, count)).tolist()
        weights = rng.integers(-128, 128, (outputs, taken)).astype(np.int8)
        rows = model.const(weights, "INT8", scale=scale if per_channel else scale[0], axis=0)
        self._shape = (1, outputs)
        (self._tensor,) = model.op(
            "FULLY_CONNECTED",
            [self._tensor, rows],
            [spec(self._shape, "INT8", 0.1, 5)],
            {"fused_activation_function": "NONE", "keep_num_dims": False},
        )

    def build(self) -> bytes:
        self._model.output(self._tensor)
        return self._model.build()


def convolutions() -> Chain:
    """Dilated, strided, padded, pointwise; windows of whole vectors and of rests; few filters."""
    chain = Chain(9, 7, 20)
    kinds = itertools.cycle([(3, 3, 1, 1), (3, 3, 1, 2), (5, 2, 1, 1), (1, 1, 1, 1), (3, 3, 2, 1)])
    for kind, filters in zip(kinds, (16, 5, 32, 48, 7, 20), strict=False):
        chain.conv(*kind, filters)
    return chain


def grouped() -> Chain:
    """Two groups of 16 channels, a pointwise layer of whole vectors, and 4 filters a group."""
    chain = Chain(6, 5, 32)
    chain.conv(3, 3, 1, 1, 12, groups=2)
    chain.conv(3, 3, 1, 1, 32)
    chain.conv(1, 1, 1, 1, 64)
    chain.conv(3, 2, 2, 1, 8, groups=2)
    return chain


def depthwise() -> Chain:
    """Channels that fill vectors and that do not, strided and dilated windows."""
    chain = Chain(11, 8, 20)
    chain.depthwise(3, 3, 1)
    chain.depthwise(5, 3, 1, 2)
    chain.conv(1, 1, 1, 1, 8)
    chain.depthwise(3, 3, 2)
    chain.conv(1, 1, 1, 1, 13)
    chain.depthwise(2, 4, 1)
    return chain


def dense() -> Chain:
    """Rows of whole vectors and of rests, a scale for each and one for all."""
    chain = Chain(5, 7, 13)
    chain.dense(70, per_channel=True)
    chain.dense(64, per_channel=False)
    chain.dense(90, per_channel=True)
    return chain


CHAINS = {
    "convolutions": convolutions,
    "grouped": grouped,
    "depthwise": depthwise,
    "dense": dense,
}


def outputs(project: Path, abi: str, words: tuple[str, ...], variant: str, samples: bytes) -> bytes:
    (project / "in.bin").write_bytes(samples)
    argv = [*words, "build/ep_phone", "--in", "in.bin", "--out", "out.bin", "--variant", variant]
    subprocess.run(argv, cwd=project, check=True, capture_output=True, timeout=60)
    return (project / "out.bin").read_bytes()


def check(name: str, folder: Path, places: tuple[tuple[str, tuple[str, ...], str], ...],
          toolchain: str) -> None:  # fmt: skip
    chain = CHAINS[name]()
    path = folder / f"{name}.tflite"
    path.write_bytes(chain.build())
    rng = np.random.default_rng(3)
    samples = rng.integers(-128, 128, (8, chain.samples)).astype(np.int8)
    samples[0], samples[1] = -128, 127
    found = {}
    for abi in dict.fromkeys(("x86_64", *(abi for abi, _, _ in places))):
        project = folder / abi
        project.mkdir()
        build_phone(path, project, phone_abi(abi), name, toolchain=toolchain)
    expected = outputs(folder / "x86_64", "x86_64", (), "base", samples.tobytes())
    for abi, words, variant in places:
        found[abi, variant] = outputs(folder / abi, abi, words, variant, samples.tobytes())
    for place, got in found.items():
        np.testing.assert_array_equal(
            np.frombuffer(got, np.int8), np.frombuffer(expected, np.int8), err_msg=str(place)
        )
    # neither constant nor all saturated: the comparison says something
    assert len(np.unique(np.frombuffer(expected, np.int8))) > 50


def test_both_variants_compute_the_bytes_of_the_portable_kernels(tmp_path: Path) -> None:
    check("grouped", tmp_path, PLACES[:2], "gcc")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CHAINS))
def test_every_core_computes_the_bytes_of_the_portable_kernels(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, PLACES, "gcc")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CHAINS))
def test_zig_compiles_the_same_bytes(name: str, tmp_path: Path) -> None:
    if find_zig() is None:
        pytest.skip("ziglang is not installed: pip install edgepack[zig]")
    assert find_phone_compiler(phone_abi("arm64-v8a"), "zig").name == "zig"
    check(name, tmp_path, PLACES, "zig")
