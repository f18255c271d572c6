"""Failures of the converter in terms of layers."""

from __future__ import annotations

from edgepack.convert.explain import crash_hint, explain
from edgepack.errors import ConversionError, UnsupportedError

# The shape of what TFLiteConverter 2.21 raises for an operator it cannot translate.
MESSAGE = """Could not translate MLIR to FlatBuffer.<unknown>:0: error: loc(callsite(fused["Erf:", \
"functional_1/functional_1/my_erf@__inference_function_114"] at callsite(fused["StatefulPart\
itionedCall:", "StatefulPartitionedCall@__inference_signature_wrapper_133"]))): 'tf.Erf' op is \
neither a custom op nor a flex op
"""


def test_an_unknown_operator_is_named_with_its_layer() -> None:
    error = explain(RuntimeError(MESSAGE))
    assert isinstance(error, UnsupportedError)
    assert error.message == "TFLite has no kernel for Erf (from my_erf)"
    integer = explain(RuntimeError(MESSAGE), integer=True)
    assert integer.message.startswith("TFLite has no integer kernel")
    assert "gelu" in (error.next_step or "")


def test_any_other_failure_keeps_its_first_line() -> None:
    error = explain(ValueError("\nfirst line\nsecond line"))
    assert isinstance(error, ConversionError)
    assert error.message == "TFLiteConverter failed: ValueError: first line"


def test_a_crash_is_explained_where_the_reason_is_known() -> None:
    assert crash_hint(["Dense", "Conv2D"]) is None
    lstm, both = crash_hint(["Dense", "LSTM"]), crash_hint(["GRU", "LSTM"])
    assert lstm is not None and "holds LSTM" in lstm and "build it with unroll=True" in lstm
    assert both is not None and "holds GRU, LSTM" in both and "replace them" in both
