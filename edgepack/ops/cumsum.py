"""CUMSUM along one constant dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.axis import around, constant_axis
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.broadcast import elementwise_overlaps
from edgepack.ops.shared.fixed_point import (
    Multiplier,
    doubling_high_mul,
    quantize_multiplier,
    requantize,
    wrap_int32,
)
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.quantized import check_quantized
from edgepack.types import Array, DType, Shape

_LEFT_SHIFT = 20  # headroom that TFLM gives the common scale
_HALF = 1 << 30  # 0.5 in Q0.31: the input's scale over twice itself


@dataclass(frozen=True)
class CumsumAttributes(Attributes):
    """Whether the element itself is left out, and whether sums run from the end."""

    exclusive: bool = False
    reverse: bool = False


class Cumsum(Op):
    """Running sums; int8 is rescaled, and sums beyond 32 bits wrap as TFLM's do."""

    name = "CUMSUM"
    types = (DType.INT8, DType.INT32, DType.FLOAT32)
    arity = (2, 2)
    notes = (
        "axis constant; int8 starts at minus the input's zero point, as TFLM does; int32 as LiteRT "
        "(TFLM has none)"
    )

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return CumsumAttributes()
        return CumsumAttributes(bool(options.exclusive), bool(options.reverse))

    def check(self, view: NodeView) -> None:
        super().check(view)
        constant_axis(view, 1)
        x, out = view.input(0), view.output()
        if out.dtype is not x.dtype:
            raise unsupported(view, f"{x.dtype.value} input, {out.dtype.value} output")
        if x.dtype is DType.INT8:
            check_quantized(view, x, out)
            if self._multiplier(view).shift > 0:
                raise unsupported(view, "an output scale below 2**-19 of the input's")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, out, attrs = inputs[0], view.output(), self._attrs(view)
        assert x is not None
        axis = constant_axis(view, 1)
        lines = np.moveaxis(x, axis, 0)
        lines = lines[::-1] if attrs.reverse else lines
        zero = view.input(0).zero_point
        if out.dtype is DType.INT8:
            lines = _scaled(lines.astype(np.int64) - zero)
        elif out.dtype is DType.INT32:
            lines = lines.astype(np.int64)
        sums = np.cumsum(lines, axis=0, dtype=lines.dtype)
        if attrs.exclusive:
            sums = np.concatenate([np.zeros_like(sums[:1]), sums[:-1]])
        if out.dtype is DType.INT8:
            part = self._multiplier(view)
            total = wrap_int32(sums + _scaled(np.asarray(-zero, np.int64)))
            sums = np.clip(requantize(total, part.value, part.shift) + out.zero_point, -128, 127)
        elif out.dtype is DType.INT32:
            sums = wrap_int32(sums)
        sums = sums[::-1] if attrs.reverse else sums
        return (ensure_shape(np.moveaxis(sums, 0, axis), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, out, attrs = view.input(0), view.output(), self._attrs(view)
        split = around(x.shape, constant_axis(view, 1))
        walk = (
            ("outer", split.outer),
            ("size", split.size),
            ("inner", split.inner),
            ("exclusive", attrs.exclusive),
            ("reverse", attrs.reverse),
        )
        params = Params("ep_cumsum_params", walk)
        if x.dtype is DType.INT8:
            part = self._multiplier(view)
            params = Params(
                "ep_cumsum_s8_params",
                (
                    *((f"walk.{name}", value) for name, value in walk),
                    ("input_offset", -x.zero_point),
                    ("output_offset", out.zero_point),
                    ("multiplier", part.value),
                    ("shift", part.shift),
                ),
            )
        in_place = not attrs.exclusive  # an exclusive sum is stored before its element is read
        return KernelCall(
            f"ep_cumsum_{x.dtype.suffix}",
            "ep_cumsum.h",
            (params, Input(0), Output(0)),
            overlaps=elementwise_overlaps(view)[:1] if in_place else (),
            reason="portable C99 reference",
        )

    def _attrs(self, view: NodeView) -> CumsumAttributes:
        assert isinstance(view.node.attrs, CumsumAttributes)
        return view.node.attrs

    def _multiplier(self, view: NodeView) -> Multiplier:
        return quantize_multiplier(
            2 * view.input(0).scale / ((1 << _LEFT_SHIFT) * view.output().scale)
        )


def _scaled(x: Array) -> Array:
    return doubling_high_mul(wrap_int32(x << _LEFT_SHIFT), _HALF)
