"""DEQUANTIZE: scale * (q - zero point), in float32."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.elementwise import Unary, require_quantized, unary_call
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.types import Array, DType


class Dequantize(Unary):
    """The product is rounded once, as TFLM's product in double precision is."""

    name = "DEQUANTIZE"
    types = (DType.INT8, DType.UINT8, DType.INT16)
    same_type = False

    def check(self, view: NodeView) -> None:
        super().check(view)
        if view.output().dtype is not DType.FLOAT32:
            raise unsupported(view, f"an output of {view.output().dtype.value}, allowed FLOAT32")
        require_quantized(view, view.input(0))

    def apply(self, view: NodeView, x: Array) -> Array:
        source = view.input(0)
        return np.float32(source.scale) * (x.astype(np.int32) - source.zero_point).astype(
            np.float32
        )

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x = view.input(0)
        fields = (
            ("scale", x.scale),
            ("zero_point", x.zero_point),
            ("act_min", 0),
            ("act_max", 0),
        )
        function = f"ep_dequantize_{x.dtype.suffix}"
        return unary_call(view, function, "ep_quantize.h", "ep_quantize_params", fields)
