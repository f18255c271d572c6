"""Inputs and outputs of whole models: several, shared, passed through, constant, none at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import EdgepackError
from edgepack.resources import firmware_dir
from edgepack.runner import run
from edgepack.types import Array
from tests.c_batch import WARNINGS, Case, compile_case
from tests.ops.ladder import climb
from tests.oracles import run_tflm
from tests.small_models import small_cnn
from tests.tflite_builder import ModelBuilder, spec

SHAPE = (1, 6)
NONE = {"fused_activation_function": "NONE"}


def _int8(model: ModelBuilder, name: str = "x") -> int:
    return model.input(name, SHAPE, "INT8", 0.1, 3)


def _random(rng: np.random.Generator) -> Array:
    return rng.integers(-128, 128, SHAPE).astype(np.int8)


def _many() -> bytes:
    """Three inputs of three types, three outputs in another order."""
    model = ModelBuilder()
    a, b = _int8(model, "a"), model.input("b", (2, 3), "FLOAT32")
    c = model.input("c", (4,), "INT32")
    (x,) = model.op("ADD", [a, a], [spec(SHAPE, "INT8", 0.2, 3)], NONE)
    (y,) = model.op("ADD", [b, b], [spec((2, 3), "FLOAT32")], NONE)
    (z,) = model.op("ADD", [c, c], [spec((4,), "INT32")], NONE)
    model.output(z, x, y)
    return model.build()


def _passed_through() -> bytes:
    """The input is an output too, and must outlive the op that could write over it."""
    model = ModelBuilder()
    x = _int8(model)
    (y,) = model.op("ADD", [x, x], [spec(SHAPE, "INT8", 0.1, 3)], NONE)
    (z,) = model.op("MUL", [y, y], [spec(SHAPE, "INT8", 0.1, 3)], NONE)
    model.output(z, x)
    return model.build()


def _only_passed_through() -> bytes:
    model = ModelBuilder()
    x = _int8(model)
    model.output(x)
    return model.build()


def _constant() -> bytes:
    """One output never changes; a layer reads it as well."""
    model = ModelBuilder()
    x = _int8(model)
    c = model.const(np.arange(6).reshape(SHAPE), "INT8", 0.1, 3, name="constant */ name")
    (y,) = model.op("ADD", [x, c], [spec(SHAPE, "INT8", 0.1, 3)], NONE)
    model.output(c, y)
    return model.build()


def _no_inputs() -> bytes:
    model = ModelBuilder()
    c = model.const(np.array([[1, -2, 3, 4, 5, 99]]), "INT8", 0.1, 3)
    (y,) = model.op("ADD", [c, c], [spec(SHAPE, "INT8", 0.2, 3)], NONE)
    model.output(y)
    return model.build()


def _shared() -> bytes:
    """One tensor twice, and the same bytes in another shape."""
    model = ModelBuilder()
    x = _int8(model)
    (y,) = model.op("ADD", [x, x], [spec(SHAPE, "INT8", 0.1, 3)], NONE)
    shape = model.const(np.array([3, 2], np.int32), "INT32")
    (z,) = model.op("RESHAPE", [y, shape], [spec((3, 2), "INT8", 0.1, 3)], {"new_shape": [3, 2]})
    model.output(y, z, y)
    return model.build()


def _reshaped_input() -> bytes:
    model = ModelBuilder()
    x = _int8(model)
    shape = model.const(np.array([3, 2], np.int32), "INT32")
    (z,) = model.op("RESHAPE", [x, shape], [spec((3, 2), "INT8", 0.1, 3)], {"new_shape": [3, 2]})
    (y,) = model.op("ADD", [x, x], [spec(SHAPE, "INT8", 0.1, 3)], NONE)
    model.output(z, y)
    return model.build()


def _state_is_an_output() -> bytes:
    model = ModelBuilder()
    x = model.input("x", (1, 2), "FLOAT32")
    feature = model.const(np.array([[1.0, 2.0], [3.0, -1.0]]), "FLOAT32")
    time = model.const(np.array([[0.5, 1.0, 2.0], [1.0, 1.0, -1.0]]), "FLOAT32")
    bias = model.const(np.array([0.25, -0.5]), "FLOAT32")
    state = model.variable((1, 6), "FLOAT32")
    options = {"rank": 1, "fused_activation_function": "NONE"}
    (y,) = model.op("SVDF", [x, feature, time, bias, state], [spec((1, 2), "FLOAT32")], options)
    model.output(y, state)
    return model.build()


def test_inputs_and_outputs(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    many: list[list[Array]] = [
        [
            _random(rng),
            rng.normal(size=(2, 3)).astype(np.float32),
            rng.integers(-(2**31), 2**31, 4).astype(np.int32),
        ]
        for _ in range(2)
    ]
    one: list[list[Array]] = [[_random(rng)] for _ in range(2)]
    floats: list[list[Array]] = [[rng.normal(size=(1, 2)).astype(np.float32)] for _ in range(4)]
    cases = [Case("many", _many(), many), Case("no inputs", _no_inputs(), [[], []])]
    cases += [
        Case(make.__name__, make(), one)
        for make in (
            _passed_through,
            _only_passed_through,
            _constant,
            _shared,
            _reshaped_input,
        )
    ]
    cases.append(Case("state", _state_is_an_output(), floats))
    climb(cases, tmp_path)


_TWO = """
#include <stdio.h>
#include "ep_first.h"
#include "ep_second.h"
static EP_ALIGNED(EP_ARENA_ALIGN) uint8_t arena[2][EP_FIRST_ARENA_BYTES];
static EP_ALIGNED(EP_ARENA_ALIGN) uint8_t other[EP_SECOND_ARENA_BYTES];
int main(void) {
    ep_first a, b; /* two instances of one model, and another model of the same shapes */
    ep_second c;
    if (ep_first_init(&a, arena[0], sizeof arena[0]) || ep_first_init(&b, arena[1], sizeof arena[1])
        || ep_second_init(&c, other, sizeof other)) {
        return 1;
    }
    if (fread(ep_first_input_0(&a), EP_FIRST_INPUT_0_BYTES, 1, stdin) != 1 ||
        fread(ep_first_input_0(&b), EP_FIRST_INPUT_0_BYTES, 1, stdin) != 1 ||
        fread(ep_second_input_0(&c), EP_SECOND_INPUT_0_BYTES, 1, stdin) != 1) {
        return 2;
    }
    if (ep_second_invoke(&c) || ep_first_invoke(&b) || ep_first_invoke(&a)) {
        return 3;
    }
    fwrite(ep_first_output_0(&a), EP_FIRST_OUTPUT_0_BYTES, 1, stdout);
    fwrite(ep_first_output_0(&b), EP_FIRST_OUTPUT_0_BYTES, 1, stdout);
    fwrite(ep_second_output_0(&c), EP_SECOND_OUTPUT_0_BYTES, 1, stdout);
    return 0;
}
"""


@pytest.mark.needs_oracle
def test_two_models_in_one_firmware(tmp_path: Path) -> None:
    """Separately compiled, equal layer shapes, other weights: no name may clash."""
    models = {"first": small_cnn(), "second": small_cnn(seed=11)}
    assert models["first"] != models["second"]
    sources = []
    for name, data in models.items():
        _, text = compile_case(Case(name, data, []), name)
        (tmp_path / text.header_name).write_text(text.header)
        (tmp_path / text.source_name).write_text(text.source)
        sources.append(str(tmp_path / text.source_name))
    (tmp_path / "main.c").write_text(_TWO)
    includes = [f"-I{firmware_dir() / d}" for d in ("runtime", "kernels")] + [f"-I{tmp_path}"]
    binary = str(tmp_path / "two")
    run(
        ["gcc", "-std=c99", "-O1", *WARNINGS, *includes, *sources, str(tmp_path / "main.c"), "-lm",
         "-o", binary],
        timeout=120.0,
        what="link two models",
    )  # fmt: skip
    rng = np.random.default_rng(3)
    samples = [rng.integers(-128, 128, (1, 6, 6, 1)).astype(np.int8) for _ in range(3)]
    (tmp_path / "in").write_bytes(b"".join(s.tobytes() for s in samples))
    script = f'"{binary}" < "{tmp_path / "in"}" > "{tmp_path / "out"}"'
    run(["sh", "-c", script], timeout=30.0, what="run two models")
    got = np.frombuffer((tmp_path / "out").read_bytes(), np.int8).reshape(3, 1, 4)
    for sample, name, result in zip(samples, ("first", "first", "second"), got, strict=True):
        (expected,) = run_tflm(models[name], [sample])
        np.testing.assert_array_equal(result, expected)


def test_a_misaligned_arena_is_an_error(tmp_path: Path) -> None:
    """Status codes of init, in the order in which they are checked."""
    _, text = compile_case(Case("m", small_cnn(), []), "m")
    (tmp_path / text.header_name).write_text(text.header)
    (tmp_path / text.source_name).write_text(text.source)
    (tmp_path / "main.c").write_text(
        f'#include "{text.source_name}"\n'
        "static EP_ALIGNED(EP_ARENA_ALIGN) uint8_t arena[EP_M_ARENA_BYTES + 16u];\n"
        "int main(void) {\n    ep_m m;\n"
        "    if (ep_m_init(NULL, arena, sizeof arena) != EP_ERR_NULL) return 1;\n"
        "    if (ep_m_init(&m, NULL, sizeof arena) != EP_ERR_NULL) return 2;\n"
        "    if (ep_m_init(&m, arena, EP_M_ARENA_BYTES - 1u) != EP_ERR_ARENA_SIZE) return 3;\n"
        "    if (ep_m_init(&m, arena + 4, EP_M_ARENA_BYTES) != EP_ERR_ARENA_ALIGN) return 4;\n"
        "    m.arena = NULL;\n"
        "    if (ep_m_invoke(&m) != EP_ERR_NULL || ep_m_invoke(NULL) != EP_ERR_NULL) return 5;\n"
        "    return ep_m_init(&m, arena, EP_M_ARENA_BYTES) == EP_OK ? 0 : 6;\n}\n"
    )
    includes = [f"-I{firmware_dir() / d}" for d in ("runtime", "kernels")] + [f"-I{tmp_path}"]
    binary = str(tmp_path / "m.out")
    command = ["gcc", "-std=c99", "-O1", *includes, str(tmp_path / "main.c"), "-lm", "-o", binary]
    run(command, timeout=60.0, what="compile")
    run([binary], timeout=10.0, what="check the status codes")


def test_resource_handles_are_no_outputs() -> None:
    model = ModelBuilder()
    x = _int8(model)
    handle = model.resource("v")
    model.op("ASSIGN_VARIABLE", [handle, x], [])
    model.output(handle)
    with pytest.raises(EdgepackError, match="a resource handle, is an input or output"):
        compile_case(Case("handle", model.build(), []), "m")
