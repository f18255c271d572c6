"""What ops with weights share: checks, accumulator width, requantization, the portable call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgepack.ops.shared.base import QUANTIZE_RECIPE, NodeView, unsupported
from edgepack.ops.shared.fixed_point import FLOAT_ACTIVATION_RANGE, activation_range, wrap_int32
from edgepack.ops.shared.int4 import pack_int4
from edgepack.ops.shared.kernel import (
    Arg,
    Const,
    FieldValue,
    Input,
    KernelCall,
    Null,
    Output,
    Overlap,
    Params,
)
from edgepack.ops.shared.quantized import check_quantized
from edgepack.ops.shared.requant import ChannelMultipliers, channel_multipliers
from edgepack.types import Array, DType

# The shifts for which the requantization is defined: ep_requantize and ep_requantize64 (TFLite
# states -31..30 and -31..7).
_MAX_SHIFT_32, _MAX_SHIFT_64 = 30, 7


@dataclass(frozen=True)
class Slots:
    """Which inputs of a node are its activations, weights and bias."""

    x: int = 0
    weights: int = 1
    bias: int = 2


DEFAULT_SLOTS = Slots()

_WEIGHT_TYPES = {
    DType.INT8: (DType.INT8, DType.INT4),
    DType.INT16: (DType.INT8,),
    DType.FLOAT32: (DType.FLOAT32,),
}
_BIAS_TYPES = {
    DType.INT8: (DType.INT32,),
    DType.INT16: (DType.INT32, DType.INT64),
    DType.FLOAT32: (DType.FLOAT32,),
}


def check_weights(
    view: NodeView,
    channels: int,
    slots: Slots = DEFAULT_SLOTS,
    *,
    weight_types: Mapping[DType, tuple[DType, ...]] | None = None,
) -> None:
    """Checks that every op with constant weights shares: types, quantization, bias.

    Args:
        channels: output channels; what a bias and per-channel scales must count.
        weight_types: allowed weights by type of the activations, where not every kernel exists.

    Raises:
        UnsupportedError: weights that are not constant, of a type without a kernel, or asymmetric;
            a bias of the wrong type or size; scales that no kernel can apply.
    """
    x, w = view.input(slots.x), view.input(slots.weights)
    view.const(slots.weights, "weights")
    check_operand_types(view, slots, weight_types or _WEIGHT_TYPES)
    check_bias(view, channels, slots)
    if x.dtype is DType.FLOAT32:
        return
    check_quantized(view, x, view.output())
    if w.quant is None:
        raise unsupported(view, f"tensor {w.name!r} has no quantization parameters")
    if any(w.quant.zero_point):
        raise unsupported(view, "weights with a zero point other than 0")
    if w.quant.per_channel and len(w.quant.scale) != channels:
        raise unsupported(view, f"{len(w.quant.scale)} weight scales for {channels} channels")
    check_shifts(view, channel_multipliers(x, w, view.output(), channels), slots)


def check_operand_types(
    view: NodeView, slots: Slots, weight_types: Mapping[DType, tuple[DType, ...]]
) -> None:
    """Refuse pairs of activation and weight types, and output types, without a kernel."""
    x, w, out = view.input(slots.x), view.input(slots.weights), view.output()
    allowed = weight_types[x.dtype]
    if w.dtype not in allowed:
        raise unsupported(
            view,
            f"{x.dtype.value} input with {w.dtype.value} weights; "
            f"allowed weights: {', '.join(t.value for t in allowed)}",
            rewrite="quantize the activations too (weight-only models cannot run): "
            f"{QUANTIZE_RECIPE}",
        )
    if out.dtype is not x.dtype:
        raise unsupported(view, f"{x.dtype.value} input with {out.dtype.value} output")


def check_bias(view: NodeView, channels: int, slots: Slots = DEFAULT_SLOTS) -> None:
    """Refuse a bias of a type or size that the kernels do not read."""
    bias, allowed = view.optional(slots.bias), _BIAS_TYPES[view.input(slots.x).dtype]
    if bias is None:
        return
    if bias.dtype not in allowed:
        types = " or ".join(t.value for t in allowed)
        raise unsupported(view, f"a bias of {bias.dtype.value}; allowed is {types}")
    if bias.elements != channels:
        raise unsupported(view, f"a bias of {bias.elements} elements for {channels} channels")


def check_shifts(
    view: NodeView, multipliers: ChannelMultipliers, slots: Slots = DEFAULT_SLOTS
) -> None:
    """Refuse scales whose factor is beyond what the fixed-point requantization can apply."""
    limit = _MAX_SHIFT_32 if accumulates_in_32_bits(view, slots) else _MAX_SHIFT_64
    largest = int(multipliers.shift.max(initial=0))
    if largest > limit:
        raise unsupported(
            view,
            f"the output's scale is so small that accumulators must be multiplied by 2**{largest}; "
            f"allowed is up to 2**{limit}",
            rewrite="calibrate the model again with data that reaches this tensor",
        )


def check_symmetric_int16(view: NodeView, slots: Slots = DEFAULT_SLOTS) -> None:
    """Refuse int16 tensors with a zero point: TFLM's 16x8 convolutions ignore them."""
    x, out = view.input(slots.x), view.output()
    if x.dtype is DType.INT16 and (x.zero_point or out.zero_point):
        raise unsupported(view, "INT16 tensors with a zero point other than 0")


def accumulates_in_32_bits(view: NodeView, slots: Slots = DEFAULT_SLOTS) -> bool:
    """Whether TFLM uses an int32 accumulator (int8, or 16x8 with a 32-bit bias)."""
    if view.input(slots.x).dtype is DType.INT8:
        return True
    bias = view.optional(slots.bias)
    if bias is not None:
        return bias.dtype is DType.INT32
    declared = getattr(view.node.attrs, "bias_dtype", DType.INT64)
    return declared is DType.INT32


def requantize_output(
    view: NodeView,
    acc: Array,
    activation: str,
    multipliers: ChannelMultipliers | None = None,
    slots: Slots = DEFAULT_SLOTS,
) -> Array:
    """Accumulators [..., channels] to the output's integers: requantize, offset, clamp."""
    x, w, out = view.input(slots.x), view.input(slots.weights), view.output()
    multipliers = multipliers or channel_multipliers(x, w, out, acc.shape[-1])
    if accumulates_in_32_bits(view, slots):
        scaled = multipliers.apply(wrap_int32(acc))
    else:
        scaled = multipliers.apply_int64(acc)
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    return np.clip(wrap_int32(scaled + out.zero_point), low, high)


def lower_weighted(
    view: NodeView,
    family: str,
    activation: str,
    geometry: tuple[tuple[str, FieldValue], ...],
    macs: int,
    *,
    multipliers: ChannelMultipliers | None = None,
    slots: Slots = DEFAULT_SLOTS,
    overlaps: tuple[Overlap, ...] = (),
) -> KernelCall:
    """The portable kernel call of an op with weights, bias and per-channel requantization.

    Args:
        family: prefix of the kernels and the name of their header, such as ep_conv2d.
        geometry: the params struct's first members.
        multipliers: where they are not those of a convolution.
    """
    x, w, out, bias = (
        view.input(slots.x),
        view.input(slots.weights),
        view.output(),
        view.optional(slots.bias),
    )
    args: list[Arg]
    if x.dtype is DType.FLOAT32:
        low, high = FLOAT_ACTIVATION_RANGE[activation]
        params = Params(f"{family}_f32_params", (*geometry, ("act_min", low), ("act_max", high)))
        args = [params, Input(slots.x), weights_operand(view, slots)]
        args.append(Null("float") if bias is None else bias_operand(view, slots))
        function = f"{family}_f32"
    else:
        limits = activation_range(activation, out.dtype, out.scale, out.zero_point)
        offsets = (("input_offset", -x.zero_point), ("output_offset", out.zero_point))
        params = Params(
            f"{family}_params",
            (*geometry, *offsets, ("act_min", limits[0]), ("act_max", limits[1])),
        )
        narrow = accumulates_in_32_bits(view, slots)
        multipliers = multipliers or channel_multipliers(x, w, out, out.shape[-1])
        args = [params, Input(slots.x), weights_operand(view, slots)]
        null = Null("int32_t" if narrow else "int64_t")
        args.append(null if bias is None else bias_operand(view, slots))
        args += requant_operands(multipliers)
        function = f"{family}_{x.dtype.suffix}"
        if x.dtype is DType.INT16 and narrow:
            function += "_b32"
        if w.dtype is DType.INT4:
            function += "_w4"
    args.append(Output(0))
    return KernelCall(
        function,
        f"{family}.h",
        tuple(args),
        overlaps=overlaps,
        macs=macs,
        reason="portable C99 reference",
    )


def weights_operand(view: NodeView, slots: Slots = DEFAULT_SLOTS) -> Const:
    """The weights in memory order; int4 packed two to a byte."""
    data = view.const(slots.weights, "weights")
    if view.input(slots.weights).dtype is DType.INT4:
        return Const("weights", pack_int4(data))
    return Const("weights", data.reshape(-1))


def requant_operands(multipliers: ChannelMultipliers) -> list[Arg]:
    """The per-channel multiplier and shift arrays."""
    return [
        Const("multiplier", multipliers.value, role="tables"),
        Const("shift", multipliers.shift, role="tables"),
    ]


def bias_operand(view: NodeView, slots: Slots = DEFAULT_SLOTS) -> Arg:
    """The bias as a build-time constant, or as an input where the graph computes it."""
    bias = view.input(slots.bias)
    return Input(slots.bias) if bias.data is None else Const("bias", bias.data.reshape(-1))
