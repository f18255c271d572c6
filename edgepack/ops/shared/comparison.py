"""EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER and GREATER_EQUAL share all but the operator."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from edgepack.ir import Tensor
from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.binary import Binary, binary_call
from edgepack.ops.shared.fixed_point import quantize_multiplier, requantize
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.types import Array, DType


class Comparison(Binary):
    """Base: int8 operands are compared as 256 * scale * (q - zero point), rounded, as in TFLite."""

    types: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT32, DType.INT64, DType.FLOAT32)
    header = "ep_compare.h"
    output_type = DType.BOOL
    ufunc: ClassVar[np.ufunc]
    notes = (
        "int8: scales below 1 (TFLM aborts on others), near numbers of small scales count as equal "
        "as in TFLM; no int16, whose scales TFLM does not initialise"
    )

    def check(self, view: NodeView) -> None:
        super().check(view)
        for tensor in (view.input(0), view.input(1)):
            if tensor.dtype is DType.INT8 and not 0 < tensor.scale < 1:
                raise unsupported(
                    view,
                    f"tensor {tensor.name!r} has scale {tensor.scale:g}; TFLM compares int8 only "
                    "with scales below 1",
                )

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        if a.dtype == np.int8:
            a, b = _scaled(view.input(0), a), _scaled(view.input(1), b)
        return np.asarray(self.ufunc(a, b))

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        a, b = view.input(0), view.input(1)
        if a.dtype is not DType.INT8 or _same_order(a, b):
            return binary_call(
                view, f"{self.kernel}_{a.dtype.suffix}", self.header, "ep_compare_params"
            )
        first, second = quantize_multiplier(a.scale), quantize_multiplier(b.scale)
        return binary_call(
            view,
            f"{self.kernel}_scaled_s8",
            self.header,
            "ep_compare_scaled_params",
            (
                ("offset1", -a.zero_point),
                ("offset2", -b.zero_point),
                ("multiplier1", first.value),
                ("shift1", first.shift),
                ("multiplier2", second.value),
                ("shift2", second.shift),
            ),
        )


def _scaled(tensor: Tensor, x: Array) -> Array:
    factor = quantize_multiplier(tensor.scale)
    shifted = (x.astype(np.int64) - tensor.zero_point) << 8
    return requantize(shifted, factor.value, factor.shift)


def _same_order(a: Tensor, b: Tensor) -> bool:
    """Whether comparing the bytes gives the same: one scale, and no two bytes that round alike."""
    if (a.scale, a.zero_point) != (b.scale, b.zero_point):
        return False
    return bool((np.diff(_scaled(a, np.arange(-128, 128))) > 0).all())
