"""Runtime x op x type: what each runtime does with the ops of a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edgepack.ops.advice import full_name
from edgepack.ops.shared.base import NodeView
from edgepack.ops.table import OPS
from edgepack.ops.tflm import TFLM_TYPES, tflm_types
from edgepack.types import DType

# Ops whose input 1 holds weights that may have a type of their own.
_WEIGHTED = (
    "BATCH_MATMUL",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "SVDF",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
)


class Support(Enum):
    """Whether a runtime has a kernel; UNTRIED where neither a test nor a source says so."""

    YES = "yes"
    NO = "no"
    UNTRIED = "untried"


@dataclass(frozen=True)
class OpType:
    """An op with the type of its leading input, and of its weights where these have another."""

    op: str
    dtype: DType | None
    weights: DType | None = None

    @property
    def types(self) -> str:
        """`INT8`, `FLOAT32 x INT8`, or `-` for an op without typed inputs."""
        parts = [t.value for t in (self.dtype, self.weights) if t is not None]
        return " x ".join(parts) or "-"


def op_type(view: NodeView) -> OpType:
    """Op and types of a node."""
    name = full_name(view.node)
    op = OPS.get(view.node.op)
    lead = view.optional(op.type_slot if op is not None else 0)
    dtype = lead.dtype if lead is not None else None
    weights = view.optional(1) if name in _WEIGHTED else None
    other = weights.dtype if weights is not None and weights.dtype is not dtype else None
    return OpType(name, dtype, other)


def tflm_support(kind: OpType) -> Support:
    """Whether TFLite Micro has a kernel, as far as was measured (edgepack/ops/tflm.py)."""
    if kind.op not in TFLM_TYPES or _hybrid(kind):
        # the table lists every op of the C runtime that TFLM runs
        return Support.NO if kind.op in OPS or _hybrid(kind) else Support.UNTRIED
    if not tflm_types(kind.op) or any_type(kind.op) or kind.dtype in tflm_types(kind.op):
        return Support.YES
    return Support.NO if kind.dtype in OPS[kind.op].types else Support.UNTRIED


def any_type(op: str) -> bool:
    """Whether the op runs or names other things and does not look at elements (IF, VAR_HANDLE)."""
    return OPS[op].arity[1] == 0 or set(OPS[op].types) == set(DType)


def _hybrid(kind: OpType) -> bool:
    return kind.dtype is DType.FLOAT32 and kind.weights in (DType.INT8, DType.INT4)
