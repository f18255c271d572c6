"""What cannot run is named before anything is built: op, index, types, why, and what would help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack import cli
from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.inspection import inspect_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.ops.support import OpType, Support, tflm_support
from edgepack.types import DType
from tests.tflite_builder import ModelBuilder, spec


def unknown_op() -> ModelBuilder:
    """A supported operator, then TOPK_V2, whose two outputs the model returns."""
    model = ModelBuilder()
    x = model.input("x", (1, 8), "FLOAT32")
    y = model.op("RELU", [x], [spec((1, 8), "FLOAT32")])[0]
    k = model.const(np.array(3, np.int32), "INT32")
    model.output(*model.op("TOPK_V2", [y, k], [spec((1, 3), "FLOAT32"), spec((1, 3), "INT32")]))
    return model


def operator_nobody_thought_of() -> ModelBuilder:
    model = ModelBuilder()
    x = model.input("x", (1, 8), "FLOAT32")
    model.output(*model.op("ATAN2", [x, x], [spec((1, 8), "FLOAT32")]))
    return model


def half_floats() -> ModelBuilder:
    model = ModelBuilder()
    x = model.input("x", (1, 8), "FLOAT16")
    model.output(*model.op("ADD", [x, x], [spec((1, 8), "FLOAT16")]))
    return model


def hybrid() -> ModelBuilder:
    model = ModelBuilder()
    x = model.input("x", (1, 8), "FLOAT32")
    w = model.const(np.ones((3, 8), np.int8), "INT8", 0.1)
    y = model.op("FULLY_CONNECTED", [x, w, None], [spec((1, 3), "FLOAT32")])[0]
    model.output(*model.op("SOFTMAX", [y], [spec((1, 3), "FLOAT32")], {"beta": 1.0}))
    return model


def old_bytes() -> ModelBuilder:
    model = ModelBuilder()
    x = model.input("x", (1, 8), "UINT8", 0.1, 128)
    model.output(*model.op("MUL", [x, x], [spec((1, 8), "UINT8", 0.1, 128)]))
    return model


def dynamic() -> ModelBuilder:
    model = ModelBuilder()
    x = model.input("x", (-1, 8), "FLOAT32")
    model.output(*model.op("RELU", [x], [spec((-1, 8), "FLOAT32")]))
    return model


# model, what the message names, what the next step names
CASES: list[tuple[Any, tuple[str, ...], str]] = [
    (unknown_op, ("op 1 TOPK_V2", "FLOAT32[1,8]", "INT32[1,3]", "no kernel"), "application"),
    (operator_nobody_thought_of, ("op 0 ATAN2", "no kernel"), "docs/operators.md"),
    (half_floats, ("op 0 ADD", "FLOAT16[1,8]", "supports INT8"), "[quantize]"),
    (hybrid, ("op 0 FULLY_CONNECTED", "FLOAT32 input with INT8 weights"), "[quantize]"),
    (old_bytes, ("op 0 MUL", "UINT8[1,8]"), "int8"),
    (dynamic, ("tensor 0 'x'", "dynamic shape [-1, 8]"), "--input-shape"),
]
IDS = [make.__name__ for make, _, _ in CASES]


@pytest.mark.parametrize(("make", "named", "remedy"), CASES, ids=IDS)
def test_the_error_says_what_and_why(make: Any, named: tuple[str, ...], remedy: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        build_program(load_tflite(make().build(), name="m"), Isa())
    assert [part for part in named if part not in raised.value.message] == []
    assert remedy in (raised.value.next_step or "")


# a model on uint8 is rewritten as one on int8 before it is built (tests/convert/test_uint8.py)
BUILT = [case for case in CASES if case[0] is not old_bytes]


@pytest.mark.parametrize(
    ("make", "named", "remedy"), BUILT, ids=[make.__name__ for make, _, _ in BUILT]
)
def test_nothing_is_built(
    make: Any,
    named: tuple[str, ...],
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(make().build())
    command = ["build", str(path), "--target", "host", "--out", str(tmp_path / "out")]
    assert cli.run(command) == UnsupportedError.exit_code
    assert not (tmp_path / "out").exists()
    printed = " ".join(capsys.readouterr().err.split())
    for part in (*named, "next: "):
        assert " ".join(part.split()) in printed


@pytest.mark.parametrize(
    ("make", "named", "remedy"), [case for case in CASES if case[0] is not dynamic], ids=IDS[:-1]
)
def test_inspect_shows_the_same(
    make: Any,
    named: tuple[str, ...],
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(make().build())
    assert cli.run(["inspect", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (problem,) = document["problems"]
    assert [part for part in named if part not in problem] == []
    assert any(remedy in text for text in document["remedies"])
    refused = [row for row in document["support"] if row["c"] == "no"]
    assert len(refused) == 1 and refused[0]["op"] in problem
    assert document["peak"] is None and document["fits"] == []
    assert cli.run(["inspect", str(path)]) == 0
    assert "What would avoid that:" in capsys.readouterr().out


def test_every_refused_operator_is_named() -> None:
    model = ModelBuilder()
    x = model.input("x", (1, 8), "FLOAT16")
    y = model.op("ADD", [x, x], [spec((1, 8), "FLOAT16")])[0]
    model.output(*model.op("ATAN2", [y, y], [spec((1, 8), "FLOAT16")]))
    with pytest.raises(UnsupportedError) as raised:
        build_program(load_tflite(model.build(), name="m"), Isa())
    assert "op 0 ADD" in raised.value.message and "op 1 ATAN2" in raised.value.message
    step = raised.value.next_step or ""
    assert "[quantize]" in step and "docs/operators.md" in step


def test_rows_of_the_support_table(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(hybrid().build())
    rows = {row.op: row for row in inspect_tflite(path).support}
    dense, softmax = rows["FULLY_CONNECTED"], rows["SOFTMAX"]
    assert (dense.types, dense.count, dense.c, dense.tflm) == ("FLOAT32 x INT8", 1, "no", "no")
    assert (softmax.types, softmax.c, softmax.tflm) == ("FLOAT32", "yes", "yes")
    path.write_bytes(unknown_op().build())
    rows = {row.op: row for row in inspect_tflite(path).support}
    assert (rows["TOPK_V2"].c, rows["TOPK_V2"].tflm) == ("no", "no")


@pytest.mark.parametrize(
    ("kind", "support"),
    [
        (OpType("CONV_2D", DType.INT8), Support.YES),
        (OpType("CONV_2D", DType.INT8, DType.INT4), Support.YES),
        (OpType("CONV_2D", DType.FLOAT32, DType.INT8), Support.NO),
        (OpType("GELU", DType.INT8), Support.NO),
        (OpType("GATHER", DType.INT32), Support.NO),
        (OpType("ADD", DType.UINT8), Support.UNTRIED),
        (OpType("TOPK_V2", DType.FLOAT32), Support.UNTRIED),
        (OpType("VAR_HANDLE", None), Support.YES),
        (OpType("WHILE", DType.FLOAT32), Support.YES),
    ],
)
def test_what_tflm_has(kind: OpType, support: Support) -> None:
    assert tflm_support(kind) is support


@pytest.mark.needs_data
def test_a_real_hybrid_model(real_data: Path) -> None:
    report = inspect_tflite(real_data / "mlperf_tiny" / "kws_float32.tflite")
    assert [layer.index for layer in report.layers if not layer.supported] == [0, 2, 4, 6, 8]
    assert all("FLOAT32 input with INT8 weights" in problem for problem in report.problems)
    assert len(report.remedies) == 1 and "[quantize]" in report.remedies[0]


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["ad_int8", "ic_int8", "kws_int8", "sww_int8", "vww_int8"])
def test_the_models_of_mlperf_tiny_run_on_both_runtimes(real_data: Path, name: str) -> None:
    report = inspect_tflite(real_data / "mlperf_tiny" / f"{name}.tflite")
    assert not report.problems and report.peak is not None
    assert {(row.c, row.tflm) for row in report.support} == {("yes", "yes")}
    assert sum(row.count for row in report.support) == len(report.layers)
