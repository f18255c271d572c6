"""Operator versions: the lowest one that a runtime must know for the tensor types of an op.

LiteRT refuses a version above what it knows; TFLM ignores it. The numbers follow the version table
of the TFLite documentation (tensorflow.org/lite/guide/ops_version) and LiteRT's operator registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Ops whose 8-bit and 16-bit forms both came with version 2.
_SECOND = (
    "ABS", "ADD", "ARG_MAX", "ARG_MIN", "AVERAGE_POOL_2D", "BATCH_TO_SPACE_ND", "CONCATENATION",
    "DEPTH_TO_SPACE", "EQUAL", "EXP", "GELU", "GREATER", "GREATER_EQUAL", "L2_NORMALIZATION",
    "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOG_SOFTMAX", "MAXIMUM", "MAX_POOL_2D",
    "MINIMUM", "NOT_EQUAL", "PACK", "PAD", "PADV2", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6",
    "RSQRT", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V",
    "SQUARED_DIFFERENCE", "SUB", "SUM", "UNPACK",
)  # fmt: skip

# op -> version of its first input's type; a type that is not listed takes version 1.
_BY_INPUT: dict[str, dict[str, int]] = {
    "CONV_2D": {"INT8": 3, "INT16": 4},
    "DEPTHWISE_CONV_2D": {"INT8": 3, "INT16": 5},
    "FULLY_CONNECTED": {"INT8": 4, "INT16": 7},
    "TRANSPOSE_CONV": {"INT8": 2, "INT16": 4},
    "SVDF": {"INT8": 3},
    "QUANTIZE": {"INT8": 2, "UINT8": 2, "INT16": 2},
    "DEQUANTIZE": {"INT8": 2, "INT16": 3, "FLOAT16": 3},
    "TRANSPOSE": {"INT8": 2, "INT16": 4},
    "MUL": {"INT8": 2, "INT16": 4},
    "MEAN": {"INT8": 2, "INT16": 3},
    "GATHER": {"INT8": 2, "INT16": 4},
    "BATCH_MATMUL": {"INT8": 2, "INT16": 3},
    "RESIZE_BILINEAR": {"INT8": 2, "INT16": 4},
    "RESIZE_NEAREST_NEIGHBOR": {"INT8": 2, "INT16": 4},
    "STRIDED_SLICE": {"INT8": 2, "INT16": 4},
    "LOGISTIC": {"INT8": 2, "INT16": 3},
    "TANH": {"INT8": 2, "INT16": 3},
    "SOFTMAX": {"INT8": 2, "INT16": 3},
}  # fmt: skip


def operator_version(
    op: str,
    inputs: Sequence[str | None],
    outputs: Sequence[str],
    options: Mapping[str, Any],
) -> int:
    """The version of one operator.

    Args:
        op: BuiltinOperator name.
        inputs: TFLite type names of the inputs, None where an optional one is left out.
        outputs: the same of the outputs.
        options: the options as the builder was given them.
    """
    first = next((t for t in inputs if t is not None), "FLOAT32")
    known = {"INT8": 2, "INT16": 2} if op in _SECOND else _BY_INPUT.get(op, {})
    version = known.get(first, 1)
    weights = inputs[1] if len(inputs) > 1 else None
    if op == "FULLY_CONNECTED":
        if weights == "INT4":
            version = 10
        elif len(inputs) < 3 or inputs[2] is None:
            version = max(version, 6)
        elif options.get("keep_num_dims") or options.get("keepNumDims"):
            version = max(version, 5)
    elif op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        if weights == "INT4":
            version = 7
        elif any(options.get(k, 1) != 1 for k in ("dilation_h_factor", "dilation_w_factor")):
            version = max(version, 2)
    elif op == "QUANTIZE" and outputs and outputs[0] == "INT16":
        version = 2
    return version
