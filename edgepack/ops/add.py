"""ADD of two broadcast operands, with a fused activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.add_flat import lower_add_flat
from edgepack.ops.shared.add_mve import lower_add_mve
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.broadcast import (
    MAX_DIMS,
    broadcast_shape,
    elementwise_overlaps,
    plan_broadcast,
)
from edgepack.ops.shared.fixed_point import (
    FLOAT_ACTIVATION_RANGE,
    Multiplier,
    activation_range,
    float_activation,
    quantize_multiplier,
    requantize,
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
from edgepack.ops.shared.window import ACTIVATIONS
from edgepack.types import Array, DType, Shape

_LEFT_SHIFT = {DType.INT8: 20, DType.INT16: 15}  # headroom that TFLite gives the common scale


@dataclass(frozen=True)
class AddAttributes(Attributes):
    """The fused activation."""

    activation: str = "NONE"


@dataclass(frozen=True)
class Rescale:
    """The three multipliers of a quantized sum or difference."""

    first: Multiplier
    second: Multiplier
    output: Multiplier
    left_shift: int


def sum_rescale(view: NodeView) -> Rescale:
    """TFLite's ADD and SUB: operands go to twice the larger scale, the sum to the output's."""
    a, b, out = view.input(0), view.input(1), view.output()
    left_shift = _LEFT_SHIFT[out.dtype]
    common = 2 * max(a.scale, b.scale)
    return Rescale(
        quantize_multiplier(a.scale / common),
        quantize_multiplier(b.scale / common),
        quantize_multiplier(common / ((1 << left_shift) * out.scale)),
        left_shift,
    )


class Add(Op):
    """Integers are summed at twice the larger scale; int32 wraps."""

    name = "ADD"
    types = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    arity = (2, 2)
    variants = ("mve",)

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return AddAttributes()
        return AddAttributes(ACTIVATIONS[options.fusedActivationFunction])

    def check(self, view: NodeView) -> None:
        super().check(view)
        a, b, out = view.input(0), view.input(1), view.output()
        if not a.dtype is b.dtype is out.dtype:
            raise unsupported(view, "operands and output must have one type")
        if len(out.shape) > MAX_DIMS:
            raise unsupported(view, f"more than {MAX_DIMS} dimensions")
        if self._activation(view) not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(view, f"no kernel with {self._activation(view)}")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape = broadcast_shape(view.input(0).shape, view.input(1).shape)
        if shape is None:
            raise unsupported(view, "the operands' shapes do not broadcast")
        return (shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        a, b = inputs[0], inputs[1]
        assert a is not None and b is not None
        out, activation = view.output(), self._activation(view)
        if out.dtype is DType.FLOAT32:
            return (ensure_shape(float_activation(a + b, activation), out),)
        if out.dtype is DType.INT32:
            return (ensure_shape(wrap_int32(a.astype(np.int64) + b), out),)
        scale = sum_rescale(view)

        def common(x: Array, slot: int, factor: Multiplier) -> Array:
            shifted = (x.astype(np.int64) - view.input(slot).zero_point) << scale.left_shift
            return requantize(shifted, factor.value, factor.shift)

        total = common(a, 0, scale.first) + common(b, 1, scale.second)
        result = requantize(total, scale.output.value, scale.output.shift) + out.zero_point
        low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
        return (ensure_shape(np.clip(result, low, high), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        a, b, out = view.input(0), view.input(1), view.output()
        walk = plan_broadcast(a.shape, b.shape, out.shape)
        fields: list[tuple[str, FieldValue]] = [
            (f"walk.{name}", value) for name, value in walk.fields()
        ]
        ctype = "ep_add_params"
        if out.dtype is DType.FLOAT32:
            low, high = FLOAT_ACTIVATION_RANGE[self._activation(view)]
            fields += [("act_min", low), ("act_max", high)]
            ctype = "ep_add_f32_params"
        elif out.dtype is DType.INT32:
            ctype = "ep_add_s32_params"
        else:
            scale = sum_rescale(view)
            lower_fast = lower_add_mve if isa.has("mve") else lower_add_flat
            fast = lower_fast(
                view, (scale.first, scale.second), scale.output, self._activation(view)
            )
            if fast is not None:
                return fast
            low, high = activation_range(
                self._activation(view), out.dtype, out.scale, out.zero_point
            )
            fields += [
                ("offset1", -a.zero_point),
                ("offset2", -b.zero_point),
                ("output_offset", out.zero_point),
                ("left_shift", scale.left_shift),
                ("multiplier1", scale.first.value),
                ("shift1", scale.first.shift),
                ("multiplier2", scale.second.value),
                ("shift2", scale.second.shift),
                ("multiplier", scale.output.value),
                ("shift", scale.output.shift),
                ("act_min", low),
                ("act_max", high),
            ]
        return KernelCall(
            f"ep_add_{out.dtype.suffix}",
            "ep_add.h",
            (Params(ctype, tuple(fields)), Input(0), Input(1), Output(0)),
            overlaps=elementwise_overlaps(view),
            reason="portable C99 reference",
        )

    def _activation(self, view: NodeView) -> str:
        assert isinstance(view.node.attrs, AddAttributes)
        return view.node.attrs.activation
