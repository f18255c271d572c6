"""Convolutions with SDOT against those without, in qemu-user: windows of every kind."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgepack.pipeline.phone import build_phone
from edgepack.toolchain.phone import phone_abi
from tests.tflite_builder import ModelBuilder, spec

QEMU = "qemu-aarch64-static"
NEEDED = (QEMU, "aarch64-linux-gnu-gcc")
missing = [tool for tool in NEEDED if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}: make setup")


def conv_chain() -> bytes:
    """Convolutions on INT8[1,9,7,20]: dilated, strided, padded, pointwise."""
    rng = np.random.default_rng(11)
    model = ModelBuilder()
    tensor = model.input("x", (1, 9, 7, 20), "INT8", scale=0.1, zero_point=-7)
    kinds = itertools.cycle([(3, 3, 1, 1), (3, 3, 1, 2), (5, 2, 1, 1), (1, 1, 1, 1), (3, 3, 2, 1)])
    height, width = 9, 7
    for kernel_h, kernel_w, stride, dilation in itertools.islice(kinds, 5):
        height, width = -(-height // stride), -(-width // stride)
        weights = rng.integers(-127, 128, (20, kernel_h, kernel_w, 20)).astype(np.int8)
        kernel = model.const(weights, "INT8", scale=[0.004] * 20, axis=0)
        bias = model.const(
            rng.integers(-900, 900, 20).astype(np.int32), "INT32", scale=[0.0004] * 20, axis=0
        )
        (tensor,) = model.op(
            "CONV_2D",
            [tensor, kernel, bias],
            [spec((1, height, width, 20), "INT8", 0.1, 5)],
            {
                "padding": "SAME",
                "stride_h": stride,
                "stride_w": stride,
                "dilation_h_factor": dilation,
                "dilation_w_factor": dilation,
                "fused_activation_function": "NONE",
            },
        )
    model.output(tensor)
    return model.build()


def test_windows_of_every_kind_give_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "chain.tflite"
    path.write_bytes(conv_chain())
    project = tmp_path / "project"
    project.mkdir()
    manifest = build_phone(path, project, phone_abi("arm64-v8a"), "chain", toolchain="gcc")
    assert manifest.image is not None
    samples = np.random.default_rng(3).integers(-128, 128, (8, 9 * 7 * 20)).astype(np.int8)
    (tmp_path / "in.bin").write_bytes(samples.tobytes())
    outputs = []
    for variant in ("base", "dotprod"):
        out = tmp_path / variant
        argv = [QEMU, str(project / manifest.image), "--in", str(tmp_path / "in.bin")]
        argv += ["--out", str(out), "--variant", variant]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        outputs.append(np.frombuffer(out.read_bytes(), np.int8))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert len(np.unique(outputs[0])) > 50  # not all saturated: the comparison says something
