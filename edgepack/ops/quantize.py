"""QUANTIZE: float to integers, or integers to another scale, type or zero point."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.elementwise import Unary, require_quantized, table_call, unary_call
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    quantize_multiplier,
    requantize,
    wrap_int32,
)
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.types import Array, DType

_TARGETS = {
    DType.FLOAT32: (DType.INT8, DType.INT16, DType.UINT8),
    DType.INT8: (DType.INT8, DType.UINT8, DType.INT16, DType.INT32),
    DType.UINT8: (DType.INT8,),
    DType.INT16: (DType.INT8, DType.INT16, DType.INT32),
    DType.INT32: (DType.INT8, DType.INT16),
}


class Quantize(Unary):
    """Between 8-bit types a table; float rounds halves away from zero."""

    name = "QUANTIZE"
    types = tuple(_TARGETS)
    same_type = False
    notes = (
        "FLOAT32 to UINT8 as in LiteRT; floats beyond the range of int32 saturate (undefined in "
        "TFLM), NaN gives the lowest integer"
    )

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out = view.input(0), view.output()
        if out.dtype not in _TARGETS[x.dtype]:
            allowed = ", ".join(t.value for t in _TARGETS[x.dtype])
            raise unsupported(view, f"{x.dtype.value} to {out.dtype.value}; allowed: {allowed}")
        require_quantized(view, x, out)
        for tensor in (x, out):
            if tensor.dtype is DType.INT32 and (tensor.quant is None or tensor.quant.per_channel):
                raise unsupported(view, f"tensor {tensor.name!r} needs one scale")

    def apply(self, view: NodeView, x: Array) -> Array:
        source, out = view.input(0), view.output()
        low, high = INTEGER_RANGE[out.dtype]
        if source.dtype is DType.FLOAT32:
            with np.errstate(all="ignore"):
                scaled = (x / np.float32(out.scale)).astype(np.float64)
                rounded = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)
            finite = np.nan_to_num(rounded, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
            return np.asarray(np.clip(finite + out.zero_point, low, high), np.int64)
        factor = self._factor(view)
        difference = wrap_int32(x.astype(np.int64) - source.zero_point)
        result = requantize(difference, factor.value, factor.shift) + out.zero_point
        return np.asarray(np.clip(wrap_int32(result), low, high), np.int64)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, out = view.input(0), view.output()
        if x.dtype.itemsize == 1 and out.dtype.itemsize == 1:
            return table_call(view, self.apply)
        low, high = INTEGER_RANGE[out.dtype]
        limits = (("act_min", low), ("act_max", high))
        if x.dtype is DType.FLOAT32:
            return unary_call(
                view,
                f"ep_quantize_{out.dtype.suffix}",
                "ep_quantize.h",
                "ep_quantize_params",
                (("scale", out.scale), ("zero_point", out.zero_point), *limits),
            )
        factor = self._factor(view)
        return unary_call(
            view,
            f"ep_requantize_{x.dtype.suffix}_{out.dtype.suffix}",
            "ep_quantize.h",
            "ep_requantize_params",
            (
                ("input_offset", -x.zero_point),
                ("output_offset", out.zero_point),
                ("multiplier", factor.value),
                ("shift", factor.shift),
                *limits,
            ),
        )

    def _factor(self, view: NodeView) -> Multiplier:
        """The ratio of the scales in float64."""
        return quantize_multiplier(view.input(0).scale / view.output().scale)
