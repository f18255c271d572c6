"""What to do about operators that the C runtime has no kernel for."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ir import Attributes, Node

_FIXED_SHAPE = "convert the model with a fixed input shape, so that the converter folds it"
_AFTERWARDS = "end the model before it and do this step in the application"
_IN_THE_LAYER = "train with a layer that the converter fuses"

# operator -> a rewrite that avoids it
_REWRITES = {
    "BIDIRECTIONAL_SEQUENCE_LSTM": "two LSTM layers, the second over a REVERSE_V2 of the sequence",
    "BIDIRECTIONAL_SEQUENCE_RNN": "two recurrent layers, the second over a REVERSE_V2",
    "BROADCAST_ARGS": _FIXED_SHAPE,
    "COMPLEX_ABS": "compute the spectrum in the application",
    "CONV_3D": "CONV_2D over the frames, which are folded into the channels",
    "FAKE_QUANT": "convert the model to integers, which removes it",
    "IMAG": "compute the spectrum in the application",
    "LOCAL_RESPONSE_NORMALIZATION": "batch normalization, which the converter folds into weights",
    "LSTM": f"{_IN_THE_LAYER} to UNIDIRECTIONAL_SEQUENCE_LSTM (keras.layers.LSTM)",
    "NON_MAX_SUPPRESSION_V4": _AFTERWARDS,
    "NON_MAX_SUPPRESSION_V5": _AFTERWARDS,
    "ONE_HOT": "GATHER from an identity matrix, or EQUAL with a constant range",
    "RANGE": _FIXED_SHAPE,
    "RANK": _FIXED_SHAPE,
    "REAL": "compute the spectrum in the application",
    "REDUCE_ANY": "CAST to INT8 and REDUCE_MAX",
    "REDUCE_PROD": "EXP of the SUM of LOG for positive values, or MUL of the slices",
    "RELU_0_TO_1": "RELU and MINIMUM with 1",
    "RFFT2D": "compute the spectrum in the application",
    "RNN": f"{_IN_THE_LAYER} to UNIDIRECTIONAL_SEQUENCE_LSTM (keras.layers.LSTM)",
    "SIGN": "GREATER and LESS, then SELECT_V2",
    "SPARSE_TO_DENSE": "a dense constant",
    "TOPK_V2": _AFTERWARDS,
    "TFLite_Detection_PostProcess": _AFTERWARDS,
    "UNIDIRECTIONAL_SEQUENCE_RNN": "keras.layers.LSTM, or the recurrence unrolled (unroll=True)",
    "UNIQUE": _AFTERWARDS,
    "WHERE": "SELECT_V2 over a condition (tf.where with three arguments)",
}


@dataclass(frozen=True)
class UnknownOp(Attributes):
    """Stands in for an op that has no file, so that `inspect` can still show the graph."""

    custom_code: str = ""


def full_name(node: Node) -> str:
    """TFLite's name of the operator, or the name of a custom one."""
    custom = node.attrs.custom_code if isinstance(node.attrs, UnknownOp) else ""
    return custom or node.op


def advice(op: str) -> str:
    """How a model can do without an operator that has no kernel.

    Args:
        op: TFLite's name, or the name of a custom operator.
    """
    if op in _REWRITES:
        return f"instead of {op}: {_REWRITES[op]}"
    if op.startswith("Flex"):
        return f"convert without SELECT_TF_OPS: {op} is TensorFlow's own and runs on no board"
    return f"use layers that do without {op}; docs/operators.md lists the operators with a kernel"
