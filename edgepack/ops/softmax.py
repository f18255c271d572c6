"""SOFTMAX over the last dimension, in TFLite's fixed point for integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.fixed_point import (
    INT32_MAX,
    doubling_high_mul,
    quantize_multiplier,
    rounding_divide_by_pot,
    wrap_int32,
)
from edgepack.ops.shared.gemmlowp import exp_on_negative_values, one_over_one_plus_x
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.types import Array, DType, Shape

_SCALED_DIFF_INTEGER_BITS = 5  # TFLite: the scaled difference is Q5.26
_SUM_INTEGER_BITS = 12  # and the sum of exponentials Q12.19


@dataclass(frozen=True)
class SoftmaxAttributes(Attributes):
    """beta multiplies the input."""

    beta: float = 1.0


class Softmax(Op):
    """exp(beta * x) normalised to 1; int8 output has scale 1/256 and zero point -128."""

    name = "SOFTMAX"
    types = (DType.INT8, DType.FLOAT32)
    arity = (1, 1)
    notes = "int8 to int8 or int16"

    def attributes(self, options: Any) -> Attributes:
        return SoftmaxAttributes(beta=float(np.float32(options.beta)))

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out = view.input(0), view.output()
        if x.dtype is DType.FLOAT32:
            return
        expected = {DType.INT8: (1 / 256, -128), DType.INT16: (1 / 65536, -32768)}.get(out.dtype)
        if expected is None:
            raise unsupported(view, f"no kernel from INT8 to {out.dtype.value}")
        scale, zero_point = expected
        if out.zero_point != zero_point or not math.isclose(out.scale, scale, rel_tol=1e-3):
            raise unsupported(
                view,
                f"output scale {out.scale!r} and zero point {out.zero_point}; "
                f"TFLite fixes them to {scale!r} and {zero_point}",
            )

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, out = inputs[0], view.output()
        assert x is not None
        rows = x.reshape(-1, x.shape[-1])
        if out.dtype is DType.FLOAT32:
            beta = np.float32(self._beta(view))
            powers = np.exp((rows - rows.max(axis=1, keepdims=True)) * beta)
            return (ensure_shape(powers / powers.sum(axis=1, keepdims=True), out),)
        table = self._exp_table(view)
        diff = rows.max(axis=1, keepdims=True).astype(np.int64) - rows
        known = diff < len(table)
        powers = np.where(known, table[np.minimum(diff, len(table) - 1)], 0).astype(np.int64)
        total = wrap_int32(rounding_divide_by_pot(powers, _SUM_INTEGER_BITS).sum(axis=1))
        headroom = np.array([32 - int(t).bit_length() for t in total], np.int64)
        reciprocal = one_over_one_plus_x(wrap_int32((total << headroom) - (1 << 31)))
        bits = 8 * out.dtype.itemsize
        exponent = _SUM_INTEGER_BITS - headroom + 31 - bits
        scaled = rounding_divide_by_pot(
            doubling_high_mul(reciprocal[:, None], powers), exponent[:, None]
        )
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        result = np.where(known, np.clip(scaled + low, low, high), low)
        return (ensure_shape(result, out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, out = view.input(0), view.output()
        rows, depth = x.elements // x.shape[-1], x.shape[-1]
        if x.dtype is DType.FLOAT32:
            params = Params(
                "ep_softmax_f32_params",
                (("rows", rows), ("depth", depth), ("beta", self._beta(view))),
            )
            return KernelCall("ep_softmax_f32", "ep_softmax.h", (params, Input(0), Output(0)))
        table = self._exp_table(view)
        params = Params(
            "ep_softmax_params", (("rows", rows), ("depth", depth), ("table_size", len(table)))
        )
        function = "ep_softmax_s8" if out.dtype is DType.INT8 else "ep_softmax_s8_s16"
        return KernelCall(
            function,
            "ep_softmax.h",
            (params, Input(0), Const("exp_table", table, role="tables"), Output(0)),
            reason="exp() of every int8 difference from a table made at build time",
        )

    def _beta(self, view: NodeView) -> float:
        assert isinstance(view.node.attrs, SoftmaxAttributes)
        return view.node.attrs.beta

    def _exp_table(self, view: NodeView) -> npt.NDArray[np.int32]:
        """exp(-d * scale * beta) in Q0.31 for each difference d that TFLite does not cut off."""
        real = min(
            self._beta(view) * view.input(0).scale * (1 << (31 - _SCALED_DIFF_INTEGER_BITS)),
            float(INT32_MAX),
        )
        factor = quantize_multiplier(real)
        radius = math.floor(
            ((1 << _SCALED_DIFF_INTEGER_BITS) - 1)
            * float(1 << (31 - _SCALED_DIFF_INTEGER_BITS))
            / float(1 << factor.shift)
        )
        differences = np.arange(min(radius, 255) + 1, dtype=np.int64)
        scaled = doubling_high_mul(wrap_int32(-differences << factor.shift), factor.value)
        return exp_on_negative_values(scaled, _SCALED_DIFF_INTEGER_BITS).astype(np.int32)
