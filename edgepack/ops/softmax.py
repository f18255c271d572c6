"""SOFTMAX over the last dimension, in TFLite's fixed point for integers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.broadcast import elementwise_overlaps
from edgepack.ops.shared.exp_table import (
    MAX_DEPTH,
    SUM_INTEGER_BITS,
    difference_factor,
    exp_table,
    interpolate,
    interpolation_table,
)
from edgepack.ops.shared.fixed_point import (
    Multiplier,
    doubling_high_mul,
    quantize_multiplier,
    requantize,
    rounding_divide_by_pot,
    wrap_int32,
)
from edgepack.ops.shared.gemmlowp import one_over_one_plus_x
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.quantized import check_quantized
from edgepack.types import Array, DType, Shape

# (input, output) -> the output's scale and zero point, fixed by TFLite
_OUTPUT_QUANTIZATION = {
    (DType.INT8, DType.INT8): (1 / 256, -128),
    (DType.INT8, DType.INT16): (1 / 65536, -32768),
    (DType.INT16, DType.INT16): (1 / 32768, 0),
}
_EXP_RANGE = 10.0  # the int16 kernel takes exp(-10) for 0
# TFLM allows int16 outputs this much deviation of the scale.
_SCALE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SoftmaxAttributes(Attributes):
    """beta multiplies the input."""

    beta: float = 1.0


class Softmax(Op):
    """exp(beta * x) normalised to 1; the output's scale is fixed by its type."""

    name = "SOFTMAX"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    arity = (1, 1)
    notes = (
        "int8 to int8 or int16, int16 to int16; at most 4095 int8 values in a row; a row of 512 or "
        "more equal maxima gives 0 where TFLM aborts"
    )

    def attributes(self, options: Any) -> Attributes:
        return SoftmaxAttributes(beta=float(np.float32(options.beta)))

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out = view.input(0), view.output()
        if not x.shape or x.elements == 0:
            raise unsupported(view, "the input must have a last dimension with elements")
        if x.dtype is DType.FLOAT32 is out.dtype:
            return
        fixed = _OUTPUT_QUANTIZATION.get((x.dtype, out.dtype))
        if fixed is None:
            raise unsupported(view, f"no kernel from {x.dtype.value} to {out.dtype.value}")
        check_quantized(view, x, out)
        scale, zero_point = fixed
        exact = out.dtype is DType.INT8
        close = math.isclose(out.scale, scale, rel_tol=0.0 if exact else _SCALE_TOLERANCE)
        if out.zero_point != zero_point or not close:
            raise unsupported(
                view,
                f"output scale {out.scale!r} and zero point {out.zero_point}; "
                f"TFLite fixes them to {scale!r} and {zero_point}",
            )
        if x.dtype is DType.INT16:
            if x.zero_point:
                raise unsupported(view, "an INT16 input with a zero point other than 0")
        elif x.shape[-1] > MAX_DEPTH:
            raise unsupported(view, f"{x.shape[-1]} values in a row, allowed up to {MAX_DEPTH}")
        elif difference_factor(x.scale, self._beta(view)) <= 1.0:
            raise unsupported(view, f"beta times the input scale {x.scale!r} is too small")

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
        if x.dtype == np.int16:
            return (ensure_shape(self._reference_int16(view, rows), out),)
        table = exp_table(view.input(0).scale, self._beta(view)).values
        diff = rows.max(axis=1, keepdims=True).astype(np.int64) - rows
        known = diff < len(table)
        powers = np.where(known, table[np.minimum(diff, len(table) - 1)], 0).astype(np.int64)
        total = rounding_divide_by_pot(powers, SUM_INTEGER_BITS).sum(axis=1)
        headroom = _leading_zeros(total)
        reciprocal = one_over_one_plus_x(wrap_int32((total << headroom) - (1 << 31)))
        bits = 8 * out.dtype.itemsize
        exponent = SUM_INTEGER_BITS - headroom + 31 - bits
        scaled = rounding_divide_by_pot(
            doubling_high_mul(reciprocal[:, None], powers), exponent[:, None]
        )
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        result = np.where(known, np.clip(scaled + low, low, high), low)
        return (ensure_shape(result, out),)

    def _reference_int16(self, view: NodeView, rows: Array) -> Array:
        part = self._int16_factor(view)
        exp, reciprocal = int16_tables()
        diff = rows.astype(np.int64) - rows.max(axis=1, keepdims=True)
        at = wrap_int32(requantize(diff, part.value, part.shift) + 32767)
        powers = interpolate(exp, np.clip(at, -32768, 32767))
        total = powers.sum(axis=1)
        zeros = _leading_zeros(total)
        shifted = ((total << (zeros - 1)) + (1 << 13)) >> 14
        inverse = interpolate(reciprocal, np.clip(shifted - (1 << 15) - (1 << 16), -32768, 32767))
        right = (31 - zeros)[:, None]
        scaled = (powers * inverse[:, None] + (np.int64(1) << (right - 1))) >> right
        return np.asarray(np.clip(scaled, 0, 32767))

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, out = view.input(0), view.output()
        shape = (("rows", x.elements // x.shape[-1]), ("depth", x.shape[-1]))
        overlaps = elementwise_overlaps(view)
        if x.dtype is DType.FLOAT32:
            params = Params("ep_softmax_f32_params", (*shape, ("beta", self._beta(view))))
            return KernelCall(
                "ep_softmax_f32",
                "ep_softmax.h",
                (params, Input(0), Output(0)),
                overlaps=overlaps,
                reason="portable C99 reference",
            )
        if x.dtype is DType.INT16:
            part = self._int16_factor(view)
            fields = (*shape, ("multiplier", part.value), ("shift", part.shift))
            params = Params("ep_softmax_s16_params", fields)
            exp, reciprocal = int16_tables()
            tables = (
                Const("exp_table", exp, role="tables"),
                Const("reciprocal_table", reciprocal, role="tables"),
            )
            return KernelCall(
                "ep_softmax_s16",
                "ep_softmax.h",
                (params, Input(0), *tables, Output(0)),
                overlaps=overlaps,
                reason="exp() and the reciprocal interpolated in tables shared by int16 softmax",
            )
        table = _audible(exp_table(x.scale, self._beta(view)).values)
        params = Params("ep_softmax_params", (*shape, ("table_size", len(table))))
        function = "ep_softmax_s8" if out.dtype is DType.INT8 else "ep_softmax_s8_s16"
        return KernelCall(
            function,
            "ep_softmax.h",
            (params, Input(0), Const("exp_table", table, role="tables"), Output(0)),
            overlaps=overlaps,
            reason="exp() of every int8 difference from a table made at build time",
        )

    def _beta(self, view: NodeView) -> float:
        assert isinstance(view.node.attrs, SoftmaxAttributes)
        return view.node.attrs.beta

    def _int16_factor(self, view: NodeView) -> Multiplier:
        """From a difference of int16 values to 65535 for a real difference of _EXP_RANGE."""
        return quantize_multiplier(view.input(0).scale * self._beta(view) / (_EXP_RANGE / 65535.0))


def _audible(table: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The table up to the last entry that can change an output.

    A sum holds exp(0), 2**19 in Q12.19. An entry below half a step of Q12.19 adds nothing to it,
    and as a share of it rounds to 0 in 8 and in 16 bits.
    """
    return table[: int(np.flatnonzero(table >= 1 << (SUM_INTEGER_BITS - 1))[-1]) + 1]


@functools.cache
def int16_tables() -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """exp(x) for x in -10..0 and 1 / (1 + x) for x in 0..1, as the int16 kernel reads them."""
    f32 = np.float32
    span = f32(2.0) / f32(65535) * f32(65535)
    exp = interpolation_table(np.exp, f32(_EXP_RANGE) / f32(65535) * f32(-65535), f32(0.0), span)
    reciprocal = interpolation_table(
        lambda x: 1.0 / (1.0 + x), f32(0.0), f32(1.0) / f32(65535) * f32(65535), span
    )
    return exp, reciprocal


def _leading_zeros(x: Array) -> npt.NDArray[np.int64]:
    """Of int32 values above 0."""
    return np.array([32 - int(v).bit_length() for v in x], np.int64)
