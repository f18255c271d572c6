"""What integer kernels demand of each operator (TFLite quantization spec; TFLM's kernels).

To quantize another operator: add it to the set whose demand it has. An operator that stands in no
set computes in float, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgepack.quantize.schemes import OpScheme
from edgepack.types import DType


class Kind(Enum):
    """What ties the scales of an operator's tensors."""

    WEIGHTED = "constant weights, a bias of scale input x weights"
    SAME = "inputs and outputs share one scale"
    FREE = "each tensor has its own scale"
    FIXED = "the output's scale is given"
    LOOP = "WHILE: the loop's variables keep their scale"
    LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    SVDF = "int16 state and weights over time (svdf.py)"


@dataclass(frozen=True)
class Weighted:
    """Slots of an operator with weights, and the weights' axis of output channels."""

    x: int
    weights: int
    bias: int
    axis: int


WEIGHTED: Mapping[str, Weighted] = {
    "CONV_2D": Weighted(0, 1, 2, 0),
    "DEPTHWISE_CONV_2D": Weighted(0, 1, 2, 3),
    "FULLY_CONNECTED": Weighted(0, 1, 2, 0),
    "TRANSPOSE_CONV": Weighted(2, 1, 3, 0),
}
INT4_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# Kernels that read int4 weights with one scale alone.
INT4_PER_TENSOR = ("FULLY_CONNECTED",)
# Kernels that read weights as indices of a few bits (docs/coded_weights.md).
INT2_OPS = ("CONV_2D", "FULLY_CONNECTED")
# Of outputs that are signs: stored as -127 and 127.
SIGN_SCALE = float(np.float32(1 / 127))

SAME = frozenset(
    """
    AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_TO CONCATENATION DEPTH_TO_SPACE
    DYNAMIC_UPDATE_SLICE EMBEDDING_LOOKUP EXPAND_DIMS GATHER GATHER_ND MAXIMUM MAX_POOL_2D
    MINIMUM MIRROR_PAD PACK PAD PADV2 REDUCE_MAX REDUCE_MIN RELU6 RELU_N1_TO_1 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 SELECT SELECT_V2 SLICE
    SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQUEEZE STRIDED_SLICE TILE TRANSPOSE UNPACK
    ZEROS_LIKE
    """.split()  # noqa: SIM905  # a list of quoted names is harder to read
)
FREE = frozenset(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN BATCH_MATMUL CUMSUM DIV ELU EQUAL EXP GELU GREATER
    GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG MEAN MUL NOT_EQUAL PRELU RELU
    RSQRT SQRT SQUARED_DIFFERENCE SUB SUM
    """.split()  # noqa: SIM905  # a list of quoted names is harder to read
)
_I8, _I16 = DType.INT8, DType.INT16
FIXED: Mapping[str, Mapping[DType, tuple[float, int]]] = {
    "LOGISTIC": {_I8: (2.0**-8, -128), _I16: (2.0**-15, 0)},
    "SOFTMAX": {_I8: (2.0**-8, -128), _I16: (2.0**-15, 0)},
    "TANH": {_I8: (2.0**-7, 0), _I16: (2.0**-15, 0)},
    "L2_NORMALIZATION": {_I8: (2.0**-7, 0)},
    "LOG_SOFTMAX": {_I8: (2.0**-4, 127)},
}


def kind_of(op: str) -> Kind | None:
    """What an operator demands; None for one that no integer kernel is known of."""
    if op in WEIGHTED:
        return Kind.WEIGHTED
    if op in SAME:
        return Kind.SAME
    if op in FREE:
        return Kind.FREE
    if op in FIXED:
        return Kind.FIXED
    return {
        "WHILE": Kind.LOOP,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": Kind.LSTM,
        "SVDF": Kind.SVDF,
    }.get(op)


def few_outputs(op: str, scheme: OpScheme) -> tuple[float, int] | None:
    """Scale and zero point of an operator that stores signs or trits; None for any other."""
    if op not in INT2_OPS or not (scheme.sign or scheme.trit):
        return None
    return (SIGN_SCALE if scheme.sign else 1.0, 0)


def stores_signs(op: str, scheme: OpScheme) -> bool:
    """Whether an operator with constant weights keeps only the sign of its sums."""
    return scheme.sign and op in INT2_OPS
