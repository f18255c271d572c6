"""LOG_SOFTMAX over the last dimension, in TFLite's fixed point for int8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.broadcast import elementwise_overlaps
from edgepack.ops.shared.exp_table import (
    MAX_DEPTH,
    SUM_INTEGER_BITS,
    ExpTable,
    difference_factor,
    exp_table,
)
from edgepack.ops.shared.fixed_point import (
    INT32_MIN,
    Multiplier,
    quantize_multiplier,
    requantize,
    rounding_divide_by_pot,
)
from edgepack.ops.shared.gemmlowp import log_of_1_or_more
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.quantized import check_quantized
from edgepack.types import Array, DType, Shape

_OUTPUT = (16 / 256, 127)  # the int8 output's scale and zero point, fixed by TFLite
_Q26_TO_OUTPUT = 22  # bits from Q5.26 to steps of 1/16


class LogSoftmax(Op):
    """x minus the logarithm of the row's sum of exponentials."""

    name = "LOG_SOFTMAX"
    types = (DType.INT8, DType.FLOAT32)
    arity = (1, 1)
    notes = "at most 4095 int8 values in a row"

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out = view.input(0), view.output()
        if not x.shape or x.elements == 0:
            raise unsupported(view, "the input must have a last dimension with elements")
        if out.dtype is not x.dtype:
            raise unsupported(view, f"{x.dtype.value} input, {out.dtype.value} output")
        if x.dtype is DType.FLOAT32:
            return
        check_quantized(view, x, out)
        if (out.scale, out.zero_point) != _OUTPUT:
            raise unsupported(
                view,
                f"output scale {out.scale!r} and zero point {out.zero_point}; "
                f"TFLite fixes them to {_OUTPUT[0]} and {_OUTPUT[1]}",
            )
        if x.shape[-1] > MAX_DEPTH:
            raise unsupported(view, f"{x.shape[-1]} values in a row, allowed up to {MAX_DEPTH}")
        if difference_factor(x.scale, 1.0) <= 1.0:
            raise unsupported(view, f"the input scale {x.scale!r} is too small")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, out = inputs[0], view.output()
        assert x is not None
        rows = x.reshape(-1, x.shape[-1])
        if out.dtype is DType.FLOAT32:
            shifted = rows - rows.max(axis=1, keepdims=True)
            total = np.exp(shifted).sum(axis=1, keepdims=True)
            return (ensure_shape(shifted - np.log(total), out),)
        table = exp_table(view.input(0).scale, 1.0)
        diff = rows.astype(np.int64) - rows.max(axis=1, keepdims=True)
        known = -diff < len(table.values)
        powers = _in_sum_format(table)[np.minimum(-diff, len(table.values) - 1)]
        log_sum = log_of_1_or_more(np.where(known, powers, 0).astype(np.int64).sum(axis=1))[:, None]
        back = _reverse(table)
        lowest = np.maximum(
            -table.radius - 1, requantize(log_sum + INT32_MIN, back.value, back.shift)
        )
        real = requantize(diff, table.factor.value, table.factor.shift)
        scaled = rounding_divide_by_pot(real - log_sum, _Q26_TO_OUTPUT) + 127
        return (ensure_shape(np.where(diff > lowest, np.clip(scaled, -128, 127), -128), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x = view.input(0)
        shape = (("rows", x.elements // x.shape[-1]), ("depth", x.shape[-1]))
        if x.dtype is DType.FLOAT32:
            return KernelCall(
                "ep_log_softmax_f32",
                "ep_log_softmax.h",
                (Params("ep_log_softmax_f32_params", shape), Input(0), Output(0)),
                overlaps=elementwise_overlaps(view),
                reason="portable C99 reference",
            )
        table = exp_table(x.scale, 1.0)
        back = _reverse(table)
        params = Params(
            "ep_log_softmax_params",
            (
                *shape,
                ("table_size", len(table.values)),
                ("multiplier", table.factor.value),
                ("shift", table.factor.shift),
                ("reverse_multiplier", back.value),
                ("reverse_shift", back.shift),
                ("diff_min", -table.radius),
            ),
        )
        exp = Const("exp_table", _in_sum_format(table), role="tables")
        return KernelCall(
            "ep_log_softmax_s8",
            "ep_log_softmax.h",
            (params, Input(0), exp, Output(0)),
            overlaps=elementwise_overlaps(view),
            reason="exp() of every int8 difference from a table made at build time",
        )


def _in_sum_format(table: ExpTable) -> Array:
    """The exponentials in the sum's Q12.19."""
    return rounding_divide_by_pot(table.values, SUM_INTEGER_BITS).astype(np.int32)


def _reverse(table: ExpTable) -> Multiplier:
    """From Q5.26 back to a difference of int8 values (PreprocessLogSoftmaxScalingExp)."""
    return quantize_multiplier(float(1 << (31 - table.factor.shift)) / table.factor.value)
