"""Failures of the converter in terms of layers, and the order of inputs put right."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgepack.errors import ConversionError, UnsupportedError
from edgepack.models.tflite_file import read_tflite
from edgepack.quantize.explain import crash_hint, explain
from edgepack.quantize.order import restore_order
from tests.tflite_builder import ModelBuilder, spec

# The shape of what TFLiteConverter 2.21 raises for an operator it cannot translate.
MESSAGE = """Could not translate MLIR to FlatBuffer.<unknown>:0: error: loc(callsite(fused["Erf:", \
"functional_1/functional_1/my_erf@__inference_function_114"] at callsite(fused["StatefulPart\
itionedCall:", "StatefulPartitionedCall@__inference_signature_wrapper_133"]))): 'tf.Erf' op is \
neither a custom op nor a flex op
"""


def test_an_unknown_operator_is_named_with_its_layer() -> None:
    error = explain(RuntimeError(MESSAGE))
    assert isinstance(error, UnsupportedError)
    assert error.message == "TFLite has no integer kernel for Erf (from my_erf)"


def test_any_other_failure_keeps_its_first_line() -> None:
    error = explain(ValueError("\nfirst line\nsecond line"))
    assert isinstance(error, ConversionError)
    assert error.message == "TFLiteConverter failed: ValueError: first line"


def test_a_crash_is_explained_where_the_reason_is_known() -> None:
    assert crash_hint(["Dense", "Conv2D"]) is None
    lstm, both = crash_hint(["Dense", "LSTM"]), crash_hint(["GRU", "LSTM"])
    assert lstm is not None and "holds LSTM" in lstm and "build it with unroll=True" in lstm
    assert both is not None and "holds GRU, LSTM" in both and "replace them" in both


def two_inputs(path: Path) -> None:
    """A model that lists its inputs as b, a and its outputs as output_1, output_0."""
    model = ModelBuilder()
    b = model.input("b", (1, 4), "INT8", scale=0.1, zero_point=0)
    a = model.input("a", (1, 4), "INT8", scale=0.2, zero_point=0)
    (first,) = model.op("RELU", [b], [spec((1, 4), "INT8", 0.1, 0)], {})
    (second,) = model.op("RELU", [a], [spec((1, 4), "INT8", 0.2, 0)], {})
    model.output(first)
    model.output(second)
    unpacked = schema.ModelT.InitFromPackedBuf(model.build(), 0)
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"

    def entry(name: str, index: int) -> schema.TensorMapT:
        item = schema.TensorMapT()
        item.name, item.tensorIndex = name, index
        return item

    signature.inputs = [entry("a", a), entry("b", b)]
    signature.outputs = [entry("output_0", second), entry("output_1", first)]
    unpacked.signatureDefs = [signature]
    builder = flatbuffers.Builder(4096)
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def test_inputs_and_outputs_get_the_keras_order_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    two_inputs(path)
    before = path.read_bytes()
    old = read_tflite(path).subgraphs[0]
    restore_order(path, ["a", "b"], ["output_0", "output_1"])
    new = read_tflite(path).subgraphs[0]
    assert list(new.inputs) == list(old.inputs)[::-1]
    assert list(new.outputs) == list(old.outputs)[::-1]
    assert [list(op.inputs) for op in new.operators] == [list(op.inputs) for op in old.operators]
    # four small indices moved, each in the lowest of its four bytes
    changed = [i for i, (x, y) in enumerate(zip(before, path.read_bytes(), strict=True)) if x != y]
    assert len(changed) == 4
    once = path.read_bytes()
    restore_order(path, ["a", "b"], ["output_0", "output_1"])
    assert path.read_bytes() == once


def test_names_that_the_file_does_not_have_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    two_inputs(path)
    with pytest.raises(ConversionError, match="names a, b"):
        restore_order(path, ["a", "c"], ["output_0", "output_1"])
