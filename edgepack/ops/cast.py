"""CAST: to another element type, without regard to quantization."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.elementwise import Unary, unary_call
from edgepack.ops.shared.kernel import Alias, Isa, Lowered, Placement
from edgepack.types import Array, DType

_TYPES = (
    DType.BOOL,
    DType.INT8,
    DType.UINT8,
    DType.INT16,
    DType.INT32,
    DType.UINT32,
    DType.INT64,
    DType.FLOAT32,
)


class Cast(Unary):
    """Floats are cut towards zero, integers keep their low bits, anything but 0 is true."""

    name = "CAST"
    types = _TYPES
    same_type = False
    notes = (
        "from UINT8 and INT64 and to BOOL, UINT8 and INT64 as in LiteRT; floats outside the "
        "target's range saturate (undefined in TFLM), NaN gives 0"
    )

    def check(self, view: NodeView) -> None:
        if view.output().dtype not in _TYPES:
            allowed = ", ".join(t.value for t in _TYPES)
            raise unsupported(view, f"to {view.output().dtype.value}; allowed: {allowed}")
        low, high = self.arity
        if not low <= len(view.inputs) <= high or view.input(0).dtype not in _TYPES:
            super().check(view)

    def apply(self, view: NodeView, x: Array) -> Array:
        target = view.output().dtype.numpy
        if x.dtype.kind != "f" or target.kind in "fb":
            return x.astype(target)
        info = np.iinfo(target)
        # 2**63 and 2**31 are floats, the integers one below are not
        whole = np.nan_to_num(np.trunc(x).astype(np.float64), nan=0.0)
        inside = (whole >= info.min) & (whole < float(info.max) + 1)
        ends = np.where(whole < 0, info.min, info.max).astype(target)
        return np.where(inside, np.where(inside, whole, 0).astype(target), ends)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, out = view.input(0), view.output()
        call = unary_call(
            view, f"ep_cast_{x.dtype.suffix}_{out.dtype.suffix}", "ep_cast.h", "ep_cast_params"
        )
        if x.dtype is out.dtype:
            return Alias((Placement(out.id, x.id),), fallback=call)
        return call
