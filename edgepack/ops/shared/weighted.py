"""What ops with weights share: checks, accumulator width, requantization, the portable call."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.fixed_point import FLOAT_ACTIVATION_RANGE, activation_range, wrap_int32
from edgepack.ops.shared.kernel import Arg, Const, Input, KernelCall, Null, Output, Params
from edgepack.ops.shared.requant import ChannelMultipliers, channel_multipliers
from edgepack.types import Array, DType


def check_weights(view: NodeView) -> None:
    """Checks that CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV share on weights and bias.

    Raises:
        UnsupportedError: weights that are not constant, of a type without a kernel, or asymmetric.
    """
    x, w, bias = view.input(0), view.input(1), view.optional(2)
    view.const(1, "weights")
    allowed = {
        DType.INT8: (DType.INT8, DType.INT4),
        DType.INT16: (DType.INT8,),
        DType.FLOAT32: (DType.FLOAT32,),
    }[x.dtype]
    if w.dtype not in allowed:
        raise unsupported(
            view,
            f"{x.dtype.value} input with {w.dtype.value} weights; "
            f"allowed weights: {', '.join(t.value for t in allowed)}",
            rewrite="re-quantize the model to full-integer INT8 (weight-only models cannot run)",
        )
    if x.dtype is DType.FLOAT32:
        return
    for tensor in (x, w, view.output()):
        if tensor.quant is None:
            raise unsupported(view, f"tensor {tensor.name!r} has no quantization parameters")
    assert w.quant is not None
    if any(w.quant.zero_point):
        raise unsupported(view, "weights with a zero point other than 0")
    allowed_bias = (DType.INT32,) if x.dtype is DType.INT8 else (DType.INT32, DType.INT64)
    if bias is not None and bias.dtype not in allowed_bias:
        raise unsupported(view, f"a bias of {bias.dtype.value}")


def accumulates_in_32_bits(view: NodeView) -> bool:
    """Whether TFLM uses an int32 accumulator (int8, or 16x8 with a 32-bit bias)."""
    if view.input(0).dtype is DType.INT8:
        return True
    bias = view.optional(2)
    if bias is not None:
        return bias.dtype is DType.INT32
    declared = getattr(view.node.attrs, "bias_dtype", DType.INT64)
    return declared is DType.INT32


def requantize_output(view: NodeView, acc: Array, activation: str) -> Array:
    """Accumulators [..., channels] to the output's integers: requantize, offset, clamp."""
    x, w, out = view.input(0), view.input(1), view.output()
    multipliers = channel_multipliers(x, w, out, acc.shape[-1])
    if accumulates_in_32_bits(view):
        scaled = multipliers.apply(wrap_int32(acc))
    else:
        scaled = multipliers.apply_int64(acc)
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    return np.clip(scaled + out.zero_point, low, high)


def lower_weighted(
    view: NodeView,
    family: str,
    activation: str,
    geometry: tuple[tuple[str, int], ...],
    macs: int,
) -> KernelCall:
    """The portable kernel call of an op with weights, bias and per-channel requantization."""
    x, w, out, bias = view.input(0), view.input(1), view.output(), view.optional(2)
    weights = view.const(1, "weights")
    args: list[Arg]
    if x.dtype is DType.FLOAT32:
        low, high = FLOAT_ACTIVATION_RANGE[activation]
        params = Params(f"{family}_f32_params", (*geometry, ("act_min", low), ("act_max", high)))
        args = [params, Input(0), Const("weights", weights.reshape(-1))]
        args.append(Null("float") if bias is None else bias_operand(view))
        function = f"{family}_f32"
    else:
        low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
        offsets = (("input_offset", -x.zero_point), ("output_offset", out.zero_point))
        params = Params(
            f"{family}_params", (*geometry, *offsets, ("act_min", low), ("act_max", high))
        )
        narrow = accumulates_in_32_bits(view)
        multipliers = channel_multipliers(x, w, out, out.shape[-1])
        args = [params, Input(0), Const("weights", weights.reshape(-1))]
        null = Null("int32_t" if narrow else "int64_t")
        args.append(null if bias is None else bias_operand(view))
        args += requant_operands(multipliers)
        function = f"{family}_{x.dtype.suffix}"
        if x.dtype is DType.INT16 and narrow:
            function += "_b32"
    args.append(Output(0))
    return KernelCall(
        function, f"{family}.h", tuple(args), macs=macs, reason="portable C99 reference"
    )


def requant_operands(multipliers: ChannelMultipliers) -> list[Arg]:
    """The per-channel multiplier and shift arrays."""
    return [
        Const("multiplier", multipliers.value, role="tables"),
        Const("shift", multipliers.shift, role="tables"),
    ]


def bias_operand(view: NodeView) -> Arg:
    """The bias as a build-time constant, or as an input where the graph computes it."""
    bias = view.input(2)
    return Input(2) if bias.data is None else Const("bias", bias.data.reshape(-1))
