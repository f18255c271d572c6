"""MLPerf Tiny on the host: every tensor that the generated C computes, against TFLM's.

The last bytes of a classifier prove little; a wrong layer often hides behind the next one. With no
rewrites the layers are those of the file, and the layer hook shows each of them. With the default
rewrites only the outputs can be compared.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.c_runtime import Origin, emit_c_runtime
from edgepack.emit.program import Program, build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.passes.flows import DEFAULT_FLOW
from edgepack.resources import firmware_dir
from edgepack.runner import run
from edgepack.types import Array, DType
from tests.c_batch import SANITIZERS, WARNINGS
from tests.oracles import run_tflm, tflm_all_tensors

pytestmark = [pytest.mark.needs_oracle, pytest.mark.needs_data]

SLOW = pytest.mark.slow
INT8 = (
    "ad_int8",
    "kws_int8",
    "sww_int8",
    pytest.param("ic_int8", marks=SLOW),
    pytest.param("vww_int8", marks=SLOW),
)
FLOAT = (
    "ad_float32",
    pytest.param("ic_float32", marks=SLOW),
    pytest.param("vww_float32", marks=SLOW),
)
ISAS = {"plain": Isa(), "dsp": Isa(frozenset({"dsp"}))}
BOTH = ("plain", pytest.param("dsp", marks=SLOW))
SECONDS = 240.0
# Layers of a few hundred products, up to 30 of them in a row: relative to the largest value of a
# tensor, sums in another order differ by this much at most.
FLOAT_TOLERANCE = 1e-5

_DRIVER = """
#include <stdio.h>
#include "ep_m.c"
static EP_ALIGNED(EP_ARENA_ALIGN) uint8_t arena[EP_M_ARENA_BYTES];
static void hook(void *user, int layer, int output, const void *data, size_t bytes) {
    const uint32_t head[3] = {(uint32_t)layer, (uint32_t)output, (uint32_t)bytes};
    (void)user;
    fwrite(head, sizeof head, 1, stdout);
    fwrite(data, bytes, 1, stdout);
}
int main(int argc, char **argv) {
    static ep_m m;
    (void)argv;
    if (ep_m_init(&m, arena, sizeof arena) != EP_OK) {
        return 1;
    }
    m.hook = argc > 1 ? hook : NULL;
    while (fread(ep_m_input_0(&m), EP_M_INPUT_0_BYTES, 1, stdin) == 1) {
        if (ep_m_invoke(&m) != EP_OK) {
            return 2;
        }
        if (!m.hook) {
            fwrite(ep_m_output_0(&m), EP_M_OUTPUT_0_BYTES, 1, stdout);
        }
    }
    return 0;
}
"""


def _run(program: Program, samples: Sequence[Array], work: Path, *, layers: bool) -> bytes:
    """What the native program writes: layers (with hook) or outputs of all samples."""
    text = emit_c_runtime(program, "m", Origin("m", "0" * 64, "test"))
    (work / text.header_name).write_text(text.header)
    (work / text.source_name).write_text(text.source)
    (work / "main.c").write_text(_DRIVER)
    includes = [f"-I{firmware_dir() / d}" for d in ("runtime", "kernels")] + [f"-I{work}"]
    binary = str(work / "m.out")
    flags = [*WARNINGS, *SANITIZERS, *includes]
    command = ["gcc", "-std=c99", "-O2", *flags, str(work / "main.c"), "-lm", "-o", binary]
    run(command, timeout=SECONDS, what="compile a model")
    (work / "in").write_bytes(b"".join(s.tobytes() for s in samples))
    arguments = "hook" if layers else ""
    script = f'"{binary}" {arguments} < "{work / "in"}" > "{work / "out"}"'
    run(["sh", "-c", script], timeout=SECONDS, what="run a model")
    return (work / "out").read_bytes()


def _sample(program: Program, seed: int) -> Array:
    (tensor,) = (program.main.graph.tensors[i] for i in program.main.graph.inputs)
    rng = np.random.default_rng(seed)
    if tensor.dtype is DType.FLOAT32:
        return rng.normal(size=tensor.shape).astype(np.float32)
    return rng.integers(-128, 128, tensor.shape).astype(np.int8)


def _equal(where: str, got: Array, expected: Array) -> None:
    if got.dtype == np.float32:
        allowed = FLOAT_TOLERANCE * float(np.abs(expected).max(initial=1e-3))
        np.testing.assert_allclose(got, expected, rtol=0, atol=allowed, err_msg=where)
    else:
        np.testing.assert_array_equal(got, expected, err_msg=where)


def _check_layers(model: bytes, isa: Isa, work: Path) -> None:
    program = build_program(load_tflite(model), isa, flow=())
    sample = _sample(program, 3)
    expected = tflm_all_tensors(model, [sample])
    data, at, seen = _run(program, [sample], work, layers=True), 0, 0
    graph = program.main.graph
    while at < len(data):
        layer, output, size = struct.unpack_from("<III", data, at)
        at += 12
        node = graph.nodes[layer]
        tensor = graph.tensors[node.outputs[output]]
        got = np.frombuffer(data[at : at + size], tensor.dtype.numpy).reshape(tensor.shape)
        at += size
        seen += 1
        _equal(f"layer {layer} {node.op}, {tensor.name}", got, expected[tensor.id])
    assert seen == sum(len(node.outputs) for node in graph.nodes)


@pytest.mark.parametrize("isa", BOTH)
@pytest.mark.parametrize("name", INT8)
def test_every_layer(real_data: Path, tmp_path: Path, name: str, isa: str) -> None:
    model = (real_data / "mlperf_tiny" / f"{name}.tflite").read_bytes()
    _check_layers(model, ISAS[isa], tmp_path)


@pytest.mark.parametrize("name", FLOAT)
def test_every_float_layer(real_data: Path, tmp_path: Path, name: str) -> None:
    model = (real_data / "mlperf_tiny" / f"{name}.tflite").read_bytes()
    _check_layers(model, ISAS["plain"], tmp_path)


def test_the_weight_only_model_is_refused(real_data: Path) -> None:
    """kws_float32 holds int8 weights under float activations; TFLM computes garbage from them."""
    model = (real_data / "mlperf_tiny" / "kws_float32.tflite").read_bytes()
    with pytest.raises(UnsupportedError, match="FLOAT32 input with INT8 weights"):
        build_program(load_tflite(model), Isa())


@pytest.mark.parametrize("isa", BOTH)
@pytest.mark.parametrize("name", INT8)
def test_outputs_after_the_default_rewrites(
    real_data: Path, tmp_path: Path, name: str, isa: str
) -> None:
    model = (real_data / "mlperf_tiny" / f"{name}.tflite").read_bytes()
    program = build_program(load_tflite(model), ISAS[isa], DEFAULT_FLOW)
    samples = [_sample(program, seed) for seed in range(4)]
    data = _run(program, samples, tmp_path, layers=False)
    got = np.frombuffer(data, np.int8).reshape(len(samples), -1)
    for sample, result in zip(samples, got, strict=True):
        (expected,) = run_tflm(model, [sample])
        np.testing.assert_array_equal(result, expected.reshape(-1))
