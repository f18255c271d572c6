"""BATCH_MATMUL: [..., rows, depth] times [..., depth, columns], batches broadcast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes, Tensor
from edgepack.ops.shared.base import (
    QUANTIZE_RECIPE,
    NodeView,
    Op,
    ensure_shape,
    unsupported,
)
from edgepack.ops.shared.broadcast import broadcast_shape
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    requantize,
    requantize_int64,
    wrap_int32,
)
from edgepack.ops.shared.kernel import (
    FieldValue,
    Input,
    Isa,
    KernelCall,
    Lowered,
    Output,
    Params,
)
from edgepack.ops.shared.quantized import check_quantized
from edgepack.ops.shared.requant import tensor_multiplier
from edgepack.types import Array, DType, Shape

_BATCH_DIMS = 3  # loops over batches in firmware/kernels/ep_batch_matmul.h
_MAX_SHIFT = {DType.INT8: 30, DType.INT16: 7}


@dataclass(frozen=True)
class BatchMatmulAttributes(Attributes):
    """Whether the last two dimensions of an operand are swapped."""

    adj_x: bool = False
    adj_y: bool = False


class BatchMatmul(Op):
    """Products are summed in int32 (int8), int64 (int16) or float32, then requantized."""

    name = "BATCH_MATMUL"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    arity = (2, 2)
    notes = "2 to 5 dimensions; either operand constant or computed; int16 without zero points"

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return BatchMatmulAttributes()
        return BatchMatmulAttributes(bool(options.adjX), bool(options.adjY))

    def check(self, view: NodeView) -> None:
        super().check(view)
        a, b, out = view.input(0), view.input(1), view.output()
        if not a.dtype is b.dtype is out.dtype:
            raise unsupported(
                view,
                "operands and output must have one type",
                rewrite=f"quantize both operands (hybrid models cannot run): {QUANTIZE_RECIPE}",
            )
        if not all(2 <= len(t.shape) <= _BATCH_DIMS + 2 for t in (a, b)):
            raise unsupported(view, f"operands must have 2 to {_BATCH_DIMS + 2} dimensions")
        if a.dtype is DType.FLOAT32:
            return
        check_quantized(view, a, b, out)
        if a.dtype is DType.INT16 and any(t.zero_point for t in (a, b, out)):
            raise unsupported(view, "INT16 tensors with a zero point other than 0")
        shift = tensor_multiplier(a, b, out).shift
        if shift > _MAX_SHIFT[a.dtype]:
            raise unsupported(view, f"the output's scale calls for a factor of 2**{shift}")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        (rows, depth_a), (depth_b, columns) = self._matrices(view)
        batch = broadcast_shape(view.input(0).shape[:-2], view.input(1).shape[:-2])
        if depth_a != depth_b or batch is None:
            raise unsupported(view, "the operands' shapes do not fit together")
        return ((*batch, rows, columns),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        a, b, out, attrs = inputs[0], inputs[1], view.output(), self._attrs(view)
        assert a is not None and b is not None
        a = a.swapaxes(-1, -2) if attrs.adj_x else a
        b = b.swapaxes(-1, -2) if attrs.adj_y else b
        if out.dtype is DType.FLOAT32:
            return (ensure_shape(a @ b, out),)
        wide_a = a.astype(np.int64) - view.input(0).zero_point
        acc = wide_a @ (b.astype(np.int64) - view.input(1).zero_point)
        part = self._multiplier(view)
        if out.dtype is DType.INT8:
            scaled = requantize(wrap_int32(acc), part.value, part.shift)
        else:
            scaled = requantize_int64(acc, part.value, part.shift)
        result = wrap_int32(scaled + out.zero_point)
        return (ensure_shape(np.clip(result, *INTEGER_RANGE[out.dtype]), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        a, b, out = view.input(0), view.input(1), view.output()
        walk = tuple((f"walk.{name}", value) for name, value in self._walk(view))
        if a.dtype is DType.FLOAT32:
            params = Params("ep_batch_matmul_f32_params", walk)
        else:
            part = self._multiplier(view)
            params = Params(
                "ep_batch_matmul_params",
                (
                    *walk,
                    ("a_offset", -a.zero_point),
                    ("b_offset", -b.zero_point),
                    ("output_offset", out.zero_point),
                    ("multiplier", part.value),
                    ("shift", part.shift),
                ),
            )
        return KernelCall(
            f"ep_batch_matmul_{a.dtype.suffix}",
            "ep_batch_matmul.h",
            (params, Input(0), Input(1), Output(0)),
            macs=self.macs(view),
            reason="portable C99 reference",
        )

    def macs(self, view: NodeView) -> int:
        return view.output().elements * self._matrices(view)[0][1]

    def _walk(self, view: NodeView) -> tuple[tuple[str, FieldValue], ...]:
        """The members of ep_matmul."""
        a, b, batch, attrs = (
            view.input(0),
            view.input(1),
            view.output().shape[:-2],
            self._attrs(view),
        )
        (rows, depth), (_, columns) = self._matrices(view)
        a_row, a_depth = (1, rows) if attrs.adj_x else (depth, 1)
        b_depth, b_column = (1, depth) if attrs.adj_y else (columns, 1)
        return (
            ("batch", (1,) * (_BATCH_DIMS - len(batch)) + batch),
            ("a_batch", _batch_strides(a)),
            ("b_batch", _batch_strides(b)),
            ("rows", rows),
            ("depth", depth),
            ("columns", columns),
            ("a_row", a_row),
            ("a_depth", a_depth),
            ("b_depth", b_depth),
            ("b_column", b_column),
        )

    def _matrices(self, view: NodeView) -> tuple[tuple[int, int], tuple[int, int]]:
        """(rows, depth) and (depth, columns) after the transpositions."""
        a, b, attrs = view.input(0).shape[-2:], view.input(1).shape[-2:], self._attrs(view)
        first = (a[1], a[0]) if attrs.adj_x else (a[0], a[1])
        second = (b[1], b[0]) if attrs.adj_y else (b[0], b[1])
        return first, second

    def _attrs(self, view: NodeView) -> BatchMatmulAttributes:
        assert isinstance(view.node.attrs, BatchMatmulAttributes)
        return view.node.attrs

    def _multiplier(self, view: NodeView) -> Multiplier:
        return tensor_multiplier(view.input(0), view.input(1), view.output())


def _batch_strides(tensor: Tensor) -> tuple[int, ...]:
    """Element strides of the batch dimensions, 0 where the operand repeats."""
    shape = (1,) * (_BATCH_DIMS + 2 - len(tensor.shape)) + tensor.shape
    return tuple(0 if shape[d] == 1 else math.prod(shape[d + 1 :]) for d in range(_BATCH_DIMS))
