"""The interpreter children: crashes, refusals, time-outs, restarts, state, intermediate tensors."""

from __future__ import annotations

import numpy as np
import pytest

from edgepack.bench import child as child_module
from edgepack.bench import interpreter, oracle
from edgepack.bench.child import InterpreterChild, InterpreterCrash, InterpreterRefusal
from edgepack.bench.model_facts import model_facts
from edgepack.bench.oracle import Oracle, TflmModel
from edgepack.errors import DataError, MissingToolError, ModelError
from tests.oracles import litert_all_tensors, run_tflm, run_tflm_sequence, tflm_all_tensors
from tests.tflite_builder import ModelBuilder, spec

pytestmark = pytest.mark.needs_oracle
VALUE = np.arange(8, dtype=np.int8).reshape(1, 8)


def _add_model() -> ModelBuilder:
    m = ModelBuilder()
    x = m.input("x", (1, 8), "INT8", 0.1, 0)
    m.output(*m.op("ADD", [x, x], [spec((1, 8), "INT8", 0.1, 0)]))
    return m


def _stateful_model() -> bytes:
    m = ModelBuilder()
    x = m.input("x", (1, 8), "INT8", 0.1, 0)
    handle = m.resource("sum")
    (before,) = m.op("READ_VARIABLE", [handle], [spec((1, 8), "INT8", 0.1, 0)])
    (after,) = m.op("ADD", [x, before], [spec((1, 8), "INT8", 0.1, 0)])
    m.op("ASSIGN_VARIABLE", [handle, after], [])
    m.output(after)
    return m.build()


def test_a_crash_is_an_error_and_the_next_model_runs() -> None:
    m = _add_model()
    m._graph.operators[0].inputs = [1 << 24, 1 << 24]  # far outside the tensor table
    with pytest.raises(InterpreterCrash, match="TFLM interpreter crashed \\(SIG"):
        run_tflm(m.build(), [VALUE])
    np.testing.assert_array_equal(run_tflm(_add_model().build(), [VALUE])[0], VALUE * 2)


def test_a_refusal_holds_the_reason_from_c_stderr() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 8), "FLOAT32")
    m.output(*m.op("SIGN", [x], [spec((1, 8), "FLOAT32")]))
    with pytest.raises(InterpreterRefusal, match="builtin opcode 'SIGN'") as caught:
        run_tflm(m.build(), [VALUE.astype(np.float32)])
    assert caught.value.exit_code == 5


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "LOAD_SECONDS", 0.001)  # less than an interpreter's start
    with InterpreterChild("tflm") as child:
        with pytest.raises(InterpreterCrash, match="did not answer within"):
            TflmModel(child, _add_model().build())
        assert not child.running


def test_the_arena_grows_until_the_model_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "_ARENA_FLOOR", 600)
    monkeypatch.setattr(oracle, "_ARENA_PER_MODEL_BYTE", 0)
    np.testing.assert_array_equal(run_tflm(_add_model().build(), [VALUE])[0], VALUE * 2)


def test_all_intermediate_tensors_are_read() -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 8), "INT8", 0.1, 0)
    (doubled,) = m.op("ADD", [x, x], [spec((1, 8), "INT8", 0.1, 0)])
    three = m.const(np.full((1, 8), 3), "INT8", 0.1)
    (y,) = m.op("SUB", [doubled, three], [spec((1, 8), "INT8", 0.1, 0)])
    m.output(y)
    expected = {x: VALUE, doubled: VALUE * 2, y: VALUE * 2 - 3}
    for read in (tflm_all_tensors, litert_all_tensors):
        got = read(m.build(), [VALUE])
        assert got.keys() == expected.keys()
        for index, array in expected.items():
            np.testing.assert_array_equal(got[index], array)


def test_state_carries_over_or_starts_fresh_as_asked() -> None:
    data = _stateful_model()
    assert model_facts(data).stateful and not model_facts(_add_model().build()).stateful
    steps = run_tflm_sequence(data, [[VALUE], [VALUE], [VALUE]])
    np.testing.assert_array_equal(steps[2][0], VALUE * 3)
    with Oracle(data) as truth:
        stacked = np.stack([VALUE] * 3)
        np.testing.assert_array_equal(truth.run([stacked])[0][2], VALUE * 3)
        np.testing.assert_array_equal(truth.run([stacked], fresh=True)[0][2], VALUE)


def test_many_samples_come_back_in_order() -> None:
    samples = np.arange(200 * 8, dtype=np.int64).reshape(200, 1, 8).astype(np.int8) // 2
    seen: list[int] = []
    with Oracle(_add_model().build()) as truth:
        got = truth.run([samples], progress=seen.append)[0]
    assert truth.exact and truth.name.startswith("tflite-micro ")
    np.testing.assert_array_equal(got, np.clip(samples.astype(int) * 2, -128, 127))
    assert sum(seen) == 200 and len(seen) > 1


def test_without_the_wheel_the_stand_in_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "tflm_installed", lambda: False)
    with Oracle(_add_model().build()) as truth:
        assert not truth.exact
        assert "reference kernels (tflite-micro is not installed)" in truth.name
        np.testing.assert_array_equal(truth.run([VALUE[np.newaxis]])[0][0], VALUE * 2)
    with InterpreterChild("tflm") as child, pytest.raises(MissingToolError, match="not installed"):
        TflmModel(child, _add_model().build())


def test_wrong_arrays_are_refused_before_the_child_sees_them() -> None:
    with InterpreterChild("tflm") as child:
        model = TflmModel(child, _add_model().build())
        with pytest.raises(DataError, match=r"got shape \(1, 8\) of int8"):
            model.run([VALUE])
        with pytest.raises(DataError, match="of float32"):
            model.run([VALUE[np.newaxis].astype(np.float32)])
        with pytest.raises(DataError, match="has 1 inputs, got 2"):
            model.run([VALUE, VALUE])


@pytest.mark.parametrize("data", [b"", b"not a model at all", b"\0\0\0\0TFL3" + b"\xff" * 40])
def test_bytes_that_are_no_model_are_named(data: bytes) -> None:
    with pytest.raises(ModelError, match="TFLite model"):
        model_facts(data)


def test_a_closed_child_is_gone() -> None:
    child = InterpreterChild("tflm")
    TflmModel(child, _add_model().build())
    process = child._process
    assert process is not None
    child.close()
    assert process.poll() is not None and not child.running


def test_causes_are_named() -> None:
    assert child_module._cause(-11) == "SIGSEGV"
    assert child_module._cause(3) == "exit code 3"
