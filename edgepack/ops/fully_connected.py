"""FULLY_CONNECTED: inputs [..., in] times weights [out, in], optional bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.fixed_point import (
    FLOAT_ACTIVATION_RANGE,
    activation_range,
    float_activation,
    wrap_int32,
)
from edgepack.ops.shared.kernel import (
    Arg,
    Const,
    Input,
    Isa,
    KernelCall,
    Lowered,
    Null,
    Output,
    Params,
)
from edgepack.ops.shared.requant import ChannelMultipliers, channel_multipliers, tensor_multiplier
from edgepack.ops.shared.weighted import (
    accumulates_in_32_bits,
    bias_operand,
    check_weights,
    requant_operands,
)
from edgepack.ops.shared.window import ACTIVATIONS
from edgepack.types import Array, DType, Shape


@dataclass(frozen=True)
class FullyConnectedAttributes(Attributes):
    """The fused activation and the output's rank."""

    activation: str = "NONE"
    keep_num_dims: bool = False
    bias_dtype: DType = DType.INT64


class FullyConnected(Op):
    """Matrix product with TFLM's double rounding (LiteRT's reference kernel rounds once)."""

    name = "FULLY_CONNECTED"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    arity = (2, 3)
    notes = "int8 or (per-tensor) int4 weights; weights constant"

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return FullyConnectedAttributes()
        return FullyConnectedAttributes(
            activation=ACTIVATIONS[options.fusedActivationFunction],
            keep_num_dims=bool(options.keepNumDims),
            bias_dtype=DType.INT32 if options.quantizedBiasType == 2 else DType.INT64,
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, w = view.input(0), view.input(1)
        if len(w.shape) != 2 or w.shape[1] == 0 or x.elements % w.shape[1]:
            raise unsupported(view, "weights must be [out, in] and divide the input's elements")
        if self._attrs(view).activation not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(view, f"no kernel with fused activation {self._attrs(view)}")
        check_weights(view)
        if w.dtype is DType.INT4 and w.quant is not None and w.quant.per_channel:
            raise unsupported(view, "per-channel int4 weights (TFLM has per-tensor only)")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        x, w = view.input(0), view.input(1)
        if self._attrs(view).keep_num_dims:
            return ((*x.shape[:-1], w.shape[0]),)
        return ((x.elements // w.shape[1], w.shape[0]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, w, bias = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
        assert x is not None and w is not None
        out, attrs = view.output(), self._attrs(view)
        rows = x.reshape(-1, w.shape[1])
        if out.dtype is DType.FLOAT32:
            acc = rows @ w.T
            if bias is not None:
                acc = acc + bias
            return (ensure_shape(float_activation(acc, attrs.activation), out),)
        acc = (rows.astype(np.int64) - view.input(0).zero_point) @ w.T.astype(np.int64)
        if bias is not None:
            acc = acc + bias.astype(np.int64)
        multipliers = self._multipliers(view)
        if accumulates_in_32_bits(view):
            scaled = multipliers.apply(wrap_int32(acc))
        else:
            scaled = multipliers.apply_int64(acc)
        low, high = activation_range(attrs.activation, out.dtype, out.scale, out.zero_point)
        return (ensure_shape(np.clip(scaled + out.zero_point, low, high), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, w, out, bias = view.input(0), view.input(1), view.output(), view.optional(2)
        attrs = self._attrs(view)
        shape = (
            ("batches", x.elements // w.shape[1]),
            ("in_n", w.shape[1]),
            ("out_n", w.shape[0]),
        )
        weights = Const("weights", view.const(1, "weights").reshape(-1))
        args: list[Arg]
        if x.dtype is DType.FLOAT32:
            low, high = FLOAT_ACTIVATION_RANGE[attrs.activation]
            params = Params(
                "ep_fully_connected_f32_params", (*shape, ("act_min", low), ("act_max", high))
            )
            args = [params, Input(0), weights]
            args.append(Null("float") if bias is None else bias_operand(view))
            function = "ep_fully_connected_f32"
        else:
            low, high = activation_range(attrs.activation, out.dtype, out.scale, out.zero_point)
            offsets = (("input_offset", -x.zero_point), ("output_offset", out.zero_point))
            params = Params(
                "ep_fully_connected_params",
                (*shape, *offsets, ("act_min", low), ("act_max", high)),
            )
            narrow = accumulates_in_32_bits(view)
            multipliers = self._multipliers(view)
            args = [params, Input(0), weights]
            null = Null("int32_t" if narrow else "int64_t")
            args.append(null if bias is None else bias_operand(view))
            args += requant_operands(multipliers)
            function = f"ep_fully_connected_{x.dtype.suffix}"
            if x.dtype is DType.INT16 and narrow:
                function += "_b32"
        args.append(Output(0))
        return KernelCall(
            function,
            "ep_fully_connected.h",
            tuple(args),
            macs=self.macs(view),
            reason="portable C99 reference",
        )

    def macs(self, view: NodeView) -> int:
        return view.input(0).elements * view.input(1).shape[0]

    def _attrs(self, view: NodeView) -> FullyConnectedAttributes:
        assert isinstance(view.node.attrs, FullyConnectedAttributes)
        return view.node.attrs

    def _multipliers(self, view: NodeView) -> ChannelMultipliers:
        x, w, out = view.input(0), view.input(1), view.output()
        assert w.quant is not None
        make = channel_multipliers if w.quant.per_channel else tensor_multiplier
        return make(x, w, out, math.prod(out.shape[-1:]))
