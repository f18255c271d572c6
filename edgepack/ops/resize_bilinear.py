"""RESIZE_BILINEAR: every output pixel is a weighted mean of up to four input pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Lowered, Output
from edgepack.ops.shared.resize import (
    Interpolation,
    ResizeOp,
    interpolate_float,
    interpolate_integer,
)
from edgepack.types import Array, DType

_ONE = 1 << 10


class ResizeBilinear(ResizeOp):
    """int8 weights are exact multiples of 1/1024; halves round away from zero."""

    name = "RESIZE_BILINEAR"
    types = (DType.INT8, DType.FLOAT32)
    notes = "constant size; factors at which TFLite reads beyond its input are refused"

    def check(self, view: NodeView) -> None:
        super().check(view)
        if self.attrs(view).align_corners and self.attrs(view).half_pixel_centers:
            raise unsupported(view, "align_corners and half_pixel_centers exclude each other")
        for size, axis in zip(view.input(0).shape[1:3], self._axes(view), strict=True):
            # TFLite does not clamp the lower index; its rounded scale can lead beyond the input.
            if axis.lower.max() >= size:
                raise unsupported(
                    view,
                    f"an output of {len(axis.lower)} reads input {int(axis.lower.max())} of {size}",
                )

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        data = inputs[0]
        assert data is not None
        y, x = self._axes(view)
        if data.dtype == np.float32:
            return (ensure_shape(_float_blend(data, y, x), view.output()),)
        wide = data.astype(np.int64)
        wy, wx = y.weight[:, None, None], x.weight[:, None]
        top, bottom = wide[:, y.lower], wide[:, y.upper]
        total = (
            top[:, :, x.lower] * (_ONE - wy) * (_ONE - wx)
            + bottom[:, :, x.lower] * wy * (_ONE - wx)
            + top[:, :, x.upper] * (_ONE - wy) * wx
            + bottom[:, :, x.upper] * wy * wx
        )
        half = _ONE * _ONE // 2
        rounded = np.where(total > 0, (total + half) >> 20, -((half - total) >> 20))
        return (ensure_shape(rounded, view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        y, x = self._axes(view)
        args = [
            Const(name, np.stack(columns, axis=1).reshape(-1).astype(np.int16), role="tables")
            for name, columns in (("rows", self._table(y)), ("columns", self._table(x)))
        ]
        if view.input(0).dtype is DType.FLOAT32:
            args += [
                Const("row_weights", y.weight.astype(np.float32), role="tables"),
                Const("column_weights", x.weight.astype(np.float32), role="tables"),
            ]
        return KernelCall(
            f"ep_resize_bilinear_{view.input(0).dtype.suffix}",
            "ep_resize.h",
            (self.params(view), *args, Input(0), Output(0)),
            reason="indices and weights from tables made at build time",
        )

    def _axes(self, view: NodeView) -> tuple[Interpolation, Interpolation]:
        (_, h, w, _), attrs = view.input(0).shape, self.attrs(view)
        ((_, out_h, out_w, _),) = self.infer_shape(view)
        make = interpolate_float if view.input(0).dtype is DType.FLOAT32 else interpolate_integer
        return make(h, out_h, attrs), make(w, out_w, attrs)

    def _table(self, axis: Interpolation) -> tuple[Array, ...]:
        if axis.weight.dtype == np.float32:
            return (axis.lower, axis.upper)
        return (axis.lower, axis.upper, axis.weight)


def _float_blend(data: Array, y: Interpolation, x: Interpolation) -> Array:
    one = np.float32(1)
    wy, wx = y.weight[:, None, None], x.weight[:, None]
    top, bottom = data[:, y.lower], data[:, y.upper]
    return np.asarray(
        top[:, :, x.lower] * (one - wy) * (one - wx)
        + bottom[:, :, x.lower] * wy * (one - wx)
        + top[:, :, x.upper] * (one - wy) * wx
        + bottom[:, :, x.upper] * wy * wx
    )
